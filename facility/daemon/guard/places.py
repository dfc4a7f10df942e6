"""Places: what may have too much - the grid connection, a feeder, a group of feeders, a hall - and how a decision is reckoned there.

| place | reckoned | limit |
|---|---|---|
| the grid connection | import that is expected, cooling included | the grid's |
| a feeder | load that is expected; cooling does not fall as quickly as GPUs do, so it counts as it is | its rating |
| a group of feeders | their sum | the ratings of all but the largest, or of those that are left |
| either, at worst | every GPU at its cap, and a pool that draws more than its caps allow at what it draws | as the verifier's |
| a hall | the heat of its pools in its air | - |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from facility.daemon.holding.overrule import import_kw
from facility.daemon.situation import Situation
from facility.decision import Decision, PoolCaps
from facility.site import Site
from facility.verify.cooling import drifts, tanks_kw
from facility.verify.draw import expected_it_kw, pool_kw, worst_pool_kw
from facility.verify.loads import expected_kw, feeder_kw
from facility.verify.supply import supplied

Reckoned = Callable[[Decision], float]


@dataclass(frozen=True)
class Grid:
    """The grid connection."""

    site: Site
    name: str = "grid"

    @property
    def pools(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self.site.pools)

    @property
    def batteries(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self.site.batteries)

    def limit_kw(self, here: Situation) -> float:
        """The limit of the step that has begun, or the target of an event that lasts."""
        return min([here.asked.import_limit_kw[0], *(kw for kw in here.asked.event_target_kw[:1] if kw is not None)])

    def reckon(self, here: Situation, start: Decision) -> Reckoned:  # noqa: ARG002 - it is reckoned anew, with what cooling does
        """Tell how much a decision is expected to have of it, kW, that differs from `start` in its caps only."""
        return lambda decision: import_kw(here.site, decision, here.snapshot, here.outdoor_c)


@dataclass(frozen=True)
class Carrier:
    """A feeder, or a group of them. `weights` tells what a kW of a pool is there, `of_lost` how much of that comes from a feeder that is gone."""

    name: str
    feeders: tuple[str, ...]
    rating_kw: float
    weights: Mapping[str, float]
    of_lost: Mapping[str, float] = field(default_factory=dict)
    cooled: frozenset[str] = frozenset()
    """Pools whose heat a plant on it removes; they can do something where no pool hangs on it."""
    batteries: frozenset[str] = frozenset()
    """Those below it."""

    @property
    def pools(self) -> frozenset[str]:
        """What hangs on it."""
        return frozenset(self.weights) or self.cooled

    def limit_kw(self, _here: Situation) -> float:
        """Its rating."""
        return self.rating_kw

    def reckon(self, here: Situation, start: Decision) -> Reckoned:
        """See `Grid.reckon`."""
        site, jobs = here.site, {job.id: job for job in here.snapshot.jobs}

        def carried_kw(decision: Decision) -> float:
            loads = expected_kw(site, decision, here.snapshot, here.outdoor_c)
            return sum(loads[feeder] for feeder in self.feeders)

        if not self.weights:
            return carried_kw
        first_kw = carried_kw(start) + sum(
            self.of_lost[caps.pool] * pool_kw(site, caps, jobs) for caps in start.pools if caps.pool in self.of_lost
        )
        return _less(self.weights, start, first_kw, lambda caps: pool_kw(site, caps, jobs))


@dataclass(frozen=True)
class AtWorst:
    """A carrier with every GPU at its cap, and the pools of `defiant` at what they draw, kW."""

    carrier: Carrier
    worst_kw: float
    defiant: Mapping[str, float]

    @property
    def name(self) -> str:
        """That of the carrier, and how it is reckoned."""
        return f"{self.carrier.name} at worst"

    @property
    def pools(self) -> frozenset[str]:
        """What hangs on it and does as it is told."""
        return frozenset(self.carrier.weights) - self.defiant.keys()

    @property
    def batteries(self) -> frozenset[str]:
        """As the carrier's."""
        return self.carrier.batteries

    def limit_kw(self, _here: Situation) -> float:
        """What it may carry at worst."""
        return self.worst_kw

    def reckon(self, here: Situation, start: Decision) -> Reckoned:
        """See `Grid.reckon`."""
        pools, first_kw = here.site.pools, at_worst_kw(self.carrier, here, start, self.defiant, worst_loads_kw(here, start, self.defiant))
        own = {pool: weight for pool, weight in self.carrier.weights.items() if pool not in self.defiant}
        return _less(own, start, first_kw, lambda caps: worst_pool_kw(pools[caps.pool], (caps,)))


@dataclass(frozen=True)
class Hall:
    """The air of a hall; `weights` tells which share of a pool's heat goes into it."""

    name: str
    weights: Mapping[str, float]
    batteries: frozenset[str] = frozenset()

    @property
    def pools(self) -> frozenset[str]:
        """Its own."""
        return frozenset(self.weights)

    def limit_kw(self, _here: Situation) -> float:
        """No power is its limit."""
        return 0.0

    def reckon(self, here: Situation, start: Decision) -> Reckoned:
        """See `Grid.reckon`."""
        jobs = {job.id: job for job in here.snapshot.jobs}
        it_kw = expected_it_kw(here.site, start, here.snapshot)
        heat_kw = sum(weight * it_kw[pool] for pool, weight in self.weights.items())
        return _less(self.weights, start, heat_kw, lambda caps: pool_kw(here.site, caps, jobs))


Place = Grid | Carrier | AtWorst | Hall
"""Something that may have too much. `pools` and `batteries` are those that can do something about it."""


def worst_loads_kw(here: Situation, decision: Decision, defiant: Mapping[str, float]) -> dict[str, float]:
    """The most that feeders carry under a decision, kW: every GPU at its cap, and the pools of `defiant` at what they draw."""
    site = supplied(here.site, decision)
    worst_kw = _worst_kw(site, decision, defiant)
    charge_kw = {order.battery: max(order.power_kw, 0.0) for order in decision.batteries}
    it_kw, moving = expected_it_kw(site, decision, here.snapshot), drifts(site, decision, here.snapshot)
    return feeder_kw(site, worst_kw, it_kw, charge_kw, here.outdoor_c, moving, charge_kw=tanks_kw(decision))


def at_worst_kw(carrier: Carrier, here: Situation, decision: Decision, defiant: Mapping[str, float], loads_kw: Mapping[str, float]) -> float:
    """What a carrier has to carry of `loads_kw`, by feeder, kW, with what hangs on feeders that are gone."""
    worst_kw = _worst_kw(here.site, decision, defiant)
    return sum(loads_kw[feeder] for feeder in carrier.feeders) + sum(weight * worst_kw[pool] for pool, weight in carrier.of_lost.items())


def _worst_kw(site: Site, decision: Decision, defiant: Mapping[str, float]) -> dict[str, float]:
    worst_kw = {caps.pool: worst_pool_kw(site.pools[caps.pool], (caps,)) for caps in decision.pools}
    return worst_kw | {pool: max(kw, worst_kw[pool]) for pool, kw in defiant.items()}


def _less(weights: Mapping[str, float], start: Decision, first_kw: float, kw_of: Callable[[PoolCaps], float]) -> Reckoned:
    """What `first_kw` of `start` becomes of decisions that differ from it in the caps of the pools of `weights`."""
    before = {caps.pool: weights[caps.pool] * kw_of(caps) for caps in start.pools if caps.pool in weights}
    all_kw = sum(before.values())
    return lambda decision: first_kw - all_kw + sum(weights[caps.pool] * kw_of(caps) for caps in decision.pools if caps.pool in weights)
