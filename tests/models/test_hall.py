"""Hall: one temperature, solved exactly within a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.horizon import Floats
from models.plan import Plan
from models.problem import Problem

FIFTH = Chiller(100, 100, 5, 0, 5, 0, -99, -98, 0, 0, 0, 0, 0)
"""Draws a fifth of the heat it removes, whatever the weather, and nothing else."""
LEFT = np.exp(-1.0)
"""Share of a temperature difference left after an hour where R C = 1 h."""


def cooled(site: Callable[..., Problem], hours: tuple[float, ...], price: tuple[float, ...], **terms: Any) -> Problem:
    """A hall of R = 1 K/kW, C = 1 kWh/K, heated by 10 kW, 25 degC like the outside."""
    limit_kw = terms.pop("limit_kw", 1000.0)
    default = {"base_kw": 10.0, "start_c": 25.0, "resistance_k_per_kw": 1.0, "heat_capacity_kwh_per_k": 1.0}
    zone = Hall("hall", "root", cooling_plant="plant", **(default | terms))
    plants = (CoolingPlant("plant", "root", FIFTH),)
    return site(hours, price, limit_kw=limit_kw, outdoor_c=25.0, gpus=0.0, halls=(zone,), cooling_plants=plants)


def euler_c(hall: Hall, problem: Problem, removed_kw: Floats, steps_per_h: int = 20_000) -> list[float]:
    """Temperature at the end of each step by small explicit steps of C dT = (heat - removed - (T - outdoor) / R) dt."""
    now, ends = hall.start_c, []
    for t, hours in enumerate(problem.horizon.hours):
        for _ in range(round(hours * steps_per_h)):
            flow_kw = hall.base_kw - removed_kw[t] - (now - problem.outdoor_c[t]) / hall.resistance_k_per_kw
            now += flow_kw / hall.heat_capacity_kwh_per_k / steps_per_h
        ends.append(now)
    return ends


def test_temperature_is_that_of_a_fine_integration(site: Any, optimum: Any) -> None:
    problem = cooled(site, (0.25, 1.0, 2.0), (0.1, 0.3, 0.2), heat_capacity_kwh_per_k=2.0, start_c=23.0)
    problem = replace(problem, outdoor_c=np.array([31.0, 12.0, 26.0]))
    block = optimum(problem).model.hall["hall"]
    removed_kw = np.array([block.removed_kw[t].value for t in range(3)])
    temperature_c = [block.temperature_c[t].value for t in range(3)]
    assert temperature_c == pytest.approx(euler_c(problem.halls[0], problem, removed_kw), abs=1e-3)


def test_cold_is_stored_while_energy_is_cheap(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """With x the kelvins above 25 and a = 1 / e: x0 = (1 - a)(10 - q0), x1 = a x0 + (1 - a)(10 - q1) <= 0.

    A kelvin of cold costs 0.1 / 5 / (1 - a) = 0.0316 and saves 0.3 / 5 * a / (1 - a) = 0.0349, so the hall goes down to the 22
    degC it is asked to keep, and not further at 0.5 a kelvin hour: q0 = 10 + 3 / (1 - a), q1 = 10 - 3 a / (1 - a).
    """
    problem = cooled(site, (1.0, 1.0), (0.1, 0.3), recommended_min_c=22.0)
    first_kw, second_kw = 10 + 3 / (1 - LEFT), 10 - 3 * LEFT / (1 - LEFT)
    objective = 0.1 * (10 + first_kw / 5) + 0.3 * (10 + second_kw / 5)
    best = optimum(problem)
    assert best.objective == pytest.approx(objective)
    plan = planned(problem)
    assert plan.account.hall_c[0].tolist() == pytest.approx([22.0, 25.0])
    assert plan.account.heat_kw[0].tolist() == pytest.approx([first_kw, second_kw])
    assert plan.account.objective == pytest.approx(objective)


def test_the_end_is_no_hotter_than_the_start(site: Any, planned: Callable[[Problem], Plan]) -> None:
    """Letting go to 27 degC would save 2 / (1 - a) / 5 = 0.63 kWh at 0.3: less than the 0.5 a kelvin that it costs."""
    assert planned(cooled(site, (1.0,), (0.3,))).account.hall_c[0, -1] == pytest.approx(25.0)


def test_comfort_goes_before_the_grid_limit_and_the_grid_limit_before_heat(
    site: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """10 kW are all the grid allows and the base load takes them. The hall may rise by 5 K: 5 / (1 - a) kW need not be removed.

    The other 10 - 5 / (1 - a) = 2.09 kW of heat take 0.418 kW above the limit: drawn, rather than 1.3 K too hot.
    """
    problem = cooled(site, (1.0,), (0.1,), limit_kw=10.0, recommended_max_c=26.0, allowable_max_c=30.0)
    over_kw = (10 - 5 / (1 - LEFT)) / 5
    model = optimum(problem).model
    assert model.grid.over_limit_kw[0].value == pytest.approx(over_kw)
    assert model.hall["hall"].too_hot_k[0].value == pytest.approx(0.0)
    assert model.hall["hall"].warm_k[0].value == pytest.approx(4.0)
    account = planned(problem).account
    assert account.breach["over_limit_kw"][0] == pytest.approx(over_kw)
    assert account.breach["too_hot_k"][0, 0] == pytest.approx(0.0)


def test_a_hall_without_a_plant_has_no_temperature_in_the_model(site: Any, planned: Callable[[Problem], Plan]) -> None:
    plan = planned(site((1.0,), (0.1,), halls=(Hall("hall", "root", base_kw=3.0),)))
    assert plan.account.hall_c.shape == (0, 1)
    assert plan.account.objective == pytest.approx(0.3)


def test_golden_rows(site: Any, golden: Any) -> None:
    problem = cooled(site, (0.5, 1.0), (0.1, 0.3))
    for name in ("warms_first", "warms", "recommended_max", "recommended_min", "allowable_max", "ends_no_hotter"):
        golden(problem, f"hall.{name}")
