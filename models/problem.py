"""Problem: everything a plan is made from, and what follows from it alone.

Workloads are the firm ones first, then jobs; assets keep the order in which they are given, here and in every array by asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from models.grid import uncertainty
from models.grid.carbon import Carbon
from models.grid.demand_charge import DemandCharge
from models.grid.grid_connection import GridConnection
from models.grid.position import Position
from models.grid.reserve import Reserve
from models.grid.uncertainty import Margins
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.heat.set_point import SetPoint
from models.heat.thermal_store import ThermalStore
from models.horizon import Floats, Horizon
from models.power.battery import Battery
from models.power.feed import Feed
from models.power.feeder import Feeder
from models.power.genset import Genset
from models.power.redundancy import Redundancy
from models.power.solar import Solar
from models.solving.stability import Last
from models.work import maintenance
from models.work.firm import Firm
from models.work.job import Job
from models.work.maintenance import Maintenance, Window
from models.work.pool import Pool
from models.work.workload import Cells, Workload, cells


@dataclass(frozen=True)
class Problem:
    """Everything a plan is made from. `outdoor_c` has shape (T,), degC.

    `outdoor_high_c` is the pessimistic forecast of it, None where none is told (see `models.grid.uncertainty`).
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
    last: Last = field(default_factory=Last)
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

    @cached_property
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
    def open_set_points(self) -> dict[str, SetPoint]:
        """The set-points that have no level for each step yet, by plant."""
        return {c.id: c.set_point for c in self.cooling_plants if c.set_point is not None and c.is_open}

    @property
    def supplied_halls(self) -> tuple[Hall, ...]:
        """The halls whose plant has a set-point, chosen or not."""
        plants = {c.id for c in self.cooling_plants if c.set_point is not None}
        return tuple(h for h in self.halls if h.cooling_plant in plants)

    @property
    def supply_c(self) -> dict[str, Floats]:
        """The supply temperatures that are chosen, degC, shape (T,), by plant."""
        return {c.id: np.asarray(c.set_point.supply_c) for c in self.cooling_plants if c.set_point is not None and not c.is_open}

    @property
    def usual_supply_c(self) -> dict[str, Floats]:
        """The usual supply temperatures of the plants that have a choice, degC, shape (T,), by plant."""
        steps = len(self.horizon)
        return {c.id: np.full(steps, c.set_point.usual_c) for c in self.cooling_plants if c.set_point is not None}

    def supplied(self, supply_c: Mapping[str, Floats]) -> Problem:
        """The same problem with plants at `supply_c`, degC, shape (T,), by plant."""
        chosen = self.supply_c
        if all(plant in chosen and np.array_equal(chosen[plant], c) for plant, c in supply_c.items()):
            return self
        plants = (c.at(tuple(supply_c[c.id].tolist())) if c.id in supply_c else c for c in self.cooling_plants)
        return replace(self, cooling_plants=tuple(plants))

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

    def burnt_kg(self, given_kw: Mapping[str, Floats]) -> Floats:
        """CO2 of the fuel of its gensets that give `given_kw`, by id, kg in each step, shape (T,)."""
        return sum((g.burnt_kg(self.horizon, given_kw[g.id]) for g in self.gensets), np.zeros(len(self.horizon)))

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
