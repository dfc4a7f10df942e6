"""Survey: what a broker says in a while, held against what the site file expects of it.

Of each sensor: whether it was heard, how often against its period, its values, and a verdict with what to do about it. The verdicts,
the worst first; a sensor has the first that is true of it:

    missing     nothing was heard                               refused     heard, and not once usable: quality, time or form
    wrong unit  out of range, and in range if another unit was meant
    range       some values are out of range                    clock       measured ahead of our clock, or longer ago than it stays fresh
    slow        the mean time between two readings is above 1.5 x its period
    doubled     told by several topics                          fine

Nothing here has a clock: the instant of each message is an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite

from facility.bus.interface import Message
from facility.sensors import Sensor, sensors
from facility.site import Site
from facility.telemetry.readings import AHEAD, AS_IT_IS, Refusal
from facility.telemetry.routes import Described, Routes, Told
from facility.telemetry.sources import sources
from facility.telemetry.strays import Stray, Strays
from facility.telemetry.units import NAMES, Conversion, conversion

SLOW = 1.5
TWICE = timedelta(milliseconds=20)
"""The same message of a topic again within this time came through two of our subscriptions."""
MOST_TOPICS = 20
"""Topics that are remembered of one sensor."""


@dataclass
class Heard:
    """What was heard of one sensor: `used` readings that could be believed, their values in the sensor's unit, when, and from where."""

    told: int = 0
    used: int = 0
    outside: list[float] = field(default_factory=list)
    low: float | None = None
    last: float | None = None
    high: float | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None
    live: int = 0
    ahead: timedelta = timedelta()
    behind: timedelta = timedelta()
    topics: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def every_s(self) -> float | None:
        """The mean time between two readings that came live, s; None where fewer than two came."""
        if self.first_at is None or self.last_at is None or self.live < 2:
            return None
        return (self.last_at - self.first_at).total_seconds() / (self.live - 1)


@dataclass(frozen=True)
class Finding:
    """What is to be said of one sensor."""

    sensor: Sensor
    heard: Heard
    verdict: str
    words: str


