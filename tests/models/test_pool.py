"""Pool: GPUs that are there, what they draw idle and busy, and what they could."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.plan import Plan
from models.problem import Problem
from models.work.gpu import Host

HOST = Host(idle_w=50.0, host_idle_w=100.0, host_run_w=150.0, min_cap_w=100.0)


def test_idle_gpus_and_hosts_draw_and_could_draw(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """Four of ten GPUs at 200 W: 10 * 150 W idle + 4 * (200 + 150 - 150) W = 2.3 kW.

    Could draw: 10 * (100 + 150) W + 4 * (200 - 100) W = 2.9 kW. Idle in the second hour: 1.5 and 2.5 kW.
    """
    account = planned(site(host=HOST, jobs=(job(3.2, gpus=4),))).account
    assert account.pool_kw[0].tolist() == pytest.approx([2.3, 1.5])
    assert account.feeder_worst_kw[0].tolist() == pytest.approx([2.9, 2.5])
    assert account.objective == pytest.approx(0.1 * 2.3 + 0.3 * 1.5)


def test_a_commanded_idle_cap_counts_in_the_worst_case_of_the_gpus_without_work(
    site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """Six idle GPUs at 300 W and four busy at 200 W could draw 2.6 kW; all ten idle 3 kW."""
    pool = replace(site().pools[0], idle_cap_w=(300.0, 300.0))
    problem = site(pools=(pool,), jobs=(job(3.2, gpus=4),))
    worst_kw = optimum(problem).model.pool["pool"].worst_kw
    assert [worst_kw[t].value for t in range(2)] == pytest.approx([2.6, 3.0])
    assert planned(problem).account.feeder_worst_kw[0].tolist() == pytest.approx([2.6, 3.0])


def test_gpus_in_maintenance_run_nothing(site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Four GPUs are there in the cheap hour, ten in the dear one. 12 GPU h, elastic: 4 at speed 1 first, 8 at 200 W after.

    (0.1 * 4 * 0.3) + (0.3 * 10 * 0.2) = 0.72. A GPU more in the cheap hour would do one GPU h for 0.3 * 0.1 instead of 0.25 * 0.3.
    """
    pool = replace(site().pools[0], available=(4.0, 10.0))
    problem = site(pools=(pool,), jobs=(job(12.0, elastic=True),))
    assert optimum(problem).objective == pytest.approx(0.72)
    plan = planned(problem)
    assert plan.account.running[0].tolist() == pytest.approx([4.0, 10.0])
    assert plan.account.objective == pytest.approx(0.72)
    assert plan.marginal_prices["pool[pool].holds"] == pytest.approx(0.075 - 0.03)


def test_a_pool_too_small_leaves_exactly_the_work_it_cannot_hold(
    site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """Two jobs want 10 GPU h each within one hour; ten GPUs at full speed do 10. 10 * 50 + 3 kWh * 0.1 = 500.3."""
    problem = site((1.0,), (0.1,), jobs=(job(10.0, 1.0), job(10.0, 1.0, id="other")))
    assert optimum(problem).objective == pytest.approx(500.3)
    account = planned(problem).account
    assert account.breach["unfinished_gpu_h"].sum() == pytest.approx(10.0)
    assert account.objective == pytest.approx(500.3)


def test_a_gang_larger_than_its_pool_never_runs(site: Any, job: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """Eight GPUs are not to be had beside a rental of five, not for any part of an hour: 4 GPU h are left, a pausable one yields."""
    beside_a_rental = planned(site(firms=(firm(gpus=5),), jobs=(job(4.0, gpus=8),)))
    assert beside_a_rental.account.breach["unfinished_gpu_h"].tolist() == pytest.approx([4.0])
    assert np.all(beside_a_rental.account.running[1] == 0)
    beside_a_pausable = planned(site(firms=(firm(gpus=5, pausable=True),), jobs=(job(4.0, gpus=8),)))
    assert not beside_a_pausable.account.is_breached


def test_golden_rows(site: Any, job: Any, firm: Any, golden: Any) -> None:
    host = Host(idle_w=50.0, host_idle_w=10.0, host_run_w=60.0, min_cap_w=100.0)
    problem = site((1.0,), (0.1,), host=host, firms=(firm(gpus=4),), jobs=(job(5.0, 1.0, gpus=6),))
    for name in ("holds", "draws", "could_draw"):
        golden(problem, f"pool.{name}")
