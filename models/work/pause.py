"""Pause: what it costs to stop a job and start it again.

    paused[w] >= running[w] + sum_t started[w,t] - size[w]                                                      counts
    paused[w] >= running[w] + sum_t started[w,t] - gpus[w,0,T-1] - size[w] * (1 - carried[w] / work_left[w])    leaves

| symbol    | name                                                          | unit  |
|-----------|---------------------------------------------------------------|-------|
| started   | GPUs that start in a step and did not run before (`start`)    | GPUs  |
| paused    | GPUs that stop and start again, each as often as it does      | GPUs  |
| running   | size of a job that runs now, else 0                           | GPUs  |
| carried   | work left for after the horizon (`job`)                       | GPU h |

Cost: paused * pause price, which is a checkpoint's writing, the work since the last one and the restart, in GPU hours, times what
a GPU hour is worth. Whoever starts stops as often, and the last stop of each GPU is no pause but the end: so `counts` asks for
starts only. A job with work left for after the horizon has not ended; `leaves` makes stopping it before then a pause too.

The program counts GPUs in means over a step, so a part of a gang may stop, which `models.solving.runs` mends where it pays. The account
counts what happens: each time that a rigid job stops and starts again, all its GPUs. Only jobs whose pauses cost have rows here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import TINY, Bill
from models.horizon import Floats
from models.work.job import Job
from models.work.start import Cell

Bools = np.ndarray[Any, np.dtype[np.bool_]]

NEARLY = 1e-6
"""A gang that lacks less than this share of a step runs through it."""


def cells(jobs: Mapping[int, Job], workloads: Any) -> set[Cell]:
    """Where the starts of those of `jobs` count whose pauses cost: all of their windows."""
    return {(w, t) for w, job in jobs.items() if job.pause_price_per_gpu > 0 for t in workloads.WINDOW[w]}


def add(block: Any, jobs: Mapping[int, Job], workloads: Any, work: Any, start: Any) -> None:
    """Declare the pauses of those of `jobs` (by workload index) that cost.

    `workloads` holds `gpus`, `work` what is carried, `start` the starts in `cells`.
    """
    costly = {w: job for w, job in jobs.items() if job.pause_price_per_gpu > 0}
    last = len(workloads.STEPS) - 1
    block.JOBS = pyo.Set(initialize=list(costly))
    block.CARRYING = pyo.Set(initialize=[w for w in costly if work.most_carried_gpu_h[w] > 0])
    block.LAST = pyo.Set(block.CARRYING, initialize={w: [t for t in workloads.WINDOW[w] if t == last] for w in block.CARRYING})
    block.running = pyo.Param(block.JOBS, initialize={w: float(job.gpus * job.running) for w, job in costly.items()})
    block.price = pyo.Param(block.JOBS, initialize={w: job.pause_price_per_gpu for w, job in costly.items()})

    block.paused_gpus = pyo.Var(block.JOBS, bounds=(0, None), dense=False)

    @block.Constraint(block.JOBS)
    def counts(b: Any, w: int) -> Any:
        started = sum(start.started_gpus[w, t] for t in workloads.WINDOW[w])
        return b.paused_gpus[w] - started >= b.running[w] - workloads.size[w]

    @block.Constraint(block.CARRYING)
    def leaves(b: Any, w: int) -> Any:
        started = sum(start.started_gpus[w, t] for t in workloads.WINDOW[w])
        goes_on = sum(workloads.gpus[w, 0, t] for t in b.LAST[w])
        left = workloads.size[w] / work.work_left_gpu_h[w] * work.carried_gpu_h[w]
        return b.paused_gpus[w] - started + goes_on - left >= b.running[w] - workloads.size[w]


def cost(block: Any) -> Any:
    """Money for pauses."""
    return sum(block.price[w] * block.paused_gpus[w] for w in block.JOBS)


def times(job: Job, share: Floats, most: Floats, carried_gpu_h: float) -> int:
    """How often a job stops and starts again that runs for `share` of each step, of which `most` is in its window, shape (T,).

    Inside a step it runs from the step's start, except where a run begins that goes on: there up to the step's end. A job that
    runs now goes on from the first step's start. The last stop is no pause unless work is left for after the horizon.

    >>> a_job = Job("a", "pool", curve=None, gpus=4)  # type: ignore[arg-type]
    >>> times(a_job, np.array([0.5, 1.0, 0.5, 0.0, 1.0]), np.ones(5), 0.0)
    1
    """
    return int(times_each(job, share[None], most, np.array([carried_gpu_h]))[0])


def times_each(job: Job, share: Floats, most: Floats, carried_gpu_h: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The same of several ways to run the job, shape (N,); `share` has shape (N, T), `carried_gpu_h` (N,)."""
    runs = share > TINY
    last = runs & ~_shifted(runs, later=False, edge=False)
    stops = last.sum(axis=1) + inside(job, share, most).sum(axis=1) + (~runs[:, 0] if job.running else 0)
    ends = ~(carried_gpu_h > TINY * max(1.0, job.work_gpu_h)) | runs[:, -1]
    return np.asarray(np.maximum(0, stops - ends), np.int64)


def inside(job: Job, share: Floats, most: Floats) -> Bools:
    """Whether a job stops and starts again inside each step: it runs before and after, and for a part of it, shaped as `share`."""
    runs = share > TINY
    return runs & _shifted(runs, later=True, edge=job.running) & _shifted(runs, later=False, edge=False) & (share < most - NEARLY)


def _shifted(runs: Bools, *, later: bool, edge: bool) -> Bools:
    """`runs` of the step before, or of the step after; at the first, or last, `edge`."""
    outside = np.full((*runs.shape[:-1], 1), edge)
    parts = (outside, runs[..., :-1]) if later else (runs[..., 1:], outside)
    return np.concatenate(parts, axis=-1)


def paused_gpus(job: Job, gpus: Floats, most: Floats, carried_gpu_h: float) -> float:
    """GPUs that stop and start again where `gpus` run, mean over each step: of a rigid job all each time, as in `times`."""
    if not job.elastic:
        return float(job.gpus * times(job, gpus / job.gpus, most, carried_gpu_h))
    was = job.gpus if job.running else 0.0
    started = float(np.maximum(np.diff(gpus, prepend=was), 0.0).sum())
    left = job.gpus * carried_gpu_h / job.work_gpu_h if carried_gpu_h > 0 else 0.0
    goes_on = float(gpus[-1]) if left else 0.0
    return max(0.0, was + started - job.gpus, was + started - goes_on - job.gpus + left)


def bill(jobs: Sequence[Job], running_gpus: Floats, share: Floats, carried_gpu_h: Floats) -> Bill:
    """What the pauses of `jobs` cost where `running_gpus` run, mean over a step; that and `share` of the window have shape (J, T)."""
    paused = [
        job.pause_price_per_gpu * paused_gpus(job, gpus, most, carried)
        for job, gpus, most, carried in zip(jobs, running_gpus, share, carried_gpu_h.tolist(), strict=True)
        if job.pause_price_per_gpu > 0
    ]
    return Bill({"pauses": float(sum(paused))})
