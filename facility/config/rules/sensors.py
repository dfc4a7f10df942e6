"""Sensors that the site file says more of: each is one that the site has, and what is redundant to it is named once."""

from __future__ import annotations

from collections.abc import Iterator

from facility.config.rules.parts import Breach, Known, nearest

NEEDED = {"hall": "leave out its thermal, or measure its air", "meter": "measure it; where it is the sum of feeders, map that"}
"""What of a site must be measured, and what to do where it is not."""


def sensors(site: Known) -> Iterator[Breach]:
    """Keys of sensors that the site does not have, or that stand for two."""
    own = set(_keys(site))
    named: set[str] = set()
    for key in site.ids("sensors"):
        if own and key not in own:
            yield ("sensors", key), "the site has no such sensor", nearest(key, sorted(own))
        kind = str(key).partition("/")[2].partition("/")[0]
        if site.get("sensors", key, "absent") and kind in NEEDED:
            yield ("sensors", key, "absent"), f"a {kind} without this cannot be run", NEEDED[kind]
        for i, other in enumerate(site.get("sensors", key, "redundant") or ()):
            if other in own or other in named:
                yield ("sensors", key, "redundant", i), f"{other} is another sensor already", "give it a point of its own"
            named.add(other)


def _keys(site: Known) -> Iterator[str]:
    """The keys of `facility.sensors`, as far as the file tells them."""
    for pool in site.ids("pools"):
        yield f"{site.get('pools', pool, 'hall')}/pool/{pool}/it_power_kw"
    for hall in site.ids("halls"):
        yield f"{hall}/hall/{hall}/air_temperature_c"
    for plant in site.ids("cooling_plants"):
        yield f"site/cooling/{plant}/power_kw"
        yield f"site/cooling/{plant}/stored_kwh"
    for feeder in site.ids("feeders"):
        yield f"site/feeder/{feeder}/power_kw"
    yield f"site/meter/{site.get('grid', 'feed')}/import_kw"
    for battery in site.ids("batteries"):
        yield f"site/battery/{battery}/energy_kwh"
        yield f"site/battery/{battery}/power_kw"
    for kind, section in (("solar", "solar"), ("genset", "gensets")):
        yield from (f"site/{kind}/{name}/power_kw" for name in site.ids(section) if site.get(section, name, "metered"))
    yield from (f"site/water/{name}/flow_m3_per_h" for name in site.ids("sustainability", "water_meters"))
    for name in site.ids("sustainability", "heat_meters"):
        yield f"site/heat/{name}/reused_kw"
        yield f"site/heat/{name}/supply_c"
    yield "site/weather/outdoor/temperature_c"
