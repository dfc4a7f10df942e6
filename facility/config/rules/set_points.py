"""Rules of `bus.set_points`: orders that exist, topics that can be written and read, units that fit, one point for an order and a topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from facility.bus.interface import check_topic
from facility.config.rules.parts import Breach, Known, expand, nearest
from facility.config.strict_yaml import KeyPath
from facility.telemetry.paths import PathError, path
from facility.telemetry.units import QUANTITIES, conversion

POINTS = {"cooling": ("supply_c", "store_kw"), "battery": ("power_kw",), "genset": ("power_kw",), "solar": ("limit_kw",)}
"""What can be ordered of each kind of thing; of a cooling plant, besides, the temperature of each hall that it cools."""
PARTS = {"cooling": "cooling_plants", "battery": "batteries", "genset": "gensets", "solar": "solar"}
UNITS = {"c": "degC", "kw": "kW"}
HOLE = "{value}"


def set_points(site: Known) -> Iterator[Breach]:
    """Each rule alone, then those that are of one point."""
    rules = list(expand(site, ("bus", "set_points", "*")))
    for rule in rules:
        yield from _order(site, rule)
        yield from _topics(site, rule)
        yield from _payload(site, rule)
        yield from _unit(site, rule)
    for key in ("order", "topic"):
        told: Counter[Any] = Counter(site.get(*rule, key) for rule in rules)
        for rule in rules:
            text = site.get(*rule, key)
            if text is not None and told[text] > 1:
                yield (*rule, key), f"`{text}` in {told[text]} rules", "one rule for a point"


def _orders(site: Known) -> list[str]:
    found = [f"{kind}/{of}/{point}" for kind, part in PARTS.items() for of in site.ids(part) for point in POINTS[kind]]
    cooled = ((site.get("halls", hall, "thermal", "cooling_plant"), hall) for hall in site.ids("halls"))
    return [*found, *(f"cooling/{plant}/{hall}/temperature_c" for plant, hall in cooled if plant is not None)]


def _order(site: Known, rule: KeyPath) -> Iterator[Breach]:
    order, known = site.get(*rule, "order"), _orders(site)
    if order is not None and order not in known:
        yield (*rule, "order"), f"`{order}` is nothing that is ordered", nearest(order, known)


def _topics(site: Known, rule: KeyPath) -> Iterator[Breach]:
    own = f"{site.get('bus', 'root')}/{site.get('id')}/"
    for place in ((*rule, "topic"), (*rule, "read_back", "topic")):
        topic = site.get(*place)
        if topic is None:
            continue
        try:
            check_topic(topic)
        except ValueError:
            yield place, f"`{topic}`", "one topic, levels by /, without + and #"
        if topic.startswith(own):
            yield place, f"`{topic}` is below our own root", "name a topic of the gateway"
    if site.get(*rule, "topic") is not None and site.get(*rule, "topic") == site.get(*rule, "read_back", "topic"):
        yield (*rule, "read_back", "topic"), "is where it is written too", "name the topic on which the gateway tells what it took"
    if (text := site.get(*rule, "read_back", "value")) is not None:
        try:
            single = path(text).single
        except PathError as error:
            yield (*rule, "read_back", "value"), str(error), "write it as fields.power or values[0]"
        else:
            if not single:
                yield (*rule, "read_back", "value"), f"`{text}` leads to several places", "a path to one value, without * and [name=text]"


def _payload(site: Known, rule: KeyPath) -> Iterator[Breach]:
    payload, release = site.get(*rule, "payload"), site.get(*rule, "release")
    if payload is not None and payload.count(HOLE) != 1:
        yield (*rule, "payload"), f"`{payload}`", "write {value} once, where the number belongs"
    if release is not None and HOLE in release:
        yield (*rule, "release"), f"`{release}`", "what hands the point back has no value; leave {value} out"


def _unit(site: Known, rule: KeyPath) -> Iterator[Breach]:
    unit, order = site.get(*rule, "unit"), site.get(*rule, "order")
    into = UNITS.get((order or "").rpartition("_")[2])
    if unit is not None and into is not None and conversion(unit, into) is None:
        known = [name for units in QUANTITIES if into in units for name in units]
        yield (*rule, "unit"), f"`{unit}` for {order}, which is in {into}", f"use one of {', '.join(known)}"
    if site.get(*rule, "scale") == 0:
        yield (*rule, "scale"), "0", "what one of the gateway's counts is in unit, such as 0.1"
