"""Session: one declared Pyomo model over a solver - the names of its columns and rows, and its solution.

Callers speak of Vars and their members; the solver (`models.solving.attempt`) knows columns and rows by number. What a Var came to is
read as an array over its index set, for a Var of a large site has no member in Python until somebody asks for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from models.compile import Compiled, Ints, Place
from models.horizon import Floats
from models.solving.attempt import Method, ProgramSolver, SolverOf
from models.solving.outcome import Condition, Infeasible, Outcome, Solved, TimedOut, Whole
from models.solving.program import Indices, Program
from models.solving.sifting import sift
from models.solving.solver import SCALING, Solver
from models.sparse import sp


class Session:
    """One linear program in a solver: that of `model`, whose constraints may be declared only (`models.compile.unexpanded`)."""

    def __init__(self, model: Any, solver_of: SolverOf = Solver) -> None:
        self.model = model
        self.compiled = c = Compiled(model)
        self._solver: ProgramSolver = solver_of(Program(c.cost, c.offset, c.matrix, c.row_lower, c.row_upper, c.lower, c.upper))
        self.x = np.zeros(len(c.cost))

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
        self.bound_columns(self._at(variables), lower, upper)

    def bound_columns(self, columns: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> None:
        """Keep columns within new bounds; the next solve starts from the last basis."""
        self._solver.bound(np.asarray(columns, np.int32), np.asarray(lower, float), np.asarray(upper, float))

    def add_rows(self, rows: sp.csr_matrix, lower: ArrayLike) -> range:
        """Add rows `rows @ x >= lower`, `rows` of shape (added, columns); returns their numbers."""
        first, added = self.shape[0], rows.shape[0]
        self._solver.add_rows(rows, np.array(lower, float), np.full(added, np.inf))
        return range(first, first + added)

    def row(self, terms: Sequence[tuple[Any, float]]) -> sp.csr_matrix:
        """`sum of coefficient * variable` of (variable, coefficient) as a row, shape (1, columns)."""
        columns = [self.column(v) for v, _ in terms]
        return sp.csr_matrix(([c for _, c in terms], ([0] * len(terms), columns)), shape=(1, self.shape[1]))

    def solve(self, budget_s: float, method: Method = "choose") -> Outcome:
        """A certified optimum within `budget_s` seconds, warm where there is a basis (`models.solving.attempt`)."""
        return self._solver.solve(budget_s, method)

    def sift(self, closed: Indices, budget_s: float) -> Outcome:
        """A certified optimum within `budget_s` seconds, first without the columns `closed` (`models.solving.sifting`)."""
        return sift(self._solver, closed, budget_s)

    def solve_whole(self, variables: Sequence[Any], start: Sequence[float], gap: float, budget_s: float) -> Whole | Infeasible | TimedOut:
        """Search within `budget_s` seconds for an optimum at which `variables` are whole, proven to `gap` of the objective's unit.

        `start` are values of `variables` to begin with, as many or none. The session is a linear program again afterwards, but cold.
        """
        return self._solver.solve_whole(self._at(variables), np.asarray(start, float), gap, budget_s)

    def load(self, solved: Solved) -> None:
        """Keep a solution, clipped into the bounds in force, for `values` and `value`."""
        self.x = np.clip(solved.x, self.lower, self.upper)

    def values(self, var: Any) -> Floats:
        """What a Var is in the solution that was loaded last, 0 where it takes no part; one axis for each Set that indexes it."""
        columns = self.compiled.columns(var)
        return np.where(columns >= 0, self.x[columns], 0.0) if len(self.x) else np.zeros(columns.shape)

    def value(self, variable: Any) -> float:
        """What one variable is in it."""
        column = self.compiled.column(variable)
        return float(self.x[column]) if column >= 0 else 0.0

    def values_of(self, variables: Sequence[Any]) -> Floats:
        """What each of some variables is in it, shape (n,)."""
        return np.array([self.value(v) for v in variables], float)

    def columns(self, var: Any) -> Ints:
        """The column of each member of a Var, -1 where it takes no part; shaped as `values`."""
        return self.compiled.columns(var)

    def column(self, variable: Any) -> int:
        """The column of one variable; KeyError where it takes no part."""
        column = self.compiled.column(variable)
        if column < 0:
            raise KeyError(f"{variable.name} takes no part in the program")
        return column

    def has(self, variable: Any) -> bool:
        """Whether a variable takes part."""
        return self.compiled.column(variable) >= 0

    def column_place(self, column: int) -> Place:
        """The Var of a column and its index."""
        return self.compiled.column_place(column)

    def row_place(self, row: int) -> Place | None:
        """The Constraint of a row and its index; None of a row that was added."""
        return self.compiled.row_place(row) if row < self.compiled.matrix.shape[0] else None

    @property
    def _program(self) -> Program:
        return self._solver.program

    def _at(self, variables: Sequence[Any]) -> Indices:
        return np.array([self.column(v) for v in variables], np.int32)
