"""Site: the whole problem on one page.

    minimise  energy + imbalance + demand charges + carbon + wear + water + work undone, carried, delayed and paused
              - value of work delivered + breaches + discomfort
    subject to  every asset's own rows (each in the room of its name), tied together by
                halls:    heat    = IT power of the hall's pools, less what liquid takes, + base load
                loops:    heat    = what liquid takes of the IT power of the hall's pools
                plants:   heat    = heat removed from the plant's halls, loops and tank
                feeders:  load    = everything attached below, with losses
                groups:   load    = sum over feeders that back each other
                feeds:    load    = that of the root on each feed
                grid:     import - export = sum of loads at the roots

Never infeasible: what reality can break carries a slack with a physical meaning, priced by the order of `breach`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models import (
    battery,
    budget,
    carbon,
    cooling_plant,
    demand_charge,
    feed,
    feeder,
    firm,
    genset,
    grid_connection,
    hall,
    job,
    liquid_loop,
    maintenance,
    movable,
    pause,
    pool,
    position,
    redundancy,
    reserve,
    reserve_down,
    reserve_up,
    solar,
    thermal_store,
    uncertainty,
    workload,
)
from models.battery import Battery
from models.carbon import Carbon
from models.cooling_plant import CoolingPlant
from models.demand_charge import DemandCharge
from models.feed import Feed
from models.feeder import Feeder, Load
from models.firm import Firm
from models.genset import Genset
from models.grid_connection import GridConnection
from models.hall import Hall
from models.horizon import Floats, Horizon
from models.job import Job
from models.maintenance import Maintenance, Window
from models.pool import Gpus, Pool
from models.position import Position
from models.redundancy import Redundancy
from models.reserve import Reserve
from models.reserve_down import Reach
from models.solar import Solar
from models.thermal_store import ThermalStore
from models.uncertainty import Margins
from models.workload import Cells, Workload, cells


@dataclass(frozen=True)
class Problem:
    """Everything a plan is made from. `outdoor_c` has shape (T,), degC.

    `outdoor_high_c` is the pessimistic forecast of it, None where none is told (see `models.uncertainty`).
    `maintenances` still want a window; the pools are without the GPUs of those that have one, `windows`.
    """

    horizon: Horizon
    grid: GridConnection
    outdoor_c: Floats
    feeders: tuple[Feeder, ...]
    halls: tuple[Hall, ...]
    pools: tuple[Pool, ...]
    cooling_plants: tuple[CoolingPlant, ...] = ()
    batteries: tuple[Battery, ...] = ()
    solar: tuple[Solar, ...] = ()
    gensets: tuple[Genset, ...] = ()
    redundancies: tuple[Redundancy, ...] = ()
    feeds: tuple[Feed, ...] = ()
    firms: tuple[Firm, ...] = ()
    jobs: tuple[Job, ...] = ()
    reserves: tuple[Reserve, ...] = ()
    outdoor_high_c: Floats | None = None
    position: Position = field(default_factory=Position)
    demand_charges: tuple[DemandCharge, ...] = ()
    carbon: Carbon | None = None
    maintenances: tuple[Maintenance, ...] = ()
    windows: tuple[Window, ...] = ()
    cells: Cells = field(init=False)

    def __post_init__(self) -> None:
        roots, fed = sorted(f.id for f in self.roots), sorted(feed.feeder for feed in self.feeds)
        if len(roots) != 1 and roots != fed:
            raise ValueError("the feeder tree needs exactly one root, or one for each feed")
        looped = {h.id for h in self.loops}
        if any(p.liquid_share > 0 and p.hall not in looped for p in self.pools):
            raise ValueError("a pool with a liquid share needs a hall with a liquid plant")
        hosts = {p.id: p.host for p in self.pools}
        free = {p.id: self.free_gpus(p.id) for p in self.pools}
        object.__setattr__(self, "cells", cells(self.workloads, hosts, free, self.horizon))

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """Firm workloads first, then jobs; their position is the index w."""
        return (*self.firms, *self.jobs)

    @property
    def zones(self) -> tuple[Hall, ...]:
        """The halls whose temperature and cooling are in the model."""
        return tuple(h for h in self.halls if h.cooling_plant is not None)

    @property
    def loops(self) -> tuple[Hall, ...]:
        """The halls with a liquid loop."""
        return tuple(h for h in self.halls if h.liquid_plant is not None)

    @property
    def wet_plants(self) -> tuple[CoolingPlant, ...]:
        """The cooling plants whose water costs money."""
        return tuple(c for c in self.cooling_plants if c.water_l_per_kwh * c.water_price_per_m3 > 0)

    @property
    def thermal_stores(self) -> dict[str, ThermalStore]:
        """The tanks, by plant."""
        return {c.id: c.store for c in self.cooling_plants if c.store is not None}

    @property
    def roots(self) -> tuple[Feeder, ...]:
        """The feeders at the grid connection: one, or one for each feed."""
        return tuple(f for f in self.feeders if f.parent is None)

    @property
    def at_grid(self) -> Floats:
        """1 for each root, 0 for the other feeders, shape (F,)."""
        return np.array([float(f.parent is None) for f in self.feeders])

    @property
    def is_uncertain(self) -> bool:
        """Whether a pessimistic forecast is told beside the expected one."""
        return self.outdoor_high_c is not None or any(h.more_base_kw for h in self.halls)

    @property
    def certain(self) -> Problem:
        """The same problem, told the expected forecast only."""
        return replace(self, outdoor_high_c=None, halls=tuple(replace(h, more_base_kw=()) for h in self.halls))

    @property
    def margins(self) -> Margins:
        """What the pessimistic forecast adds to the expected one, nothing where none is told."""
        high_c = self.outdoor_c if self.outdoor_high_c is None else self.outdoor_high_c
        return uncertainty.margins(self.halls, self.cooling_plants, self.feeders, self.outdoor_c, high_c)

    def free_gpus(self, pool_id: str) -> Floats:
        """GPUs of a pool that no firm workload runs on or keeps for itself, shape (T,)."""
        steps = len(self.horizon)
        running = sum((f.demanded(steps) for f in self.firms if f.pool == pool_id and not f.may_pause), np.zeros(steps))
        return np.asarray(next(p.available for p in self.pools if p.id == pool_id)) - running - self.idle_kept(pool_id)

    def idle_kept(self, pool_id: str) -> Floats:
        """GPUs of a pool that stand idle and are kept for a firm workload, shape (T,)."""
        steps = len(self.horizon)
        return sum((f.idle_kept(steps) for f in self.firms if f.pool == pool_id), np.zeros(steps))

    def placed(self, window: Window) -> Problem:
        """The same problem with one of its maintenances in its window."""
        return replace(
            self,
            pools=tuple(maintenance.taken(p, window, self.horizon) for p in self.pools),
            maintenances=tuple(m for m in self.maintenances if m is not window.maintenance),
            windows=(*self.windows, window),
        )

    def leaves_first(self) -> list[Feeder]:
        """The feeders, each before its parent."""
        depth = {root.id: 0 for root in self.roots}
        while len(depth) < len(self.feeders):
            found = {f.id: depth[f.parent] + 1 for f in self.feeders if f.parent in depth and f.id not in depth}
            if not found:
                raise ValueError("the feeder tree has a loop")
            depth |= found
        return sorted(self.feeders, key=lambda f: -depth[f.id])

    @property
    def sources(self) -> tuple[Solar | Genset, ...]:
        """What generates, each with its own id."""
        return (*self.solar, *self.gensets)

    def may_return(self, node: Feeder) -> bool:
        """Whether power may flow back up through `node`.

        From generation below it may, inside the site; from a battery, and through a root, only where the site may export.
        """
        givers = {source.feeder for source in self.sources}
        if self.grid.may_export:
            givers |= {b.feeder for b in self.batteries}
        elif node.parent is None:
            return False
        below = {node.id}
        for feeder_ in reversed(self.leaves_first()):
            if feeder_.parent in below:
                below.add(feeder_.id)
        return not below.isdisjoint(givers)

    def plant_halls(self, plant: CoolingPlant) -> list[Hall]:
        """The halls whose heat `plant` removes."""
        return [h for h in self.halls if h.cooling_plant == plant.id]

    def plant_loops(self, plant: CoolingPlant) -> list[Hall]:
        """The halls whose liquid loop `plant` cools."""
        return [h for h in self.halls if h.liquid_plant == plant.id]

    def heat_shares(self, pool: Pool) -> Floats:
        """Share of the pool's heat that each cooling plant removes, shape (C,)."""
        inside = next(h for h in self.halls if h.id == pool.hall)
        air = np.array([c.id == inside.cooling_plant for c in self.cooling_plants], float)
        liquid = np.array([c.id == inside.liquid_plant for c in self.cooling_plants], float)
        return (1 - pool.liquid_share) * air + pool.liquid_share * liquid


