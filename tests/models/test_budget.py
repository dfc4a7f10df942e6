"""Budget: full speed is promised, but for the hours that the contract grants."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.account import account
from models.plan import Plan
from models.problem import Problem
from models.work.budget import Budget

Sent = Callable[[Plan, int, int], list[tuple[int, int, Any]]]


def slowed(firm: Any, *left_h: float, ends: tuple[int, ...] = (1,), **terms: Any) -> Any:
    """Ten GPUs that may run 1.25 times slower, 200 W instead of 300 W, in `left_h` hours of each window."""
    money = {key: terms.pop(key) for key in ("credit_per_gpu_h", "over_price_per_h") if key in terms}
    return firm(**{"floor_speed": 0.8, "budget": Budget(1.25, ends, left_h, **money)} | terms)


@pytest.mark.parametrize(("left_h", "cost"), [(0.0, 1.2), (0.5, 1.05), (1.0, 0.9), (1.5, 0.85), (2.0, 0.8), (9.0, 0.8), (math.inf, 0.8)])
def test_an_hour_of_the_budget_saves_a_kilowatt_in_the_dearest_hours_first(
    site: Any, firm: Any, optimum: Any, planned: Callable[[Problem], Plan], left_h: float, cost: float
) -> None:
    """At full speed 3 kW, 0.1 * 3 + 0.3 * 3 = 1.2; an hour at 200 W saves 0.3 in the second hour, then 0.1 in the first."""
    problem = site(firms=(slowed(firm, left_h, over_price_per_h=100.0),))
    assert optimum(problem).objective == pytest.approx(cost)
    plan = planned(problem)
    assert plan.status == "optimal"
    assert plan.account.objective == pytest.approx(cost, abs=1e-3)


def test_a_credit_is_worth_paying_in_the_dear_hour_only(site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """0.02 for each of ten GPUs in a slow hour: 0.3 saved in the second for 0.2, 0.1 in the first. 0.9 + 0.2 = 1.1."""
    problem = site(firms=(slowed(firm, 2.0, credit_per_gpu_h=0.02),))
    assert optimum(problem).objective == pytest.approx(1.1)
    result = planned(problem).account
    assert result.cost["credit"] == pytest.approx(0.2)
    assert result.objective == pytest.approx(1.1)


def test_hours_above_the_budget_are_told_in_the_step_that_took_them(
    site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """Commanded to 200 W it is slow for two hours, with half an hour left: 1.5 h above, at 100. 0.1 * 2 + 0.3 * 2 + 150."""
    problem = site(firms=(slowed(firm, 0.5, over_price_per_h=100.0, cap_w=(200.0, 200.0)),))
    assert optimum(problem).objective == pytest.approx(150.8)
    plan = planned(problem)
    assert plan.status == "breached"
    assert plan.account.breach["over_budget_h"].tolist() == [pytest.approx([0.5, 1.0])]
    assert plan.account.objective == pytest.approx(150.8)


def test_each_window_has_hours_of_its_own(site: Any, firm: Any, optimum: Any) -> None:
    """One hour in the first of two windows, none in the second: 0.1 * 2 + 0.3 * 3; the other way round 0.1 * 3 + 0.3 * 2."""
    for left_h, cost in (((1.0, 0.0), 1.1), ((0.0, 1.0), 0.9)):
        problem = site(firms=(slowed(firm, *left_h, ends=(0, 1), over_price_per_h=100.0),))
        assert optimum(problem).objective == pytest.approx(cost)


def test_only_the_gpus_that_are_demanded_use_a_budget_up(site: Any, firm: Any, optimum: Any, planned: Callable[[Problem], Plan]) -> None:
    """None, then five GPUs at 200 W: an hour, which a quarter of an hour exceeds by three quarters. 0.3 * 1 + 75."""
    problem = site(firms=(slowed(firm, 0.25, over_price_per_h=100.0, demand=(0, 5), cap_w=(None, 200.0)),))
    assert optimum(problem).objective == pytest.approx(75.3)
    assert planned(problem).account.breach["over_budget_h"].tolist() == [pytest.approx([0.0, 0.75])]


def test_below_its_floor_a_contract_is_short_and_its_hours_count_for_more(site: Any, firm: Any, optimum: Any) -> None:
    """At 100 W, speed 0.3, 5 GPU h are below the floor of 0.8; 0.7 withheld of the 0.2 that is allowed are 3.5 h, 1.5 too many."""
    problem = site((1.0,), (0.1,), firms=(slowed(firm, 2.0, ends=(0,), over_price_per_h=10.0, cap_w=(100.0,)),))
    assert optimum(problem).objective == pytest.approx(0.1 + 5 * 50 + 1.5 * 10)


def test_an_hour_more_of_a_budget_is_worth_what_it_saves(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    plan = planned(site(firms=(slowed(firm, 0.5, over_price_per_h=100.0),)))
    found = {price.name: price for price in plan.marginal}
    assert found["budget[firm].spends"].total == pytest.approx(0.3)


def test_rounding_to_watts_uses_up_no_more_than_is_left(site: Any, firm: Any, planned: Callable[[Problem], Plan], sent: Sent) -> None:
    """Three GPUs, 0.375 of an hour less a watt of one of them, 0.0033 h, in the dear one: 262.83 W each, and so 263 W."""
    plan = planned(site(firms=(slowed(firm, 0.375, over_price_per_h=100.0, gpus=3),)))
    assert plan.status == "optimal"
    assert sent(plan, 0, 0) == [(3, 300, 1.0)]
    assert sent(plan, 0, 1) == [(3, 263, 1.0)]
    assert not plan.account.is_breached


@pytest.mark.parametrize("seed", range(12))
def test_credits_and_breaches_of_a_plan_agree_with_the_program(
    random_site: Any, firm: Any, optimum: Any, planned: Callable[[Problem], Plan], seed: int
) -> None:
    """What is over a budget in the plan was over it in the program, on sites with limits from slack to absurd."""
    problem, rng = random_site(seed, cooled=False, lowest_price=0.01), np.random.default_rng(seed)
    last = len(problem.horizon) - 1
    ends = (0, last) if last else (0,)
    left_h = tuple(rng.uniform(0, 1, len(ends)).tolist())
    contract = slowed(
        firm, *left_h, ends=ends, gpus=int(rng.integers(2, 5)), credit_per_gpu_h=0.02, over_price_per_h=float(rng.choice([1, 100]))
    )
    problem = replace(problem, firms=(contract,), jobs=())
    best, plan = optimum(problem), planned(problem)
    over_h = sum(v.value for v in best.model.budget.over_budget_h.values())
    assert float(plan.account.breach["over_budget_h"].sum()) == pytest.approx(over_h, abs=2e-3)
    assert (plan.account.breach["over_budget_h"].max() > 1e-6) <= (over_h > 0)
    assert plan.account.objective == pytest.approx(best.objective, abs=5e-3, rel=5e-3)


def test_without_a_budget_nothing_is_owed_or_told(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    result = account(problem := site(firms=(firm(),)), planned(problem).schedule)
    assert "over_budget_h" not in result.breach
    assert "credit" not in result.cost


def test_golden_rows(site: Any, firm: Any, golden: Any) -> None:
    problem = site(firms=(slowed(firm, 0.5, 1.0, ends=(0, 1), credit_per_gpu_h=0.02, over_price_per_h=100.0, demand=(5, 10)),))
    for name in ("promises", "spends"):
        golden(problem, f"budget.{name}")
