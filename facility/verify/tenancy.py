"""What tenants were promised of a decision: GPUs that must run, how fast, and that no run of a job is cut short."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

from facility.decision import Decision
from facility.site import Contract, Site
from facility.snapshot import Snapshot
from facility.verify.draw import at_cap
from facility.verify.violation import SLACK, Violation, over, under


def firm(site: Site, snapshot: Snapshot, decision: Decision) -> Iterator[Violation]:
    """Find rentals that a decision gives other GPUs than they must have, or less speed than was promised."""
    groups = {caps.pool: caps.groups for caps in decision.pools}
    for name, contract in site.contracts.items():
        if not contract.gpus or contract.pool is None or contract.curve is None:
            continue
        curve = site.gpu_models[site.pools[contract.pool].gpu_model].curves[contract.curve]
        mine = [group for group in groups[contract.pool] if group.workload == name]
        gpus, needed = sum(group.gpus for group in mine), needed_gpus(site, contract, decision)
        says = "more GPUs than were rented, or than are needed now"
        yield from over(Violation("firm.gpus", name, gpus, "GPU", needed, says, "contract"))
        if not contract.pausable:
            says = "a rental that may not pause has all its GPUs, a service those that are needed now"
            yield from under(Violation("firm.gpus", name, gpus, "GPU", needed, says, "contract"))
        if not needed:
            continue
        speed = sum(group.gpus * at_cap(curve, group.cap_w)[1] for group in mine) / needed
        says = "mean speed is below the floor"
        yield from under(Violation("firm.floor", name, speed, "1", contract.least_speed, says, "contract"))
        yield from _budget(name, contract, snapshot, decision, speed)


def _budget(name: str, contract: Contract, snapshot: Snapshot, decision: Decision, speed: float) -> Iterator[Violation]:
    """Find a contract that the first step takes over its slow hours; an hour counts by the share of the slow-down it has."""
    granted = contract.flexibility
    if granted is None or granted.slow_hours is None or granted.greatest_slowdown <= 1:
        return
    hours = (decision.first_step_s or (decision.until - decision.at).total_seconds()) / 3600
    slow_h = hours * (1 - speed) / (1 - 1 / granted.greatest_slowdown)
    used_h, says = snapshot.slow_hours_used.get(name, 0.0), "more slow hours than its contract has left"
    if slow_h > SLACK:
        yield from over(Violation("firm.budget", name, used_h + slow_h, "h", max(granted.slow_hours, used_h), says, "contract"))


def needed_gpus(site: Site, contract: Contract, decision: Decision) -> int:
    """Tell how many GPUs a rental must have: all, or the most that its hours ask for that the decision's first step touches."""
    if contract.demand_by_hour_gpus is None:
        return contract.gpus
    zone, end = ZoneInfo(site.timezone), decision.until
    if decision.first_step_s:
        end = decision.at + timedelta(seconds=decision.first_step_s)
    instant, needed = decision.at, 0
    while instant < end:
        needed = max(needed, contract.demand_by_hour_gpus[instant.astimezone(zone).hour])
        instant = instant.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return needed


def minimum_runs(site: Site, snapshot: Snapshot, decision: Decision) -> Iterator[Violation]:
    """Find rigid jobs that are told to pause before they have run for their minimum; one of which nobody knows since when it runs may."""
    told = {order.job: order.action for order in decision.jobs}
    for job in snapshot.jobs:
        has_more = job.work_gpu_h > SLACK * job.gpus
        if told.get(job.id) == "hold" and job.running and job.running_since and not job.elastic and has_more:
            least_h = site.jobs.min_run_h if job.min_run_h is None else job.min_run_h
            ran_h, says = (decision.at - job.running_since).total_seconds() / 3600, "it would pause before its minimum run is over"
            yield from under(Violation("job.min_run", job.id, ran_h, "h", least_h, says, "contract"))
