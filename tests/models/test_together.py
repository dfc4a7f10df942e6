"""Together: what a gang does apart it does in one go, where room and money allow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.problem import Problem
from models.schedule import Schedule
from models.sending.cell import Cell
from models.sending.room import Room
from models.sending.rounding import schedule_of
from models.sending.together import put_together


def laid_out(problem: Problem, shares: list[float]) -> tuple[list[float], Room, Schedule]:
    """The shares of each step that the only job runs for in the end, the room that is then said to be left, and the schedule."""
    steps = len(problem.horizon)
    cells = {0: [Cell(0, t, share, [(10, 200)], problem.cells.ladder(0, t)) for t, share in enumerate(shares) if share]}

    def schedule() -> Schedule:
        return schedule_of(cells, {}, {"hall": np.full(steps, 24.0)})

    room = Room(problem, schedule())
    put_together(problem, cells, room)
    found = np.zeros(steps)
    for cell in cells[0]:
        found[cell.t] = cell.share
    return found.tolist(), room, schedule()


@pytest.mark.parametrize(
    ("prices", "limit_kw", "shares", "together"),
    [
        ((0.1, 0.1, 0.1, 0.1), 1000.0, [1.0, 0.5, 0.5, 0.5], [1.0, 1.0, 0.5, 0.0]),
        ((0.1, 0.1, 0.1, 0.1), 1.0, [1.0, 0.5, 0.5, 0.5], [1.0, 0.5, 0.5, 0.5]),
        ((0.1, 0.1, 0.1, -0.3), 1000.0, [1.0, 0.5, 0.5, 0.5], [1.0, 0.5, 0.0, 1.0]),
        ((0.1, 0.1, 0.15, 0.2), 1000.0, [0.0, 1.0, 0.0, 0.25], [0.0, 1.0, 0.25, 0.0]),
        ((0.1, 0.2, 0.1, 0.1), 1000.0, [0.0, 0.25, 0.0, 1.0], [0.0, 0.0, 1.0, 0.25]),
        ((0.1, 0.1, 0.12, 0.13), 1000.0, [0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]),
        ((0.9, 0.1, 0.9, 0.1), 1000.0, [0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]),
    ],
)
def test_a_gang_does_in_one_go_what_costs_no_more_than_its_pauses(
    site: Any, job: Any, prices: tuple[float, ...], limit_kw: float, shares: list[float], together: list[float]
) -> None:
    """Ten GPUs at 200 W, 2 kW; a pause costs 0.1. From step 1 on it moves where it pays: half an hour from the end for nothing, a
    quarter beside the rest, an hour that is a little dearer, of equals the earliest; not where 1 kW is too little, and not for 1.6
    in a dear hour. Where the last hour earns 0.3 a kWh, it takes what can go there, for one pause.
    """
    gang = job(8.0 * sum(shares), 4.0, pause_price_per_gpu=0.01, delay_price_per_gpu_h=1e-4)
    limits_kw = (1000.0, limit_kw, limit_kw, limit_kw)
    problem = site((1.0,) * 4, prices, limit_kw=limits_kw, jobs=(gang,))
    assert laid_out(problem, shares)[0] == pytest.approx(together)


def test_what_could_be_left_for_later_is_done_where_that_is_the_end(site: Any, job: Any) -> None:
    """4 GPU h are left at 0.05, and stopping with them left is a pause for 0.1; half an hour more does them for 0.1."""
    gang = job(12.0, 9.0, pause_price_per_gpu=0.01, delay_price_per_gpu_h=1e-4, carry_price_per_gpu_h=0.05)
    assert laid_out(site((1.0,) * 4, (0.1,) * 4, jobs=(gang,)), [0.0, 1.0, 0.0, 0.0])[0] == pytest.approx([0.0, 1.0, 0.5, 0.0])
    cheap = job(12.0, 9.0, pause_price_per_gpu=0.001, carry_price_per_gpu_h=0.01)
    assert laid_out(site((1.0,) * 4, (0.1,) * 4, jobs=(cheap,)), [0.0, 1.0, 0.0, 0.0])[0] == pytest.approx([0.0] * 4)


def test_a_run_is_not_too_short_where_it_can_be_longer(site: Any, job: Any) -> None:
    """Pauses cost nothing, the hour between is dear: with two hours at least it runs for two and a half, from the middle of that on."""
    prices = (0.1, 0.1, 0.9, 0.2, 0.2)
    for least_h, together in ((0.0, [0.0, 1.0, 0.0, 1.0, 0.5]), (2.0, [0.0, 0.0, 0.5, 1.0, 1.0])):
        problem = site((1.0,) * 5, prices, jobs=(job(20.0, 5.0, min_run_h=least_h),))
        assert laid_out(problem, [0.0, 1.0, 0.0, 1.0, 0.5])[0] == pytest.approx(together)


def test_the_room_that_is_said_to_be_left_is_there(site: Any, job: Any) -> None:
    """Of 3 kW: 1 beside a gang that runs, 2 beside half of it, and 3 where it runs no more, a few hundredths of what moved kept back."""
    problem = site((1.0,) * 4, (0.1,) * 4, limit_kw=3.0, jobs=(job(20.0, 4.0, pause_price_per_gpu=0.01),))
    found, room, _ = laid_out(problem, [1.0, 0.5, 0.5, 0.5])
    assert found == pytest.approx([1.0, 1.0, 0.5, 0.0])
    for t, kw in enumerate((1.0, 1.0, 2.0, 3.0)):
        assert not room.take("pool", t, 0.0, kw, 0.0)
        assert room.take("pool", t, 0.0, 0.95 * kw, 0.0)
