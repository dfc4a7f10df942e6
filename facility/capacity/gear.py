"""Gear: feeders and cooling of their own for GPUs in a new hall, sized for them, like those of the pool that the hall is modelled on.

    meter per GPU = losses * draw + sum over plants c of losses[c] * power[c](share of the draw)

They hang under the root of the pool, and of its plants, with the losses of the way there and through feeders that are no limit. Each plant that
cools the pool is there once more, so large that the GPUs at full speed are its design heat, or its most if that is less, in any weather; its
supply is as warm as usual. So what a GPU draws at the meter, cooling included, does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from facility.capacity.place import Place
from facility.problem.electrical import losses_to_meter
from facility.problem.thermal import chiller_of
from facility.site import CoolingPlant, Feeder, Hall, Site, Thermal
from models.heat.chiller import Chiller
from models.heat.cooling_plant import secants
from models.horizon import Floats
from models.power.feeder import grown
from models.problem import Problem

ADDED, AIR, LIQUID = "added gpus", "added cooling", "added liquid cooling"
"""Names of what is added; no site file can have one of them."""
ROOMY = 4.0
"""A feeder of their own is rated so many times what all of them could draw."""
SPARE = 1.001
"""A plant of their own is larger than need be by so much, so that it is never the limit."""
NO_LEAK_K_PER_KW = 1e6
FORGETS_KWH_PER_K = 1e-7


def root_of(site: Site, feeder_id: str) -> str:
    """The feeder at the grid connection above a feeder."""
    while (parent := site.feeders[feeder_id].parent) is not None:
        feeder_id = parent
    return feeder_id


def at_roots_kw(problem: Problem, place: Place, draw_kw: float | Floats, carried_kw: float | Floats) -> dict[str, Floats]:
    """What a GPU in a new hall adds to the load of each root, kW, shape (T,), where it draws `draw_kw` and counts for `carried_kw`."""
    inside = next(h for h in problem.halls if h.id == place.hall)
    found: dict[str, Floats] = {}

    def add(feeder: str, kw: Floats) -> None:
        *_, (root, losses) = grown(problem.feeders, feeder).items()
        found[root] = found.get(root, 0.0) + losses * kw

    add(place.feeder, np.asarray(carried_kw) + np.zeros(len(problem.horizon)))
    for plant in problem.cooling_plants:
        for share in _shares(plant.id, inside.cooling_plant, inside.liquid_plant, place):
            slope, intercept, _ = secants(_sized(plant.chiller, share * float(place.draws_kw(1.0))), problem.outdoor_c)
            add(plant.feeder, (intercept + slope * share * np.asarray(draw_kw)).max(axis=0))
    return found


def built(site: Site, place: Place, gpus: int) -> Site:
    """The site with the hall, the feeders and the cooling that `gpus` in a new hall have."""
    modelled, full_kw = site.halls[place.hall].thermal, gpus * float(place.draws_kw(1.0))
    rating_kw = ROOMY * max(gpus, 1) * float(place.could_draw_kw(1.0))

    def under_root(like: str) -> Feeder:
        root = root_of(site, like)
        lost = losses_to_meter(site, like) / (1 + site.feeders[root].loss_share) - 1
        return Feeder(rating_kw=rating_kw, parent=root, loss_share=max(lost, 0.0))

    feeders, plants, cooled = {ADDED: under_root(place.feeder)}, dict[str, CoolingPlant](), dict[str, str]()
    for plant_id, share, name in _plants(site, place):
        plant = site.cooling_plants[plant_id]
        chiller = _sized(chiller_of(site, plant_id), share * full_kw)
        stages = tuple(old.model_copy(update={"max_heat_kw": new.max_heat_kw}) for old, new in zip(plant.stages, chiller.stages, strict=True))
        figures = {key: getattr(chiller, key) for key in ("design_heat_kw", "max_heat_kw", "pump_kw", "fan_kw", "misc_kw")}
        apart = {"feeder": name, "stages": stages, "capacity_by_outdoor": (), "store": None, "set_point": None}
        plants[name] = plant.model_copy(update={**figures, **apart})
        feeders[name] = under_root(plant.feeder)
        cooled["liquid_plant" if name == LIQUID else "cooling_plant"] = name
    hall = Hall(feeder=root_of(site, place.feeder)).model_copy(update={"thermal": _steady(modelled, cooled) if modelled and cooled else None})
    more = {"feeders": {**site.feeders, **feeders}, "halls": {**site.halls, ADDED: hall}, "cooling_plants": {**site.cooling_plants, **plants}}
    return site.model_copy(update=more)


def _shares(plant: str, air: str | None, liquid: str | None, place: Place) -> Iterator[float]:
    """Shares of the heat of added GPUs that a plant would remove, one for each plant like it."""
    if plant == air:
        yield 1 - place.liquid_share
    if plant == liquid and place.liquid_share:
        yield place.liquid_share


def _plants(site: Site, place: Place) -> Iterator[tuple[str, float, str]]:
    """The plants that a new hall has one like, the share of the heat of its GPUs that each takes, and what it is called."""
    modelled = site.halls[place.hall].thermal
    if modelled is not None:
        yield modelled.cooling_plant, 1 - place.liquid_share, AIR
        if modelled.liquid_plant is not None and place.liquid_share:
            yield modelled.liquid_plant, place.liquid_share, LIQUID


def _sized(chiller: Chiller, heat_kw: float) -> Chiller:
    """The same plant for another design heat, in any weather."""
    size = max(heat_kw, 1e-9) * SPARE / min(chiller.design_heat_kw, chiller.max_heat_kw)
    figures = {key: size * getattr(chiller, key) for key in ("design_heat_kw", "max_heat_kw", "pump_kw", "fan_kw", "misc_kw")}
    stages = tuple(replace(stage, max_heat_kw=size * stage.max_heat_kw) for stage in chiller.stages)
    return replace(chiller, stages=stages, capacity=(), **figures)


def _steady(modelled: Thermal, cooled: dict[str, str]) -> Thermal:
    """A hall that loses nothing by itself, remembers nothing, and stays in the recommended band."""
    own = {"heat_capacity_kwh_per_k": FORGETS_KWH_PER_K, "resistance_k_per_kw": NO_LEAK_K_PER_KW, "allowable_max_c": modelled.recommended_max_c}
    return modelled.model_copy(update={"liquid_plant": None, **own, **cooled})
