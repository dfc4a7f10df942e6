"""Tables: `plan.csv`, `caps.csv` and `jobs.csv`, all describing the plan after rounding, in full float precision."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from facility.overrides.arbitrate import bounds
from facility.planner import Planned
from facility.reasons import job_reason
from models.breach import TINY
from models.horizon import Floats
from models.plan import Plan
from models.work.job import Job
from models.work.pause import times

JOB_COLUMNS = [
    "job_id",
    "tenant",
    "pool",
    "num_gpus",
    "submit",
    "start",
    "finish",
    "deadline",
    "deferred_h",
    "pauses",
    "work_gpu_h",
    "done_gpu_h",
    "energy_kwh",
    "cost",
    "reason",
]


def write_tables(planned: Planned, folder: Path) -> None:
    """Write the three tables into `folder`."""
    _write(folder / "plan.csv", plan_columns(planned), plan_rows(planned))
    _write(folder / "caps.csv", ["time", "hours", "pool", "workload", "gpus", "cap_w", "draw_w", "speed"], cap_rows(planned))
    _write(folder / "jobs.csv", JOB_COLUMNS, job_rows(planned))


def plan_columns(planned: Planned) -> list[str]:
    """The columns of plan.csv; the price is in the site's currency."""
    price = f"price_{planned.site.currency.lower()}_per_mwh"
    rest = "import_kw,import_limit_kw,export_kw,it_kw,cooling_kw,battery_kw,generation_kw,outdoor_c,gpus_running"
    reserves = ["reserve_up_kw", "reserve_down_kw"] if planned.decided.plan.problem.reserves else []
    committed = ["position_kw"] if planned.decided.plan.problem.position.kw else []
    tanks = ["thermal_store_kw"] if planned.decided.plan.problem.thermal_stores else []
    supplies = [f"supply_{plant}_c" for plant in planned.decided.plan.schedule.supply_c]
    return ["time", "hours", price, *rest.split(","), *reserves, *committed, *tanks, *supplies]


def plan_rows(planned: Planned) -> Iterator[list[Any]]:
    """A row a step."""
    plan, edges = planned.decided.plan, planned.edges
    state, problem = plan.account, plan.problem
    cooling = state.cooling_kw.sum(axis=0)
    battery = state.battery_kw.sum(axis=0)
    given = sum(state.given_kw.values(), np.zeros(len(edges) - 1))
    running = state.running.sum(axis=0)
    ups = np.array([r.direction == "up" for r in problem.reserves], bool)
    held = state.reserve_kw[ups].sum(axis=0), state.reserve_kw[~ups].sum(axis=0)
    for t, hours in enumerate(problem.horizon.hours):
        yield [
            instant(edges[t]),
            hours,
            float(planned.forecast.price_per_mwh[t]),
            float(state.import_kw[t]),
            float(problem.grid.limit_kw[t]),
            float(state.export_kw[t]),
            float(state.it_kw[t]),
            float(cooling[t]),
            float(battery[t]),
            float(given[t]),
            float(problem.outdoor_c[t]),
            float(running[t]),
            *([float(reserve_kw[t]) for reserve_kw in held] if problem.reserves else []),
            *problem.position.kw[t : t + 1],
            *([float(state.thermal_store_kw[:, t].sum())] if problem.thermal_stores else []),
            *(float(supply_c[t]) for supply_c in plan.schedule.supply_c.values()),
        ]


def cap_rows(planned: Planned) -> Iterator[list[Any]]:
    """A row a group of equal cap, by step."""
    plan, edges = planned.decided.plan, planned.edges
    g, workloads, gpus = plan.schedule.groups, plan.problem.workloads, plan.schedule.groups.gpus
    for i in np.lexsort((g.cap_w, g.w, g.t)).tolist():
        t, w = int(g.t[i]), int(g.w[i])
        yield [
            instant(edges[t]),
            plan.problem.horizon.hours[t],
            workloads[w].pool,
            workloads[w].id,
            float(gpus[i]),
            int(g.cap_w[i]),
            float(g.draw_w[i]),
            float(g.speed[i]),
        ]


