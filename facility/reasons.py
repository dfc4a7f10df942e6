"""Reasons: why a job waits and a cap is low, in an operator's words, read from the plan's own numbers."""

from __future__ import annotations

import numpy as np

from facility.overrides.arbitrate import Bounds
from facility.site import Site
from facility.steps import Edges
from models.breach import TINY
from models.job import Job
from models.plan import Plan

NEARLY = 1e-3


def job_reason(plan: Plan, bounds: Bounds, w: int, edges: Edges, site: Site) -> str:
    """Why job `w` (a workload index) runs when it does."""
    job = plan.problem.jobs[w - len(plan.problem.firms)]
    if job.id in bounds.reasons:
        return bounds.reasons[job.id]
    unfinished = float(plan.account.breach["unfinished_gpu_h"][w - len(plan.problem.firms)])
    share = plan.problem.cells.share[w]
    ran = np.flatnonzero(plan.account.running[w] > TINY)
    if unfinished > TINY:
        free = float(plan.problem.free_gpus(job.pool).max())
        if job.gang > free:
            return f"cannot finish: it asks for {job.gpus} GPUs at once, pool {job.pool} has {free:.0f} for jobs"
        hours = float(share @ plan.problem.horizon.h)
        if job.work_gpu_h > job.gpus * hours + TINY:
            return f"cannot finish: {job.gpus} GPUs for {hours:.2f} h, arrival to deadline, are less than its work"
        return f"cannot finish: {unfinished:.3f} GPU h are left at its deadline{_binding(plan, job, share)}"
    if forgone := _forgone(plan, job, w):
        why = _binding(plan, job, share) or f": its energy costs more than the {job.spot_value_per_gpu_h:g} {site.currency} that it is worth"
        return f"{forgone:.3f} GPU h of spot work are left out{why}"
    if not len(ran):
        return f"waits past the horizon{_binding(plan, job, share) or ': it may still finish later, at the mean price'}"
    first = int(np.flatnonzero(share)[0])
    start = int(ran[0])
    if start <= first:
        return "runs as soon as it is there"
    price = np.asarray(plan.problem.grid.price_per_kwh) * 1000
    if why := _binding(plan, job, np.where(np.arange(len(share)) < start, share, 0.0)):
        return f"waits until {edges[start]:%Y-%m-%dT%H:%MZ}{why}"
    return (
        f"waits until {edges[start]:%Y-%m-%dT%H:%MZ}: energy costs {price[start]:.2f} instead of {price[first]:.2f} "
        f"{site.currency}/MWh then"
    )


def pool_reason(plan: Plan, bounds: Bounds, pool_id: str) -> str:
    """Why the pool's caps are what they are now."""
    if pool_id in bounds.reasons:
        return bounds.reasons[pool_id]
    if plan.account.import_kw[0] >= plan.problem.grid.most_kw[0] * (1 - NEARLY):
        return f"the {_most(plan, 0)} is reached"
    for i, feeder in enumerate(plan.problem.feeders):
        if plan.account.feeder_worst_kw[i, 0] >= feeder.rating_kw * feeder.worst_case_margin * (1 - NEARLY):
            return f"the sum of caps fills feeder {feeder.id}"
    return "rentals at the speed that earns most, jobs where a unit of work takes least energy for its money"


def _forgone(plan: Plan, job: Job, w: int) -> float:
    """Spot work of job `w` that is neither done nor carried, GPU h; 0 where it is next to nothing."""
    if not job.spot_value_per_gpu_h:
        return 0.0
    left = job.work_gpu_h - float(plan.account.work_gpu_h[w].sum() + plan.account.carried_gpu_h[w - len(plan.problem.firms)])
    return left if left > TINY * max(1.0, job.work_gpu_h) else 0.0


def _pool(plan: Plan, job: Job) -> int:
    return next(i for i, p in enumerate(plan.problem.pools) if p.id == job.pool)


def _most(plan: Plan, t: int) -> str:
    """What bounds the import in step `t`, in words."""
    grid = plan.problem.grid
    name = "grid event's target" if grid.most_kw[t] < grid.limit_kw[t] else "grid limit"
    return f"{name} of {grid.most_kw[t]:.0f} kW"


def _binding(plan: Plan, job: Job, share: np.ndarray) -> str:
    """The limit that is reached throughout the steps in which the job could have run, as the end of a sentence."""
    steps = np.flatnonzero(share > 0)
    if not len(steps):
        return ""
    most = np.asarray(plan.problem.grid.most_kw)[steps]
    if (plan.account.import_kw[steps] >= most * (1 - NEARLY)).all():
        return f": the {_most(plan, int(steps[most.argmin()]))} is reached"
    p = _pool(plan, job)
    mine = [w for w, x in enumerate(plan.problem.workloads) if x.pool == job.pool]
    busy = plan.account.running[mine][:, steps].sum(axis=0)
    if (busy + job.gpus > (np.asarray(plan.problem.pools[p].available) - plan.problem.idle_kept(job.pool))[steps]).all():
        return f": pool {job.pool} has no {job.gpus} GPUs free"
    return ""
