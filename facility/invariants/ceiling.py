"""Ceiling: the most that may be in force in a pool while nobody knows which of several messages arrived where.

A workload's GPUs are taken to be the same in two messages as far as their numbers agree, the highest caps on the same ones; each
then has the higher of its two caps. Which GPUs the others are nobody knows, so of all caps left over the highest count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from facility.decision import CapGroup, Decision, PoolCaps
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify.cooling import drifts, recovering_kw, tanks_kw
from facility.verify.draw import expected_it_kw
from facility.verify.loads import carriers, feeder_kw
from facility.verify.supply import supplied
from facility.verify.violation import SLACK

Run = tuple[int, int]
"""A cap, W, and how many GPUs have it."""
Caps = tuple[tuple[str, tuple[Run, ...]], ...]
"""The caps of a pool's GPUs by workload, the highest first; those of none under the empty name."""

NOBODY = ""
REMEMBERED = 16_384
"""Pools' caps of which it is not reckoned again what they may add up to."""


@lru_cache(REMEMBERED)
def caps_of(caps: PoolCaps, gpus: int) -> Caps:
    """Every GPU's cap under one message to a pool of `gpus`.

    >>> caps_of(PoolCaps("p", 100, (CapGroup("j", 2, 300), CapGroup("j", 1, 400))), 8)
    (('j', ((400, 1), (300, 2))), ('', ((100, 5),)))
    """
    found: dict[str, list[Run]] = defaultdict(list)
    for group in caps.groups:
        found[group.workload].append((group.cap_w, group.gpus))
    found[NOBODY] = [(caps.cap_w, gpus - sum(group.gpus for group in caps.groups))]
    return tuple((workload, _highest_first(runs)) for workload, runs in found.items())


