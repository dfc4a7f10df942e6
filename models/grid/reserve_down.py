"""Reserve down: what the site can draw more when it is called, and for how long.

    sum_r pool_kw[r,p,t] <= what its running rentals draw at their highest rung, over what they draw           pools_can_rise
    sum_r battery_kw[r,b,t] <= most charge - charge[t] + discharge[t]                                          batteries_can_take
    sum_r duration[r] / efficiency * battery_kw[r,b,t] <= capacity - stored[t']  for t' while a call from t lasts   takes_as_long
    efficiency * (sum_r duration[r] * battery_kw[r,b,t] - shortest duration * discharge[t])
                                                       <= capacity - stored[t-1]   (t = 0: stored now)      takes_later, takes_now
    load[f,t] + called[f,t] <= rating[f] + over_rating[f,t]                                                    feeder_takes
    worst[f,t] + called_worst[f,t] <= rating[f] * margin[f] + over_worst[f,t]                                  feeder_takes_worst
    the same, summed over a group of feeders that back each other, on what the loss of one leaves              group_takes
                                                                                                               group_takes_worst
    load[root,t] + called[root,t] <= limit[feed] + over_feed[feed,t]            the root of each feed           feed_takes
    import[t] + called[root,t] <= limit[t] + over_limit[t]                      summed over the roots           grid_takes
    import[t] + called[root,t] <= target[t] + over_event[t]                                                    event_takes
    heat[c,t] + sum_r pool_kw of its halls <= most heat[c,t]                                                   plant_takes

    called[f,t] = sum over r of grown[f,p] * pool_kw + cooling[f,p,t] * pool_kw + grown[f,b] * battery_kw, and `uncertainty.margin`

What a battery does not give it keeps whole, hence the division. A call makes caps rise, so that what it takes through a feeder
counts in the worst case too, and heats halls, so that cooling follows. Jobs do not count: they could finish under the call.
Energy of a call is bought at the price of its hour, like all energy.

| symbol  | name                                                          | unit  |
|---------|---------------------------------------------------------------|-------|
| grown   | a kW of an asset on a feeder above it, losses included        | kW/kW |
| cooling | most power that a plant adds on a feeder for a kW in a pool   | kW/kW |
| dearest | most cap raised per draw raised, on a pool's rentals          | kW/kW |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.grid.reserve import Held, Reserve, during, shared
from models.horizon import Floats, Horizon
from models.power.battery import Battery
from models.power.feed import Feed
from models.power.redundancy import Redundancy
from models.schedule import Groups
from models.work.firm import Firm
from models.work.workload import Cells


@dataclass(frozen=True)
class Reach:
    """What a kW more in an asset draws elsewhere. `grown` by (feeder, asset), kW/kW; `heated` by (plant, pool): the share of it that
    the plant cools; `cooling_kw_per_kw` by plant, shape (T,), the most that a kW of heat adds; `plant_feeder` by plant.
    """

    grown: Mapping[tuple[str, str], float]
    heated: Mapping[tuple[str, str], float]
    cooling_kw_per_kw: Mapping[str, Floats]
    plant_feeder: Mapping[str, str]

    def through(self, feeder: str, pool: str, steps: int) -> Floats:
        """What a kW more in `pool` takes through `feeder`, its cooling included, kW/kW, shape (T,)."""
        total = np.full(steps, self.grown.get((feeder, pool), 0.0))
        for (plant, heated), share in self.heated.items():
            if heated == pool:
                total = total + share * self.grown.get((feeder, plant), 0.0) * self.cooling_kw_per_kw[plant]
        return total


def raisable(index: Cells) -> dict[str, list[tuple[int, int]]]:
    """The (w, t) of rentals that an operator's cap does not hold, by pool."""
    found: dict[str, list[tuple[int, int]]] = {}
    for w, load in enumerate(index.workloads):
        if isinstance(load, Firm):
            found.setdefault(load.pool, []).extend(
                (w, t) for t in np.flatnonzero(index.share[w]).tolist() if len(index.ladder(w, t)) > 1
            )
    return found


def dearest_cap(index: Cells, cells: Sequence[tuple[int, int]]) -> float:
    """Most cap that goes with a kW of draw on any rung that `cells` can be raised to, kW/kW."""
    ladders = {int(index.ladder_of[w, t]): index.ladder(w, t) for w, t in cells}.values()
    return max((float((rungs.cap_step_w[1:] / rungs.draw_step_w[1:]).max()) for rungs in ladders), default=0.0)


