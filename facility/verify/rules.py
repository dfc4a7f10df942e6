"""The second opinion: every limit of a decision, recomputed from the decision itself in plain arithmetic.

It shares no code with the model that made the plan. `verify` returns what is broken; nothing means accepted. A cap is only
ever sent after this said so.

    expected import <= limit, and through each feed <= its own;  expected export <= its limit, where there is one
    expected power of a feeder <= rating;  its power at worst <= rating * margin
    the same of a group of feeders that back each other, on the ratings of all but its largest (N-1)
    heat of a plant <= what it removes;  a hall is no colder than its supply allows;  one above its allowable band gets no more power
    min <= stored energy <= capacity
    solar and gensets give what they can;  a battery that discharges keeps what carries the worst case of its feeder for its ride-through
    a rental that may not pause has all its GPUs, a service those it needs;  its mean speed >= floor
    a job runs inside its window, whole where rigid, and for its minimum run;  what was sold to the grid's operator is held
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from facility.decision import BatteryOrder, CoolingOrder, Decision, PoolCaps
from facility.site import Battery, LimitWindow, Site, ThermalStore
from facility.snapshot import Job, Snapshot
from facility.verify.form import form
from facility.verify.loads import (
    Carrier,
    Drift,
    carriers,
    drifts,
    expected_it_kw,
    expected_kw,
    feeder_kw,
    most_heat_kw,
    plant_heat_kw,
    removed_heat_kw,
    tanks_kw,
    work_of,
    worst_pool_kw,
)
from facility.verify.outage import in_service, maintenance
from facility.verify.reserve import reserves
from facility.verify.supply import cold, supplied
from facility.verify.tenancy import firm, minimum_runs
from facility.verify.violation import SLACK, Violation, finite, over, under

WARMER_K = 0.5
"""A hall may end the first step this much warmer than ordered: work that ends inside it, or starts, heats more than its mean."""

Earlier = int | PoolCaps | Sequence[int | PoolCaps]
"""Caps of one pool that may still be in force: one cap for all its GPUs (W), a message, or several of either."""


def verify(
    site: Site, snapshot: Snapshot, decision: Decision, *, outdoor_c: float, sent_cap_w: Mapping[str, Earlier] | None = None
) -> tuple[Violation, ...]:
    """Tell what `decision` breaks at `outdoor_c` (degC), the gravest kind first; an empty tuple means accepted.

    `sent_cap_w` holds, by pool, what was enforced or sent before and is not known to have ended: then every subset of this
    decision's messages may be lost. Of that, only what the decision makes worse counts: a decrease is never refused for the
    height it starts from. What is not a number is a violation, never an exception.
    """
    earlier = {pool: _messages(pool, sent) for pool, sent in (sent_cap_w or {}).items() if pool in site.pools}
    malformed = [*form(site, snapshot, decision, outdoor_c)]
    malformed += [found for messages in earlier.values() for caps in messages for found in _unusable(caps)]
    if malformed:
        return tuple(malformed)
    out = [*maintenance(site, decision)]
    site = supplied(in_service(site, decision), decision)
    it_kw, jobs = expected_it_kw(site, decision, snapshot), {job.id: job for job in snapshot.jobs}
    moving = drifts(site, decision, snapshot)
    found = [
        *out,
        *_feeders(site, snapshot, decision, outdoor_c),
        *_worst_feeders(site, decision, outdoor_c, it_kw, moving, earlier),
        *_cooling(site, snapshot, decision, it_kw, moving, outdoor_c),
        *(v for order in decision.cooling for v in _tank(site.cooling_plants[order.plant].store, order, snapshot, decision)),
        *(v for order in decision.batteries for v in _battery(site.batteries[order.battery], order, snapshot, decision)),
        *_sources(site, decision),
        *_ride_through(site, snapshot, decision, outdoor_c),
        *_workloads(site, decision, jobs),
        *_jobs(decision, jobs),
        *firm(site, snapshot, decision),
        *minimum_runs(site, snapshot, decision),
        *reserves(site, snapshot, decision),
    ]
    return tuple(sorted(found, key=lambda violation: ("plant", "grid", "contract").index(violation.tier)))


def _messages(pool: str, sent: Earlier) -> list[PoolCaps]:
    several: Sequence[int | PoolCaps] = (sent,) if isinstance(sent, (int, float, PoolCaps)) else sent
    return [caps if isinstance(caps, PoolCaps) else PoolCaps(pool, caps) for caps in several]


def _unusable(caps: PoolCaps) -> Iterator[Violation]:
    # What agents report may lie outside the settable range; that must not stand in the way of a decrease.
    for value in (caps.cap_w, *(number for group in caps.groups for number in (group.gpus, group.cap_w))):
        if not finite(value):
            yield Violation("number.finite", f"sent/{caps.pool}", None, "W", None, "not a finite number", "plant")


def _worst_feeders(
    site: Site,
    decision: Decision,
    outdoor_c: float,
    it_kw: Mapping[str, float],
    moving: Mapping[str, Drift],
    earlier: Mapping[str, Sequence[PoolCaps]],
) -> Iterator[Violation]:
    """Find feeders that every GPU at its highest cap would take past their margin; a discharging battery helps nobody here.

    GPUs surge within seconds and cooling follows within minutes, so the plants draw what this decision's own heat needs.
    """
    charge_kw = {order.battery: max(order.power_kw, 0.0) for order in decision.batteries}

    def loads(in_force: Mapping[str, Sequence[PoolCaps]]) -> dict[str, float]:
        worst_kw = {pool: worst_pool_kw(site.pools[pool], messages) for pool, messages in in_force.items()}
        return feeder_kw(site, worst_kw, it_kw, charge_kw, outdoor_c, moving, charge_kw=tanks_kw(decision))

    now = {caps.pool: (caps,) for caps in decision.pools}
    alone = loads(now)
    mixed = loads({pool: (*messages, *earlier.get(pool, ())) for pool, messages in now.items()}) if earlier else alone
    before = loads({pool: earlier.get(pool) or messages for pool, messages in now.items()}) if earlier else alone
    for it in carriers(site):
        rule = f"{it.rule}.worst_case"
        says = f"every GPU at its cap, with base, cooling, charging and losses, is more than {_may_carry(it)}"
        fired = over(Violation(rule, it.name, it.load_kw(alone), "kW", it.worst_kw, says, "plant"))
        if not fired and it.load_kw(mixed) > it.load_kw(before) + SLACK:
            says = f"with some messages lost, old and new caps together are more than {_may_carry(it)}"
            fired = over(Violation(rule, it.name, it.load_kw(mixed), "kW", it.worst_kw, says, "plant"))
        yield from fired


def _may_carry(it: Carrier) -> str:
    return "this feeder may carry" if it.rule == "feeder" else "this group carries when it loses its largest feeder"


def _feeders(site: Site, snapshot: Snapshot, decision: Decision, outdoor_c: float) -> Iterator[Violation]:
    loads = expected_kw(site, decision, snapshot, outdoor_c)
    for it in carriers(site):
        says = f"expected power is more than {_may_carry(it)}"
        yield from over(Violation(f"{it.rule}.carries", it.name, abs(it.load_kw(loads)), "kW", it.rating_kw, says, "plant"))
    roots_kw = [kw for name, kw in loads.items() if site.feeders[name].parent is None]
    net_kw = sum(roots_kw) if site.grid.export_limit_kw else sum(max(kw, 0.0) for kw in roots_kw)  # no way back, to another root neither
    import_kw, export_kw = max(net_kw, 0.0), max(-net_kw, 0.0)
    limit_kw = decision.import_limit_kw
    if limit_kw is None:
        limit_kw = import_limit_kw(site, decision.at, decision.until)
    says = "expected import is above the grid's limit"
    yield from over(Violation("grid.limit", site.grid.feed, import_kw, "kW", limit_kw, says, "grid"))
    for name, feed in site.grid.feeds.items():
        says = "expected import through this feed is above its limit"
        yield from over(Violation("grid.feed", name, loads[feed.feeder], "kW", feed.import_limit_kw, says, "grid"))
    if site.grid.export_limit_kw:
        says = "expected export is above what the grid takes back"
        yield from over(Violation("grid.export", site.grid.feed, export_kw, "kW", site.grid.export_limit_kw, says, "grid"))
    if decision.event_target_kw is not None:
        says = "expected import is above what the grid event allows"
        yield from over(Violation("grid.event", site.grid.feed, import_kw, "kW", decision.event_target_kw, says, "grid"))


def import_limit_kw(site: Site, start: datetime, end: datetime) -> float:
    """Tell the site's own import limit in [start, end), kW: the lowest of the daily windows it touches, by the local clock."""
    zone = ZoneInfo(site.timezone)
    limits = [site.grid.import_limit_kw]
    instant, last = start, min(end, start + timedelta(hours=25))
    while instant < last:
        local = instant.astimezone(zone).strftime("%H:%M")
        limits += [window.import_limit_kw for window in site.grid.limit_windows if _inside(window, local)]
        instant = instant.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return min(limits)


