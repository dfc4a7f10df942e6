"""Solver: HiGHS in this process. The only file that knows the solver.

Traps met here: its time limit counts the clock of the object, not of the call; its setters return a status and do not raise; it
takes a NaN for a cost (`models.solving.program` does not); a model status is what counts, for at a time limit and at an
infeasible program it holds values that it calls valid.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from models.horizon import Floats
from models.solving.attempt import Attempt, Basis, Method, Point, certified
from models.solving.outcome import Infeasible, Outcome, TimedOut, Whole
from models.solving.program import Indices, Program, SolverFault
from models.sparse import sp

SCALING = 2
"""`simplex_scale_strategy`, which is the solver's usual one."""
DUAL, PRIMAL = 1, 4
"""`simplex_strategy`."""
OWN: Mapping[str, Any] = {
    "output_flag": False,
    "threads": 1,
    "simplex_scale_strategy": SCALING,
    # at its usual 1e-7 a column of a few GPUs may leave more of a gap than the certificate allows
    "dual_feasibility_tolerance": 1e-9,
}
SHARP: Mapping[str, Any] = {"mip_rel_gap": 0.0, "mip_feasibility_tolerance": 1e-9, "primal_feasibility_tolerance": 1e-9}
"""Of a search: at its usual 1e-6 it finds no point where a tier of breaches is held at its least."""

FEASIBLE = 2
"""The solver's word for a point that satisfies the rows (`kSolutionStatusFeasible`)."""
_NO_POINT = (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible)
_STATUS = [highspy.HighsBasisStatus(i) for i in range(5)]


class Solver:
    """One program in HiGHS, as `models.solving.attempt.ProgramSolver` says; it keeps the warm model."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.runs = 0
        self.run_seconds = 0.0
        self._highs = self._pass()

    def price(self, cost: Floats) -> None:
        """Put other costs in force, one a column."""
        self.program.price(cost)
        columns = np.arange(len(cost), dtype=np.int32)
        _check(self._highs.changeColsCost(len(columns), columns, self.program.cost), "changeColsCost")

    def bound(self, columns: Indices, lower: Floats, upper: Floats) -> None:
        """Give columns other bounds."""
        self.program.bound(columns, lower, upper)
        _check(self._highs.changeColsBounds(len(columns), columns, lower, upper), "changeColsBounds")

    def rebound(self, rows: Indices, lower: Floats, upper: Floats) -> None:
        """Give rows other bounds."""
        self.program.rebound(rows, lower, upper)
        _check(self._highs.changeRowsBounds(len(rows), rows, lower, upper), "changeRowsBounds")

    def add_rows(self, matrix: sp.csr_matrix, lower: Floats, upper: Floats) -> None:
        """Add rows below the others."""
        added = self.program.add_rows(matrix, lower, upper)
        starts, columns = added.indptr[:-1].astype(np.int32), added.indices.astype(np.int32)
        _check(self._highs.addRows(len(lower), lower, upper, added.nnz, starts, columns, added.data), "addRows")

    def solve(self, budget_s: float, method: Method = "choose") -> Outcome:
        """A certified optimum within `budget_s` seconds, the first attempt by `method`."""
        return certified(self.program, self.run, budget_s, method)

    def run(self, attempt: Attempt, budget_s: float) -> Point | Infeasible | TimedOut:
        """Solve once within `budget_s` seconds."""
        if attempt.cold:
            self._highs = self._pass()
        solver = "simplex" if attempt.method == "primal" else attempt.method
        strategy = PRIMAL if attempt.method in {"primal", "ipm"} else DUAL
        self._set({"solver": solver, "simplex_strategy": strategy, "presolve": "choose" if attempt.presolve else "off"})
        seconds, status = self._timed(budget_s)
        if status in _NO_POINT:
            return Infeasible(self._highs.modelStatusToString(status))
        if status != highspy.HighsModelStatus.kOptimal:
            return TimedOut(seconds, self._highs.modelStatusToString(status))
        solution = self._highs.getSolution()
        return Point(np.asarray(solution.col_value), np.asarray(solution.row_dual), seconds)

    def solve_whole(self, columns: Indices, start: Floats, gap: float, budget_s: float) -> Whole | Infeasible | TimedOut:
        """Search for an optimum at which `columns` are whole."""
        kinds = np.full(len(columns), int(highspy.HighsVarType.kInteger), np.uint8)
        _check(self._highs.changeColsIntegrality(len(columns), columns, kinds), "changeColsIntegrality")
        self._set({"mip_abs_gap": gap, **SHARP})
        if len(start):
            _check(self._highs.setSolution(len(columns), columns, start), "setSolution")
        seconds, status = self._timed(budget_s)
        info, solution = self._highs.getInfo(), self._highs.getSolution()
        x = np.asarray(solution.col_value)
        found = info.primal_solution_status == FEASIBLE and np.isfinite(info.mip_dual_bound)
        self._highs = self._pass()
        if status in _NO_POINT:
            return Infeasible(str(status))
        if not found:
            return TimedOut(seconds, f"no point with whole numbers: {status}")
        objective = self.program.objective(x)
        return Whole(objective, min(float(info.mip_dual_bound), objective), x, seconds)

    def basis(self) -> Basis | None:
        """The last basis; None where there is none."""
        basis = self._highs.getBasis()
        if not basis.valid:
            return None
        columns, rows = (np.fromiter(map(int, side), np.int8, len(side)) for side in (basis.col_status, basis.row_status))
        return columns, rows

    def start_from(self, columns: NDArray[np.int8], rows: NDArray[np.int8]) -> None:
        """Start the next solve from a basis."""
        basis = highspy.HighsBasis()
        basis.col_status, basis.row_status = ([_STATUS[status] for status in side.tolist()] for side in (columns, rows))
        basis.valid = True
        _check(self._highs.setBasis(basis), "setBasis")

    def _pass(self) -> Any:
        program, columns = self.program, sp.csc_matrix(self.program.matrix)
        lp = highspy.HighsLp()
        lp.num_row_, lp.num_col_ = program.shape
        lp.col_cost_, lp.offset_ = program.cost, program.offset
        lp.col_lower_, lp.col_upper_ = program.lower, program.upper
        lp.row_lower_, lp.row_upper_ = program.row_lower, program.row_upper
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = columns.indptr, columns.indices, columns.data
        self._highs = highspy.Highs()  # type: ignore[no-untyped-call]
        self._set(OWN)
        _check(self._highs.passModel(lp), "passModel")
        return self._highs

    def _set(self, options: Mapping[str, Any]) -> None:
        for option, value in options.items():
            _check(self._highs.setOptionValue(option, value), option)

    def _timed(self, budget_s: float) -> tuple[float, Any]:
        """Run the solver; what it took, s, and how it ended."""
        started = time.perf_counter()
        self._set({"time_limit": self._highs.getRunTime() + budget_s})
        self._highs.run()
        seconds = time.perf_counter() - started
        self.run_seconds += seconds
        self.runs += 1
        return seconds, self._highs.getModelStatus()


def _check(status: Any, what: str) -> None:
    if status != highspy.HighsStatus.kOk:
        raise SolverFault(f"HiGHS refused {what}: {status}")
