"""Solver: a program of arrays in HiGHS - changed, solved by the method asked for, from a basis; and the solver's traps."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
import pytest
import scipy.sparse as sp

from models.solving.attempt import Attempt, Point, certified
from models.solving.certificate import certify
from models.solving.outcome import Infeasible, Solved, TimedOut
from models.solving.program import Program, SolverFault
from models.solving.solver import SCALING, Solver

INF = np.inf
X_FIRST = np.array([1.0, 0.0])


def tiny(cost: float = 1.0, least: float = 1.0, most: float = INF) -> Program:
    """Minimise cost * x + 2 * y with x + y >= least, 0 <= x <= most, 0 <= y: x alone, for 1."""
    return a_program([cost, 2.0], [[1.0, 1.0]], [least], upper=[most, INF])


def a_program(cost: list[float], matrix: list[list[float]], least: list[float], upper: list[float] | None = None) -> Program:
    rows, columns = np.array(matrix).shape
    most = np.full(columns, INF) if upper is None else np.array(upper)
    return Program(np.array(cost), 0.0, sp.csr_matrix(matrix), np.array(least), np.full(rows, INF), np.zeros(columns), most)


def solved(solver: Solver, method: Any = "choose") -> Solved:
    outcome = solver.solve(10.0, method)
    assert isinstance(outcome, Solved)
    assert outcome.certificate.holds
    return outcome


@pytest.mark.parametrize("method", ["choose", "simplex", "ipm"])
def test_every_method_finds_the_optimum(method: str) -> None:
    outcome = solved(Solver(tiny(most=0.4)), method)
    assert outcome.x.tolist() == pytest.approx([0.4, 0.6])
    assert outcome.row_dual.tolist() == pytest.approx([2.0])


def test_what_changes_takes_part_in_the_next_solve() -> None:
    """1; x up to 0.25: 0.25 + 1.5; at 3 and 2 a unit 0 + 2; twice as much 4; and x >= 0.25 by a row of its own: 0.75 + 3.5."""
    solver = Solver(tiny())
    assert solved(solver).objective == pytest.approx(1.0)
    solver.bound(np.array([0], np.int32), np.array([0.0]), np.array([0.25]))
    assert solved(solver).objective == pytest.approx(1.75)
    solver.price(np.array([3.0, 2.0]))
    assert solved(solver).objective == pytest.approx(2.0)
    solver.rebound(np.array([0], np.int32), np.array([2.0]), np.array([INF]))
    assert solved(solver).objective == pytest.approx(4.0)
    solver.add_rows(sp.csr_matrix([[1.0, 0.0]]), np.array([0.25]), np.array([INF]))
    assert solved(solver).objective == pytest.approx(4.25)
    assert solver.program.shape == (2, 2)
    assert solver.runs == 5
    assert solver.run_seconds > 0


def test_a_basis_is_told_and_the_next_solve_starts_from_the_one_it_is_given() -> None:
    """x basic, y and the row at their lower bounds. From that basis a new solver has nothing to do, from the slack basis it has."""
    first = Solver(tiny())
    assert first.basis() is None
    solved(first)
    basis = first.basis()
    assert basis is not None
    assert [side.tolist() for side in basis] == [[1, 0], [0]]
    assert all(side.dtype == np.int8 for side in basis)
    steps = []
    for columns, rows in (basis, (np.array([0, 0], np.int8), np.array([1], np.int8))):
        other = Solver(tiny())
        other.start_from(columns, rows)
        assert solved(other).x.tolist() == pytest.approx([1.0, 0.0])
        steps.append(other._highs.getInfo().simplex_iteration_count)
    assert steps[0] == 0 < steps[1]


def test_a_basis_of_another_size_is_refused() -> None:
    with pytest.raises(SolverFault, match="setBasis"):
        Solver(tiny()).start_from(np.array([1], np.int8), np.array([0], np.int8))


def test_the_time_limit_of_a_solve_starts_with_that_solve(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = Solver(tiny())
    options: dict[str, Any] = {}
    set_option = solver._highs.setOptionValue
    monkeypatch.setattr(solver._highs, "getRunTime", lambda: 100.0)

    def record(name: str, value: Any) -> Any:
        options[name] = value
        return set_option(name, value)

    monkeypatch.setattr(solver._highs, "setOptionValue", record)
    solver.solve(2.0)
    assert options["time_limit"] == 102.0


@pytest.mark.parametrize(
    "refused",
    [
        lambda: tiny(cost=np.nan),
        lambda: tiny(cost=INF),
        lambda: tiny(least=np.nan),
        lambda: tiny(most=np.nan),
        lambda: a_program([1.0, 2.0], [[1.0, np.nan]], [1.0]),
        lambda: a_program([1.0], [[1.0, 1.0]], [1.0]),
        lambda: Solver(tiny()).price(np.array([1.0])),
        lambda: Solver(tiny()).price(np.array([np.nan, 1.0])),
        lambda: Solver(tiny()).bound(np.array([0], np.int32), np.array([np.nan]), np.array([1.0])),
        lambda: Solver(tiny()).rebound(np.array([0], np.int32), np.array([0.0]), np.array([np.nan])),
        lambda: Solver(tiny()).add_rows(sp.csr_matrix([[np.inf, 1.0]]), np.array([0.0]), np.array([INF])),
        lambda: Solver(tiny()).add_rows(sp.csr_matrix([[1.0, 1.0]]), np.array([np.nan]), np.array([INF])),
    ],
)
def test_a_number_that_is_none_never_reaches_the_solver(refused: Any) -> None:
    with pytest.raises(SolverFault):
        refused()


def test_what_was_refused_changed_nothing() -> None:
    solver = Solver(tiny())
    with pytest.raises(SolverFault):
        solver.bound(np.array([0], np.int32), np.array([np.nan]), np.array([1.0]))
    with pytest.raises(SolverFault):
        solver.price(np.array([np.nan, 1.0]))
    assert solved(solver).objective == pytest.approx(1.0)
    assert solver.program.lower.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("x", "dual"),
    [
        (np.array([0.0, 0.9]), np.array([1.0])),  # 0.1 short of the row
        (np.array([1.0, -0.1]), np.array([1.0])),  # below a bound
        (np.array([0.0, 1.0]), np.array([1.0])),  # allowed, but dearer than the other column
        (np.array([1.0, 0.0]), np.array([0.5])),  # a dual that leaves a gap
        (np.array([1.0, 0.0]), np.array([-1.0])),  # a dual of the wrong sign
        (np.array([1.0, 0.0]), np.array([3.0])),  # a dual that would have a column fall for ever
        (np.array([np.nan, 0.0]), np.array([1.0])),
        (np.array([1.0, 0.0]), np.array([np.nan])),
    ],
)
def test_the_certificate_of_a_tampered_solution_does_not_hold(x: Any, dual: Any) -> None:
    assert certify(tiny(), X_FIRST, np.array([1.0])).holds
    assert not certify(tiny(), x, dual).holds


def test_an_answer_without_a_certificate_is_asked_for_again_cold_then_by_interior_point_and_is_none_after_that() -> None:
    wrong, right = Point(np.array([0.0, 1.0]), np.array([1.0]), 0.0), Point(X_FIRST, np.array([1.0]), 0.0)
    asked: list[Attempt] = []

    def answers(*points: Point | TimedOut | Infeasible) -> Any:
        left = list(points)
        asked.clear()

        def run(attempt: Attempt, budget_s: float) -> Any:
            asked.append(attempt)
            return left.pop(0)

        return certified(tiny(), run, 10.0, "simplex")

    assert isinstance(answers(right), Solved)
    assert asked == [Attempt("simplex")]
    assert isinstance(answers(wrong, right), Solved)
    assert asked == [Attempt("simplex"), Attempt(cold=True)]
    assert isinstance(answers(TimedOut(0.0, "Unknown"), wrong, right), Solved)
    assert asked[2] == Attempt("ipm", cold=True)
    never = answers(wrong, wrong, wrong)
    assert isinstance(never, TimedOut)
    assert "certificate" in never.reason


def test_that_there_is_no_point_is_believed_without_presolve_only() -> None:
    """As presolve may say of rows that leave no more room than its tolerance; the second answer is the one that counts."""
    asked: list[Attempt] = []

    def run(attempt: Attempt, budget_s: float) -> Infeasible:
        asked.append(attempt)
        return Infeasible("Infeasible")

    assert isinstance(certified(tiny(), run, 10.0, "choose"), Infeasible)
    assert asked == [Attempt(), Attempt(cold=True, presolve=False)]


def test_an_attempt_without_time_is_not_made_again() -> None:
    asked: list[float] = []

    def run(attempt: Attempt, budget_s: float) -> TimedOut:
        asked.append(budget_s)
        return TimedOut(0.0, "Time limit reached")

    assert isinstance(certified(tiny(), run, 0.0, "choose"), TimedOut)
    assert asked == [0.0]


def test_the_scaling_that_is_told_is_the_one_the_solver_uses_by_itself() -> None:
    assert highspy.Highs().getOptionValue("simplex_scale_strategy")[1] == SCALING
    assert Solver(tiny())._highs.getOptionValue("simplex_scale_strategy")[1] == SCALING


def test_an_attempt_is_made_as_it_says() -> None:
    """A cold one forgets the basis: what a warm one finds without a step takes steps again."""
    solver = Solver(tiny())
    solved(solver)
    warm = solver._highs
    for attempt, kept in ((Attempt("simplex"), True), (Attempt("simplex", cold=True, presolve=False), False)):
        assert isinstance(solver.run(attempt, 10.0), Point)
        assert (solver._highs is warm) is kept
        assert (solver._highs.getInfo().simplex_iteration_count == 0) is kept
        assert solver._highs.getOptionValue("solver")[1] == "simplex"
        assert solver._highs.getOptionValue("presolve")[1] == ("choose" if attempt.presolve else "off")
