"""Stops: how often a gang stops and starts again, in whole numbers, as its account counts it (`models.work.pause.times`).

    gpus[w,0,t] <= full[w,t] * on[w,t]                                             is_on
    gpus[w,0,t] >= full[w,t] * through[w,t]                                        goes_through
    stops[w,t]  >= on[w,t] - on[w,t+1]                                             stops_after
    stops[w,t]  >= on[w,t-1] + on[w,t] + on[w,t+1] - 2 - through[w,t]              stops_inside
    carried[w]  <= most carried[w] * carries[w]                                    carries_on
    gpus[w,0,last] >= least * full[w,last] * on[w,last]                            runs_at_end
    paused[w]   >= size[w] * (left[w] + sum_t stops[w,t] - 1)                                  pauses
    paused[w]   >= size[w] * (left[w] + sum_t stops[w,t] - 1 + carries[w] - on[w,last])        pauses_at_end

| symbol  | name                                                                        | unit |
|---------|-----------------------------------------------------------------------------|------|
| full    | all GPUs, for the part of the step in window                                | GPUs |
| on      | the gang runs in the step, for all or a part of it                          | 0, 1 |
| through | it runs through the step                                                    | 0, 1 |
| stops   | it stops in or after the step; in it where it runs before, after and a part | 1    |
| left    | it runs now, and not in the first step: 1 - on[w,0]                         | 1    |
| carries | work is left for after the horizon                                          | 0, 1 |
| least   | of the last step, that a gang is said to run in it                          | 1    |

The linear rows (`models.work.pause`) count GPUs in means over a step, and so of a gang that runs for a part of a step only a part; these
count all of it. Nothing is on outside its window; a gang that runs now was on before the first step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyomo.environ as pyo

from models.horizon import Floats
from models.work.job import Job
from models.work.pause import NEARLY

LEAST = 1e-3
"""A gang that runs for less of the last step has stopped before."""


def add(block: Any, gangs: Mapping[int, Job], workloads: Any, jobs: Any, pause: Any) -> None:
    """Declare the stops of `gangs` (by workload index), whose pauses cost, on `block`; the others hold `gpus`, `carried` and `paused`."""
    window = {w: list(workloads.WINDOW[w]) for w in gangs}
    inside = {w: set(steps) for w, steps in window.items()}
    cells = [(w, t) for w, steps in window.items() for t in steps]
    last = len(workloads.STEPS) - 1
    block.GANGS = pyo.Set(initialize=[w for w, steps in window.items() if steps])
    block.CELLS = pyo.Set(dimen=2, initialize=cells)
    block.AFTER = pyo.Set(block.CELLS, initialize={(w, t): [t + 1] if t + 1 in inside[w] else [] for w, t in cells})
    begun = {(w, t): float(gangs[w].running) for w, t in cells if t == 0}
    between = [(w, t) for w, t in cells if t + 1 in inside[w] and (t - 1 in inside[w] or begun.get((w, t)))]
    block.BETWEEN = pyo.Set(dimen=2, initialize=between)
    block.BEFORE = pyo.Set(block.BETWEEN, initialize={(w, t): [t - 1] if t else [] for w, t in between})
    block.was_on = pyo.Param(block.BETWEEN, initialize={(w, t): begun.get((w, t), 0.0) for w, t in between})
    block.CARRYING = pyo.Set(initialize=[w for w in block.GANGS if jobs.most_carried_gpu_h[w] > 0])
    block.LAST = pyo.Set(block.CARRYING, initialize={w: [last] if last in inside[w] else [] for w in block.CARRYING})
    block.AT_END = pyo.Set(dimen=2, initialize=[(w, last) for w in block.CARRYING if last in inside[w]])
    block.FIRST = pyo.Set(block.GANGS, initialize={w: [0] if (w, 0) in block.CELLS and gangs[w].running else [] for w in block.GANGS})
    block.was_running = pyo.Param(block.GANGS, initialize={w: float(gangs[w].running) for w in block.GANGS})

    block.on = pyo.Var(block.CELLS, domain=pyo.Binary)
    block.through = pyo.Var(block.BETWEEN, domain=pyo.Binary)
    block.stops = pyo.Var(block.CELLS, bounds=(0, 1), dense=False)
    block.carries = pyo.Var(block.CARRYING, domain=pyo.Binary)

    def full(w: int, t: int) -> Any:
        return workloads.size[w] * workloads.share[w, t]

    def stopped(b: Any, w: int) -> Any:
        left = b.was_running[w] - sum(b.on[w, t] for t in b.FIRST[w])
        return left + sum(b.stops[w, t] for t in workloads.WINDOW[w]) - 1

    @block.Constraint(block.CELLS)
    def is_on(b: Any, w: int, t: int) -> Any:
        return workloads.gpus[w, 0, t] <= full(w, t) * b.on[w, t]

    @block.Constraint(block.BETWEEN)
    def goes_through(b: Any, w: int, t: int) -> Any:
        return workloads.gpus[w, 0, t] >= full(w, t) * b.through[w, t]

    @block.Constraint(block.CELLS)
    def stops_after(b: Any, w: int, t: int) -> Any:
        return b.stops[w, t] >= b.on[w, t] - sum(b.on[w, s] for s in b.AFTER[w, t])

    @block.Constraint(block.BETWEEN)
    def stops_inside(b: Any, w: int, t: int) -> Any:
        around = b.was_on[w, t] + sum(b.on[w, s] for s in b.BEFORE[w, t]) + sum(b.on[w, s] for s in b.AFTER[w, t])
        return b.stops[w, t] >= around + b.on[w, t] - 2 - b.through[w, t]

    @block.Constraint(block.CARRYING)
    def carries_on(b: Any, w: int) -> Any:
        return jobs.carried_gpu_h[w] <= jobs.most_carried_gpu_h[w] * b.carries[w]

    @block.Constraint(block.AT_END)
    def runs_at_end(b: Any, w: int, t: int) -> Any:
        return workloads.gpus[w, 0, t] >= LEAST * full(w, t) * b.on[w, t]

    @block.Constraint(block.GANGS)
    def pauses(b: Any, w: int) -> Any:
        return pause.paused_gpus[w] >= workloads.size[w] * stopped(b, w)

    @block.Constraint(block.CARRYING)
    def pauses_at_end(b: Any, w: int) -> Any:
        at_end = b.carries[w] - sum(b.on[w, t] for t in b.LAST[w])
        return pause.paused_gpus[w] >= workloads.size[w] * (stopped(b, w) + at_end)


def whole(block: Any) -> list[Any]:
    """The variables that must be 0 or 1."""
    return [v for family in (block.on, block.through, block.carries) for v in family.values()]


def start(block: Any, share: Mapping[int, Floats], most: Floats, carried_gpu_h: Mapping[int, float]) -> dict[int, float]:
    """What the whole numbers are, by id, of gangs that run for `share` of each step, by workload, and carry `carried_gpu_h`.

    `most` is the part of each step that is in their window, shape (W, T).
    """
    found = {id(v): float(share[w][t] > 0) for (w, t), v in block.on.items()}
    found |= {id(v): float(share[w][t] >= most[w, t] - NEARLY) for (w, t), v in block.through.items()}
    return found | {id(v): float(carried_gpu_h[w] > 0) for w, v in block.carries.items()}
