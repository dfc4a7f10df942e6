"""Site: the whole problem on one page.

    minimise  energy + imbalance + demand charges + carbon + wear + water + work undone, carried, delayed and paused
              + moves away from the last plan
              - value of work delivered + breaches + discomfort
    subject to  every asset's own rows (each in the room of its name), tied together by
                halls:    heat    = IT power of the hall's pools, less what liquid takes, + base load
                loops:    heat    = what liquid takes of the IT power of the hall's pools
                plants:   heat    = heat removed from the plant's halls, loops and tank
                          supply  + approach <= temperature of the halls
                feeders:  load    = everything attached below, with losses
                groups:   load    = sum over feeders that back each other
                feeds:    load    = that of the root on each feed
                grid:     import - export = sum of loads at the roots

Never infeasible: what reality can break carries a slack with a physical meaning, priced by the order of `breach`.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from models import wiring
from models.compile import unexpanded
from models.grid import carbon, demand_charge, grid_connection, position, reserve, reserve_down, reserve_up, uncertainty
from models.heat import approach, cooling_plant, hall, liquid_loop, set_point, thermal_store
from models.power import battery, feed, feeder, genset, redundancy, solar
from models.problem import Problem
from models.solving import stability
from models.table import table
from models.work import budget, carbon_wish, firm, job, maintenance, minimum_run, movable, pause, pool, start, workload

WORK = ("workload", "firm", "budget", "job", "movable", "start", "pause", "minimum_run", "maintenance", "stability", "carbon_wish")
ROOMS = (*WORK, "grid", "position", "carbon")
"""The rooms with one block for the whole site; the others have one for each of their assets."""


def declare(problem: Problem) -> Any:
    """The linear program of `problem` as a Pyomo model whose rules are left for arrays (`models.compile`)."""
    with unexpanded():
        return build(problem)


def build(problem: Problem) -> Any:
    """The linear program of `problem` as a Pyomo model, row by row."""
    horizon = problem.horizon
    m = _rooms(problem)
    workload.add(m.workload, problem.cells, horizon)
    firm.add(m.firm, dict(enumerate(problem.firms)), m.workload)
    budget.add(m.budget, {w: f.budget for w, f in enumerate(problem.firms) if f.budget is not None}, m.workload, m.firm.demand)
    jobs = dict(enumerate(problem.jobs, start=len(problem.firms)))
    job.add(m.job, jobs, m.workload, horizon)
    share, keeping = problem.cells.share, minimum_run.kept(jobs, problem.cells.share, horizon)
    start.add(m.start, jobs, pause.cells(jobs, m.workload) | minimum_run.cells(keeping), m.workload)
    pause.add(m.pause, jobs, m.workload, m.job, m.start)
    minimum_run.add(m.minimum_run, jobs, m.workload, share, horizon, keeping, m.start)
    movable.add(m.movable, m.workload, m.job)
    stability.add(m.stability, problem.last, problem.cells, m.workload)
    carbon_wish.add(m.carbon_wish, problem.workloads, m.workload)
    maintenance.add(m.maintenance, problem.maintenances, horizon, problem.free_gpus, m.STEPS)
    for p in problem.pools:
        pool.add(m.pool[p.id], p, problem.cells, m.workload, horizon, problem.idle_kept(p.id), wiring.taken(m, p))
    _add_thermal(m, problem)
    if problem.is_uncertain:
        _add_margins(m, problem)
    _add_electrical(m, problem)
    for charge in problem.demand_charges:
        demand_charge.add(m.demand_charge[charge.id], charge, wiring.of(m.grid.import_kw))
    if problem.carbon:
        carbon.add(m.carbon, problem.carbon, horizon, m.STEPS, wiring.of(m.grid.import_kw), wiring.burnt_kg(m, problem))
    position.add(m.position, problem.position, wiring.net_kw(m, problem))
    if problem.reserves:
        _add_reserves(m, problem)

    @m.Objective()
    def cost(m: Any) -> Any:
        return (
            grid_connection.cost(m.grid, m.h, m.STEPS)
            + sum(demand_charge.cost(m.demand_charge[c.id], c) for c in problem.demand_charges)
            + position.cost(m.position, problem.position, m.h)
            + stability.cost(m.stability, problem.last, m.h)
            + carbon_wish.cost(m.carbon_wish, m.workload, m.h)
            + (carbon.cost(m.carbon, problem.carbon, m.STEPS, wiring.of(m.grid.import_kw), wiring.burnt_kg(m, problem)) if problem.carbon else 0.0)
            + job.cost(m.job, m.workload)
            + pause.cost(m.pause)
            + minimum_run.cost(m.minimum_run)
            + firm.cost(m.firm, m.workload)
            + budget.cost(m.budget)
            + maintenance.cost(m.maintenance)
            + sum(battery.cost(m.battery[b.id], b, m.STEPS) for b in problem.batteries)
            + sum(genset.cost(m.genset[g.id], g, m.STEPS) for g in problem.gensets)
            + sum(feeder.cost(m.feeder[f.id], m.h, m.STEPS) for f in problem.feeders)
            + sum(feed.cost(m.feed[f.id], m.h, m.STEPS) for f in problem.feeds)
            + sum(redundancy.cost(m.redundancy[g.id], m.h, m.STEPS) for g in problem.redundancies)
            + sum(hall.cost(m.hall[z.id], z, m.h, m.STEPS) for z in problem.zones)
            + sum(reserve.cost(m.reserve[r.id], m.h, m.STEPS) for r in problem.reserves)
            + sum(liquid_loop.cost(m.liquid_loop[z.id], m.h, m.STEPS) for z in problem.loops)
            + sum(thermal_store.cost(m.thermal_store[plant_id]) for plant_id in problem.thermal_stores)
            + sum(cooling_plant.cost(m.cooling_plant[c.id], c, problem.outdoor_c, m.h, m.STEPS) for c in problem.wet_plants)
        )

    return m


def _add_thermal(m: Any, problem: Problem) -> None:
    """Heat, from the halls to the plants that remove it."""
    for zone in problem.zones:
        hall.add(m.hall[zone.id], zone, problem.horizon, m.STEPS, wiring.heat_kw(m, problem, zone), problem.outdoor_c)
    for looped in problem.loops:
        liquid_loop.add(m.liquid_loop[looped.id], m.STEPS, wiring.liquid_kw(m, problem, looped))
    for beside, tank in problem.thermal_stores.items():
        thermal_store.add(m.thermal_store[beside], tank, problem.horizon, m.STEPS)
    for plant in problem.cooling_plants:
        zones, most_kw = problem.plant_halls(plant), problem.margins.most_heat_kw[plant.id]
        removed = [wiring.of(m.hall[h.id].removed_kw) for h in zones]
        removed += [wiring.of(m.liquid_loop[h.id].removed_kw) for h in problem.plant_loops(plant)]
        removed += [wiring.of(m.thermal_store[plant.id].charge_kw)] if plant.store else []
        block = m.cooling_plant[plant.id]
        cooling_plant.add(block, plant, m.STEPS, removed, problem.outdoor_c, most_kw)
        if plant.set_point is not None:
            mixed = m.set_point[plant.id]
            if plant.is_open:
                set_point.add(mixed, plant.set_point, plant.curves(problem.outdoor_c), m.STEPS, block, most_kw)
            for z in zones:
                idle_c = approach.idle_c(z, problem.horizon.h, problem.outdoor_c, wiring.least_heat_kw(problem, z))
                more_kw = plant.store.discharge_kw if plant.store else 0.0
                approach.add(m.approach[z.id], plant.set_point, mixed, m.hall[z.id], m.STEPS, idle_c, most_kw + more_kw)


def _rooms(problem: Problem) -> Any:
    """A model with an empty block for each room, by asset where it has assets, its steps and the halls' base load."""
    horizon = problem.horizon
    m = pyo.ConcreteModel(name="site")
    m.STEPS = pyo.RangeSet(0, len(horizon) - 1)
    m.h = table(horizon.h, m.STEPS)
    for room in ROOMS:
        m.add_component(room, pyo.Block())
    m.demand_charge = pyo.Block([c.id for c in problem.demand_charges])
    m.pool = pyo.Block([p.id for p in problem.pools])
    m.hall = pyo.Block([h.id for h in problem.halls])
    m.liquid_loop = pyo.Block([z.id for z in problem.loops])
    m.thermal_store = pyo.Block(list(problem.thermal_stores))
    m.cooling_plant = pyo.Block([c.id for c in problem.cooling_plants])
    m.set_point = pyo.Block([c.id for c in problem.cooling_plants if c.set_point])
    m.approach = pyo.Block([z.id for z in problem.supplied_halls])
    m.battery = pyo.Block([b.id for b in problem.batteries])
    m.solar = pyo.Block([s.id for s in problem.solar])
    m.genset = pyo.Block([g.id for g in problem.gensets])
    m.feeder = pyo.Block([f.id for f in problem.feeders])
    m.reserve = pyo.Block([r.id for r in problem.reserves])
    m.feed = pyo.Block([f.id for f in problem.feeds])
    m.redundancy = pyo.Block([g.id for g in problem.redundancies])
    m.uncertainty = pyo.Block([f.id for f in problem.feeders] if problem.is_uncertain else [])
    m.HALLS = pyo.Set(initialize=[h.id for h in problem.halls])
    base = {(z.id, t): float(kw) for z in problem.halls for t, kw in enumerate(z.base(len(horizon)))}
    m.base_kw = pyo.Param(m.HALLS, m.STEPS, initialize=base)
    return m


