"""Stops: an exact plan pays for each pause of a gang in full, and is proven against what that costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from models.plan import Plan, make_plan
from models.problem import Problem
from models.solving.exact import Exact, Found
from models.telling.why import Cause

Best = Callable[..., Found]
CHEAP_DEAR_CHEAP = ((1.0, 1.0, 1.0), (0.1, 0.15, 0.1))


@pytest.mark.parametrize(("price", "bound", "cost"), [(0.005, 0.45, 0.45), (0.02, 0.45, 0.5), (0.004, 0.44, 0.44)])
def test_half_a_gang_through_a_dear_hour_is_no_plan(site: Any, job: Any, optimum: Any, best: Best, price: float, bound: float, cost: float) -> None:
    """16 GPU h are two of three hours at 0.2 and a dear one between at 0.3: ten GPUs pause for 10 * price, or run through for 0.1."""
    problem = site(*CHEAP_DEAR_CHEAP, jobs=(job(16.0, 3.0, pause_price_per_gpu=price),))
    assert optimum(problem).objective == pytest.approx(bound)
    assert best(problem, 1).solved.objective == pytest.approx(cost)


def test_a_gang_that_stops_inside_a_step_and_goes_on_has_stopped(site: Any, job: Any, optimum: Any, best: Best) -> None:
    """17.6 GPU h: 16 in the two cheap hours for 0.4, and a fifth of the dear one for 0.06. To the program 8 of 10 GPUs pause, at 0.005."""
    problem = site(*CHEAP_DEAR_CHEAP, jobs=(job(17.6, 3.0, pause_price_per_gpu=0.005),))
    assert optimum(problem).objective == pytest.approx(0.46 + 0.04)
    assert best(problem, 1).solved.objective == pytest.approx(0.46 + 0.05)


@pytest.mark.parametrize(("running", "first", "cost"), [(False, 0.0, 0.2), (True, 10.0, 0.3)])
def test_a_gang_that_runs_now_has_stopped_where_it_waits(
    site: Any, job: Any, best: Best, running: bool, first: float, cost: float
) -> None:
    """8 GPU h for 0.3 now or 0.2 an hour later, and 0.2 for stopping ten GPUs that run."""
    found = best(site(price_per_kwh=(0.15, 0.1), jobs=(job(8.0, pause_price_per_gpu=0.02, running=running),)), 1)
    assert found.session.values(found.model.workload.gpus)[0, 0, 0] == pytest.approx(first)
    assert found.solved.objective == pytest.approx(cost)


def test_why_a_gang_waits_for_the_dear_hour_to_pass_is_told_of_it_and_its_step(site: Any, job: Any) -> None:
    """A GPU hour costs 0.03 of energy there; 0.025 more keep the gang off, and are told as its own."""
    plan = make_plan(site(*CHEAP_DEAR_CHEAP, jobs=(job(16.0, 3.0, pause_price_per_gpu=0.004),)), 10.0, Exact(1e-4))
    assert isinstance(plan, Plan)
    causes = {cause for cause in plan.why.gpu(0, 0, 1) if cause.family.startswith("stops")}
    assert causes == {Cause("stops.is_on", "job", 1)}


def test_a_gang_that_leaves_work_for_after_the_horizon_goes_on_up_to_its_last_step(site: Any, job: Any, best: Best) -> None:
    """24 GPU h: 16 in two hours for 0.4, and a third hour at 0.3, in which 8 cost 0.6, or 0.08 after the horizon and a pause of ten GPUs.

    A gang that leaves c GPU h pauses c / 24 of itself, less what goes on, to the program: so a quarter of the hour, for 0.15, and c = 6.
    """
    problem = site((1.0,) * 3, (0.1, 0.1, 0.3), jobs=(job(24.0, 4.0, carry_price_per_gpu_h=0.01, pause_price_per_gpu=0.06),))
    assert best(problem, 1).solved.objective == pytest.approx(0.4 + 0.15 + 0.06)
    plan = make_plan(problem, 10.0, Exact(1e-4))
    assert isinstance(plan, Plan)
    assert plan.account.running[0].tolist() == pytest.approx([10.0, 10.0, 2.5])
    assert plan.account.objective == pytest.approx(0.4 + 0.15 + 0.06)


def test_a_gang_that_leaves_work_has_stopped_unless_it_runs_for_a_moment_of_the_last_step(site: Any, job: Any, optimum: Any, best: Best) -> None:
    """The same at a price of 0.02, and 8 GPU h at most are left: to the program those, for 0.08, and a third of the gang pauses.

    Whole, ten GPUs do, or a thousandth of the last hour is run, for 0.0006: then 7.992 GPU h are left, and 10 * 7.992 / 24 - 0.01 pause.
    """
    problem = site((1.0,) * 3, (0.1, 0.1, 0.3), jobs=(job(24.0, 3.8, carry_price_per_gpu_h=0.01, pause_price_per_gpu=0.02),))
    assert optimum(problem).objective == pytest.approx(0.4 + 0.08 + 0.2 / 3)
    assert best(problem, 1).solved.objective == pytest.approx(0.4006 + 0.07992 + 0.02 * 3.32)


@pytest.mark.parametrize("seed", range(12))
def test_no_rounded_plan_costs_less_than_the_best_is_proven_to(random_site: Callable[..., Problem], seed: int) -> None:
    free = random_site(seed, cooled=False, lowest_price=0.01)
    jobs = tuple(
        replace(each, pause_price_per_gpu=0.03 * (i % 3), running=i % 2 == 0 and each.arrival_h == 0) for i, each in enumerate(free.jobs)
    )
    rounded, plan = (make_plan(replace(free, jobs=jobs), 20.0, exact) for exact in (None, Exact(1e-4)))
    assert isinstance(rounded, Plan)
    assert isinstance(plan, Plan)
    assert plan.record.proof is not None
    if not rounded.account.is_breached and plan.record.proof.bound is not None:
        assert rounded.account.objective >= plan.record.proof.bound - 1e-3 * max(1.0, abs(plan.record.bound))


GOLDEN = ("is_on", "goes_through", "stops_after", "stops_inside", "carries_on", "runs_at_end", "pauses", "pauses_at_end")


@pytest.mark.parametrize("family", GOLDEN)
def test_golden_rows(site: Any, job: Any, golden: Any, family: str) -> None:
    jobs = (job(8.0, 3.0, pause_price_per_gpu=0.5, running=True), job(8.0, 1.5, id="other", arrival_h=0.25, pause_price_per_gpu=0.2))
    golden(site((0.5, 0.5, 1.0), (0.1,) * 3, jobs=jobs), f"stops.{family}")
