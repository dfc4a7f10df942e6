"""A cold hall: colder than what its plant supplies, for the tests of rooms that say what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.heat.set_point import SetPoint
from models.problem import Problem

FIFTH = Chiller(20, 20, 5, 0, 1, 0, -99, -98, 0, 0, 0, 0, 0)
"""Draws a fifth of the heat it removes, up to 20 kW, whatever the weather."""

AT_20 = SetPoint((20.0,), 20.0, cop_gain_per_k=0.0, free_shift_per_k=0.0, approach_k_per_kw=0.5)

TIGHT = {"heat_capacity_kwh_per_k": 1.0, "resistance_k_per_kw": 1e6, "recommended_min_c": 15.0, "recommended_max_c": 20.0}
"""A hall that loses nothing and warms by a kelvin an hour for each kW."""


def with_a_cold_hall(
    site: Callable[..., Problem], hours: tuple[float, ...], base_kw: float, point: SetPoint = AT_20, figures: Any = None, **assets: Any
) -> Problem:
    """Ten GPUs in a hall at 16 degC with `base_kw`, at 0.1 a kWh; `figures` of the hall, `assets` of the site."""
    zone = Hall("hall", "root", base_kw, "plant", start_c=16.0, **(TIGHT | (figures or {})))
    plant = CoolingPlant("plant", "root", FIFTH, set_point=point)
    return site(hours, (0.1,) * len(hours), **({"halls": (zone,), "cooling_plants": (plant,)} | assets))
