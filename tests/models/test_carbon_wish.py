"""Carbon wish: work of who would pay for less carbon moves to cleaner hours, as far as that is worth it, and nobody is billed for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.account import account
from models.baseline import baseline
from models.plan import Plan
from models.problem import Problem

TWO = (1.0, 1.0)
DIRTY_FIRST = (0.05, 0.01)
"""What a kWh less is worth in each of two hours."""


def first(plan: Plan) -> float:
    """GPUs that run in the first step."""
    return float(plan.account.running[0][0])


def test_a_job_waits_for_the_cleaner_hour_where_that_is_worth_what_it_costs(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """The second hour is 0.03 dearer; the wish is worth 0.04 there, and half of that is not enough."""
    prices = (0.10, 0.13)
    assert first(planned(site(TWO, prices, jobs=(job(8.0, 2.0),)))) == pytest.approx(10.0)
    wished = planned(site(TWO, prices, jobs=(job(8.0, 2.0, wish_per_kwh=DIRTY_FIRST),)))
    assert first(wished) == pytest.approx(0.0)
    half = tuple(each / 2 for each in DIRTY_FIRST)
    assert first(planned(site(TWO, prices, jobs=(job(8.0, 2.0, wish_per_kwh=half),)))) == pytest.approx(10.0)


def test_what_it_is_worth_stands_beside_what_is_paid(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    plan = planned(site(TWO, (0.10, 0.13), jobs=(job(8.0, 2.0, wish_per_kwh=DIRTY_FIRST),)))
    kwh = float(plan.account.import_kw @ plan.problem.horizon.h)
    assert plan.account.cost["energy"] == pytest.approx(0.13 * kwh)
    assert plan.account.cost["carbon_wish"] == pytest.approx(0.01 * kwh)
    assert plan.account.objective == pytest.approx(plan.record.bound, rel=1e-6)


def test_the_baseline_counts_it_too_and_a_site_without_wishes_has_no_such_item(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    problem = site(TWO, (0.10, 0.13), jobs=(job(8.0, 2.0, wish_per_kwh=DIRTY_FIRST),))
    assert account(problem, baseline(problem)).cost["carbon_wish"] > planned(problem).account.cost["carbon_wish"]
    assert "carbon_wish" not in planned(site(TWO, (0.10, 0.13), jobs=(job(8.0, 2.0),))).account.cost


def test_a_rental_that_may_be_slowed_is_slowed_in_the_dirty_hour(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """Each GPU hour at full speed is worth more than its energy, and less than its energy and the wish."""
    free = planned(site(TWO, (0.1, 0.1), firms=(firm(gpus=10, value_per_gpu_h=0.06),)))
    wished = planned(site(TWO, (0.1, 0.1), firms=(firm(gpus=10, value_per_gpu_h=0.06, wish_per_kwh=(1.0, 0.0)),)))
    before, after = free.account.work_gpu_h[0], wished.account.work_gpu_h[0]
    assert after[0] < before[0] - 1e-6
    assert np.isclose(after[1], before[1])
