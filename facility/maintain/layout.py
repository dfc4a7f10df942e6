"""Layout: the site with a refresh in it, as its file says it: maintenance, the new pool, contracts that move. Pure.

    old GPUs    a maintenance of the old pool from a step's begin: to its end, or for good
    new GPUs    a pool of all of them, and for each step a maintenance of it until the step's end
    contracts   one that moves has its old GPUs until the step's end, and one of the same terms the new ones from then on;
                one that ends by then stays where it is, one that begins then or later begins on the new GPUs

So what is there is exact at each instant: for feeders, halls and the sum of all caps too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from facility.maintain.stages import Stage
from facility.maintain.wish import Wish
from facility.site import Contract, Maintenance, Pool, Site
from facility.snapshot import Job

LONG = timedelta(days=366)


def laid_out(site: Site, wish: Wish, stages: Sequence[Stage], starts: Sequence[datetime]) -> Site:
    """The site with the steps that begin at `starts`, UTC."""
    pools, contracts, found = dict(site.pools), dict(site.contracts), dict(site.maintenance)
    if wish.to_pool is not None:
        pools[wish.to_pool] = new_pool(site, wish)
    for k, (stage, start) in enumerate(zip(stages, starts, strict=True)):
        end, number = start + wish.lasts, f"-{k + 1}" if len(stages) > 1 else ""
        leaves: dict[str, Any] = {"pool": wish.pool, "gpus": stage.gpus, "start": start}
        if wish.to_pool is None:
            found[unused(f"{wish.pool}-out{number}", found)] = Maintenance.model_validate(leaves | {"end": end})
            continue
        found[unused(f"{wish.pool}-leaves{number}", found)] = Maintenance.model_validate(leaves)
        arrives = {"pool": wish.to_pool, "gpus": stage.gpus, "end": end}
        found[unused(f"{wish.to_pool}-arrives{number}", found)] = Maintenance.model_validate(arrives)
        for name in stage.moves:
            contracts |= _moved(name, site.contracts[name], wish.to_pool, end, contracts)
    return site.model_copy(update={"pools": pools, "contracts": contracts, "maintenance": found})


def _moved(name: str, old: Contract, to_pool: str, at: datetime, taken: Collection[str]) -> dict[str, Contract]:
    """A contract that has GPUs of `to_pool` from `at` on: as one or as two, unless it has none any more by then."""
    begins, ends = old.has_gpus
    if ends <= at:
        return {}
    if begins >= at:
        return {name: old.model_copy(update={"pool": to_pool})}
    new = old.model_copy(update={"pool": to_pool, "gpus_from": at})
    return {name: old.model_copy(update={"gpus_until": at}), unused(f"{name}-{to_pool}", taken): new}


def before(site: Site, wish: Wish) -> Site:
    """The site without the refresh, its new pool there and without a GPU: what plans are compared with."""
    if wish.to_pool is None:
        return site
    nothing = Maintenance.model_validate({"pool": wish.to_pool, "gpus": wish.gpus, "end": wish.latest + LONG})
    maintenance = {**site.maintenance, unused(f"{wish.to_pool}-arrives", site.maintenance): nothing}
    return site.model_copy(update={"pools": {**site.pools, wish.to_pool: new_pool(site, wish)}, "maintenance": maintenance})


def new_pool(site: Site, wish: Wish) -> Pool:
    """The new GPUs: beside the old ones, on the same hosts' power."""
    return site.pools[wish.pool].model_copy(update={"gpu_model": wish.to_model, "gpus": wish.gpus, "fallback_cap_w": None, "spare_gpus": 0})


def successors(site: Site, laid: Site) -> dict[str, str]:
    """The contracts of `laid` that have the new GPUs, and which contract of `site` each of them is."""
    moves = [(name, c.gpus_until) for name, c in laid.contracts.items() if name in site.contracts and c != site.contracts[name]]
    new = [(name, c) for name, c in laid.contracts.items() if name not in site.contracts]
    return {name: old for name, c in new for old, at in moves if c.gpus_from == at and name.startswith(f"{old}-")}


def moves(site: Site, laid: Site) -> Iterator[tuple[str, str, datetime]]:
    """The contracts of `site` that have new GPUs in `laid`: each with the one that it is there, and from when it has them, UTC."""
    begun = successors(site, laid)
    yield from ((old, new, laid.contracts[new].has_gpus[0]) for new, old in begun.items())
    for name, contract in site.contracts.items():
        if laid.contracts[name].pool != contract.pool:
            yield name, name, contract.has_gpus[0]


def movable(site: Site, wish: Wish, jobs: tuple[Job, ...]) -> tuple[Job, ...]:
    """The jobs, those of the old GPUs free to run on the new ones too where they are of the same model."""
    if wish.to_pool is None or wish.to_model != site.pools[wish.pool].gpu_model:
        return jobs
    return tuple(replace(job, other_pools=(*job.other_pools, wish.to_pool)) if job.pool == wish.pool else job for job in jobs)


def unused(name: str, taken: Any) -> str:
    """`name`, with a number where it is taken.

    >>> unused("a", {"a", "a-2"})
    'a-3'
    """
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found
