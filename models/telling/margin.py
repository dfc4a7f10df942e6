"""Margin: what holding the limits against the pessimistic forecast costs."""

from __future__ import annotations

import time

from models.plan import Plan
from models.solving.attempt import SolverOf
from models.solving.outcome import Solved
from models.solving.relaxation import Relaxation


def margin_price(plan: Plan, budget_s: float, solver_of: SolverOf) -> float | None:
    """How much dearer the optimum of the problem of `plan` is than that of the same problem told the expected forecast only, money.

    Both are of the programs before rounding; the second one is solved for it, within `budget_s` seconds. None where no pessimistic
    forecast is told, where a limit is broken, or out of time.
    """
    if not plan.problem.is_uncertain or plan.account.is_breached:
        return None
    outcome = Relaxation(plan.problem.certain, time.perf_counter() + budget_s, solver_of).solve()
    return plan.record.bound - outcome.objective if isinstance(outcome, Solved) else None
