"""Flow: power goes one way, where a solution sent it both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from models.heat.hall import Hall
from models.power.battery import Battery
from models.problem import Problem
from models.solving.exact import Found

Best = Callable[..., Found]


def with_full_battery(site: Callable[..., Problem]) -> Problem:
    """An hour at -1 with 2 kW of base load and a battery of 4 kWh that is full, 2 kW, 80 % one way."""
    battery = Battery("battery", "root", 4.0, 2.0, 2.0, 0.8, 0.0, 4.0)
    return site((1.0,), (-1.0,), gpus=0.0, halls=(Hall("hall", "root", base_kw=2.0),), batteries=(battery,))


def test_a_battery_goes_one_way_where_it_is_paid_to_go_both(site: Any, optimum: Any, best: Best) -> None:
    """Both at once: c + d <= 2, 0.8 c = d / 0.8, so c - d = 0.36 * 2 / 1.64 = 0.439 kWh burnt. One way, a full battery rests."""
    problem = with_full_battery(site)
    assert optimum(problem).objective == pytest.approx(-2.439, abs=1e-3)
    assert best(problem, 1).solved.objective == pytest.approx(-2.0)


@pytest.mark.parametrize("family", ["draws_in", "or_gives_out"])
def test_golden_rows_of_batteries(site: Any, golden: Callable[[Problem, str], None], family: str) -> None:
    golden(with_full_battery(site), f"flow.{family}")