def _inside(window: LimitWindow, local: str) -> bool:
    return window.from_local <= local < window.to_local


def _cooling(
    site: Site, snapshot: Snapshot, decision: Decision, it_kw: Mapping[str, float], moving: Mapping[str, Drift], outdoor_c: float
) -> Iterator[Violation]:
    for plant_id, heat_kw in plant_heat_kw(site, it_kw, outdoor_c, moving, tanks_kw(decision)).items():
        most_kw = most_heat_kw(site.cooling_plants[plant_id], outdoor_c) + _warms_kw(site, plant_id, decision)
        says = "its halls and loops give off more heat than the plant removes"
        yield from over(Violation("cooling.removes_heat", plant_id, heat_kw, "kW", most_kw, says, "plant"))
    yield from cold(site, decision, removed_heat_kw(site, it_kw, outdoor_c, moving), WARMER_K)
    for hall_id, hall in site.halls.items():
        hall_c = snapshot.hall_c.get(hall_id)
        if hall.thermal is None or hall_c is None or hall_c <= hall.thermal.allowable_max_c:
            continue
        pools = [pool for pool in it_kw if site.pools[pool].hall == hall_id]
        was_kw = sum(snapshot.pool_kw.get(pool, _idle_kw(site, pool)) for pool in pools)
        if sum(it_kw[pool] for pool in pools) > was_kw + SLACK:
            says = "the hall is above its allowable band and would be given more power"
            yield Violation("hall.temperature", hall_id, hall_c, "degC", hall.thermal.allowable_max_c, says, "plant")


