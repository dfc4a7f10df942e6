"""Stability: the plan stays near the last one unless leaving it really saves something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.plan import Plan
from models.problem import Problem
from models.site import build
from models.solving.session import Session
from models.solving.stability import Last, drawn_kw


def after(site: Any, job: Any, last: dict[str, tuple[float, ...]], prices: tuple[float, float], h: float = 1.0) -> Problem:
    """8 GPU h that take 2 kWh at their best, in either of two steps, at 0.001 a kWh moved away from `last`."""
    return site((h, h), prices, jobs=(job(8.0 * h, 2 * h, elastic=True),), last=Last(last, 0.001))  # type: ignore[no-any-return]


def test_of_plans_that_differ_by_a_trifle_the_last_one_stays(
    site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """2 kWh were planned for the hour that is now dearer by 1e-6: to move them saves 2e-6 and costs 0.001 * (2 + 2)."""
    stays = after(site, job, {"job": (0.0, 2.0)}, (0.1, 0.100001))
    assert optimum(stays).objective == pytest.approx(0.2 + 2e-6)
    assert planned(stays).account.import_kw.tolist() == pytest.approx([0.0, 2.0])
    assert planned(stays).account.cost["moves"] == pytest.approx(0.0)
    free = replace(stays, last=Last())
    assert optimum(free).objective == pytest.approx(0.2)
    assert planned(free).account.import_kw.tolist() == pytest.approx([2.0, 0.0])


def test_a_real_gain_moves_it_and_is_told_what_that_cost(site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """The later hour is dearer by 0.01: 0.02 saved for 0.004, in half hours for half of that."""
    moved = after(site, job, {"job": (0.0, 2.0)}, (0.1, 0.11))
    assert optimum(moved).objective == pytest.approx(0.2 + 0.004)
    assert planned(moved).account.cost["moves"] == pytest.approx(0.004)
    halves = after(site, job, {"job": (0.0, 2.0)}, (0.1, 0.11), h=0.5)
    assert optimum(halves).objective == pytest.approx(0.1 + 0.002)
    assert planned(halves).account.cost["moves"] == pytest.approx(0.002)


def test_steps_the_last_plan_did_not_reach_are_free(site: Any, job: Any, optimum: Any) -> None:
    """Nothing was planned for the first hour, the second is not told: 2 kWh into the first cost 0.002, and save 0.006."""
    assert optimum(after(site, job, {"job": (0.0,)}, (0.1, 0.103))).objective == pytest.approx(0.2 + 0.002)


def test_what_the_last_plan_gave_is_not_taken_back_for_a_trifle(site: Any, firm: Any, optimum: Any) -> None:
    """A rental ran at 3 kW, worth 0.1 an hour beyond 200 W (2 GPU h of speed for 1 kWh at 0.1): to lower it saves 0.0005.

    At 300 W it does 10 GPU h for 0.3, at 200 W 8 for 0.2: with a GPU h worth 0.04975 the last 2 GPU h earn 0.0995, 0.0005 too
    little. Moving 1 kW costs 0.001: it stays, 0.3 - 10 * 0.04975 = -0.1975. Without a last plan it falls: 0.2 - 0.398 = -0.198.
    """
    rental = firm(value_per_gpu_h=0.04975)
    stays = site((1.0,), (0.1,), firms=(rental,), last=Last({"firm": (3.0,)}, 0.001))
    assert optimum(stays).objective == pytest.approx(-0.1975)
    assert optimum(replace(stays, last=Last())).objective == pytest.approx(-0.198)


@pytest.mark.parametrize("last", [Last(), Last({"job": (1.0, 1.0)}), Last({"gone": (1.0, 1.0)}, 0.001)])
def test_without_a_last_plan_a_price_or_a_workload_it_knew_the_program_is_what_it_was(site: Any, job: Any, last: Last) -> None:
    plain = site(jobs=(job(8.0),))
    assert Session(build(replace(plain, last=last))).shape == Session(build(plain)).shape


@pytest.mark.parametrize("seed", range(8))
def test_account_and_program_agree_on_what_moving_costs(random_site: Any, planned: Callable[[Problem], Plan], seed: int) -> None:
    """After a price has changed: the account's moves are those of its own draws, and it is never cheaper than the program's bound."""
    problem = random_site(seed, lowest_price=0.01)
    steps = len(problem.horizon)
    first = planned(problem)
    was_kw = drawn_kw(problem.pools, problem.workloads, first.schedule.groups, steps)
    last = Last({load.id: tuple(kw) for load, kw in zip(problem.workloads, was_kw.tolist(), strict=True)}, 0.001)
    dearer = replace(problem.grid, price_per_kwh=tuple(reversed(problem.grid.price_per_kwh)))
    plan = planned(replace(problem, grid=dearer, last=last))
    is_kw = drawn_kw(problem.pools, problem.workloads, plan.schedule.groups, steps)
    inside = problem.cells.share > 0
    moved_kwh = float(((np.abs(is_kw - was_kw) * inside) @ problem.horizon.h).sum())
    assert plan.account.cost["moves"] == pytest.approx(0.001 * moved_kwh)
    if not plan.account.is_breached:
        assert plan.account.objective >= plan.record.bound - 1e-3 * max(1.0, abs(plan.record.bound))


def test_golden_rows(site: Any, job: Any, golden: Any) -> None:
    golden(after(site, job, {"job": (0.0, 2.0)}, (0.1, 0.11)), "stability.moves")