def add(
    block: Any,
    reserves: Sequence[Reserve],
    index: Cells,
    horizon: Horizon,
    pools: Sequence[str],
    batteries: Sequence[Battery],
    reach: Reach,
    roots: Sequence[str],
    feeds: Sequence[Feed],
    groups: Sequence[Redundancy],
    on: Any,
    *,
    is_uncertain: bool,
) -> None:
    """Declare what holds `reserves` on `block`. `on` is the model, for the blocks that a call must not overload.

    `is_uncertain`: a pessimistic forecast may bring each feeder its margin beyond its expected load.
    """
    rentals, longest_h = raisable(index), max(r.duration_h for r in reserves)
    block.RESERVES = pyo.Set(initialize=[r.id for r in reserves])
    block.POOLS = pyo.Set(initialize=list(pools))
    block.BATTERIES = pyo.Set(initialize=[b.id for b in batteries])
    block.FEEDERS = pyo.Set(initialize=list(on.feeder.keys()))
    block.GROUPS = pyo.Set(initialize=[g.id for g in groups])
    block.member = pyo.Param(block.GROUPS, block.FEEDERS, initialize={(g.id, f): int(f in g.feeders) for g in groups for f in block.FEEDERS})
    block.FEEDS = pyo.Set(initialize=[f.id for f in feeds])
    block.root = pyo.Param(block.FEEDS, block.FEEDERS, initialize={(i.id, f): int(f == i.feeder) for i in feeds for f in block.FEEDERS})
    block.PLANTS = pyo.Set(initialize=list(on.cooling_plant.keys()))
    block.STEPS = pyo.RangeSet(0, len(horizon) - 1)
    here = {(p, t): [w for w, u in rentals.get(p, []) if u == t] for p in pools for t in range(len(horizon))}
    block.RENTALS = pyo.Set(block.POOLS, block.STEPS, initialize=here)
    block.LASTS = pyo.Set(dimen=2, initialize=during(horizon, longest_h))
    block.duration_h = pyo.Param(block.RESERVES, initialize={r.id: r.duration_h for r in reserves})
    block.shortest_h = pyo.Param(initialize=min(r.duration_h for r in reserves))
    block.NOW, block.LATER = pyo.Set(initialize=[0]), pyo.RangeSet(1, len(horizon) - 1)
    for name in ("charge_kw", "efficiency", "start_kwh", "capacity_kwh"):
        figures = {b.id: getattr(b, name) for b in batteries}
        setattr(block, f"battery_{name}", pyo.Param(block.BATTERIES, initialize=figures))
    _declare_reach(block, reach, {p: max(dearest_cap(index, rentals.get(p, [])), 1.0) - 1 for p in pools})
    block.pool_kw = pyo.Var(block.RESERVES, block.POOLS, block.STEPS, bounds=(0, None), dense=False)
    block.battery_kw = pyo.Var(block.RESERVES, block.BATTERIES, block.STEPS, bounds=(0, None), dense=False)
    gpus, workloads = on.workload.gpus, on.workload

    def called_kw(b: Any, f: str, t: int) -> Any:
        beyond_kw = on.uncertainty[f].margin_kw[t] if is_uncertain else 0.0
        pools_kw = sum(b.pool_through[f, p, t] * b.pool_kw[r, p, t] for r in b.RESERVES for p in b.POOLS)
        return beyond_kw + pools_kw + sum(b.battery_through[f, s] * b.battery_kw[r, s, t] for r in b.RESERVES for s in b.BATTERIES)

    def called_worst_kw(b: Any, f: str, t: int) -> Any:
        return called_kw(b, f, t) + sum(b.pool_worst_more[f, p] * b.pool_kw[r, p, t] for r in b.RESERVES for p in b.POOLS)

    @block.Constraint(block.POOLS, block.STEPS)
    def pools_can_rise(b: Any, p: str, t: int) -> Any:
        return sum(b.pool_kw[r, p, t] for r in b.RESERVES) <= sum(
            workloads.draw_step_w[workloads.ladder[w, t], k] / 1000 * (gpus[w, 0, t] - gpus[w, k, t])
            for w in b.RENTALS[p, t]
            for k in workloads.RUNG
        )

    @block.Constraint(block.BATTERIES, block.STEPS)
    def batteries_can_take(b: Any, s: str, t: int) -> Any:
        spare_kw = b.battery_charge_kw[s] - on.battery[s].charge_kw[t] + on.battery[s].discharge_kw[t]
        return sum(b.battery_kw[r, s, t] for r in b.RESERVES) <= spare_kw

    def taken_kwh(b: Any, s: str, t: int) -> Any:
        called_kwh = sum(b.duration_h[r] * b.battery_kw[r, s, t] for r in b.RESERVES)
        return b.battery_efficiency[s] * (called_kwh - b.shortest_h * on.battery[s].discharge_kw[t])

    @block.Constraint(block.BATTERIES, block.NOW)
    def takes_now(b: Any, s: str, t: int) -> Any:
        return taken_kwh(b, s, t) <= b.battery_capacity_kwh[s] - b.battery_start_kwh[s]

    @block.Constraint(block.BATTERIES, block.LATER)
    def takes_later(b: Any, s: str, t: int) -> Any:
        return taken_kwh(b, s, t) <= b.battery_capacity_kwh[s] - on.battery[s].stored_kwh[t - 1]

    @block.Constraint(block.BATTERIES, block.LASTS)
    def takes_as_long(b: Any, s: str, t: int, u: int) -> Any:
        kept_kwh = sum(b.duration_h[r] / b.battery_efficiency[s] * b.battery_kw[r, s, t] for r in b.RESERVES)
        return kept_kwh <= b.battery_capacity_kwh[s] - on.battery[s].stored_kwh[u]

    @block.Constraint(block.FEEDERS, block.STEPS)
    def feeder_takes(b: Any, f: str, t: int) -> Any:
        return on.feeder[f].load_kw[t] + called_kw(b, f, t) <= on.feeder[f].rating_kw + on.feeder[f].over_rating_kw[t]

    @block.Constraint(block.FEEDERS, block.STEPS)
    def feeder_takes_worst(b: Any, f: str, t: int) -> Any:
        called = called_worst_kw(b, f, t)
        return on.feeder[f].worst_kw[t] + called <= on.feeder[f].worst_rating_kw + on.feeder[f].over_worst_kw[t]

    @block.Constraint(block.GROUPS, block.STEPS)
    def group_takes(b: Any, g: str, t: int) -> Any:
        load_kw = sum(b.member[g, f] * (on.feeder[f].load_kw[t] + called_kw(b, f, t)) for f in b.FEEDERS)
        return load_kw <= on.redundancy[g].left_kw + on.redundancy[g].over_n1_kw[t]

    @block.Constraint(block.GROUPS, block.STEPS)
    def group_takes_worst(b: Any, g: str, t: int) -> Any:
        worst_kw = sum(b.member[g, f] * (on.feeder[f].worst_kw[t] + called_worst_kw(b, f, t)) for f in b.FEEDERS)
        return worst_kw <= on.redundancy[g].left_worst_kw + on.redundancy[g].over_worst_n1_kw[t]

    @block.Constraint(block.FEEDS, block.STEPS)
    def feed_takes(b: Any, i: str, t: int) -> Any:
        drawn_kw = sum(b.root[i, f] * (on.feeder[f].load_kw[t] + called_kw(b, f, t)) for f in b.FEEDERS)
        return drawn_kw <= on.feed[i].limit_kw + on.feed[i].over_feed_kw[t]

    @block.Constraint(block.STEPS)
    def grid_takes(b: Any, t: int) -> Any:
        return on.grid.import_kw[t] + sum(called_kw(b, root, t) for root in roots) <= on.grid.limit_kw[t] + on.grid.over_limit_kw[t]

    @block.Constraint(on.grid.CALLED)
    def event_takes(b: Any, t: int) -> Any:
        return on.grid.import_kw[t] + sum(called_kw(b, root, t) for root in roots) <= on.grid.target_kw[t] + on.grid.over_event_kw[t]

    @block.Constraint(block.PLANTS, block.STEPS)
    def plant_takes(b: Any, c: str, t: int) -> Any:
        heat_kw = sum(b.heated[c, p] * b.pool_kw[r, p, t] for r in b.RESERVES for p in b.POOLS)
        return on.cooling_plant[c].heat_kw[t] + heat_kw <= on.cooling_plant[c].most_heat_kw[t]


