"""Minimum run: a gang that has started runs on for a while, unless its work is done or a limit or an operator asks otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.baseline import baseline
from models.horizon import Horizon
from models.plan import Plan, make_plan
from models.problem import Problem
from models.sending.first_step import started
from models.solving.exact import Exact
from models.solving.settle import is_owed
from models.work.minimum_run import owed_h, recent, runs, too_short

FIVE = (1.0,) * 5
DEAR_BETWEEN = (0.1, 0.3, 0.1, 0.3, 0.1)


def running_gpus(plan: Plan) -> list[float]:
    return [float(gpus) for gpus in plan.account.running[0]]


def test_a_gang_that_may_stop_takes_the_cheap_hours_and_one_with_a_minimum_run_takes_one_run(
    site: Any, job: Any, planned: Callable[[Problem], Plan]
) -> None:
    """24 GPU h are ten GPUs at 200 W, 2 kW, for three hours: 0.2 in each cheap one; in one run 0.2 + 0.6 + 0.2."""
    free = planned(site(FIVE, DEAR_BETWEEN, jobs=(job(24.0, 5.0),)))
    assert running_gpus(free) == pytest.approx([10.0, 0.0, 10.0, 0.0, 10.0])
    kept = planned(site(FIVE, DEAR_BETWEEN, jobs=(job(24.0, 5.0, min_run_h=2.0),)))
    assert running_gpus(kept) == pytest.approx([10.0, 10.0, 10.0, 0.0, 0.0])
    assert kept.account.objective == pytest.approx(1.0)
    assert not kept.account.is_breached


def test_the_program_itself_lets_no_part_of_a_gang_stop_that_has_started(site: Any, job: Any, optimum: Any) -> None:
    """24 GPU h in four hours at 0.1, 0.4, 0.1 and 0.1, and no run under two hours.

    Where it may stop, three cheap hours at 200 W cost 0.6. Else 20 in the last two at 300 W cost as much, and 4 more GPU h take
    20/9 GPUs through the first two, at 300 W and then at 200 W: 1.8 GPU h each, for 0.03 + 0.08.
    """
    four, prices = (1.0,) * 4, (0.1, 0.4, 0.1, 0.1)
    assert optimum(site(four, prices, jobs=(job(24.0, 4.0),))).objective == pytest.approx(0.6)
    assert optimum(site(four, prices, jobs=(job(24.0, 4.0, min_run_h=2.0),))).objective == pytest.approx(0.6 + 0.11 * 20 / 9)


@pytest.mark.parametrize(("still_h", "bound", "sent", "cost"), [(0.0, 0.2, 0.0, 0.2), (0.5, 0.4, 10.0, 0.6), (1.0, 0.52, 10.0, 0.6)])
def test_a_gang_that_runs_now_goes_on_for_what_is_left_of_its_minimum(
    site: Any, job: Any, optimum: Any, planned: Any, still_h: float, bound: float, sent: float, cost: float
) -> None:
    """8 GPU h for 0.6 now or 0.2 an hour later; the half of the step that it is still to run is a whole one to a gang.

    All its GPUs at full speed would be done in 0.8 h, so the program holds it to that much: 6.4 GPU h for 0.48, and 1.6 for 0.04.
    """
    problem = site(price_per_kwh=(0.3, 0.1), jobs=(job(8.0, running=True, min_run_h=1.0, still_h=still_h),))
    assert optimum(problem).objective == pytest.approx(bound)
    plan = planned(problem)
    assert running_gpus(plan) == pytest.approx([sent, 10.0 - sent])
    assert plan.account.objective == pytest.approx(cost)


def test_it_ends_earlier_where_its_work_is_done(site: Any, job: Any, planned: Any) -> None:
    """4 GPU h of ten GPUs in its minimum run: half an hour at 200 W for 0.3, not 0.1 in the cheap hour, and then no more."""
    plan = planned(site(price_per_kwh=(0.3, 0.1), jobs=(job(4.0, running=True, min_run_h=2.0, still_h=1.5),)))
    assert running_gpus(plan) == pytest.approx([5.0, 0.0])
    assert plan.account.objective == pytest.approx(0.3)
    assert not plan.account.is_breached


def test_only_a_limit_cuts_it_short_and_the_plan_says_by_how_much(site: Any, job: Any, planned: Any) -> None:
    """0.5 kW are too little for ten GPUs at 100 W: half an hour of ten, 5 GPU h, at 50 each; then 8 GPU h for 0.2."""
    problem = site(price_per_kwh=(0.3, 0.1), limit_kw=(0.5, 100.0), jobs=(job(8.0, running=True, min_run_h=1.0, still_h=0.5),))
    plan = planned(problem)
    assert running_gpus(plan) == pytest.approx([0.0, 10.0])
    assert plan.account.breach["cut_short_gpu_h"].tolist() == [[pytest.approx(5.0), 0.0]]
    assert plan.account.breach["over_limit_kw"].tolist() == pytest.approx([0.0, 0.0])
    assert plan.account.objective == pytest.approx(250.2)
    assert dict(plan.record.tiers)["contract_gpu_h"] == pytest.approx(5.0)


def test_of_two_gangs_one_in_its_minimum_run_keeps_its_gpus(site: Any, job: Any, planned: Any) -> None:
    """12 GPUs for two gangs of ten with an hour's work each, the first in the file due earlier: still the other runs on."""
    one = job(7.0, 2.0, id="one")
    other = job(7.0, 3.0, id="other", running=True, min_run_h=1.0, still_h=0.25)
    problem = site((0.25, 1.0, 1.0, 1.0), (0.3, 0.1, 0.1, 0.1), gpus=12.0, jobs=(one, other))
    plan = planned(problem)
    assert plan.account.running[:, 0].tolist() == pytest.approx([0.0, 10.0])
    assert [is_owed(problem, w) for w in range(2)] == [False, True]
    assert started(problem, plan.schedule.groups) == {1: 10}


