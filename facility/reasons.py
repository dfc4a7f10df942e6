"""Reasons: why a job waits and a cap is low, in an operator's words, from what one more GPU would cost (`models.telling.why`)."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from facility.limits import rounded, told
from facility.overrides.arbitrate import Bounds
from facility.site import Site
from facility.steps import Edges
from models.breach import TINY
from models.plan import Plan
from models.telling.marginal import LIMITS
from models.telling.why import Cause, Costs, largest
from models.work.job import Job

SAME = 1e-6
"""Money per GPU hour that is no difference."""


def job_reason(plan: Plan, bounds: Bounds, w: int, edges: Edges, site: Site) -> str:
    """Why job `w` (a workload index) runs when it does."""
    job = plan.problem.workloads[w]
    assert isinstance(job, Job)
    if job.id in bounds.reasons:
        return bounds.reasons[job.id]
    if job.order and job.order[0] == "hold" and not bounds.held_pools.get(job.pool, (False,))[0]:
        return f"waits: GPUs of pool {job.pool} leave before it could be done"
    unfinished = float(plan.account.breach["unfinished_gpu_h"][w - len(plan.problem.firms)])
    share = plan.problem.cells.share[w]
    ran = np.flatnonzero(plan.account.running[w] > TINY)
    if unfinished > TINY:
        return f"cannot finish: {unfinished_reason(plan, w, site.currency)}"
    if forgone := _forgone(plan, job, w):
        return f"{forgone:.3f} GPU h of spot work are left out: {_not_worth(plan, job, w, site.currency)}"
    window = np.flatnonzero(share)
    first = int(window[0]) if len(window) else len(share)
    if not len(ran):
        return f"waits past the horizon{_later(plan, job, w, first, edges, site.currency)}"
    start = int(ran[0])
    if start <= first:
        return "runs as soon as it is there"
    return f"waits until {edges[start]:%Y-%m-%dT%H:%MZ}: {_dearer(plan, job, w, first, start, edges, site.currency)}"


def pool_reason(plan: Plan, bounds: Bounds, pool_id: str, currency: str) -> str:
    """Why the pool's caps are what they are now."""
    if pool_id in bounds.reasons:
        return bounds.reasons[pool_id]
    return caps_reason(plan, plan.problem.cells.pools.get(pool_id, []), 0, currency) or (
        "rentals at the speed that earns most, jobs where a unit of work takes least energy for its money"
    )


def _forgone(plan: Plan, job: Job, w: int) -> float:
    """Spot work of job `w` that is neither done nor carried, GPU h; 0 where it is next to nothing."""
    if not job.spot_value_per_gpu_h:
        return 0.0
    left = job.work_gpu_h - float(plan.account.work_gpu_h[w].sum() + plan.account.carried_gpu_h[w - len(plan.problem.firms)])
    return left if left > TINY * max(1.0, job.work_gpu_h) else 0.0


def _not_worth(plan: Plan, job: Job, w: int, currency: str) -> str:
    """Why spot job `w` is not worth doing in the cheapest step in which it is not."""
    hours = [plan.why.hour(w, t) for t in np.flatnonzero(plan.problem.cells.share[w]).tolist()]
    dear = [costs for costs in hours if sum(costs.values()) > job.spot_value_per_gpu_h - SAME]
    costs = min(dear, key=lambda costs: sum(costs.values()), default={})
    top = largest({cause: money for cause, money in costs.items() if cause.family in LIMITS})
    if top is None or top[1] <= SAME:
        return f"its energy costs more than the {job.spot_value_per_gpu_h:g} {currency} that it is worth"
    return (
        f"a GPU h costs {rounded(sum(costs.values()))} {currency} where it is next done, {rounded(top[1])} of it for {told(top[0], plan.why)}, "
        f"and is worth {job.spot_value_per_gpu_h:g}"
    )


def caps_reason(plan: Plan, workloads: list[int], t: int, currency: str) -> str:
    """The limit that keeps the caps of `workloads` low in step `t`, '' where none does."""
    top = largest(plan.why.raising(workloads, t))
    return "" if top is None else f"{told(top[0], plan.why)} keeps caps low{_worth_of(plan, top[0], currency)}"


