"""Ceiling: the most that may be in force in a pool while nobody knows which of several messages arrived where.

A workload's GPUs are taken to be the same in two messages as far as their numbers agree, the highest caps on the same ones; each
then has the higher of its two caps. Which GPUs the others are nobody knows, so of all caps left over the highest count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from facility.decision import CapGroup, Decision, PoolCaps
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify.cooling import drifts, tanks_kw
from facility.verify.draw import expected_it_kw
from facility.verify.loads import carriers, feeder_kw
from facility.verify.supply import supplied
from facility.verify.violation import SLACK

Caps = Mapping[str, Sequence[int]]
"""A cap for each GPU of a pool, W, the highest first, by workload; those of none under the empty name."""

NOBODY = ""


def caps_of(caps: PoolCaps, gpus: int) -> Caps:
    """Every GPU's cap under one message to a pool of `gpus`."""
    found: dict[str, list[int]] = defaultdict(list)
    for group in sorted(caps.groups, key=lambda group: -group.cap_w):
        found[group.workload] += [group.cap_w] * group.gpus
    found[NOBODY] = [caps.cap_w] * (gpus - sum(group.gpus for group in caps.groups))
    return found


def ceiling(one: Caps, other: Caps) -> Caps:
    """The most that may be in force where each GPU obeys one of the two."""
    found: dict[str, list[int]] = {}
    left: list[int] = []
    for workload in {**one, **other}:
        mine, theirs = one.get(workload, ()), other.get(workload, ())
        found[workload] = [max(pair) for pair in zip(mine, theirs, strict=False)]
        left += [*mine[len(theirs) :], *theirs[len(mine) :]]
    left.sort(reverse=True)
    found[NOBODY] = sorted([*found.get(NOBODY, ()), *left[: len(left) // 2]], reverse=True)
    return found


def sum_w(caps: Caps) -> int:
    """The sum of all caps of a pool, W."""
    return sum(sum(several) for several in caps.values())


def lower_part(caps: PoolCaps, before: PoolCaps, gpus: int) -> PoolCaps:
    """The part of `caps` that lowers: no GPU above what it gets, nor above what it had, whichever GPU it is."""
    had = caps_of(before, gpus)
    floor_w = min(cap_w for several in had.values() for cap_w in several)
    counts: dict[tuple[str, int], int] = defaultdict(int)
    for workload, wanted in caps_of(caps, gpus).items():
        mine = had.get(workload, ()) if workload != NOBODY else ()
        for i, cap_w in enumerate(wanted):
            counts[workload, min(cap_w, mine[i] if i < len(mine) else floor_w)] += 1
    groups = tuple(CapGroup(workload, count, cap_w) for (workload, cap_w), count in counts.items() if workload != NOBODY)
    return PoolCaps(caps.pool, min(caps.cap_w, floor_w), groups, caps.reason)


def overloads(
    site: Site, decision: Decision, snapshot: Snapshot, outdoor_c: float, before: Mapping[str, Caps], after: Mapping[str, Caps]
) -> tuple[str, ...]:
    """Feeders and groups of them (N-1) that the caps `after` would take past their margin, and further than those `before` already may."""
    site = supplied(site, decision)
    it_kw, moving = expected_it_kw(site, decision, snapshot), drifts(site, decision, snapshot)
    charge_kw = {order.battery: max(order.power_kw, 0.0) for order in decision.batteries}

    def loads(pools: Mapping[str, Caps]) -> dict[str, float]:
        worst_kw = {name: (sum_w(pools[name]) + pool.gpus * pool.host_run_w) / 1000 for name, pool in site.pools.items()}
        return feeder_kw(site, worst_kw, it_kw, charge_kw, outdoor_c, moving, charge_kw=tanks_kw(decision))

    was, would = loads(before), loads(after)
    return tuple(it.name for it in carriers(site) if it.load_kw(would) > max(it.worst_kw, it.load_kw(was)) + SLACK)
