"""Minimum run: a gang that has started runs on for a while, so that starting was worth it.

    sum of started[w,s] over the steps s whose start keeps it on all through t, and t itself <= gpus[w,0,t]     keeps_on
    h[t] * gpus[w,0,t] + cut_short[w,t] >= size[w] * owed[w,t]                                         goes_on

| symbol    | name                                                                    | unit  |
|-----------|-------------------------------------------------------------------------|-------|
| started   | GPUs that start in a step and did not run in the one before (`start`)   | GPUs  |
| owed      | of a gang that runs now: how long in a step it is still to run          | h     |
| cut_short | breach: GPU hours that what is left of its minimum run lacks            | GPU h |

A gang may end earlier where its work is done. It cannot be before all its GPUs at full speed are through with all of it:
`keeps_on` holds for the steps before that, and `owed` is no longer. An operator's order to hold, a pool that has too few GPUs,
and the end of its window end what is owed; no limit does, but one that cannot be kept otherwise breaks it before itself.

The rows are exact for a gang that runs whole and valid for means over a step; the program may still run a part of a gang, or
stop it early where its work might be done. `models.solving.blocks` mends that before anything is sent.

Cost: cut_short * the job's penalty. Source: minimum up time as in Morales-España et al., IEEE Trans. Power Systems 28(4), 2013.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import TINY, Bill
from models.horizon import Floats, Horizon
from models.work.job import Job
from models.work.pause import NEARLY, inside
from models.work.start import Cell


def quickest_h(job: Job) -> float:
    """How long all its GPUs need for all its work at full speed, h."""
    return job.work_gpu_h / (job.gpus * max(job.curve.speed))


def owed_h(job: Job, share: Floats, horizon: Horizon) -> Floats:
    """How long of each step a gang that runs now is still to run, h, shape (T,); `share` is the part of it in its window."""
    if not (job.running and job.gang and job.still_h > 0):
        return np.zeros(len(horizon))
    asked = horizon.overlap(0.0, min(job.still_h, quickest_h(job)))
    before = np.r_[True, np.cumprod(share[:-1] > 1 - TINY) > 0]
    return np.asarray(np.minimum(asked, share) * before * horizon.h)


def recent(job: Job, share: Floats, horizon: Horizon) -> dict[int, list[int]]:
    """The steps whose start keeps it on all through step t, t included, by t; only where there are earlier ones."""
    done_h = max(job.arrival_h, 0.0) + quickest_h(job)
    found = {}
    for t in np.flatnonzero((horizon.ends <= done_h + TINY) & (share > 1 - TINY)).tolist():
        began = np.flatnonzero((horizon.starts[: t + 1] >= horizon.ends[t] - job.min_run_h - TINY) & (share[: t + 1] > 0)).tolist()
        within = [s for s in began if (share[s + 1 : t] > 1 - TINY).all()]
        if len(within) > 1:
            found[t] = within
    return found


def kept(jobs: Mapping[int, Job], share: Floats, horizon: Horizon) -> dict[Cell, list[int]]:
    """In which cells those of `jobs` (by workload index) run on that started, and by which starts; `share` has shape (W, T)."""
    asking = {w: job for w, job in jobs.items() if job.gang and job.min_run_h > 0}
    return {(w, t): its for w, job in asking.items() for t, its in recent(job, share[w], horizon).items()}


def cells(keeping: Mapping[Cell, Sequence[int]]) -> set[Cell]:
    """Where the starts count that keep a gang on in the cells of `keeping` (`kept`)."""
    return {(w, s) for (w, _), its in keeping.items() for s in its}


def add(
    block: Any, jobs: Mapping[int, Job], workloads: Any, share: Floats, horizon: Horizon, keeping: Mapping[Cell, Sequence[int]], start: Any
) -> None:
    """Declare the minimum runs of those of `jobs` (by workload index) that have one; `share` has shape (W, T).

    `keeping` is `kept` of them, `start` holds the starts in its `cells`.
    """
    owing = {w: job for w, job in jobs.items() if job.gang and job.still_h > 0}
    owed = {(w, t): float(h) for w, job in owing.items() for t, h in enumerate(owed_h(job, share[w], horizon)) if h > 0}
    block.KEPT = pyo.Set(dimen=2, initialize=list(keeping))
    block.RECENT = pyo.Set(block.KEPT, initialize=dict(keeping))
    block.OWED = pyo.Set(dimen=2, initialize=list(owed))
    block.owed_h = pyo.Param(block.OWED, initialize=owed)
    block.price = pyo.Param(block.OWED, initialize={(w, t): owing[w].unfinished_price_per_gpu_h for w, t in owed})

    block.cut_short_gpu_h = pyo.Var(block.OWED, bounds=(0, None), dense=False)

    @block.Constraint(block.KEPT)
    def keeps_on(b: Any, w: int, t: int) -> Any:
        return sum(start.started_gpus[w, s] for s in b.RECENT[w, t]) <= workloads.gpus[w, 0, t]

    @block.Constraint(block.OWED)
    def goes_on(b: Any, w: int, t: int) -> Any:
        return workloads.h[t] * workloads.gpus[w, 0, t] + b.cut_short_gpu_h[w, t] >= workloads.size[w] * b.owed_h[w, t]


def cost(block: Any) -> Any:
    """Money for minimum runs that are cut short."""
    return sum(block.price[w, t] * block.cut_short_gpu_h[w, t] for w, t in block.OWED)


def bill(jobs: Sequence[Job], running_gpus: Floats, share: Floats, horizon: Horizon) -> Bill:
    """What minimum runs lack that began before, where `running_gpus` run, mean over a step; that and `share` have shape (J, T)."""
    owing = [i for i, job in enumerate(jobs) if job.still_h > 0 and job.running]
    if not owing:
        return Bill()
    lacking = np.zeros(share.shape)
    for i in owing:
        lacking[i] = np.maximum(jobs[i].gpus * owed_h(jobs[i], share[i], horizon) - running_gpus[i] * horizon.h, 0.0)
    lacking[lacking < TINY] = 0.0
    price = np.array([job.unfinished_price_per_gpu_h for job in jobs])
    return Bill({"cut_short_gpu_h": float(price @ lacking.sum(axis=1))}, {"cut_short_gpu_h": lacking})


def runs(job: Job, share: Floats, most: Floats) -> list[tuple[int, int]]:
    """First and last step of each run of a job that runs for `share` of each step, of which `most` is in its window, shape (T,).

    One that stops and starts again inside a step begins its next run in the step after (`models.work.pause.inside`).
    """
    on, split = share > TINY, inside(job, share, most)
    ends = np.flatnonzero(on & (split | ~np.r_[on[1:], False]))
    begins = np.flatnonzero(on & ~np.r_[False, on[:-1] & ~split[:-1]])
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def too_short(job: Job, share: Floats, most: Floats, horizon: Horizon, carried_gpu_h: float) -> dict[tuple[int, int], float]:
    """The runs that end before their minimum though the job could go on and its work is not done, and what each lacks, h.

    What is left of a run that began before is `owed_h`, and no less is promised of it.
    """
    found: dict[tuple[int, int], float] = {}
    if not (job.gang and job.min_run_h > 0):
        return found
    mine = runs(job, share, most)
    for first, last in mine:
        is_last = (first, last) == mine[-1] and not carried_gpu_h > TINY * max(1.0, job.work_gpu_h)
        if is_last or last + 1 == len(share) or most[last + 1] <= TINY or (job.running and first == 0):
            continue
        lacking = job.min_run_h - float(share[first : last + 1] @ horizon.h[first : last + 1])
        if lacking > NEARLY:
            found[first, last] = lacking
    return found


def lacking_h(jobs: Sequence[Job], running_gpus: Floats, share: Floats, horizon: Horizon, carried_gpu_h: Floats) -> Floats:
    """What the runs of each job that are too short lack in all where `running_gpus` run, mean over a step, h, shape (J,)."""
    each = zip(jobs, running_gpus, share, carried_gpu_h.tolist(), strict=True)
    found = [sum(too_short(job, gpus / job.gpus, most, horizon, carried).values()) for job, gpus, most, carried in each]
    return np.array(found, float)