def test_what_an_operator_holds_or_a_pool_has_no_gpus_for_is_not_owed(site: Any, job: Any, planned: Any) -> None:
    running = job(8.0, running=True, min_run_h=1.0, still_h=1.0)
    held = planned(site(price_per_kwh=(0.3, 0.1), jobs=(replace(running, order=("hold", None)),)))
    taken = site(price_per_kwh=(0.3, 0.1), jobs=(running,))
    taken = planned(replace(taken, pools=(replace(taken.pools[0], available=(5.0, 10.0)),)))
    for plan in (held, taken):
        assert running_gpus(plan) == pytest.approx([0.0, 10.0])
        assert not plan.account.is_breached


def test_the_site_without_control_keeps_it_too(site: Any, job: Any) -> None:
    problem = site(FIVE, DEAR_BETWEEN, jobs=(job(24.0, 5.0, running=True, min_run_h=2.0, still_h=1.0),))
    groups = baseline(problem).groups
    assert groups.t.tolist() == [0, 1, 2]


def test_an_exact_plan_keeps_it_in_its_whole_steps(site: Any, job: Any) -> None:
    """12 GPU h: 8 and 4 in the two cheap hours at 200 W cost 0.3. In one run 10 at 300 W and 2 at 200 W cost 0.3 + 0.15.

    They could be done in 1.2 h, before the second hour's end, so that the linear program's rows say nothing.
    """
    three, prices = (1.0,) * 3, (0.1, 0.3, 0.1)
    for least_h, cost in ((0.0, 0.3), (2.0, 0.45)):
        plan = make_plan(site(three, prices, jobs=(job(12.0, 3.0, min_run_h=least_h),)), 20.0, Exact(1e-4, 3))
        assert isinstance(plan, Plan)
        assert plan.record.proof is not None
        assert plan.record.proof.bound == pytest.approx(cost, abs=1e-3)
        assert plan.account.objective == pytest.approx(cost, abs=1e-3)


def test_jobs_that_ask_for_none_and_elastic_ones_have_no_rows(site: Any, job: Any, optimum: Any) -> None:
    free = optimum(site(FIVE, DEAR_BETWEEN, jobs=(job(24.0, 5.0), job(4.0, elastic=True, id="b")))).session.shape
    asking = optimum(site(FIVE, DEAR_BETWEEN, jobs=(job(24.0, 5.0), job(4.0, elastic=True, id="b", min_run_h=2.0, running=True, still_h=1.0))))
    assert asking.session.shape == free


HORIZON = Horizon((0.5, 0.5, 1.0, 1.0))


def test_which_starts_keep_a_gang_on(job: Any) -> None:
    """30 GPU h are done in three hours at the earliest, so not in the last but at its end; a run of 1.5 h covers up to two steps more."""
    asked = {1: [0, 1]}
    assert recent(job(30.0, 9.0, min_run_h=1.0), np.ones(4), HORIZON) == asked
    assert recent(job(30.0, 9.0, min_run_h=1.5), np.ones(4), HORIZON) == asked | {2: [1, 2]}
    assert recent(job(30.0, 9.0, min_run_h=2.0), np.ones(4), HORIZON) == asked | {2: [0, 1, 2], 3: [2, 3]}
    assert recent(job(10.0, 9.0, min_run_h=2.0), np.ones(4), HORIZON) == asked
    assert recent(job(30.0, 9.0, min_run_h=2.0), np.array([1.0, 0.0, 1.0, 1.0]), HORIZON) == {3: [2, 3]}
    assert recent(job(30.0, 9.0, min_run_h=1.5, arrival_h=0.25), np.array([0.5, 1.0, 1.0, 0.5]), HORIZON) == {1: [0, 1], 2: [1, 2]}


