"""Present: what the site draws without added GPUs, hour by hour, at full speed or as slow as its contracts let it be.

    draw[p]   = GPUs * idle + sum over rentals of running * (draw at speed + busy host - idle)
    removed[z] = max(0, heat[z] - (recommended maximum - outdoor) / R)          a hall at the upper end of its band, and steady
    heat[c]   = sum of what plant c removes from its halls and loops
    load[f]   = everything attached below, with losses                          expected, and with every GPU at its cap

What flows back up through a feeder is below 0.
A rental that may pause does, but for what its floor asks for. The formulas and figures are those of the rooms in `models`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facility.capacity.place import least
from models.heat.cooling_plant import CoolingPlant, secants
from models.heat.hall import Hall
from models.horizon import Floats
from models.power.feeder import loads_kw
from models.problem import Problem
from models.work.firm import Firm
from models.work.gpu import Host, ladder


@dataclass(frozen=True)
class Level:
    """What a plant draws at one temperature of its supply: slopes and intercepts of its segments, shape (S, T); None: it has no choice."""

    slope: Floats
    intercept_kw: Floats
    supply_c: float | None = None

    def power_kw(self, heat_kw: Floats) -> Floats:
        """Power for heat removed, kW, both shape (T,)."""
        return np.asarray((self.intercept_kw + self.slope * heat_kw).max(axis=0))


@dataclass(frozen=True)
class Present:
    """kW, shape (T,), by id. `surplus_kw` is what heats a hall beyond what leaves it by itself, below 0 where it needs no cooling."""

    worst_pool_kw: Mapping[str, Floats]
    surplus_kw: Mapping[str, Floats]
    heat_kw: Mapping[str, Floats]
    power_kw: Mapping[str, Floats]
    feeder_kw: Mapping[str, Floats]
    worst_kw: Mapping[str, Floats]
    levels: Mapping[str, Sequence[Level]]

    def removed_kw(self, hall: str) -> Floats:
        """Heat that must be removed from a hall."""
        return np.maximum(self.surplus_kw[hall], 0.0)


def present(problem: Problem, *, slowed: bool) -> Present:
    """What stands there draws at full speed, or `slowed` as far as its contracts let it be."""
    steps = len(problem.horizon)
    it_kw, worst_pool_kw = _pools_kw(problem, slowed=slowed)
    air = {z.id: z.base(steps) + _in_hall(problem, z, it_kw, liquid=False) for z in problem.zones}
    surplus = {z.id: air[z.id] - leaves_kw(z, problem.outdoor_c) for z in problem.zones}
    removed = {hall: np.maximum(kw, 0.0) for hall, kw in surplus.items()}
    loops = {z.id: _in_hall(problem, z, it_kw, liquid=True) for z in problem.loops}
    heat = {
        c.id: sum((removed[z.id] for z in problem.plant_halls(c)), np.zeros(steps))
        + sum((loops[z.id] for z in problem.plant_loops(c)), np.zeros(steps))
        for c in problem.cooling_plants
    }
    levels = {c.id: levels_of(c, problem.outdoor_c) for c in problem.cooling_plants}
    power = {c.id: _least_power_kw(problem, c, levels[c.id], heat[c.id], removed) for c in problem.cooling_plants}
    expected, worst = _attached(problem, it_kw, worst_pool_kw, power)
    order = problem.leaves_first()
    return Present(worst_pool_kw, surplus, heat, power, loads_kw(order, expected), loads_kw(order, worst), levels)


def leaves_kw(zone: Hall, outdoor_c: Floats) -> Floats:
    """Heat that leaves a hall by itself at the upper end of its recommended band, kW, shape (T,); below 0 where it enters."""
    return np.asarray((zone.recommended_max_c - outdoor_c) / zone.resistance_k_per_kw)


def levels_of(plant: CoolingPlant, outdoor_c: Floats) -> tuple[Level, ...]:
    """The curves that a plant may have in each step, one for each temperature of its supply."""
    if plant.set_point is None:
        slope, intercept, _ = secants(plant.chiller, outdoor_c)
        return (Level(slope, intercept),)
    both = zip(plant.curves(outdoor_c), plant.set_point.levels_c, strict=True)
    return tuple(Level(slope, intercept, supply_c) for (slope, intercept, _), supply_c in both)


def most_removed_kw(plant: CoolingPlant, zone: Hall, level: Level) -> float:
    """Heat that a supply at `level` can remove from a hall at the upper end of its recommended band, kW."""
    if plant.set_point is None or level.supply_c is None:
        return np.inf
    return (zone.recommended_max_c - level.supply_c) / plant.set_point.approach_k_per_kw


def _least_power_kw(problem: Problem, plant: CoolingPlant, levels: Sequence[Level], heat_kw: Floats, removed: Mapping[str, Floats]) -> Floats:
    """What a plant draws at the level that needs least of those that are cold enough; at the coldest where none is."""
    found = levels[0].power_kw(heat_kw)
    for level in levels[1:]:
        cold = np.ones(len(heat_kw), bool)
        for z in problem.plant_halls(plant):
            cold &= removed[z.id] <= most_removed_kw(plant, z, level)
        found = np.where(cold, np.minimum(found, level.power_kw(heat_kw)), found)
    return found


def _pools_kw(problem: Problem, *, slowed: bool) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Expected draw and worst case of each pool."""
    steps = len(problem.horizon)
    draw, worst = {}, {}
    for p in problem.pools:
        powered = np.asarray(p.powered or p.available, float)
        draw_w, worst_w = powered * p.host.idle_total_w, powered * p.host.lowest_worst_w
        for firm in problem.firms:
            if firm.pool == p.id:
                extra_w, raised_w = _rental_w(firm, p.host, slowed=slowed)
                draw_w, worst_w = draw_w + firm.demanded(steps) * extra_w, worst_w + firm.demanded(steps) * raised_w
        draw[p.id], worst[p.id] = draw_w / 1000, worst_w / 1000
    return draw, worst


