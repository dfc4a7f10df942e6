"""Rules of `bus.mapping`: topics, paths and captures that can be read, sensors that exist, units that fit, one rule for a sensor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import combinations
from typing import Any

from facility.bus.interface import check_pattern
from facility.config.rules.parts import Breach, Known, expand, nearest
from facility.config.strict_yaml import KeyPath
from facility.site.mapping import HOLE, reaches
from facility.telemetry.paths import PathError, path
from facility.telemetry.units import QUANTITIES, conversion

POINTS = {
    "pool": ("it_power_kw", "gpu_power_kw"),
    "hall": ("air_temperature_c",),
    "cooling": ("power_kw", "stored_kwh"),
    "feeder": ("power_kw",),
    "meter": ("import_kw",),
    "battery": ("energy_kwh", "power_kw"),
    "solar": ("power_kw",),
    "genset": ("power_kw",),
    "water": ("flow_m3_per_h",),
    "heat": ("reused_kw", "supply_c"),
    "weather": ("temperature_c",),
}
"""What is measured of each type of asset; a point's unit is its ending."""

PARTS = {"pool": "pools", "hall": "halls", "cooling": "cooling_plants", "feeder": "feeders", "battery": "batteries"}
METERED = {"solar": "solar", "genset": "gensets"}
"""Where those stand that have a meter only if they say so."""
UNITS = {"c": "degC", "kw": "kW", "kwh": "kWh", "h": "m3/h"}
PATHS = ("each", "value")
BESIDE = (("timestamp", "path"), ("quality", "path"), ("where", "*"), ("captures", "*"))
"""Where paths to one place stand, beside the values."""


def mapping(site: Known) -> Iterator[Breach]:
    """Each rule alone, then those that tell the same sensor."""
    rules = list(expand(site, ("bus", "mapping", "*")))
    for form in expand(site, ("bus", "formats", "*")):
        yield from _paths(site, form)
    for rule in rules:
        yield from _format(site, rule)
        yield from _topic(site, rule)
        yield from _paths(site, rule)
        yield from _value(site, rule)
        yield from _captures(site, rule)
        yield from sensor(site, rule)
        yield from _unit(site, rule)
    told: set[KeyPath] = set()
    for first, second in combinations(rules, 2):
        if second not in told and (both := _both(site, first, second)) is not None:
            told.add(second)
            found = f"bus.mapping.{first[-1]} tells {both} too"
            yield (*second, "sensor"), found, "one rule for a sensor, or `redundant: true` in both: the newest reading counts"


def known_sensors(site: Known) -> dict[tuple[str, str, str], str]:
    """Return the unit of each sensor by its type, asset and point, as far as they are known; redundant ones too."""
    feed = site.get("grid", "feed")
    ids = {kind: site.ids(part) for kind, part in PARTS.items()} | {"meter": () if feed is None else (feed,), "weather": ("outdoor",)}
    ids |= {kind: tuple(name for name in site.ids(part) if site.get(part, name, "metered")) for kind, part in METERED.items()}
    ids |= {kind: site.ids("sustainability", f"{kind}_meters") for kind in ("water", "heat")}
    units = {(kind, asset, point): UNITS[point.rpartition("_")[2]] for kind in ids for asset in ids[kind] for point in POINTS[kind]}
    for key in site.ids("sensors"):
        unit = units.get(_named(key))
        for other in site.get("sensors", key, "redundant") or ():
            if unit is not None:
                units[_named(other)] = unit
    return units


def _named(key: str) -> tuple[str, str, str]:
    """The type, asset and point of a sensor's key."""
    kind, asset, point = (*key.split("/"), "", "", "")[1:4]
    return kind, asset, point


def _given(site: Known, rule: KeyPath, key: str) -> Any:
    """What a rule says, or its format where the rule says nothing."""
    own, form = site.get(*rule, key), site.get(*rule, "format")
    return site.get("bus", "formats", form, key) if own is None and form in site.ids("bus", "formats") else own


def _format(site: Known, rule: KeyPath) -> Iterator[Breach]:
    form, known = site.get(*rule, "format"), site.ids("bus", "formats")
    if form is not None and form not in known:
        yield (*rule, "format"), f"no `{form}` in bus.formats", nearest(form, known)


def _value(site: Known, rule: KeyPath) -> Iterator[Breach]:
    """Fields are looked for in what is a plain value."""
    if site.get(*rule, "value") is not None or site.malformed(*rule, "value"):
        return
    fields = [key for key in ("each", "timestamp", "quality") if _given(site, rule, key) is not None]
    fields += [key for key in ("where", "captures") if _names(site, rule, key)]
    if fields:
        yield (*rule, "value"), "missing", f"give it, or leave {', '.join(fields)} out: without it the payload is one plain value"


def _names(site: Known, rule: KeyPath, key: str) -> tuple[str, ...]:
    """The keys of a mapping of a rule, and of its format."""
    form = site.get(*rule, "format")
    return (*site.ids(*rule, key), *(site.ids("bus", "formats", form, key) if form is not None else ()))


def _topic(site: Known, rule: KeyPath) -> Iterator[Breach]:
    topic = site.get(*rule, "topic")
    if topic is None:
        return
    place, whole = (*rule, "topic"), all(HOLE.fullmatch(level) or "{" not in level for level in topic.split("/"))
    try:
        check_pattern(HOLE.sub("+", topic) if whole else "")
    except ValueError:
        yield place, f"`{topic}`", "levels by /, each a text, + or {name} as a whole, and # only as the last"
    own = f"{site.get('bus', 'root')}/{site.get('id')}/"
    if topic.startswith(own):
        yield place, f"`{topic}` is below our own root", f"leave the rule out: what stands below {own} is read as it is"
    names = HOLE.findall(topic)
    if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
        yield place, f"`{{{twice}}}` twice", "a name of its own for each level"


