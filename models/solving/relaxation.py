"""Relaxation: the linear program of a problem, which a plan is rounded from.

It is held to less than the limits where rounding needs room (`models.sending.tightened`), solved with the ladder rows it breaks
(`models.solving.ladders`), what it breaks of limits in their order (`models.solving.tiers`), and then settled (`models.solving.settle`).
"""

from __future__ import annotations

import time

from models.problem import Problem
from models.sending.tightened import tightened
from models.site import declare
from models.solving.attempt import SolverOf
from models.solving.ladders import solve_with_ladders
from models.solving.outcome import Infeasible, Outcome, Solved
from models.solving.session import Session
from models.solving.settle import settle
from models.solving.tiers import Ranked


def program_of(problem: Problem, solver_of: SolverOf) -> Session:
    """The linear program of `problem` in a solver."""
    return Session(declare(tightened(problem)), solver_of)


class Relaxation:
    """The program of `problem`, solved until the instant `deadline` (s, of `perf_counter`), later by the time that making it takes.

    `reserved` is the problem that it holds the limits of; `build_s` is what making it took.
    """

    def __init__(self, problem: Problem, deadline: float, solver_of: SolverOf) -> None:
        started = time.perf_counter()
        self.problem, self.reserved = problem, tightened(problem)
        self.session = Session(declare(self.reserved), solver_of)
        self.ranked = Ranked(self.session)
        self.build_s = time.perf_counter() - started
        self.deadline = deadline + self.build_s

    def solve(self) -> Outcome:
        """The optimum, which `session` then holds."""
        return self.ranked.solve(lambda latest: solve_with_ladders(self.session, latest), self.deadline)

    def settle(self, solved: Solved) -> Outcome:
        """What settling `solved` came to: `solved`, which `session` still holds or nearly so, where nothing was settled or all of it cannot be."""
        outcome = settle(self.session, self.problem, self.solve)
        return solved if outcome is None or isinstance(outcome, Infeasible) else outcome
