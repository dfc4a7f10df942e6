"""Ladders: what a plan seldom does with the rungs of `models.work.workload` is left out of its program until it is wanted.

The rows that say a GPU climbs rung by rung are added where a solution breaks them. And a large program is first solved
(`models.solving.sifting`) without the raises of jobs that finish in time at their most efficient point:

    sum of work[w,t] on rung 0 of all of size[w] in all of its window + most carried >= work_left[w]       is_calm

A site with GPUs and power to spare raises few of them, one that is short of GPUs most.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from models.compile import Ints
from models.solving.outcome import Outcome, Solved, TimedOut
from models.solving.program import Indices
from models.solving.session import Session
from models.solving.sifting import LARGE
from models.sparse import sp
from models.work import workload


def solve_with_ladders(session: Session, deadline: float) -> Outcome:
    """Solve, adding the ladder rows a solution breaks until none is broken; `session` then holds the solution."""
    model = session.model
    gpus = model.workload.gpus
    columns = session.columns(gpus)
    missing = _climbable(columns)
    for _ in range(100):
        budget_s = max(deadline - time.perf_counter(), 0.1)
        is_cold = session.runs == 0 and session.shape[1] >= LARGE
        outcome = session.sift(seldom_raised(session), budget_s) if is_cold else session.solve(budget_s)
        if not isinstance(outcome, Solved):
            return outcome
        session.load(outcome)
        rungs = np.argwhere(workload.broken_rungs(session.values(gpus)) & missing)
        if not len(rungs):
            return outcome
        add_climbs(session, rungs)
        missing[tuple(rungs.T)] = False
    return TimedOut(0.0, "the ladder rows did not settle in 100 rounds")


def add_all_climbs(session: Session) -> None:
    """Add the rows `climbs` of every rung."""
    columns = session.columns(session.model.workload.gpus)
    add_climbs(session, np.argwhere(_climbable(columns)))


def add_climbs(session: Session, rungs: np.ndarray[Any, Any]) -> None:
    """Add the rows `climbs` of `rungs`: workload, rung, step, shape (n, 3)."""
    model = session.model
    columns, (w, k, t) = session.columns(model.workload.gpus), rungs.T
    n = len(rungs)
    at = (np.tile(np.arange(n), 2), np.r_[columns[w, k - 1, t], columns[w, k, t]])
    session.add_rows(sp.csr_matrix((np.repeat((1.0, -1.0), n), at), shape=(n, session.shape[1])), np.zeros(n))


def _climbable(columns: Ints) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where a rung and the one below take part, of `columns` of shape (W, K, T)."""
    there = np.zeros(columns.shape, bool)
    there[:, 1:] = (columns[:, 1:] >= 0) & (columns[:, :-1] >= 0)
    return there


def seldom_raised(session: Session) -> Indices:
    """The columns of raises that a plan needs only where GPUs or power are short: those of jobs that are calm."""
    model = session.model
    raises = session.columns(model.workload.gpus)[:, 1:]
    raises = raises[raises >= 0]
    finishes = next((family for family in session.compiled.row_families if family.component is model.job.finishes), None)
    if finishes is None:
        return np.zeros(0, np.int32)
    rows = slice(finishes.start, finishes.start + finishes.size)
    of_jobs = session.matrix[rows]
    most = np.where(np.isfinite(session.upper), session.upper, 0.0)
    most[raises] = 0.0
    is_calm = of_jobs @ most >= session.row_lower[rows]
    used = np.bincount(of_jobs[is_calm].indices, minlength=session.shape[1]) > 0
    return raises[used[raises]].astype(np.int32)