def _paths(site: Known, rule: KeyPath) -> Iterator[Breach]:
    for at, text in _texts(site, rule):
        try:
            found = path(text)
        except PathError as error:
            yield at, str(error), "write it as fields.power, values[0], values.*, metrics[name=Temperature].value or values.{asset}"
            continue
        beside = at[len(rule)] not in PATHS
        if beside and found.captures:
            yield at, f"`{text}` captures", "capture in topic, each or value, or name it under captures"
        if not beside and found.whole:
            yield at, f"`{text}` begins at the message", "a path that begins at the item; $ is for what stands beside the values"


def _texts(site: Known, rule: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Every path of a rule, with the place where it stands; under `where` it is the key."""
    for key in PATHS:
        if (text := site.get(*rule, key)) is not None:
            yield (*rule, key), text
    for pattern in BESIDE:
        for at in expand(site, pattern, rule):
            text = at[-1] if pattern[0] == "where" else site.get(*at)
            if text is not None:
                yield at, str(text)


def _captured(site: Known, rule: KeyPath) -> set[str]:
    """The names that a rule captures."""
    names = {*HOLE.findall(site.get(*rule, "topic") or ""), *_names(site, rule, "captures")}
    for key in PATHS:
        with suppress(PathError):
            names |= {*path(text).captures} if (text := _given(site, rule, key)) is not None else set()
    return names


def _captures(site: Known, rule: KeyPath) -> Iterator[Breach]:
    known = _captured(site, rule)
    for name in HOLE.findall(site.get(*rule, "sensor") or ""):
        if name not in known:
            yield (*rule, "sensor"), f"`{{{name}}}` is captured nowhere", nearest(name, sorted(known)).replace(
                "there is none in this file", "write it in braces as a level of the topic, or name it under captures"
            )


def sensor(site: Known, rule: KeyPath) -> Iterator[Breach]:
    """The sensor that a rule names, with its `names`, is one of the site's."""
    template, place = site.get(*rule, "sensor"), (*rule, "sensor")
    if template is None:
        return
    levels = template.split("/")
    if len(levels) != 3 or any("{" in level and not HOLE.fullmatch(level) for level in levels):
        yield place, f"`{template}`", "type/asset/point, such as pool/{asset}/it_power_kw; a {name} is a whole level"
        return
    kind, asset, point = levels
    if HOLE.fullmatch(kind) or HOLE.fullmatch(point):
        yield place, f"`{template}`", "a type and a point as they are; only the asset can be captured"
        return
    known = known_sensors(site)
    spoken = {*POINTS.get(kind, ()), *(its for of, _, its in known if of == kind)}
    if kind not in POINTS:
        yield place, f"no type `{kind}`", nearest(kind, list(POINTS))
    elif point not in spoken:
        yield place, f"no point `{point}` of a {kind}", nearest(point, sorted(spoken))
    else:
        ids = [its for of, its, what in known if (of, what) == (kind, point)]
        names = {name: site.get(*rule, "names", name) for name in site.ids(*rule, "names")}
        if HOLE.fullmatch(asset):
            wanted = {(*rule, "names", name): of for name, of in names.items() if of is not None}
        else:
            wanted = {place: asset}
        for at, of in wanted.items():
            if of not in ids:
                yield at, f"no {kind} `{of}`", nearest(of, ids)


def _unit(site: Known, rule: KeyPath) -> Iterator[Breach]:
    unit, states, template = _given(site, rule, "unit"), site.get(*rule, "states"), site.get(*rule, "sensor")
    kind, _, point = (*(template or "").split("/"), "", "", "")[:3]
    into = next((its for (of, _, what), its in known_sensors(site).items() if (of, what) == (kind, point)), None)
    known = [name for units in QUANTITIES if into in units for name in units]
    if unit is None and not states and not any(site.malformed(*rule, key) for key in ("unit", "states")):
        remedy = f"the sender's unit, one of {', '.join(known)}" if known else "give the sender's unit"
        yield (*rule, "unit"), "missing", f"{remedy}, or states"
    elif states and site.get(*rule, "unit") is not None:
        yield (*rule, "unit"), f"`{unit}`, beside states", "one of the two: states are numbers in the sensor's unit"
    elif not states and unit is not None and into is not None and conversion(unit, into) is None:
        yield (*rule, "unit"), f"`{unit}` for {into}", nearest(unit, known)
    if site.get(*rule, "scale") == 0:
        yield (*rule, "scale"), "0", "what one of the sender's counts is in `unit`, such as 0.1"


def _both(site: Known, first: KeyPath, second: KeyPath) -> str | None:
    """Name a sensor that two rules tell for certain, where they do not both say so."""
    if all(site.get(*rule, "redundant") for rule in (first, second)):
        return None
    told = (place for place in known_sensors(site) if all(_certainly(site, rule, place) for rule in (first, second)))
    return next(("/".join(place) for place in told), None)


def _certainly(site: Known, rule: KeyPath, sensor: tuple[str, str, str]) -> bool:
    template, names = site.get(*rule, "sensor"), site.ids(*rule, "names")
    if template is None or (HOLE.search(template) and not names):
        return False
    return reaches(template, {name: site.get(*rule, "names", name) for name in names}, sensor)
