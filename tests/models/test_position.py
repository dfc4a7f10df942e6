"""Position: the plan follows what was committed while that is worth it, and limits go first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.grid.position import Position
from models.heat.hall import Hall
from models.plan import Plan
from models.problem import Problem


def committed(site: Any, job: Any, kw: tuple[float | None, ...], premium: float, **terms: Any) -> Problem:
    """8 GPU h that take 2 kWh at their best, in an hour at 0.1 or one at 0.3, and what was committed."""
    return site((1.0, 1.0), (0.1, 0.3), jobs=(job(8.0, elastic=True),), position=Position(kw, premium), **terms)  # type: ignore[no-any-return]


def test_a_dear_premium_keeps_the_plan_to_its_position_and_a_cheap_one_does_not(
    site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """2 kWh were bought for the dear hour: 0.6. To move a kWh saves 0.2 and leaves both hours a kW off, 2 * premium.

    At 0.2 it stays, 0.6; at 0.05 it moves: 0.1 * 2 + 0.05 * (2 + 2) = 0.4.
    """
    assert optimum(committed(site, job, (0.0, 2.0), 0.2)).objective == pytest.approx(0.6)
    moved = committed(site, job, (0.0, 2.0), 0.05)
    block = optimum(moved).model.position
    assert [block.short_kw[0].value, block.long_kw[1].value] == pytest.approx([2.0, 2.0])
    assert optimum(moved).objective == pytest.approx(0.4)
    assert planned(committed(site, job, (0.0, 2.0), 0.2)).account.import_kw.tolist() == pytest.approx([0.0, 2.0], abs=0.01)
    assert planned(moved).account.cost["imbalance"] == pytest.approx(0.2, rel=0.01)


def test_steps_that_nobody_committed_are_free(site: Any, job: Any, optimum: Any) -> None:
    """Only the dear hour is committed, to nothing: the job runs in the cheap one for 0.2, at any premium."""
    assert optimum(committed(site, job, (None, 0.0), 5.0)).objective == pytest.approx(0.2)


def test_a_limit_goes_before_the_position(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """3 kW of base load under a limit of 2.5 kW, though 4 kW were committed at 100 a kWh: 0.5 over, long 1.

    0.1 * 3 + 1000 * 0.5 + 100 * 1 = 600.3.
    """
    problem = site((1.0,), (0.1,), halls=(Hall("hall", "root", base_kw=3.0),), limit_kw=2.5, gpus=0.0, position=Position((4.0,), 100.0))
    assert optimum(problem).objective == pytest.approx(600.3)
    account = planned(problem).account
    assert account.cost["imbalance"] == pytest.approx(100.0)
    assert account.objective == pytest.approx(600.3)


def test_a_contract_goes_before_the_position(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """Nothing was committed and a kWh off costs 10, yet 2 kWh do 8 GPU h worth 50 each."""
    plan = planned(committed(site, job, (0.0, 0.0), 10.0))
    assert plan.account.import_kw.sum() == pytest.approx(2.0, rel=0.01)
    assert plan.account.breach["unfinished_gpu_h"].max() < 1e-3


@pytest.mark.parametrize("seed", range(8))
def test_account_and_program_agree_on_what_leaving_a_position_costs(random_site: Any, planned: Callable[[Problem], Plan], seed: int) -> None:
    """The account of a plan is that of the program up to rounding, and never below it by more than the program's own reserve."""
    problem = random_site(seed, lowest_price=0.01)
    free = planned(problem)
    kw = tuple((free.account.import_kw * np.where(np.arange(len(problem.horizon)) % 2, 1.1, 0.8)).tolist())
    plan = planned(replace(problem, position=Position(kw, 0.05)))
    off_kwh = float(np.abs(plan.account.import_kw - np.array(kw)) @ problem.horizon.h)
    assert plan.account.cost["imbalance"] == pytest.approx(0.05 * off_kwh)
    if not plan.account.is_breached and not free.account.is_breached:
        assert plan.account.objective >= plan.record.bound - 1e-3 * max(1.0, abs(plan.record.bound))


def test_golden_rows(site: Any, job: Any, golden: Any) -> None:
    golden(committed(site, job, (None, 2.0), 0.2), "position.settles")
