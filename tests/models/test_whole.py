"""Whole: gangs run whole, wait or end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from models.problem import Problem

Best = Callable[..., Any]


def gpus(found: Any, steps: int = 2) -> list[float]:
    """GPUs of the first workload that run in each step."""
    cells = found.model.workload.gpus
    return [cells[0, 0, t].value if (0, 0, t) in cells else 0.0 for t in range(steps)]


def test_a_gang_that_the_limit_lets_run_half_waits(site: Any, job: Any, optimum: Any, best: Best) -> None:
    """8 GPU h at 200 W are 2 kWh; 1 kW in the cheap hour lets half run: 0.1 + 0.3. Whole or waiting, all is done later: 0.6."""
    problem = site(limit_kw=(1.0, 2.0), jobs=(job(8.0),))
    assert optimum(problem).objective == pytest.approx(0.4)
    found = best(problem, 1)
    assert found.solved.objective == pytest.approx(0.6)
    assert gpus(found) == pytest.approx([0.0, 10.0])


def test_a_gang_ends_inside_a_step_with_its_work(site: Any, job: Any, best: Best) -> None:
    """4 GPU h are half of the cheap hour: 1 kWh at 0.1."""
    found = best(site(jobs=(job(4.0),)), 2)
    assert found.solved.objective == pytest.approx(0.1)
    assert gpus(found) == pytest.approx([5.0, 0.0])


def test_a_gang_that_ended_runs_no_more_in_its_whole_steps(site: Any, job: Any, optimum: Any, best: Best) -> None:
    """12 GPU h: half of them as 1 kW lets, then whole, would be 0.1 + 0.6. It waits, and 4 GPU h stay undone, at 50 each."""
    problem = site(limit_kw=(1.0, 2.0), jobs=(job(12.0),))
    assert optimum(problem).objective == pytest.approx(0.7)
    found = best(problem, 2)
    assert found.solved.objective == pytest.approx(0.6 + 200)
    assert gpus(found) == pytest.approx([0.0, 10.0])


def test_a_gang_that_ended_runs_no_more_after_them(site: Any, job: Any, best: Best) -> None:
    """The same 12 GPU h where only the first hour is whole: ending in it would leave nothing to run in the second."""
    found = best(site(limit_kw=(1.0, 2.0), jobs=(job(12.0),)), 1)
    assert found.solved.objective == pytest.approx(0.6 + 200)


def test_a_gang_that_ended_does_not_begin_again_after_a_hold(site: Any, job: Any, best: Best) -> None:
    """Ended in hour 0, held in 1, ended once more in 2 would be 0.1 + 0.1; 1 kW lets it run whole nowhere: 8 GPU h undone."""
    problem = site((1.0,) * 3, (0.1,) * 3, limit_kw=1.0, jobs=(job(8.0, 3.0, order=(None, "hold", None)),))
    assert best(problem, 3).solved.objective == pytest.approx(400)


@pytest.mark.parametrize(("deadline_h", "carry_price", "cost"), [(1.0, 0.0, 600.0), (5.0, 1.0, 12.0)])
def test_a_gang_that_owes_work_has_not_ended(site: Any, job: Any, best: Best, deadline_h: float, carry_price: float, cost: float) -> None:
    """1 kW lets 4 of 12 GPU h be done, ending inside the hour; what is left undone (50 each) or carried (1 each) forbids it."""
    problem = site((1.0,), (0.1,), limit_kw=1.0, jobs=(job(12.0, deadline_h, carry_price_per_gpu_h=carry_price),))
    assert best(problem, 1).solved.objective == pytest.approx(cost)


def test_spot_work_is_not_done_in_part(site: Any, job: Any, best: Best) -> None:
    """1 kW lets 4 of 12 GPU h at 1 each be earned in an hour; a gang that stops there has not ended, so all 12 are forgone."""
    problem = site((1.0,), (0.1,), limit_kw=1.0, jobs=(job(12.0, 1.0, spot_value_per_gpu_h=1.0),))
    assert best(problem, 1).solved.objective == pytest.approx(12.0)


def test_later_steps_share_their_time_as_rounding_does(site: Any, job: Any, best: Best) -> None:
    """1 kW in the second hour: half an hour of the gang, if only the first is whole; 4 of 8 GPU h undone, or 8 if both are."""
    problem = site(limit_kw=(0.0, 1.0), jobs=(job(8.0),))
    assert best(problem, 1).solved.objective == pytest.approx(0.3 + 200)
    assert best(problem, 2).solved.objective == pytest.approx(400)


def test_an_elastic_job_runs_on_part_of_its_gpus(site: Any, job: Any, best: Best) -> None:
    assert best(site(limit_kw=(1.0, 2.0), jobs=(job(8.0, elastic=True),)), 2).solved.objective == pytest.approx(0.4)


@pytest.mark.parametrize("family", ["runs_whole", "or_waits", "ends_once", "rests_after", "owes_nothing"])
def test_golden_rows_of_gangs(site: Any, job: Any, golden: Callable[[Problem, str], None], family: str) -> None:
    golden(site((1.0,) * 3, (0.1,) * 3, jobs=(job(8.0, 2.5),)), f"whole.{family}")


def test_golden_rows_of_a_gang_on_hold(site: Any, job: Any, golden: Callable[[Problem, str], None]) -> None:
    golden(site((1.0,) * 3, (0.1,) * 3, jobs=(job(8.0, 3.0, order=(None, "hold", None)),)), "whole.stays_ended")
