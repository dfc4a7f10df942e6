"""Solve: HiGHS, behind three outcomes. The only file that knows the solver.

A `Session` holds one compiled model: it can be solved, given more rows, have bounds fixed, and be solved again warm. Every
solution is judged outside the solver by a certificate - the largest primal and dual residual and the duality gap, recomputed
from the matrix - because a warm linear program can claim an optimum it does not have. A failed one is solved again cold.

Traps met here: the solver's time limit counts the clock of the object, not of the call; its setters return a status and do
not raise; a NaN passes silently, so every number is checked before it goes in; and a coefficient that it finds too small to
matter it drops with a warning, so those are left out here, where the certificate sees the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import highspy
import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from models.horizon import Floats
from models.solving.outcome import Certificate, Condition, Infeasible, Outcome, Solved, TimedOut, Whole

SOLVER_DUAL_TOLERANCE = 1e-9
"""The solver's own: at its usual 1e-7 a column of a few GPUs may leave more of a gap than the certificate allows."""

SMALLEST = 1e-9
"""The solver drops coefficients up to this size (`small_matrix_value`)."""

FEASIBLE = 2
"""The solver's word for a point that satisfies the rows (`kSolutionStatusFeasible`)."""
_SHARP = (("mip_feasibility_tolerance", 1e-9), ("primal_feasibility_tolerance", 1e-9))
"""Of a search: at its usual 1e-6 it finds no point where a tier of breaches is held at its least."""
_NO_POINT = (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible)


class SolverFault(RuntimeError):
    """The solver refused a call or was handed a number it must not see; a fault of the program, not of the problem."""


