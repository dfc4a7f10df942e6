"""Stability: the last plan's power, read for the steps of the new one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from facility.decide import Optimised, Undecided
from facility.planner import Request, plan
from facility.stability import _means, last_kw
from facility.steps import Edges, rolling
from models.solving.stability import drawn_kw

START = datetime(2023, 7, 2, tzinfo=UTC)


def edges(*minutes: float) -> Edges:
    return tuple(START + timedelta(minutes=each) for each in minutes)


@pytest.fixture(scope="module")
def last() -> Optimised:
    """A plan of three hours of the demonstration site."""
    made = plan(Request("site_configs/demo.yaml", START.isoformat(), "3h", "15min"))
    assert not isinstance(made, Undecided)
    return made.decided


def test_a_step_across_two_of_the_last_plan_has_their_mean() -> None:
    """4 kW until 0:15, then 10 kW: from 0:10 to 0:20 half of each is 7 kW, from 0:20 to 0:30 it is 10 kW."""
    assert _means(np.array([[4.0, 10.0]]), edges(0, 15, 30), edges(10, 20, 30)).tolist() == [[7.0, 10.0]]


def test_the_next_hour_is_told_in_the_steps_that_the_last_plan_covers_whole(last: Optimised) -> None:
    """Of 5-minute steps those of an hour; 20 minutes before its end those of 20 minutes; none before it began or after it ended."""
    lengths = {at: len(next(iter(last_kw(last, rolling(START + timedelta(minutes=at))).values()))) for at in (0, 7, 160, 200, -1)}
    assert lengths == {0: 12, 7: 12, 160: 4, 200: 0, -1: 0}


def test_what_is_told_is_what_the_schedule_draws(last: Optimised) -> None:
    problem = last.plan.problem
    kw = drawn_kw(problem.pools, problem.workloads, last.plan.schedule.groups, len(problem.horizon))
    told = last_kw(last, last.edges)
    assert [told[load.id] for load in problem.workloads] == [pytest.approx(row[:4]) for row in kw]
    assert kw.max() > 0