def _worth_of(plan: Plan, cause: Cause, currency: str) -> str:
    for price in plan.marginal:
        if (price.family, price.asset) == (cause.family, cause.asset) and cause.step is not None:
            an_hour = price.saved[cause.step] / plan.problem.horizon.h[cause.step]
            return f": 1 {price.unit} of it is worth {rounded(an_hour)} {currency} an hour"
    return ""


def unfinished_reason(plan: Plan, w: int, currency: str) -> str:
    """Why job `w` cannot finish."""
    job = plan.problem.workloads[w]
    assert isinstance(job, Job)
    unfinished = float(plan.account.breach["unfinished_gpu_h"][w - len(plan.problem.firms)])
    left = f"{unfinished:.3f} GPU h are left at its deadline"
    free = float(plan.problem.free_gpus(job.pool).max())
    if job.gang > free:
        return f"{left}: it asks for {job.gpus} GPUs at once, pool {job.pool} has {free:.0f} for jobs"
    hours = float(plan.problem.cells.share[w] @ plan.problem.horizon.h)
    if job.work_gpu_h > job.gpus * hours + TINY:
        return f"{left}: {job.gpus} GPUs for {hours:.2f} h, arrival to deadline, are less than its work"
    costs = plan.why.window(w)
    limits = {cause: money for cause, money in costs.items() if cause.family in LIMITS and money > TINY}
    top = largest(limits)
    if top is None:
        return left
    at, most = max(_hours(plan, w, top[0]), key=lambda item: item[1])
    worth = plan.why.worth(w)
    return f"{left}: {told(at, plan.why)} costs up to {rounded(most)} {currency} a GPU h, and a GPU h of it is worth {rounded(worth)}"


def _hours(plan: Plan, w: int, cause: Cause) -> list[tuple[Cause, float]]:
    """What `cause`, without a step, costs a GPU hour of job `w` in each step of its window."""
    window = np.flatnonzero(plan.problem.cells.share[w]).tolist()
    return [item for t in window for item in plan.why.hour(w, t).items() if item[0]._replace(step=None) == cause]


def _later(plan: Plan, job: Job, w: int, first: int, edges: Edges, currency: str) -> str:
    costs = plan.why.hour(w, first) if first < len(plan.problem.horizon) else {}
    if not costs:
        return ": it cannot run before"
    now, then = sum(costs.values()), job.carry_price_per_gpu_h
    if now <= then + SAME:
        return ": it may still finish later, at the mean price"
    cause, money = largest(costs) or (Cause("grid.import_kw"), 0.0)
    return (
        f": a GPU h costs {rounded(now)} {currency} at {edges[first]:%Y-%m-%dT%H:%MZ}, {rounded(money)} of it for "
        f"{told(cause, plan.why)}, and {rounded(then)} later"
    )


def _dearer(plan: Plan, job: Job, w: int, first: int, start: int, edges: Edges, currency: str) -> str:
    """Why step `first` is worse for job `w` than step `start`: the cause that makes most of the difference."""
    before, then = plan.why.hour(w, first), plan.why.hour(w, start)
    if not job.elastic and before and sum(plan.why.gpu(w, 0, first).values()) < -SAME:
        return f"its {job.gpus} GPUs do not fit together before"
    more = _excess(before, then)
    cause, money = largest(more) or (Cause("grid.import_kw"), 0.0)
    if money <= SAME:
        return "it costs the same before, and other work goes first"
    price = np.asarray(plan.problem.grid.paid_per_kwh) * 1000
    if cause.family == "grid.import_kw":
        return f"energy costs {price[start]:.2f} instead of {price[first]:.2f} {currency}/MWh then"
    return (
        f"a GPU h costs {rounded(sum(then.values()))} {currency} then instead of {rounded(sum(before.values()))} at "
        f"{edges[first]:%Y-%m-%dT%H:%MZ}, where {told(cause, plan.why)} adds {rounded(money)}"
    )


def _excess(one: Costs, other: Costs) -> Costs:
    """How much more each cause costs in `one` than in `other`, whatever the step; named by the step in `one`."""
    less = defaultdict[Cause, float](float)
    for cause, money in other.items():
        less[cause._replace(step=None)] += money
    return {cause: money - less[cause._replace(step=None)] for cause, money in one.items()}
