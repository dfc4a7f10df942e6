"""Account: what a schedule draws, heats, breaks and costs, by the same physics and the same prices as the program.

The plan and its baseline are both read through here, so their objectives compare. Cooling power is the published curve
itself, not the program's segments; the heat removed is what brings each hall to the temperature the schedule asks for, as far
as the plant's capacity reaches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.horizon import Floats
from models.schedule import Schedule
from models.site import (
    COMFORT_PRICE_PER_KWH_H,
    OVER_EVENT_PRICE_PER_KWH,
    OVER_LIMIT_PRICE_PER_KWH,
    OVER_RATING_PRICE_PER_KWH,
    TOO_HOT_PRICE_PER_KWH_H,
    Problem,
)

BREACH_FAMILIES = (
    "over_rating_kw",
    "over_worst_kw",
    "too_hot_k",
    "over_limit_kw",
    "over_event_kw",
    "over_ramp_kw",
    "short_gpu_h",
    "unfinished_gpu_h",
)
TINY = 1e-6


@dataclass(frozen=True)
class Account:
    """Arrays by asset (in the problem's order) and step; kW, degC, GPU hours, money.

    `heat_kw` is what each cooling plant removes. `breach` holds, by family, the amount above the limit: by feeder and step,
    hall and step, step, firm workload and step, or job.
    """

    import_kw: Floats
    it_kw: Floats
    cooling_kw: Floats
    battery_kw: Floats
    pool_kw: Floats
    feeder_kw: Floats
    feeder_worst_kw: Floats
    hall_c: Floats
    running: Floats
    work_gpu_h: Floats
    carried_gpu_h: Floats
    heat_kw: Floats
    breach: dict[str, Floats]
    cost: dict[str, float]

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
    horizon, h = problem.horizon, problem.horizon.h
    steps = len(horizon)
    groups, workloads = schedule.groups, problem.workloads
    work = groups.work_gpu_h(horizon, len(workloads))

    pool_kw, worst_kw = _pools(problem, schedule)
    hall_c, removed = _halls(problem, schedule, pool_kw)
    plants = problem.cooling_plants
    heat = [sum((removed[z.id] for z in problem.plant_halls(c)), np.zeros(steps)) for c in plants]
    heat_kw = np.array(heat).reshape(len(plants), steps)
    power = [c.chiller.power_kw(q, problem.outdoor_c) for c, q in zip(plants, heat, strict=True)]
    cooling_kw = np.array(power).reshape(len(plants), steps)
    battery_kw = np.array([schedule.battery_kw[b.id] for b in problem.batteries]).reshape(len(problem.batteries), steps)
    load, worst = _feeders(problem, pool_kw, worst_kw, cooling_kw, battery_kw)
    import_kw = np.maximum(load[problem.root.id], 0.0)

    feeder_kw = np.array([load[f.id] for f in problem.feeders])
    feeder_worst_kw = np.array([worst[f.id] for f in problem.feeders])
    rating = np.array([f.rating_kw for f in problem.feeders])[:, None]
    margin = np.array([f.worst_case_margin for f in problem.feeders])[:, None]
    firms = len(problem.firms)
    promised = np.array([f.floor_speed * f.gpus for f in problem.firms])[:, None] * h
    left = np.array([j.work_gpu_h for j in problem.jobs]) - work[firms:].sum(axis=1)
    carried = np.clip(left, 0.0, [j.most_carried_gpu_h(horizon) for j in problem.jobs])
    zones = [z for z in problem.halls if z.cooling_plant is not None]
    zone_c = np.array([hall_c[z.id] for z in zones]).reshape(len(zones), steps)
    over_event_kw = np.zeros(steps)
    for t, target_kw in problem.grid.targets_kw.items():
        over_event_kw[t] = max(import_kw[t] - target_kw, 0.0)
    change_kw = np.abs(np.diff(import_kw, prepend=import_kw[0]))
    breach = {
        "over_rating_kw": np.maximum(feeder_kw - rating, 0.0),
        "over_worst_kw": np.maximum(feeder_worst_kw - rating * margin, 0.0),
        "too_hot_k": np.maximum(zone_c - np.array([z.allowable_max_c for z in zones]).reshape(-1, 1), 0.0),
        "over_limit_kw": np.maximum(import_kw - np.asarray(problem.grid.limit_kw), 0.0),
        "over_event_kw": over_event_kw,
        "over_ramp_kw": np.maximum(change_kw - np.append(np.inf, problem.grid.ramp_kw(horizon)), 0.0),
        "short_gpu_h": np.maximum(promised - work[:firms], 0.0),
        "unfinished_gpu_h": np.maximum(left - carried, 0.0),
    }
    cost = _cost(problem, import_kw, battery_kw, work, carried, zone_c, breach)
    return Account(
        import_kw,
        pool_kw.sum(axis=0),
        cooling_kw,
        battery_kw,
        pool_kw,
        feeder_kw,
        feeder_worst_kw,
        zone_c,
        groups.running(len(workloads), steps),
        work,
        carried,
        heat_kw,
        breach,
        cost,
    )


def _pools(problem: Problem, schedule: Schedule) -> tuple[Floats, Floats]:
    """Expected draw and worst case of each pool, kW, shape (P, T)."""
    steps = len(problem.horizon)
    position = {p.id: i for i, p in enumerate(problem.pools)}
    at = np.array([position[w.pool] for w in problem.workloads], np.int64)
    groups = schedule.groups
    hosts = [p.host for p in problem.pools]
    over_idle = np.array([host.host_run_w - host.idle_total_w for host in hosts])
    lowest = np.array([host.min_cap_w for host in hosts])
    available = np.array([p.available for p in problem.pools]).reshape(len(hosts), steps)
    draw = available * np.array([host.idle_total_w for host in hosts])[:, None] / 1000
    raised = np.array([pool.idle_raised_w for pool in problem.pools]).reshape(len(hosts), steps)
    worst = available * (np.array([host.lowest_worst_w for host in hosts])[:, None] + raised) / 1000
    if len(groups):
        p = at[groups.w]
        np.add.at(draw, (p, groups.t), groups.gpus * (groups.draw_w + over_idle[p]) / 1000)
        np.add.at(worst, (p, groups.t), groups.gpus * (groups.cap_w - lowest[p] - raised[p, groups.t]) / 1000)
    return draw, worst


def _halls(problem: Problem, schedule: Schedule, pool_kw: Floats) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Temperature (degC) and heat removed (kW) by hall, each shape (T,)."""
    steps = range(len(problem.horizon))
    heat = {z.id: np.full(len(steps), z.base_kw) for z in problem.halls}
    for i, p in enumerate(problem.pools):
        heat[p.hall] = heat[p.hall] + pool_kw[i]
    reached = {z.id: np.zeros(len(steps)) for z in problem.halls}
    removed = {z.id: np.zeros(len(steps)) for z in problem.halls}
    for plant in problem.cooling_plants:
        zones = problem.plant_halls(plant)
        memory = {z.id: z.memory(problem.horizon.h) for z in zones}
        now = {z.id: z.start_c for z in zones}
        for t in steps:
            wanted = {}
            for z in zones:
                a = memory[z.id][t]
                settle = (schedule.hall_c[z.id][t] - a * now[z.id]) / (1 - a)
                wanted[z.id] = max(0.0, heat[z.id][t] - (settle - problem.outdoor_c[t]) / z.resistance_k_per_kw)
            share = min(1.0, plant.chiller.max_heat_kw / max(sum(wanted.values()), 1e-9))
            for z in zones:
                a = memory[z.id][t]
                removed[z.id][t] = share * wanted[z.id]
                settle = problem.outdoor_c[t] + z.resistance_k_per_kw * (heat[z.id][t] - removed[z.id][t])
                now[z.id] = a * now[z.id] + (1 - a) * settle
                reached[z.id][t] = now[z.id]
    return reached, removed


def _feeders(
    problem: Problem, pool_kw: Floats, pool_worst_kw: Floats, cooling_kw: Floats, battery_kw: Floats
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Expected load and worst case of each feeder, kW, each shape (T,)."""
    load = {f.id: np.zeros(len(problem.horizon)) for f in problem.feeders}
    worst = {f.id: np.zeros(len(problem.horizon)) for f in problem.feeders}
    for i, p in enumerate(problem.pools):
        load[p.feeder] = load[p.feeder] + pool_kw[i]
        worst[p.feeder] = worst[p.feeder] + pool_worst_kw[i]
    for z in problem.halls:
        load[z.feeder] = load[z.feeder] + z.base_kw
        worst[z.feeder] = worst[z.feeder] + z.base_kw
    for i, c in enumerate(problem.cooling_plants):
        load[c.feeder] = load[c.feeder] + cooling_kw[i]
        worst[c.feeder] = worst[c.feeder] + cooling_kw[i]
    for i, b in enumerate(problem.batteries):
        load[b.feeder] = load[b.feeder] + battery_kw[i]
        worst[b.feeder] = worst[b.feeder] + np.maximum(battery_kw[i], 0.0)
    for f in problem.leaves_first():
        load[f.id] = load[f.id] * (1 + f.loss_share)
        worst[f.id] = worst[f.id] * (1 + f.loss_share)
        if f.parent is not None:
            load[f.parent] = load[f.parent] + load[f.id]
            worst[f.parent] = worst[f.parent] + worst[f.id]
    return load, worst


def _cost(
    problem: Problem,
    import_kw: Floats,
    battery_kw: Floats,
    work: Floats,
    carried: Floats,
    zone_c: Floats,
    breach: dict[str, Floats],
) -> dict[str, float]:
    """Money by kind; their sum is the program's objective."""
    horizon, h, grid = problem.horizon, problem.horizon.h, problem.grid
    firms = len(problem.firms)
    zones = [z for z in problem.halls if z.cooling_plant is not None]
    capacity = np.array([z.heat_capacity_kwh_per_k for z in zones]).reshape(-1, 1)
    over = np.maximum(zone_c - np.array([z.recommended_max_c for z in zones]).reshape(-1, 1), 0.0)
    under = np.maximum(np.array([z.recommended_min_c for z in zones]).reshape(-1, 1) - zone_c, 0.0)
    end_warm = np.maximum(zone_c[:, -1:] - np.array([z.end_max_c for z in zones]).reshape(-1, 1), 0.0)
    delay = [j.delay_price_per_gpu_h * float(j.wait_h(horizon) @ work[firms + i]) for i, j in enumerate(problem.jobs)]
    return {
        "energy": float(np.asarray(grid.price_per_kwh) @ (h * import_kw)),
        "peak": grid.peak_price_per_kw * max(grid.peak_so_far_kw, float(import_kw.max())),
        "wear": float(sum(b.wear_price_per_kwh * (h @ np.maximum(-battery_kw[i], 0.0)) for i, b in enumerate(problem.batteries))),
        "delay": float(sum(delay)),
        "carried": float(sum(j.carry_price_per_gpu_h * c for j, c in zip(problem.jobs, carried, strict=True))),
        "value": -float(sum(f.value_per_gpu_h * work[i].sum() for i, f in enumerate(problem.firms))),
        "comfort": COMFORT_PRICE_PER_KWH_H * float((capacity * ((over + under) * h)).sum() + (capacity * end_warm).sum()),
        "over_rating": OVER_RATING_PRICE_PER_KWH * float(((breach["over_rating_kw"] + breach["over_worst_kw"]) * h).sum()),
        "too_hot": TOO_HOT_PRICE_PER_KWH_H * float((capacity * breach["too_hot_k"] * h).sum()),
        "over_limit": OVER_LIMIT_PRICE_PER_KWH * float(breach["over_limit_kw"] @ h),
        "over_event": OVER_EVENT_PRICE_PER_KWH * float(breach["over_event_kw"] @ h),
        "over_ramp": OVER_EVENT_PRICE_PER_KWH * float(breach["over_ramp_kw"] @ h),
        "short": float(sum(f.short_price_per_gpu_h * breach["short_gpu_h"][i].sum() for i, f in enumerate(problem.firms))),
        "unfinished": float(sum(j.unfinished_price_per_gpu_h * u for j, u in zip(problem.jobs, breach["unfinished_gpu_h"], strict=True))),
    }
