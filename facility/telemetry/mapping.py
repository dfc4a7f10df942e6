"""A building's own topics as a source: plain numbers, states, nested JSON and batches, read by the rules of the site file.

A topic is matched with the rules once. What is known by then - the sensor, where only the topic names it, and the conversion - is
looked up once too. Below our own root nothing is read here, whatever a rule says: no rule can swallow a command.

A rule that finds nothing in a message says nothing, because many gateways tell only what has changed; a message in which no rule
finds anything is refused. Sparkplug's metrics are read where a gateway sends them as JSON; its protobuf is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from facility.sensors import Sensor, sensors
from facility.site import Site
from facility.site.mapping import HOLE, MappingRule
from facility.telemetry.paths import MISSING, Bound, Path, path, said
from facility.telemetry.readings import AS_IT_IS, Refusal
from facility.telemetry.routes import Described, Route, Told
from facility.telemetry.scalars import decimal, milliseconds, scalar
from facility.telemetry.units import Conversion, conversion

Facts = Iterable[Told | Described | Refusal]


class Mapping:
    """A `Source`: the rules under `bus.mapping`."""

    def __init__(self, site: Site) -> None:
        known = {f"{sensor.asset_type}/{sensor.asset}/{sensor.point}": sensor for sensor in sensors(site)}
        self._rules = tuple(Rule(rule, known) for rule in site.bus.rules)
        self._own = f"{site.bus.root}/{site.id}/"
        self.patterns = tuple(dict.fromkeys(rule.pattern for rule in self._rules))

    def route(self, topic: str) -> Route | None:
        """See `Source.route`."""
        if topic.startswith(self._own):
            return None
        found = [(rule, bound) for rule in self._rules if (bound := rule.bound(topic)) is not None]
        if not found:
            return None
        if len(found) == 1 and found[0][0].plain_payload:
            return found[0][0].plain(found[0][1])
        return _nested(topic, found)


@dataclass(frozen=True)
class Target:
    """A sensor's key, and how a number that was sent becomes one in its unit."""

    key: str
    convert: Conversion


