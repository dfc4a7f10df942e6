"""Windows: one for each maintenance that has a choice, one maintenance after another."""

from __future__ import annotations

from collections.abc import Callable

from models.problem import Problem
from models.solving.outcome import Infeasible, Outcome, Solved, TimedOut
from models.solving.session import Session
from models.work.maintenance import Window, likeliest, open_starts


def find_windows(session: Session, problem: Problem, solve: Callable[[], Outcome]) -> Problem | Infeasible | TimedOut:
    """The problem with all its maintenances placed, each where the solution before it leans to; or an outcome that is none.

    `session` is that of `problem`; `solve` solves it and loads the solution.
    """
    model = session.model
    block, horizon = model.maintenance, problem.horizon
    for maintenance in problem.maintenances:
        outcome = solve()
        if not isinstance(outcome, Solved):
            return outcome
        mine = [s for m, s in block.WINDOWS if m == maintenance.id]
        still = set(open_starts(maintenance, horizon, problem.free_gpus(maintenance.pool)))
        allowed = [s for s in mine if s in still]
        share = [session.value(block.place[maintenance.id, s]) for s in allowed]
        start = likeliest(share, session.value(block.unserviced_gpu_h[maintenance.id]), maintenance, allowed)
        session.fix([block.place[maintenance.id, s] for s in mine], [float(s == start) for s in mine])
        problem = problem.placed(Window(maintenance, start))
    return problem
