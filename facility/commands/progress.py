"""Progress: what a plan is at, said while it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from models.solving.attempt import Method, ProgramSolver, SolverOf
from models.solving.outcome import Outcome
from models.solving.program import Program


def shown(solver_of: SolverOf, say: Callable[[str], None]) -> SolverOf:
    """`solver_of`, saying before each solve how large the program is and how often it was solved."""

    def made(program: Program) -> ProgramSolver:
        return cast("ProgramSolver", _Shown(solver_of(program), say))

    return made


class _Shown:
    """A solver that says what it does; all else is that of `solver`."""

    def __init__(self, solver: ProgramSolver, say: Callable[[str], None]) -> None:
        self._solver, self._say = solver, say

    def __getattr__(self, name: str) -> Any:
        return getattr(self._solver, name)

    def solve(self, budget_s: float, method: Method = "choose") -> Outcome:
        """As `solver` does, told."""
        rows, columns = self._solver.program.shape
        self._say(f"planning: {rows:,} limits, {columns:,} choices, solve {self._solver.runs + 1}, {budget_s:.0f} s left")
        outcome = self._solver.solve(budget_s, method)
        self._say("planning: settling and rounding")
        return outcome
