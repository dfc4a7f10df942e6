"""Under which terms a job runs, where its file does not say: tenant, contract, kind of work, pool."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from facility.inputs.table import nearest
from facility.site import Maintenance, Site
from facility.site.maintenance import EVER_SINCE, FOR_GOOD


@dataclass(frozen=True)
class Terms:
    """What holds for a job; `pool` is None where one is still to be chosen. `faults`: column, what was found, remedy."""

    tenant: str | None
    contract: str | None
    curve: str
    pool: str | None
    faults: tuple[tuple[str, str, str], ...]


def agree(site: Site, tenant: str, contract: str, pool: str, curve: str) -> Terms:
    """Complete what a job's row says ("" where it is silent) from the site, and say what does not fit.

    A row that names neither tenant nor contract is under the site's contract of jobs. One that names a tenant only is under
    that contract if it is this tenant's, else under the tenant's only one, else under none.
    """
    faults: list[tuple[str, str, str]] = []
    curves = {name for each in site.pools for name in offered(site, each)}
    work = curve or site.jobs.curve
    known: dict[str, tuple[str, Collection[str]]] = {
        "tenant": (tenant, site.tenants), "contract": (contract, site.contracts), "pool": (pool, site.pools), "curve": (work, curves),
    }  # fmt: skip
    for column, (cell, names) in known.items():
        if cell and cell not in names:
            found = f"the site has no {column} {cell!r} ({nearest(cell, sorted(names))})"
            faults.append((column, found, f"add it to the site file, or name another {column}"))
    if faults:
        return Terms(None, None, curve, None, tuple(faults))

    if pool and work not in offered(site, pool):
        found = f"pool {pool} has no curve {work!r} for its {site.pools[pool].gpu_model}"
        faults.append(("curve" if curve else "pool", found, "name another pool or curve"))
    mine = [name for name, each in site.contracts.items() if each.tenant == tenant]
    if contract and tenant and contract not in mine:
        found = f"contract {contract} is {site.contracts[contract].tenant}'s, not {tenant}'s"
        faults.append(("contract", found, "mend one of the two"))
    if not contract and tenant and len(mine) > 1 and site.jobs.contract not in mine:
        faults.append(("tenant", f"{tenant} has {len(mine)} contracts: {', '.join(mine)}", "name one in a column `contract`"))
    under: str | None = contract or site.jobs.contract
    if tenant and under not in mine:
        under = mine[0] if mine else None
    whose = tenant or (site.contracts[under].tenant if under else None)
    return Terms(whose, under, work, pool or None, tuple(faults))


def allowance_h(site: Site, contract: str | None) -> float | None:
    """How long after its submission a job under `contract` may start, h; None where its contract does not say."""
    return None if contract is None else site.contracts[contract].defer_h


def offered(site: Site, pool: str) -> Collection[str]:
    """Kinds of work that a pool's GPU model has a curve for."""
    return site.gpu_models[site.pools[pool].gpu_model].curves.keys()


def same_model(site: Site, pool: str) -> tuple[str, ...]:
    """Pools whose GPUs are of the same model as those of `pool`, itself included, in the order of the site file."""
    return tuple(name for name, each in site.pools.items() if each.gpu_model == site.pools[pool].gpu_model)


def misfit(site: Site, pools: tuple[str, ...], pool: str | None, curve: str) -> tuple[str, str] | None:
    """What is wrong with `pools` as those in which a job of `pool` may run, and the remedy; None where nothing is."""
    for name in pools:
        if name not in site.pools:
            return f"the site has no pool {name!r} ({nearest(name, list(site.pools))})", "add it to the site file, or name another pool"
        if name not in same_model(site, pools[0]):
            models = [site.pools[each].gpu_model for each in (pools[0], name)]
            return f"{pools[0]} has GPUs of model {models[0]}, {name} of {models[1]}", "name pools of one model"
    if pool is not None and pool not in pools:
        return f"the job's pool {pool} is not among them", "add it, or leave `pool` empty"
    if curve not in offered(site, pools[0]):
        return f"pool {pools[0]} has no curve {curve!r} for its {site.pools[pools[0]].gpu_model}", "name other pools or another curve"
    return None


class Placement:
    """Chooses pools, once per job and always alike for the same jobs in the same order."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._load_gpu_h = dict.fromkeys(site.pools, 0.0)
        spans = [m.fixed for m in _lasting(site) if m.fixed] + [contract.has_gpus for contract in site.contracts.values()]
        self._instants = sorted({at for span in spans for at in span} - {EVER_SINCE, FOR_GOOD})
        self._free = {pool: [_free(site, pool, at) for at in (EVER_SINCE, *self._instants)] for pool in site.pools}
        self._epoch = 0
        self._pools_by_curve: dict[str, list[str]] = {}

    def add(self, pool: str, work_gpu_h: float, submit: datetime) -> None:
        """Count work that is placed in `pool`, of jobs in the order of their submission."""
        self._come_to(submit)
        self._load_gpu_h[pool] += work_gpu_h

    def choose(self, curve: str, gpus: int, span: tuple[datetime, datetime], among: Collection[str] = ()) -> str:
        """Return the pool with that curve with the least work per GPU free of firm rentals, among those with room for `gpus`.

        `span` is from its submission to its deadline: what leaves for good meanwhile, or is still to come, is no room for it.
        Only those of `among` count where it names any. Where none has room, the one with most GPUs free; of equals the first in
        the site file. The site has the curve.
        """
        self._come_to(span[0])
        pools = self._pools_by_curve.get(curve)
        if pools is None:
            pools = [pool for pool in self._site.pools if curve in offered(self._site, pool)]
            self._pools_by_curve[curve] = pools
        pools = [pool for pool in pools if not among or pool in among]
        first, last = (bisect_right(self._instants, at) for at in span)
        free = {pool: min(self._free[pool][first : last + 1]) for pool in pools}
        room = [pool for pool in pools if free[pool] >= gpus]
        if room:
            return min(room, key=lambda pool: self._load_gpu_h[pool] / free[pool])
        return max(pools, key=lambda pool: free[pool])

    def _come_to(self, submit: datetime) -> None:
        """Count anew from an instant at which GPUs came or left for good: what was done before tells nothing of what a pool has to do."""
        if (epoch := bisect_right(self._instants, submit)) != self._epoch:
            self._epoch, self._load_gpu_h = epoch, dict.fromkeys(self._load_gpu_h, 0.0)


def _free(site: Site, pool: str, at: datetime) -> int:
    """GPUs of a pool that no rental keeps which may not pause, and that are not gone for good or still to come."""
    kept = [c.gpus for c in site.contracts.values() if c.pool == pool and not c.pausable and c.has_gpus[0] <= at < c.has_gpus[1]]
    return site.pools[pool].gpus - sum(kept) - sum(m.takes(pool, at) for m in _lasting(site))


def _lasting(site: Site) -> list[Maintenance]:
    return [m for m in site.maintenance.values() if not m.hours and not (m.start and m.end)]
