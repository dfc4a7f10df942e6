"""Baseline: the same site without us. Everything starts at once at the highest cap; only missing GPUs make a job wait.

Jobs that run go on; the others start in the order they arrived as soon as their pool has enough GPUs for the whole of their run,
as a scheduler with reservations has it, for maintenance and the demand of services are known; all run until they finish or reach
their deadline. Halls are kept at the temperature they have, or what their supply makes of it, tanks as full as they are, supplies as
warm as usual; batteries rest, the sun gives what it can, gensets stay off, or run at their least until what they began is over.
"""

from __future__ import annotations

import heapq
from dataclasses import replace

import numpy as np

from models.account import account
from models.horizon import Floats
from models.problem import Problem
from models.schedule import Groups, Schedule

INSTANT_H = 1e-6
"""A run lasts this long at least, h, so that it touches a step."""


def baseline(problem: Problem) -> Schedule:
    """The schedule of the site without control, on the same problem; an operator's commands are not in it."""
    horizon = problem.horizon
    rows: list[tuple[int, int, int, float, int, float, float]] = []
    max_cap_w = {p.id: round(p.max_cap_w) for p in problem.pools}
    free = {p.id: np.asarray(p.available, float) - problem.idle_kept(p.id) for p in problem.pools}
    for w, firm in enumerate(problem.firms):
        draw_w, speed = firm.curve.at(max_cap_w[firm.pool])
        demand = firm.demanded(len(horizon))
        free[firm.pool] = free[firm.pool] - demand
        rows += [(w, int(t), int(demand[t]), 1.0, max_cap_w[firm.pool], draw_w, speed) for t in np.flatnonzero(demand)]
    for w, (start_h, end_h) in _runs(problem, free).items():
        job = problem.jobs[w - len(problem.firms)]
        draw_w, speed = job.curve.at(max_cap_w[job.pool])
        share = horizon.overlap(start_h, end_h)
        rows += [(w, int(t), job.gpus, float(share[t]), max_cap_w[job.pool], draw_w, speed) for t in np.flatnonzero(share)]
    rest = np.zeros(len(horizon))
    schedule = Schedule(
        Groups.of(rows),
        {b.id: rest for b in problem.batteries},
        {z.id: np.full(len(horizon), z.start_c) for z in problem.halls},
        {s.id: np.array(s.available_kw) for s in problem.solar} | {g.id: rest for g in problem.gensets},
        thermal_store_kw={plant: store.holds_kw(horizon.h) for plant, store in problem.thermal_stores.items()},
        supply_c=problem.usual_supply_c,
    )
    return _running_on(problem, _as_supplied(problem, schedule))


def _as_supplied(problem: Problem, schedule: Schedule) -> Schedule:
    """`schedule` with the halls whose supply has a set-point as warm as it makes them."""
    if not problem.supplied_halls:
        return schedule
    reached_c = dict(zip([z.id for z in problem.zones], account(problem, schedule).hall_c, strict=True))
    return replace(schedule, hall_c={**schedule.hall_c, **{z.id: reached_c[z.id] for z in problem.supplied_halls}})


def _running_on(problem: Problem, schedule: Schedule) -> Schedule:
    """`schedule` with each genset at its least load until the minimum run that it began is over, where the site can take it."""
    running = [(g, t) for g in problem.gensets for t in g.runs_on(problem.horizon)]
    if not running:
        return schedule
    given, left_kw = {s: kw.copy() for s, kw in schedule.given_kw.items()}, account(problem, schedule).import_kw
    for genset, t in running:
        if left_kw[t] >= genset.least_kw:
            given[genset.id][t] = genset.least_kw
            left_kw[t] -= genset.least_kw
    return replace(schedule, given_kw=given)


def _runs(problem: Problem, free: dict[str, Floats]) -> dict[int, tuple[float, float]]:
    """When each job runs, [start, end) h, by workload index; a job that never gets its GPUs in time is absent.

    `free` holds, by pool, the GPUs that are there for jobs in each step, shape (T,).
    """
    first, horizon = len(problem.firms), problem.horizon
    queue = sorted(enumerate(problem.jobs, start=first), key=lambda item: (max(item[1].arrival_h, 0.0), not item[1].running, item[0]))
    waiting: dict[str, list[int]] = {p.id: [] for p in problem.pools}
    busy, most = dict.fromkeys(free, 0.0), {pool: float(gpus.max()) for pool, gpus in free.items()}
    more = [(float(horizon.starts[t]), pool, 0) for pool, gpus in free.items() for t in (np.flatnonzero(np.diff(gpus) > 0) + 1).tolist()]
    ends: list[tuple[float, str, int]] = sorted(more)
    runs: dict[int, tuple[float, float]] = {}

    def start(w: int, now: float) -> bool:
        job = problem.jobs[w - first]
        if job.gpus > most[job.pool] - busy[job.pool]:
            return False
        _, speed = job.curve.at(job.curve.cap_w[-1])
        end = min(now + job.work_gpu_h / (job.gpus * speed), job.deadline_h)
        during = horizon.overlap(now, max(end, now + INSTANT_H)) > 0
        if job.gpus > free[job.pool][during].min(initial=np.inf) - busy[job.pool]:
            return False
        if job.deadline_h > now:
            busy[job.pool] += job.gpus
            runs[w] = (now, end)
            heapq.heappush(ends, (end, job.pool, job.gpus))
        return True

    def release(until: float) -> None:
        while ends and ends[0][0] <= until:
            now, pool, gpus = heapq.heappop(ends)
            busy[pool] -= gpus
            waiting[pool] = [w for w in waiting[pool] if not start(w, now)]

    for w, job in queue:
        now = max(job.arrival_h, 0.0)
        release(now)
        if not start(w, now):
            waiting[job.pool].append(w)
    release(horizon.end_h)
    return {w: run for w, run in runs.items() if run[0] < horizon.end_h}
