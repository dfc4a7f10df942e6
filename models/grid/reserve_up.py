"""Reserve up: what the site can stop drawing when it is called, and for how long.

    kept[w,k,t]  GPUs of a rental that stay at rung k or higher through a call
    kept[w,k,t] <= gpus[w,k,t]                                                                                 falls
    kept[w,k,t] <= kept[w,k-1,t]                                                                               keeps_a_ladder
    kept[w,0,t] = gpus[w,0,t]                             (where it may not pause)                             stays_on
    h[t] * sum_k speed_step[w,k] * kept[w,k,t] + short[w,t] >= floor[w] * demand[w,t] * h[t]                   still_serves
    sum_r pool_kw[r,p,t] <= sum_w,k draw_step[w,k] * (gpus[w,k,t] - kept[w,k,t])
                            + draw[w,t] of its jobs that have time                                             pools_can_drop
    sum_r battery_kw[r,b,t] <= most discharge - discharge[t] + charge[t]                                       batteries_can_give
    sum_r duration[r] / efficiency * battery_kw[r,b,t] <= stored[t'] - min   for t' while a call from t lasts  gives_as_long
    sum_r duration[r] / efficiency * battery_kw[r,b,t] - shortest duration / efficiency * charge[t]
                                                                   <= stored[t-1] - min   (t = 0: stored now)  gives_later, gives_now

A rental falls to its floor and no further. A job has time where all its work still fits between the end of the longest call and
its deadline. What an operator commands stays. What falls away in cooling and losses with the load is not counted: it comes on top.

| symbol      | name                                       | unit   |
|-------------|--------------------------------------------|--------|
| pool_kw     | held by a pool for a product               | kW     |
| battery_kw  | held by a battery for a product            | kW     |
| duration    | longest call of a product                  | h      |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.grid.reserve import Held, Reserve, during, shared
from models.horizon import Floats, Horizon
from models.power.battery import Battery
from models.schedule import Groups
from models.work import workload
from models.work.firm import Firm
from models.work.gpu import Ladder, upper_hull
from models.work.job import Job
from models.work.workload import Cells, Workload


@dataclass(frozen=True)
class Droppable:
    """Which work of which pool can be dropped when: (w, t) of rentals and of jobs, by pool."""

    firms: dict[str, list[tuple[int, int]]]
    jobs: dict[str, list[tuple[int, int]]]


def droppable(index: Cells, horizon: Horizon, longest_h: float) -> Droppable:
    """What a call of at most `longest_h` may drop."""
    firms: dict[str, list[tuple[int, int]]] = {}
    jobs: dict[str, list[tuple[int, int]]] = {}
    for w, load in enumerate(index.workloads):
        for t in np.flatnonzero(index.share[w]).tolist():
            if isinstance(load, Firm) and not _is_commanded(load, t):
                firms.setdefault(load.pool, []).append((w, t))
            if isinstance(load, Job) and not _is_commanded(load, t):
                left_h = load.deadline_h - horizon.ends[t] - longest_h
                if load.work_gpu_h <= left_h * load.gpus * index.ladder(w, t).speed[-1]:
                    jobs.setdefault(load.pool, []).append((w, t))
    return Droppable(firms, jobs)


def _is_commanded(load: Workload, t: int) -> bool:
    return bool(load.cap_w and load.cap_w[t] is not None) or bool(load.order and load.order[t] is not None)


def add(
    block: Any,
    reserves: Sequence[Reserve],
    index: Cells,
    horizon: Horizon,
    pools: Sequence[str],
    batteries: Sequence[Battery],
    workloads: Any,
    firms: Any,
    battery_blocks: Any,
) -> None:
    """Declare what holds `reserves` on `block`, beside the blocks of workloads, rentals and batteries.

    `batteries` are those that a call may empty: none that must ride through a loss of its supply.
    """
    longest_h = max(r.duration_h for r in reserves)
    can_drop = droppable(index, horizon, longest_h)
    rentals = [cell for cells in can_drop.firms.values() for cell in cells]
    block.RESERVES = pyo.Set(initialize=[r.id for r in reserves])
    block.POOLS = pyo.Set(initialize=list(pools))
    block.BATTERIES = pyo.Set(initialize=[b.id for b in batteries])
    block.STEPS = pyo.RangeSet(0, len(horizon) - 1)
    block.RENTALS = pyo.Set(dimen=2, initialize=rentals)
    block.PROMISED = pyo.Set(dimen=2, initialize=[(w, t) for w, t in rentals if w in firms.PROMISED])
    block.MUST_RUN = pyo.Set(dimen=2, initialize=[(w, t) for w, t in rentals if w in firms.MUST_RUN])
    rungs = {(w, t): range(len(index.ladder(w, t))) for w, t in rentals}
    block.RUNGS = pyo.Set(dimen=3, initialize=[(w, k, t) for (w, t), ladder in rungs.items() for k in ladder])
    block.HIGHER = pyo.Set(dimen=3, initialize=[(w, k, t) for (w, t), ladder in rungs.items() for k in ladder[1:]])
    block.LADDER = pyo.Set(block.RENTALS, initialize=rungs)
    here = _by_step(pools, len(horizon), can_drop.firms)
    pairs = {(p, t): [(w, k) for w in mine for k in rungs[w, t]] for (p, t), mine in here.items()}
    block.POOL_RUNGS = pyo.Set(block.POOLS, block.STEPS, dimen=2, initialize=pairs)
    block.POOL_JOBS = pyo.Set(block.POOLS, block.STEPS, initialize=_by_step(pools, len(horizon), can_drop.jobs))
    block.LASTS = pyo.Set(dimen=2, initialize=during(horizon, longest_h))
    block.duration_h = pyo.Param(block.RESERVES, initialize={r.id: r.duration_h for r in reserves})
    block.shortest_h = pyo.Param(initialize=min(r.duration_h for r in reserves))
    block.NOW, block.LATER = pyo.Set(initialize=[0]), pyo.RangeSet(1, len(horizon) - 1)
    for name in ("discharge_kw", "efficiency", "start_kwh", "least_kwh"):
        figures = {b.id: getattr(b, name) for b in batteries}
        setattr(block, f"battery_{name}", pyo.Param(block.BATTERIES, initialize=figures))

    block.pool_kw = pyo.Var(block.RESERVES, block.POOLS, block.STEPS, bounds=(0, None), dense=False)
    block.battery_kw = pyo.Var(block.RESERVES, block.BATTERIES, block.STEPS, bounds=(0, None), dense=False)
    block.kept = pyo.Var(block.RUNGS, bounds=(0, None), dense=False)

    @block.Constraint(block.RUNGS)
    def falls(b: Any, w: int, k: int, t: int) -> Any:
        return b.kept[w, k, t] <= workloads.gpus[w, k, t]

    @block.Constraint(block.HIGHER)
    def keeps_a_ladder(b: Any, w: int, k: int, t: int) -> Any:
        return b.kept[w, k, t] <= b.kept[w, k - 1, t]

    @block.Constraint(block.MUST_RUN)
    def stays_on(b: Any, w: int, t: int) -> Any:
        return b.kept[w, 0, t] == workloads.gpus[w, 0, t]

    @block.Constraint(block.PROMISED)
    def still_serves(b: Any, w: int, t: int) -> Any:
        speed = sum(workloads.speed_step[workloads.ladder[w, t], k] * b.kept[w, k, t] for k in b.LADDER[w, t])
        promised_gpu_h = firms.floor_speed[w] * firms.demand[w, t] * workloads.h[t]
        return workloads.h[t] * speed + firms.short_gpu_h[w, t] >= promised_gpu_h

    @block.Constraint(block.POOLS, block.STEPS)
    def pools_can_drop(b: Any, p: str, t: int) -> Any:
        rentals_kw = sum(
            workloads.draw_step_w[workloads.ladder[w, t], k] / 1000 * (workloads.gpus[w, k, t] - b.kept[w, k, t])
            for w, k in b.POOL_RUNGS[p, t]
        )
        jobs_kw = sum(workload.draw_kw(workloads, w, t) for w in b.POOL_JOBS[p, t])
        return sum(b.pool_kw[r, p, t] for r in b.RESERVES) <= rentals_kw + jobs_kw

    @block.Constraint(block.BATTERIES, block.STEPS)
    def batteries_can_give(b: Any, s: str, t: int) -> Any:
        spare_kw = b.battery_discharge_kw[s] - battery_blocks[s].discharge_kw[t] + battery_blocks[s].charge_kw[t]
        return sum(b.battery_kw[r, s, t] for r in b.RESERVES) <= spare_kw

    def drawn_kwh(b: Any, s: str, t: int) -> Any:
        return sum(b.duration_h[r] / b.battery_efficiency[s] * b.battery_kw[r, s, t] for r in b.RESERVES)

    def not_charged_kwh(b: Any, s: str, t: int) -> Any:
        return b.shortest_h / b.battery_efficiency[s] * battery_blocks[s].charge_kw[t]

    @block.Constraint(block.BATTERIES, block.NOW)
    def gives_now(b: Any, s: str, t: int) -> Any:
        return drawn_kwh(b, s, t) - not_charged_kwh(b, s, t) <= b.battery_start_kwh[s] - b.battery_least_kwh[s]

    @block.Constraint(block.BATTERIES, block.LATER)
    def gives_later(b: Any, s: str, t: int) -> Any:
        return drawn_kwh(b, s, t) - not_charged_kwh(b, s, t) <= battery_blocks[s].stored_kwh[t - 1] - b.battery_least_kwh[s]

    @block.Constraint(block.BATTERIES, block.LASTS)
    def gives_as_long(b: Any, s: str, t: int, u: int) -> Any:
        return drawn_kwh(b, s, t) <= battery_blocks[s].stored_kwh[u] - b.battery_least_kwh[s]


def there(
    held: Held,
    reserves: Sequence[Reserve],
    index: Cells,
    horizon: Horizon,
    pools: Sequence[str],
    batteries: Sequence[Battery],
    groups: Groups,
    battery_kw: Floats,
) -> dict[tuple[str, str], Floats]:
    """What of `held` can be dropped where `groups` run and `batteries` work at `battery_kw`, shape (B, T): kW, each shape (T,).

    Where products share more than there is, each gets its part in proportion.
    """
    found = dict(held)
    longest_h = max((r.duration_h for r in reserves), default=0.0)
    for pool_id, spare_kw in _pools_spare_kw(index, horizon, pools, groups, longest_h).items():
        shared(found, reserves, pool_id, spare_kw, np.ones(len(reserves)))
    for store, power_kw in zip(batteries, battery_kw, strict=True):
        stored = store.stored_kwh(power_kw, horizon.h)
        least = stored.copy()
        for t, u in during(horizon, longest_h):
            least[t] = min(least[t], stored[u])
        shared(found, reserves, store.id, np.maximum(store.discharge_kw + power_kw, 0.0), np.ones(len(reserves)))
        hours = np.array([r.duration_h for r in reserves]) / store.efficiency
        before_kwh = np.r_[store.start_kwh, stored[:-1]] + min(hours, default=0.0) * np.maximum(power_kw, 0.0)
        shared(found, reserves, store.id, np.maximum(np.minimum(least, before_kwh) - store.least_kwh, 0.0), hours)
    return found


def _pools_spare_kw(index: Cells, horizon: Horizon, pools: Sequence[str], groups: Groups, longest_h: float) -> dict[str, Floats]:
    """What each pool's work can drop, kW, each shape (T,)."""
    can_drop = droppable(index, horizon, longest_h)
    drawn = np.zeros((len(index.workloads), len(horizon)))
    for w, t, gpus, draw_w in zip(
        groups.w.tolist(), groups.t.tolist(), groups.gpus.tolist(), groups.draw_w.tolist(), strict=True
    ):
        drawn[w, t] += gpus * index.ladder(w, t).host.extra_w(draw_w) / 1000
    spare = {pool_id: np.zeros(len(horizon)) for pool_id in pools}
    for pool_id, cells in can_drop.jobs.items():
        for w, t in cells:
            spare[pool_id][t] += drawn[w, t]
    for pool_id, cells in can_drop.firms.items():
        for w, t in cells:
            spare[pool_id][t] += max(
                drawn[w, t] - least_kw(index.workloads[w], index.ladder(w, t), float(index.share[w, t])), 0.0
            )
    return spare


def least_kw(firm: Workload, rungs: Ladder, share: float) -> float:
    """The least that a rental adds over idle GPUs where `share` of its GPUs keep its floor, some higher than others, kW."""
    assert isinstance(firm, Firm)
    draw, speed = np.array([rungs.host.extra_w(w) for w in rungs.draw_w]), np.asarray(rungs.speed)
    if firm.may_pause:
        draw, speed = np.r_[0.0, draw], np.r_[0.0, speed]
    hull = upper_hull(draw, speed)
    return firm.gpus * share * float(np.interp(firm.floor_speed, speed[hull], draw[hull])) / 1000


def _by_step(pools: Sequence[str], steps: int, cells: dict[str, list[tuple[int, int]]]) -> dict[tuple[str, int], list[int]]:
    found: dict[tuple[str, int], list[int]] = {(p, t): [] for p in pools for t in range(steps)}
    for p, mine in cells.items():
        for w, t in mine:
            found[p, t].append(w)
    return found
