"""Whole: what a mixed-integer program adds, so that its solution can be sent as it stands.

A gang - a rigid job - in each of the first whole steps runs on all its GPUs for all of its window there, waits, or ends inside
it with its work done. In later steps a fraction of a step is a time, as in rounding: a gang may start, pause or end once inside.
    gpus[w,0,t] >= full[w,t] * running[w,t]                                        runs_whole
    gpus[w,0,t] <= full[w,t] * (running[w,t] + ended[w,t+1] - ended[w,t])          or_waits
    ended[w,t] <= ended[w,t+1],   ended[w,0] = 0                                   stays_ended (outside its window)
    running[w,t] + ended[w,t+1] <= 1                                               ends_once
    sum of later gpus[w,0,t] <= most after * (1 - ended[w,last])                   rests_after
    unfinished[w] + carried[w] + forgone[w] <= work_left[w] * (1 - ended[w,last])  owes_nothing
    running[w,t] - running[w,t-1] <= running[w,s] + ended[w,s+1]                   runs_on (s > t in its minimum run)
Wherever a solution of the program did otherwise, power goes one way (`models.solving.flow`), a cooling plant draws what its
curve says (`models.solving.segment`), and no hall is cooled that is colder than its supply (`models.solving.chill`). Pauses that cost
are those of whole gangs (`models.solving.stops`).

| symbol   | name                                           | unit |
|----------|------------------------------------------------|------|
| full     | all GPUs, for the part of the step in window   | GPUs |
| running  | the gang runs whole                            | 0, 1 |
| ended    | its work is done by the start of the step      | 0, 1 |

With one whole step - the one that is sent - every rounded plan is among the points of this program, so

    optimum of the linear program <= optimum of this one <= what the plan is rounded from

With more whole steps there are fewer points, and the optimum only rises.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import TINY
from models.compile import unexpanded
from models.problem import Problem
from models.site import build
from models.solving import chill, flow, segment, stops
from models.solving.settle import two_ways
from models.work.job import Job, undone_gpu_h

Torn = tuple[int, int]
"""Position in `models.solving.settle.two_ways` and step."""
Burning = tuple[str, int]
"""A plant and a step."""
Chilled = tuple[str, int]
"""A hall and a step."""


def declare_whole(
    problem: Problem, whole_steps: int, torn: Collection[Torn], burning: Collection[Burning], chilled: Collection[Chilled]
) -> Any:
    """The program of `problem` with all that must be whole.

    `torn` is what goes one way, `burning` what keeps to its curve, `chilled` what is cooled by its supply or not at all.
    """
    with unexpanded():
        return build_whole(problem, whole_steps, torn, burning, chilled)


def build_whole(
    problem: Problem, whole_steps: int, torn: Collection[Torn], burning: Collection[Burning], chilled: Collection[Chilled]
) -> Any:
    """The same, row by row."""
    model = build(problem)
    model.whole = pyo.Block()
    add(model.whole, problem, model.workload, model.job, min(whole_steps, len(problem.horizon)))
    model.stops = pyo.Block()
    costly = {w: job for w, job in enumerate(problem.workloads) if isinstance(job, Job) and job.gang and job.pause_price_per_gpu > 0}
    stops.add(model.stops, costly, model.workload, model.job, model.pause)
    flowing, burning_at, chilled_at = (_by_place(cells) for cells in (torn, burning, chilled))
    ways, all_kw = two_ways(problem, model), flow.all_kw(problem)
    model.flow = pyo.Block(list(flowing))
    for i, steps in flowing.items():
        into, out = ways[i]
        flow.add(model.flow[i], into, out, steps, all_kw)
    ends_kw = {c.id: c.chiller.breakpoints_kw()[1:].tolist() for c in problem.cooling_plants}
    model.segment = pyo.Block(list(burning_at))
    for i, steps in burning_at.items():
        segment.add(model.segment[i], model.cooling_plant[i], ends_kw[i], steps)
    model.chill = pyo.Block(list(chilled_at))
    for i, steps in chilled_at.items():
        chill.add(model.chill[i], model.hall[i], model.approach[i], steps)
    return model


def _by_place(cells: Collection[tuple[Any, int]]) -> dict[Any, list[int]]:
    """The steps of each place."""
    found: dict[Any, list[int]] = {}
    for place, t in sorted(cells):
        found.setdefault(place, []).append(t)
    return found


def whole(model: Any) -> list[Any]:
    """The variables of `model` that must be 0 or 1."""
    families = [model.whole.running, model.whole.ended, *(b.draws for b in model.flow.values()), *(b.on for b in model.segment.values())]
    families += [b.chills for b in model.chill.values()]
    return [v for family in families for v in family.values()] + stops.whole(model.stops)


def add(block: Any, problem: Problem, workloads: Any, jobs: Any, last: int) -> None:
    """Declare how gangs run in the first `last` steps; `workloads` and `jobs` are the blocks that hold their variables."""
    share = problem.cells.share
    gangs = [w for w, load in enumerate(problem.workloads) if isinstance(load, Job) and load.gang and share[w].any()]
    block.GANGS = pyo.Set(initialize=gangs)
    block.STEPS = pyo.RangeSet(0, last)
    block.RUNNING = pyo.Set(dimen=2, initialize=[(w, t) for w in gangs for t in range(last) if share[w, t] > 0])
    block.AFTER = pyo.Set(block.GANGS, initialize={w: [t for t in workloads.WINDOW[w] if t >= last] for w in gangs})
    block.OUTSIDE = pyo.Set(dimen=2, initialize=[(w, t) for w in gangs for t in range(last) if not share[w, t]])
    block.LATER = pyo.Set(initialize=[w for w in gangs if len(block.AFTER[w])])
    bound = [(w, t, s) for w in gangs for t in range(last) for s in _runs_on(problem, w, t, last)]
    block.BOUND = pyo.Set(dimen=3, initialize=bound)
    before = {(w, t): [t - 1] if (w, t - 1) in block.RUNNING else [] for w, t in block.RUNNING}
    block.BEFORE = pyo.Set(block.RUNNING, initialize=before)

    block.most_ended = pyo.Param(block.STEPS, initialize={t: int(t > 0) for t in block.STEPS})

    def none_at_first(b: Any, _w: int, t: int) -> Any:
        return 0, b.most_ended[t]

    block.running = pyo.Var(block.RUNNING, domain=pyo.Binary)
    block.ended = pyo.Var(block.GANGS, block.STEPS, domain=pyo.Binary, bounds=none_at_first)

    def full(w: int, t: int) -> Any:
        return workloads.size[w] * workloads.share[w, t]

    @block.Constraint(block.RUNNING)
    def runs_whole(b: Any, w: int, t: int) -> Any:
        return workloads.gpus[w, 0, t] >= full(w, t) * b.running[w, t]

    @block.Constraint(block.RUNNING)
    def or_waits(b: Any, w: int, t: int) -> Any:
        return workloads.gpus[w, 0, t] <= full(w, t) * (b.running[w, t] + b.ended[w, t + 1] - b.ended[w, t])

    @block.Constraint(block.OUTSIDE)
    def stays_ended(b: Any, w: int, t: int) -> Any:
        return b.ended[w, t] <= b.ended[w, t + 1]

    @block.Constraint(block.RUNNING)
    def ends_once(b: Any, w: int, t: int) -> Any:
        return b.running[w, t] + b.ended[w, t + 1] <= 1

    @block.Constraint(block.LATER)
    def rests_after(b: Any, w: int) -> Any:
        return sum(workloads.gpus[w, 0, t] for t in b.AFTER[w]) <= sum(full(w, t) for t in b.AFTER[w]) * (1 - b.ended[w, last])

    @block.Constraint(block.GANGS)
    def owes_nothing(b: Any, w: int) -> Any:
        return undone_gpu_h(jobs, w) + jobs.carried_gpu_h[w] <= jobs.work_left_gpu_h[w] * (1 - b.ended[w, last])


    @block.Constraint(block.BOUND)
    def runs_on(b: Any, w: int, t: int, s: int) -> Any:
        return b.running[w, t] - sum(b.running[w, r] for r in b.BEFORE[w, t]) <= b.running[w, s] + b.ended[w, s + 1]


def _runs_on(problem: Problem, w: int, t: int, last: int) -> list[int]:
    """The later whole steps that begin within the minimum run of gang `w` where that begins with step `t`."""
    job, share, starts = problem.workloads[w], problem.cells.share[w], problem.horizon.starts
    if not isinstance(job, Job) or not share[t] or (job.running and t == 0):
        return []
    within = np.flatnonzero(starts[:last] < starts[t] + job.min_run_h - TINY)
    return [s for s in within.tolist() if s > t and (share[t : s + 1] > 0).all()]