def job_rows(planned: Planned) -> Iterator[list[Any]]:
    """A row a job of the file, those outside the plan too."""
    plan, edges, site = planned.decided.plan, planned.edges, planned.site
    problem, state = plan.problem, plan.account
    free = bounds(site, (), edges[0], edges)
    states = {job.id: job for job in planned.jobs}
    price = np.asarray(problem.grid.paid_per_kwh)
    energy = _energy_kwh(planned)
    for i, job in enumerate(problem.jobs):
        w = len(problem.firms) + i
        told, done = states[job.id], float(state.work_gpu_h[w].sum())
        began, ended, pauses = run_times(planned, w)
        finished = ended is not None and done >= job.work_gpu_h - TINY * max(1.0, job.work_gpu_h)
        yield [
            job.id,
            told.tenant or "",
            job.pool,
            job.gpus,
            instant(told.submit),
            instant(began) if began else "",
            instant(ended) if ended and finished else "",
            instant(told.deadline),
            (began - told.submit) / timedelta(hours=1) if began else "",
            pauses,
            job.work_gpu_h,
            done,
            float(energy[w].sum()),
            float(energy[w] @ price),
            job_reason(plan, free, w, edges, site),
        ]
    for out in planned.left_out:
        when = [instant(out.submit), "", "", instant(out.deadline)]
        yield [out.id, out.tenant or "", "", out.num_gpus, *when, "", 0, out.work_gpu_h, 0.0, 0.0, 0.0, out.reason]


def run_times(planned: Planned, w: int) -> tuple[datetime | None, datetime | None, int]:
    """First and last instant at which workload `w` runs, and how often it pauses."""
    spans = run_spans(planned, w)
    if not spans:
        return None, None, 0
    plan, workload, pauses = planned.decided.plan, planned.decided.plan.problem.workloads[w], len(spans) - 1
    if isinstance(workload, Job) and not workload.elastic:
        carried = float(plan.account.carried_gpu_h[w - len(plan.problem.firms)])
        pauses = times(workload, _shares(plan, w), plan.problem.cells.share[w], carried)
    begins_h, ends_h = spans[0][0], spans[-1][1]
    return planned.edges[0] + timedelta(hours=begins_h), planned.edges[0] + timedelta(hours=ends_h), pauses


def run_spans(planned: Planned, w: int) -> list[tuple[float, float]]:
    """From when to when workload `w` runs, h after the plan's start, a pair for each run of steps without a gap.

    Inside a step it runs from the step's start (or its arrival), except in the first step of a run that goes on: there it
    runs up to the step's end.
    """
    plan = planned.decided.plan
    horizon, workload = plan.problem.horizon, plan.problem.workloads[w]
    share = _shares(plan, w)
    arrival_h = workload.arrival_h if isinstance(workload, Job) else 0.0
    ran = np.flatnonzero(share > 0)
    spans: list[tuple[float, float]] = []
    for run in np.split(ran, np.flatnonzero(np.diff(ran) > 1) + 1):
        if not len(run):
            continue
        first, last = int(run[0]), int(run[-1])
        if first == last:
            begins_h = max(float(horizon.starts[first]), arrival_h)
            spans.append((begins_h, begins_h + share[first] * float(horizon.h[first])))
        else:
            begins_h = float(horizon.ends[first] - share[first] * horizon.h[first])
            spans.append((begins_h, float(horizon.starts[last]) + share[last] * float(horizon.h[last])))
    return spans


def _shares(plan: Plan, w: int) -> Floats:
    """Which part of each step workload `w` runs, shape (T,)."""
    groups, share = plan.schedule.groups, np.zeros(len(plan.problem.horizon))
    mine = slice(*np.searchsorted(groups.w, [w, w + 1]).tolist())
    share[groups.t[mine]] = groups.share[mine]
    return share


def instant(at: datetime) -> str:
    """An instant as files carry it: UTC, ISO 8601, with Z."""
    said = at.astimezone(UTC).isoformat(timespec="microseconds" if at.microsecond else "seconds")
    return said.replace("+00:00", "Z")


def _energy_kwh(planned: Planned) -> Floats:
    """Energy of each workload's GPUs and their hosts by step, kWh, shape (W, T)."""
    plan = planned.decided.plan
    problem, g = plan.problem, plan.schedule.groups
    host_w = {p.id: p.host.host_run_w for p in problem.pools}
    host = np.array([host_w[x.pool] for x in problem.workloads])
    energy = np.zeros((len(problem.workloads), len(problem.horizon)))
    if len(g):
        np.add.at(energy, (g.w, g.t), g.gpus * (g.draw_w + host[g.w]) / 1000 * problem.horizon.h[g.t])
    return energy


def _write(path: Path, columns: Iterable[str], rows: Iterable[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(list(columns))
        writer.writerows(rows)
