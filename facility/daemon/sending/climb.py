"""Climb: caps rise in steps, and not too often. Decreases are nobody's business here: they wait for nothing.

    step    caps below a feeder rise by at most `control.rise_share` of its rating, or by the least that its pools' GPUs can be set to;
            of several pools each goes the same share of its way
    pause   `control.rise_pause_s` between two steps, drawn by chance, so that what many sites and halls do does not fall together
    turn    a pool that fell rises again at most `control.turns_per_h` times in any hour

What somebody commands is free of all three: it acts at once, and no fall that it makes counts.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random

from facility.daemon.sending.in_force import InForce
from facility.decision import PoolCaps
from facility.invariants.ceiling import Caps, Way, caps_of, ceiling, part, rises, sum_w, ways
from facility.invariants.contracts import HOUR
from facility.site import Site


def most_rise_kw(site: Site) -> dict[str, float]:
    """The most that caps may rise in one step, by feeder, kW: its share, or the least step of any pool below it."""
    found = {name: site.control.rise_share * feeder.rating_kw for name, feeder in site.feeders.items()}
    for pool in site.pools.values():
        least_kw = pool.gpus * site.gpu_models[pool.gpu_model].power_step_w / 1000
        for name in above(site, pool.feeder):
            found[name] = max(found[name], least_kw)
    return found


def above(site: Site, feeder: str | None) -> list[str]:
    """The feeders that carry what passes one, itself first."""
    found = []
    while feeder is not None:
        found.append(feeder)
        feeder = site.feeders[feeder].parent
    return found


class Turns:
    """When the caps of each pool turned from falling to rising."""

    def __init__(self) -> None:
        self._fell: set[str] = set()
        self._at: defaultdict[str, deque[datetime]] = defaultdict(deque)

    def follow(self, pool: str, caps: Caps, before: Caps, now: datetime, *, free: bool) -> None:
        """Know that a pool had caps `before`, and is sent others now; `free` where somebody commands them."""
        if not rises(caps, before):
            if not free and sum_w(caps) < sum_w(before):
                self._fell.add(pool)
        elif pool in self._fell:
            self._fell.remove(pool)
            if not free:
                self._at[pool].append(now)

    def recent(self, pool: str, now: datetime) -> tuple[datetime, ...]:
        """When they turned in the hour up to `now`."""
        at = self._at[pool]
        while at and not now - HOUR < at[0] <= now:
            at.popleft()
        return tuple(at)

    def fell(self, pool: str) -> bool:
        """Whether a rise would be a turn."""
        return pool in self._fell


class Climb:
    """To be used under the daemon's lock; `random` draws the pauses."""

    def __init__(self, site: Site, random: Random) -> None:
        self._site, self._random = site, random
        self._most_kw = most_rise_kw(site)
        self._above = {name: above(site, pool.feeder) for name, pool in site.pools.items()}
        self._pause: tuple[datetime, datetime] | None = None
        self.turns = Turns()

    def due(self, now: datetime) -> bool:
        """Whether the pause after the last step is over."""
        return self._pause is None or not self._pause[0] <= now < self._pause[1]

    def pause(self, now: datetime) -> None:
        """A step was made: the next one waits."""
        self._pause = (now, now + timedelta(seconds=self._random.uniform(*self._site.control.rise_pause_s)))

    def step(self, wanted: Sequence[PoolCaps], in_force: InForce, now: datetime) -> list[PoolCaps]:
        """The caps that may be sent now on the way to those that are wanted; pools that must wait are not among them."""
        most = self._site.control.turns_per_h
        rising = [caps for caps in wanted if not self.turns.fell(caps.pool) or len(self.turns.recent(caps.pool, now)) < most]
        low = {caps.pool: in_force.low(caps.pool) for caps in rising}
        risen_kw = self._risen_kw(rising, low)
        share = {name: most_kw / max(risen_kw[name], most_kw) for name, most_kw in self._most_kw.items()}
        along = {caps.pool: ways(caps, in_force.last(caps.pool), self._site.pools[caps.pool].gpus) for caps in rising}
        goes = {caps.pool: min(share[feeder] for feeder in self._above[caps.pool]) for caps in rising}
        # What may be in force is a sum of maxima, so convex in the share: a part of the way raises it by no more than that part.
        step = [self._part(caps, along[caps.pool], goes[caps.pool]) for caps in rising]
        moved = [caps for caps in step if self._rise_kw(caps, low[caps.pool]) > 0]
        if moved or not rising:
            return moved
        return self._least(rising[0], along[rising[0].pool])

    def _least(self, caps: PoolCaps, along: Sequence[Way]) -> list[PoolCaps]:
        """The least rise of a pool's caps: one step of what its GPUs can be set to."""
        step_w = self._site.gpu_models[self._site.pools[caps.pool].gpu_model].power_step_w
        farthest_w = max(way.high_w - way.low_w for way in along)
        return [self._part(caps, along, (step_w + 0.5) / farthest_w)]

    def _part(self, caps: PoolCaps, along: Sequence[Way], share: float) -> PoolCaps:
        model = self._site.gpu_models[self._site.pools[caps.pool].gpu_model]
        return caps if share >= 1 else part(caps, along, share, model.min_cap_w, model.power_step_w)

    def _rise_kw(self, caps: PoolCaps, low: Caps) -> float:
        return (sum_w(ceiling(low, caps_of(caps, self._site.pools[caps.pool].gpus))) - sum_w(low)) / 1000

    def _risen_kw(self, several: Sequence[PoolCaps], low: Mapping[str, Caps]) -> dict[str, float]:
        """How much caps rise below each feeder, kW."""
        found = dict.fromkeys(self._site.feeders, 0.0)
        for caps in several:
            rise_kw = self._rise_kw(caps, low[caps.pool])
            for name in self._above[caps.pool]:
                found[name] += rise_kw
        return found
