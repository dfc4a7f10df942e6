"""Contracts: I11-I13, what was promised to the grid, to tenants, and to the gear that has to follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from facility.decision import PoolCaps
from facility.invariants.broken import Broken, above
from facility.site import Site
from facility.snapshot import Job

HOUR = timedelta(hours=1)


def within_limit(feed: str, means_kw: Iterable[float], limit_kw: float) -> tuple[Broken, ...]:
    """I11: the mean import of every minute, and of every billing interval, is within the limit that held in it, kW."""
    says = "the mean import is above the limit"
    return tuple(found for mean_kw in means_kw for found in above(11, feed, says, mean_kw, limit_kw, "kW"))


def within_ramps(feed: str, import_kw: Sequence[float], seconds: float, most_kw_per_min: float) -> tuple[Broken, ...]:
    """I11: between means that follow each other by `seconds` the import moves at most `most_kw_per_min`; a cut of I7 may be quicker."""
    says = "the import moves faster than was agreed"
    steps = [abs(after - before) * 60 / seconds for before, after in pairwise(import_kw)]
    return tuple(found for step in steps for found in above(11, feed, says, step, most_kw_per_min, "kW/min"))


def may_wait(site: Site, held: Iterable[str], jobs: Mapping[str, Job]) -> tuple[Broken, ...]:
    """I12: what is held is a job that may wait: not a rental, and nothing that nobody submitted."""
    found = []
    for name in held:
        contract = site.contracts.get(name)
        if contract is not None and contract.gpus and name not in jobs:
            found.append(Broken(12, name, "a rental is not held"))
        elif name not in jobs:
            found.append(Broken(12, name, "nobody submitted it"))
    return tuple(found)


def in_time(job: Job, held_at: datetime) -> tuple[Broken, ...]:
    """I12: a job that could still be done when it was held (all its GPUs at full speed until its deadline) is not held past that instant."""
    latest = job.deadline - timedelta(hours=job.work_gpu_h / max(job.gpus, 1))
    return above(12, job.id, "it is held past its latest start", (held_at - latest).total_seconds(), 0.0, "s")


def floor_kept(contract: str, speed: float, floor: float) -> tuple[Broken, ...]:
    """I12: the mean relative speed of a rental's GPUs is no lower than its floor."""
    return above(12, contract, "it is slower than its floor", -speed, -floor, "")


def rises_gently(feeder: str, risen_kw: float, most_kw: float) -> tuple[Broken, ...]:
    """I13: the caps below a feeder rise at most by so much in one step, or in one span of time, kW."""
    return above(13, feeder, "caps rise too much at once", risen_kw, most_kw, "kW")


def does_not_hunt(pool: str, turns: Iterable[datetime], now: datetime, most: int) -> tuple[Broken, ...]:
    """I13: the caps of a pool turn from falling to rising at most so often in the hour up to `now`; `turns` are when they did."""
    recent = sum(1 for turn in turns if now - HOUR < turn <= now)
    return above(13, pool, "its caps rise after they fell too often in an hour", recent, most, "")


def bumpless(before: PoolCaps, after: PoolCaps) -> tuple[Broken, ...]:
    """I13: the first caps after an operator lets go are those that were in force, to a watt."""
    were = {group.workload: group.cap_w for group in before.groups}
    pairs = [(before.cap_w, after.cap_w), *((were[group.workload], group.cap_w) for group in after.groups if group.workload in were)]
    says = "its caps jump when the operator lets go"
    return tuple(found for was, now in pairs for found in above(13, after.pool, says, abs(now - was), 1.0, "W"))
