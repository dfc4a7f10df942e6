"""Session: variables by name over the solver; three outcomes, rows and bounds that change, and whole numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from models.site import build
from models.solving.outcome import Infeasible, Solved, TimedOut, Whole
from models.solving.program import SolverFault
from models.solving.session import Session


def tiny(cost: float = 1.0, least: float = 1.0, most: float | None = None) -> Any:
    """Minimise cost * x + 2 * y with x + y >= least, 0 <= x <= most, 0 <= y."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0, most))
    m.y = pyo.Var(bounds=(0, None))
    m.enough = pyo.Constraint(expr=m.x + m.y >= least)
    m.money = pyo.Objective(expr=cost * m.x + 2 * m.y)
    return m


def solved(session: Session) -> Solved:
    outcome = session.solve(10.0)
    assert isinstance(outcome, Solved)
    return outcome


def test_an_optimum_comes_with_its_dual_and_a_certificate_that_holds() -> None:
    """x at 1 and y at 2 a unit: 0.4 of x is all there is, 0.6 of y: 0.4 + 1.2 = 1.6. A unit more would cost 2."""
    model = tiny(most=0.4)
    session = Session(model)
    outcome = solved(session)
    assert outcome.objective == pytest.approx(1.6)
    assert outcome.row_dual.tolist() == pytest.approx([2.0])
    assert outcome.certificate.holds
    session.load(outcome)
    assert session.values_of([model.x, model.y]).tolist() == pytest.approx([0.4, 0.6])
    assert session.shape == (1, 2)


def test_a_constant_in_the_objective_is_kept() -> None:
    model = tiny()
    model.del_component(model.money)
    model.dearer = pyo.Objective(expr=model.x + 2 * model.y + 5)
    assert solved(Session(model)).objective == pytest.approx(6.0)


def test_a_coefficient_that_the_solver_would_drop_is_left_out_and_refused_by_nobody() -> None:
    """x + y >= 1 at 1 and 2 a unit costs 1; a billionth of z, and of x in a later row, changes nothing of that."""
    model = tiny()
    model.z = pyo.Var(bounds=(0, 1))
    model.dust = pyo.Constraint(expr=model.x + 1e-9 * model.z + 1e-17 * model.y <= 10)
    session = Session(model)
    assert solved(session).objective == pytest.approx(1.0)
    session.add_rows(session.row([(model.x, 1e-10), (model.y, 1.0)]), [0.25])
    assert solved(session).objective == pytest.approx(0.75 + 0.5)
    assert (abs(session.matrix.data) > 1e-9).all()


def test_no_point_is_told_as_infeasible() -> None:
    model = tiny()
    model.little = pyo.Constraint(expr=model.x + model.y <= 0.5)
    assert isinstance(Session(model).solve(10.0), Infeasible)


def test_no_time_is_told_as_timed_out(site: Any, job: Any) -> None:
    jobs = tuple(job(5.0, 20.0, id=f"job{i}") for i in range(10))
    session = Session(build(site((1.0,) * 20, (0.1,) * 20, jobs=jobs)))
    assert isinstance(session.solve(1e-6), TimedOut)
    assert isinstance(session.solve(10.0), Solved)


def test_a_thousand_solves_do_not_use_up_the_budget_of_one(site: Any, job: Any) -> None:
    """The solver's clock runs on from call to call, so by the end it shows more than any one of them was given."""
    jobs = tuple(job(5.0, 48.0, id=f"job{i}") for i in range(8))
    model = build(site((1.0,) * 48, tuple(0.1 + 0.01 * t for t in range(48)), jobs=jobs))
    session, budget_s = Session(model), 0.1
    for i in range(1000):
        session.fix([model.workload.gpus[0, 0, 0]], [i % 7 / 2])
        assert isinstance(session.solve(budget_s), Solved)
    assert session.runs == 1000
    assert session.run_seconds > budget_s


@pytest.mark.parametrize("cost", [float("nan"), float("inf")])
def test_a_cost_that_is_no_number_never_reaches_the_solver(cost: float) -> None:
    with pytest.raises(SolverFault, match="not a finite number"):
        Session(tiny(cost=cost))