class Session:
    """One linear program in the solver.

    Columns are those of `model`'s variables that appear in it; `columns` maps a variable's id() to its position.
    """

    def __init__(self, model: Any) -> None:
        form = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
        self.variables: list[Any] = list(form.columns)
        self.columns = {id(v): i for i, v in enumerate(self.variables)}
        self._cost = np.asarray(form.c.todense(), float).ravel()
        self._offset = float(form.c_offset[0])
        self._a = _without_dust(sp.csr_matrix(form.A))
        self._row_lower, self._row_upper = _row_bounds(form)
        self.row_names: list[Any] = [row.constraint for row in form.rows]
        self._lower = np.array([-np.inf if v.lb is None else v.lb for v in self.variables], float)
        self._upper = np.array([np.inf if v.ub is None else v.ub for v in self.variables], float)
        self._highs = self._pass()
        self.run_seconds = 0.0
        self.runs = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return (len(self._row_lower), len(self.variables))

    @property
    def condition(self) -> Condition:
        """How well the program is scaled, at the costs in force."""
        status, scaling = self._highs.getOptionValue("simplex_scale_strategy")
        _check(status, "simplex_scale_strategy")
        return Condition(_spread(self._a.data), _spread(self._cost), int(scaling))

    @property
    def cost(self) -> Floats:
        """Cost of each column, money per unit: a copy of those in force, shape (columns,)."""
        return self._cost.copy()

    @property
    def lower(self) -> Floats:
        """Lower bound in force of each column, shape (columns,)."""
        return self._lower

    @property
    def upper(self) -> Floats:
        """Upper bound in force of each column, shape (columns,)."""
        return self._upper

    @property
    def row_lower(self) -> Floats:
        """Lower bound in force of each row, shape (rows,)."""
        return self._row_lower

    @property
    def row_upper(self) -> Floats:
        """Upper bound in force of each row, shape (rows,)."""
        return self._row_upper

    @property
    def matrix(self) -> sp.csr_matrix:
        """Coefficients, shape (rows, columns)."""
        return self._a

    def reduced(self, solved: Solved) -> Floats:
        """Reduced cost of each column at an earlier or the last optimum, shape (columns,); rows added since play no part."""
        return np.asarray(self._cost - self._a[: len(solved.row_dual)].T @ solved.row_dual)

    def rebound(self, rows: Sequence[int], lower: Floats, upper: Floats) -> None:
        """Give rows other bounds; the next solve starts from the last basis."""
        if np.isnan(lower).any() or np.isnan(upper).any():
            raise SolverFault("a bound is not a number")
        for row, least, most in zip(rows, lower.tolist(), upper.tolist(), strict=True):
            self._row_lower[row], self._row_upper[row] = least, most
            _check(self._highs.changeRowBounds(row, least, most), "changeRowBounds")

    def price(self, cost: Floats) -> None:
        """Put other costs in force, one a column; certificates and objectives are of these from now on."""
        if cost.shape != self._cost.shape or not np.isfinite(cost).all():
            raise SolverFault("a cost coefficient is missing or not a finite number")
        self._cost = cost.copy()
        columns = np.arange(len(cost), dtype=np.int32)
        _check(self._highs.changeColsCost(len(columns), columns, self._cost), "changeColsCost")

    def at_least(self, row: int, lower: float) -> None:
        """Give an added row another lower bound, -inf to lift it; the next solve starts from the last basis."""
        if np.isnan(lower):
            raise SolverFault("a bound is not a number")
        self._row_lower[row] = lower
        _check(self._highs.changeRowBounds(row, lower, highspy.kHighsInf), "changeRowBounds")

    def fix(self, variables: Sequence[Any], values: Sequence[float]) -> None:
        """Fix variables at values; the next solve starts from the last basis."""
        self.bound(variables, values, values)

    def bound(self, variables: Sequence[Any], lower: Sequence[float], upper: Sequence[float]) -> None:
        """Keep variables within new bounds; the next solve starts from the last basis."""
        columns = np.array([self.columns[id(v)] for v in variables], np.int32)
        self._lower[columns], self._upper[columns] = lower, upper
        status = self._highs.changeColsBounds(len(columns), columns, self._lower[columns], self._upper[columns])
        _check(status, "changeColsBounds")

    def add_rows(self, terms: Sequence[Sequence[tuple[Any, float]]], lower: Sequence[float]) -> None:
        """Add a row `sum of coefficient * variable >= lower` for each sequence of (variable, coefficient)."""
        n = len(terms)
        columns = np.array([self.columns[id(v)] for row in terms for v, _ in row], np.int32)
        coefficients = np.array([c for row in terms for _, c in row], float)
        starts = np.cumsum([0, *(len(row) for row in terms)])
        rows = _without_dust(sp.csr_matrix((coefficients, columns, starts), shape=(n, len(self.variables))))
        rows.sort_indices()
        self._a = sp.csr_matrix(sp.vstack([self._a, rows]))
        self._row_lower = np.r_[self._row_lower, lower]
        self._row_upper = np.r_[self._row_upper, np.full(n, np.inf)]
        self.row_names += [None] * n
        status = self._highs.addRows(
            n,
            np.asarray(lower, float),
            np.full(n, highspy.kHighsInf),
            rows.nnz,
            rows.indptr[:-1].astype(np.int32),
            rows.indices.astype(np.int32),
            rows.data,
        )
        _check(status, "addRows")

    def solve(self, budget_s: float) -> Outcome:
        """Solve within `budget_s` seconds, warm where there is a basis.

        Whatever is not an optimum with a certificate that holds is tried again cold, then by interior point. That there is no
        point is believed only without presolve, which says so too early where rows leave room of about its tolerance.
        """
        deadline = time.perf_counter() + budget_s
        outcome = self._run(budget_s)
        for method in ("choose", "ipm"):
            left_s = deadline - time.perf_counter()
            if (isinstance(outcome, Solved) and outcome.certificate.holds) or left_s <= 0:
                break
            if isinstance(outcome, Infeasible) and method == "ipm":
                break
            self._highs = self._pass(method, presolve="off" if isinstance(outcome, Infeasible) else "choose")
            outcome = self._run(left_s)
        if isinstance(outcome, Solved) and not outcome.certificate.holds:
            return TimedOut(outcome.seconds, f"the solver's answer failed its certificate every time: {outcome.certificate}")
        return outcome

    def solve_whole(self, variables: Sequence[Any], start: Sequence[float], gap: float, budget_s: float) -> Whole | Infeasible | TimedOut:
        """Search within `budget_s` seconds for an optimum at which `variables` are whole, proven to `gap` of the objective's unit.

        `start` are values of `variables` to begin with, as many or none. The session is a linear program again afterwards, but cold.
        """
        columns = np.array([self.columns[id(v)] for v in variables], np.int32)
        kinds = np.full(len(columns), int(highspy.HighsVarType.kInteger), np.uint8)
        _check(self._highs.changeColsIntegrality(len(columns), columns, kinds), "changeColsIntegrality")
        for option, value in (("mip_abs_gap", gap), ("mip_rel_gap", 0.0), *_SHARP):
            _check(self._highs.setOptionValue(option, value), option)
        if len(start):
            _check(self._highs.setSolution(len(columns), columns, np.asarray(start, float)), "setSolution")
        seconds, status = self._timed(budget_s)
        info, solution = self._highs.getInfo(), self._highs.getSolution()
        x = np.asarray(solution.col_value)
        found = info.primal_solution_status == FEASIBLE and np.isfinite(info.mip_dual_bound)
        self._highs = self._pass()
        if status in _NO_POINT:
            return Infeasible(str(status))
        if not found:
            return TimedOut(seconds, f"no point with whole numbers: {status}")
        objective = float(self._cost @ x) + self._offset
        return Whole(objective, min(float(info.mip_dual_bound), objective), x, seconds)

    def load(self, solved: Solved) -> None:
        """Write a solution into the Pyomo variables, clipped into their bounds."""
        for variable, value in zip(self.variables, np.clip(solved.x, self._lower, self._upper).tolist(), strict=True):
            variable.set_value(value, skip_validation=True)

    def _pass(self, method: str = "choose", presolve: str = "choose") -> Any:
        for name, values in (("cost", self._cost), ("matrix", self._a.data)):
            if not np.isfinite(values).all():
                raise SolverFault(f"a {name} coefficient is not a finite number")
        if np.isnan(np.r_[self._lower, self._upper, self._row_lower, self._row_upper]).any():
            raise SolverFault("a bound is not a number")
        columns = sp.csc_matrix(self._a)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.variables), len(self._row_lower)
        lp.col_cost_, lp.offset_ = self._cost, self._offset
        lp.col_lower_, lp.col_upper_ = self._lower, self._upper
        lp.row_lower_, lp.row_upper_ = self._row_lower, self._row_upper
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = columns.indptr, columns.indices, columns.data
        highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        own = {"output_flag": False, "threads": 1, "dual_feasibility_tolerance": SOLVER_DUAL_TOLERANCE}
        for option, value in (own | {"solver": method, "presolve": presolve}).items():
            _check(highs.setOptionValue(option, value), option)
        _check(highs.passModel(lp), "passModel")
        return highs

    def _run(self, budget_s: float) -> Outcome:
        seconds, status = self._timed(budget_s)
        if status in _NO_POINT:
            return Infeasible(self._highs.modelStatusToString(status))
        if status != highspy.HighsModelStatus.kOptimal:
            return TimedOut(seconds, self._highs.modelStatusToString(status))
        solution = self._highs.getSolution()
        x, row_dual = np.asarray(solution.col_value), np.asarray(solution.row_dual)
        objective = float(self._cost @ x) + self._offset
        return Solved(objective, x, row_dual, self._certify(x, row_dual), seconds)

    def _timed(self, budget_s: float) -> tuple[float, Any]:
        """Run the solver; what it took, s, and how it ended."""
        started = time.perf_counter()
        _check(self._highs.setOptionValue("time_limit", self._highs.getRunTime() + budget_s), "time_limit")
        self._highs.run()
        seconds = time.perf_counter() - started
        self.run_seconds += seconds
        self.runs += 1
        return seconds, self._highs.getModelStatus()

    def _certify(self, x: Floats, row_dual: Floats) -> Certificate:
        activity = self._a @ x
        scale = 1.0 + np.maximum(np.abs(_finite(self._row_lower)), np.abs(_finite(self._row_upper)))
        over_rows = np.maximum(self._row_lower - activity, activity - self._row_upper) / scale
        over_columns = np.maximum(self._lower - x, x - self._upper) / (1.0 + np.abs(x))
        primal = float(max(over_rows.max(initial=0.0), over_columns.max(initial=0.0)))

        reduced = self._cost - self._a.T @ row_dual
        column_bound = np.where(reduced > 0, self._lower, self._upper)
        row_bound = np.where(row_dual > 0, self._row_lower, self._row_upper)
        column_wrong = np.where(np.isfinite(column_bound), 0.0, np.abs(reduced) / (1.0 + np.abs(self._cost)))
        row_wrong = np.where(np.isfinite(row_bound), 0.0, np.abs(row_dual))
        dual = float(max(column_wrong.max(initial=0.0), row_wrong.max(initial=0.0)))

        objective = float(self._cost @ x)
        dual_objective = float(_finite(column_bound) @ reduced + _finite(row_bound) @ row_dual)
        return Certificate(primal, dual, abs(objective - dual_objective) / max(1.0, abs(objective)))


