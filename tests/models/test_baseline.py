"""Baseline: the site without control."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.account import account
from models.baseline import baseline
from models.power.battery import Battery
from models.problem import Problem
from models.schedule import Groups


def runs(problem: Problem, w: int) -> list[float]:
    """GPUs of workload `w` by step, as means."""
    groups: Groups = baseline(problem).groups
    return [float(n) for n in groups.running(len(problem.workloads), len(problem.horizon))[w]]


def test_jobs_run_at_once_at_the_highest_cap_in_the_order_they_came(site: Any, job: Any) -> None:
    """10 GPU h are ten GPUs at 300 W for an hour; the second job waits for them: 3 kW, then 3 kW. 0.3 + 0.9."""
    problem = site(jobs=(job(10.0), job(10.0, id="second")))
    assert [runs(problem, 0), runs(problem, 1)] == [[10.0, 0.0], [0.0, 10.0]]
    result = account(problem, baseline(problem))
    assert result.objective == pytest.approx(0.1 * 3 + 0.3 * 3)
    assert baseline(problem).groups.cap_w.tolist() == [300, 300]


def test_who_arrived_first_goes_first_and_who_fits_beside_it_passes(site: Any, job: Any) -> None:
    """Six GPUs from 0.2 h, seven from 0.1 h, four at 0.3 h, of ten: seven first, four never fit beside six."""
    problem = site(
        jobs=(
            job(6.0, gpus=6, arrival_h=0.2),
            job(7.0, gpus=7, arrival_h=0.1, id="early"),
            job(0.3, gpus=3, arrival_h=0.3, id="small"),
        )
    )
    assert runs(problem, 1) == pytest.approx([7 * 0.9, 7 * 0.1])  # 0.1 to 1.1 h
    assert runs(problem, 2) == pytest.approx([3 * 0.1, 0.0])  # 0.3 to 0.4 h, beside the seven
    assert runs(problem, 0) == pytest.approx([0.0, 6 * 0.9])  # from 1.1 h, past the horizon


def test_a_job_stops_at_its_deadline_and_the_rest_is_unfinished(site: Any, job: Any) -> None:
    """25 GPU h, 20 of them possible: 5 are left, at 50 each. 0.1 * 3 + 0.3 * 3 + 250."""
    problem = site(jobs=(job(25.0),))
    result = account(problem, baseline(problem))
    assert result.breach["unfinished_gpu_h"].tolist() == pytest.approx([5.0])
    assert result.objective == pytest.approx(251.2)


def test_a_job_that_never_gets_its_gpus_is_absent(site: Any, job: Any, firm: Any) -> None:
    """A rental keeps three of ten: eight are not there, and the first job's deadline passes before the second's turn ends."""
    assert runs(site(firms=(firm(gpus=3),), jobs=(job(4.0, gpus=8),)), 1) == [0.0, 0.0]
    late = site(jobs=(job(15.0), job(1.0, 1.0, id="late")))
    assert runs(late, 1) == [0.0, 0.0]


def test_work_carried_past_the_horizon_is_credited_as_in_the_plan(site: Any, job: Any) -> None:
    """30 GPU h until 4 h: 20 within the horizon, 10 carried at 0.01."""
    problem = site(jobs=(job(30.0, 4.0, carry_price_per_gpu_h=0.01),))
    result = account(problem, baseline(problem))
    assert result.carried_gpu_h.tolist() == pytest.approx([10.0])
    assert result.objective == pytest.approx(1.2 + 0.1)


def test_rentals_run_uncapped_batteries_rest_halls_stay_as_they_are(site: Any, firm: Any) -> None:
    battery = Battery("battery", "root", 4.0, 2.0, 2.0, 0.9, 0.0, 2.0)
    rest = baseline(site(firms=(firm(cap_w=(200.0, 200.0)),), batteries=(battery,)))
    assert rest.groups.cap_w.tolist() == [300, 300]
    assert rest.battery_kw["battery"].tolist() == [0.0, 0.0]
    assert rest.hall_c["hall"].tolist() == [24.0, 24.0]


def test_the_baseline_knows_no_limit_and_its_account_tells_what_it_breaks(site: Any, firm: Any) -> None:
    problem = site((1.0,), (0.1,), limit_kw=2.0, firms=(firm(),))
    result = account(problem, baseline(problem))
    assert result.breach["over_limit_kw"].tolist() == pytest.approx([1.0])
    assert np.all(result.breach["over_rating_kw"] == 0)


def test_jobs_run_beside_a_service_where_its_demand_leaves_gpus_for_the_whole_of_their_run(site: Any, job: Any, firm: Any) -> None:
    """Eight, two, nine and two of ten GPUs demanded: an hour on six waits for the second hour, one and a half for the last."""
    service = firm(demand=(8, 2, 9, 2), releases_idle=True)
    problem = site((1.0,) * 4, (0.1,) * 4, firms=(service,), jobs=(job(6.0, 9.0, gpus=6), job(9.0, 9.0, gpus=6, id="long")))
    assert runs(problem, 0) == [8.0, 2.0, 9.0, 2.0]
    assert runs(problem, 1) == [0.0, 6.0, 0.0, 0.0]
    assert runs(problem, 2) == [0.0, 0.0, 0.0, 6.0]
    kept = site((1.0,) * 4, (0.1,) * 4, firms=(firm(demand=(8, 2, 9, 2)),), jobs=(job(6.0, 9.0, gpus=6),))
    assert runs(kept, 1) == [0.0] * 4
