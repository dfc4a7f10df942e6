"""Cooling: the heat that caps leave in halls and loops, and what the plants draw to remove it, in plain arithmetic.

    heat      = (1 - liquid) * pools + hall base + (outdoor - T) / R - stored                   of the halls of one plant
              + liquid * pools                                                                  of its liquid loops
              + charge                                                                          of its tank, negative discharges
    cooling   = s * sum of (its part of max(heat, min_load * design)) / COP + pumps * max(l^2, ..) + fans * max(l^3, ..) + misc

| symbol | meaning | unit |
|---|---|---|
| liquid | share of a pool's heat that goes into its hall's loop | 1 |
| its part | of each chiller, the best COP filled first | kW |
| s | share of heat that free cooling leaves: 0 below, 1 above its thresholds, linear between | 1 |
| COP | max(cop_min, cop_at_25c - cop_loss_per_k * (outdoor - 25)) | 1 |
| l | heat / design heat | 1 |
| R | thermal resistance of the hall's envelope | K/kW |
| T | the hall's temperature, the mean of the first step | degC |
| stored | C * (temperature ordered - temperature measured) / length of the first step | kW |

Where a decision does not say how long its first step lasts, or a hall's temperature is not measured or not ordered, the hall
is steady at its set-point (`start_c`), and so are all halls at worst.
Source of the plant's shape: Sun et al. 2020, Zhao et al. 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import exp

from facility.decision import Decision
from facility.site import CoolingPlant, Site
from facility.snapshot import Snapshot

WARMER_K = 0.1
"""A hall that is so much warmer than its set-point is cooled down, and not only held."""


@dataclass(frozen=True)
class Drift:
    """A hall whose temperature moves: its mean (degC), and the heat that the hall itself takes up, kW (negative: gives back)."""

    mean_c: float
    stored_kw: float


def drifts(site: Site, decision: Decision, snapshot: Snapshot) -> dict[str, Drift]:
    """Tell how the halls move during a decision's first step, as far as that is known."""
    found: dict[str, Drift] = {}
    for order in decision.cooling:
        for hall_id, wanted_c in order.hall_c:
            thermal, now_c = site.halls[hall_id].thermal, snapshot.hall_c.get(hall_id)
            if thermal is not None and now_c is not None and decision.first_step_s:
                hours = decision.first_step_s / 3600
                constant_h = thermal.resistance_k_per_kw * thermal.heat_capacity_kwh_per_k
                left = exp(-hours / constant_h)
                settles_at_c = (wanted_c - left * now_c) / (1 - left)
                mean_c = settles_at_c + (now_c - wanted_c) * constant_h / hours
                found[hall_id] = Drift(mean_c, thermal.heat_capacity_kwh_per_k * (wanted_c - now_c) / hours)
    return found


def tanks_kw(decision: Decision) -> dict[str, float]:
    """Tell what each cooling plant is ordered to charge its tank with, kW of heat; negative discharges."""
    return {order.plant: order.store_kw for order in decision.cooling if order.store_kw is not None}


def removed_heat_kw(
    site: Site, it_kw: Mapping[str, float], outdoor_c: float, moving: Mapping[str, Drift] | None = None
) -> dict[str, float]:
    """Tell the heat that must leave the air of each hall so that it moves as told, kW, for IT power by pool, kW."""
    air_kw, removed = dict.fromkeys(site.halls, 0.0), dict[str, float]()
    for pool_id, kw in it_kw.items():
        pool = site.pools[pool_id]
        air_kw[pool.hall] += kw * (1 - pool.liquid_share)
    for hall_id, hall in site.halls.items():
        if hall.thermal is not None:
            drift = moving.get(hall_id) if moving else None
            mean_c, stored_kw = (hall.thermal.start_c, 0.0) if drift is None else (drift.mean_c, drift.stored_kw)
            inflow_kw = (outdoor_c - mean_c) / hall.thermal.resistance_k_per_kw
            removed[hall_id] = max(air_kw[hall_id] + hall.base_kw + inflow_kw - stored_kw, 0.0)
    return removed


