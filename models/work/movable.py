"""Movable: a job that may run in one of several pools.

    sum_{v in parts[w]} gpus[v,0,t] <= size[w] * share[w,t]      shares

| symbol | name                                                                    | unit |
|--------|-------------------------------------------------------------------------|------|
| parts  | the job as it would be in each of its pools, itself the first           | -    |

All parts together do the job's work (`job.finishes`). The program lets a job run a part in each pool, at any time; in a plan it
keeps one. So only the program that `models.choosing.pools` chooses pools by has these rows.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo


def add(block: Any, workloads: Any, work: Any) -> None:
    """Declare that the parts of a job share its GPUs; `workloads` holds `gpus`, `work` the parts of each job."""
    every = {w: [w, *work.PARTS[w]] for w in work.MOVABLE}
    steps = {w: sorted({t for v in mine for t in workloads.WINDOW[v]}) for w, mine in every.items()}
    parts = {(w, t): [v for v in every[w] if t in workloads.WINDOW[v]] for w, its in steps.items() for t in its}
    block.CELLS = pyo.Set(dimen=2, initialize=list(parts))
    block.PARTS = pyo.Set(block.CELLS, initialize=parts)
    most = {(w, t): workloads.size[w] * max(workloads.share[v, t] for v in its) for (w, t), its in parts.items()}
    block.most_gpus = pyo.Param(block.CELLS, initialize=most)

    @block.Constraint(block.CELLS)
    def shares(b: Any, w: int, t: int) -> Any:
        return sum(workloads.gpus[v, 0, t] for v in b.PARTS[w, t]) <= b.most_gpus[w, t]
