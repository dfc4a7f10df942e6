"""Free: how many GPUs of a pool may be out. Pure.

    kept(t) = GPUs of contracts that may not pause and have them at t
    free(t) = GPUs of the pool - kept(t) - its spare GPUs - those that other maintenance takes, or may take, at t

Contracts that may pause give way, and so do jobs: they wait, or go on where the pool has others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from facility.site import Site
from facility.site.maintenance import EVER_SINCE, FOR_GOOD

Kept = tuple[str, int, datetime, datetime]
"""Who keeps how many GPUs from when to when."""


def keepers(site: Site, pool: str, moved: Collection[str] = ()) -> Iterator[Kept]:
    """What keeps GPUs of a pool from leaving: contracts but those that are `moved`, spare GPUs, and maintenance."""
    if site.pools[pool].spare_gpus:
        yield "what is spare", site.pools[pool].spare_gpus, EVER_SINCE, FOR_GOOD
    for name, contract in site.contracts.items():
        if contract.pool == pool and contract.gpus and not contract.pausable and name not in moved:
            yield f"contract {name}", contract.gpus, *contract.has_gpus
    for name, m in site.maintenance.items():
        if m.pool == pool:
            start, end = m.fixed or (m.earliest or EVER_SINCE, m.latest or EVER_SINCE)
            yield f"maintenance {name}", m.gpus, start, end


def free_gpus(site: Site, pool: str, start: datetime, end: datetime, moved: Collection[str] = ()) -> int:
    """The GPUs of `pool` that may be out all through [start, end); below 0 where even those that are there do not do."""
    kept = list(keepers(site, pool, moved))
    instants = [start, *(begin for *_, begin, _ in kept if start < begin < end)]
    return site.pools[pool].gpus - max(sum(gpus for _, gpus, begin, over in kept if begin <= at < over) for at in instants)


def overbooked(site: Site, pool: str) -> bool:
    """Whether at any instant less GPUs are left of a pool than its contracts keep."""
    kept = list(keepers(site, pool))
    instants = {EVER_SINCE, *(begin for *_, begin, _ in kept)}
    return any(sum(gpus for _, gpus, begin, over in kept if begin <= at < over) > site.pools[pool].gpus for at in instants)
