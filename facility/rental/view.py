"""A view: what one tenant may know of a decision. Pure.

It is made of the tenant's own rentals and jobs alone. Its words are chosen here from what is true of those; the reasons of a plan name
limits, prices, people and other tenants' work, and stay inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from facility.bus.interface import MAX_PAYLOAD_BYTES
from facility.bus.messages import TenantCap, TenantJob, TenantRental, TenantView, encode
from facility.decision import CapGroup, Decision, JobOrder
from facility.overrides.arbitrate import Bounds
from facility.rental.losses import Owed
from facility.site import Contract, Curve, Site
from facility.snapshot import Job
from facility.verify.draw import at_cap

FULL: Final = 0.999
"""The relative speed from which on nobody would call it slow."""
MOST_SHOWN: Final = 80
NOTHING: Final = Owed(0, 0.0, 0.0)


def fitting(view: Callable[[int], TenantView]) -> TenantView:
    """The longest `view` that fits into one message, of at most so many rentals and jobs as it is asked for."""
    most = MOST_SHOWN
    while len(encode(found := view(most))) > MAX_PAYLOAD_BYTES and most:
        most //= 2
    return found


def rentals_of(
    site: Site, decision: Decision, asked: Bounds, tenant: str, ends: Mapping[str, datetime], owed: Mapping[str, Owed]
) -> tuple[TenantRental, ...]:
    """Tell a tenant's firm rentals; `site` is the one in force, `ends` tells when those that do end, `owed` what is for GPUs that are gone."""
    groups = {caps.pool: caps.groups for caps in decision.pools}
    return tuple(
        _rental(site, name, contract, groups.get(contract.pool or "", ()), asked, ends.get(name), owed.get(name, NOTHING))
        for name, contract in site.contracts.items()
        if contract.tenant == tenant and (contract.gpus or name in owed)
    )


def jobs_of(site: Site, decision: Decision, asked: Bounds, jobs: Iterable[Job]) -> tuple[TenantJob, ...]:
    """Tell `jobs`, all of them one tenant's."""
    orders = {order.job: order for order in decision.jobs}
    groups: dict[str, list[CapGroup]] = {}
    for caps in decision.pools:
        for group in caps.groups:
            groups.setdefault(group.workload, []).append(group)
    return tuple(_job(site, job, orders.get(job.id), groups.get(job.id, []), asked) for job in jobs)


def _rental(
    site: Site, name: str, contract: Contract, pool_groups: Iterable[CapGroup], asked: Bounds, ends: datetime | None, owed: Owed
) -> TenantRental:
    assert contract.pool is not None
    assert contract.curve is not None
    mine = [group for group in pool_groups if group.workload == name]
    caps, running, speed = _caps(_curve(site, contract.pool, contract.curve), mine)
    if owed.gpus:
        reason = f"{owed.gpus} of its GPUs are out of order; what it misses is credited"
    elif _capped(asked, name, contract.pool):
        reason = "the site's operator limits its power"
    elif running < contract.gpus and contract.pausable:
        reason = "some of its GPUs pause: power is short or dear now"
    elif speed < FULL:
        least = f"; at least {contract.least_speed:.0%} of full speed is promised" if contract.least_speed else ""
        reason = f"slower than at full power, which is short or dear now{least}"
    else:
        reason = "at full speed"
    return TenantRental(
        contract=name,
        pool=contract.pool,
        gpus=contract.gpus + owed.gpus,
        running=running,
        speed=speed,
        caps=caps,
        until=ends,
        reason=reason,
        gone=owed.gpus,
        missed_gpu_h=round(owed.missed_gpu_h, 3),
        credit=round(owed.credit, 2),
    )


def _job(site: Site, job: Job, order: JobOrder | None, groups: Iterable[CapGroup], asked: Bounds) -> TenantJob:
    runs = order is not None and order.action == "run"
    caps, running, speed = _caps(_curve(site, job.pool, job.curve), groups if runs else ())
    return TenantJob(
        job=job.id,
        pool=job.pool,
        gpus=job.gpus,
        running=running,
        speed=speed,
        caps=caps,
        work_left_gpu_h=job.work_gpu_h,
        deadline=job.deadline,
        contract=job.contract,
        until=None if runs or order is None else order.until,
        reason=_why(job, order, speed, asked),
    )


def _why(job: Job, order: JobOrder | None, speed: float, asked: Bounds) -> str:
    if order is None:
        return "waits for the next plan"
    if order.action == "run":
        if _capped(asked, job.id, job.pool):
            return "the site's operator limits its power"
        return "runs at full speed" if speed >= FULL else "runs slower than at full power, which is short or dear now"
    named = asked.job_orders.get(job.id)
    if asked.mode == "stop" or (named[0] == "hold" if named and named[0] else asked.held_pools[job.pool][0]):
        return "the site's operator holds it"
    if order.until is None:
        return "waits until there is power and room for it"
    waits = "waits: until then power or room is short, or dearer"
    return f"{waits}; its deadline is planned for" if job.deadline > order.until else f"{waits}; it is late, and runs as soon as it can"


def _capped(asked: Bounds, workload: str, pool: str) -> bool:
    """Whether somebody commands the cap of a workload or of its pool."""
    own = asked.job_cap_w.get(workload)
    return (own is not None and own[0] is not None) or asked.pool_cap_w[pool][0] is not None


def _caps(curve: Curve, groups: Iterable[CapGroup]) -> tuple[tuple[TenantCap, ...], int, float]:
    """The caps of one workload, its GPUs that run and their mean speed; 0 where none runs."""
    caps = tuple(TenantCap(gpus=g.gpus, cap_w=g.cap_w, speed=round(at_cap(curve, g.cap_w)[1], 4)) for g in groups if g.gpus)
    running = sum(cap.gpus for cap in caps)
    return caps, running, round(sum(cap.gpus * cap.speed for cap in caps) / running, 4) if running else 0.0


def _curve(site: Site, pool: str, curve: str) -> Curve:
    return site.gpu_models[site.pools[pool].gpu_model].curves[curve]
