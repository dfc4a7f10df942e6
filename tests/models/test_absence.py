"""Absence: the prices of GPUs that are not there bound from below what their absence costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.plan import Plan
from models.problem import Problem
from models.work.gpu import Host

WARM = Host(idle_w=60.0, host_idle_w=40.0, host_run_w=40.0, min_cap_w=100.0)


def test_an_idle_gpu_that_is_away_saves_its_idle_power(site: Any, planned: Callable[[Problem], Plan]) -> None:
    """100 W at 0.1 and 0.3 a kWh, and nobody's work."""
    prices = planned(site(host=WARM)).why.absences["pool"]
    assert prices.power.tolist() == pytest.approx([-0.01, -0.03])
    assert prices.work.tolist() == [0.0, 0.0]


def test_where_work_wants_every_gpu_one_that_is_away_has_a_price(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    plan = planned(site(jobs=(job(9.0), job(9.0, id="other"))))
    assert plan.why.absences["pool"].work.max() > 0


@pytest.mark.parametrize("seed", range(10))
def test_windows_cost_no_less_than_the_prices_of_a_plan_without_them_say(random_site: Any, planned: Callable[[Problem], Plan], seed: int) -> None:
    problem = random_site(seed, cooled=False, lowest_price=0.01)
    plan = planned(problem)
    prices = plan.why.absences["pool"]
    pool, free = problem.pools[0], int(problem.free_gpus("pool").min())
    for t in range(len(problem.horizon)):
        gone = np.eye(len(problem.horizon))[t] * (free // 2)
        powered = np.asarray(pool.powered or pool.available)
        less = replace(pool, available=tuple(np.asarray(pool.available) - gone), powered=tuple(powered - gone))
        with_it = planned(replace(problem, pools=(less, *problem.pools[1:])))
        bound = plan.record.bound + float(prices.work @ gone + prices.power @ gone)
        assert with_it.record.bound >= bound - 1e-6 * max(1.0, abs(bound))
