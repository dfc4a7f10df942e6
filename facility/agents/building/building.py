"""Building: orders for cooling plants, batteries, gensets and solar plants, carried to the points of the building's gateways.

Orders come on our own topics and are obeyed by (epoch, seq) until they end. Each becomes writes on the topics of `bus.set_points`, and what
the gateways read back becomes our reports: (epoch, seq) of an order stands in one only once every point of it was read back. When an order
ends and no other has come, its points are handed back to local control; so they are on a clean stop, and at the start where an order from
before has ended in the meantime, or says nothing of them. An order ends by the wall clock, and lasts no longer than it was to last by the
stopwatch: a clock that is set back makes nothing last longer.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from facility.agents.building.point import Point, Write
from facility.agents.building.wire import Wire
from facility.bus import messages as m
from facility.bus.interface import Bus, Message
from facility.bus.messages.codec import Order, Report
from facility.bus.topics import Topics
from facility.clock import Clock, milliseconds
from facility.site import Site

log = logging.getLogger(__name__)

KINDS: Final[Mapping[str, tuple[type[Order], str]]] = {
    "cooling": (m.CoolingDesired, "plant"),
    "battery": (m.BatteryDesired, "battery"),
    "genset": (m.GensetDesired, "genset"),
    "solar": (m.SolarDesired, "solar"),
}
"""What is ordered of each kind of thing, and how the table of topics calls its id."""
REPORT_S: Final = 15.0
"""Between two reports without news, s."""
AT_ONCE: Final = 1000


@dataclass
class Thing:
    """One thing that is ordered about, and its points by the rest of their names: `h1/temperature_c`, `power_kw`."""

    kind: str
    id: str
    points: dict[str, tuple[Point, Wire]] = field(default_factory=dict)
    order: Order | None = None
    reported: tuple[Any, ...] | None = None
    reported_s: float = 0.0


class Building:
    """The agent of all points under `bus.set_points` of `site`. `look` does what is due; call it several times a second.

    `speed` is how many seconds the clock counts in a real one.
    """

    def __init__(self, site: Site, bus: Bus, clock: Clock, speed: float = 1.0) -> None:
        self._began, self._began_s, self._speed, self._leaving = clock.now(), clock.elapsed_s(), speed, False
        self._bus, self._clock, self._topics = bus, clock, Topics(site.bus.root, site.id)
        self._things: dict[str, Thing] = {}
        self._read_backs: defaultdict[str, list[tuple[Point, Wire]]] = defaultdict(list)
        self._doubts: dict[str, str] = {}
        self._connections = 0
        for rule in site.bus.set_points:
            kind, of, rest = rule.order.split("/", 2)
            wire = Wire(rule)
            point = Point(wire.terms)
            topic = self._topics.of(f"{kind}_desired", **{KINDS[kind][1]: of})
            self._things.setdefault(topic, Thing(kind, of)).points[rest] = point, wire
            if rule.read_back is not None:
                self._read_backs[rule.read_back.topic].append((point, wire))
        for pattern in (*self._things, *self._read_backs):
            bus.subscribe(pattern, 1)

    def look(self) -> None:
        """Hear what came in, write what is due, report what is new."""
        if self._bus.connections != self._connections:
            self._connections = self._bus.connections
            for thing in self._things.values():
                thing.reported = None
        for message in self._bus.drain(0.0, AT_ONCE):
            self._hear(message)
        wall = self._clock.now()
        for thing in self._things.values():
            if thing.order is not None and thing.order.valid_until <= wall:
                for point, _ in thing.points.values():
                    point.end()
        self._each(lambda point: point.due(self._instant()))
        for thing in self._things.values():
            self._report(thing)

    def leave(self) -> None:
        """Hand back what is ours, and obey nobody any more."""
        self._leaving, now = True, self._instant()
        self._each(lambda point: point.leave(now))

    @property
    def handing(self) -> tuple[str, ...]:
        """Points that were handed back, where the gateway is still to show that this was taken."""
        return tuple(wire.rule.topic for thing in self._things.values() for point, wire in thing.points.values() if point.handing)

    def _instant(self) -> datetime:
        """The instant by a stopwatch, which nobody sets: points reckon by it."""
        return self._began + timedelta(seconds=(self._clock.elapsed_s() - self._began_s) * self._speed)

    def _hear(self, message: Message) -> None:
        now = self._instant()
        if (thing := self._things.get(message.topic)) is not None and not self._leaving:
            self._obey(thing, message, now)
        for point, wire in self._read_backs.get(message.topic, ()):
            if (value := wire.read(message.payload)) is not None:
                point.hear(value, now, kept=message.retain)

    def _obey(self, thing: Thing, message: Message, now: datetime) -> None:
        if not message.payload:
            return
        try:
            order = m.decode(message.payload, KINDS[thing.kind][0])
        except m.Rejected as refusal:
            log.warning("%s: refused: %s", message.topic, refusal.reason)
            return
        last, wall = thing.order, self._clock.now()
        before = last is None and message.retain  # whoever carried it out may be gone without a word
        if last is not None and (order.epoch, order.seq) <= (last.epoch, last.seq):
            return
        if order.valid_until <= wall:
            if before:
                self._send(thing, lambda point: point.hand_back(now))
            return
        thing.order = order
        until = now + min(order.valid_until - wall, order.valid_until - order.issued_at)
        for name, (point, wire) in thing.points.items():
            value = _ordered(order, name)
            if value is not None:
                point.order(value, until)
            else:
                self._write(wire, point.leave(now) or (point.hand_back(now) if before else None))

    def _each(self, due: Callable[[Point], Write | None]) -> None:
        for thing in self._things.values():
            self._send(thing, due)

    def _send(self, thing: Thing, due: Callable[[Point], Write | None]) -> None:
        for name, (point, wire) in thing.points.items():
            self._write(wire, due(point))
            self._say(f"{thing.kind} {thing.id} {name}", point)

    def _write(self, wire: Wire, write: Write | None) -> None:
        if write is not None:
            self._bus.publish(Message(wire.rule.topic, wire.payload(write.value), 1))

    def _say(self, name: str, point: Point) -> None:
        """Tell once what is amiss, and once that it is over."""
        if point.doubt == self._doubts.get(name, ""):
            return
        self._doubts[name] = point.doubt
        log.warning("%s: %s", name, point.doubt or "obeys again")

    def _report(self, thing: Thing) -> None:
        report = _told(thing, milliseconds(self._clock.now()))
        if report is None:
            return
        news = tuple(getattr(report, name) for name in report.__struct_fields__ if name != "timestamp")
        now_s = self._clock.elapsed_s()
        if news == thing.reported and now_s - thing.reported_s < REPORT_S:
            return
        thing.reported, thing.reported_s = news, now_s
        topic = self._topics.of(f"{thing.kind}_reported", **{KINDS[thing.kind][1]: thing.id})
        self._bus.publish(Message(topic, m.encode(report), 1, retain=True))


def _ordered(order: Order, point: str) -> float | None:
    """What an order says of a point; None where it says nothing."""
    if isinstance(order, m.CoolingDesired) and "/" in point:
        hall = order.halls.get(point.partition("/")[0])
        return None if hall is None else hall.temperature_c
    value: float | None = getattr(order, point)
    return value


def _told(thing: Thing, at_ms: int) -> Report | None:
    """What is reported of a thing; None of what has no reports."""
    order = thing.order
    obeyed = order is not None and all(point.obeys for name, (point, _) in thing.points.items() if _ordered(order, name) is not None)
    epoch, seq = (order.epoch, order.seq) if order is not None and obeyed else (None, None)
    if thing.kind == "battery":
        return m.BatteryReported(timestamp=at_ms, epoch=epoch, seq=seq)
    if thing.kind == "cooling":
        heard = {name.partition("/")[0]: point.heard for name, (point, _) in thing.points.items() if "/" in name and point.heard is not None}
        halls = {hall: m.HallSetpoint(temperature_c=c) for hall, c in heard.items()}
        return m.CoolingReported(halls=halls, timestamp=at_ms, epoch=epoch, seq=seq)
    return None
