"""Sendable: from a solution of the program to the nearest schedule that can be sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from models.account import account
from models.breach import TINY
from models.horizon import Floats
from models.problem import Problem
from models.schedule import Schedule
from models.sending.first_step import GaveWay, fit
from models.sending.rounding import meet_budgets, meet_floors, meet_work, round_down, schedule_of
from models.sending.together import put_together
from models.solving.session import Session
from models.solving.tiers import is_better
from models.work.job import left_gpu_h


def sendable(problem: Problem, session: Session) -> tuple[Schedule, GaveWay]:
    """The sendable schedule nearest to the solution in `session`, and what gave way for it in the first step."""
    model = session.model
    steps, values = len(problem.horizon), session.values
    gpus = values(model.workload.gpus)
    battery_kw = {b.id: values(model.battery[b.id].charge_kw) - values(model.battery[b.id].discharge_kw) for b in problem.batteries}
    hall_c: dict[str, Floats] = {
        z.id: values(model.hall[z.id].temperature_c) if z.cooling_plant is not None else np.full(steps, z.start_c) for z in problem.halls
    }
    cells = round_down(problem, gpus)
    given_kw = {s.id: values(model.solar[s.id].power_kw) for s in problem.solar}
    given_kw |= {g.id: values(model.genset[g.id].power_kw) for g in problem.gensets}
    held_kw = _held_kw(problem, session)
    tanks = {c: values(model.thermal_store[c].charge_kw) for c in problem.thermal_stores}
    beside: dict[str, Any] = {"given_kw": given_kw, "held_kw": held_kw, "thermal_store_kw": tanks, "supply_c": problem.supply_c}
    room, gave = fit(problem, cells, lambda now: replace(schedule_of(now, battery_kw, hall_c), **beside))
    meet_floors(problem, cells, _target_speed(problem, gpus), room)
    meet_budgets(problem, cells, _slow_h(problem, session), room)
    meet_work(problem, cells, _target_gpu_h(problem, session), room)
    schedule = replace(schedule_of(cells, battery_kw, hall_c), **beside)
    if not any(job.pause_price_per_gpu or job.min_run_h for job in problem.jobs):
        return schedule, gave
    put_together(problem, cells, room)
    through = replace(schedule_of(cells, battery_kw, hall_c), **beside)
    as_planned, after = account(problem, schedule), account(problem, through)
    return schedule if is_better(as_planned, after) else through, gave


def _held_kw(problem: Problem, session: Session) -> dict[tuple[str, str], Floats]:
    """What each pool and battery holds for each reserve, kW by step."""
    model = session.model
    held: dict[tuple[str, str], Floats] = {}
    for product in problem.reserves:
        block = model.reserve_up if product.direction == "up" else model.reserve_down
        for kind, assets in ((block.pool_kw, problem.pools), (block.battery_kw, problem.batteries)):
            for asset in (a for a in assets if (product.id, a.id, 0) in kind.index_set()):
                kw = session.values_of([kind[product.id, asset.id, t] for t in range(len(problem.horizon))])
                if (kw > TINY).any():
                    held[product.id, asset.id] = kw
    return held


def _target_speed(problem: Problem, gpus: Floats) -> Floats:
    """Sum of GPU speeds each firm workload is to reach: its floor, or what the program reached of it, shape (F, T).

    Under a budget of slow hours that is full speed.
    """
    target = np.zeros((len(problem.firms), len(problem.horizon)))
    for w, firm in enumerate(problem.firms):
        promised = np.asarray(firm.demanded(len(problem.horizon))) * (firm.floor_speed if firm.budget is None else 1.0)
        for t in range(len(problem.horizon)):
            step = problem.cells.ladder(w, t).speed_step
            target[w, t] = min(promised[t], float(step @ gpus[w, : len(step), t]))
    return target


def _slow_h(problem: Problem, session: Session) -> Floats:
    """Hours of each firm workload's budget that the program used in each step, shape (F, T)."""
    model = session.model
    used = np.zeros((len(problem.firms), len(problem.horizon)))
    for (w, t), slow_h in zip(model.budget.DEMANDED, session.values(model.budget.slow_h).tolist(), strict=True):
        used[w, t] = slow_h
    return used


def _target_gpu_h(problem: Problem, session: Session) -> Floats:
    """Work each job is to do inside the horizon, GPU h, shape (J,)."""
    model = session.model
    first = len(problem.firms)
    target = np.zeros(len(problem.jobs))
    for i, job in enumerate(problem.jobs):
        unfinished, carried, forgone = left_gpu_h(model.job, session.value, first + i)
        carried = min(carried, job.most_carried_gpu_h(problem.horizon))
        small = TINY * max(1.0, job.work_gpu_h)
        target[i] = job.work_gpu_h - sum(left for left in (unfinished, carried, forgone) if left > small)
    return target
