"""What must be true in every simulated step: of each message as it is published, and of the plant afterwards.

They are reckoned here from what is published and from the plant's truth, without the service's own knowledge. The names are those of the
safety case.

| | held against |
|---|---|
| I1 | each feeder's truth; and, also as each order is sent, its load where every pool has the worst of what it enforces and what may reach it |
| I3 | every order for caps: whole steps in the settable range, its fallback too |
| I6 | every order: it ends, `cap_ttl_s` from now at the latest, and names the fallback that fits in 80 % of every feeder |
| I8, I10 | each command that reached the service: answered in 2 s; no order above the strongest cap that stands for 2 s; its mode too |
| I9 | what was accepted is shown until its end, never 2 s past it, and never again |
| I14 | (epoch, seq) rises from order to order, restarts or not; only the very same bytes come again |
| I17 | every cycle has an outcome with a reason; nothing inside fails but what was made to fail |
| I19 | the queues inside are short |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from facility.bus.interface import Message
from facility.bus.messages import CapDesired, OverrideState, decode
from facility.site import Site
from facility.verify import fallback_caps
from tests.simulation.plant import Plant
from tests.simulation.sites import ROOT
from tests.simulation.wire import Agent, Order, order_in

SLACK = 1e-6
DRIFT_SHARE = 0.015
"""By how much of its rating a feeder may be over because of the weather since caps were judged: chillers draw more as it gets warmer.

By 2.1 K an hour at most, and what is known of it may be a quarter of an hour old: a sensor that speaks every four minutes counts as silent after
three of its periods, and the median of three readings lags by one. Where a quarter of a feeder's load is a chiller's, 0.55 K are 1.4 %.
"""


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, says: str) -> None:
        super().__init__(f"{invariant}: {says}")
        self.invariant = invariant


class _Numbered(msgspec.Struct):
    epoch: int
    seq: int
    issued_at: datetime
    valid_until: datetime


class Orders:
    """Follows every order as it is published: I3, I6, I14, and which may still reach their agents."""

    def __init__(self, site: Site) -> None:
        self._site, self._fallback_w = site, fallback_caps(site)
        self._numbers = msgspec.json.Decoder(_Numbered)
        self._last = (0, 0)
        self._by_topic: dict[str, bytes] = {}
        self._ends: dict[str, datetime] = {}
        self.newest: dict[str, Order] = {}
        self.caps: dict[str, list[Order]] = {pool: [] for pool in site.pools}
        """Orders for caps that were published and may still be obeyed, by pool, the newest last."""

    def hear(self, message: Message, now: datetime) -> None:
        """Hear what is published at `now`, by the service's clock."""
        if self._by_topic.get(message.topic) == message.payload:
            return
        self._by_topic[message.topic] = message.payload
        if not message.payload:
            self._take_back(message.topic, now)
            return
        told = self._numbers.decode(message.payload)
        if not self._last < (told.epoch, told.seq):
            raise Broken("I14", f"{message.topic}: {(told.epoch, told.seq)} comes after {self._last}")
        self._last = told.epoch, told.seq
        if not now < told.valid_until <= now + timedelta(seconds=self._site.control.cap_ttl_s + 1):
            raise Broken("I6", f"{message.topic}: valid until {told.valid_until}, and it is {now}")
        self._ends[message.topic] = told.valid_until
        if "/cap/" in message.topic:
            pool = message.topic.split("/")[-2]
            self._judge(pool, decode(message.payload, CapDesired))
            self.newest[pool] = order_in(message.payload)
            self.caps[pool].append(self.newest[pool])

    def forget(self, agents: Mapping[str, Agent], now: datetime) -> None:
        """Leave out what no agent can obey any more at `now`, by the agents' clock."""
        for pool, agent in agents.items():
            self.caps[pool] = [o for o in self.caps[pool] if o.until > now and (agent.number is None or o.number > agent.number)]

    def _take_back(self, topic: str, now: datetime) -> None:
        if "/job/" not in topic or now < self._ends.get(topic, now):
            raise Broken("I5", f"{topic}: it is taken back at {now}")

    def _judge(self, pool: str, told: CapDesired) -> None:
        model = self._site.gpu_models[self._site.pools[pool].gpu_model]
        for cap_w in (told.cap_w, told.fallback_cap_w, *(group.cap_w for group in told.groups)):
            if not model.min_cap_w <= cap_w <= model.max_cap_w or cap_w % model.power_step_w:
                raise Broken("I3", f"pool {pool} is sent {cap_w} W, settable are {model.min_cap_w} to {model.max_cap_w} by {model.power_step_w}")
        if told.fallback_cap_w != self._fallback_w[pool]:
            raise Broken("I6", f"pool {pool} is sent the fallback {told.fallback_cap_w} W, {self._fallback_w[pool]} W fits")


class Feeders:
    """I1. `look` is told the plant, the agents, and the orders that may still be obeyed."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._groups: dict[str, list[str]] = {}
        for name, feeder in site.feeders.items():
            if feeder.redundancy_group is not None:
                self._groups.setdefault(feeder.redundancy_group, []).append(name)

    def look(self, plant: Plant, agents: Mapping[str, Agent], orders: Orders) -> None:
        """Hold the truth, and the worst of it, against every rating."""
        self._within(plant.feeder_kw, "draws")
        worst_kw = {
            pool: max(plant.worst_kw(pool, caps) for caps in (agent.caps, *(order.caps for order in orders.caps[pool])))
            for pool, agent in agents.items()
        }
        charging_kw = {name: max(kw, 0.0) for name, kw in plant.battery_kw.items()}
        self._within(plant.feeders_kw(worst_kw, charging_kw), "may draw")

    def _within(self, loads_kw: Mapping[str, float], how: str) -> None:
        for name, feeder in self._site.feeders.items():
            if abs(loads_kw[name]) > feeder.rating_kw * (1 + DRIFT_SHARE) + SLACK:
                raise Broken("I1", f"feeder {name} {how} {loads_kw[name]:.2f} of {feeder.rating_kw:g} kW")
        for group, names in self._groups.items():
            load_kw, ratings = sum(loads_kw[name] for name in names), [self._site.feeders[name].rating_kw for name in names]
            if load_kw > (sum(ratings) - max(ratings)) * (1 + DRIFT_SHARE) + SLACK:
                raise Broken("I1", f"group {group} {how} {load_kw:.2f} kW, without its largest {sum(ratings) - max(ratings):g} kW are left")


def shown(message: Message) -> tuple[str, frozenset[str]]:
    """The target of a state of overrides, and the ids that it shows."""
    target = message.topic.removeprefix(f"{ROOT}/override/").removesuffix("/state")
    if not message.payload:
        return target, frozenset()
    return target, frozenset(override.id for override in decode(message.payload, OverrideState).overrides)