def build(problem: Problem) -> Any:
    """The linear program of `problem` as a Pyomo model."""
    horizon = problem.horizon
    m = pyo.ConcreteModel(name="site")
    m.STEPS = pyo.RangeSet(0, len(horizon) - 1)
    m.h = pyo.Param(m.STEPS, initialize=dict(enumerate(horizon.hours)))
    for room in ("workload", "firm", "budget", "maintenance", "job", "movable", "pause", "grid", "carbon", "position"):
        m.add_component(room, pyo.Block())
    m.demand_charge = pyo.Block([c.id for c in problem.demand_charges])
    m.pool = pyo.Block([p.id for p in problem.pools])
    m.hall = pyo.Block([h.id for h in problem.halls])
    m.liquid_loop = pyo.Block([z.id for z in problem.loops])
    m.thermal_store = pyo.Block(list(problem.thermal_stores))
    m.cooling_plant = pyo.Block([c.id for c in problem.cooling_plants])
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

    workload.add(m.workload, problem.cells, horizon)
    firm.add(m.firm, dict(enumerate(problem.firms)), m.workload)
    budget.add(m.budget, {w: f.budget for w, f in enumerate(problem.firms) if f.budget is not None}, m.workload, m.firm.demand)
    jobs = dict(enumerate(problem.jobs, start=len(problem.firms)))
    job.add(m.job, jobs, m.workload, horizon)
    pause.add(m.pause, jobs, m.workload, m.job)
    movable.add(m.movable, m.workload, m.job)
    maintenance.add(m.maintenance, problem.maintenances, problem.pools, horizon, problem.free_gpus, m.STEPS)
    for p in problem.pools:
        pool.add(m.pool[p.id], p, problem.cells, m.workload, horizon, problem.idle_kept(p.id), _taken(m, p))
    for zone in problem.zones:
        hall.add(m.hall[zone.id], zone, horizon, m.STEPS, _heat_kw(m, problem, zone), problem.outdoor_c)
    for looped in problem.loops:
        liquid_loop.add(m.liquid_loop[looped.id], m.STEPS, _liquid_kw(m, problem, looped))
    for beside, tank in problem.thermal_stores.items():
        thermal_store.add(m.thermal_store[beside], tank, horizon, m.STEPS)
    for plant in problem.cooling_plants:
        removed = [_of(m.hall[h.id].removed_kw) for h in problem.plant_halls(plant)]
        removed += [_of(m.liquid_loop[h.id].removed_kw) for h in problem.plant_loops(plant)]
        removed += [_of(m.thermal_store[plant.id].charge_kw)] if plant.store else []
        most_kw = problem.margins.most_heat_kw[plant.id]
        cooling_plant.add(m.cooling_plant[plant.id], plant, m.STEPS, removed, problem.outdoor_c, most_kw)
    if problem.is_uncertain:
        _add_margins(m, problem)
    _add_electrical(m, problem)
    for charge in problem.demand_charges:
        demand_charge.add(m.demand_charge[charge.id], charge, _of(m.grid.import_kw))
    if problem.carbon:
        carbon.add(m.carbon, problem.carbon, horizon, m.STEPS, _of(m.grid.import_kw))
    position.add(m.position, problem.position, _net_kw(m, problem))
    if problem.reserves:
        _add_reserves(m, problem)

    m.cost = pyo.Objective(
        expr=grid_connection.cost(m.grid, m.h, m.STEPS)
        + sum(demand_charge.cost(m.demand_charge[c.id], c) for c in problem.demand_charges)
        + position.cost(m.position, problem.position, m.h)
        + (carbon.cost(m.carbon, problem.carbon, m.STEPS, _of(m.grid.import_kw)) if problem.carbon else 0.0)
        + job.cost(m.job, m.workload)
        + pause.cost(m.pause)
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


def _add_electrical(m: Any, problem: Problem) -> None:
    """What gives and carries power, from the leaves to the grid."""
    for store in problem.batteries:
        battery.add(m.battery[store.id], store, problem.horizon, m.STEPS, _carried(m, problem, store))
    for plane in problem.solar:
        solar.add(m.solar[plane.id], plane, m.STEPS)
    for engine in problem.gensets:
        genset.add(m.genset[engine.id], engine, problem.horizon, m.STEPS)
    for node in problem.leaves_first():
        uncertain_kw, may_return = _uncertain_kw(m, problem, node.id), problem.may_return(node)
        feeder.add(m.feeder[node.id], node, m.STEPS, *_attached(m, problem, node), uncertain_kw, may_return=may_return)
    for group in problem.redundancies:
        redundancy.add(m.redundancy[group.id], redundancy.left_kw(group, problem.feeders), m.STEPS, *_backed(m, problem, group))
    for inlet in problem.feeds:
        load_kw = _with(m.feeder[inlet.feeder].load_kw, _uncertain_kw(m, problem, inlet.feeder))
        feed.add(m.feed[inlet.id], inlet, m.STEPS, load_kw)
    grid_connection.add(m.grid, problem.grid, problem.horizon, m.STEPS, *_at_grid(m, problem))


def reach_of(problem: Problem) -> Reach:
    """What a kW more in each pool and battery draws through the feeders, and adds to the plants that cool it."""
    feeder_of = {asset.id: asset.feeder for assets in (problem.pools, problem.batteries, problem.cooling_plants) for asset in assets}
    plants = problem.cooling_plants
    return Reach(
        {(f, asset): kw for asset, on in feeder_of.items() for f, kw in feeder.grown(problem.feeders, on).items()},
        {(c.id, p.id): share for p in problem.pools for c, share in zip(plants, problem.heat_shares(p).tolist(), strict=True) if share},
        {c.id: cooling_plant.secants(c.chiller, problem.margins.outdoor_high_c)[0].max(axis=0) for c in plants},
        {c.id: c.feeder for c in plants},
    )


def _add_reserves(m: Any, problem: Problem) -> None:
    """What is sold to the grid's operator, and what holds it."""
    up, down = ([r for r in problem.reserves if r.direction == way] for way in ("up", "down"))
    pools = [p.id for p in problem.pools]
    m.reserve_up, m.reserve_down = pyo.Block(), pyo.Block()
    if up:
        free = [b for b in problem.batteries if not b.ride_through_h]
        reserve_up.add(m.reserve_up, up, problem.cells, problem.horizon, pools, free, m.workload, m.firm, m.battery)
    if down:
        reach = reach_of(problem)
        beyond = {f.id: _uncertain_kw(m, problem, f.id) for f in problem.feeders}
        roots, groups = [root.id for root in problem.roots], problem.redundancies
        reserve_down.add(
            m.reserve_down, down, problem.cells, problem.horizon, pools, problem.batteries, reach, roots, problem.feeds, groups, m, beyond
        )
    for product in problem.reserves:
        holds = m.reserve_up if product.direction == "up" else m.reserve_down
        reserve.add(m.reserve[product.id], product, m.STEPS, _held(holds, product.id))


def _held(holds: Any, product: str) -> Load:
    return lambda t: reserve.held_kw(holds, product, t)


def _taken(m: Any, p: Pool) -> tuple[Gpus, Gpus]:
    return lambda t: maintenance.out(m.maintenance, p.id, t), lambda t: maintenance.dark(m.maintenance, p.id, t)


def _of(variable: Any) -> Load:
    return lambda t: variable[t]


def _with(variable: Any, more: Load) -> Load:
    return lambda t: variable[t] + more(t)


def _uncertain_kw(m: Any, problem: Problem, feeder_id: str) -> Load:
    return _of(m.uncertainty[feeder_id].margin_kw) if problem.is_uncertain else feeder.certain


def _add_margins(m: Any, problem: Problem) -> None:
    """What the pessimistic forecast may bring each feeder beyond its expected load."""
    told = problem.margins

    def heat_kw(plant: str, t: int) -> Any:
        return m.cooling_plant[plant].heat_kw[t]

    for node in problem.leaves_first():
        on = [c for c in problem.cooling_plants if c.feeder == node.id]
        under = [_of(m.uncertainty[child.id].margin_kw) for child in problem.feeders if child.parent == node.id]
        uncertainty.add(m.uncertainty[node.id], node, told, on, m.STEPS, heat_kw, under, problem.outdoor_c)


def _backed(m: Any, problem: Problem, group: Redundancy) -> tuple[list[Load], list[Load]]:
    """Loads of a group's feeders that a loss must leave room for, expected and at worst, kW by step."""
    members = [(m.feeder[f], _uncertain_kw(m, problem, f)) for f in group.feeders]
    return [_with(f.load_kw, kw) for f, kw in members], [_with(f.worst_kw, kw) for f, kw in members]


def _at_grid(m: Any, problem: Problem) -> tuple[Load, Load]:
    """The sum over the roots: of loads, and of what the pessimistic forecast may bring beyond them."""
    loads = [_of(m.feeder[root.id].load_kw) for root in problem.roots]
    beyond = [_uncertain_kw(m, problem, root.id) for root in problem.roots]
    return (lambda t: sum(load(t) for load in loads)), (lambda t: sum(more(t) for more in beyond))


def _net_kw(m: Any, problem: Problem) -> Load:
    """What is drawn from the grid less what is given back, kW by step."""
    return (lambda t: m.grid.import_kw[t] - m.grid.export_kw[t]) if problem.grid.may_export else _of(m.grid.import_kw)


def _given(power_kw: Any) -> Load:
    return lambda t: -power_kw[t]


def _heat_kw(m: Any, problem: Problem, zone: Hall) -> Load:
    air = [(m.pool[p.id].draw_kw, 1 - p.liquid_share) for p in problem.pools if p.hall == zone.id]
    return lambda t: m.base_kw[zone.id, t] + sum(share * draw_kw[t] for draw_kw, share in air)


def _liquid_kw(m: Any, problem: Problem, zone: Hall) -> Load:
    plates = [(m.pool[p.id].draw_kw, p.liquid_share) for p in problem.pools if p.hall == zone.id]
    return lambda t: sum(share * draw_kw[t] for draw_kw, share in plates)


def _carried(m: Any, problem: Problem, store: Battery) -> Load:
    """What `store` is to ride through, kW by step: the worst case of its feeder, losses included, without batteries."""
    grown = {f.id: feeder.grown(problem.feeders, f.id).get(store.carried_feeder, 0.0) for f in problem.feeders}
    loads: list[tuple[float, Load]] = [(grown[z.feeder], lambda t, z=z.id: m.base_kw[z, t]) for z in problem.halls]  # type: ignore[misc]
    loads += [(grown[p.feeder], _of(m.pool[p.id].worst_kw)) for p in problem.pools]
    loads += [(grown[c.feeder], _of(m.cooling_plant[c.id].power_kw)) for c in problem.cooling_plants]
    beyond = _uncertain_kw(m, problem, store.carried_feeder)
    return lambda t: beyond(t) + sum(factor * load(t) for factor, load in loads if factor)


def _attached(m: Any, problem: Problem, node: Feeder) -> tuple[Sequence[Load], Sequence[Load]]:
    """What hangs under a feeder: expected loads and worst cases, kW by step."""
    below: list[Load] = []
    below_worst: list[Load] = []
    inside = [z.id for z in problem.halls if z.feeder == node.id]
    shared: list[Load] = [lambda t: sum(m.base_kw[z, t] for z in inside)]
    shared += [_of(m.cooling_plant[c.id].power_kw) for c in problem.cooling_plants if c.feeder == node.id]
    for p in problem.pools:
        if p.feeder == node.id:
            below.append(_of(m.pool[p.id].draw_kw))
            below_worst.append(_of(m.pool[p.id].worst_kw))
    for store in problem.batteries:
        if store.feeder == node.id:
            charge, discharge = m.battery[store.id].charge_kw, m.battery[store.id].discharge_kw
            below.append(lambda t, c=charge, d=discharge: c[t] - d[t])  # type: ignore[misc]
            below_worst.append(_of(charge))
    below += [_given(m.solar[s.id].power_kw) for s in problem.solar if s.feeder == node.id]
    below += [_given(m.genset[g.id].power_kw) for g in problem.gensets if g.feeder == node.id]
    for child in problem.feeders:
        if child.parent == node.id:
            below.append(_of(m.feeder[child.id].load_kw))
            below_worst.append(_of(m.feeder[child.id].worst_kw))
    return shared + below, shared + below_worst
