"""Summary: the controllers beside each other, as numbers for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from facility.backtest.bill import Bill, is_missed
from facility.backtest.loop import Lived
from facility.backtest.metering import Breach
from facility.backtest.request import CONTROLLERS, Request
from facility.backtest.world import World
from facility.daemon.margin import LEAST_SHARE, MOST_SHARE
from facility.site import Site

LEAST_SAVED_SHARE = 0.001
"""Where foresight saves less than this share of the cost there is nothing to share."""


ROUNDING = 1e-3
"""By so much a mean speed may lie below a floor: caps are whole watts, and rise from cycle to cycle."""


@dataclass(frozen=True)
class Compared:
    """What one controller did and what it cost."""

    lived: Lived
    bill: Bill


def summary(world: World, request: Request, compared: Mapping[str, Compared]) -> dict[str, Any]:
    """`summary.json`. `breaches` and `missed_deadlines` are those of ours, of the others they are in `by_controller`."""
    order = [name for name in CONTROLLERS if name in compared]
    missed = {name: [job.id for job in compared[name].lived.jobs if is_missed(job, world)] for name in order}
    ours = compared.get("ours")
    met = set(missed.get("ours", ())) - set(missed.get("foresight", ())) if "foresight" in compared else set()
    return {
        "site": world.site.id,
        "start": _iso(world.span.start),
        "end": _iso(world.span.end),
        "cycle_s": world.span.cycle.total_seconds(),
        "currency": world.site.currency,
        "cost": {name: compared[name].bill.cost for name in order},
        "energy_cost": {name: compared[name].bill.items["energy"] for name in order},
        "saving_share_of_foresight": _share(compared, "ours"),
        "rules_share_of_foresight": _share(compared, "rules"),
        "breaches": [] if ours is None else [_breach(each) for each in ours.lived.breaches],
        "missed_deadlines": len(missed.get("ours", ())),
        "missed_that_foresight_met": [_why_missed(world, ours.lived, job) for job in sorted(met)] if ours else [],
        "by_controller": {name: _told(world, compared[name], missed[name]) for name in order},
        "maintenance": len(world.site.maintenance),
        "limit_margin_share": [LEAST_SHARE, MOST_SHARE],
        "seed": request.seed,
        "assumed": list(world.assumed),
    }


def _told(world: World, each: Compared, missed: list[str]) -> dict[str, Any]:
    lived, jobs, hours = each.lived, each.lived.jobs, sum(interval.hours for interval in each.lived.intervals)
    done = [job for job in jobs if job.finished is not None]
    waits_h = [(job.finished - job.submit).total_seconds() / 3600 for job in done if job.finished is not None]
    energy_kwh = sum(max(interval.import_kw, 0.0) * interval.hours for interval in lived.intervals)
    return {
        "cost": each.bill.cost,
        "costs": each.bill.items,
        "lost_value": each.bill.lost_value,
        "energy_kwh": energy_kwh,
        "mean_import_kw": energy_kwh / hours,
        "peak_kw": max(lived.peaks_kw.values(), default=max(interval.import_kw for interval in lived.intervals)),
        "carbon_kg": each.bill.carbon_kg,
        "jobs": len(jobs),
        "jobs_done": len(done),
        "mean_turnaround_h": sum(waits_h) / len(waits_h) if waits_h else None,
        "work_done_gpu_h": sum(job.done_gpu_h for job in jobs),
        "missed_deadlines": len(missed),
        "late_gpu_h": sum(job.work_gpu_h - job.done_gpu_h for job in jobs if is_missed(job, world)),
        "breaches": len(lived.breaches),
        "breached_min": sum((breach.end - breach.start).total_seconds() for breach in lived.breaches) / 60,
        "worst_breach": max(((breach.amount, breach.family) for breach in lived.breaches), default=None),
        "hunting_kw_per_h": sum(lived.moved_kw) / hours,
        "plan_error_pct": _plan_error(lived),
        "cycles": len(lived.intervals),
        "cycles_not_normal": sum(mode in ("HOLD", "SAFE") for mode in lived.modes),
        "reasons": dict(lived.reasons),
        "refused_orders": len(lived.refused),
        "slowest": dict(lived.slowest),
        "below_floor": below_floor(world.site, lived.slowest),
        "stopped_by_maintenance": stopped(world, lived),
    }


def below_floor(site: Site, slowest: Mapping[str, float]) -> list[str]:
    """The contracts whose GPUs were slower in a cycle, in the mean, than was promised."""
    return [name for name, speed in slowest.items() if speed < site.contracts[name].least_speed - ROUNDING]


def stopped(world: World, lived: Lived) -> list[str]:
    """The jobs that lost their GPUs in the cycle in which fixed maintenance of their pool began."""
    begins = [(m.pool, m.start) for m in world.site.maintenance.values() if m.start is not None]
    found = []
    for job in lived.jobs:
        pool = world.by_id[job.id].pool
        if any(pool == its and begin <= at < begin + world.span.cycle for at in job.stops for its, begin in begins):
            found.append(job.id)
    return found


def _plan_error(lived: Lived) -> dict[str, float] | None:
    """How far the import was from its plan, %, at the median, the 95th percentile and the most; None where nobody planned."""
    errors = sorted(
        abs(interval.import_kw - kw) / max(abs(kw), 1.0) * 100
        for interval, kw in zip(lived.intervals, lived.planned_kw, strict=True)
        if kw is not None
    )
    if not errors:
        return None
    return {"median": errors[len(errors) // 2], "p95": errors[int(0.95 * (len(errors) - 1))], "most": errors[-1]}


def _share(compared: Mapping[str, Compared], name: str) -> float | None:
    """How much of what foresight saves `name` saves; None where there is too little to save, or one was not asked for."""
    if not {"none", "foresight", name} <= compared.keys():
        return None
    cost = {each: compared[each].bill.cost for each in ("none", "foresight", name)}
    most = cost["none"] - cost["foresight"]
    return (cost["none"] - cost[name]) / most if most > LEAST_SAVED_SHARE * abs(cost["none"]) else None


def _why_missed(world: World, lived: Lived, job: str) -> dict[str, Any]:
    outcome = next(each for each in lived.jobs if each.id == job)
    left_gpu_h, told = outcome.work_gpu_h - outcome.done_gpu_h, world.by_id[job]
    least_h = outcome.work_gpu_h / told.gpus
    window_h = (outcome.deadline - outcome.submit).total_seconds() / 3600
    if least_h > window_h:
        why = f"its work takes {least_h:.2f} h at full speed, its window is {window_h:.2f} h"
    elif not outcome.done_gpu_h:
        why = "it never got its GPUs: work that arrived later had to be done first"
    else:
        why = f"{left_gpu_h:.3f} of {outcome.work_gpu_h:.3f} GPU h were left: it was run late, for what arrived later was not known"
    return {"job": job, "left_gpu_h": left_gpu_h, "why": why}


def _breach(breach: Breach) -> dict[str, Any]:
    return {
        "family": breach.family,
        "asset": breach.asset,
        "from": _iso(breach.start),
        "to": _iso(breach.end),
        "amount": breach.amount,
        "unit": breach.unit,
    }


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