@lru_cache(REMEMBERED)
def ceiling(one: Caps, other: Caps) -> Caps:
    """The most that may be in force where each GPU obeys one of the two."""
    if one == other:
        return one
    ours, others = dict(one), dict(other)
    found: dict[str, tuple[Run, ...]] = {}
    left: list[Run] = []
    for workload in {**ours, **others}:
        mine, theirs = ours.get(workload, ()), others.get(workload, ())
        found[workload] = _highest_first((max(a, b), gpus) for a, b, gpus in _side_by_side(mine, theirs))
        both = min(_gpus(mine), _gpus(theirs))
        left += [*_beyond(mine, both), *_beyond(theirs, both)]
    unknown = _highest_first(left)
    found[NOBODY] = _highest_first((*found.get(NOBODY, ()), *_first(unknown, _gpus(unknown) // 2)))
    return tuple(found.items())


def sum_w(caps: Caps) -> int:
    """The sum of all caps of a pool, W."""
    return sum(cap_w * gpus for _, runs in caps for cap_w, gpus in runs)


def rises(caps: Caps, before: Caps) -> bool:
    """Whether any GPU may have more under `caps` than `before`."""
    return sum_w(ceiling(before, caps)) > sum_w(before)


@dataclass(frozen=True)
class Way:
    """How many GPUs of a workload go from one cap to another, W."""

    workload: str
    low_w: int
    high_w: int
    gpus: int


def ways(caps: PoolCaps, befores: Iterable[PoolCaps], gpus: int) -> list[Way]:
    """From where to where GPUs go under `caps`: each begins no higher than what it gets, nor than it had in any of `befores`, whichever
    GPU it is.
    """
    found = [Way(workload, cap_w, cap_w, count) for workload, runs in caps_of(caps, gpus) for cap_w, count in runs]
    for before in befores:
        had = dict(caps_of(before, gpus))
        floor_w = min(cap_w for runs in had.values() for cap_w, _ in runs)
        workloads = dict.fromkeys(way.workload for way in found)
        found = [lowered for workload in workloads for lowered in _lowered(found, workload, had, floor_w)]
    return found


def part(caps: PoolCaps, along: Sequence[Way], share: float, low_w: int, step_w: int) -> PoolCaps:
    """`caps` where GPUs have gone `share` of their way, in multiples of `step_w`, none below `low_w`; with 0 only what lowers is left."""
    counts: dict[tuple[str, int], int] = defaultdict(int)
    rest: list[int] = []
    for way in along:
        reached_w = way.low_w + int(share * (way.high_w - way.low_w) + SLACK)
        cap_w = max(reached_w - reached_w % step_w, low_w)
        if way.workload == NOBODY:
            rest.append(cap_w)
        else:
            counts[way.workload, cap_w] += way.gpus
    groups = tuple(CapGroup(workload, count, cap_w) for (workload, cap_w), count in counts.items())
    return PoolCaps(caps.pool, min(rest or [caps.cap_w, *(cap_w for _, cap_w in counts)]), groups, caps.reason)


def worst_kw(
    site: Site, decision: Decision, snapshot: Snapshot, outdoor_c: float, pools: Mapping[str, Caps], charging_kw: Mapping[str, float]
) -> dict[str, float]:
    """The power into every feeder where every GPU draws its cap of `pools`, and all else is as in `decision`, kW.

    `site` is as `facility.verify.supply.supplied` gives it. Cooling follows what is expected: it is too slow for what does not last; but of a
    pool that may still have higher caps than it is to have it goes on with the heat of what that is measured to draw, and a plant that cools a
    hall down with what it is measured to draw for that. Batteries charge with `charging_kw`.
    """
    moving, tanks = drifts(site, decision, snapshot), tanks_kw(decision)
    to_fall = {caps.pool for caps in decision.pools if sum_w(pools[caps.pool]) > sum_w(caps_of(caps, site.pools[caps.pool].gpus))}
    it_kw = dict(expected_it_kw(site, decision, snapshot))
    it_kw |= {pool: max(it_kw[pool], snapshot.pool_kw.get(pool, 0.0)) for pool in to_fall}
    given_kw: defaultdict[str, float] = defaultdict(float)
    for plant, kw in recovering_kw(site, snapshot, outdoor_c, moving, tanks).items():
        given_kw[site.cooling_plants[plant].feeder] -= kw
    caps_kw = {name: (sum_w(pools[name]) + pool.gpus * pool.host_run_w) / 1000 for name, pool in site.pools.items()}
    battery_kw = {name: charging_kw.get(name, 0.0) for name in site.batteries}
    return feeder_kw(site, caps_kw, it_kw, battery_kw, outdoor_c, moving, given_kw, tanks)


def charging_too(decision: Decision, charging_kw: Mapping[str, float]) -> dict[str, float]:
    """What each battery may be charging with once it is told of `decision` too, by an earlier order with `charging_kw`, kW."""
    return {**charging_kw, **{order.battery: max(order.power_kw, charging_kw.get(order.battery, 0.0)) for order in decision.batteries}}


def overloads(
    site: Site,
    decision: Decision,
    snapshot: Snapshot,
    outdoor_c: float,
    before: Mapping[str, Caps],
    after: Mapping[str, Caps],
    charging_kw: Mapping[str, float],
) -> tuple[str, ...]:
    """Feeders and groups of them (N-1) that the caps `after`, with what `decision` charges, would take past their margin, and further than
    those `before` already may, with what is charged already, `charging_kw`.
    """
    site = supplied(site, decision)
    was = worst_kw(site, decision, snapshot, outdoor_c, before, charging_kw)
    would = worst_kw(site, decision, snapshot, outdoor_c, after, charging_too(decision, charging_kw))
    return tuple(it.name for it in carriers(site) if it.load_kw(would) > max(it.worst_kw, it.load_kw(was)) + SLACK)


def _lowered(along: Iterable[Way], workload: str, had: Mapping[str, Sequence[Run]], floor_w: int) -> Iterator[Way]:
    """The ways of one workload, begun no higher than it `had`; GPUs that it had not begin at `floor_w`."""
    mine = [way for way in along if way.workload == workload]
    runs = had.get(workload, ())
    if workload == NOBODY and sum(way.gpus for way in mine) > _gpus(runs):  # they have one cap, and some of them are new
        runs = ()
    left = [*runs, (floor_w, sum(way.gpus for way in mine))]
    for way in mine:
        gpus = way.gpus
        while gpus > 0:
            cap_w, count = left[0]
            taken = min(gpus, count)
            yield Way(workload, min(way.low_w, cap_w), way.high_w, taken)
            gpus -= taken
            left[:1] = [(cap_w, count - taken)] if count > taken else []


def _highest_first(runs: Iterable[Run]) -> tuple[Run, ...]:
    return tuple(sorted(((cap_w, gpus) for cap_w, gpus in runs if gpus > 0), reverse=True))


def _gpus(runs: Iterable[Run]) -> int:
    return sum(gpus for _, gpus in runs)


def _side_by_side(mine: Sequence[Run], theirs: Sequence[Run]) -> Iterator[tuple[int, int, int]]:
    """Both caps of the GPUs that stand in both, one beside the other, and how many have them."""
    i = j = 0
    taken = given = 0
    while i < len(mine) and j < len(theirs):
        gpus = min(mine[i][1] - taken, theirs[j][1] - given)
        yield mine[i][0], theirs[j][0], gpus
        taken, given = taken + gpus, given + gpus
        if taken == mine[i][1]:
            i, taken = i + 1, 0
        if given == theirs[j][1]:
            j, given = j + 1, 0


def _first(runs: Iterable[Run], gpus: int) -> list[Run]:
    """The first `gpus` of them."""
    found = []
    for cap_w, count in runs:
        taken = min(count, gpus)
        if taken > 0:
            found.append((cap_w, taken))
        gpus -= taken
    return found


def _beyond(runs: Iterable[Run], gpus: int) -> list[Run]:
    """All but the first `gpus` of them."""
    found = []
    for cap_w, count in runs:
        skipped = min(count, gpus)
        if count > skipped:
            found.append((cap_w, count - skipped))
        gpus -= skipped
    return found
