"""Sifting: a large program is solved on the columns that it is likely to use, and then on all of them from there.

    closed columns are held at their lower bound                       interior point, which needs no basis to begin with
    then they are open again, and what is worth using comes in         primal simplex, from the basis the first solve ended with

The last solve, and the certificate of it, is of the whole program: a bad guess of what to close costs time and nothing else. Where
there is no such solution or many of the closed columns are worth using, the whole program starts anew by interior point.

Measured on a day of 58 steps (`tests/bench/sites.py`), closed being what `models.solving.ladders` closes; CPU s of all runs, one thread:

| jobs, pools, columns     | simplex | interior point | sifting | with every ladder row: simplex, interior point |
|--------------------------|---------|----------------|---------|------------------------------------------------|
| 100, 4, 15 k             | 0.4     | 0.4            | 0.25    |                                                |
| 500, 16, 75 k            | 10      | 3.9            | 1.4     | 14, 17                                         |
| 500, 16, negative prices | 10      | 4.1            | 1.4     |                                                |
| 500, 16, short of GPUs   |         | 14             | 14      |                                                |
| 2,000, 64, 286 k         |         | 29             | 9.7     | interior point not done in 111                 |
| 10,000, 200, 1.4 m       |         |                | 126     |                                                |

Tried and left: the basis of the last plan, mapped to a program one step later (500 jobs: 2.6 to 8.7 where interior point takes 1.6);
closing columns by the last plan's duals, which closes hardly more; leaving out rows that seldom bind, whose repair costs more.
"""

from __future__ import annotations

import time

import numpy as np

from models.solving.attempt import ProgramSolver
from models.solving.outcome import Outcome, Solved, TimedOut
from models.solving.program import Indices

LARGE = 10_000
"""From so many columns on interior point is faster than a simplex without a basis, and sifting than either."""
WORTH_USING = 1e-7
"""A closed column is worth using where a unit of it would save more than this, money."""
MANY = 0.2
"""Share of the closed columns; if more are worth using, the program starts anew."""


def sift(solver: ProgramSolver, closed: Indices, budget_s: float) -> Outcome:
    """A certified optimum of the program in `solver`, which has no basis yet, within `budget_s` seconds.

    `closed` are columns that are probably not used; their lower bounds are finite.
    """
    if not len(closed):
        return solver.solve(budget_s, "ipm")
    deadline = time.perf_counter() + budget_s
    program = solver.program
    lower, upper = program.lower[closed], program.upper[closed]
    solver.bound(closed, lower, lower)
    narrow = solver.solve(budget_s, "ipm")
    solver.bound(closed, lower, upper)
    left_s = deadline - time.perf_counter()
    if left_s <= 0:
        return TimedOut(budget_s - left_s, "the program was solved on a part of its columns only")
    is_good = isinstance(narrow, Solved) and _worth_using(solver, narrow, closed) <= MANY
    return solver.solve(left_s, "primal" if is_good else "ipm")


def _worth_using(solver: ProgramSolver, narrow: Solved, closed: Indices) -> float:
    """Share of `closed` that would lower the objective of `narrow`."""
    program = solver.program
    reduced = program.cost - program.matrix.T @ narrow.row_dual
    return float(np.mean(reduced[closed] < -WORTH_USING))
