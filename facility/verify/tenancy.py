"""What contracts ask of a decision: GPUs that must run, and how fast."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

from facility.decision import Decision
from facility.site import Contract, Site
from facility.verify.loads import at_cap
from facility.verify.violation import Violation, over, under


def firm(site: Site, decision: Decision) -> Iterator[Violation]:
    """Find rentals that a decision gives other GPUs than they must have, or a mean speed below their floor."""
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
        yield from under(Violation("firm.floor", name, speed, "1", contract.floor_speed, says, "contract"))


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