def _declare_reach(block: Any, reach: Reach, cap_more: Mapping[str, float]) -> None:
    """What a kW called in each asset takes elsewhere; `cap_more` is by pool what caps rise beyond draw, kW/kW."""
    through = {(f, p): reach.through(f, p, len(block.STEPS)) for f in block.FEEDERS for p in block.POOLS}
    block.pool_through = pyo.Param(
        block.FEEDERS,
        block.POOLS,
        block.STEPS,
        initialize={(f, p, t): float(kw[t]) for (f, p), kw in through.items() for t in block.STEPS},
    )
    worst = {(f, p): reach.grown.get((f, p), 0.0) * more for f in block.FEEDERS for p, more in cap_more.items()}
    block.pool_worst_more = pyo.Param(block.FEEDERS, block.POOLS, initialize=worst)
    block.battery_through = pyo.Param(
        block.FEEDERS,
        block.BATTERIES,
        initialize={(f, s): reach.grown.get((f, s), 0.0) for f in block.FEEDERS for s in block.BATTERIES},
    )
    block.heated = pyo.Param(
        block.PLANTS, block.POOLS, initialize={(c, p): reach.heated.get((c, p), 0.0) for c in block.PLANTS for p in block.POOLS}
    )


def there(
    held: Held,
    reserves: Sequence[Reserve],
    index: Cells,
    horizon: Horizon,
    batteries: Sequence[Battery],
    groups: Groups,
    battery_kw: Floats,
) -> dict[tuple[str, str], Floats]:
    """What of `held` can be drawn more where `groups` run and `batteries` work at `battery_kw`, shape (B, T): kW, each shape (T,).

    Where products share more than there is, each gets its part in proportion.
    """
    found = dict(held)
    ones, longest_h = np.ones(len(reserves)), max((r.duration_h for r in reserves), default=0.0)
    spare: dict[str, Floats] = {load.pool: np.zeros(len(horizon)) for load in index.workloads}
    can_rise = {cell for cells in raisable(index).values() for cell in cells}
    for w, t, gpus, draw_w in zip(
        groups.w.tolist(), groups.t.tolist(), groups.gpus.tolist(), groups.draw_w.tolist(), strict=True
    ):
        if (w, t) in can_rise:
            spare[index.workloads[w].pool][t] += max(0.0, gpus * (index.ladder(w, t).draw_w[-1] - draw_w) / 1000)
    for pool_id, spare_kw in spare.items():
        shared(found, reserves, pool_id, spare_kw, ones)
    for store, power_kw in zip(batteries, battery_kw, strict=True):
        stored = store.stored_kwh(power_kw, horizon.h)
        most = stored.copy()
        for t, u in during(horizon, longest_h):
            most[t] = max(most[t], stored[u])
        shared(found, reserves, store.id, np.maximum(store.charge_kw - power_kw, 0.0), ones)
        hours = np.array([r.duration_h for r in reserves])
        shared(found, reserves, store.id, np.maximum(store.capacity_kwh - most, 0.0), hours / store.efficiency)
        before_kwh = np.r_[store.start_kwh, stored[:-1]] - store.efficiency * min(hours, default=0.0) * np.maximum(-power_kw, 0.0)
        shared(found, reserves, store.id, np.maximum(store.capacity_kwh - before_kwh, 0.0), hours * store.efficiency)
    return found


