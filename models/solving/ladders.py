"""Ladders: the rows that say a GPU climbs rung by rung, added where a solution breaks them (`models.work.workload`)."""

from __future__ import annotations

import time
from typing import Any

from models.solving.outcome import Outcome, Solved, TimedOut
from models.solving.session import Session
from models.work import workload


def solve_with_ladders(session: Session, model: Any, deadline: float) -> Outcome:
    """Solve, adding the ladder rows a solution breaks until none is broken; `model` then holds the solution."""
    added: set[workload.Rung] = set()
    for _ in range(100):
        outcome = session.solve(max(deadline - time.perf_counter(), 0.1))
        if not isinstance(outcome, Solved):
            return outcome
        session.load(outcome)
        block = model.workload
        rungs = workload.broken_rungs({index: v.value or 0.0 for index, v in block.gpus.items()}) - added
        if not rungs:
            return outcome
        added |= rungs
        climbs = [((block.gpus[w, k - 1, t], 1.0), (block.gpus[w, k, t], -1.0)) for w, k, t in sorted(rungs)]
        session.add_rows(climbs, [0.0] * len(climbs))
    return TimedOut(0.0, "the ladder rows did not settle in 100 rounds")
