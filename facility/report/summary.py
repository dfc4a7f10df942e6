"""Summary: a plan in one page of numbers, `summary.json`, and the short table that is printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import numpy as np

from facility.events import delivery
from facility.limits import sentence
from facility.planner import Planned
from facility.report.breaches import breaches
from facility.report.tables import instant, run_times
from facility.tariff import standing_charge
from models.account import Account
from models.breach import TINY
from models.heat.cooling_plant import water_m3
from models.plan import Plan
from models.solving.exact import Proof

BESIDE = {
    "fuel": ("fuel", 1.0),
    "starts": ("starts of gensets", 1.0),
    "water": ("water, paid for", 1.0),
    "imbalance": ("imbalance", 1.0),
    "credit": ("credits to tenants", 1.0),
    "reserve": ("income from reserves", -1.0),
}
"""What the table tells beside energy, where there is any of it: a kind of cost, its words, and -1 where it is an income."""


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
        "standing_charge": standing_charge(site, planned.edges),
        "baseline": {
            **base,
            "costs": dict(plan.baseline.cost),
            "breaches": list(breaches(planned.site, planned.decided, planned.jobs, plan.baseline)),
        },
        "saving_pct": 100 * (base_cost - ours["energy_cost"]) / abs(base_cost) if base_cost else None,
        "events": list(events(planned)),
        "maintenance": list(maintenances(planned)),
        "reserves": list(reserves(plan)),
        "position": position(plan),
        **job_losses(planned),
        "breaches": list(breaches(planned.site, planned.decided, planned.jobs, plan.account)),
        "marginal_prices": plan.marginal_prices,
        "marginal_prices_by_step": [
            {
                "name": price.name,
                "asset": site.grid.feed if price.asset is None else price.asset,
                "unit": price.unit,
                "says": sentence(price, site.currency),
                "saved": price.total,
                "saved_by_step": price.saved.tolist(),
            }
            for price in sorted(plan.marginal, key=lambda price: -price.total)
        ],
        "margin_price": planned.margin_price,
        "assumed": list(planned.assumed),
        "costs": dict(plan.account.cost),
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
            "condition": asdict(record.condition) if record.condition else None,
            **_proof(record.proof),
        },
    }


def _proof(proof: Proof | None) -> dict[str, Any]:
    """What an exact plan is worth, money; nothing where none was asked for."""
    if proof is None:
        return {}
    return {
        "mip_gap": proof.gap,
        "mip_bound": proof.bound,
        "distance": {"rounded": proof.rounded, "exact": proof.exact},
        "not_exact": proof.missed,
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


def position(plan: Plan) -> dict[str, Any] | None:
    """What was committed, how far the plan is from it, and what that costs; None without a position."""
    state, told, h = plan.account, plan.problem.position, plan.problem.horizon.h
    if not told.kw:
        return None
    over_kw = told.over_kw(state.import_kw - state.export_kw)
    return {
        "energy_kwh": float(sum(kw * h[t] for t, kw in told.committed_kw.items())),
        "short_kwh": float(np.maximum(over_kw, 0.0) @ h),
        "long_kwh": float(np.maximum(-over_kw, 0.0) @ h),
        "imbalance_cost": state.cost["imbalance"],
    }


def job_losses(planned: Planned) -> dict[str, Any]:
    """What pauses and spot work that is not worth doing come to, where there are any: how often, GPU h, money."""
    plan, first = planned.decided.plan, len(planned.decided.plan.problem.firms)
    state, found = plan.account, dict[str, Any]()
    pauses = [run_times(planned, first + i)[2] for i in range(len(plan.problem.jobs))]
    if any(pauses):
        found["pauses"] = {"times": int(sum(pauses)), "jobs": sum(1 for count in pauses if count), "cost": state.cost["pauses"]}
    done_gpu_h = state.work_gpu_h[first:].sum(axis=1) + state.carried_gpu_h
    left = [job.work_gpu_h - done for job, done in zip(plan.problem.jobs, done_gpu_h, strict=True) if job.spot_value_per_gpu_h]
    if (forgone_gpu_h := float(sum(max(0.0, gpu_h) for gpu_h in left))) > TINY:
        found["forgone"] = {"gpu_h": forgone_gpu_h, "value": state.cost["forgone"]}
    return found


def reserves(plan: Plan) -> Iterator[dict[str, Any]]:
    """Each product that is sold to the grid's operator: what is committed, what is held, and what that earns."""
    horizon = plan.problem.horizon
    for product, held_kw in zip(plan.problem.reserves, plan.account.reserve_kw, strict=True):
        yield {
            "id": product.id,
            "direction": product.direction,
            "duration_min": product.duration_h * 60,
            "committed_kwh": float(np.asarray(product.committed_kw) @ horizon.h),
            "held_kwh": float(held_kw @ horizon.h),
            "least_held_kw": float(held_kw.min()),
            "income": float((np.asarray(product.price_per_kw_h) * held_kw) @ horizon.h),
        }