@dataclass(frozen=True)
class Called:
    """What calls to draw more take, by feeder expected and in the worst case, and the heat they bring, by plant; kW, shape (T,)."""

    through_kw: dict[str, Floats]
    worst_kw: dict[str, Floats]
    heat_kw: dict[str, Floats]


def called(held: Held, reserves: Sequence[Reserve], index: Cells, reach: Reach, steps: int) -> Called:
    """What takes place where all of `reserves` are called at once for what is `held`."""
    ids, rentals = {r.id for r in reserves}, raisable(index)
    mine = [(asset, kw) for (product, asset), kw in held.items() if product in ids]
    none = np.zeros(steps)

    def worst(feeder: str, asset: str) -> Floats:
        more = max(dearest_cap(index, rentals.get(asset, [])), 1.0) - 1
        return reach.through(feeder, asset, steps) + more * reach.grown.get((feeder, asset), 0.0)

    feeders = {f for f, _ in reach.grown}
    return Called(
        {f: sum((reach.through(f, asset, steps) * kw for asset, kw in mine), none) for f in feeders},
        {f: sum((worst(f, asset) * kw for asset, kw in mine), none) for f in feeders},
        {c: sum((reach.heated.get((c, asset), 0.0) * kw for asset, kw in mine), none) for c in reach.plant_feeder},
    )
