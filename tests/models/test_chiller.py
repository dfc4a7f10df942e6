"""Chiller: power by heat and weather, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.chiller import Chiller

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


@given(st.floats(0, 100), st.floats(0, 100), st.floats(-10, 45))
def test_power_is_convex_in_heat_and_never_falls(a: float, b: float, outdoor_c: float) -> None:
    low, mean, high = (float(PLANT.power_kw(np.array(q), np.array(outdoor_c))) for q in (min(a, b), (a + b) / 2, max(a, b)))
    assert mean <= (low + high) / 2 + 1e-9
    assert low <= high + 1e-9
