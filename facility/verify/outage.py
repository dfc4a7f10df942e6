"""GPUs that are not there: those that maintenance takes do no work and, where they are away for all of the first step, draw nothing.

A gang that runs as they are to leave goes on until it is done, and its GPUs leave then. Fixed maintenance is the site file's. What a decision
says is under way must be among the windows that the file leaves open. Those that are gone beside them do no work and may draw power all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from facility.decision import Decision, PoolCaps
from facility.site import Maintenance, Site
from facility.snapshot import Snapshot
from facility.verify.violation import Violation, over


def in_service(site: Site, decision: Decision) -> Site:
    """The site with the GPUs that draw power only; one that works has not left."""
    begin, end = _first_step(decision)
    away = dict.fromkeys(site.pools, 0)
    for _, m, leaves, returns in _under_way(site, decision):
        away[m.pool] += m.gpus if leaves <= begin and returns >= end else 0
    for caps in decision.pools:
        working = sum(group.gpus for group in caps.groups)
        away[caps.pool] = max(min(away[caps.pool], site.pools[caps.pool].gpus - working), 0)
    if not any(away.values()):
        return site
    pools = {name: pool.model_copy(update={"gpus": pool.gpus - away[name]}) for name, pool in site.pools.items()}
    return site.model_copy(update={"pools": pools})


def maintenance(site: Site, snapshot: Snapshot, decision: Decision) -> Iterator[Violation]:
    """Find pools in which more GPUs work than are there, and windows that are not open."""
    begin, _ = _first_step(decision)
    under_way = list(_under_way(site, decision))
    for caps in decision.pools:
        mine = [(m.gpus, leaves, returns) for _, m, leaves, returns in under_way if m.pool == caps.pool]
        instants = [begin, *(leaves for _, leaves, _ in mine if leaves > begin)]
        out = max(sum(gpus for gpus, leaves, returns in mine if leaves <= at < returns) for at in instants)
        working, left = sum(group.gpus for group in caps.groups), site.pools[caps.pool].gpus - out
        says = "more GPUs would work than maintenance leaves, or than did before it began"
        allowed = max(left, _on_already(site, snapshot, caps)) if out else left
        yield from over(Violation("pool.maintenance", caps.pool, working, "GPU", allowed, says, "contract"))
        if gone := snapshot.gone_gpus.get(caps.pool, 0):
            says = f"more GPUs would work than are left without the {gone} that are gone"
            yield from over(Violation("pool.gone", caps.pool, working, "GPU", left - gone, says, "contract"))
    for name in decision.maintenance:
        if name not in {found for found, *_ in under_way}:
            yield Violation("maintenance.open", name, None, "", None, "the site file leaves no such window open now", "plant")


def _on_already(site: Site, snapshot: Snapshot, caps: PoolCaps) -> int:
    """The GPUs of rentals that may not pause, and of gangs that run: work goes on until it is done."""
    firm = {name for name, contract in site.contracts.items() if contract.gpus and not contract.pausable}
    gangs = {job.id for job in snapshot.jobs if job.running and not job.elastic}
    return sum(group.gpus for group in caps.groups if group.workload in firm or group.workload in gangs)


def _first_step(decision: Decision) -> tuple[datetime, datetime]:
    if decision.first_step_s:
        return decision.at, decision.at + timedelta(seconds=decision.first_step_s)
    return decision.at, decision.until


def _under_way(site: Site, decision: Decision) -> Iterator[tuple[str, Maintenance, datetime, datetime]]:
    """Each maintenance that touches the first step, with the instants at which its GPUs leave and return."""
    begin, end = _first_step(decision)
    for name, m in site.maintenance.items():
        if m.fixed and m.fixed[0] < end and m.fixed[1] > begin:
            yield name, m, *m.fixed
        elif m.hours and m.earliest and m.latest and name in decision.maintenance:
            returns = begin + timedelta(hours=m.hours)
            if m.earliest <= begin and returns <= m.latest:
                yield name, m, begin, returns
