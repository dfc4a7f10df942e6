"""Points of a building management system as our sensors: a `Source` of readings.

    metadata comes    the first rule of the site file that fits says which sensor the point is; its unit becomes ours, or is refused
    a value comes     it is converted; before its metadata came it waits, the newest alone, and is counted as `unit`
    several points    make one sensor where a rule says `sum_of`: their sum, as old as the oldest, once every one of them is known

A set-point is no reading, and a point whose value an integration publishes is none of the building management system's. Values are
published on change and every 100 s, so a sensor is patient for three times as long. Points that no rule names are none of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from facility.bus import messages as m
from facility.dsx import facts
from facility.dsx.bms import Metadata, Point, Value, parse, pattern
from facility.dsx.naming import expression
from facility.sensors import Sensor, sensors
from facility.site import BmsPoint, Site
from facility.site.dsx import Dsx
from facility.telemetry.own_tree import decoded
from facility.telemetry.readings import Refusal
from facility.telemetry.routes import Described, Fact, Route, Told
from facility.telemetry.sums import Sum
from facility.telemetry.units import Conversion, conversion

MOST_POINTS = 200_000
"""Points that are remembered, so that whoever invents more cannot fill the memory."""


@dataclass(frozen=True)
class Rule:
    """One rule of the site file, ready to be matched."""

    told: BmsPoint
    id: re.Pattern[str]

    def sensor(self, metadata: Metadata) -> str | None:
        """The sensor, as type/asset/point, that a point of `metadata` is by this rule; None where it does not fit."""
        here = (metadata.object_type, metadata.point_type) == (self.told.object_type, self.told.point_type)
        if not here or metadata.id is None or not set(self.told.process_area) <= set(metadata.process_area):
            return None
        found = self.id.fullmatch(metadata.id)
        if found is None:
            return None
        names = {name: self.told.names.get(text) if self.told.names else text for name, text in found.groupdict().items()}
        return None if None in names.values() else self.told.sensor.format(**names)


@dataclass
class Known:
    """A point: what metadata said last, and what follows from it. Without a sensor it is none of ours."""

    payload: bytes
    sensor: Sensor | None = None
    convert: Conversion | None = None
    why: str = ""


class Points:
    """A `Source`: the points that the site file's rules name."""

    def __init__(self, site: Site, dsx: Dsx) -> None:
        self._sensors = {f"{sensor.asset_type}/{sensor.asset}/{sensor.point}": sensor for sensor in sensors(site)}
        self._rules = [Rule(point, expression(point.id)) for point in dsx.points]
        types = dict.fromkeys((point.object_type, point.point_type) for point in dsx.points)
        self.patterns = tuple(pattern(kind, *pair) for pair in types for kind in (facts.METADATA, facts.VALUE))
        self._types = frozenset(types)
        self._known: dict[Point, Known] = {}
        self._waiting: dict[Point, Value] = {}
        self._single: dict[str, Point] = {}
        self._sums: dict[str, Sum] = {}

    def route(self, topic: str) -> Route | None:
        """See `Source.route`."""
        match parse(topic):
            case kind, point if point[:2] in self._types:
                return self._described(point) if kind == facts.METADATA else self._valued(point)
        return None

    def _described(self, point: Point) -> Route:
        def told(payload: bytes, _retained: bool) -> Iterable[Fact]:
            known = self._known.get(point)
            if known is not None and known.payload == payload and not known.why:
                return ()
            self._forget(point)
            if not payload:
                return ()
            return self._learn(point, payload)

        return told

    def _valued(self, point: Point) -> Route:
        def told(payload: bytes, _retained: bool) -> Iterable[Told]:
            if not payload:
                return ()
            value, known = decoded(payload, Value), self._known.get(point)
            if known is None:
                if len(self._waiting) < MOST_POINTS:
                    self._waiting[point] = value
                raise Refusal("unit", f"{point.tag}: its metadata has not come")
            return self._told(point, known, value)

        return told

    def _learn(self, point: Point, payload: bytes) -> Iterable[Fact]:
        metadata = decoded(payload, Metadata)
        if (metadata.object_type, metadata.point_type) != point[:2]:
            raise Refusal("malformed", f"{point.tag}: its metadata is of {metadata.object_type} {metadata.point_type}")
        if len(self._known) >= MOST_POINTS:
            raise Refusal("unknown", f"more than {MOST_POINTS} points")
        known, sum_of = self._judged(point, metadata, payload)
        self._known[point] = known
        if known.why:
            self._waiting.pop(point, None)
            raise Refusal("unit", known.why)
        if known.sensor is None:
            self._waiting.pop(point, None)
            return ()
        sensor = known.sensor
        if sum_of == 1:
            self._single[sensor.key] = point
        else:
            self._sums.setdefault(sensor.key, Sum(sensor, sum_of))
        told: list[Fact] = [Described(sensor.key, m.Meta(unit=sensor.unit, period_s=facts.REPUBLISH_S))]
        if (value := self._waiting.pop(point, None)) is not None:
            with suppress(Refusal):  # it was counted when it began to wait
                told += self._told(point, known, value)
        return told

    def _judged(self, point: Point, metadata: Metadata, payload: bytes) -> tuple[Known, int]:
        """What a point is by the first rule that fits, and how many make up its sensor."""
        fits = ((rule, key) for rule in self._rules if (key := rule.sensor(metadata)) is not None)
        rule, key = next(fits, (None, None))
        if rule is None or key is None or metadata.is_setpoint or metadata.integration is not None:
            return Known(payload), 1
        sensor = self._sensors.get(key)
        if sensor is None:
            return Known(payload, why=f"{point.tag}: the site has no sensor {key}"), 1
        first = self._single.get(sensor.key)
        convert = None if metadata.unit is None else conversion(metadata.unit, sensor.unit)
        if convert is None:
            return Known(payload, why=f"{point.tag}: its unit {metadata.unit!r} does not become {sensor.unit} of {key}"), 1
        if first is not None and first != point:
            return Known(payload, why=f"{point.tag}: {first.tag} is {key} already"), 1
        return Known(payload, sensor, convert), rule.told.sum_of

    def _told(self, point: Point, known: Known, value: Value) -> Iterable[Told]:
        if known.why:
            raise Refusal("unit", known.why)
        if known.sensor is None or known.convert is None:
            return ()
        group = self._sums.get(known.sensor.key)
        if group is None:
            return (Told({known.sensor.key: value.value}, value.timestamp, value.quality, known.convert),)
        converted = None if value.value is None else known.convert(value.value)
        return (group.told(point.tag, Value(converted, value.timestamp, value.quality)),)

    def _forget(self, point: Point) -> None:
        """Metadata was withdrawn, or is another: what followed from it holds no more."""
        known = self._known.pop(point, None)
        if known is not None and known.sensor is not None:
            if self._single.get(known.sensor.key) == point:
                del self._single[known.sensor.key]
            if (group := self._sums.get(known.sensor.key)) is not None:
                group.forget(point.tag)
