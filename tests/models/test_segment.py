"""Segment: a cooling plant draws what its curve says, where a solution burnt more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.problem import Problem
from models.solving.exact import Found

Best = Callable[..., Found]


def with_plant(site: Callable[..., Problem]) -> Problem:
    """An hour at -0.1: 50 kW of heat in a hall that holds 1,000 kWh/K and is to stay at 24 degC, a COP of 5, pumps as the square, 1 kW always."""
    chiller = Chiller(
        design_heat_kw=100,
        max_heat_kw=100,
        cop_at_25c=5,
        cop_loss_per_k=0,
        cop_min=5,
        min_load_share=0,
        free_full_below_c=-99,
        free_none_above_c=-98,
        pump_kw=10,
        pump_min_share=0,
        fan_kw=0,
        fan_min_share=0,
        misc_kw=1,
    )
    hall = Hall(
        "hall", "root", 50.0, "plant", 24.0, heat_capacity_kwh_per_k=1000.0, recommended_min_c=24.0, recommended_max_c=24.0
    )
    plant = CoolingPlant("plant", "root", chiller)
    return site((1.0,), (-0.1,), gpus=0.0, outdoor_c=24.0, halls=(hall,), cooling_plants=(plant,))


def test_a_plant_draws_what_its_curve_says_where_it_is_paid_to_burn(site: Any, optimum: Any, best: Best) -> None:
    """1 + 50 / 5 + 10 / 4 = 13.5 kW; the chord, up to which the linear program burns, says 1 + 50 * 30 / 100 = 16."""
    problem = with_plant(site)
    assert optimum(problem).objective == pytest.approx(-6.6)
    assert best(problem, 1).solved.objective == pytest.approx(-6.35)


@pytest.mark.parametrize("family", ["has_segment", "ends_segment", "has_heat", "keeps_to_segment"])
def test_golden_rows_of_plants(site: Any, golden: Callable[[Problem, str], None], family: str) -> None:
    golden(with_plant(site), f"segment.{family}")
