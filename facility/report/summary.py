"""Summary: a plan in one page of numbers, `summary.json`, and the short table that is printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from facility.events import delivery
from facility.planner import Planned
from facility.report.tables import instant
from models.account import TINY, Account
from models.horizon import Floats
from models.plan import Plan

UNITS = {
    "over_rating_kw": ("kW", "the feeder would carry more than its rating: take load off it or raise the rating"),
    "over_worst_kw": ("kW", "the sum of caps does not fit under the feeder: lower caps or move GPUs to another feeder"),
    "too_hot_k": ("K", "more cooling capacity or less load in this hall"),
    "over_limit_kw": ("kW", "a higher import limit then, or less firm load"),
    "over_event_kw": ("kW", "a smaller reduction or a shorter event, less firm load, or lower floors"),
    "over_ramp_kw": ("kW", "a wider grid.ramp_kw_per_h, or longer ramps of an event"),
    "short_gpu_h": ("GPU h", "a higher import limit or feeder rating then, or a lower floor"),
    "unfinished_gpu_h": ("GPU h", "a later deadline, or more GPUs or power before it"),
}


def summary(planned: Planned) -> dict[str, Any]:
    """What `summary.json` holds; every number is finite or None."""
    plan, site, record = planned.decided.plan, planned.site, planned.decided.plan.record
    ours, base = _figures(plan, plan.account), _figures(plan, plan.baseline)
    base_cost = base["energy_cost"]
    return {
        "site": site.id,
        "start": instant(planned.edges[0]),
        "end": instant(planned.edges[-1]),
        "currency": site.currency,
        "status": plan.status,
        **ours,
        "baseline": {**base, "breaches": list(breaches(planned, plan.baseline))},
        "saving_pct": 100 * (base_cost - ours["energy_cost"]) / abs(base_cost) if base_cost else None,
        "events": list(events(planned)),
        "breaches": list(breaches(planned, plan.account)),
        "marginal_prices": plan.marginal_prices,
        "assumed": list(planned.assumed),
        "solve": {
            "columns": record.columns,
            "rows": record.rows,
            "build_s": record.build_s,
            "solve_s": record.solve_s,
            "rounds": record.rounds,
            "bound": record.bound,
            "gap": record.gap,
            "certificate": {"primal": record.certificate.primal, "dual": record.certificate.dual, "gap": record.certificate.gap},
            "tiers": dict(record.tiers),
            "tiers_s": record.tiers_s,
            "weights_stand": record.weights_stand,
        },
    }


def events(planned: Planned) -> Iterator[dict[str, Any]]:
    """Each grid event and how the plan keeps it."""
    plan = planned.decided.plan
    for event in planned.events:
        kept = delivery(event, planned.edges, plan.baseline.import_kw, plan.account.import_kw, TINY)
        yield {
            "start": instant(event.start),
            "end": instant(event.end),
            "target_kw": event.target_kw,
            "reduction_pct": event.reduction_pct,
            "ramp_min": event.ramp.total_seconds() / 60,
            "mean_over_delivery_pct": kept.mean_over_delivery_pct,
            "minutes_over_target": kept.minutes_over_target,
        }


def breaches(planned: Planned, state: Account) -> Iterator[dict[str, Any]]:
    """Each broken limit as one entry per asset and unbroken stretch of steps; the amount is the largest, or a sum of work."""
    plan, edges = planned.decided.plan, planned.edges
    problem = plan.problem
    zones = [z.id for z in problem.halls if z.cooling_plant is not None]
    feeders = [f.id for f in problem.feeders]
    assets = {
        "over_rating_kw": feeders,
        "over_worst_kw": feeders,
        "too_hot_k": zones,
        "short_gpu_h": [f.id for f in problem.firms],
    }
    for family, amount in state.breach.items():
        unit, remedy = UNITS[family]
        if family == "unfinished_gpu_h":
            for i in np.flatnonzero(amount > TINY).tolist():
                job = planned.jobs[i]
                yield _breach(family, job.id, instant(job.submit), instant(job.deadline), float(amount[i]), unit, remedy)
            continue
        for i, by_step in enumerate(np.atleast_2d(amount)):
            asset = assets[family][i] if family in assets else planned.site.grid.feed
            for first, last in _stretches(by_step > TINY):
                part = by_step[first : last + 1]
                total = float(part.sum() if family == "short_gpu_h" else part.max())
                yield _breach(family, asset, instant(edges[first]), instant(edges[last + 1]), total, unit, remedy)


def short_table(planned: Planned) -> list[tuple[str, str, str]]:
    """Rows (what, plan, baseline) of the table that is printed."""
    plan, currency = planned.decided.plan, planned.site.currency
    ours, base = _figures(plan, plan.account), _figures(plan, plan.baseline)
    said = {
        "energy_kwh": "energy, kWh",
        "energy_cost": f"energy cost, {currency}",
        "peak_kw": "peak, kW",
        "carbon_kg": "carbon, kg",
    }
    if plan.problem.grid.peak_price_per_kw:
        said["peak_cost"] = f"peak cost, {currency}"
    rows = [(label, f"{ours[key]:,.1f}", f"{base[key]:,.1f}") for key, label in said.items()]
    if ours["weighted_throughput"] is not None:
        rows.append(("weighted throughput", f"{ours['weighted_throughput']:.4f}", f"{base['weighted_throughput']:.4f}"))
    if plan.problem.jobs:
        rows.append(("jobs' work, GPU h", f"{ours['job_work_gpu_h']:,.1f}", f"{base['job_work_gpu_h']:,.1f}"))
        rows.append((f"work carried past the end, {currency}", f"{ours['carried_cost']:,.1f}", f"{base['carried_cost']:,.1f}"))
    return rows


def _figures(plan: Plan, state: Account) -> dict[str, Any]:
    problem, h = plan.problem, plan.problem.horizon.h
    return {
        "objective": state.objective,
        "energy_kwh": float(state.import_kw @ h),
        "energy_cost": state.cost["energy"],
        "peak_kw": float(state.import_kw.max()),
        "peak_cost": state.cost["peak"],
        "carbon_kg": float((state.import_kw * h) @ np.asarray(problem.grid.carbon_g_per_kwh)) / 1000,
        "weighted_throughput": _weighted_throughput(plan, state),
        "job_work_gpu_h": float(state.work_gpu_h[len(problem.firms) :].sum()),
        "carried_cost": state.cost["carried"],
    }


def _weighted_throughput(plan: Plan, state: Account) -> float | None:
    """sum(h * weight * mean speed) / sum(h * weight) over firm workloads, None without any."""
    firms = plan.problem.firms
    total = sum(f.weight for f in firms) * plan.problem.horizon.end_h
    if not total:
        return None
    return float(sum(f.weight * state.work_gpu_h[i].sum() / f.gpus for i, f in enumerate(firms)) / total)


def _breach(family: str, asset: str, begins: str, ends: str, amount: float, unit: str, remedy: str) -> dict[str, Any]:
    return {"family": family, "asset": asset, "from": begins, "to": ends, "amount": amount, "unit": unit, "remedy": remedy}


def _stretches(broken: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and last index of each run of True."""
    edges: Floats = np.diff(np.r_[0, broken.astype(int), 0])
    yield from zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True)