def _add_electrical(m: Any, problem: Problem) -> None:
    """What gives and carries power, from the leaves to the grid."""
    for store in problem.batteries:
        battery.add(m.battery[store.id], store, problem.horizon, m.STEPS, wiring.carried(m, problem, store))
    for plane in problem.solar:
        solar.add(m.solar[plane.id], plane, m.STEPS)
    for engine in problem.gensets:
        genset.add(m.genset[engine.id], engine, problem.horizon, m.STEPS)
    for node in problem.leaves_first():
        uncertain_kw, may_return = wiring.uncertain_kw(m, problem, node.id), problem.may_return(node)
        feeder.add(m.feeder[node.id], node, m.STEPS, *wiring.attached(m, problem, node), uncertain_kw, may_return=may_return)
    for group in problem.redundancies:
        redundancy.add(m.redundancy[group.id], redundancy.left_kw(group, problem.feeders), m.STEPS, *wiring.backed(m, problem, group))
    for inlet in problem.feeds:
        load_kw = wiring.plus(m.feeder[inlet.feeder].load_kw, wiring.uncertain_kw(m, problem, inlet.feeder))
        feed.add(m.feed[inlet.id], inlet, m.STEPS, load_kw)
    grid_connection.add(m.grid, problem.grid, problem.horizon, m.STEPS, *wiring.at_grid(m, problem))