@pytest.mark.parametrize(
    ("still_h", "work", "share", "owed"),
    [
        (1.25, 30.0, [1, 1, 1, 1], [0.5, 0.5, 0.25, 0]),
        (1.25, 7.0, [1, 1, 1, 1], [0.5, 0.2, 0, 0]),
        (1.25, 30.0, [1, 0, 1, 1], [0.5, 0, 0, 0]),
        (1.25, 30.0, [1, 0.5, 0, 0], [0.5, 0.25, 0, 0]),
        (0.0, 30.0, [1, 1, 1, 1], [0, 0, 0, 0]),
    ],
)
def test_how_long_a_gang_is_still_to_run(job: Any, still_h: float, work: float, share: list[float], owed: list[float]) -> None:
    """No longer than it needs for all its work at full speed, nor after its window is broken."""
    assert owed_h(job(work, 9.0, running=True, still_h=still_h), np.array(share, float), HORIZON) == pytest.approx(owed)
    assert not owed_h(job(work, 9.0, still_h=still_h), np.array(share, float), HORIZON).any()


@pytest.mark.parametrize(
    ("share", "carried", "spans", "short"),
    [
        ([1, 0, 1, 1], 0.0, [(0, 0), (2, 3)], {(0, 0): 0.5}),
        ([1, 1, 0, 1], 0.0, [(0, 1), (3, 3)], {}),
        ([1, 1, 0.2, 0], 0.0, [(0, 2)], {}),
        ([0.5, 0, 0, 1], 0.0, [(0, 0), (3, 3)], {(0, 0): 0.75}),
        ([1, 0.5, 1, 0], 0.0, [(0, 1), (2, 2)], {(0, 1): 0.25}),
        ([0, 0, 0.5, 0], 2.0, [(2, 2)], {(2, 2): 0.5}),
        ([0, 0, 0, 0.5], 2.0, [(3, 3)], {}),
    ],
)
def test_a_run_is_too_short_where_it_ends_before_its_minimum_with_work_left_to_do(
    job: Any, share: list[float], carried: float, spans: list[tuple[int, int]], short: dict[tuple[int, int], float]
) -> None:
    """One hour at least; the last run may be shorter where nothing is left, and one that the horizon ends."""
    gang, on = job(20.0, 9.0, min_run_h=1.0), np.array(share, float)
    assert runs(gang, on, np.ones(4)) == spans
    assert too_short(gang, on, np.ones(4), HORIZON, carried) == pytest.approx(short)


def with_minimum_runs(problem: Problem, seed: int) -> Problem:
    """The same problem, gangs asking for up to two hours, some of them running."""
    rng = np.random.default_rng((seed, 9))
    jobs = []
    for each in problem.jobs:
        least_h, runs_now = float(rng.choice([0.0, 0.5, 1.0, 2.0])), bool(rng.random() < 0.4) and each.arrival_h == 0
        still_h = least_h * float(rng.random()) if runs_now else 0.0
        jobs.append(replace(each, pause_price_per_gpu=0.0, min_run_h=least_h, running=runs_now, still_h=still_h))
    return replace(problem, jobs=tuple(jobs))


@pytest.mark.parametrize("seed", range(30))
def test_any_site_keeps_what_is_owed_or_says_that_it_does_not(random_site: Any, planned: Any, seed: int) -> None:
    """What a gang in its minimum run is sent: all of it, or nothing and the account owns up to it."""
    problem = with_minimum_runs(random_site(seed), seed)
    plan = planned(problem)
    sent = started(problem, plan.schedule.groups)
    for i in range(len(problem.jobs)):
        w = len(problem.firms) + i
        if is_owed(problem, w) and w not in sent:
            assert plan.account.breach["cut_short_gpu_h"][i, 0] > 0
    if "cut_short_gpu_h" in plan.account.breach and (plan.account.breach["cut_short_gpu_h"] > 1e-3).any():
        assert plan.record.tiers


@pytest.mark.parametrize(("seed", "before"), [(8, 2), (20, 4), (26, 3), (29, 2)])
def test_runs_that_are_too_short_are_mended(large_site: Any, planned: Any, seed: int, before: int) -> None:
    """As many gangs as `before` would stop too early where none asked."""
    problem = with_minimum_runs(large_site(seed), seed)

    def short(plan: Plan) -> int:
        first = len(problem.firms)
        return sum(
            len(too_short(job, plan.account.running[first + i] / job.gpus, problem.cells.share[first + i], problem.horizon, carried))
            for i, (job, carried) in enumerate(zip(problem.jobs, plan.account.carried_gpu_h.tolist(), strict=True))
        )

    free = replace(problem, jobs=tuple(replace(job, min_run_h=0.0, still_h=0.0) for job in problem.jobs))
    assert short(planned(free)) == before
    assert short(planned(problem)) == 0


def test_golden_rows(site: Any, job: Any, golden: Any) -> None:
    jobs = (job(30.0, 9.0, running=True, min_run_h=2.0, still_h=0.75), job(30.0, 3.0, id="other", arrival_h=0.25, min_run_h=1.5))
    problem = site(HORIZON.hours, (0.1,) * 4, gpus=20.0, jobs=jobs)
    for family in ("minimum_run.keeps_on", "minimum_run.goes_on"):
        golden(problem, family)


def test_golden_rows_of_whole_steps(site: Any, job: Any, golden: Any) -> None:
    golden(site(HORIZON.hours, (0.1,) * 4, jobs=(job(30.0, 9.0, running=True, min_run_h=1.5),)), "whole.runs_on")
