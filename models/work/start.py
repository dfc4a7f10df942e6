"""Start: GPUs of a job that run in a step and did not in the one before.

    started[w,t] >= gpus[w,0,t] - gpus[w,0,t-1]      starts

| symbol  | name                                                         | unit |
|---------|--------------------------------------------------------------|------|
| started | GPUs that start in a step and did not run in the one before  | GPUs |

Before the first step all GPUs of a job run that runs now, and outside its window none does. Whoever asks for starts gains nothing by
more of them than there are: they cost (`models.work.pause`), or they keep GPUs on (`models.work.minimum_run`). Only the cells that
one of them asks for have a row here, and it is the same one for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyomo.environ as pyo

from models.work.job import Job

Cell = tuple[int, int]
"""A workload and a step."""


def add(block: Any, jobs: Mapping[int, Job], cells: Iterable[Cell], workloads: Any) -> None:
    """Declare the starts of `jobs` (by workload index) in `cells`; `workloads` holds `gpus`. Publishes `started_gpus`."""
    asked = sorted(cells)
    window = {w: set(workloads.WINDOW[w]) for w in {w for w, _ in asked}}
    block.CELLS = pyo.Set(dimen=2, initialize=asked)
    block.BEFORE = pyo.Set(block.CELLS, initialize={(w, t): [t - 1] if t - 1 in window[w] else [] for w, t in asked})
    running = {(w, t): float(jobs[w].gpus) for w, t in asked if t == 0 and jobs[w].running}
    block.was_running = pyo.Param(block.CELLS, default=0.0, initialize=running)
    block.started_gpus = pyo.Var(block.CELLS, bounds=(0, None), dense=False)

    @block.Constraint(block.CELLS)
    def starts(b: Any, w: int, t: int) -> Any:
        before = sum(workloads.gpus[w, 0, s] for s in b.BEFORE[w, t])
        return b.started_gpus[w, t] + before - workloads.gpus[w, 0, t] >= -b.was_running[w, t]
