"""Draw: what caps make GPUs and pools draw, in plain arithmetic.

    draw(cap)     measured points joined by straight lines; above the last point a cap does nothing
    pool          = sum gpus * (draw + host_run) + idle gpus * (idle + host_idle)                   expected, / 1000
    pool at worst = the `gpus` highest caps among all that may be in force + gpus * host_run        / 1000

A message to a pool may be lost, or reach some of its nodes only, so of every cap that may be in force any GPU may have the
highest: the sum over GPUs of the maximum is never more than the highest `gpus` of them all, and some loss attains it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter

from facility.decision import Decision, PoolCaps
from facility.site import Curve, Pool, Site
from facility.snapshot import Job, Snapshot

_CAP_W = attrgetter("cap_w")


def at_cap(curve: Curve, cap_w: float) -> tuple[float, float]:
    """Tell the draw (W) and relative speed of a GPU under `cap_w`.

    Below the lowest measured cap the draw is that point's, a bound from above, and the speed 0, one from below.
    """
    points = sorted(curve.points, key=_CAP_W)
    low = points[0]
    if cap_w < low.cap_w:
        return low.draw_w, 0.0
    for high in points[1:]:
        if cap_w < high.cap_w:
            share = (cap_w - low.cap_w) / (high.cap_w - low.cap_w)
            return low.draw_w + share * (high.draw_w - low.draw_w), low.speed + share * (high.speed - low.speed)
        low = high
    return low.draw_w, low.speed


def work_of(site: Site, pool_id: str, workload: str, jobs: Mapping[str, Job]) -> str | None:
    """Tell the kind of work (a curve's name) that `workload` does in this pool; None where it does not belong there."""
    contract, job = site.contracts.get(workload), jobs.get(workload)
    if contract is not None and contract.gpus and contract.pool == pool_id:
        return contract.curve
    return job.curve if job is not None and pool_id in (job.pool, *job.other_pools) else None


def pool_kw(site: Site, caps: PoolCaps, jobs: Mapping[str, Job]) -> float:
    """Sum the IT power expected of one pool under `caps`, kW, hosts included. Work without a curve is taken to draw its cap."""
    pool = site.pools[caps.pool]
    model = site.gpu_models[pool.gpu_model]
    total_w, idle = 0.0, pool.gpus
    for group in caps.groups:
        curve = model.curves.get(work_of(site, caps.pool, group.workload, jobs) or "")
        draw_w = group.cap_w if curve is None else at_cap(curve, group.cap_w)[0]
        total_w += group.gpus * (draw_w + pool.host_run_w)
        idle -= group.gpus
    return (total_w + idle * (model.idle_w + pool.host_idle_w)) / 1000


def worst_pool_kw(pool: Pool, in_force: Sequence[PoolCaps]) -> float:
    """Sum the IT power of one pool at worst, kW, where each of `in_force` may hold for any of its GPUs."""
    caps = [(group.cap_w, group.gpus) for sent in in_force for group in sent.groups]
    caps += [(sent.cap_w, max(pool.gpus - sum(group.gpus for group in sent.groups), 0)) for sent in in_force]
    total_w, left = pool.gpus * pool.host_run_w, pool.gpus
    for cap_w, gpus in sorted(caps, reverse=True):
        taken = min(gpus, left)
        total_w += taken * cap_w
        left -= taken
    return total_w / 1000


def expected_it_kw(site: Site, decision: Decision, snapshot: Snapshot) -> dict[str, float]:
    """Sum the IT power expected of each pool under a decision, kW, hosts included."""
    jobs = {job.id: job for job in snapshot.jobs}
    return {caps.pool: pool_kw(site, caps, jobs) for caps in decision.pools}


def at_rest_kw(site: Site) -> float:
    """What the site draws when all GPUs are idle, without cooling and losses, kW."""
    idle_w = sum(pool.gpus * (site.gpu_models[pool.gpu_model].idle_w + pool.host_idle_w) for pool in site.pools.values())
    return sum(hall.base_kw for hall in site.halls.values()) + idle_w / 1000


def idle_kw(site: Site, pool_id: str) -> float:
    """What a pool draws when all its GPUs are idle, kW, hosts included."""
    pool = site.pools[pool_id]
    return pool.gpus * (site.gpu_models[pool.gpu_model].idle_w + pool.host_idle_w) / 1000
