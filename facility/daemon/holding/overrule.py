"""Overrule: what operators command, laid over a decision at once, before the next plan takes it in. Pure, without a solver."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from facility.daemon.holding.charging import FINENESS, below, charging_less
from facility.decision import CapGroup, Decision, JobOrder, PoolCaps
from facility.overrides.arbitrate import Bounds
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify import expected_kw, verify_worst
from facility.verify.cooling import drifts, tanks_kw
from facility.verify.draw import expected_it_kw, worst_pool_kw
from facility.verify.loads import feeder_kw
from facility.verify.supply import supplied

WORST_CASE = ".worst_case"
"""How the names of the rules end that ask what every GPU may draw at its cap."""


def overrule(site: Site, snapshot: Snapshot, decision: Decision, bounds: Bounds, outdoor_c: float) -> Decision:
    """`decision` with the commands of `bounds`, those of their first step, in force: caps, held jobs, stop, a lower import limit.

    A job told to run waits for the next plan, which knows whether there are GPUs for it.
    """
    pool_of = {job.id: job.pool for job in snapshot.jobs}
    stopped = bounds.mode == "stop"

    def held(workload: str) -> bool:
        if workload not in pool_of:
            return False
        named = bounds.job_orders.get(workload)
        return stopped or (named[0] == "hold" if named else bounds.held_pools[pool_of[workload]][0])

    def caps(pool: PoolCaps) -> PoolCaps:
        lowest = _lowest(site, pool.pool)
        named = bounds.pool_cap_w[pool.pool][0]
        groups: dict[tuple[str, int], int] = {}
        for group in pool.groups:
            if held(group.workload):
                continue
            wish = bounds.job_cap_w.get(group.workload, (named,))[0]
            cap_w = lowest if stopped else group.cap_w if wish is None else round(wish)
            groups[group.workload, cap_w] = groups.get((group.workload, cap_w), 0) + group.gpus
        return PoolCaps(
            pool.pool,
            lowest if stopped else pool.cap_w if named is None else round(named),
            tuple(CapGroup(workload, gpus, cap_w) for (workload, cap_w), gpus in groups.items()),
            bounds.reasons.get(pool.pool, pool.reason),
        )

    def hold(job: str, gpus: int) -> JobOrder:
        return JobOrder(job, "hold", gpus, None, bounds.reasons.get(job, "held by an operator"))

    ordered = {order.job for order in decision.jobs}
    told = [hold(order.job, order.gpus) if held(order.job) else order for order in decision.jobs]
    told += [hold(job.id, job.gpus) for job in snapshot.jobs if job.id not in ordered and held(job.id)]
    ruled = replace(
        decision,
        pools=tuple(caps(pool) for pool in decision.pools),
        jobs=tuple(told),
        import_limit_kw=bounds.import_limit_kw[0],
    )
    return shed(site, snapshot, ruled, bounds.import_limit_kw[0], outdoor_c, last=commanded(bounds))


def shed(
    site: Site, snapshot: Snapshot, decision: Decision, limit_kw: float, outdoor_c: float, last: AbstractSet[str] = frozenset()
) -> Decision:
    """`decision` with batteries charged less, then caps lowered by the same share of their range until the expected import is within `limit_kw`.

    The pools in `last`, whose caps somebody commanded, give way only when all others are at their lowest caps. Where that does
    not do either, all are: what is still above the limit then is for the next plan to hold back.
    """

    def fits(candidate: Decision) -> bool:
        return import_kw(site, candidate, snapshot, outdoor_c) <= limit_kw

    return give_way(site, charging_less(decision, site.batteries.keys(), fits), fits, (site.pools.keys() - last, last))


def carried(site: Site, snapshot: Snapshot, decision: Decision, outdoor_c: float, last: AbstractSet[str] = frozenset()) -> Decision:
    """As `shed`, until every feeder carries what caps allow at worst; batteries below one that does not are charged less first. A cap that
    fitted when it was commanded may not any more: it has become warmer, or what held others down has ended.
    """

    def over(candidate: Decision) -> set[str]:
        return {v.asset for v in verify_worst(site, snapshot, candidate, outdoor_c=outdoor_c)}

    concerned = {name for name in over(decision) if below(site, {name})}
    rested = charging_less(decision, below(site, concerned), lambda tried: concerned.isdisjoint(over(tried)))
    return give_way(site, rested, lambda tried: not over(tried), (site.pools.keys() - last, last))


def give_way(site: Site, decision: Decision, fits: Callable[[Decision], bool], stages: Iterable[AbstractSet[str]]) -> Decision:
    """`decision` with caps lowered by the same share of their range until it `fits`: those of the first stage's pools, then of the next one's.

    Where that does not do, all of them are at their lowest.
    """
    for giving in stages:

        def at(share: float, whole: Decision = decision, some: AbstractSet[str] = giving) -> Decision:
            return replace(whole, pools=tuple(_scaled(site, p, share) if p.pool in some else p for p in whole.pools))

        if not giving:
            continue
        if fits(decision):
            return decision
        low, high = 0, FINENESS
        while low < high - 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(at(middle / FINENESS)) else (low, middle)
        decision = at(low / FINENESS)
    return decision


def commanded(bounds: Bounds) -> frozenset[str]:
    """The pools whose cap somebody commands."""
    return frozenset(pool for pool, cap_w in bounds.pool_cap_w.items() if cap_w[0] is not None)


def at_once(bounds: Bounds, snapshot: Snapshot) -> frozenset[str]:
    """The pools whose cap, or that of one of their jobs, somebody commands: what is commanded does not wait."""
    capped = {job for job, cap_w in bounds.job_cap_w.items() if cap_w[0] is not None}
    return commanded(bounds) | {job.pool for job in snapshot.jobs if job.id in capped}


def import_kw(site: Site, decision: Decision, snapshot: Snapshot, outdoor_c: float) -> float:
    """The power expected at the grid connection under a decision, kW."""
    loads = expected_kw(site, decision, snapshot, outdoor_c)
    return sum(kw for feeder, kw in loads.items() if site.feeders[feeder].parent is None)


def worst_import_kw(site: Site, decision: Decision, snapshot: Snapshot, outdoor_c: float) -> float:
    """The most power at the grid connection that caps allow, kW: every GPU at its cap, no battery and no generation helping."""
    site = supplied(site, decision)
    worst_kw = {caps.pool: worst_pool_kw(site.pools[caps.pool], (caps,)) for caps in decision.pools}
    charge_kw = {order.battery: max(order.power_kw, 0.0) for order in decision.batteries}
    it_kw, moving = expected_it_kw(site, decision, snapshot), drifts(site, decision, snapshot)
    loads = feeder_kw(site, worst_kw, it_kw, charge_kw, outdoor_c, moving, charge_kw=tanks_kw(decision))
    return sum(kw for feeder, kw in loads.items() if site.feeders[feeder].parent is None)


def _scaled(site: Site, pool: PoolCaps, share: float) -> PoolCaps:
    lowest, step_w = _lowest(site, pool.pool), site.gpu_models[site.pools[pool.pool].gpu_model].power_step_w

    def less(cap_w: int) -> int:
        return lowest + int(share * (cap_w - lowest)) // step_w * step_w

    return replace(pool, cap_w=less(pool.cap_w), groups=tuple(replace(group, cap_w=less(group.cap_w)) for group in pool.groups))


def _lowest(site: Site, pool_id: str) -> int:
    return site.gpu_models[site.pools[pool_id].gpu_model].min_cap_w
