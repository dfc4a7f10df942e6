"""Rules of a site's part in NVIDIA DSX Exchange: points that exist there, as sensors that exist here."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from facility.config.rules.parts import Breach, Known, expand, nearest
from facility.config.strict_yaml import KeyPath
from facility.dsx.facts import POINTS
from facility.dsx.naming import expression

ID = r"[a-z0-9][a-z0-9-]*"


def exchange(site: Known) -> Iterator[Breach]:
    """A profile without its part, and points that cannot be."""
    if site.get("bus", "profile") == "dsx" and site.get("bus", "dsx") is None and not site.malformed("bus", "dsx"):
        yield ("bus", "profile"), "dsx, and nothing says what the site's part in it is", "give bus.dsx, with agent at least"
    known = _sensors(site)
    for point in expand(site, ("bus", "dsx", "points", "*")):
        yield from _point(site, point, known)


def _point(site: Known, point: KeyPath, known: Collection[str]) -> Iterator[Breach]:
    kind, what, pattern, sensor = (site.get(*point, key) for key in ("object_type", "point_type", "id", "sensor"))
    if kind is not None and kind not in POINTS:
        yield (*point, "object_type"), kind, nearest(kind, POINTS)
    elif kind is not None and what is not None and what not in POINTS[kind]:
        yield (*point, "point_type"), f"{what} of a {kind}", nearest(what, POINTS[kind])
    if pattern is None or sensor is None:
        return
    try:
        names = expression(pattern).groupindex
    except ValueError as error:
        yield (*point, "id"), f"{pattern}: {error}", "text with `*` for any text and `{name}` for an id of ours, each name once"
        return
    wanted = re.sub(r"\\\{([a-z_]+)\\\}", lambda hole: ID if hole[1] in names else "(?!)", re.escape(sensor))
    if not any(re.fullmatch(wanted, key) for key in known):
        yield (*point, "sensor"), f"{sensor} is no sensor of this site", nearest(sensor, sorted(known))


def _sensors(site: Known) -> set[str]:
    """The keys of the sensors, as far as the parts that they belong to are known."""
    pools = {(site.get("pools", pool, "hall"), pool) for pool in site.ids("pools")}
    return {
        "site/weather/outdoor/temperature_c",
        f"site/meter/{site.get('grid', 'feed')}/import_kw",
        *(f"{hall}/pool/{pool}/it_power_kw" for hall, pool in pools),
        *(f"{hall}/hall/{hall}/air_temperature_c" for hall in site.ids("halls") if site.get("halls", hall, "thermal") is not None),
        *(f"site/cooling/{plant}/power_kw" for plant in site.ids("cooling_plants")),
        *(f"site/cooling/{plant}/stored_kwh" for plant in site.ids("cooling_plants") if site.get("cooling_plants", plant, "store") is not None),
        *(f"site/feeder/{feeder}/power_kw" for feeder in site.ids("feeders")),
        *(f"site/battery/{battery}/{point}" for battery in site.ids("batteries") for point in ("energy_kwh", "power_kw")),
    }
