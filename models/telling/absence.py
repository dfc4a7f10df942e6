"""Absence: what GPUs that are not there would cost, to first order.

With y the duals of an optimum, the optimum of the same program with other right-hand sides b costs no less than

    cost(b) >= cost + sum_i y[i] (b[i] - b0[i])

for the optimum is a convex function of b. A GPU that does no work in a step takes one from the right-hand side of `pool.holds`; one
that draws no power takes its idle power from that of `pool.draws` and its worst case from that of `pool.could_draw`.

    cost(windows) >= cost + sum over p, t of work[p,t] * out[p,t] + power[p,t] * dark[p,t]

| symbol    | name                                                             | unit      |
|-----------|------------------------------------------------------------------|-----------|
| work      | price of a GPU that does no work in a step, 0 at least           | money/GPU |
| power     | price of a GPU that draws no power in a step; below 0: it saves  | money/GPU |
| out, dark | GPUs that are out, and without power (`models.work.maintenance`) | GPUs      |

What `models.solving.settle` fixed and what is rounded afterwards is as it is at the optimum. Source: Bertsimas and Tsitsiklis (1997), chapter 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.horizon import Floats
from models.problem import Problem
from models.solving.outcome import Solved
from models.solving.session import Session
from models.telling.marginal import SMALL, member_of
from models.work.pool import Pool


@dataclass(frozen=True)
class Absence:
    """The prices of one pool's GPUs by step, money a GPU, shape (T,)."""

    work: Floats
    power: Floats


def absences(problem: Problem, session: Session, solved: Solved) -> Mapping[str, Absence]:
    """The prices by pool at `solved`, an optimum of `session`."""
    steps = len(problem.horizon)
    found = {pool.id: Absence(np.zeros(steps), np.zeros(steps)) for pool in problem.pools}
    below = np.isinf(session.row_lower)
    matrix, pools = session.matrix, {pool.id: pool for pool in problem.pools}
    for i in np.flatnonzero(np.abs(solved.row_dual) > SMALL).tolist():
        place = session.row_place(i)
        if place is None:
            continue
        member, dual = member_of(problem, place), float(solved.row_dual[i])
        if member.asset is None or member.step is None:
            continue
        if member.family == "pool.holds":
            found[member.asset].work[member.step] += -dual if below[i] else dual
        elif member.family in {"pool.draws", "pool.could_draw"}:
            t, balanced = member.step, session.model.pool[member.asset]
            variable = balanced.draw_kw[t] if member.family == "pool.draws" else balanced.worst_kw[t]
            found[member.asset].power[t] -= dual * float(matrix[i, session.column(variable)]) * _idle_kw(pools[member.asset], member.family, t)
    return found


def _idle_kw(pool: Pool, family: str, t: int) -> float:
    """What an idle GPU adds to a balance, kW."""
    if family == "pool.draws":
        return pool.host.idle_total_w / 1000
    return (pool.host.lowest_worst_w + float(pool.idle_raised_w[t])) / 1000