def maintenances(planned: Planned) -> Iterator[dict[str, Any]]:
    """Each maintenance that touches the plan, fixed or placed by it; `start` and `end` are None where no window was found,
    and one of them where GPUs leave for good, or are not there before.
    """
    edges, placed = planned.edges, {w.maintenance.id: w for w in planned.decided.plan.problem.windows}
    for name, m in planned.site.maintenance.items():
        start, end = m.start, m.end  # one of them is absent of what leaves for good, and of what is still to come
        if name in placed:
            first, hours = placed[name].start, placed[name].maintenance.hours
            start = None if first is None else edges[first]
            end = None if start is None else start + timedelta(hours=hours)
        elif m.fixed is None or m.fixed[0] >= edges[-1] or m.fixed[1] <= edges[0]:
            continue
        said = {"start": start and instant(start), "end": end and instant(end)}
        yield {"id": name, "pool": m.pool, "gpus": m.gpus, "fixed": name not in placed, **said}


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
    if plan.problem.grid.may_export:
        said["export_revenue"] = f"export revenue, {currency}"
    if any(plan.problem.grid.fees_per_kwh):
        said["fees_cost"] = f"fees and taxes, {currency}"
    if plan.problem.carbon and plan.problem.carbon.price_per_kg:
        said["carbon_cost"] = f"carbon cost, {currency}"
    if plan.problem.demand_charges:
        said["peak_cost"] = f"peak cost, {currency}"
    if base["water_m3"]:
        said["water_m3"] = "water, m3"
    rows = [(label, f"{ours[key]:,.1f}", f"{base[key]:,.1f}") for key, label in said.items()]
    for kind, (label, sign) in BESIDE.items():
        paid, without = (sign * state.cost.get(kind, 0.0) + 0.0 for state in (plan.account, plan.baseline))
        if paid or without:
            rows.append((f"{label}, {currency}", f"{paid:,.1f}", f"{without:,.1f}"))
    if ours["weighted_throughput"] is not None:
        rows.append(("weighted throughput", f"{ours['weighted_throughput']:.4f}", f"{base['weighted_throughput']:.4f}"))
    if plan.problem.jobs:
        rows.append(("jobs' work, GPU h", f"{ours['job_work_gpu_h']:,.1f}", f"{base['job_work_gpu_h']:,.1f}"))
        later, nothing = (round(figures["carried_cost"], 1) + 0.0 for figures in (ours, base))
        rows.append((f"work carried past the end, {currency}", f"{later:,.1f}", f"{nothing:,.1f}"))
    return rows


def _figures(plan: Plan, state: Account) -> dict[str, Any]:
    problem, h = plan.problem, plan.problem.horizon.h
    return {
        "objective": state.objective,
        "energy_kwh": float(state.import_kw @ h),
        "energy_cost": state.cost["energy"],
        "export_kwh": float(state.export_kw @ h),
        "export_revenue": 0.0 - state.cost["export"],
        "peak_kw": float(state.import_kw.max()),
        "fees_cost": state.cost["fees"],
        "carbon_cost": state.cost.get("carbon", 0.0),
        "peak_cost": state.cost["peak"],
        "demand_charges": [
            {"id": c.id, "peak_kw": c.peak_kw(state.import_kw), "so_far_kw": c.so_far_kw, "price_per_kw": c.price_per_kw}
            for c in problem.demand_charges
        ],
        "carbon_kg": float((state.import_kw * h) @ np.asarray(problem.grid.carbon_g_per_kwh)) / 1000 + float(problem.burnt_kg(state.given_kw).sum()),
        "weighted_throughput": _weighted_throughput(plan, state),
        "job_work_gpu_h": float(state.work_gpu_h[len(problem.firms) :].sum()),
        "carried_cost": state.cost["carried"],
        "water_m3": float(water_m3(problem.cooling_plants, state.heat_kw, problem.outdoor_c, h).sum()),
    }


def _weighted_throughput(plan: Plan, state: Account) -> float | None:
    """sum(h * weight * mean speed) / sum(h * weight) over firm workloads, None without any.

    A service's weight stands for all its GPUs; in each step the demanded share of them counts.
    """
    firms, horizon = plan.problem.firms, plan.problem.horizon
    total = float(sum(f.weight * (f.window(horizon) @ horizon.h) for f in firms))
    if not total:
        return None
    return float(sum(f.weight * state.work_gpu_h[i].sum() / f.gpus for i, f in enumerate(firms)) / total)
