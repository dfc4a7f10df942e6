"""Standby: decisions that need no solver - an earlier one that goes on, and the fallback. Pure.

An earlier decision goes on with its first step: what its plan had in mind for later steps is not followed. Its batteries and tanks do
what lasts, with what a ride-through needs kept, a genset stops whose permit ends before, and its halls count as steady.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce

from facility.decision import BatteryOrder, CapGroup, CoolingOrder, Decision, GensetOrder, PoolCaps
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify import fallback_caps, ride_through_kwh


def present(site: Site, decision: Decision, snapshot: Snapshot) -> Decision:
    """`decision` without the jobs that are done, unknown, or late while nobody tells of them, and without rentals that ended."""
    known = {job.id for job in snapshot.jobs if job.submit <= snapshot.at < job.due(snapshot.at)}
    known |= {name for name, contract in site.contracts.items() if contract.gpus}
    pools = tuple(replace(pool, groups=tuple(g for g in pool.groups if g.workload in known)) for pool in decision.pools)
    return replace(decision, pools=pools, jobs=tuple(order for order in decision.jobs if order.job in known))


def still_there(made: Snapshot, now: Snapshot) -> Snapshot:
    """The readings a plan was made from, without the jobs that have gone since."""
    known = {job.id for job in now.jobs}
    return replace(made, jobs=tuple(job for job in made.jobs if job.id in known))


def goes_on(site: Site, decision: Decision, snapshot: Snapshot, now: datetime, until: datetime, outdoor_c: float) -> Decision:
    """`decision` as it goes on from `now` until `until`, at `outdoor_c` (degC)."""
    hours = (until - now).total_seconds() / 3600
    cooling = tuple(_tank_lasts(site, order, snapshot, hours) for order in decision.cooling)
    held = replace(present(site, decision, snapshot), at=now, until=until, cooling=cooling, first_step_s=None)
    kept_kwh = ride_through_kwh(site, snapshot, held, outdoor_c)
    return replace(
        held,
        batteries=tuple(_lasting(site, order, snapshot, hours, kept_kwh[order.battery]) for order in held.batteries),
        gensets=tuple(_permitted(site, order, snapshot, hours) for order in held.gensets),
    )


def fallback(site: Site, snapshot: Snapshot, now: datetime, until: datetime) -> Decision:
    """Caps that fit in 80 % of every feeder whatever runs under them; batteries rest, gensets stop, jobs stay as they are.

    The groups name what runs, so that its power can be reckoned with; each has its pool's cap.
    """
    caps_w = fallback_caps(site)
    free = {pool: part.gpus - snapshot.gone_gpus.get(pool, 0) for pool, part in site.pools.items()}
    groups: dict[str, list[CapGroup]] = defaultdict(list)
    firm = [(name, c.pool, c.gpus) for name, c in site.contracts.items() if c.gpus and c.pool is not None]
    for name, pool, gpus in (*firm, *((job.id, job.pool, job.gpus) for job in snapshot.jobs if job.running)):
        if gpus <= free[pool]:
            free[pool] -= gpus
            groups[pool].append(CapGroup(name, gpus, caps_w[pool]))
    pools = tuple(PoolCaps(pool, cap_w, tuple(groups[pool]), "fallback caps: no verified plan") for pool, cap_w in caps_w.items())
    batteries = tuple(BatteryOrder(battery, 0.0) for battery in site.batteries)
    return Decision(now, until, pools, batteries=batteries, gensets=tuple(GensetOrder(genset, 0.0) for genset in site.gensets))


def lowest(decision: Decision, other: Decision) -> Decision:
    """`decision` with one cap in each pool: the lowest that either of the two has there."""
    below = {pool.pool: min([pool.cap_w, *(group.cap_w for group in pool.groups)]) for pool in other.pools}
    pools = tuple(replace(pool, cap_w=min(pool.cap_w, below[pool.pool]), groups=()) for pool in decision.pools)
    return replace(decision, pools=pools)


def no_higher(decision: Decision, others: Sequence[PoolCaps]) -> Decision:
    """`decision` with no workload above the cap it has in any of `others`; one that is not there, above the highest of its pool.

    A pool that is not in `others` stays as it is.
    """
    several: defaultdict[str, list[PoolCaps]] = defaultdict(list)
    for pool in others:
        several[pool.pool].append(pool)

    def bounded(pool: PoolCaps, most: PoolCaps) -> PoolCaps:
        if most == pool:
            return pool
        highest = max([most.cap_w, *(group.cap_w for group in most.groups)])
        had: dict[str, int] = {}
        for group in most.groups:
            had[group.workload] = max(group.cap_w, had.get(group.workload, 0))
        groups = tuple(replace(group, cap_w=min(group.cap_w, had.get(group.workload, highest))) for group in pool.groups)
        return replace(pool, cap_w=min(pool.cap_w, most.cap_w), groups=groups)

    return replace(decision, pools=tuple(reduce(bounded, several[pool.pool], pool) for pool in decision.pools))


def _lasting(site: Site, order: BatteryOrder, snapshot: Snapshot, hours: float, kept_kwh: float) -> BatteryOrder:
    """The part of an order that a battery can follow for `hours` and give `kept_kwh` after; all of it where its energy is not known."""
    battery, stored_kwh = site.batteries[order.battery], snapshot.battery_kwh.get(order.battery)
    if stored_kwh is None:
        return order
    room_kw = max(battery.capacity_kwh - stored_kwh, 0.0) / battery.efficiency / hours
    gives_kwh = (stored_kwh - battery.min_share * battery.capacity_kwh) * battery.efficiency
    return replace(order, power_kw=max(-max(gives_kwh - kept_kwh, 0.0) / hours, min(room_kw, order.power_kw)))


def _tank_lasts(site: Site, order: CoolingOrder, snapshot: Snapshot, hours: float) -> CoolingOrder:
    """The part of a tank's order that it can follow for `hours`; all of it where what it holds is not known."""
    store, stored_kwh = site.cooling_plants[order.plant].store, snapshot.thermal_store_kwh.get(order.plant)
    if store is None or order.store_kw is None or stored_kwh is None:
        return order
    left_kwh = stored_kwh * (1 - store.loss_share_per_h) ** hours
    room_kw = max(store.capacity_kwh - left_kwh, 0.0) / hours
    return replace(order, store_kw=max(-left_kwh / hours, min(room_kw, order.store_kw)))


def _permitted(site: Site, order: GensetOrder, snapshot: Snapshot, hours: float) -> GensetOrder:
    """A genset's order, or to stop where its permit does not last for `hours`."""
    most_h, ran_h = site.gensets[order.genset].run_hours_left, snapshot.genset_hours_run.get(order.genset, 0.0)
    return order if most_h is None or ran_h + hours <= most_h else replace(order, power_kw=0.0)