def _row_bounds(form: Any) -> tuple[Floats, Floats]:
    """Lower and upper bound of each row of Pyomo's mixed standard form (bound type 0: equality, 1: upper, -1: lower)."""
    kind = np.array([row.bound_type for row in form.rows])
    rhs = np.asarray(form.rhs, float)
    return np.where(kind == 1, -np.inf, rhs), np.where(kind == -1, np.inf, rhs)


def _without_dust(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """`matrix` without what the solver would drop; what is not a number stays, to be refused."""
    matrix.data[np.abs(matrix.data) <= SMALLEST] = 0.0
    matrix.eliminate_zeros()
    return matrix


def _spread(coefficients: Floats) -> float:
    """Largest over smallest absolute value of those that are not 0; 1 where there are none."""
    size = np.abs(coefficients[coefficients != 0])
    return float(size.max() / size.min()) if len(size) else 1.0


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, 0.0)


def _check(status: Any, what: str) -> None:
    if status != highspy.HighsStatus.kOk:
        raise SolverFault(f"HiGHS refused {what}: {status}")


def values(variables: Iterable[Any]) -> Floats:
    """Solution values of Pyomo variables, zero where a variable takes no part, shape (n,)."""
    return np.array([pyo.value(v, exception=False) or 0.0 for v in variables], float)