class Rule:
    """One rule, its texts read. `known` are the site's sensors by `type/asset/point`."""

    def __init__(self, rule: MappingRule, known: dict[str, Sensor]) -> None:
        self._rule, self._known = rule, known
        self.pattern = HOLE.sub("+", rule.topic)
        self._levels = rule.topic.split("/")
        self.each, self.value = _path(rule.each), _path(rule.value)
        self._where = tuple((path(where), text) for where, text in rule.where.items())
        self._captures = tuple((name, path(where)) for name, where in rule.captures.items())
        self._at = None if rule.timestamp is None else path(rule.timestamp.path)
        self._quality = None if rule.quality is None else path(rule.quality.path)
        self._sensor = HOLE.split(rule.sensor)  # texts at even places, names of captures at odd ones
        self._targets: dict[tuple[str, ...], Target] = {}

    @property
    def plain_payload(self) -> bool:
        """Whether a payload is one value, and nothing else."""
        return self.value is None and self.each is None

    def bound(self, topic: str) -> Bound | None:
        """What the levels of a topic capture; None where the topic is not one of its own."""
        levels, wanted = topic.split("/"), self._levels
        if topic.startswith("$") and wanted[0] != levels[0]:
            return None
        if wanted[-1] == "#":
            wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
        if len(levels) != len(wanted):
            return None
        bound: dict[str, str] = {}
        for want, level in zip(wanted, levels, strict=True):
            if (hole := HOLE.fullmatch(want)) is not None:
                bound[hole[1]] = level
            elif want not in ("+", level):
                return None
        return bound

    def plain(self, bound: Bound) -> Route | None:
        """Give the route of a topic on which one value is the whole payload; None where the rule names it nothing of ours."""
        if (target := self._target(bound)) is None:
            return None
        if isinstance(target, Refusal):
            return _refuses(target.kind, target.words)
        key, convert = target.key, target.convert

        def told(payload: bytes, retained: bool) -> Facts:
            if retained:
                raise _of_unknown_age(key)
            return (Told({key: self._number(scalar(payload), key)}, None, 1, convert),)

        return told

    def told(self, message: Any, bound: Bound, retained: bool) -> Iterator[Told | Refusal]:
        """Read a JSON message; what cannot be used is a `Refusal` among the rest."""
        shared = {where: where.one(message) for where in self._shared()}
        for item, captured in self.each.find(message, bound) if self.each is not None else ((message, bound),):
            if any(said(_at(where, item, shared)) != text for where, text in self._where):
                continue
            beside = {name: text for name, where in self._captures if (text := said(_at(where, item, shared))) is not None}
            if len(beside) < len(self._captures):
                continue
            for value, names in self._values(item, {**captured, **beside}):
                target = self._target(names)
                if isinstance(target, Target):
                    yield self._one(value, target, item, shared, retained)
                elif target is not None:
                    yield target

    def _shared(self) -> Iterator[Path]:
        """The paths that begin at the message: walked once, however many items there are."""
        paths = (*(where for where, _ in self._where), *(where for _, where in self._captures), self._at, self._quality)
        return (where for where in paths if where is not None and where.whole)

    def _values(self, item: Any, bound: Bound) -> Iterator[tuple[Any, Bound]]:
        return iter(((item, bound),)) if self.value is None else self.value.find(item, bound)

    def _one(self, value: Any, target: Target, item: Any, shared: dict[Path, Any], retained: bool) -> Told | Refusal:
        try:
            at_ms = None
            if self._at is not None and self._rule.timestamp is not None:
                at_ms = milliseconds(_at(self._at, item, shared), self._rule.timestamp.unit, target.key)
            elif retained:
                return _of_unknown_age(target.key)
            good = True
            if self._quality is not None and self._rule.quality is not None:
                told = _at(self._quality, item, shared)
                good = said(None if told is MISSING else told) in self._rule.quality.good
            return Told({target.key: self._number(value, target.key)}, at_ms, 1 if good else 0, target.convert)
        except Refusal as refusal:
            return refusal

    def _number(self, value: Any, key: str) -> float | None:
        """Read a number, or a state; None is missing. Raises Refusal for anything else."""
        if self._rule.states:
            if value is None:
                return None
            text = said(value)
            if text is None or text not in self._rule.states:
                raise Refusal("malformed", f"{key}: {str(value)[:60]!r} is none of the states {', '.join(self._rule.states)}")
            return self._rule.states[text]
        number = decimal(value)
        if number is None and value is not None:
            raise Refusal("malformed", f"{key}: {str(value)[:60]!r} is not a number")
        return number

    def _target(self, bound: Bound) -> Target | Refusal | None:
        """The sensor that captures name; None where the rule's `names` do not know them, `Refusal` where the site does not."""
        said_names = tuple(bound[name] for name in self._sensor[1::2])
        if (known := self._targets.get(said_names)) is not None:
            return known
        names = self._rule.names
        ours = [names.get(name) if names else name for name in said_names]
        if None in ours:
            return None
        parts = list(self._sensor)
        parts[1::2] = [name or "" for name in ours]
        sensor = self._known.get("".join(parts))
        if sensor is None:
            return Refusal("unknown", f"the site has no sensor {''.join(parts)[:120]}")
        self._targets[said_names] = Target(sensor.key, self._conversion(sensor))
        return self._targets[said_names]

    def _conversion(self, sensor: Sensor) -> Conversion:
        if self._rule.unit is None or self._rule.states:
            return AS_IT_IS
        into = conversion(self._rule.unit, sensor.unit)
        assert into is not None  # the site file's reader has refused what does not fit
        return Conversion(into.scale * self._rule.scale, into.offset)


def _nested(topic: str, found: list[tuple[Rule, Bound]]) -> Route:
    def told(payload: bytes, retained: bool) -> Facts:
        message = scalar(payload)
        facts = _together(fact for rule, bound in found for fact in rule.told(message, bound, retained))
        if not facts:
            raise Refusal("topic", f"{topic} tells nothing that the mapping looks for")
        return facts

    return told


def _together(facts: Iterable[Told | Refusal]) -> list[Told | Refusal]:
    """Put what was measured at one instant, told with one quality and in one unit into one fact; a sensor told twice stays apart."""
    found: list[Told | Refusal] = []
    alike: dict[tuple[int | None, int, Conversion | None], dict[str, float | None]] = {}
    for fact in facts:
        if isinstance(fact, Refusal):
            found.append(fact)
            continue
        kind = fact.at_ms, fact.quality, fact.convert
        values = alike.get(kind)
        if values is None or not values.keys().isdisjoint(fact.values):
            values = alike[kind] = {}
            found.append(fact._replace(values=values))
        values.update(fact.values)
    return found


def _refuses(kind: str, words: str) -> Route:
    def told(_payload: bytes, _retained: bool) -> Facts:
        raise Refusal(kind, words)

    return told


def _path(text: str | None) -> Path | None:
    return None if text is None else path(text)


def _at(where: Path, item: Any, shared: dict[Path, Any]) -> Any:
    return shared[where] if where.whole else where.one(item)


def _of_unknown_age(key: str) -> Refusal:
    return Refusal("old", f"{key}: retained, and without a timestamp nobody knows since when")
