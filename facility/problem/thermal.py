"""Heat in a site file as the model's halls and cooling plants."""

from __future__ import annotations

import numpy as np

from facility.forecast import Forecast
from facility.site import Site
from facility.snapshot import Snapshot
from models.heat.chiller import Chiller, Stage
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.heat.set_point import SetPoint
from models.heat.thermal_store import ThermalStore


def chiller_of(site: Site, plant_id: str) -> Chiller:
    """The figures of a cooling plant."""
    c = site.cooling_plants[plant_id]
    return Chiller(
        design_heat_kw=c.design_heat_kw,
        max_heat_kw=c.max_heat_kw,
        cop_at_25c=c.cop_at_25c,
        cop_loss_per_k=c.cop_loss_per_k,
        cop_min=c.cop_min,
        min_load_share=c.min_load_share,
        free_full_below_c=c.free_cooling_full_below_c,
        free_none_above_c=c.free_cooling_none_above_c,
        pump_kw=c.pump_kw,
        pump_min_share=c.pump_min_share,
        fan_kw=c.fan_kw,
        fan_min_share=c.fan_min_share,
        misc_kw=c.misc_kw,
        stages=tuple(Stage(stage.max_heat_kw, stage.cop_at_25c) for stage in c.stages),
        capacity=tuple((point.outdoor_c, point.share) for point in c.capacity_by_outdoor),
    )


def plant_of(site: Site, plant_id: str, snapshot: Snapshot) -> CoolingPlant:
    """A cooling plant on its feeder, its tank as full as was measured or as the site file's start share."""
    plant = site.cooling_plants[plant_id]
    chiller = chiller_of(site, plant_id)
    water_price_per_m3, tank, store = site.tariff.water_price_per_m3, plant.store, None
    if tank is not None:
        stored_kwh = snapshot.thermal_store_kwh.get(plant_id, tank.start_share * tank.capacity_kwh)
        start_kwh = min(max(stored_kwh, 0.0), tank.capacity_kwh)
        store = ThermalStore(tank.capacity_kwh, tank.charge_kw, tank.discharge_kw, tank.loss_share_per_h, start_kwh)
    return CoolingPlant(plant_id, plant.feeder, chiller, plant.water_l_per_kwh, water_price_per_m3, store, set_point_of(site, plant_id))


def set_point_of(site: Site, plant_id: str) -> SetPoint | None:
    """The supply temperatures that a plant may have, None where there is no choice."""
    point = site.cooling_plants[plant_id].set_point
    if point is None:
        return None
    return SetPoint(point.levels_c, point.usual_c, point.cop_gain_per_k, point.free_cooling_shift_per_k, point.approach_k_per_kw)


def hall_of(site: Site, hall_id: str, snapshot: Snapshot, forecast: Forecast) -> Hall:
    """A hall at the temperature that was measured, or the site file's start value, with its share of the base load."""
    hall = site.halls[hall_id]
    thermal = hall.thermal
    base_kw, more_kw = _base_kw(site, hall_id, forecast)
    if thermal is None:
        return Hall(hall_id, hall.feeder, base_kw, more_base_kw=more_kw)
    return Hall(
        id=hall_id,
        feeder=hall.feeder,
        base_kw=base_kw,
        more_base_kw=more_kw,
        cooling_plant=thermal.cooling_plant,
        start_c=snapshot.hall_c.get(hall_id, thermal.start_c),
        heat_capacity_kwh_per_k=thermal.heat_capacity_kwh_per_k,
        resistance_k_per_kw=thermal.resistance_k_per_kw,
        recommended_min_c=thermal.recommended_min_c,
        recommended_max_c=thermal.recommended_max_c,
        allowable_max_c=thermal.allowable_max_c,
        liquid_plant=thermal.liquid_plant,
    )


def _base_kw(site: Site, hall_id: str, forecast: Forecast) -> tuple[float | tuple[float, ...], tuple[float, ...]]:
    """A hall's base load, kW, and what the pessimistic forecast adds; of a forecast its share by `base_kw`, an equal one without."""
    own_kw = site.halls[hall_id].base_kw
    if forecast.load_kw is None:
        return own_kw, ()
    all_kw = sum(hall.base_kw for hall in site.halls.values())
    share = own_kw / all_kw if all_kw else 1 / len(site.halls)
    high_kw = forecast.load_kw if forecast.load_high_kw is None else forecast.load_high_kw
    more_kw = np.maximum(high_kw - forecast.load_kw, 0.0)
    told = forecast.load_high_kw is not None
    return tuple((share * forecast.load_kw).tolist()), tuple((share * more_kw).tolist()) if told else ()
