"""Whether what was sold to the grid's operator is there, counted from a decision in plain arithmetic.

    up    rentals: draw - the least draw at their floor;  jobs that have time: all they add;  batteries: what they can give more
    down  rentals: draw at the highest cap - draw;        batteries: what they can take more

The least draw at a mean speed mixes GPUs at measured points. A job has time where all its work fits, at full speed, between the
end of a call and its deadline. A battery must last the longest call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import combinations

from facility.decision import Decision, PoolCaps
from facility.site import Curve, Site
from facility.snapshot import Job, Snapshot
from facility.verify.draw import at_cap, work_of
from facility.verify.tenancy import needed_gpus
from facility.verify.violation import Violation, under


def reserves(site: Site, snapshot: Snapshot, decision: Decision) -> Iterator[Violation]:
    """Tell where less is held than was sold for now."""
    sold = {"up": decision.reserve_up_kw, "down": decision.reserve_down_kw}
    for direction, sold_kw in sold.items():
        if sold_kw > 0:
            call_h = max(p.duration_min for p in site.grid.reserves.values() if p.direction == direction) / 60
            jobs = {job.id: job for job in snapshot.jobs}
            pools_kw = sum(_pool_kw(site, caps, jobs, decision, call_h, up=direction == "up") for caps in decision.pools)
            held_kw = pools_kw + sum(
                _battery_kw(site, name, snapshot, decision, call_h, up=direction == "up") for name in site.batteries
            )
            says = f"less can be {'taken off the grid' if direction == 'up' else 'drawn more'} than was sold"
            yield from under(Violation(f"grid.reserve_{direction}", site.grid.feed, held_kw, "kW", sold_kw, says, "grid"))


def _pool_kw(site: Site, caps: PoolCaps, jobs: Mapping[str, Job], decision: Decision, call_h: float, *, up: bool) -> float:
    """What the work of one pool can drop, or rise by, kW."""
    pool = site.pools[caps.pool]
    model = site.gpu_models[pool.gpu_model]
    total_w = 0.0
    for name in dict.fromkeys(group.workload for group in caps.groups):
        curve = model.curves.get(work_of(site, caps.pool, name, jobs) or "")
        if curve is None:
            continue
        groups = [group for group in caps.groups if group.workload == name]
        gpus, drawn_w = sum(g.gpus for g in groups), sum(g.gpus * at_cap(curve, g.cap_w)[0] for g in groups)
        contract, job, host_w = site.contracts.get(name), jobs.get(name), pool.host_run_w - pool.host_idle_w - model.idle_w
        if contract is not None and up:
            extra_w = host_w if contract.pausable else 0.0
            least_w = _least_w(curve, contract.floor_speed, extra_w, pausable=contract.pausable)
            total_w += max(drawn_w + gpus * extra_w - needed_gpus(site, contract, decision) * least_w, 0.0)
        elif contract is not None:
            total_w += gpus * at_cap(curve, model.max_cap_w)[0] - drawn_w
        elif job is not None and up and _has_time(job, decision, call_h):
            total_w += drawn_w + gpus * host_w
    return total_w / 1000


def _has_time(job: Job, decision: Decision, call_h: float) -> bool:
    begins = decision.at + timedelta(seconds=decision.first_step_s or 0.0)
    return job.work_gpu_h <= ((job.deadline - begins).total_seconds() / 3600 - call_h) * job.gpus


def _least_w(curve: Curve, floor_speed: float, extra_w: float, *, pausable: bool) -> float:
    """The least mean draw of a rental's GPU at a mean speed: the best mixture of two measured points, idling one where it may."""
    points = [(p.speed, p.draw_w + extra_w) for p in curve.points] + ([(0.0, 0.0)] if pausable else [])
    found = [w for speed, w in points if speed >= floor_speed]
    for (s0, w0), (s1, w1) in combinations(sorted(points), 2):
        if s0 < floor_speed < s1:
            found.append(w0 + (floor_speed - s0) / (s1 - s0) * (w1 - w0))
    return min(found)


def _battery_kw(site: Site, name: str, snapshot: Snapshot, decision: Decision, call_h: float, *, up: bool) -> float:
    """What a battery can give, or take, more than it was ordered to, as long as a call lasts, kW; 0 where its energy is not known."""
    battery, stored_kwh = (
        site.batteries[name],
        snapshot.battery_kwh.get(name, site.batteries[name].start_share * site.batteries[name].capacity_kwh),
    )
    power_kw = sum(order.power_kw for order in decision.batteries if order.battery == name)
    hours = (decision.first_step_s or 0.0) / 3600
    after_kwh = stored_kwh + hours * (power_kw * battery.efficiency if power_kw > 0 else power_kw / battery.efficiency)
    full_kwh, least_kwh = battery.capacity_kwh, min(battery.min_share * battery.capacity_kwh, stored_kwh)
    charge_kw, discharge_kw = max(power_kw, 0.0), max(-power_kw, 0.0)
    if up:
        now_kw = charge_kw + (stored_kwh - least_kwh) * battery.efficiency / call_h
        later_kw = (after_kwh - least_kwh) * battery.efficiency / call_h
        return max(min(battery.discharge_kw + power_kw, now_kw, later_kw), 0.0)
    now_kw = discharge_kw + (full_kwh - stored_kwh) / battery.efficiency / call_h
    later_kw = (full_kwh - after_kwh) * battery.efficiency / call_h
    return max(min(battery.charge_kw - power_kw, now_kw, later_kw), 0.0)