def plant_heat_kw(
    site: Site,
    it_kw: Mapping[str, float],
    outdoor_c: float,
    moving: Mapping[str, Drift] | None = None,
    charge_kw: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Sum the heat that each cooling plant must remove so that its halls move as told and its loops stay as warm, kW, for IT power by pool, kW.

    `charge_kw` is what the plants charge their tanks with.
    """
    heat = dict.fromkeys(site.cooling_plants, 0.0)
    for hall_id, removed_kw in removed_heat_kw(site, it_kw, outdoor_c, moving).items():
        heat[site.halls[hall_id].thermal.cooling_plant] += removed_kw  # type: ignore[union-attr]
    for pool, kw in it_kw.items():
        thermal = site.halls[site.pools[pool].hall].thermal
        if thermal is not None and thermal.liquid_plant is not None:
            heat[thermal.liquid_plant] += kw * site.pools[pool].liquid_share
    return {plant: max(kw + (charge_kw or {}).get(plant, 0.0), 0.0) for plant, kw in heat.items()}


def most_heat_kw(plant: CoolingPlant, outdoor_c: float) -> float:
    """Tell the most heat that a plant removes at `outdoor_c`, kW."""
    points = plant.capacity_by_outdoor
    if not points or outdoor_c <= points[0].outdoor_c:
        return plant.max_heat_kw * (points[0].share if points else 1.0)
    for low, high in pairwise(points):
        if outdoor_c < high.outdoor_c:
            way = (outdoor_c - low.outdoor_c) / (high.outdoor_c - low.outdoor_c)
            return plant.max_heat_kw * (low.share + way * (high.share - low.share))
    return plant.max_heat_kw * points[-1].share


def steady_cooling_kw(site: Site, plant_id: str, heat_kw: float, outdoor_c: float) -> float:
    """Tell the electric power of a cooling plant that removes `heat_kw` without end, kW."""
    plant = site.cooling_plants[plant_id]
    full_c, none_c = plant.free_cooling_full_below_c, plant.free_cooling_none_above_c
    if outdoor_c <= full_c:
        chilled_share = 0.0
    elif outdoor_c >= none_c:
        chilled_share = 1.0
    else:
        chilled_share = (outdoor_c - full_c) / (none_c - full_c)
    left_kw = max(heat_kw, plant.min_load_share * plant.design_heat_kw)
    chiller_kw, cop_at_25c = 0.0, plant.cop_at_25c
    for stage in sorted(plant.stages, key=lambda stage: stage.cop_at_25c, reverse=True):
        cop_at_25c, taken_kw = stage.cop_at_25c, min(left_kw, stage.max_heat_kw)
        chiller_kw += taken_kw / _cop(plant, cop_at_25c, outdoor_c)
        left_kw -= taken_kw
    chiller_kw = chilled_share * (chiller_kw + left_kw / _cop(plant, cop_at_25c, outdoor_c))
    load = heat_kw / plant.design_heat_kw
    pumps_kw = plant.pump_kw * max(load**2, plant.pump_min_share)
    return chiller_kw + pumps_kw + plant.fan_kw * max(load**3, plant.fan_min_share) + plant.misc_kw


def recovering_kw(
    site: Site, snapshot: Snapshot, outdoor_c: float, moving: Mapping[str, Drift], charge_kw: Mapping[str, float]
) -> dict[str, float]:
    """Tell what plants are measured to draw beyond what the heat of now needs, kW, where they cool a hall down that is not told to move.

    How much more heat they take out, and for how long, is their own affair. Where a plant's power or that of any pool is not measured nothing
    is told of it.
    """
    warm = {
        hall.thermal.cooling_plant
        for name, hall in site.halls.items()
        if hall.thermal is not None and name not in moving and snapshot.hall_c.get(name, 0.0) > hall.thermal.start_c + WARMER_K
    }
    if not warm or site.pools.keys() - snapshot.pool_kw.keys():
        return {}
    heat_kw = plant_heat_kw(site, snapshot.pool_kw, outdoor_c, moving, charge_kw)
    return {
        name: max(drawn_kw - steady_cooling_kw(site, name, min(heat_kw[name], most_heat_kw(site.cooling_plants[name], outdoor_c)), outdoor_c), 0.0)
        for name, drawn_kw in snapshot.cooling_kw.items()
        if name in warm
    }


def _cop(plant: CoolingPlant, at_25c: float, outdoor_c: float) -> float:
    return max(plant.cop_min, at_25c - plant.cop_loss_per_k * (outdoor_c - 25.0))
