"""Sifting: solved on few columns first, and the optimum is the whole program's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from models.problem import Problem
from models.site import declare
from models.solving import ladders
from models.solving.ladders import seldom_raised, solve_with_ladders
from models.solving.outcome import Solved, TimedOut
from models.solving.program import Program
from models.solving.session import Session
from models.solving.sifting import sift
from models.solving.solver import Solver
from tests.bench.sites import SIZES, a_bench_site


def a_mix(most: float) -> Program:
    """Minimise x + 2 y + 3 z with x + y + z >= 1, x and y from 0 to `most`, z at least 0."""
    upper = np.array([most, most, np.inf])
    matrix = sp.csr_matrix(np.ones((1, 3)))
    return Program(np.array([1.0, 2.0, 3.0]), 0.0, matrix, np.array([1.0]), np.array([np.inf]), np.zeros(3), upper)


def sifted(problem: Problem) -> tuple[Session, Solved]:
    model = declare(problem)
    session = Session(model)
    solved = solve_with_ladders(session, time.perf_counter() + 60)
    assert isinstance(solved, Solved), solved
    return session, solved


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladders, "LARGE", 0)


@pytest.mark.parametrize("closed", [[], [0], [1], [0, 1], [2]])
def test_whatever_is_closed_first_the_optimum_is_the_whole_programs(closed: list[int]) -> None:
    """0.6 of x and 0.4 of y: 0.6 + 0.8 = 1.4."""
    solver = Solver(a_mix(0.6))
    outcome = sift(solver, np.array(closed, np.int32), 10.0)
    assert isinstance(outcome, Solved)
    assert outcome.objective == pytest.approx(1.4)
    assert outcome.certificate.holds
    assert solver.program.upper.tolist() == [0.6, 0.6, np.inf]


def test_where_what_is_left_open_has_no_point_the_whole_program_is_solved() -> None:
    """Without z there is 0.8 at most; 0.4 + 0.8 + 3 * 0.2 = 1.8."""
    outcome = sift(Solver(a_mix(0.4)), np.array([2], np.int32), 10.0)
    assert isinstance(outcome, Solved)
    assert outcome.objective == pytest.approx(1.8)


def test_a_part_of_the_columns_is_no_answer_and_they_are_open_again() -> None:
    model = declare(a_bench_site(*SIZES["S"]))
    session = Session(model)
    upper = session.upper.copy()
    assert isinstance(session.sift(seldom_raised(session), 1e-3), TimedOut)
    assert session.upper.tolist() == upper.tolist()


@pytest.mark.parametrize("kind", [{}, {"scarce": True}, {"negative": True}])
def test_a_large_site_is_sifted_to_the_optimum_that_it_has_with_every_ladder_row(kind: dict[str, bool], optimum: Any) -> None:
    problem = a_bench_site(*SIZES["S"], **kind)
    session, solved = sifted(problem)
    assert session.runs >= 2
    assert solved.objective == pytest.approx(optimum(problem).objective, rel=1e-7)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("seed", range(25))
def test_a_random_site_is_sifted_to_its_optimum(seed: int, random_site: Callable[[int], Problem], optimum: Any) -> None:
    problem = random_site(seed)
    assert sifted(problem)[1].objective == pytest.approx(optimum(problem).objective, rel=1e-7, abs=1e-7)


def test_a_small_site_is_solved_at_once(site: Any, job: Any) -> None:
    session, _ = sifted(site(jobs=(job(5.0),)))
    assert session.runs == 1


@pytest.mark.parametrize(("work_gpu_h", "is_calm"), [(15.9, True), (16.1, False)])
def test_the_raises_of_a_job_in_a_hurry_stay_open(work_gpu_h: float, is_calm: bool, site: Any, job: Any) -> None:
    """Ten GPUs at a speed of 0.8 do 16 GPU h in 2 h; one raise in each of two steps."""
    model = declare(site(jobs=(job(work_gpu_h),)))
    session = Session(model)
    closed = [session.column_place(column).index for column in seldom_raised(session)]
    assert closed == ([(0, 1, 0), (0, 1, 1)] if is_calm else [])


def test_the_raises_of_a_rental_stay_open(site: Any, firm: Any) -> None:
    model = declare(site(firms=(firm(),)))
    assert not len(seldom_raised(Session(model)))
