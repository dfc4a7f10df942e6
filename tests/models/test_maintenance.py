"""Maintenance: it happens once, in one window, when it costs least, and takes no firm workload's GPUs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.plan import Plan
from models.power.feeder import Feeder
from models.problem import Problem
from models.work.gpu import Host
from models.work.maintenance import Maintenance, Window, open_starts

WARM = Host(idle_w=60.0, host_idle_w=40.0, host_run_w=40.0, min_cap_w=100.0)


def repair(**terms: Any) -> Maintenance:
    """All ten GPUs of `pool` for an hour, at any time; `terms` are fields of `Maintenance`."""
    return Maintenance(**({"id": "repair", "pool": "pool", "gpus": 10, "hours": 1.0, "earliest_h": 0.0, "latest_h": 99.0} | terms))


def starts(plan: Plan) -> dict[str, int | None]:
    return {w.maintenance.id: w.start for w in plan.problem.windows}


@pytest.mark.parametrize(("bounds", "start", "cost"), [({}, 1, 0.2), ({"latest_h": 1.0}, 0, 0.6), ({"earliest_h": 0.5}, 1, 0.2)])
def test_it_takes_the_hour_that_work_wants_least(
    site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any, bounds: Any, start: int, cost: float
) -> None:
    """8 GPU h are ten GPUs at 200 W for an hour: 0.1 * 2 in the cheap one, 0.3 * 2 where maintenance must have that."""
    problem = site(jobs=(job(8.0),), maintenances=(repair(**bounds),))
    assert optimum(problem).objective == pytest.approx(cost)
    plan = planned(problem)
    assert starts(plan) == {"repair": start}
    assert plan.account.running[0].tolist() == pytest.approx([10.0 * (t != start) for t in range(2)])
    assert plan.account.objective == pytest.approx(cost)
    assert plan.status == "optimal"


@pytest.mark.parametrize(("penalty", "breach", "cost"), [(50.0, "unfinished_gpu_h", 400.3), (20.0, "unserviced_gpu_h", 200.9)])
def test_where_not_all_can_be_done_the_lesser_penalty_is_paid(
    site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any, penalty: float, breach: str, cost: float
) -> None:
    """18 GPU h want both hours: 10 of maintenance at 50 are dearer than the 8 of work that an hour less leaves, at 20 cheaper.

    In one hour 10 are done at 300 W, 0.1 * 3; in both 10 in the cheap one and 8 at 200 W in the dear, 0.1 * 3 + 0.3 * 2. The
    program itself would do a fifth of the maintenance beside them.
    """
    problem = site(jobs=(job(18.0),), maintenances=(repair(unserviced_price_per_gpu_h=penalty),))
    assert optimum(problem).objective == pytest.approx(400.3 if penalty == 50 else 160.9, abs=0.2)
    account = planned(problem).account
    assert float(account.breach[breach].sum()) == pytest.approx(10.0 if breach == "unserviced_gpu_h" else 8.0)
    assert account.objective == pytest.approx(cost)


def test_gpus_that_are_out_draw_nothing_neither_expected_nor_at_worst(site: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Ten idle GPUs draw 1 kW, and 1.4 kW at worst: five are out in the dear hour, 0.1 * 1 + 0.3 * 0.5.

    Under a rating of 1.2 the worst case of the other hour is 0.2 kW too high, which costs 10,000 a kWh.
    """
    assert optimum(site(host=WARM, maintenances=(repair(gpus=5),))).objective == pytest.approx(0.25)
    problem = site(host=WARM, feeders=(Feeder("root", None, 1.2),), maintenances=(repair(gpus=5, earliest_h=1.0),))
    best = optimum(problem)
    assert best.objective == pytest.approx(0.25 + 2000)
    worst = best.model.pool["pool"].worst_kw
    assert [worst[t].value for t in range(2)] == pytest.approx([1.4, 0.7])
    plan = planned(problem)
    assert starts(plan) == {"repair": 1}
    assert plan.account.it_kw.tolist() == pytest.approx([1.0, 0.5])
    assert plan.account.feeder_worst_kw[0].tolist() == pytest.approx([1.4, 0.7])
    assert plan.account.objective == pytest.approx(2000.25)


