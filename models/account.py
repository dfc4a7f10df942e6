"""Account: what a schedule draws, heats, breaks and costs, by the same physics and the same prices as the program.

The plan and its baseline are both read through here, so their objectives compare. Each asset's numbers are computed in the room
of its name. Cooling power is the published curve itself, not the program's segments; the heat removed is what brings each hall
to the temperature the schedule asks for, as far as the plant's capacity reaches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.breach import TINY, Bill
from models.grid import carbon, demand_charge, grid_connection, position, reserve, reserve_down, reserve_up, uncertainty
from models.heat import cooling_plant, hall, liquid_loop, thermal_store
from models.horizon import Floats
from models.power import battery, feed, feeder, genset, redundancy
from models.problem import Problem
from models.schedule import Schedule
from models.solving import stability
from models.work import budget, carbon_wish, firm, job, maintenance, minimum_run, pause, pool


@dataclass(frozen=True)
class Account:
    """Arrays by asset (in the problem's order) and step; kW, degC, GPU hours, money.

    `carried_kw` is the load that each battery is to ride through; `given_kw` is by id of solar plant or genset; `hall_c` is by
    zone; `heat_kw` is what each cooling plant removes, `removed_kw` what of it comes from each zone;
    `short_run_h` is what runs lack of their minimum, by job, and no breach: only what is left of one that began before is promised;
    `thermal_store_kw` is what each tank is charged with, `thermal_store_kwh` what
    it holds at the end of a step; `uncertain_kw` is what the pessimistic forecast may bring each feeder beyond
    `feeder_kw`, and limits are judged with it. `breach` holds, by family, the amount above the limit: by feeder and step, group of
    feeders and step, feed and step, battery that rides through and step, zone and step, loop and step, step, firm workload and
    step, job, job and step, genset and step, or reserve and step.
    """

    import_kw: Floats
    export_kw: Floats
    it_kw: Floats
    cooling_kw: Floats
    battery_kw: Floats
    pool_kw: Floats
    feeder_kw: Floats
    feeder_worst_kw: Floats
    carried_kw: Floats
    given_kw: Mapping[str, Floats]
    hall_c: Floats
    running: Floats
    work_gpu_h: Floats
    carried_gpu_h: Floats
    heat_kw: Floats
    removed_kw: Floats
    thermal_store_kw: Floats
    thermal_store_kwh: Floats
    reserve_kw: Floats
    uncertain_kw: Floats
    short_run_h: Floats
    breach: Mapping[str, Floats]
    cost: Mapping[str, float]

    @property
    def objective(self) -> float:
        """Sum of all costs, money."""
        return sum(self.cost.values())

    @property
    def is_breached(self) -> bool:
        """Whether any limit is broken."""
        return any((amount > TINY).any() for amount in self.breach.values())


def account(problem: Problem, schedule: Schedule) -> Account:
    """The account of `schedule` on `problem`."""
    problem = problem.supplied(schedule.supply_c)
    horizon, h, steps = problem.horizon, problem.horizon.h, len(problem.horizon)
    firms, workloads = len(problem.firms), problem.workloads
    work = schedule.groups.work_gpu_h(horizon, len(workloads))
    drawn_kw = stability.drawn_kw(problem.pools, workloads, schedule.groups, steps)
    pool_kw, pool_worst_kw = pool.loads_kw(problem.pools, workloads, schedule.groups, steps)
    cooled = _cool(problem, schedule, pool_kw)
    heat_kw, cooling_kw = cooled.heat_kw, cooled.power_kw
    battery_kw = _stack([schedule.battery_kw[b.id] for b in problem.batteries], steps)

    load = _attached(problem, pool_kw, cooling_kw, battery_kw)
    for source in problem.sources:
        load[source.feeder] = load[source.feeder] - schedule.given_kw[source.id]
    worst = _attached(problem, pool_worst_kw, cooling_kw, np.maximum(battery_kw, 0.0))
    leaves_first = problem.leaves_first()
    feeder_kw, feeder_worst_kw = (
        np.array([kw[f.id] for f in problem.feeders])
        for kw in (feeder.loads_kw(leaves_first, load), feeder.loads_kw(leaves_first, worst))
    )
    running = schedule.groups.running(len(workloads), steps)
    carried = job.carried_gpu_h(problem.jobs, work[firms:], horizon)
    import_kw, export_kw = grid_connection.flows_kw(problem.grid, feeder_kw[problem.at_grid > 0])
    uncertain_kw = _uncertain_kw(problem, heat_kw)
    carried_kw = _carried(problem, pool_worst_kw, cooling_kw, uncertain_kw)
    reserve_kw = _reserves(problem, schedule, battery_kw)
    bills = (
        grid_connection.bill(problem.grid, horizon, import_kw, export_kw, problem.at_grid @ uncertain_kw),
        position.bill(problem.position, import_kw - export_kw, h),
        stability.bill(problem.last, problem.cells, drawn_kw, h),
        carbon_wish.bill(workloads, drawn_kw, h),
        demand_charge.bill(problem.demand_charges, import_kw),
        carbon.bill(problem.carbon, horizon, import_kw, problem.burnt_kg(schedule.given_kw)) if problem.carbon else Bill(),
        battery.bill(problem.batteries, battery_kw, carried_kw, h),
        genset.bill(problem.gensets, schedule.given_kw, horizon),
        job.bill(problem.jobs, work[firms:], horizon),
        pause.bill(problem.jobs, running[firms:], problem.cells.share[firms:], carried),
        minimum_run.bill(problem.jobs, running[firms:], problem.cells.share[firms:], horizon),
        firm.bill(problem.firms, work[:firms], h),
        maintenance.bill(problem.windows),
        budget.bill([f.budget for f in problem.firms], _stack([f.demanded(steps) for f in problem.firms], steps), work[:firms], h),
        hall.bill(problem.zones, cooled.hall_c, h),
        liquid_loop.bill(cooled.uncooled_kw, h),
        thermal_store.bill(list(problem.thermal_stores.values()), cooled.store_kwh),
        cooling_plant.bill(problem.cooling_plants, heat_kw, problem.outdoor_c, h),
        feed.bill(problem.feeds, dict(zip([f.id for f in problem.feeders], feeder_kw + uncertain_kw, strict=True)), h),
        feeder.bill(problem.feeders, feeder_kw + uncertain_kw, feeder_worst_kw + uncertain_kw, h),
        redundancy.bill(problem.redundancies, problem.feeders, feeder_kw + uncertain_kw, feeder_worst_kw + uncertain_kw, h),
        reserve.bill(problem.reserves, reserve_kw, h),
    )
    total = Bill()
    for bill in bills:
        total.cost.update(bill.cost)
        total.breach.update(bill.breach)
    return Account(
        import_kw=import_kw,
        export_kw=export_kw,
        it_kw=pool_kw.sum(axis=0),
        cooling_kw=cooling_kw,
        battery_kw=battery_kw,
        pool_kw=pool_kw,
        feeder_kw=feeder_kw,
        feeder_worst_kw=feeder_worst_kw,
        carried_kw=carried_kw,
        given_kw=schedule.given_kw,
        hall_c=cooled.hall_c,
        running=running,
        work_gpu_h=work,
        carried_gpu_h=carried,
        heat_kw=heat_kw,
        removed_kw=cooled.removed_kw,
        thermal_store_kw=cooled.store_kw,
        thermal_store_kwh=cooled.store_kwh,
        reserve_kw=reserve_kw,
        uncertain_kw=uncertain_kw,
        short_run_h=minimum_run.lacking_h(problem.jobs, running[firms:], problem.cells.share[firms:], horizon, carried),
        breach=total.breach,
        cost=total.cost,
    )


@dataclass(frozen=True)
class _Cooled:
    """Temperature of each zone, degC, shape (Z, T); heat left in the chips of each loop, kW, (L, T); heat removed and power of each
    plant, kW, (C, T); charge and content of each tank, kW and kWh, (S, T); heat removed from each zone, kW, (Z, T).
    """

    hall_c: Floats
    uncooled_kw: Floats
    heat_kw: Floats
    power_kw: Floats
    store_kw: Floats
    store_kwh: Floats
    removed_kw: Floats


def _cool(problem: Problem, schedule: Schedule, pool_kw: Floats) -> _Cooled:
    """How warm it gets where `pool_kw`, shape (P, T), is drawn, and what the plants do about it."""
    steps, plants = len(problem.horizon), problem.cooling_plants
    air = {z.id: z.base(steps) for z in problem.halls}
    liquid = {z.id: np.zeros(steps) for z in problem.halls}
    most_kw = problem.margins.most_heat_kw
    for p, kw in zip(problem.pools, pool_kw, strict=True):
        air[p.hall] = air[p.hall] + (1 - p.liquid_share) * kw
        liquid[p.hall] = liquid[p.hall] + p.liquid_share * kw
    served = []
    for plant in plants:
        zones, loops_kw = problem.plant_halls(plant), {z.id: liquid[z.id] for z in problem.plant_loops(plant)}
        charge_kw = schedule.thermal_store_kw.get(plant.id, np.zeros(steps))
        did = cooling_plant.serve(
            plant, zones, air, loops_kw, schedule.hall_c, charge_kw, problem.horizon.h, problem.outdoor_c, most_kw[plant.id]
        )
        served.append(did)
    reached = {hall_id: c for did in served for hall_id, c in did.hall_c.items()}
    removed = {hall_id: kw for did in served for hall_id, kw in did.zone_kw.items()}
    uncooled = {hall_id: kw for did in served for hall_id, kw in did.uncooled_kw.items()}
    power = [c.chiller.power_kw(did.heat_kw, problem.outdoor_c) for c, did in zip(plants, served, strict=True)]
    tanks = [did for c, did in zip(plants, served, strict=True) if c.store]
    return _Cooled(
        _stack([reached[z.id] for z in problem.zones], steps),
        _stack([uncooled[z.id] for z in problem.loops], steps),
        _stack([did.heat_kw for did in served], steps),
        _stack(power, steps),
        _stack([did.store_kw for did in tanks], steps),
        _stack([did.store_kwh for did in tanks], steps),
        _stack([removed[z.id] for z in problem.zones], steps),
    )


def _reserves(problem: Problem, schedule: Schedule, battery_kw: Floats) -> Floats:
    """What of each reserve is really held, kW, shape (R, T)."""
    if not problem.reserves:
        return np.zeros((0, len(problem.horizon)))
    up, down = ([r for r in problem.reserves if r.direction == way] for way in ("up", "down"))
    pools, index, horizon, groups = [p.id for p in problem.pools], problem.cells, problem.horizon, schedule.groups
    held = reserve_up.there(schedule.held_kw, up, index, horizon, pools, problem.batteries, groups, battery_kw)
    held = reserve_down.there(held, down, index, horizon, problem.batteries, groups, battery_kw)
    return reserve.offered_kw(problem.reserves, held, horizon.h)


def _uncertain_kw(problem: Problem, heat_kw: Floats) -> Floats:
    """What the pessimistic forecast may bring each feeder beyond the expected load, kW, shape (F, T)."""
    told = problem.margins
    more_kw = dict(told.more_base_kw)
    for plant, kw in zip(problem.cooling_plants, heat_kw, strict=True):
        power_kw = uncertainty.plant_margin_kw(plant, kw, told.more_heat_kw[plant.id], problem.outdoor_c, told.outdoor_high_c)
        more_kw[plant.feeder] = more_kw[plant.feeder] + power_kw
    by_feeder = feeder.loads_kw(problem.leaves_first(), more_kw)
    return np.array([by_feeder[f.id] for f in problem.feeders])


def _attached(problem: Problem, pool_kw: Floats, cooling_kw: Floats, battery_kw: Floats) -> dict[str, Floats]:
    """What hangs directly under each feeder, kW, each shape (T,)."""
    load = {f.id: np.zeros(len(problem.horizon)) for f in problem.feeders}
    for z in problem.halls:
        load[z.feeder] = load[z.feeder] + z.base(len(problem.horizon))
    for assets, kw in ((problem.pools, pool_kw), (problem.cooling_plants, cooling_kw), (problem.batteries, battery_kw)):
        for on, asset_kw in zip([asset.feeder for asset in assets], kw, strict=True):
            load[on] = load[on] + asset_kw
    return load


def _carried(problem: Problem, pool_worst_kw: Floats, cooling_kw: Floats, uncertain_kw: Floats) -> Floats:
    """The worst case of each battery's feeder without any battery, kW, shape (B, T)."""
    steps = len(problem.horizon)
    if not battery.riding(problem.batteries):
        return np.zeros((len(problem.batteries), steps))
    rest_kw = np.zeros((len(problem.batteries), steps))
    loads = feeder.loads_kw(problem.leaves_first(), _attached(problem, pool_worst_kw, cooling_kw, rest_kw))
    beyond = dict(zip([f.id for f in problem.feeders], uncertain_kw, strict=True))
    return _stack([loads[b.carried_feeder] + beyond[b.carried_feeder] for b in problem.batteries], steps)


def _stack(rows: list[Floats], steps: int) -> Floats:
    return np.array(rows, float).reshape(len(rows), steps)