def _rental_w(firm: Firm, host: Host, *, slowed: bool) -> tuple[float, float]:
    """What each GPU of a rental draws over idling, and is capped over the lowest cap, W: means over its GPUs."""
    points = ladder(firm.curve, host, may_pause=firm.may_pause)
    extra = [host.extra_w(draw) for draw in points.draw_w]
    raised = [max(cap - host.min_cap_w, 0.0) for cap in points.cap_w]
    speeds = list(points.speed)
    if firm.may_pause:
        extra, raised, speeds = [0.0, *extra], [0.0, *raised], [0.0, *speeds]
    speed = firm.floor_speed if slowed else 1.0
    return float(least(extra, speeds, speed)), float(least(raised, speeds, speed))


def _in_hall(problem: Problem, zone: Hall, it_kw: Mapping[str, Floats], *, liquid: bool) -> Floats:
    """What the pools of a hall give to its liquid loop, or to its air."""
    parts = ((p.liquid_share if liquid else 1 - p.liquid_share) * it_kw[p.id] for p in problem.pools if p.hall == zone.id)
    return sum(parts, np.zeros(len(problem.horizon)))


def _attached(
    problem: Problem, it_kw: Mapping[str, Floats], worst_pool_kw: Mapping[str, Floats], power_kw: Mapping[str, Floats]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """What hangs directly under each feeder, expected and at worst."""
    steps = len(problem.horizon)
    expected = {f.id: np.zeros(steps) for f in problem.feeders}
    for z in problem.halls:
        expected[z.feeder] = expected[z.feeder] + z.base(steps)
    for c in problem.cooling_plants:
        expected[c.feeder] = expected[c.feeder] + power_kw[c.id]
    worst = dict(expected)
    for p in problem.pools:
        expected[p.feeder] = expected[p.feeder] + it_kw[p.id]
        worst[p.feeder] = worst[p.feeder] + worst_pool_kw[p.id]
    for s in problem.solar:
        expected[s.feeder] = expected[s.feeder] - np.asarray(s.available_kw)
    return expected, worst
