"""Giving way: caps go down by the same share of their range until something fits, and where that is not enough jobs wait."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from facility.daemon.holding.standby import no_higher
from facility.decision import Decision, JobOrder, PoolCaps
from facility.snapshot import Snapshot


def lowers(decision: Decision, before: Decision) -> bool:
    """Whether a decision has a cap below those of `before`, holds a job that it does not, or charges a battery less."""
    caps = no_higher(before, decision.pools).pools != before.pools
    return caps or holding(decision) != holding(before) or decision.batteries != before.batteries


def holding(decision: Decision) -> frozenset[str]:
    """The jobs that a decision holds."""
    return frozenset(order.job for order in decision.jobs if order.action == "hold")


def jobs_in(snapshot: Snapshot, pools: AbstractSet[str], decision: Decision) -> frozenset[str]:
    """The jobs that hold GPUs in `pools` under a decision; rentals are none."""
    jobs = {job.id for job in snapshot.jobs}
    return frozenset(g.workload for caps in decision.pools if caps.pool in pools for g in caps.groups if g.workload in jobs)


def held(decision: Decision, jobs: AbstractSet[str], snapshot: Snapshot, reason: str) -> Decision:
    """`decision` with `jobs` waiting until they are told otherwise; the GPUs that they held keep the lowest cap that they had."""
    if not jobs:
        return decision
    sizes = {job.id: job.gpus for job in snapshot.jobs}

    def without(caps: PoolCaps) -> PoolCaps:
        left = tuple(group for group in caps.groups if group.workload not in jobs)
        had_w = [group.cap_w for group in caps.groups if group.workload in jobs]
        return replace(caps, cap_w=min([caps.cap_w, *had_w]), groups=left)

    pools = tuple(without(caps) for caps in decision.pools)
    others = tuple(order for order in decision.jobs if order.job not in jobs)
    holds = tuple(JobOrder(job, "hold", sizes[job], None, reason) for job in sorted(jobs & sizes.keys()))
    return replace(decision, pools=pools, jobs=(*others, *holds))


def because(decision: Decision, before: Decision, reason: str) -> Decision:
    """`decision` with `reason` in every pool whose caps are not those of `before`."""
    was = {caps.pool: caps for caps in before.pools}

    def told(caps: PoolCaps) -> PoolCaps:
        return caps if caps == was[caps.pool] else replace(caps, reason=reason)

    return replace(decision, pools=tuple(told(caps) for caps in decision.pools))


def kept_of(decision: Decision, pools: Iterable[str]) -> tuple[PoolCaps, ...]:
    """The caps of some pools."""
    wanted = set(pools)
    return tuple(caps for caps in decision.pools if caps.pool in wanted)