def test_a_bound_that_is_no_number_never_reaches_the_solver() -> None:
    with pytest.raises(SolverFault, match="not a number"):
        Session(tiny(least=float("nan")))


def test_a_variable_that_takes_no_part_cannot_be_fixed() -> None:
    model = tiny()
    model.idle = pyo.Var()
    with pytest.raises(KeyError, match="idle takes no part"):
        Session(model).fix([model.idle], [1.0])


def test_rows_added_later_bind_and_are_certified_too() -> None:
    """x <= y leaves half each: 0.5 + 1 = 1.5, where x alone cost 1."""
    model = tiny()
    session = Session(model)
    assert solved(session).objective == pytest.approx(1.0)
    session.add_rows(session.row([(model.y, 1.0), (model.x, -1.0)]), [0.0])
    outcome = solved(session)
    assert outcome.objective == pytest.approx(1.5)
    assert outcome.certificate.holds
    assert session.shape == (2, 2)


def test_a_fixed_variable_stays_fixed_and_can_be_fixed_elsewhere() -> None:
    """x at 0.25 leaves 0.75 to y: 1.75. At 0.5: 1.5."""
    model = tiny()
    session = Session(model)
    session.fix([model.x], [0.25])
    assert solved(session).objective == pytest.approx(1.75)
    session.fix([model.x], [0.5])
    assert solved(session).objective == pytest.approx(1.5)


def test_what_is_loaded_lies_within_the_bounds() -> None:
    model = tiny(most=1.0)
    session = Session(model)
    outcome = solved(session)
    session.load(replace(outcome, x=outcome.x + np.array([1e-9, -1e-9])))
    assert session.value(model.x) <= 1.0
    assert session.value(model.y) >= 0.0


def test_a_variable_that_must_be_whole_is_so_with_a_proof_and_the_session_is_a_linear_program_again() -> None:
    """x + y >= 1.5: x is 1 or 2 (1 with half a y: 1 + 1, or 2), not the 1.5 it would be."""
    model = tiny(least=1.5, most=3.0)
    session = Session(model)
    point = session.solve_whole([model.x], [], 0.0, 10.0)
    assert isinstance(point, Whole)
    assert point.objective == pytest.approx(2.0)
    assert point.bound == pytest.approx(2.0)
    assert point.x[session.column(model.x)] == pytest.approx(round(point.x[session.column(model.x)]))
    assert solved(session).objective == pytest.approx(1.5)


def test_a_search_starts_where_it_is_told_and_stops_within_the_gap_it_is_given() -> None:
    """Two whole x at 1 are as good as it gets, three cost 1 more: with a gap of 2 the start may stand, with 0 it does not."""
    for gap, most in ((2.0, 3.0), (0.0, 2.0)):
        model = tiny(least=1.5, most=3.0)
        point = Session(model).solve_whole([model.x], [3.0], gap, 10.0)
        assert isinstance(point, Whole)
        assert point.objective <= most + 1e-9
        assert point.objective - point.bound <= gap + 1e-9


def test_no_whole_point_is_told_as_infeasible() -> None:
    model = tiny()
    model.between = pyo.Constraint(expr=(0.2, model.x, 0.8))
    assert isinstance(Session(model).solve_whole([model.x], [], 0.0, 10.0), Infeasible)


def test_no_time_for_a_whole_point_is_told_as_timed_out(site: Any, job: Any) -> None:
    jobs = tuple(job(5.0, 20.0, id=f"job{i}") for i in range(10))
    model = build(site((1.0,) * 20, (0.1,) * 20, jobs=jobs))
    gpus = [model.workload.gpus[w, 0, t] for w in range(10) for t in range(20)]
    assert isinstance(Session(model).solve_whole(gpus, [], 0.0, 1e-6), TimedOut)


def test_the_condition_is_how_far_the_numbers_are_apart() -> None:
    """Costs of 1 and 2, coefficients of 1 and 1."""
    condition = Session(tiny()).condition
    assert (condition.matrix, condition.cost) == (1.0, 2.0)