def _tank(store: ThermalStore | None, order: CoolingOrder, snapshot: Snapshot, decision: Decision) -> Iterator[Violation]:
    charge_kw, plant = order.store_kw, order.plant
    if store is None or charge_kw is None:
        return
    most_kw = store.charge_kw if charge_kw > 0 else store.discharge_kw
    yield from over(Violation("tank.power", plant, abs(charge_kw), "kW", most_kw, "more than its tank takes in or gives", "plant"))
    stored_kwh = snapshot.thermal_store_kwh.get(plant)
    if stored_kwh is None:
        return
    hours = (decision.first_step_s or (decision.until - decision.at).total_seconds()) / 3600
    after_kwh = stored_kwh * (1 - store.loss_share_per_h) ** hours + hours * charge_kw
    if charge_kw > 0:
        says = "its tank would be charged past its capacity"
        yield from over(Violation("tank.energy", plant, after_kwh, "kWh", store.capacity_kwh, says, "plant"))
    elif charge_kw < 0:
        yield from under(Violation("tank.energy", plant, after_kwh, "kWh", 0.0, "its tank would give more than it holds", "plant"))


def _warms_kw(site: Site, plant_id: str, decision: Decision) -> float:
    """Tell the heat that halls may take up beyond what was ordered: a little, and not up to the end of an allowable band, kW."""
    room: list[tuple[float, float]] = []
    for order in decision.cooling:
        for hall_id, wanted_c in order.hall_c:
            thermal = site.halls[hall_id].thermal
            if thermal is not None and thermal.cooling_plant == plant_id:
                room.append((thermal.heat_capacity_kwh_per_k, max(thermal.allowable_max_c - wanted_c, 0.0)))
    if not room or not decision.first_step_s:
        return 0.0
    return sum(capacity for capacity, _ in room) * min(WARMER_K, *(kelvin for _, kelvin in room)) * 3600 / decision.first_step_s


