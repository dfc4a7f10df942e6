"""Workload and job: GPUs that climb a ladder, work that waits and finishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.horizon import Horizon
from models.plan import Plan
from models.problem import Problem
from models.site import build
from models.solving.outcome import Solved
from models.solving.session import Session
from models.work import workload

Sent = Callable[[Plan, int, int], list[tuple[int, int, Any]]]


def test_work_waits_for_the_cheap_hour_at_the_most_efficient_cap(
    site: Any, job: Any, planned: Callable[[Problem], Plan], sent: Sent, optimum: Any
) -> None:
    """8 GPU h are ten GPUs at 200 W for an hour, 2 kWh: 0.1 * 2 = 0.2 in the second hour, 0.3 * 2 in the first."""
    problem = site(price_per_kwh=(0.3, 0.1), jobs=(job(8.0),))
    best = optimum(problem)
    assert best.objective == pytest.approx(0.2)
    assert [best.gpus(0, 0), best.gpus(0, 1)] == [[0.0, 0.0], [10.0, 0.0]]
    plan = planned(problem)
    assert (sent(plan, 0, 0), sent(plan, 0, 1)) == ([], [(10, 200, 1.0)])
    assert plan.account.objective == pytest.approx(0.2)


def test_a_higher_cap_in_the_cheap_hour_beats_another_hour(site: Any, job: Any, optimum: Any) -> None:
    """10 GPU h: 300 W in the cheap hour, 0.3, rather than 200 W and 2 GPU h for 0.5 kWh in the dear one, 0.2 + 0.15."""
    assert optimum(site(jobs=(job(10.0),))).objective == pytest.approx(0.3)


def test_at_one_price_work_is_done_early(site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """8 GPU h half an hour after the start, at 0.001 each an hour: 0.1 * 2 + 0.001 * 8 * 0.5."""
    problem = site(price_per_kwh=(0.1, 0.1), jobs=(job(8.0, delay_price_per_gpu_h=0.001),))
    assert optimum(problem).objective == pytest.approx(0.204)
    assert planned(problem).account.running[0].tolist() == pytest.approx([10.0, 0.0])


def test_a_window_that_opens_and_closes_inside_steps_bounds_by_its_fraction(site: Any, job: Any, optimum: Any) -> None:
    """From 0.5 to 1.25 h: at most 5 GPUs, as a mean, in the first hour and 2.5 in the second: 7.5 GPU h at 300 W."""
    problem = site(jobs=(job(7.5, 1.25, arrival_h=0.5),))
    best = optimum(problem)
    assert [best.gpus(0, 0), best.gpus(0, 1)] == [[5.0, 5.0], [2.5, 2.5]]
    assert best.objective == pytest.approx(0.1 * 1.5 + 0.3 * 0.75)


def test_at_a_negative_price_no_gpu_is_raised_that_does_not_run_and_no_work_is_done_twice(
    site: Any, job: Any, planned: Callable[[Problem], Plan]
) -> None:
    """The raise from 200 to 300 W burns 0.5 kWh a GPU h, the first 200 W 0.25. Two hours of raises alone: 4 GPU h, 2 kWh.

    With the other 4 GPU h as runs, 1 kWh, an unlinked program is paid for 3 kWh: -0.3. Linked, 300 W a GPU h: -0.24.
    """
    problem = site(price_per_kwh=(-0.1, -0.1), jobs=(job(8.0, elastic=True),))
    model = build(problem)
    session = Session(model)
    unlinked = session.solve(10.0)
    assert isinstance(unlinked, Solved)
    assert unlinked.objective == pytest.approx(-0.3)
    session.load(unlinked)
    broken = workload.broken_rungs(session.values(model.workload.gpus))
    assert broken[:, 1].any()
    assert not broken[:, 0].any()
    plan = planned(problem)
    assert plan.record.rounds > 1
    assert plan.record.bound == pytest.approx(-0.24)
    assert plan.account.objective == pytest.approx(-0.24)
    assert plan.account.work_gpu_h.sum() == pytest.approx(8.0, abs=1e-9)


def test_what_its_window_cannot_hold_is_left_unfinished(site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """25 GPU h in two hours of ten GPUs at full speed: 5 are left. 0.1 * 3 + 0.3 * 3 + 5 * 50 = 251.2."""
    problem = site(jobs=(job(25.0),))
    assert optimum(problem).objective == pytest.approx(251.2)
    plan = planned(problem)
    assert plan.status == "breached"
    assert plan.account.breach["unfinished_gpu_h"].tolist() == pytest.approx([5.0])
    assert plan.account.objective == pytest.approx(251.2)


def test_work_is_carried_past_the_horizon_as_far_as_its_deadline_allows(site: Any, job: Any, optimum: Any) -> None:
    """2.5 h is half an hour past the horizon: 5 of 8 GPU h may be carried, at 0.01 instead of 0.025. 0.05 + 3 * 0.025."""
    assert optimum(site(jobs=(job(8.0, 2.5, carry_price_per_gpu_h=0.01),))).objective == pytest.approx(0.125)


def test_no_more_is_carried_than_there_is_and_nothing_that_is_due(job: Any) -> None:
    two_hours = Horizon((1.0, 1.0))
    assert job(8.0, 4.0).most_carried_gpu_h(two_hours) == 8.0
    assert job(30.0, 4.0).most_carried_gpu_h(two_hours) == 20.0
    assert job(30.0, 4.0, arrival_h=3.0).most_carried_gpu_h(two_hours) == 10.0
    assert job(8.0, 2.0).most_carried_gpu_h(two_hours) == 0.0


def test_an_elastic_job_runs_on_whole_gpus(site: Any, job: Any, planned: Callable[[Problem], Plan], sent: Sent) -> None:
    """2 GPU h in an hour are two and a half GPUs at 200 W: three for 5/6 of it."""
    plan = planned(site((1.0,), (0.1,), jobs=(job(2.0, 1.0, elastic=True),)))
    assert sent(plan, 0, 0) == [(3, 200, pytest.approx(5 / 6))]


def test_an_operators_cap_is_the_only_cap_and_binds_the_work(
    site: Any, job: Any, planned: Callable[[Problem], Plan], sent: Sent, optimum: Any
) -> None:
    """Ten GPUs at 250 W do 9 GPU h with 2.5 kWh: 0.25. Free, 9 GPU h cost 0.2 + 0.05 = 0.25 as well, but not at 150 W: 0.55.

    At 150 W: 5.5 GPU h for 0.1 * 1.5 in the cheap hour and 3.5 of 5.5 for 0.3 * 1.5 in the dear one.
    """
    free = site(jobs=(job(9.0, cap_w=(250.0, 250.0)),))
    assert optimum(free).objective == pytest.approx(0.25)
    assert sent(planned(free), 0, 0) == [(10, 250, 1.0)]
    slow = site(jobs=(job(9.0, cap_w=(150.0, 150.0)),))
    assert optimum(slow).objective == pytest.approx(0.15 + 0.45 * 3.5 / 5.5)
    plan = planned(slow)
    assert set(plan.schedule.groups.cap_w.tolist()) == {150}
    assert plan.account.work_gpu_h.sum() == pytest.approx(9.0, abs=1e-9)


def test_a_cap_for_some_steps_leaves_the_others_free(site: Any, job: Any, planned: Callable[[Problem], Plan], sent: Sent) -> None:
    """Both hours are full: 9 GPU h at the commanded 250 W, 10 at 300 W."""
    plan = planned(site(jobs=(job(19.0, cap_w=(250.0, None)),)))
    assert (sent(plan, 0, 0), sent(plan, 0, 1)) == ([(10, 250, 1.0)], [(10, 300, 1.0)])


def test_a_job_ordered_to_hold_waits_through_the_cheap_hour(site: Any, job: Any, planned: Callable[[Problem], Plan], sent: Sent) -> None:
    plan = planned(site(jobs=(job(8.0, order=("hold", None)),)))
    assert (sent(plan, 0, 0), sent(plan, 0, 1)) == ([], [(10, 200, 1.0)])
    assert plan.account.objective == pytest.approx(0.6)


def test_a_job_held_through_its_window_is_left_unfinished(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    account = planned(site(jobs=(job(8.0, order=("hold", "hold")),))).account
    assert np.all(account.running == 0)
    assert account.breach["unfinished_gpu_h"].tolist() == pytest.approx([8.0])


@pytest.mark.parametrize("elastic", [False, True])
@pytest.mark.parametrize(("work_gpu_h", "share"), [(8.0, 1.0), (2.0, 0.25)])
def test_a_job_ordered_to_run_does_so_in_the_dear_hour_and_until_it_is_done(
    site: Any, job: Any, planned: Callable[[Problem], Plan], sent: Sent, work_gpu_h: float, share: float, elastic: bool
) -> None:
    """At 200 W ten GPUs do 8 GPU h in the hour, or 2 in a quarter of it, for 0.25 * 0.3 each."""
    problem = site(price_per_kwh=(0.3, 0.1), jobs=(job(work_gpu_h, order=("run", None), elastic=elastic),))
    plan = planned(problem)
    gpus, cap_w, part = sent(plan, 0, 0)[0]
    assert gpus * part == pytest.approx(10 * share)
    assert cap_w == 200
    assert sent(plan, 0, 1) == []
    assert plan.account.objective == pytest.approx(0.075 * work_gpu_h)


def test_an_order_to_run_does_not_break_the_grid_limit(site: Any, job: Any, planned: Callable[[Problem], Plan], sent: Sent) -> None:
    """Ten GPUs at 200 W are 2 kW, 1 kW is to be had now: the gang waits for the second hour."""
    plan = planned(site(limit_kw=(1.0, 1000.0), jobs=(job(8.0, order=("run", None)),)))
    assert sent(plan, 0, 0) == []
    assert not plan.account.is_breached


def test_spot_work_is_done_while_it_is_worth_more_than_its_energy(
    site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any
) -> None:
    """At 200 W a GPU h costs 0.025 in the first hour and 0.075 in the second, 0.05 for the raise; it is worth 0.04.

    So 8 of 16 GPU h are done, 0.1 * 2, and 8 are left at 0.04. At 0.08 all are.
    """
    problem = site(jobs=(job(16.0, spot_value_per_gpu_h=0.04),))
    assert optimum(problem).objective == pytest.approx(0.2 + 0.32)
    plan = planned(problem)
    assert plan.account.work_gpu_h[0].tolist() == pytest.approx([8.0, 0.0])
    assert plan.account.cost["forgone"] == pytest.approx(0.32)
    assert plan.account.objective == pytest.approx(0.52)
    assert not plan.account.is_breached
    assert planned(site(jobs=(job(16.0, spot_value_per_gpu_h=0.08),))).account.work_gpu_h.sum() == pytest.approx(16.0)


def test_spot_work_is_not_done_twice_at_a_negative_price(site: Any, job: Any, optimum: Any) -> None:
    """As owed work: 8 GPU h at 300 W are 2.4 kWh, however worthless the work."""
    problem = site(price_per_kwh=(-0.1, -0.1), jobs=(job(8.0, elastic=True, spot_value_per_gpu_h=0.001),))
    assert optimum(problem).objective == pytest.approx(-0.24)


@pytest.mark.parametrize(("carry_price", "carried", "cost"), [(0.01, 8.0, 0.08), (0.05, 0.0, 8 * 0.04)])
def test_spot_work_is_carried_past_the_horizon_only_while_it_pays(
    site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any, carry_price: float, carried: float, cost: float
) -> None:
    problem = site(price_per_kwh=(0.3, 0.3), jobs=(job(8.0, 4.0, carry_price_per_gpu_h=carry_price, spot_value_per_gpu_h=0.04),))
    assert optimum(problem).objective == pytest.approx(cost)
    account = planned(problem).account
    assert account.carried_gpu_h.tolist() == [pytest.approx(carried)]
    assert account.objective == pytest.approx(cost)


def test_spot_work_that_finds_no_power_breaks_nothing(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """1 kW is half a gang at its best: owed work of 16 GPU h would be missed, spot work waits and owes nothing."""
    free, owed = (planned(site(limit_kw=1.0, jobs=(job(16.0, spot_value_per_gpu_h=value),))).account for value in (1.0, 0.0))
    assert owed.is_breached
    assert not free.is_breached
    assert free.cost["forgone"] == pytest.approx(16.0 - free.work_gpu_h.sum())


def test_golden_rows(site: Any, job: Any, golden: Any) -> None:
    spot = job(4.0, id="spot", spot_value_per_gpu_h=0.5)
    golden(site((0.5, 1.0), jobs=(job(8.0, 2.0, carry_price_per_gpu_h=0.1, delay_price_per_gpu_h=0.01), spot)), "job.finishes")
