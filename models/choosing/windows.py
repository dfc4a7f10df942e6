"""Windows: one for each maintenance that has a choice, one maintenance after another, each where the solution before it leans to."""

from __future__ import annotations

from models.problem import Problem
from models.solving.attempt import SolverOf
from models.solving.ladders import solve_with_ladders
from models.solving.outcome import Infeasible, Solved, TimedOut
from models.solving.relaxation import program_of
from models.work.maintenance import Window, likeliest, open_starts


def with_windows(problem: Problem, deadline: float, solver_of: SolverOf) -> Problem | Infeasible | TimedOut:
    """The problem with all its maintenances placed, or why that was not done by `deadline`."""
    if not problem.maintenances:
        return problem
    session, horizon = program_of(problem, solver_of), problem.horizon
    block = session.model.maintenance
    for maintenance in problem.maintenances:
        outcome = solve_with_ladders(session, deadline)
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
