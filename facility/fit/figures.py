"""Figures: what is fitted of a plant and of its halls, within which bounds, and which telemetry would tell it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from facility.fit.estimate import Parameter
from facility.site import Site
from models.heat.chiller import Chiller

FIELDS = {
    "cop_at_25c": "cop_at_25c",
    "cop_loss_per_k": "cop_loss_per_k",
    "min_load_share": "min_load_share",
    "free_cooling_full_below_c": "free_full_below_c",
    "free_cooling_none_above_c": "free_none_above_c",
    "pump_kw": "pump_kw",
    "fan_kw": "fan_kw",
    "misc_kw": "misc_kw",
}
"""Keys of a plant, and what `Chiller` calls them."""


def of_plant(site: Site, name: str) -> Iterator[Parameter]:
    """The figures of a plant, under the names of its keys."""
    plant = site.cooling_plants[name]
    size = plant.pump_kw + plant.fan_kw + plant.misc_kw + 0.01 * plant.design_heat_kw
    above, below = plant.free_cooling_none_above_c, plant.free_cooling_full_below_c
    warm = f"hours above {above:g} degC outdoors"
    yield Parameter("cop_at_25c", "", plant.cop_at_25c, 1.0, 30.0, plant.cop_at_25c, f"{warm}, at different loads")
    yield Parameter("cop_loss_per_k", "1/K", plant.cop_loss_per_k, 0.0, 1.0, max(plant.cop_loss_per_k, 0.02), f"{warm}, that differ by 5 K or more")
    yield Parameter("free_cooling_full_below_c", "degC", below, below - 15, below + 15, 3.0, f"hours around and below {below:g} degC outdoors")
    yield Parameter("free_cooling_none_above_c", "degC", above, above - 15, above + 15, 3.0, f"hours around and above {above:g} degC outdoors")
    loads = "loads from below half to nearly all of design_heat_kw while the plant cools freely"
    yield Parameter("pump_kw", "kW", plant.pump_kw, 0.0, 20 * size, max(plant.pump_kw, 0.1 * size), loads)
    yield Parameter("fan_kw", "kW", plant.fan_kw, 0.0, 20 * size, max(plant.fan_kw, 0.1 * size), loads)
    yield Parameter("misc_kw", "kW", plant.misc_kw, 0.0, 20 * size, max(plant.misc_kw, 0.1 * size), loads)
    least = f"heat below {plant.min_load_share:g} of design_heat_kw while chillers run"
    yield Parameter("min_load_share", "", plant.min_load_share, 0.0, 1.0, max(plant.min_load_share, 0.05), least)


def of_hall(site: Site, hall: str) -> Iterator[Parameter]:
    """A hall's heat capacity and its conductance to the outdoors, under `HALL.`."""
    thermal = site.halls[hall].thermal
    assert thermal is not None
    c, g = thermal.heat_capacity_kwh_per_k, 1 / thermal.resistance_k_per_kw
    yield Parameter(f"{hall}.heat_capacity", "kWh/K", c, 0.0, 100 * c, c, "a set-point that is moved by 2 K a few times")
    outdoors = "a hall temperature less the outdoor one that differs by 10 K or more at equal loads"
    yield Parameter(f"{hall}.conductance", "kW/K", g, 0.0, 100 * g, g, outdoors)


def laid_on(chiller: Chiller, values: Mapping[str, float]) -> Chiller:
    """The chiller with the figures of `values`."""
    told: dict[str, float] = {field: values[key] for key, field in FIELDS.items()}
    return replace(chiller, **told)  # type: ignore[arg-type]