def test_who_returns_inside_a_step_does_no_work_in_it_and_draws_its_idle_power(site: Any, firm: Any, planned: Callable[[Problem], Plan]) -> None:
    """An hour and a half from the first step: five of ten GPUs are for nobody in two steps, and without power in one."""
    plan = planned(site((1.0,) * 3, (0.3, 0.2, 0.1), host=WARM, maintenances=(repair(gpus=5, hours=1.5, latest_h=2.0),)))
    pool = plan.problem.pools[0]
    assert starts(plan) == {"repair": 0}
    assert (pool.available, pool.powered) == ((5.0, 5.0, 10.0), (5.0, 10.0, 10.0))
    assert plan.account.it_kw.tolist() == pytest.approx([0.5, 1.0, 1.0])


def test_a_mixture_of_windows_is_settled_to_one(site: Any, job: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Where a peak costs much, the program does a third of it in each hour; the plan has an hour without work and two alike."""
    problem = site((1.0,) * 3, (0.1,) * 3, peak_price_per_kw=10.0, jobs=(job(12.0, 3.0, elastic=True),), maintenances=(repair(),))
    place = optimum(problem).model.maintenance.place
    assert max(place[m, s].value for m, s in place) < 0.99
    plan = planned(problem)
    assert min(plan.account.running[0].round(6).tolist()) == 0.0
    assert float(plan.account.work_gpu_h.sum()) == pytest.approx(12.0)
    assert plan.account.import_kw.max() == pytest.approx(1.5, abs=2e-3)


def test_two_that_do_not_fit_together_go_one_after_the_other(site: Any, planned: Callable[[Problem], Plan]) -> None:
    plan = planned(site(maintenances=(repair(gpus=6), repair(id="other", gpus=6))))
    assert sorted(s for s in starts(plan).values() if s is not None) == [0, 1]
    assert plan.status == "optimal"


def test_a_firm_workloads_gpus_are_never_taken(site: Any, firm: Any, planned: Callable[[Problem], Plan], optimum: Any) -> None:
    """Five of ten are rented, so six are never free: 6 GPU h undone, at 50. A service that needs few in one hour gives it then."""
    problem = site(firms=(firm(gpus=5),), maintenances=(repair(gpus=6),))
    assert optimum(problem).objective == pytest.approx(300 + 0.05 + 0.15)
    plan = planned(problem)
    assert starts(plan) == {"repair": None}
    assert plan.status == "breached"
    assert plan.account.breach["unserviced_gpu_h"].tolist() == [6.0]
    assert plan.account.objective == pytest.approx(300.2)
    service = planned(site(firms=(firm(gpus=8, demand=(8, 4), releases_idle=True),), maintenances=(repair(gpus=6),)))
    assert starts(service) == {"repair": 1}


def test_a_window_begins_with_a_step_and_ends_by_the_latest_instant(site: Any) -> None:
    horizon = site((0.5, 0.5, 1.0, 1.0), (0.1,) * 4).horizon
    assert repair(earliest_h=0.25, latest_h=2.5).starts(horizon) == [1, 2]
    assert repair(earliest_h=0.5, latest_h=3.0).starts(horizon) == [1, 2, 3]
    assert open_starts(repair(), horizon, np.array([10.0, 9.0, 10.0, 10.0])) == [2, 3]
    assert Window(repair(), None).unserviced_gpu_h == 10.0


@pytest.mark.parametrize("seed", range(10))
def test_no_work_is_done_on_gpus_that_are_out(random_site: Any, optimum: Any, planned: Callable[[Problem], Plan], seed: int) -> None:
    """And the plan costs no less than the program with its mixture of windows says."""
    problem = random_site(seed, cooled=False, lowest_price=0.01)
    free = int(problem.free_gpus("pool").min())
    work = repair(gpus=max(1, free // 2), hours=float(problem.horizon.hours[0]))
    problem = replace(problem, maintenances=(work,))
    plan = planned(problem)
    window = plan.problem.windows[0]
    gone = [] if window.start is None else work.touches(problem.horizon, window.start)
    running = plan.account.running[[w for w, x in enumerate(problem.workloads) if x.pool == "pool"]].sum(axis=0)
    there = np.asarray(problem.pools[0].available) - work.gpus * np.isin(np.arange(len(problem.horizon)), gone)
    assert np.all(running <= there + 1e-6)
    best = optimum(problem).objective
    assert plan.account.objective >= best - 1e-4 * abs(best)


def test_golden_rows(site: Any, golden: Any) -> None:
    golden(site((1.0,) * 3, (0.1,) * 3, maintenances=(repair(hours=2.0), repair(id="other", gpus=3))), "maintenance.happens")
