"""Pause: stopping a job and starting it again costs, its end does not; gangs pause whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.plan import Plan
from models.problem import Problem
from models.work.pause import paused_gpus, times

CHEAP_DEAR_CHEAP = ((1.0, 1.0, 1.0), (0.1, 0.15, 0.1))


def test_a_job_pauses_where_that_costs_less_than_the_dear_hour(site: Any, job: Any, optimum: Any, planned: Callable[[Problem], Plan]) -> None:
    """16 GPU h are ten GPUs at 200 W, 2 kWh an hour, for two of three hours: 0.2 each in the cheap ones and 10 * 0.004 between."""
    problem = site(*CHEAP_DEAR_CHEAP, jobs=(job(16.0, 3.0, pause_price_per_gpu=0.004),))
    assert optimum(problem).objective == pytest.approx(0.44)
    plan = planned(problem)
    assert plan.account.cost["pauses"] == pytest.approx(0.04)
    assert plan.account.objective == pytest.approx(0.44)
    assert plan.status == "optimal"


def test_an_elastic_job_keeps_half_of_its_gpus_through_the_dear_hour(
    site: Any, job: Any, optimum: Any, planned: Callable[[Problem], Plan]
) -> None:
    """At 0.02 a GPU: ten, five and five cost 0.2 + 0.15 + 0.1, and the five that stop first have ended."""
    problem = site(*CHEAP_DEAR_CHEAP, jobs=(job(16.0, 3.0, pause_price_per_gpu=0.02, elastic=True),))
    assert optimum(problem).objective == pytest.approx(0.45)
    plan = planned(problem)
    assert plan.account.running[0].tolist() == pytest.approx([10.0, 5.0, 5.0])
    assert plan.account.cost["pauses"] == pytest.approx(0.0)


@pytest.mark.parametrize(("price", "dear", "cost"), [(0.005, 0.0, 0.4 + 0.05), (0.02, 10.0, 0.2 + 0.3)])
def test_a_gang_does_not_keep_half_of_itself_but_pauses_or_runs_through(
    site: Any, job: Any, planned: Callable[[Problem], Plan], price: float, dear: float, cost: float
) -> None:
    """The pause costs 0.05 or 0.2, the dear hour instead of a cheap one 0.1; half a gang, at 0.45, is none."""
    plan = planned(site(*CHEAP_DEAR_CHEAP, jobs=(job(16.0, 3.0, pause_price_per_gpu=price),)))
    assert plan.account.running[0, 1] == pytest.approx(dear)
    assert plan.account.objective == pytest.approx(cost)


def test_a_gang_is_not_started_again_for_a_moment(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """8.8 GPU h: an hour and a tenth of another, for 0.02 in the third hour or 0.03 in the second, beside the first.

    A part of a gang, one GPU, would pause for 0.0025; all ten for 0.025, which is more than the 0.01 it saves.
    """
    plan = planned(site(*CHEAP_DEAR_CHEAP, jobs=(job(8.8, 3.0, pause_price_per_gpu=0.0025),)))
    assert plan.account.running[0].tolist() == pytest.approx([10.0, 1.0, 0.0])
    assert plan.account.objective == pytest.approx(0.23)


@pytest.mark.parametrize(("running", "cost"), [(False, 0.2), (True, 0.24)])
def test_a_job_that_runs_now_pays_for_waiting(site: Any, job: Any, optimum: Any, running: bool, cost: float) -> None:
    """8 GPU h for 0.2 in the second hour, 0.3 now; to stop now ten GPUs that run costs 10 * 0.004."""
    problem = site(price_per_kwh=(0.15, 0.1), jobs=(job(8.0, pause_price_per_gpu=0.004, running=running),))
    assert optimum(problem).objective == pytest.approx(cost)


@pytest.mark.parametrize(("running", "cost"), [(False, 0.2), (True, 0.3)])
def test_a_gang_that_runs_now_goes_on_where_stopping_costs_more(
    site: Any, job: Any, planned: Callable[[Problem], Plan], running: bool, cost: float
) -> None:
    """Stopping costs 0.2, the dear hour 0.1 more than the cheap one."""
    plan = planned(site(price_per_kwh=(0.15, 0.1), jobs=(job(8.0, pause_price_per_gpu=0.02, running=running),)))
    assert plan.account.objective == pytest.approx(cost)
    assert plan.account.cost["pauses"] == 0.0


def test_work_left_for_after_the_horizon_is_no_end(site: Any, job: Any, optimum: Any, planned: Callable[[Problem], Plan]) -> None:
    """A job that runs now, all of it carried at 0.01 a GPU h instead of 0.2 now: 0.08, and 10 * 0.004 for stopping."""
    problem = site((1.0,), (0.1,), jobs=(job(8.0, 3.0, pause_price_per_gpu=0.004, running=True, carry_price_per_gpu_h=0.01),))
    assert optimum(problem).objective == pytest.approx(0.12)
    assert planned(problem).account.objective == pytest.approx(0.12)


def test_a_job_that_is_running_when_the_horizon_ends_has_not_paused(
    site: Any, job: Any, optimum: Any, planned: Callable[[Problem], Plan]
) -> None:
    """16 GPU h with 0.8 h after the horizon for half of them: 8 in the cheap second hour, 8 carried; a start, no pause."""
    problem = site(price_per_kwh=(0.15, 0.1), jobs=(job(16.0, 2.8, pause_price_per_gpu=1.0, carry_price_per_gpu_h=0.001),))
    assert optimum(problem).objective == pytest.approx(0.2 + 0.008)
    assert planned(problem).account.cost["pauses"] == 0.0


def test_jobs_whose_pauses_cost_nothing_have_no_rows(site: Any, job: Any, optimum: Any) -> None:
    free = optimum(site(jobs=(job(8.0), job(4.0, elastic=True, running=True)))).session.shape
    assert optimum(site(jobs=(job(8.0, pause_price_per_gpu=1.0), job(4.0, elastic=True, running=True)))).session.shape == (
        free[0] + 3,
        free[1] + 3,
    )


FULL = np.ones(4)


@pytest.mark.parametrize(
    ("share", "running", "carried", "pauses"),
    [
        ([0, 0, 0, 0], False, 0.0, 0),
        ([1, 1, 0.5, 0], False, 0.0, 0),
        ([0.5, 1, 0.5, 0], False, 0.0, 0),
        ([1, 0, 1, 0], False, 0.0, 1),
        ([1, 0.5, 1, 0], False, 0.0, 1),
        ([1, 0, 1, 0], False, 2.0, 2),
        ([1, 0, 1, 1], False, 2.0, 1),
        ([0, 0, 0, 0], True, 0.0, 0),
        ([0, 0, 0, 0], True, 2.0, 1),
        ([0, 1, 1, 0], True, 0.0, 1),
        ([0.5, 1, 1, 0], True, 0.0, 1),
        ([1, 1, 0, 0], True, 0.0, 0),
    ],
)
def test_pauses_are_stops_that_are_not_the_end(job: Any, share: list[float], running: bool, carried: float, pauses: int) -> None:
    gang = job(20.0, 9.0, running=running, pause_price_per_gpu=1.0)
    assert times(gang, np.array(share, float), FULL, carried) == pauses
    assert paused_gpus(gang, 10 * np.array(share, float), FULL, carried) == 10 * pauses


@pytest.mark.parametrize(
    ("gpus", "carried", "paused"), [([10, 6, 10, 0], 0.0, 4.0), ([4, 8, 2, 8], 0.0, 4.0), ([10, 6, 0, 0], 10.0, 5.0), ([0, 2, 4, 4], 10.0, 0.0)]
)
def test_of_an_elastic_job_those_gpus_pause_that_start_again(job: Any, gpus: list[float], carried: float, paused: float) -> None:
    """Four of ten; 4 + 4 + 6 starts of ten GPUs; half of the work left: half of the GPUs are to start again."""
    assert paused_gpus(job(20.0, 9.0, elastic=True), np.array(gpus, float), FULL, carried) == pytest.approx(paused)


@pytest.mark.parametrize("seed", range(20))
def test_the_program_never_counts_more_than_happens_and_pauses_break_nothing(
    random_site: Callable[..., Problem], planned: Callable[[Problem], Plan], optimum: Any, seed: int
) -> None:
    free = random_site(seed, cooled=False, lowest_price=0.01)
    jobs = tuple(
        replace(each, pause_price_per_gpu=0.03 * (i % 3), running=i % 2 == 0 and each.arrival_h == 0) for i, each in enumerate(free.jobs)
    )
    plan, bound = planned(replace(free, jobs=jobs)), optimum(replace(free, jobs=jobs)).objective
    assert plan.account.objective >= bound - 1e-6 * max(1.0, abs(bound))
    assert not plan.account.is_breached or planned(free).account.is_breached


def test_golden_rows(site: Any, job: Any, golden: Any) -> None:
    jobs = (job(8.0, 3.0, pause_price_per_gpu=0.5, running=True), job(8.0, 1.5, id="other", arrival_h=0.5, pause_price_per_gpu=0.2))
    problem = site((0.5, 1.0), jobs=jobs)
    for family in ("pause.counts", "pause.leaves"):
        golden(problem, family)
