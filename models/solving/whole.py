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
Power goes one way through a battery, the grid connection and a feeder with losses, and a cooling plant draws what its curve
says, wherever a solution of the program did otherwise:
    in_kw[i,t] <= most in * draws[i,t]                                             draws_in
    out_kw[i,t] <= most out * (1 - draws[i,t])                                     or_gives_out
    sum_s on[c,s,t] = 1                                                            has_segment
    part[c,s,t] <= to[s] * on[c,s,t]                                               ends_segment
    heat[c,t] = sum_s part[c,s,t]                                                  has_heat
    power_kw[c,t] <= sum_s (intercept[s] * on[c,s,t] + slope[s] * part[c,s,t])     keeps_to_segment
The curve being convex, no segment but the one that its heat is on leaves the plant any power.

| symbol   | name                                           | unit |
|----------|------------------------------------------------|------|
| full     | all GPUs, for the part of the step in window   | GPUs |
| running  | the gang runs whole                            | 0, 1 |
| ended    | its work is done by the start of the step      | 0, 1 |
| draws    | power may go in, not out                       | 0, 1 |
| most     | the variable's bound, or all the site could be | kW   |
| on       | the plant is on this segment of its curve      | 0, 1 |
| part     | heat removed while on this segment             | kW   |
| to       | heat at which the segment ends                 | kW   |

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
from models.problem import Problem
from models.solving.settle import two_ways
from models.work.job import Job

Torn = tuple[int, int]
"""Position in `models.solving.settle.two_ways` and step."""
Burning = tuple[str, int]
"""A plant and a step."""


def add(block: Any, model: Any, problem: Problem, whole_steps: int, torn: Collection[Torn], burning: Collection[Burning]) -> None:
    """Declare what must be whole on `block` of the program `model`.

    `torn` is what goes one way, `burning` what keeps to the curve.
    """
    _gangs(block, model, problem, min(whole_steps, len(problem.horizon)))
    _flows(block, model, problem, torn)
    _plants(block, model, problem, burning)


def whole(block: Any) -> list[Any]:
    """The variables of `block` that must be 0 or 1."""
    return [v for family in (block.running, block.ended, block.draws, block.on) for v in family.values()]


def _gangs(block: Any, model: Any, problem: Problem, last: int) -> None:
    share, workloads, jobs = problem.cells.share, model.workload, model.job
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

    def none_at_first(_b: Any, _w: int, t: int) -> tuple[int, int]:
        return 0, int(t > 0)

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
        left = sum(jobs.unfinished_gpu_h[v] for v in jobs.UNFINISHED[w]) + sum(jobs.forgone_gpu_h[v] for v in jobs.FORGONE[w])
        return left + jobs.carried_gpu_h[w] <= jobs.work_left_gpu_h[w] * (1 - b.ended[w, last])


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


def _flows(block: Any, model: Any, problem: Problem, torn: Collection[Torn]) -> None:
    ways = two_ways(problem, model)
    all_kw = _all_kw(problem)
    block.TORN = pyo.Set(dimen=2, initialize=sorted(torn))
    block.most_in_kw = pyo.Param(block.TORN, initialize={(i, t): ways[i][0][t].ub or all_kw for i, t in torn})
    block.most_out_kw = pyo.Param(block.TORN, initialize={(i, t): ways[i][1][t].ub or all_kw for i, t in torn})
    block.draws = pyo.Var(block.TORN, domain=pyo.Binary)

    @block.Constraint(block.TORN)
    def draws_in(b: Any, i: int, t: int) -> Any:
        return ways[i][0][t] <= b.most_in_kw[i, t] * b.draws[i, t]

    @block.Constraint(block.TORN)
    def or_gives_out(b: Any, i: int, t: int) -> Any:
        return ways[i][1][t] <= b.most_out_kw[i, t] * (1 - b.draws[i, t])


def _all_kw(problem: Problem) -> float:
    """More than can pass anywhere: all that may draw, and all that may give, at once, with every loss."""
    gpus_kw = sum(max(p.available) * (p.max_cap_w + p.host.host_run_w + p.host.idle_total_w) / 1000 for p in problem.pools)
    stored_kw = sum(b.charge_kw + b.discharge_kw for b in problem.batteries)
    cooling_kw = sum(
        float(c.chiller.power_kw(c.chiller.breakpoints_kw()[-1:, None], problem.outdoor_c).max()) for c in problem.cooling_plants
    )
    given_kw = sum(max(s.available_kw) for s in problem.solar) + sum(g.most_kw for g in problem.gensets)
    base_kw = float(sum(h.base(len(problem.horizon)).max() for h in problem.halls))
    losses = float(np.prod([1 + f.loss_share for f in problem.feeders]))
    return losses * (1 + gpus_kw + stored_kw + cooling_kw + given_kw + base_kw)


def _plants(block: Any, model: Any, problem: Problem, burning: Collection[Burning]) -> None:
    plants = {c.id: c for c in problem.cooling_plants}
    segments = {(i, t): plants[i].chiller.breakpoints_kw()[1:].tolist() for i, t in burning}
    to_kw = {(i, s, t): kw for (i, t), ends in segments.items() for s, kw in enumerate(ends)}
    block.BURNING = pyo.Set(dimen=2, initialize=sorted(burning))
    block.SEGMENTS = pyo.Set(dimen=3, initialize=sorted(to_kw))
    block.to_kw = pyo.Param(block.SEGMENTS, initialize=to_kw)
    block.on = pyo.Var(block.SEGMENTS, domain=pyo.Binary)
    block.part_kw = pyo.Var(block.SEGMENTS, bounds=(0, None))

    @block.Constraint(block.BURNING)
    def has_segment(b: Any, i: str, t: int) -> Any:
        return sum(b.on[i, s, t] for s in model.cooling_plant[i].SEGMENTS) == 1

    @block.Constraint(block.SEGMENTS)
    def ends_segment(b: Any, i: str, s: int, t: int) -> Any:
        return b.part_kw[i, s, t] <= b.to_kw[i, s, t] * b.on[i, s, t]

    @block.Constraint(block.BURNING)
    def has_heat(b: Any, i: str, t: int) -> Any:
        return model.cooling_plant[i].heat_kw[t] == sum(b.part_kw[i, s, t] for s in model.cooling_plant[i].SEGMENTS)

    @block.Constraint(block.BURNING)
    def keeps_to_segment(b: Any, i: str, t: int) -> Any:
        plant = model.cooling_plant[i]
        return plant.power_kw[t] <= sum(
            plant.intercept_kw[s, t] * b.on[i, s, t] + plant.slope[s, t] * b.part_kw[i, s, t] for s in plant.SEGMENTS
        )
