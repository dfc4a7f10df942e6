"""Bench sites: what is measured is what it says, and one step later it is nearly the same."""

from __future__ import annotations

import time

import numpy as np
import pytest

from models.plan import Plan, make_plan
from models.work.gpu import ladder
from tests.bench.sites import CURVES, HOST, SIZES, STEPS, a_bench_site, rolled


@pytest.mark.parametrize("steps", ["non-uniform", "uniform"])
def test_a_bench_site_is_a_day_of_jobs_on_four_pools_a_hall(steps):
    problem = a_bench_site(*SIZES["S"], steps)
    assert problem.horizon.hours == STEPS[steps]
    assert problem.horizon.end_h == pytest.approx(24.0)
    assert (len(problem.jobs), len(problem.pools), len(problem.zones), len(problem.cooling_plants)) == (100, 4, 1, 1)
    assert {len(ladder(curve, HOST, may_pause=True)) for curve in CURVES} == {3, 4, 5}


def test_the_largest_has_a_hundred_thousand_gpus_and_one_of_two_thousand_jobs_is_made_in_a_second():
    started = time.process_time()
    a_bench_site(*SIZES["L"])
    assert time.process_time() - started < 1.0
    assert sum(p.available[0] for p in a_bench_site(*SIZES["XL"]).pools) == pytest.approx(100_000, rel=0.2)


def test_scarce_and_negative_sites_are_what_they_say():
    plenty, scarce, sunny = (a_bench_site(*SIZES["S"], **kind) for kind in ({}, {"scarce": True}, {"negative": True}))
    assert sum(p.available[0] for p in scarce.pools) < 0.5 * sum(p.available[0] for p in plenty.pools)
    assert min(sunny.grid.price_per_kwh) < 0 < min(plenty.grid.price_per_kwh)


def test_prices_and_weather_are_means_over_the_hours_that_a_step_covers():
    """The first 5 min of a day at 88 EUR/MWh; a step later its last hour is 55 min of the 24th and 5 min of the first again."""
    problem = a_bench_site(*SIZES["S"])
    assert problem.grid.price_per_kwh[0] == pytest.approx(0.088)
    assert rolled(problem, 1).grid.price_per_kwh[-1] == pytest.approx((55 * 0.096 + 5 * 0.088) / 60)
    assert problem.grid.price_per_kwh @ problem.horizon.h == pytest.approx(2.14)


def test_a_step_later_most_jobs_are_the_same_with_less_to_do_and_some_have_come():
    problem = a_bench_site(*SIZES["M"])
    later = rolled(problem, 1)
    before, after = ({j.id: j for j in p.jobs} for p in (problem, later))
    assert len(after) == len(before)
    come = after.keys() - before.keys()
    assert 2 <= len(come) <= 10
    both = [(before[i], after[i]) for i in before.keys() & after.keys()]
    assert all(new.work_gpu_h <= old.work_gpu_h for old, new in both)
    assert all(new.deadline_h == pytest.approx(old.deadline_h - 1 / 12) for old, new in both)
    assert sum(new.work_gpu_h < old.work_gpu_h for old, new in both) > 200
    assert rolled(later, 2).jobs[0].deadline_h == pytest.approx(later.jobs[0].deadline_h - 1 / 12)


def test_what_was_done_in_the_step_can_be_told():
    problem = a_bench_site(*SIZES["S"])
    later = rolled(problem, 1, np.full(100, 0.25))
    before = {j.id: j.work_gpu_h for j in problem.jobs}
    kept = [j for j in later.jobs if j.id in before]
    assert all(j.work_gpu_h == pytest.approx(before[j.id] - 0.25) for j in kept)


def test_a_bench_site_can_be_planned():
    plan = make_plan(a_bench_site(20, 4), 60.0)
    assert isinstance(plan, Plan)
    assert plan.account.objective < plan.baseline.objective
