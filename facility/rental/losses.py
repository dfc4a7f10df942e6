"""Losses: GPUs that are gone, who goes without them, and what is owed for it. Pure.

    left(t)   = GPUs of the pool - fixed maintenance at t - those that are gone
    served    = what a firm contract gets of them: one after another takes what it needs, the dearest GPU hour first
    missed    = what it needs - served
    owed      = missed GPU hours * price             price: the penalty that the contract names, else the value of its GPU hour

When a GPU, a node or a rack dies, its pool has so many GPUs less, whichever they were, and gives way in this order:

| first to last | what happens | who says so |
|---|---|---|
| the pool's spare GPUs and others that nobody rents, as far as they idle | nobody notices | |
| rentals that may pause, and jobs | of what the others leave, the plan pauses, moves or delays what is worth least; nothing is owed | the plan |
| rentals that may not pause | the one whose missed GPU hour is owed least goes without first | `shared_out` |

No rental that may not pause is ever given one of a pool's `spare_gpus` (`facility.rental.fit`, and the rules of site files), so that as many may
be gone before any of them is short. Spare GPUs are for their own pool: one of another pool is for its tenant to choose, since work does not
move by itself, and only GPUs that the other pool does not keep as its own spare are offered (`spare_pools`). A GPU that is gone still counts
as an idle one for power: nobody knows what it draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from facility.site import Contract, Site


@dataclass(frozen=True)
class Owed:
    """GPUs that a contract lacks now, the GPU hours that it missed in the running calendar month, and what is owed for them."""

    gpus: int
    missed_gpu_h: float
    credit: float


Gone = Mapping[str, int]
"""GPUs that are gone, by pool; one that is absent has lost none."""


def shared_out(site: Site, left: Mapping[str, int], needed: Mapping[str, int]) -> dict[str, int]:
    """Share `left`, GPUs by pool, out among the firm contracts of those pools that have `needed`; what each of them gets."""
    rest, got = dict(left), {}
    for name, contract in sorted(_firm(site), key=lambda item: (item[1].pausable, -price_per_gpu_h(item[1]), item[0])):
        if contract.pool in rest and name in needed:
            got[name] = min(needed[name], rest[contract.pool])
            rest[contract.pool] -= got[name]
    return got


def without(site: Site, gone: Gone, at: datetime) -> Site:
    """`site` at an instant with contracts that have no more GPUs than are left for them; the same object where none is gone."""
    if not any(gone.values()):
        return site
    contracts = dict(site.contracts)
    for name, got in shared_out(site, left_gpus(site, gone, at), {name: contract.gpus for name, contract in _firm(site)}).items():
        if got < contracts[name].gpus:
            demand = contracts[name].demand_by_hour_gpus
            less = None if demand is None else tuple(min(gpus, got) for gpus in demand)
            contracts[name] = contracts[name].model_copy(update={"gpus": got, "demand_by_hour_gpus": less})
    return site if contracts == site.contracts else site.model_copy(update={"contracts": contracts})


def served_gpus(site: Site, gone: Gone, free: Mapping[str, Sequence[float]], rented: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """What each firm contract of a pool that has lost GPUs gets of them in each step.

    `free` are the GPUs that fixed maintenance leaves in each step, by pool, `rented` those that are kept for a contract that comes or goes.
    """
    steps = len(next(iter(free.values()), ()))
    by_step = []
    for t in range(steps):
        left = {pool: max(int(free[pool][t]) - lost, 0) for pool, lost in gone.items() if lost}
        by_step.append(shared_out(site, left, {name: rented[name][t] if name in rented else c.gpus for name, c in _firm(site)}))
    return {name: tuple(step[name] for step in by_step) for name in (by_step[0] if by_step else ())}


def missed_gpus(site: Site, gone: Gone, at: datetime) -> dict[str, int]:
    """GPUs that firm contracts need at an instant and do not have, of those that may not pause; only where there are any."""
    hour = at.astimezone(ZoneInfo(site.timezone)).hour
    served = without(site, gone, at).contracts
    missed = {
        name: (contract.gpus if contract.demand_by_hour_gpus is None else contract.demand_by_hour_gpus[hour]) - served[name].gpus
        for name, contract in _firm(site)
        if not contract.pausable
    }
    return {name: gpus for name, gpus in missed.items() if gpus > 0}


def left_gpus(site: Site, gone: Gone, at: datetime) -> dict[str, int]:
    """GPUs of each pool that has lost any that are left at an instant."""
    return {pool: max(_there(site, pool, at) - lost, 0) for pool, lost in gone.items() if lost}


def spare_pools(site: Site, gone: Gone, contract: str, gpus: int, at: datetime) -> list[str]:
    """Other pools of the same GPU model that have so many GPUs which no contract keeps, nor the pool as its own spare."""
    own = site.contracts[contract].pool
    kept = {pool: sum(c.gpus for _, c in _firm(site) if c.pool == pool) for pool in site.pools}
    here = [pool for pool in site.pools if pool != own and own is not None and site.pools[pool].gpu_model == site.pools[own].gpu_model]
    return [p for p in here if _there(site, p, at) - gone.get(p, 0) - kept[p] - spare_left(site, gone, p) >= gpus]


def spare_left(site: Site, gone: Gone, pool: str) -> int:
    """How many of a pool's spare GPUs are still to be used up."""
    return max(site.pools[pool].spare_gpus - gone.get(pool, 0), 0)


def price_per_gpu_h(contract: Contract) -> float:
    """What is owed for one GPU hour that a contract misses, in the site's currency."""
    return contract.penalty_per_gpu_h if "penalty_per_gpu_h" in contract.model_fields_set else contract.value_per_gpu_h


def _there(site: Site, pool: str, at: datetime) -> int:
    """GPUs that fixed maintenance leaves of a pool at an instant."""
    return site.pools[pool].gpus - sum(m.takes(pool, at) for m in site.maintenance.values())


def _firm(site: Site) -> Iterator[tuple[str, Contract]]:
    return ((name, contract) for name, contract in site.contracts.items() if contract.gpus and contract.pool is not None)