def _add_reserves(m: Any, problem: Problem) -> None:
    """What is sold to the grid's operator, and what holds it."""
    up, down = ([r for r in problem.reserves if r.direction == way] for way in ("up", "down"))
    pools = [p.id for p in problem.pools]
    m.reserve_up, m.reserve_down = pyo.Block(), pyo.Block()
    if up:
        free = [b for b in problem.batteries if not b.ride_through_h]
        reserve_up.add(m.reserve_up, up, problem.cells, problem.horizon, pools, free, m.workload, m.firm, m.battery)
    if down:
        reach = wiring.reach_of(problem)
        roots, groups = [root.id for root in problem.roots], problem.redundancies
        reserve_down.add(
            m.reserve_down, down, problem.cells, problem.horizon, pools, problem.batteries, reach, roots, problem.feeds, groups, m,
            is_uncertain=problem.is_uncertain,
        )  # fmt: skip
    for product in problem.reserves:
        holds = m.reserve_up if product.direction == "up" else m.reserve_down
        reserve.add(m.reserve[product.id], product, m.STEPS, wiring.held(holds, product.id))


def _add_margins(m: Any, problem: Problem) -> None:
    """What the pessimistic forecast may bring each feeder beyond its expected load."""
    told = problem.margins

    def heat_kw(plant: str, t: int) -> Any:
        return m.cooling_plant[plant].heat_kw[t]

    for node in problem.leaves_first():
        on = [c for c in problem.cooling_plants if c.feeder == node.id]
        under = [wiring.of(m.uncertainty[child.id].margin_kw) for child in problem.feeders if child.parent == node.id]
        uncertainty.add(m.uncertainty[node.id], node, told, on, m.STEPS, heat_kw, under, problem.outdoor_c)
