"""Movable and pools: a job that may run in one of several pools runs where its work is done best, and only there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from models.choosing.pools import placed, spread
from models.plan import Plan
from models.power.feeder import Feeder
from models.problem import Problem
from models.solving.tiers import breaks_less
from models.work.job import Job


@pytest.fixture
def two_pools(site: Any) -> Callable[..., Problem]:
    """Ten GPUs in `pool` and ten in `side`, each under a feeder of its own, of `side_kw` in the latter's case."""

    def made(hours: tuple[float, ...], prices: tuple[float, ...], jobs: tuple[Job, ...], side_kw: float = 1000.0, **assets: Any) -> Problem:
        (pool,) = site(hours, prices).pools
        feeders = (Feeder("root", None, 1000.0), Feeder("row", "root", side_kw))
        return site(hours, prices, feeders=feeders, pools=(pool, replace(pool, id="side", feeder="row")), jobs=jobs, **assets)

    return made


@pytest.fixture
def movable(job: Any) -> Callable[..., Job]:
    """A job of `pool` that may run in `side` instead."""

    def made(*what: float, **terms: Any) -> Job:
        here: Job = job(*what, **terms)
        return replace(here, elsewhere=(replace(here, pool="side"),))

    return made


def test_the_parts_of_a_job_share_its_gpus_and_its_work(two_pools: Any, movable: Any, optimum: Any) -> None:
    """16 GPU h on ten GPUs: 10 at 300 W in the cheap hour, 0.3, the rest at 200 W in the dear one, 6 * 0.075.

    On the twenty GPUs of both pools all would be done in the cheap hour, for 0.4; if each part had its own work, for twice as much.
    """
    parts = spread(two_pools((1.0, 1.0), (0.1, 0.3), (movable(16.0),)))
    assert optimum(parts).objective == pytest.approx(0.75)


def test_a_job_goes_where_a_rental_leaves_gpus(two_pools: Any, movable: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """Where it is at home all ten GPUs are rented: the site without control never runs it."""
    plan = planned(two_pools((1.0,), (0.1,), (movable(8.0, 1.0),), firms=(firm(),)))
    assert [job.pool for job in plan.problem.jobs] == ["side"]
    assert not plan.account.is_breached
    assert plan.baseline.breach["unfinished_gpu_h"].tolist() == [8.0]


def test_a_job_stays_at_home_where_the_other_feeder_is_too_small(two_pools: Any, movable: Any, planned: Callable[[Problem], Plan]) -> None:
    """Half of it would fit under the other feeder (1 of 2 kW); a plan does not split it."""
    plan = planned(two_pools((1.0,), (0.1,), (movable(8.0, 1.0),), side_kw=1.0))
    assert [job.pool for job in plan.problem.jobs] == ["pool"]
    assert plan.status == "optimal"


def test_equal_jobs_are_spread_over_equal_pools_and_one_that_cannot_move_chooses_first(
    two_pools: Any, movable: Any, job: Any, planned: Callable[[Problem], Plan]
) -> None:
    """Three gangs of five, of an hour each in one hour, beside one of five that is at home in the first pool: two and two."""
    five = {"gpus": 5}
    jobs = (*(movable(5.0, 1.0, id=f"job{i}", **five) for i in range(3)), job(5.0, 1.0, id="fixed", **five))
    plan = planned(two_pools((1.0,), (0.1,), jobs))
    assert sorted(job.pool for job in plan.problem.jobs) == ["pool", "pool", "side", "side"]
    assert plan.problem.jobs[3].pool == "pool"
    assert not plan.account.is_breached


def test_choosing_does_not_change_what_is_asked(two_pools: Any, movable: Any, optimum: Any) -> None:
    problem = two_pools((1.0,), (0.1,), (movable(8.0, 1.0, pause_price_per_gpu=0.5),))
    parts = spread(problem)
    assert [job.pause_price_per_gpu for job in parts.jobs] == [0.0, 0.0]
    (chosen,) = placed(problem, parts, optimum(parts).session).jobs
    assert chosen in (replace(problem.jobs[0], elsewhere=()), *problem.jobs[0].elsewhere)


def test_a_problem_without_movable_jobs_is_left_as_it_is(site: Any, job: Any) -> None:
    problem = site(jobs=(job(8.0),))
    assert spread(problem).jobs == problem.jobs


@pytest.mark.parametrize("seed", range(8))
def test_movable_jobs_do_their_work_in_one_pool_and_no_worse_than_at_home(
    random_site: Callable[..., Problem], planned: Callable[[Problem], Plan], seed: int
) -> None:
    problem = random_site(seed, cooled=False)
    other = {"pool": "side", "side": "pool"}
    jobs = tuple(replace(job, elsewhere=(replace(job, pool=other[job.pool]),)) for job in problem.jobs)
    plan = planned(replace(problem, jobs=jobs))
    first = len(problem.firms)
    done = plan.account.work_gpu_h[first:].sum(axis=1) + plan.account.carried_gpu_h + plan.account.breach["unfinished_gpu_h"]
    assert done.tolist() == pytest.approx([job.work_gpu_h for job in jobs])
    stay = planned(problem).account
    breaks = breaks_less(stay, plan.account)
    assert not breaks
    assert breaks is not None or plan.account.objective <= stay.objective
    for pool in problem.pools:
        mine = [w for w, load in enumerate(plan.problem.workloads) if load.pool == pool.id]
        assert (plan.account.running[mine].sum(axis=0) <= [gpus + 1e-6 for gpus in pool.available]).all()


def test_golden_rows(two_pools: Any, movable: Any, golden: Any) -> None:
    problem = spread(two_pools((0.5, 1.0), (0.1, 0.3), (movable(8.0, 1.0),)))
    golden(problem, "movable.shares")
    golden(problem, "job.works_elsewhere")


def test_work_done_elsewhere_counts_and_is_done_there(two_pools: Any, movable: Any, firm: Any, optimum: Any) -> None:
    """All ten GPUs at home are rented, for 1 kWh at 100 W at least; 8 GPU h at 200 W elsewhere are 2 kWh more."""
    best = optimum(spread(two_pools((1.0,), (0.1,), (movable(8.0, 1.0),), firms=(firm(),))))
    assert best.objective == pytest.approx(0.3)
    assert best.model.job.elsewhere_gpu_h[1].value == pytest.approx(8.0)
