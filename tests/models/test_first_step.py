"""First step: what is sent fits at once, what flows back too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.baseline import baseline
from models.grid.grid_connection import GridConnection, flows_kw
from models.plan import Plan
from models.power.battery import Battery
from models.power.feeder import Feeder
from models.power.solar import Solar
from models.problem import Problem
from models.sending.first_step import fits_at_once, flows_back


def sunny(site: Callable[..., Problem], job: Any, export_limit_kw: float) -> Problem:
    """An hour; 5 kW of sun, and from its half on ten GPUs on 3 kW, worth more than the 0.1 that a kWh given back earns."""
    late = job(gpus=10, work_gpu_h=5.0, arrival_h=0.5, deadline_h=1.0, unfinished_price_per_gpu_h=50.0)
    free = site((1.0,), (0.2,), jobs=(late,), solar=(Solar("roof", "root", (5.0,)),), feeders=(Feeder("root", None, 100.0),))
    return replace(free, grid=replace(free.grid, export_limit_kw=export_limit_kw, export_price_per_kwh=(0.1,)))


def test_what_flows_back_before_a_job_arrives_stays_within_the_limit(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """On average 1.5 kW are drawn, which would let 3.5 kW of sun through a limit of 2 kW; before the job arrives only 2 may be given."""
    plan = planned(sunny(site, job, 2.0))
    assert plan.account.given_kw["roof"][0] == pytest.approx(2.0, rel=1e-2)
    assert plan.account.given_kw["roof"][0] <= 2.0 + 1e-6
    assert plan.account.work_gpu_h.sum() == pytest.approx(5.0)
    assert not flows_back(plan.problem, plan.schedule)


def test_no_more_is_held_back_than_is_too_much(site: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """Where all the sun may be given back, all of it is used."""
    assert planned(sunny(site, job, 6.0)).account.given_kw["roof"][0] == pytest.approx(5.0)


def test_doing_nothing_is_not_sent_where_it_gives_back_what_nobody_takes(site: Any, job: Any) -> None:
    """Without an export limit the site without control still lets 5 kW of sun meet at most 3 kW of load."""
    free = sunny(site, job, 6.0)
    closed = replace(free, grid=replace(free.grid, export_limit_kw=0.0, export_price_per_kwh=()))
    assert fits_at_once(free, baseline(free))
    assert not fits_at_once(closed, baseline(closed))


def test_what_flows_back_through_one_root_feeds_no_other_where_nothing_may_be_given_back() -> None:
    """1 kW is drawn at one root; 3 kW come back at the other, and would outweigh it where they may be given back."""
    roots_kw = np.array([[1.0], [-3.0]])
    closed = GridConnection(limit_kw=(10.0,), price_per_kwh=(0.1,), carbon_g_per_kwh=(0.0,))
    assert [kw.tolist() for kw in flows_kw(closed, roots_kw)] == [[1.0], [0.0]]
    assert [kw.tolist() for kw in flows_kw(replace(closed, export_limit_kw=5.0), roots_kw)] == [[0.0], [2.0]]


def charged(site: Callable[..., Problem], job: Any, battery: Battery | None) -> Problem:
    """Two hours of 10 kW; a job that must end in the first, in which energy has a negative price and a battery would fill the limit beside it."""
    due = job(work_gpu_h=4.0, deadline_h=1.0, unfinished_price_per_gpu_h=50.0)
    hungry = () if battery is None else (battery,)
    return site((1.0, 1.0), (-0.5, 0.1), limit_kw=10.0, jobs=(due,), batteries=hungry)


def test_where_a_job_draws_more_at_once_than_on_average_a_battery_charges_less_and_no_deadline_is_missed(
    site: Any, job: Any, planned: Callable[[Problem], Plan]
) -> None:
    """Ten GPUs do their 4 GPU h in a part of the hour and draw more in that part than on average; the battery would fill what is left of 10 kW."""
    plan = planned(charged(site, job, Battery("x", "root", 100.0, 20.0, 20.0, 1.0, 0.0, 50.0)))
    first = plan.schedule.groups.t == 0
    assert plan.schedule.groups.share[first].max() < 1.0
    assert not plan.account.is_breached
    assert plan.account.objective < plan.baseline.objective - 1.0, "doing nothing was not the better plan"
    at_once_kw = float((plan.schedule.groups.count * plan.schedule.groups.draw_w)[first].sum()) / 1000
    assert at_once_kw + plan.schedule.battery_kw["x"][0] == pytest.approx(10.0, abs=0.01)
    assert fits_at_once(plan.problem, plan.schedule)


def test_where_nothing_but_the_job_can_draw_less_at_once_it_gives_way_as_before(
    site: Any, job: Any, planned: Callable[[Problem], Plan]
) -> None:
    """Under 2.5 kW ten GPUs do not get the 300 W at which they would draw most for their work, but 200 W for longer."""
    free = charged(site, job, None)
    plan = planned(replace(free, grid=replace(free.grid, limit_kw=(2.5, 2.5))))
    assert fits_at_once(plan.problem, plan.schedule)
    assert plan.schedule.groups.cap_w.tolist() == [200]
    assert plan.account.work_gpu_h.sum() == pytest.approx(4.0)
