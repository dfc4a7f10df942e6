"""Rules of cooling plants."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from facility.config.rules.parts import Breach, Known, expand
from facility.config.strict_yaml import KeyPath


def cooling(site: Known) -> Iterator[Breach]:
    """Plants whose figures contradict each other."""
    for name in site.ids("pools"):
        share, hall = site.get("pools", name, "liquid_share"), site.get("pools", name, "hall")
        loop = ("halls", hall or "", "thermal", "liquid_plant")
        known = hall in site.ids("halls") and not any(site.malformed(*loop[:depth]) for depth in (2, 3, 4))
        if share and known and site.get(*loop) is None:
            remedy = f"give {'.'.join(loop)}, or leave liquid_share out"
            yield ("pools", name, "liquid_share"), f"{share}, but hall `{hall}` has no liquid loop", remedy
    for plant in expand(site, ("cooling_plants", "*")):
        points = [(*plant, "capacity_by_outdoor", i) for i in site.ids(*plant, "capacity_by_outdoor")]
        for before, after in pairwise(points):
            a, b = site.get(*before, "outdoor_c"), site.get(*after, "outdoor_c")
            if a is not None and b is not None and b <= a:
                yield (*after, "outdoor_c"), f"{b} after {a}", f"above {a}: points stand by rising outdoor_c"
        yield from _set_point(site, plant)
        stages = [(*plant, "stages", i) for i in site.ids(*plant, "stages")]
        cop_min = site.get(*plant, "cop_min")
        for stage in stages:
            cop = site.get(*stage, "cop_at_25c")
            if cop is not None and cop_min is not None and cop < cop_min:
                yield (*stage, "cop_at_25c"), f"{cop}", f"at least the plant's cop_min, {cop_min}"
        most_kw, takes_kw = site.get(*plant, "max_heat_kw"), [site.get(*stage, "max_heat_kw") for stage in stages]
        if takes_kw and most_kw is not None and None not in takes_kw and sum(takes_kw) < most_kw:
            remedy = f"at most {sum(takes_kw):g}, or more or larger stages"
            yield (*plant, "max_heat_kw"), f"{most_kw}, but its stages take {sum(takes_kw):g} kW together", remedy


def _set_point(site: Known, plant: KeyPath) -> Iterator[Breach]:
    levels_c, usual_c = (site.get(*plant, "set_point", key) for key in ("levels_c", "usual_c"))
    if levels_c is None:
        return
    path = (*plant, "set_point", "levels_c")
    for before, after in pairwise(levels_c):
        if after <= before:
            yield path, f"{after:g} after {before:g}", "levels that rise"
    if usual_c is not None and usual_c not in levels_c:
        yield (*plant, "set_point", "usual_c"), f"{usual_c:g}", f"one of levels_c: {', '.join(f'{c:g}' for c in levels_c)}"
    if site.get(*plant, "store") is not None:
        yield (*plant, "set_point"), "beside a store", "one of the two: a tank holds cold for a steady supply"
