"""Session: one compiled Pyomo model over a solver - the names of its columns and rows, and its solutions.

Callers speak of variables; the solver (`models.solving.attempt`) knows columns and rows by number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from numpy.typing import ArrayLike
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from models.horizon import Floats
from models.solving.attempt import Method, ProgramSolver, SolverOf
from models.solving.outcome import Condition, Infeasible, Outcome, Solved, TimedOut, Whole
from models.solving.program import Indices, Program
from models.solving.solver import SCALING, Solver


class Session:
    """One linear program in a solver.

    Columns are those of `model`'s variables that appear in it; `columns` maps a variable's id() to its position.
    """

    def __init__(self, model: Any, solver_of: SolverOf = Solver) -> None:
        form = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
        self.variables: list[Any] = list(form.columns)
        self.columns = {id(v): i for i, v in enumerate(self.variables)}
        self.row_names: list[Any] = [row.constraint for row in form.rows]
        self._solver: ProgramSolver = solver_of(_program(form, self.variables))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._program.shape

    @property
    def condition(self) -> Condition:
        """How well the program is scaled, at the costs in force."""
        return Condition(*self._program.spread, SCALING)

    @property
    def runs(self) -> int:
        """How often the solver ran."""
        return self._solver.runs

    @property
    def run_seconds(self) -> float:
        """How long it ran in all, s."""
        return self._solver.run_seconds

    @property
    def cost(self) -> Floats:
        """Cost of each column, money per unit: a copy of those in force, shape (columns,)."""
        return self._program.cost.copy()

    @property
    def lower(self) -> Floats:
        """Lower bound in force of each column, shape (columns,)."""
        return self._program.lower

    @property
    def upper(self) -> Floats:
        """Upper bound in force of each column, shape (columns,)."""
        return self._program.upper

    @property
    def row_lower(self) -> Floats:
        """Lower bound in force of each row, shape (rows,)."""
        return self._program.row_lower

    @property
    def row_upper(self) -> Floats:
        """Upper bound in force of each row, shape (rows,)."""
        return self._program.row_upper

    @property
    def matrix(self) -> sp.csr_matrix:
        """Coefficients, shape (rows, columns)."""
        return self._program.matrix

    def reduced(self, solved: Solved) -> Floats:
        """Reduced cost of each column at an earlier or the last optimum, shape (columns,); rows added since play no part."""
        program = self._program
        return np.asarray(program.cost - program.matrix[: len(solved.row_dual)].T @ solved.row_dual)

    def price(self, cost: Floats) -> None:
        """Put other costs in force, one a column; certificates and objectives are of these from now on."""
        self._solver.price(cost)

    def rebound(self, rows: Sequence[int], lower: ArrayLike, upper: ArrayLike) -> None:
        """Give rows other bounds; the next solve starts from the last basis."""
        self._solver.rebound(np.asarray(rows, np.int32), np.asarray(lower, float), np.asarray(upper, float))

    def at_least(self, row: int, lower: float) -> None:
        """Give an added row another lower bound, -inf to lift it; the next solve starts from the last basis."""
        self.rebound([row], [lower], [np.inf])

    def fix(self, variables: Sequence[Any], values: Sequence[float]) -> None:
        """Fix variables at values; the next solve starts from the last basis."""
        self.bound(variables, values, values)

    def bound(self, variables: Sequence[Any], lower: Sequence[float], upper: Sequence[float]) -> None:
        """Keep variables within new bounds; the next solve starts from the last basis."""
        self._solver.bound(self._at(variables), np.asarray(lower, float), np.asarray(upper, float))

    def add_rows(self, terms: Sequence[Sequence[tuple[Any, float]]], lower: Sequence[float]) -> None:
        """Add a row `sum of coefficient * variable >= lower` for each sequence of (variable, coefficient)."""
        columns = self._at([v for row in terms for v, _ in row])
        coefficients = np.array([c for row in terms for _, c in row], float)
        starts = np.cumsum([0, *(len(row) for row in terms)])
        rows = sp.csr_matrix((coefficients, columns, starts), shape=(len(terms), len(self.variables)))
        self.row_names += [None] * len(terms)
        self._solver.add_rows(rows, np.asarray(lower, float), np.full(len(terms), np.inf))

    def solve(self, budget_s: float, method: Method = "choose") -> Outcome:
        """A certified optimum within `budget_s` seconds, warm where there is a basis (`models.solving.attempt`)."""
        return self._solver.solve(budget_s, method)

    def solve_whole(self, variables: Sequence[Any], start: Sequence[float], gap: float, budget_s: float) -> Whole | Infeasible | TimedOut:
        """Search within `budget_s` seconds for an optimum at which `variables` are whole, proven to `gap` of the objective's unit.

        `start` are values of `variables` to begin with, as many or none. The session is a linear program again afterwards, but cold.
        """
        return self._solver.solve_whole(self._at(variables), np.asarray(start, float), gap, budget_s)

    def load(self, solved: Solved) -> None:
        """Write a solution into the Pyomo variables, clipped into their bounds."""
        for variable, value in zip(self.variables, np.clip(solved.x, self.lower, self.upper).tolist(), strict=True):
            variable.set_value(value, skip_validation=True)

    @property
    def _program(self) -> Program:
        return self._solver.program

    def _at(self, variables: Sequence[Any]) -> Indices:
        return np.array([self.columns[id(v)] for v in variables], np.int32)


def values(variables: Iterable[Any]) -> Floats:
    """Solution values of Pyomo variables, zero where a variable takes no part, shape (n,)."""
    return np.array([pyo.value(v, exception=False) or 0.0 for v in variables], float)


def _program(form: Any, variables: Sequence[Any]) -> Program:
    """The program of Pyomo's mixed standard form (bound type of a row 0: equality, 1: upper, -1: lower)."""
    kind = np.array([row.bound_type for row in form.rows])
    rhs = np.asarray(form.rhs, float)
    return Program(
        cost=np.asarray(form.c.todense(), float).ravel(),
        offset=float(form.c_offset[0]),
        matrix=sp.csr_matrix(form.A),
        row_lower=np.where(kind == 1, -np.inf, rhs),
        row_upper=np.where(kind == -1, np.inf, rhs),
        lower=np.array([-np.inf if v.lb is None else v.lb for v in variables], float),
        upper=np.array([np.inf if v.ub is None else v.ub for v in variables], float),
    )
