"""Strays: topics that look like readings and are mapped to nothing, each with the rule of `bus.mapping` one could write.

A number that is no time, no counter of messages and no identifier may be a reading. A rule is a beginning, not an answer: the sensor
is named where a level of the topic or a text beside the value is the id of an asset, and the unit where the value fits in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from facility.bus.messages.limits import excess
from facility.sensors import Sensor
from facility.telemetry.paths import PathError, path
from facility.telemetry.units import NAMES, conversion

MOST_TOPICS, MOST_VALUES, MOST_ITEMS = 2000, 50, 20
NO_READING = re.compile(r"(?:^|[_. ])(?:ts|time|timestamp|at|sent|seq|sequence|id|version|port|uptime|epoch|count)$", re.IGNORECASE)
QUANTITY = {
    "degC": re.compile(r"temp|(?:^|[^a-z])t(?:$|[^a-z])|_c$|_f$", re.IGNORECASE),
    "kWh": re.compile(r"energy|stored|soc|wh(?:$|[^a-z])|(?:^|[^a-z])e$", re.IGNORECASE),
    "kW": re.compile(r"power|load|watt|kw|_w$|(?:^|[^a-z])p$|import", re.IGNORECASE),
}
"""What a name says of what it measures."""
_PLAIN_NAME = re.compile(r'[^.\[\]{}"*$=\s]+')


@dataclass(frozen=True)
class Value:
    """A number in a message: its path, and where it stands in one item of a list, the list and what tells this item from the others."""

    path: str
    number: float
    each: str = ""
    where: tuple[tuple[str, str], ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that may say what it is."""
        return (*self.path.split("."), *(text for _, text in self.where))


@dataclass
class Stray:
    """A topic, how often it was heard, and the values of its last message, each with the rule one could write."""

    topic: str
    heard: int = 0
    values: tuple[Value, ...] = ()
    rules: tuple[dict[str, Any], ...] = field(default=())


class Strays:
    """Hears what nobody reads. `sensors` are those of the site."""

    def __init__(self, sensors: tuple[Sensor, ...]) -> None:
        self._sensors = sensors
        self._found: dict[str, Stray] = {}

    def hear(self, topic: str, payload: bytes) -> None:
        """Take in one message."""
        stray = self._found.get(topic)
        if stray is None and len(self._found) >= MOST_TOPICS:
            return
        values = tuple(_numbers(payload))
        if not values:
            return
        stray = self._found.setdefault(topic, Stray(topic))
        stray.heard, stray.values = stray.heard + 1, values[:MOST_VALUES]

    def found(self) -> tuple[Stray, ...]:
        """List what was found, by topic."""
        for stray in self._found.values():
            stray.rules = tuple(self._rule(stray.topic, value) for value in stray.values)
        return tuple(stray for _, stray in sorted(self._found.items()))

    def _rule(self, topic: str, value: Value) -> dict[str, Any]:
        """Write the rule one could write; what nobody can know is `?`."""
        names = [*topic.split("/"), *value.texts]
        sensor = self._sensor(names, value.number)
        rule = {
            "topic": topic,
            "each": value.each,
            "where": dict(value.where),
            "value": value.path,
            "sensor": "?" if sensor is None else f"{sensor.asset_type}/{sensor.asset}/{sensor.point}",
            "unit": "?" if sensor is None else _unit(sensor, value.number),
        }
        return {key: said for key, said in rule.items() if said}

    def _sensor(self, names: list[str], number: float) -> Sensor | None:
        """The only sensor that the names may mean; None where there is none, or more than one."""
        said = {re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in names}
        measures = next((unit for name in reversed(names) for unit, words in QUANTITY.items() if words.search(name)), None)
        named = [sensor for sensor in self._sensors if sensor.asset in said]
        alike = [sensor for sensor in named if sensor.unit == measures] if measures else named
        kinds = [sensor for sensor in alike if sensor.asset_type in said] or alike
        fits = [sensor for sensor in kinds if _unit(sensor, number) != "?"]
        return fits[0] if len(fits) == 1 else None


def _unit(sensor: Sensor, number: float) -> str:
    """The unit in which a number may be one of a sensor's; its own comes first, `?` where it is in none."""
    for unit in (sensor.unit, *NAMES):
        into = conversion(unit, sensor.unit)
        if into is not None and sensor.low <= into(number) <= sensor.high:
            return unit
    return "?"


def _numbers(payload: bytes) -> Iterator[Value]:
    """The numbers of a payload that may be readings; of what is no JSON there are none."""
    if excess(payload) is not None:
        return
    try:
        message = msgspec.json.decode(payload)
    except (ValueError, RecursionError, OverflowError, msgspec.MsgspecError):
        return
    if isinstance(message, str | int | float):
        if (number := _number(message)) is not None:
            yield Value("", number)
        return
    yield from (value for value in _inside(message, "") if _readable(value))


def _inside(value: Any, at: str) -> Iterator[Value]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if not NO_READING.search(name) and '"' not in name and name:
                yield from _inside(inner, _join(at, name))
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value[:MOST_ITEMS]):
        yield from _items(value[:MOST_ITEMS], at)
    elif isinstance(value, list):
        for index, inner in enumerate(value[:MOST_ITEMS]):
            if not isinstance(inner, list | dict):
                yield from _inside(inner, f"{at}[{index}]")
    elif (number := _number(value)) is not None:
        yield Value(at, number)


def _items(items: list[dict[str, Any]], at: str) -> Iterator[Value]:
    """Items of a list, told apart by the first text in which no two are alike."""
    texts = [dict(_texts(item)) for item in items]
    common = [name for name in texts[0] if all(name in other for other in texts)]
    apart = next((name for name in common if len({other[name] for other in texts}) == len(texts) and len(texts) > 1), None)
    for item, told in zip(items, texts, strict=True):
        names = common if len(texts) == 1 else [apart] if apart is not None else []
        for value in _inside(item, ""):
            if not value.each and value.path:
                yield Value(value.path, value.number, f"{at}[*]" if at else "*", tuple((name, told[name]) for name in names[:2]))


def _texts(item: dict[str, Any], at: str = "") -> Iterator[tuple[str, str]]:
    """The texts of an object and of the objects in it, by path."""
    for name, value in item.items():
        if isinstance(value, str) and len(value) <= 64 and '"' not in name and name and _number(value) is None:
            yield _join(at, name), value
        elif isinstance(value, dict) and not at and '"' not in name and name:
            yield from _texts(value, _join(at, name))


def _number(value: Any) -> float | None:
    """A number that is no time since 1970 in s, ms, us or ns; a text only where it is a number as a whole."""
    if isinstance(value, str):
        if not re.fullmatch(r"[-+]?\d+(\.\d+)?", value) or len(value) > 20:
            return None
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    since_1970 = any(1.2e9 * scale < value < 4.2e9 * scale for scale in (1, 1e3, 1e6, 1e9))
    return None if since_1970 or abs(value) > 1e12 else float(value)


def _join(at: str, name: str) -> str:
    name = name if _PLAIN_NAME.fullmatch(name) else f'"{name}"'
    return f"{at}.{name}" if at else name


def _readable(value: Value) -> bool:
    """Whether its paths are of the language."""
    try:
        return all(path(text) for text in (value.path, value.each, *(name for name, _ in value.where)) if text)
    except PathError:
        return False
