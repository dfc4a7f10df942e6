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
