"""Set-point: a warmer supply costs less, and cools less far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from models.account import account
from models.baseline import baseline
from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.heat.set_point import SetPoint
from models.plan import Plan
from models.problem import Problem

FIFTH = Chiller(20, 20, 5, 0, 1, 0, -99, -98, 0, 0, 0, 0, 0)
"""Draws a fifth of the heat it removes, up to 20 kW, whatever the weather."""

POINT = SetPoint((18.0, 20.0, 23.0), 18.0, cop_gain_per_k=1.0, free_shift_per_k=0.0, approach_k_per_kw=0.4)
"""COP 5, 7 and 10: 10 kW of heat cost 2, 10/7 and 1 kW, and leave the air at 22, 24 and 27 degC at least."""


def cooled(
    site: Callable[..., Problem],
    price: tuple[float, ...],
    hall: dict[str, Any] | None = None,
    chiller: Chiller = FIFTH,
    base_kw: float = 10.0,
    outdoor_c: float = 25.0,
    **terms: Any,
) -> Problem:
    """Hours of `base_kw` in a hall at 25 degC that holds little heat and leaks none; `terms` of the set-point."""
    figures = {"start_c": 25.0, "heat_capacity_kwh_per_k": 1e-3, "resistance_k_per_kw": 1e6, "recommended_max_c": 25.0, "allowable_max_c": 30.0}
    zone = Hall("hall", "root", base_kw, "plant", **(figures | (hall or {})))
    plant = CoolingPlant("plant", "root", chiller, set_point=replace(POINT, **terms))
    return site((1.0,) * len(price), price, gpus=0.0, outdoor_c=outdoor_c, halls=(zone,), cooling_plants=(plant,))


def at(problem: Problem, *supply_c: float) -> Problem:
    return problem.supplied({"plant": np.array(supply_c)})


def test_the_supply_is_as_warm_as_the_hall_allows(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """10 kW at 25 degC leave 21 for the supply: mixed, 18 for two fifths of the hour and 23 for the rest, in which all
    heat goes, at COP 10: 1 kW. A plan supplies 20 degC all through, at COP 7: (10 + 10 / 7) * 0.1; the site without us 18.
    """
    problem = cooled(site, (0.1,))
    assert optimum(problem).objective == pytest.approx(0.1 * (10 + 1), rel=1e-4)
    plan = planned(problem)
    assert plan.schedule.supply_c["plant"].tolist() == [20.0]
    assert plan.account.hall_c[0, 0] == pytest.approx(25.0)
    assert plan.account.objective == pytest.approx(0.1 * (10 + 10 / 7), rel=1e-4)
    assert plan.status == "optimal"
    assert plan.baseline.objective == pytest.approx(0.1 * (10 + 10 / 5), rel=1e-4)


@pytest.mark.parametrize(("supply_c", "cooling_kw"), [(18.0, 2.0), (20.0, 10 / 7)])
def test_at_a_level_the_plant_draws_what_its_cop_there_says(site: Any, optimum: Any, supply_c: float, cooling_kw: float) -> None:
    problem = at(cooled(site, (0.1,)), supply_c)
    assert optimum(problem).objective == pytest.approx(0.1 * (10 + cooling_kw), rel=1e-4)


def test_a_supply_too_warm_leaves_the_hall_warm_by_what_it_cannot_cool(site: Any, planned: Any, optimum: Any) -> None:
    """23 + 0.4 * 10 = 27 degC, less what 1e-3 kWh/K take up; 2 K of discomfort in the hour and at its end."""
    problem = at(cooled(site, (0.1,)), 23.0)
    best = optimum(problem)
    assert best.model.hall["hall"].temperature_c[0].value == pytest.approx(27.0, abs=2e-3)
    state = planned(problem).account
    assert state.hall_c[0, 0] == pytest.approx(27.0, abs=2e-3)
    assert state.removed_kw[0, 0] == pytest.approx(10.0, rel=1e-3)
    assert state.objective == pytest.approx(best.objective, rel=1e-4)


def test_a_supply_too_warm_for_the_allowable_band_is_a_hall_too_hot(site: Any, planned: Any, optimum: Any) -> None:
    """One level, 28 degC, and 32 in the hall: 2 K above its band, told as such."""
    problem = cooled(site, (0.1,), levels_c=(28.0,), usual_c=28.0)
    assert optimum(problem).model.hall["hall"].too_hot_k[0].value == pytest.approx(2.0, abs=1e-2)
    plan = planned(problem)
    assert plan.status == "breached"
    assert plan.account.breach["too_hot_k"][0, 0] == pytest.approx(2.0, abs=1e-2)


def test_a_warmer_supply_cools_freely_in_warmer_weather(site: Any, planned: Any, optimum: Any) -> None:
    """Free below 20 degC and none above 30 at 18: at 25 outdoors half is free, at 20 with 1 K a K 70 %. 10 kW * 0.3 / 5."""
    chiller = replace(FIFTH, free_full_below_c=20.0, free_none_above_c=30.0)
    problem = cooled(site, (0.1,), {"heat_capacity_kwh_per_k": 1.0}, chiller, cop_gain_per_k=0.0, free_shift_per_k=1.0)
    assert optimum(at(problem, 18.0)).objective == pytest.approx(0.1 * (10 + 1.0), rel=1e-4)
    assert optimum(at(problem, 20.0)).objective == pytest.approx(0.1 * (10 + 0.6), rel=1e-4)
    assert planned(problem).account.cooling_kw[0, 0] == pytest.approx(0.6, rel=1e-4)


@pytest.mark.parametrize(("price", "supply_c", "cooling_kw"), [(0.1, 20.0, 10 / 7), (-0.1, 18.0, 2.0)])
def test_paid_for_drawing_the_coldest_supply_is_best_and_nothing_burns_beyond_it(
    site: Any, planned: Any, optimum: Any, price: float, supply_c: float, cooling_kw: float
) -> None:
    """Held at 25 degC from below too (1 kWh/K), 10 kW are removed: at most 10 / 5 kW by curve, chord and mixture alike."""
    problem = cooled(site, (price,), {"recommended_min_c": 25.0, "heat_capacity_kwh_per_k": 1.0})
    if price < 0:
        assert optimum(problem).objective == pytest.approx(price * (10 + cooling_kw), rel=1e-4)
    plan = planned(problem)
    assert plan.schedule.supply_c["plant"].tolist() == [supply_c]
    assert plan.account.import_kw[0] == pytest.approx(10 + cooling_kw, rel=1e-3)


def test_the_baseline_supplies_as_usual_on_any_problem(site: Any) -> None:
    problem = cooled(site, (0.1, 0.1))
    for told in (problem, at(problem, 23.0, 20.0)):
        schedule = baseline(told)
        assert schedule.supply_c["plant"].tolist() == [18.0, 18.0]
        assert account(told, schedule).cooling_kw[0].tolist() == pytest.approx([2.0, 2.0], rel=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_the_plan_is_as_good_as_the_best_of_all_levels_or_nearly(site: Any, planned: Any, optimum: Any, seed: int) -> None:
    """Three hours of a hall that stores heat: every way to choose levels is tried. The mixture costs no more than any of them."""
    rng = np.random.default_rng(seed)
    price = tuple(np.round(rng.uniform(0.05, 0.6, 3), 2).tolist())
    hall = {"heat_capacity_kwh_per_k": float(rng.uniform(2, 20)), "resistance_k_per_kw": 2.0, "recommended_max_c": 27.0}
    problem = cooled(site, price, hall, base_kw=float(rng.uniform(4, 14)), outdoor_c=float(rng.uniform(5, 35)))
    best = min(optimum(at(problem, *levels)).objective for levels in product(POINT.levels_c, repeat=3))
    usual = optimum(at(problem, 18.0, 18.0, 18.0)).objective
    plan = planned(problem)
    assert optimum(problem).objective <= best + 1e-6
    assert best - 1e-6 <= plan.record.bound <= usual + 1e-6
    assert plan.record.bound - best <= 0.25 * (usual - best) + 0.02 * abs(best)
    assert plan.account.objective == pytest.approx(plan.record.bound, rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_random_sites_with_a_set_point_agree_with_their_program(random_site: Any, planned: Any, seed: int) -> None:
    free = random_site(seed, cooled=True)
    point = SetPoint((14.0, 17.0, 20.0), 14.0, 0.2, 1.0, 0.3)
    plan = planned(replace(free, cooling_plants=tuple(replace(c, set_point=point) for c in free.cooling_plants)))
    state, schedule = plan.account, plan.schedule
    assert set(schedule.supply_c["plant"].tolist()) <= set(point.levels_c)
    over_k = schedule.supply_c["plant"] + point.approach_k_per_kw * state.removed_kw[0] - state.hall_c[0]
    assert (over_k[state.removed_kw[0] > 1e-6] <= 1e-6).all()
    assert state.objective <= plan.record.bound + 0.02 * abs(plan.record.bound) + 0.05 or plan.status != "optimal"


def test_golden_rows(site: Any, golden: Any) -> None:
    problem = cooled(site, (0.1, 0.3), {"resistance_k_per_kw": 1.0}, replace(FIFTH, design_heat_kw=80, min_load_share=0.1), 2.0, 10.0)
    for name in ("mixes", "splits", "takes_part", "removes_heat", "burns_no_more", "adds_up"):
        golden(problem, f"set_point.{name}")
