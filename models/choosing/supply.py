"""Supply: one level of each set-point for each step, out of a mixture of them.

Tried are the usual one; the warmest level no warmer than the mixture, which no hall is too cold for; and the level with most of the
mixture. Each is fixed in the program of the mixture, with no hall cooled that is too cold for it (`models.solving.cold`), and kept is the
first that breaks least and then costs least.
"""

from __future__ import annotations

import numpy as np

from models.breach import TINY
from models.horizon import Floats
from models.problem import Problem
from models.solving.attempt import SolverOf
from models.solving.cold import ColdHalls
from models.solving.ladders import solve_with_ladders
from models.solving.outcome import Infeasible, Outcome, Solved
from models.solving.relaxation import program_of
from models.solving.session import Session
from models.solving.settle import broken

Supply = dict[str, Floats]
"""The level of each step, degC, shape (T,), by plant."""


def with_supply(problem: Problem, deadline: float, solver_of: SolverOf) -> Problem | Infeasible:
    """The problem with one level for each step of each set-point; the usual one where there was no time until `deadline` to find better."""
    if not problem.open_set_points:
        return problem
    session, usual = program_of(problem, solver_of), problem.usual_supply_c
    model = session.model
    outcome = solve_with_ladders(session, deadline)
    if isinstance(outcome, Infeasible):
        return outcome
    if not isinstance(outcome, Solved):
        return problem.supplied(usual)
    patterns: list[Supply] = [usual, {}, {}]
    for plant, point in problem.open_set_points.items():
        levels = np.asarray(point.levels_c)
        share = session.values(model.set_point[plant].share)
        mixed = levels @ share
        patterns[1][plant] = levels[np.maximum(np.searchsorted(levels, mixed + TINY, side="right") - 1, 0)]
        patterns[2][plant] = levels[share.argmax(axis=0)]
    best, rank = usual, (np.inf, np.inf)
    for pattern in patterns:
        outcome = _solve_at(session, problem, pattern, deadline)
        if not isinstance(outcome, Solved):
            break
        now = round(broken(session)[0], 5), outcome.objective
        if now[0] < rank[0] or (now[0] == rank[0] and now[1] < rank[1] - TINY):
            best, rank = pattern, now
    return problem.supplied(best)


def _solve_at(session: Session, problem: Problem, pattern: Supply, deadline: float) -> Outcome:
    """The optimum with all levels as in `pattern`."""
    for plant, point in problem.open_set_points.items():
        share = session.model.set_point[plant].share
        at = list(share.index_set())
        session.fix([share[i, t] for i, t in at], [float(point.levels_c[i] == pattern[plant][t]) for i, t in at])
    halls = ColdHalls(session, problem)
    outcome = solve_with_ladders(session, deadline)
    while isinstance(outcome, Solved) and (too_cold := halls.cooled(pattern | problem.supply_c)):
        outcome = halls.solve(too_cold, lambda: solve_with_ladders(session, deadline))
    halls.lift()
    return outcome