class Survey:
    """Hears messages for a while, then tells what it thinks of them."""

    def __init__(self, site: Site) -> None:
        self._sensors = {sensor.key: sensor for sensor in sensors(site)}
        self._routes, self._own = Routes(sources(site)), f"{site.bus.root}/"
        self._heard = {key: Heard() for key in self._sensors}
        self._units: dict[str, Conversion | None] = {}
        self._strays = Strays(tuple(self._sensors.values()))
        self._newest: dict[str, tuple[bytes, datetime]] = {}
        self.refused: Counter[str] = Counter()

    @property
    def patterns(self) -> tuple[str, ...]:
        """What to subscribe to: everything, and what is mapped where a broker does not let us hear everything."""
        return ("#", *self._routes.patterns)

    def hear(self, message: Message, now: datetime) -> None:
        """Take in one message that came at `now`."""
        if self._again(message, now):
            return
        route = self._routes.of(message.topic)
        if route is None:
            if not message.topic.startswith(self._own):
                self._strays.hear(message.topic, message.payload)
            return
        try:
            facts = list(route(message.payload, message.retain))
        except Refusal as refusal:
            facts = [refusal]
        for fact in facts:
            if isinstance(fact, Told):
                self._told(fact, message, now)
            elif isinstance(fact, Described):
                self._described(fact)
            else:
                self.refused[str(fact)] += 1
                key = fact.words.partition(":")[0]  # a refusal of one reading begins with its sensor
                if key in self._heard:
                    self._heard[key].told += 1
                    self._heard[key].refused[str(fact)] += 1

    def findings(self, lasted_s: float) -> tuple[Finding, ...]:
        """Judge every sensor after `lasted_s` of listening, the worst first."""
        there = ((self._sensors[key], heard) for key, heard in self._heard.items() if heard.told or not self._sensors[key].absent)
        found = [Finding(sensor, heard, *self._judged(sensor.key, heard, lasted_s)) for sensor, heard in there]
        order = ("missing", "refused", "wrong unit", "range", "clock", "slow", "doubled", "fine")
        return tuple(sorted(found, key=lambda finding: order.index(finding.verdict)))

    def strays(self) -> tuple[Stray, ...]:
        """Tell what looks like readings and is mapped to nothing, with the rule one could write."""
        return self._strays.found()

    def _again(self, message: Message, now: datetime) -> bool:
        payload, at = self._newest.get(message.topic, (None, now))
        if payload == message.payload and now - at < TWICE and message.topic in self._newest:
            return True
        if len(self._newest) < 100_000:
            self._newest[message.topic] = (message.payload, now)
        return False

    def _described(self, fact: Described) -> None:
        if fact.key in self._sensors:
            unit = None if fact.meta is None else fact.meta.unit
            self._units[fact.key] = AS_IT_IS if unit is None else conversion(unit, self._sensors[fact.key].unit)

    def _told(self, told: Told, message: Message, now: datetime) -> None:
        at = now if told.at_ms is None else datetime.fromtimestamp(told.at_ms / 1000, now.tzinfo)
        for key, value in told.values.items():
            if (heard := self._heard.get(key)) is None:
                self.refused[f"unknown: the site has no sensor {key}"] += 1
                continue
            heard.told += 1
            if len(heard.topics) < MOST_TOPICS:
                heard.topics[message.topic] += 1
            into = told.convert or self._units.get(key, AS_IT_IS)
            if value is None or told.quality != 1 or into is None:
                heard.refused["unit: told in a unit that is unknown" if into is None else "quality: missing, or told to be bad"] += 1
                continue
            self._count(heard, self._sensors[key], into(value), at, now, live=not message.retain)

    def _count(self, heard: Heard, sensor: Sensor, value: float, at: datetime, now: datetime, *, live: bool) -> None:
        if live:
            heard.live += 1
            heard.first_at, heard.last_at = heard.first_at or now, now
            heard.ahead, heard.behind = max(heard.ahead, at - now), max(heard.behind, now - at)
        heard.low = value if heard.low is None else min(heard.low, value)
        heard.high = value if heard.high is None else max(heard.high, value)
        heard.last = value
        if not sensor.low <= value <= sensor.high:
            heard.outside = [*heard.outside[-99:], value]
        elif at <= now + AHEAD:
            heard.used += 1

    def _judged(self, key: str, heard: Heard, lasted_s: float) -> tuple[str, str]:
        sensor = self._sensors[key]
        if not heard.told:
            return "missing", "nothing was heard; a rule of bus.mapping that names it, or a sender, is missing"
        if heard.last is None:
            return "refused", "; ".join(text for text, _ in heard.refused.most_common(2))
        limits = f"{sensor.low:g} to {sensor.high:g} {sensor.unit}"
        if heard.outside:
            if (meant := self._meant(sensor, heard.outside)) is not None:
                return "wrong unit", meant
            return "range", f"{len(heard.outside)} of {heard.told} values, such as {heard.outside[-1]:g}, are not in {limits}"
        patience_s = max(3 * sensor.period_s, 15.0)
        if heard.ahead > AHEAD or heard.behind.total_seconds() > patience_s:
            off = heard.ahead if heard.ahead > AHEAD else -heard.behind
            return "clock", f"measured {off.total_seconds():+.0f} s from when it came; check the sender's clock and the unit of its timestamp"
        every_s = heard.every_s if heard.every_s is not None else lasted_s
        if every_s > SLOW * sensor.period_s:
            return "slow", f"every {every_s:.3g} s, expected every {sensor.period_s:g} s; say period_s in its rule if that is how it is"
        if len(heard.topics) > 1 and not all(topic.startswith(self._own) for topic in heard.topics):
            return "doubled", f"told by {', '.join(sorted(heard.topics)[:3])}; the newest counts"
        return "fine", ""

    def _meant(self, sensor: Sensor, outside: list[float]) -> str | None:
        """Say in which unit all values out of range would be in range; None where there is none."""
        for unit, as_meant in _other_units(sensor.unit):
            if all(isfinite(value) and sensor.low <= as_meant(value) <= sensor.high for value in outside):
                return f"{outside[-1]:g} {sensor.unit} cannot be, {as_meant(outside[-1]):.4g} {sensor.unit} can: {unit}"
        return None


def _other_units(unit: str) -> Iterator[tuple[str, Conversion]]:
    """What a value may have been meant in instead, and how it is then read; first those that are sent, then those that are taken."""
    others = [name for name in NAMES if name != unit]
    for name in others:
        if (into := conversion(name, unit)) is not None:
            yield f"it is sent in {name}", into
    for name in others:
        if (back := conversion(unit, name)) is not None:
            yield f"it is sent in {unit} and taken for {name}", back
