"""Current: the plan in force as one retained message for operators and dashboards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Literal, cast

import msgspec
import numpy as np

from facility.bus.interface import MAX_PAYLOAD_BYTES
from facility.bus.messages import Breach, PlanCurrent, PlanStep, encode
from facility.decide import Optimised
from facility.forecast import Forecast
from facility.report.breaches import breaches
from facility.site import Site
from facility.snapshot import Job
from models.breach import FAMILIES
from models.horizon import Floats

MOST_BREACHES = 50
"""Broken limits that are told, those of the highest rank first."""
LESS = ((12, MOST_BREACHES), (12, 10), (1, 10), (0, 10))
"""Steps that still name every pool's cap, the first hour's then the first, and broken limits, where the whole would not fit into one message."""


def plan_payload(
    site: Site,
    decided: Optimised,
    jobs: Sequence[Job],
    forecast: Forecast,
    kept_back_kw: Sequence[float],
    plan_id: str,
    now: datetime,
    mode: str,
    reason: str,
) -> bytes:
    """The message on `plan/current`. A site of very many pools tells their caps for the first hour only."""
    return fitting(plan_current(site, decided, jobs, forecast, kept_back_kw, plan_id, now, mode, reason))


def fitting(told: PlanCurrent) -> bytes:
    """As much of a plan as fits into one message."""
    payload = encode(told)
    for detailed, broken in LESS:
        if len(payload) <= MAX_PAYLOAD_BYTES:
            break
        later = tuple(msgspec.structs.replace(step, caps_w={}) for step in told.steps[detailed:])
        payload = encode(msgspec.structs.replace(told, steps=told.steps[:detailed] + later, breaches=told.breaches[:broken]))
    return payload


def plan_current(
    site: Site,
    decided: Optimised,
    jobs: Sequence[Job],
    forecast: Forecast,
    kept_back_kw: Sequence[float],
    plan_id: str,
    now: datetime,
    mode: str,
    reason: str,
) -> PlanCurrent:
    """The plan, which was made for `jobs` and stays `kept_back_kw` below the import limit of each step (() where it does not), as `plan/current`
    carries it.
    """
    plan, edges = decided.plan, decided.edges
    back_kw = np.array(kept_back_kw or [0.0] * (len(edges) - 1))
    state, problem, h = plan.account, plan.problem, plan.problem.horizon.h
    groups = plan.schedule.groups
    highest: list[dict[str, int]] = [{} for _ in edges[1:]]
    for w, t, cap_w in zip(groups.w.tolist(), groups.t.tolist(), groups.cap_w.tolist(), strict=True):
        pool = problem.workloads[w].pool
        highest[t][pool] = max(highest[t].get(pool, 0), cap_w)
    steps = tuple(
        PlanStep(
            time=edges[t],
            hours=float(h[t]),
            import_kw=round(float(state.import_kw[t]), 3),
            import_limit_kw=round(float(problem.grid.limit_kw[t] + back_kw[t]), 3),
            kept_back_kw=round(float(back_kw[t]), 3),
            price_per_mwh=round(float(forecast.price_per_mwh[t]), 4),
            it_kw=round(float(state.it_kw[t]), 3),
            cooling_kw=round(float(state.cooling_kw[:, t].sum()), 3),
            battery_kw=round(float(state.battery_kw[:, t].sum()), 3),
            outdoor_c=round(float(problem.outdoor_c[t]), 2),
            gpus_running=round(float(state.running[:, t].sum()), 2),
            caps_w=highest[t],
        )
        for t in range(len(problem.horizon))
    )
    ours, base = state.cost["energy"], plan.baseline.cost["energy"]
    return PlanCurrent(
        plan_id=plan_id,
        issued_at=now,
        site=site.id,
        currency=site.currency,
        mode=cast("Literal['NORMAL', 'HOLD', 'SAFE', 'MANUAL']", mode),
        steps=steps,
        energy_kwh=float(state.import_kw @ h),
        energy_cost=ours,
        saving_pct=100 * (base - ours) / abs(base) if base else None,
        peak_kw=float(state.import_kw.max()),
        carbon_kg=float((state.import_kw * h) @ forecast.carbon_g_per_kwh) / 1000 + float(problem.burnt_kg(state.given_kw).sum()),
        breaches=tuple(islice(broken(site, decided, jobs, back_kw), MOST_BREACHES)),
        reason=reason[:1000],
    )


def broken(site: Site, decided: Optimised, jobs: Sequence[Job], back_kw: Floats) -> Iterator[Breach]:
    """What is broken of what may be drawn, and of all other limits; a plan that needs what it would keep back breaks nothing."""
    account = decided.plan.account
    over_kw = np.maximum(account.breach["over_limit_kw"] - back_kw, 0.0)
    found = breaches(site, decided, jobs, replace(account, breach={**account.breach, "over_limit_kw": over_kw}), explained=False)
    for told in sorted(found, key=lambda breach: FAMILIES.index(breach["family"])):
        yield Breach(
            family=told["family"],
            asset=told["asset"],
            start=datetime.fromisoformat(told["from"]),
            end=datetime.fromisoformat(told["to"]),
            amount=told["amount"],
            unit=told["unit"],
            remedy=told["remedy"],
        )
