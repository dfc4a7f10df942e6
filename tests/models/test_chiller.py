"""Chiller: power by heat and weather, against figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.heat.chiller import Chiller, Stage

PLANT = Chiller(
    design_heat_kw=100,
    max_heat_kw=100,
    cop_at_25c=5,
    cop_loss_per_k=0.1,
    cop_min=2,
    min_load_share=0.1,
    free_full_below_c=10,
    free_none_above_c=20,
    pump_kw=4,
    pump_min_share=0.25,
    fan_kw=8,
    fan_min_share=0.125,
    misc_kw=1,
)

STAGED = replace(PLANT, stages=(Stage(60, 3), Stage(30, 6)), capacity=((20, 1.0), (30, 0.9), (40, 0.5)))
"""Two chillers, 30 kW at COP 6 and 60 kW at 3; above 20 degC outside the plant removes less."""


@pytest.mark.parametrize(
    ("heat_kw", "outdoor_c", "power_kw"),
    [
        (50.0, 25.0, 50 / 5 + 4 * 0.25 + 8 * 0.125 + 1),  # 13: load 1/2, pumps at 1/4, fans at 1/8: both at their kink
        (100.0, 25.0, 100 / 5 + 4 + 8 + 1),  # 33
        (0.0, 25.0, 10 / 5 + 1 + 1 + 1),  # 5: the chiller's minimum load is 10 kW
        (60.0, 15.0, 0.5 * 60 / 6 + 4 * 0.36 + 8 * 0.216 + 1),  # 9.168: half free, COP 5 + 0.1 * 10
        (60.0, 10.0, 4 * 0.36 + 8 * 0.216 + 1),  # all free
        (50.0, 60.0, 50 / 2 + 1 + 1 + 1),  # COP 5 - 3.5 is less than its floor of 2
    ],
)
def test_power_is_what_the_formula_gives_by_hand(heat_kw: float, outdoor_c: float, power_kw: float) -> None:
    assert float(PLANT.power_kw(np.array(heat_kw), np.array(outdoor_c))) == pytest.approx(power_kw)


def test_breakpoints_rise_from_nothing_to_full_heat_and_hold_every_kink() -> None:
    """Minimum load at 0.1; pumps' minimum 1/4 = 0.5 squared; fans' minimum 1/8 = 0.5 cubed; and every tenth."""
    assert PLANT.breakpoints_kw().tolist() == pytest.approx([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100])


def test_a_plant_smaller_than_its_design_ends_its_breakpoints_at_its_own_most() -> None:
    small = Chiller(100, 45, 5, 0.1, 2, 0.1, 10, 20, 4, 0.25, 8, 0.125, 1)
    assert small.breakpoints_kw()[-1] == pytest.approx(45)


@pytest.mark.parametrize(
    ("heat_kw", "outdoor_c", "chiller_kw"),
    [
        (20.0, 25.0, 20 / 6),  # the better one alone
        (5.0, 25.0, 10 / 6),  # the plant's minimum load, at its better chiller
        (50.0, 25.0, 30 / 6 + 20 / 3),
        (50.0, 15.0, 0.5 * (30 / 7 + 20 / 4)),  # half free, COPs higher by 0.1 * 10
        (50.0, 40.0, 30 / 4.5 + 20 / 2),  # COP 3 - 1.5 is less than the floor of 2
    ],
)
def test_stages_are_loaded_best_first(heat_kw: float, outdoor_c: float, chiller_kw: float) -> None:
    assert float(STAGED.chiller_kw(np.array(heat_kw), np.array(outdoor_c))) == pytest.approx(chiller_kw)


def test_one_stage_is_a_plant_without_any() -> None:
    heat_kw, outdoor_c = np.array([[0.0], [5.0], [60.0]]), np.array([5.0, 15.0, 30.0])
    one = replace(PLANT, cop_at_25c=99, stages=(Stage(100, 5),))
    assert one.power_kw(heat_kw, outdoor_c) == pytest.approx(PLANT.power_kw(heat_kw, outdoor_c))


def test_straight_lines_begin_where_a_stage_does() -> None:
    assert 25 in replace(PLANT, stages=(Stage(75, 3), Stage(25, 6))).breakpoints_kw().round(6)


@pytest.mark.parametrize(
    ("outdoor_c", "most_kw"),
    [(-10, 100), (20, 100), (25, 95), (30, 90), (35, 70), (40, 50), (60, 50)],
)
def test_capacity_is_linear_between_its_points_and_flat_outside(outdoor_c: float, most_kw: float) -> None:
    assert float(STAGED.most_heat_kw(np.array(outdoor_c))) == pytest.approx(most_kw)
    assert float(PLANT.most_heat_kw(np.array(outdoor_c))) == 100.0


@pytest.mark.parametrize("plant", [PLANT, STAGED], ids=["one", "staged"])
@given(a=st.floats(0, 100), b=st.floats(0, 100), outdoor_c=st.floats(-10, 45))
def test_power_is_convex_in_heat_and_never_falls(plant: Chiller, a: float, b: float, outdoor_c: float) -> None:
    low, mean, high = (float(plant.power_kw(np.array(q), np.array(outdoor_c))) for q in (min(a, b), (a + b) / 2, max(a, b)))
    assert mean <= (low + high) / 2 + 1e-9
    assert low <= high + 1e-9