def _idle_kw(site: Site, pool_id: str) -> float:
    pool = site.pools[pool_id]
    return pool.gpus * (site.gpu_models[pool.gpu_model].idle_w + pool.host_idle_w) / 1000


def _ride_through(site: Site, snapshot: Snapshot, decision: Decision, outdoor_c: float) -> Iterator[Violation]:
    """Find batteries that would be discharged into what must carry the worst case of their feeder for a time.

    One that has less than that already may rest or charge, whatever the caps.
    """
    for order in decision.batteries:
        battery, name = site.batteries[order.battery], order.battery
        if order.power_kw < 0 and battery.ride_through_min and name in snapshot.battery_kwh:
            least_kwh = battery.min_share * battery.capacity_kwh
            kept_kwh = battery.efficiency * (_after_kwh(battery, order, snapshot, decision) - least_kwh)
            says = f"it would be too empty to carry the worst case of its feeder for {battery.ride_through_min:g} min"
            needed_kwh = ride_through_kwh(site, snapshot, decision, outdoor_c)[name]
            yield from under(Violation("battery.ride_through", name, kept_kwh, "kWh", needed_kwh, says, "plant"))


def ride_through_kwh(site: Site, snapshot: Snapshot, decision: Decision, outdoor_c: float) -> dict[str, float]:
    """Tell what each battery must be able to give to carry the worst case of its feeder for its ride-through, kWh; 0 without one."""
    if not any(battery.ride_through_min for battery in site.batteries.values()):
        return dict.fromkeys(site.batteries, 0.0)
    worst_kw = {caps.pool: worst_pool_kw(site.pools[caps.pool], (caps,)) for caps in decision.pools}
    it_kw, moving = expected_it_kw(site, decision, snapshot), drifts(site, decision, snapshot)
    loads_kw = feeder_kw(site, worst_kw, it_kw, {}, outdoor_c, moving, charge_kw=tanks_kw(decision))
    return {i: b.ride_through_min / 60 * loads_kw[b.ride_through_feeder or b.feeder] for i, b in site.batteries.items()}


def _sources(site: Site, decision: Decision) -> Iterator[Violation]:
    """Find generation that cannot be: what the sky really gives nobody here knows, only what a plant is rated."""
    for plane in decision.solar:
        most_kw, says = site.solar[plane.solar].peak_kw, "more than the solar plant is rated"
        expected_kw = plane.power_kw if plane.limit_kw is None else max(plane.power_kw, plane.limit_kw)
        yield from over(Violation("solar.power", plane.solar, expected_kw, "kW", most_kw, says, "plant"))
        says = "a solar plant draws nothing"
        yield from under(Violation("solar.power", plane.solar, plane.power_kw, "kW", 0.0, says, "plant"))
    for engine in decision.gensets:
        genset = site.gensets[engine.genset]
        least_kw = genset.min_load_share * genset.max_kw if engine.power_kw else 0.0
        says = "more than the genset gives"
        yield from over(Violation("genset.power", engine.genset, engine.power_kw, "kW", genset.max_kw, says, "plant"))
        says = "less than the genset gives while it runs"
        yield from under(Violation("genset.power", engine.genset, engine.power_kw, "kW", least_kw, says, "plant"))


