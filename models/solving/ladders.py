"""Ladders: the rows that say a GPU climbs rung by rung, added where a solution breaks them (`models.work.workload`)."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import scipy.sparse as sp

from models.solving.outcome import Outcome, Solved, TimedOut
from models.solving.session import Session
from models.work import workload


def solve_with_ladders(session: Session, model: Any, deadline: float) -> Outcome:
    """Solve, adding the ladder rows a solution breaks until none is broken; `session` then holds the solution."""
    gpus = model.workload.gpus
    columns = session.columns(gpus)
    missing = np.zeros(columns.shape, bool)
    missing[:, 1:] = (columns[:, 1:] >= 0) & (columns[:, :-1] >= 0)
    for _ in range(100):
        outcome = session.solve(max(deadline - time.perf_counter(), 0.1))
        if not isinstance(outcome, Solved):
            return outcome
        session.load(outcome)
        rungs = np.argwhere(workload.broken_rungs(session.values(gpus)) & missing)
        if not len(rungs):
            return outcome
        add_climbs(session, model, rungs)
        missing[tuple(rungs.T)] = False
    return TimedOut(0.0, "the ladder rows did not settle in 100 rounds")


def add_all_climbs(session: Session) -> None:
    """Add the rows `climbs` of every rung."""
    columns = session.columns(session.model.workload.gpus)
    there = np.zeros(columns.shape, bool)
    there[:, 1:] = (columns[:, 1:] >= 0) & (columns[:, :-1] >= 0)
    add_climbs(session, session.model, np.argwhere(there))


def add_climbs(session: Session, model: Any, rungs: np.ndarray[Any, Any]) -> None:
    """Add the rows `climbs` of `rungs`: workload, rung, step, shape (n, 3)."""
    columns, (w, k, t) = session.columns(model.workload.gpus), rungs.T
    n = len(rungs)
    at = (np.tile(np.arange(n), 2), np.r_[columns[w, k - 1, t], columns[w, k, t]])
    session.add_rows(sp.csr_matrix((np.repeat((1.0, -1.0), n), at), shape=(n, session.shape[1])), np.zeros(n))
