"""Margin: what holding the limits against the pessimistic forecast costs."""

from __future__ import annotations

from models.solving.attempt import SolverOf
from models.solving.outcome import Solved
from models.solving.relaxation import Relaxation


def margin_price(program: Relaxation, bound: float, solver_of: SolverOf) -> float | None:
    """How much dearer `bound`, the optimum of `program`, is than that of the same problem told the expected forecast only, money.

    None where it is told no other, or out of time.
    """
    if not program.problem.is_uncertain:
        return None
    outcome = Relaxation(program.problem.certain, program.deadline, solver_of).solve()
    return bound - outcome.objective if isinstance(outcome, Solved) else None
