"""Attempt: what every solver of a program offers, and when its answer is believed.

An answer counts when its certificate holds, whoever computed it and in whatever process. What is not an optimum with such a
certificate is tried again cold, then cold by interior point. That there is no point is believed only without presolve, which says so too
early where rows leave room of about its tolerance.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from models.horizon import Floats
from models.solving.certificate import certify
from models.solving.outcome import Infeasible, Outcome, Solved, TimedOut, Whole
from models.solving.program import Indices, Program
from models.sparse import sp

Method = Literal["choose", "simplex", "primal", "ipm"]
"""`choose` is the solver's own choice, the dual simplex. `primal`, the other one, suits a basis that only columns were opened to or
whose costs changed. `ipm` is interior point and a crossover to a basis, which the primal simplex then tidies up: the dual took
12,849 iterations for what the primal did in 31.
"""

BASIC = 1
Basis = tuple[NDArray[np.int8], NDArray[np.int8]]
"""Status of each column and of each row: 0 at its lower bound, 1 basic, 2 at its upper bound, 3 free at zero, 4 not basic."""


@dataclass(frozen=True)
class Attempt:
    """How to solve once: from the last basis, or `cold` with the program passed anew."""

    method: Method = "choose"
    cold: bool = False
    presolve: bool = True


@dataclass(frozen=True)
class Point:
    """What a solver claims to be an optimum: `x` by column, `row_dual` by row."""

    x: Floats
    row_dual: Floats
    seconds: float


class ProgramSolver(Protocol):
    """Holds one program and solves it; columns and rows go by number.

    `program` is what is in force, `runs` how often the solver ran and `run_seconds` how long in all. What changes takes part in the
    next solve, which starts from the last basis. SolverFault for a number that is none, as in `Program`.
    """

    program: Program
    runs: int
    run_seconds: float

    def price(self, cost: Floats) -> None:
        """Put other costs in force, one a column."""

    def bound(self, columns: Indices, lower: Floats, upper: Floats) -> None:
        """Give columns other bounds."""

    def rebound(self, rows: Indices, lower: Floats, upper: Floats) -> None:
        """Give rows other bounds."""

    def add_rows(self, matrix: sp.csr_matrix, lower: Floats, upper: Floats) -> None:
        """Add rows below the others, `matrix` of shape (added, columns)."""

    def solve(self, budget_s: float, method: Method = "choose") -> Outcome:
        """A certified optimum within `budget_s` seconds, the first attempt by `method`."""

    def solve_whole(self, columns: Indices, start: Floats, gap: float, budget_s: float) -> Whole | Infeasible | TimedOut:
        """Search within `budget_s` seconds for an optimum at which `columns` are whole, proven to `gap` of the objective's unit.

        `start` are values of `columns` to begin with, as many or none. The program is a linear one again afterwards, but cold.
        """

    def basis(self) -> Basis | None:
        """The last basis; None where there is none."""

    def start_from(self, columns: NDArray[np.int8], rows: NDArray[np.int8]) -> None:
        """Start the next solve from a basis; one that does not have as many basic as there are rows is mended by the solver."""


SolverOf = Callable[[Program], ProgramSolver]
"""Where programs are solved: takes one into a solver."""


def certified(program: Program, run: Callable[[Attempt, float], Point | Infeasible | TimedOut], budget_s: float, method: Method) -> Outcome:
    """What `run(attempt, budget in s)` finds within `budget_s` seconds, once its certificate on `program` holds."""
    deadline = time.perf_counter() + budget_s
    outcome = _judged(program, run(Attempt(method), budget_s))
    for again in ("choose", "ipm"):
        left_s = deadline - time.perf_counter()
        if (isinstance(outcome, Solved) and outcome.certificate.holds) or left_s <= 0:
            break
        if isinstance(outcome, Infeasible) and again == "ipm":
            break
        attempt = Attempt(again, cold=True, presolve=not isinstance(outcome, Infeasible))
        outcome = _judged(program, run(attempt, left_s))
    if isinstance(outcome, Solved) and not outcome.certificate.holds:
        return TimedOut(outcome.seconds, f"the solver's answer failed its certificate every time: {outcome.certificate}")
    return outcome


def _judged(program: Program, found: Point | Infeasible | TimedOut) -> Outcome:
    if not isinstance(found, Point):
        return found
    certificate = certify(program, found.x, found.row_dual)
    return Solved(program.objective(found.x), found.x, found.row_dual, certificate, found.seconds)
