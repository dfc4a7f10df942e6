"""The supply temperature that a decision orders of a plant: what the plant draws at it, and how cold halls can be.

    COP at 25 degC, each chiller's = its figure + gain * (supply - usual)
    thresholds of free cooling     = theirs + shift * (supply - usual)
    temperature of a hall         >= supply + approach * heat removed from it, or what it is with none removed

Figures and levels are the site file's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import exp

from facility.decision import Decision
from facility.site import CoolingPlant, Site, Thermal
from facility.verify.violation import Violation, over


def supplied(site: Site, decision: Decision | None = None) -> Site:
    """The site with its plants' figures at the supply that is ordered, the coldest where none is: it draws most. The same where none has a choice."""
    if all(plant.set_point is None for plant in site.cooling_plants.values()):
        return site
    ordered = {order.plant: order.supply_c for order in decision.cooling if order.supply_c is not None} if decision else {}
    plants = {name: _at(plant, ordered.get(name)) for name, plant in site.cooling_plants.items()}
    return site.model_copy(update={"cooling_plants": plants})


def _at(plant: CoolingPlant, supply_c: float | None) -> CoolingPlant:
    """The plant with figures that hold at `supply_c`, which is then its usual one; unchanged where it has no choice."""
    point = plant.set_point
    if point is None:
        return plant
    level_c = min(point.levels_c) if supply_c is None else supply_c
    warmer_k = level_c - point.usual_c
    gain, shift_k = point.cop_gain_per_k * warmer_k, point.free_cooling_shift_per_k * warmer_k
    figures = {
        "cop_at_25c": plant.cop_at_25c + gain,
        "stages": tuple(stage.model_copy(update={"cop_at_25c": stage.cop_at_25c + gain}) for stage in plant.stages),
        "free_cooling_full_below_c": plant.free_cooling_full_below_c + shift_k,
        "free_cooling_none_above_c": plant.free_cooling_none_above_c + shift_k,
        "set_point": point.model_copy(update={"usual_c": level_c}),
    }
    return plant.model_copy(update=figures)


def cold(site: Site, decision: Decision, removed_kw: Mapping[str, float], warmer_k: float) -> Iterator[Violation]:
    """Find halls that are ordered more than `warmer_k` colder than their supply and `removed_kw`, by hall, allow.

    Where that is warmer than a hall gets by the step's end with nothing removed, it gets no warmer than that.
    """
    for order in decision.cooling:
        point = site.cooling_plants[order.plant].set_point
        if point is None or order.supply_c is None:
            continue
        for hall_id, wanted_c in order.hall_c:
            heat_kw, thermal = removed_kw.get(hall_id, 0.0), site.halls[hall_id].thermal
            if heat_kw > 0 and thermal is not None:
                says = "its supply leaves the hall warmer than ordered"
                by_itself_c = wanted_c + heat_kw * _warms_k_per_kw(thermal, decision.first_step_s)
                least_c = min(order.supply_c + point.approach_k_per_kw * heat_kw, by_itself_c)
                yield from over(Violation("cooling.supply", hall_id, least_c, "degC", wanted_c + warmer_k, says, "plant"))


def _warms_k_per_kw(thermal: Thermal, seconds: float | None) -> float:
    """How much warmer a hall is after `seconds` for a kW of heat that stays in it; in the end where no length is told."""
    constant_h = thermal.resistance_k_per_kw * thermal.heat_capacity_kwh_per_k
    return thermal.resistance_k_per_kw * (1 - exp(-seconds / 3600 / constant_h) if seconds else 1.0)
