"""Waiting: how many GPUs fit if the jobs of a file wait where it is short, none of them longer than its slack.

Between no job and one on every GPU that no rental holds, what an hour takes is never less than the straight line, for loads are convex:

    share[t](n) = 1                                     n <= busy[t]
                  (idle[t] - n) / (idle[t] - busy[t])   between
                  0                                     n >= idle[t], and n <= idle[t] must hold

| symbol | name                                                                        | unit |
|--------|-----------------------------------------------------------------------------|------|
| idle   | GPUs that an hour takes where no job runs                                   | GPUs |
| busy   | GPUs that it takes where every GPU that no rental holds does a job          | GPUs |
| share  | share of each pool's free GPUs that may do jobs beside `n` added GPUs        | 1    |

In each pool the jobs that are due first run first (earliest deadline first), each on no more GPUs than it has; stopping and starting costs
nothing here. `n` fits where all are done by their deadlines.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from facility.capacity.contracted import free_gpus, rented
from facility.capacity.place import Place
from facility.capacity.reach import months, reached, whole
from facility.capacity.span import HOUR, Span
from facility.site import Site
from facility.snapshot import Job
from models.horizon import Floats

DONE_GPU_H = 1e-6


def most_waiting(span: Span, site: Site, jobs: Sequence[Job], place: Place, speeds: Sequence[float]) -> dict[float, int | None]:
    """By speed: how many GPUs fit at a place if `jobs` wait within their slack, None where these are not done in time even without any.

    `site` is the one that is asked about.
    """
    free = free_gpus(site, span.edges)
    hungriest = {pool: _hungriest(site, pool, jobs) for pool in free}
    found = []
    for busy in (dict[str, tuple[int, ...]](), free):
        most = {pool: max(gpus) for pool, gpus in busy.items()}
        other = replace(span, site=rented(site, most, hungriest), busy_gpus=busy)
        found.append(reached(months(other, place, lambda: None), place, speeds).contracted)
    idle, full = found
    by_pool = {pool: [job for job in jobs if job.pool == pool] for pool in free}

    def fits(speed: float, gpus: int) -> bool:
        share = shares(idle[speed].most, full[speed].most, gpus)
        return all(all_done(mine, share * np.array(free[pool]), span.start) for pool, mine in by_pool.items() if mine)

    waits = dict[float, int | None]()
    for speed in speeds:
        low, high = 0, whole(float(idle[speed].most.min()))
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(speed, middle) else (low, middle - 1)
        waits[speed] = low if low or fits(speed, 0) else None
    return waits


def shares(idle: Floats, busy: Floats, gpus: int) -> Floats:
    """Share of the free GPUs that may do jobs in each hour beside `gpus` added ones, shape (T,).

    >>> shares(np.array([30.0, 30.0, 30.0]), np.array([40.0, 10.0, -10.0]), 20).tolist()
    [1.0, 0.5, 0.25]
    """
    low = np.where(np.isfinite(busy), busy, -np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = np.where(np.isfinite(low), (idle - gpus) / (idle - low), 0.0)
    return np.where(gpus <= low, 1.0, np.clip(between, 0.0, 1.0))


def all_done(jobs: Sequence[Job], room_gpus: Floats, start: datetime) -> bool:
    """Whether all `jobs` of a pool are done in time where each hour from `start` has room for so many GPUs, shape (T,)."""
    coming = sorted((((job.submit - start) / HOUR, (job.deadline - start) / HOUR, job.gpus, job.work_gpu_h) for job in jobs), reverse=True)
    waiting: list[tuple[float, float, int, float]] = []
    for t, most in enumerate(room_gpus.tolist()):
        room = most
        while coming and coming[-1][0] < t + 1:
            submit, due, gpus, work = coming.pop()
            heapq.heappush(waiting, (due, submit, gpus, work))
        left: list[tuple[float, float, int, float]] = []
        while waiting:
            due, submit, gpus, work = heapq.heappop(waiting)
            done = min(work, room, gpus * max(min(due, t + 1) - max(submit, t), 0.0))
            room, work = room - done, work - done
            if work > DONE_GPU_H:
                if due <= t + 1:
                    return False
                left.append((due, submit, gpus, work))
            if room <= 0 and (not waiting or waiting[0][0] > t + 1):
                break
        waiting = left + waiting
        heapq.heapify(waiting)
    return True


def _hungriest(site: Site, pool: str, jobs: Sequence[Job]) -> str:
    """The kind of work of a pool's jobs that draws most; the site's usual one where it has none."""
    curves: Mapping[str, float] = {kind: curve.points[-1].draw_w for kind, curve in site.gpu_models[site.pools[pool].gpu_model].curves.items()}
    return max((job.curve for job in jobs if job.pool == pool), key=lambda kind: curves[kind], default="")