def _after_kwh(battery: Battery, order: BatteryOrder, snapshot: Snapshot, decision: Decision) -> float:
    """Tell what a battery holds at the end of the first step, kWh, where it was measured."""
    hours = (decision.first_step_s or (decision.until - decision.at).total_seconds()) / 3600
    gained_kw = order.power_kw * battery.efficiency if order.power_kw > 0 else order.power_kw / battery.efficiency
    return snapshot.battery_kwh[order.battery] + hours * gained_kw


def _battery(battery: Battery, order: BatteryOrder, snapshot: Snapshot, decision: Decision) -> Iterator[Violation]:
    power_kw, name = order.power_kw, order.battery
    most_kw = battery.charge_kw if power_kw > 0 else battery.discharge_kw
    yield from over(Violation("battery.power", name, abs(power_kw), "kW", most_kw, "more than it takes in or gives", "plant"))
    if name not in snapshot.battery_kwh:
        return
    after_kwh = _after_kwh(battery, order, snapshot, decision)
    least_kwh = battery.min_share * battery.capacity_kwh
    if power_kw > 0:
        says = "it would be charged past its capacity"
        yield from over(Violation("battery.energy", name, after_kwh, "kWh", battery.capacity_kwh, says, "plant"))
    elif power_kw < 0:
        says = "it would be discharged below its lowest share"
        yield from under(Violation("battery.energy", name, after_kwh, "kWh", least_kwh, says, "plant"))


def _workloads(site: Site, decision: Decision, jobs: Mapping[str, Job]) -> Iterator[Violation]:
    for caps in decision.pools:
        for group in caps.groups:
            if work_of(site, caps.pool, group.workload, jobs) is None:
                says = "no contract and no job of this name runs in this pool"
                yield Violation("group.known", f"{caps.pool}/{group.workload}", group.gpus, "GPU", 0.0, says, "plant")


def _jobs(decision: Decision, jobs: Mapping[str, Job]) -> Iterator[Violation]:
    orders = {order.job: order for order in decision.jobs}
    grouped, pools = Counter[str](), defaultdict[str, set[str]](set)
    for caps in decision.pools:
        for group in caps.groups:
            grouped[group.workload] += group.gpus
            pools[group.workload].add(caps.pool)
    for name in jobs:
        yield from over(Violation("job.one_pool", name, len(pools[name]), "", 1.0, "a job runs in one pool at a time", "plant"))
    for name, order in orders.items():
        if name not in jobs:
            yield Violation("job.known", name, order.gpus, "GPU", 0.0, "an order for a job that nobody submitted", "plant")
        elif order.action == "hold":
            yield from over(Violation("job.holds", name, grouped[name], "GPU", 0.0, "ordered to hold, and given GPUs", "plant"))
        else:
            says = "its groups name more GPUs than were ordered"
            yield from over(Violation("job.ordered", name, grouped[name], "GPU", order.gpus, says, "plant"))
    for name, job in jobs.items():
        ordered = orders[name].gpus if name in orders and orders[name].action == "run" else 0
        yield from _job(job, {grouped[name], ordered} - {0}, decision.at)


def _job(job: Job, gpus: AbstractSet[int], at: datetime) -> Iterator[Violation]:
    """Judge one job that is given any of these numbers of GPUs."""
    for given in gpus:
        yield from over(Violation("job.size", job.id, given, "GPU", job.gpus, "more GPUs than the job can use", "plant"))
        if not job.elastic:
            says = "a rigid job runs with all its GPUs or none"
            yield from under(Violation("job.rigid", job.id, given, "GPU", job.gpus, says, "plant"))
    early_s, late_s = (job.submit - at).total_seconds(), (at - job.deadline).total_seconds()
    if gpus and early_s > 0:
        yield Violation("job.window", job.id, early_s, "s", 0.0, "it would run before it was submitted", "contract")
    if gpus and late_s >= 0:
        yield Violation("job.window", job.id, late_s, "s", 0.0, "it would run past its deadline", "contract")
