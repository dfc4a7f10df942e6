"""Wiring: what one room publishes, as another takes it - loads and heats by step, gathered along the site's own ties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.grid import reserve
from models.grid.reserve_down import Reach
from models.heat import cooling_plant
from models.heat.hall import Hall
from models.horizon import Floats
from models.power import feeder, genset
from models.power.battery import Battery
from models.power.feeder import Feeder, Load
from models.power.redundancy import Redundancy
from models.problem import Problem
from models.work import maintenance
from models.work.pool import Gpus, Pool


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


def held(holds: Any, product: str) -> Load:
    """What the assets of one direction hold for a product, kW by step."""
    return lambda t: reserve.held_kw(holds, product, t)


def taken(m: Any, p: Pool) -> tuple[Gpus, Gpus]:
    """GPUs of a pool that maintenance takes out, and those of them that draw nothing, by step."""
    return lambda t: maintenance.out(m.maintenance, p.id, t), lambda t: maintenance.dark(m.maintenance, p.id, t)


def of(variable: Any) -> Load:
    """What a variable is, by step."""
    return lambda t: variable[t]


def burnt_kg(m: Any, problem: Problem) -> Load:
    """CO2 of the gensets' fuel, kg by step."""
    burning = [g for g in problem.gensets if g.carbon_g_per_kwh]
    return (lambda t: sum(genset.burnt_kg(m.genset[g.id], g, t) for g in burning)) if burning else feeder.certain


def plus(variable: Any, more: Load) -> Load:
    """A variable and something more, by step."""
    return lambda t: variable[t] + more(t)


def uncertain_kw(m: Any, problem: Problem, feeder_id: str) -> Load:
    """What the pessimistic forecast may bring a feeder beyond its expected load, kW by step."""
    return of(m.uncertainty[feeder_id].margin_kw) if problem.is_uncertain else feeder.certain


def backed(m: Any, problem: Problem, group: Redundancy) -> tuple[list[Load], list[Load], list[Load]]:
    """Loads of a group's feeders that a loss must leave room for, expected, at worst, and where power may flow back, kW by step."""
    members = [(m.feeder[f], uncertain_kw(m, problem, f)) for f in group.feeders]
    returns = any(problem.may_return(f) for f in problem.feeders if f.id in group.feeders)
    back = [of(m.feeder[f].load_kw) for f in group.feeders] if returns else []
    return [plus(f.load_kw, kw) for f, kw in members], [plus(f.worst_kw, kw) for f, kw in members], back


def at_grid(m: Any, problem: Problem) -> tuple[Load, Load]:
    """The sum over the roots: of loads, and of what the pessimistic forecast may bring beyond them."""
    loads = [of(m.feeder[root.id].load_kw) for root in problem.roots]
    beyond = [uncertain_kw(m, problem, root.id) for root in problem.roots]
    return (lambda t: sum(load(t) for load in loads)), (lambda t: sum(more(t) for more in beyond))


def net_kw(m: Any, problem: Problem) -> Load:
    """What is drawn from the grid less what is given back, kW by step."""
    return (lambda t: m.grid.import_kw[t] - m.grid.export_kw[t]) if problem.grid.may_export else of(m.grid.import_kw)


def given(power_kw: Any) -> Load:
    """What a source gives, as a load, kW by step."""
    return lambda t: -power_kw[t]


def heat_kw(m: Any, problem: Problem, zone: Hall) -> Load:
    """What heats the air of a hall, kW by step."""
    air = [(m.pool[p.id].draw_kw, 1 - p.liquid_share) for p in problem.pools if p.hall == zone.id]
    return lambda t: m.base_kw[zone.id, t] + sum(share * draw_kw[t] for draw_kw, share in air)


def least_heat_kw(problem: Problem, zone: Hall) -> Floats:
    """What heats the air of a hall whatever is planned, kW, shape (T,): base load, idle GPUs, what firm workloads draw at least."""
    steps, index = len(problem.horizon), problem.cells
    heat_kw = zone.base(steps).copy()
    for p in problem.pools:
        if p.hall == zone.id:
            gone = sum(m.gpus for m in problem.maintenances if m.pool == p.id)
            least_w = np.maximum(np.asarray(p.powered or p.available) - gone, 0.0) * p.host.idle_total_w
            for w, firm in enumerate(problem.firms):
                if firm.pool == p.id and not firm.pausable:
                    least_w = least_w + firm.gpus * index.share[w] * index.draw_steps_w[index.ladder_of[w], 0]
            heat_kw += (1 - p.liquid_share) * least_w / 1000
    return heat_kw


def liquid_kw(m: Any, problem: Problem, zone: Hall) -> Load:
    """What heats the liquid loop of a hall, kW by step."""
    plates = [(m.pool[p.id].draw_kw, p.liquid_share) for p in problem.pools if p.hall == zone.id]
    return lambda t: sum(share * draw_kw[t] for draw_kw, share in plates)


def carried(m: Any, problem: Problem, store: Battery) -> Load:
    """What `store` is to ride through, kW by step: the worst case of its feeder, losses included, without batteries."""
    grown = {f.id: feeder.grown(problem.feeders, f.id).get(store.carried_feeder, 0.0) for f in problem.feeders}
    loads: list[tuple[float, Load]] = [(grown[z.feeder], lambda t, z=z.id: m.base_kw[z, t]) for z in problem.halls]  # type: ignore[misc]
    loads += [(grown[p.feeder], of(m.pool[p.id].worst_kw)) for p in problem.pools]
    loads += [(grown[c.feeder], of(m.cooling_plant[c.id].power_kw)) for c in problem.cooling_plants]
    beyond = uncertain_kw(m, problem, store.carried_feeder)
    return lambda t: beyond(t) + sum(factor * load(t) for factor, load in loads if factor)


def attached(m: Any, problem: Problem, node: Feeder) -> tuple[Sequence[Load], Sequence[Load]]:
    """What hangs under a feeder: expected loads and worst cases, kW by step."""
    below: list[Load] = []
    below_worst: list[Load] = []
    inside = [z.id for z in problem.halls if z.feeder == node.id]
    shared: list[Load] = [lambda t: sum(m.base_kw[z, t] for z in inside)]
    shared += [of(m.cooling_plant[c.id].power_kw) for c in problem.cooling_plants if c.feeder == node.id]
    for p in problem.pools:
        if p.feeder == node.id:
            below.append(of(m.pool[p.id].draw_kw))
            below_worst.append(of(m.pool[p.id].worst_kw))
    for store in problem.batteries:
        if store.feeder == node.id:
            charge, discharge = m.battery[store.id].charge_kw, m.battery[store.id].discharge_kw
            below.append(lambda t, c=charge, d=discharge: c[t] - d[t])  # type: ignore[misc]
            below_worst.append(of(charge))
    below += [given(m.solar[s.id].power_kw) for s in problem.solar if s.feeder == node.id]
    below += [given(m.genset[g.id].power_kw) for g in problem.gensets if g.feeder == node.id]
    for child in problem.feeders:
        if child.parent == node.id:
            below.append(of(m.feeder[child.id].load_kw))
            below_worst.append(of(m.feeder[child.id].worst_kw))
    return shared + below, shared + below_worst
