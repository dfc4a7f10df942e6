"""Explain: why a job, a pool, a contract or an instant of a plan is as it is, which limits bind, and the cheapest remedy, from solving again."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np

from facility.durations import parse_instant
from facility.errors import Fault, InputError
from facility.limits import WORDS, rounded, sentence, told
from facility.overrides.arbitrate import Bounds, bounds
from facility.planner import Planned
from facility.reasons import caps_reason, job_reason, pool_reason
from models.breach import CONTRACT, TINY
from models.horizon import Floats
from models.telling.marginal import LIMITS
from models.telling.remedy import Remedy, WhatIf, later_deadline
from models.telling.why import Cause
from models.work.job import Job

MOST_REMEDIES = 4
"""Limits that are tried, those that cost most first; each is a solve."""
LATER_H = 1.0
LIMIT, GRID_LIMITS = "limit", "grid.limits"
"""What asks for the import limit, and its family."""

EASED = {
    "plant_kwh": "kWh less above a rating or a hall's band",
    "grid_limit_kwh": "kWh less above the import limit",
    "grid_event_kwh": "kWh less above an event's target, a ramp or a reserve",
    "contract_gpu_h": "GPU h less short of contracts",
}


@dataclass(frozen=True)
class Binding:
    """A limit that makes what was asked about dearer: `cost` in money, over the steps in which it does."""

    limit: str
    asset: str | None
    says: str
    cost: float


@dataclass(frozen=True)
class Cure:
    """More of one limit, and what it would have saved."""

    limit: str
    asset: str | None
    more: float
    unit: str
    begins: str
    ends: str
    saved: float
    says: str


@dataclass(frozen=True)
class Explanation:
    """Sentences, limits (the dearest first) and remedies (the one that saves most for the least change first)."""

    asked: str
    kind: Literal["job", "pool", "contract", "limit", "time"]
    says: tuple[str, ...]
    limits: tuple[Binding, ...]
    remedies: tuple[Cure, ...]

    def as_json(self) -> dict[str, Any]:
        """For `summary.json`."""
        return asdict(self)


def explain(planned: Planned, asked: str, budget_s: float) -> Explanation:
    """Why `asked` is as it is: the id of a job, a pool or a contract, `limit` or an instant; InputError where it is none of them."""
    plan, site = planned.decided.plan, planned.site
    jobs = {job.id: len(plan.problem.firms) + i for i, job in enumerate(plan.problem.jobs)}
    if asked in jobs:
        return _of_job(planned, asked, jobs[asked], budget_s)
    if asked in site.pools:
        return _of_pool(planned, asked, budget_s)
    if asked in site.contracts:
        return _of_contract(planned, asked, budget_s)
    if any(out.id == asked for out in planned.left_out):
        says = next(out.reason for out in planned.left_out if out.id == asked)
        return Explanation(asked, "job", (says,), (), ())
    if asked == LIMIT:
        return _of_limit(planned, budget_s)
    return _of_time(planned, asked, _step(planned, asked, [*jobs, *site.pools, *site.contracts]), budget_s)


def _of_job(planned: Planned, asked: str, w: int, budget_s: float) -> Explanation:
    plan, site, edges = planned.decided.plan, planned.site, planned.edges
    job = plan.problem.workloads[w]
    assert isinstance(job, Job)
    says = [job_reason(plan, _commanded(planned), w, edges, site)]
    window = np.flatnonzero(plan.problem.cells.share[w])
    if not len(window):
        return Explanation(asked, "job", tuple(says), (), ())
    says.append(f"a GPU h of it is worth {rounded(plan.why.worth(w))} {site.currency}")
    costs = {cause: money for cause, money in plan.why.window(w).items() if cause.family in LIMITS and money > TINY}
    found = _remedies(planned, costs, range(int(window[0]), int(window[-1]) + 1), budget_s, w)
    late = float(plan.account.breach["unfinished_gpu_h"][w - len(plan.problem.firms)]) > TINY
    if late and (saved := later_deadline(plan.problem, w, LATER_H, budget_s)) is not None and saved > TINY:
        at = edges[0] + timedelta(hours=job.deadline_h)
        says.append(f"a deadline {rounded(LATER_H)} h after {_instant(at)} would have saved {rounded(saved)} {site.currency}")
    return Explanation(asked, "job", tuple(says), _bindings(planned, costs), found)


def _of_pool(planned: Planned, asked: str, budget_s: float) -> Explanation:
    plan, commanded = planned.decided.plan, _commanded(planned)
    costs, told_, steps = _low_caps(planned, plan.problem.cells.pools.get(asked, []))
    if not told_ or asked in commanded.reasons:
        told_ = [pool_reason(plan, commanded, asked, planned.site.currency), *told_]
    return Explanation(asked, "pool", tuple(told_), _bindings(planned, costs), _remedies(planned, costs, steps, budget_s))


def _of_contract(planned: Planned, asked: str, budget_s: float) -> Explanation:
    """A contract by its rental, where it has one, and by its jobs."""
    plan, state, h = planned.decided.plan, planned.decided.plan.account, planned.decided.plan.problem.horizon.h
    firms, says = plan.problem.firms, []
    rentals = [w for w, firm in enumerate(firms) if firm.id == asked]
    costs, low, steps = _low_caps(planned, rentals)
    for w in rentals:
        demand, work = firms[w].demanded(len(h)), state.work_gpu_h[w]
        asks = demand > 0
        if asks.any():
            least, mean = float((work[asks] / (demand * h)[asks]).min()), float(work.sum() / (demand @ h))
            says.append(f"its GPUs run at {100 * mean:.1f} % of full speed on average and at {100 * least:.1f} % at least")
        if (terms := firms[w].budget) is not None:
            used_h, left_h = float(terms.slow_h(demand, work, h).sum()), sum(terms.left_h)
            says.append(f"it uses {rounded(used_h)} slow hours" + (f" of the {rounded(left_h)} it has left" if np.isfinite(left_h) else ""))
        if (short := float(state.breach["short_gpu_h"][w].sum())) > TINY:
            says.append(f"{rounded(short)} GPU h are short of its floor")
    jobs = [i for i, job in enumerate(planned.jobs) if job.contract == asked]
    late = [i for i in jobs if state.breach["unfinished_gpu_h"][i] > TINY]
    says += [f"{len(jobs)} jobs run under it, {len(late)} of which cannot finish"] if jobs else []
    says += low if low or says else ["it has neither a rental nor jobs in this plan"]
    return Explanation(asked, "contract", tuple(says), _bindings(planned, costs), _remedies(planned, costs, steps, budget_s))


def _low_caps(planned: Planned, members: list[int]) -> tuple[dict[Cause, float], list[str], range]:
    """What keeps the caps of some workloads low, money by limit; when, in words; and the steps from the first to the last."""
    plan, site, edges = planned.decided.plan, planned.site, planned.edges
    costs: dict[Cause, float] = {}
    says: list[tuple[int, int, str]] = []
    for t in range(len(plan.problem.horizon)):
        for cause, money in plan.why.raising(members, t).items():
            key = cause._replace(step=None)
            costs[key] = costs.get(key, 0.0) + money
        why = caps_reason(plan, members, t, site.currency)
        if why and says and says[-1][1] == t and says[-1][2].partition(":")[0] == why.partition(":")[0]:
            says[-1] = (says[-1][0], t + 1, says[-1][2].partition(":")[0])
        elif why:
            says.append((t, t + 1, why))
    told_ = [f"from {_instant(edges[a])} to {_instant(edges[b])} {why}" for a, b, why in says]
    return costs, told_, range(says[0][0], says[-1][1]) if says else range(0)


def _of_time(planned: Planned, asked: str, t: int, budget_s: float) -> Explanation:
    plan, site, edges = planned.decided.plan, planned.site, planned.edges
    costs = {Cause(p.family, p.asset, t): float(p.saved[t]) for p in plan.marginal if p.saved[t] > TINY}
    drawn, limit = float(plan.account.import_kw[t]), plan.problem.grid.limit_kw[t]
    span = f"from {_instant(edges[t])} to {_instant(edges[t + 1])}"
    says = [f"{span} {rounded(drawn)} of {rounded(limit)} kW are drawn, at {planned.forecast.price_per_mwh[t]:.2f} {site.currency}/MWh"]
    says += [f"pool {p}: {why}" for p in site.pools if (why := caps_reason(plan, plan.problem.cells.pools.get(p, []), t, site.currency))]
    first = len(plan.problem.firms)
    waiting = [w for w in range(first, len(plan.problem.workloads)) if plan.problem.cells.share[w, t] > 0 and plan.account.running[w, t] <= TINY]
    held = [w for w in waiting if plan.account.work_gpu_h[w, :t].sum() < plan.problem.jobs[w - first].work_gpu_h - TINY]
    says += [f"{len(held)} of {len(plan.problem.jobs)} jobs wait"] if held else []
    return Explanation(asked, "time", tuple(says), _bindings(planned, costs), _remedies(planned, costs, range(t, t + 1), budget_s))


def _of_limit(planned: Planned, budget_s: float) -> Explanation:
    """The import limit: when it binds, what it costs, and what more of it would have saved."""
    plan, edges = planned.decided.plan, planned.edges
    price = next((p for p in plan.marginal if p.family == GRID_LIMITS), None)
    if price is None or not (price.saved > TINY).any():
        left_kw = np.asarray(plan.problem.grid.limit_kw) - plan.account.import_kw
        t = int(left_kw.argmin())
        says = f"the import limit costs nothing: at least {rounded(float(left_kw[t]))} kW are left below it, from {_instant(edges[t])} on"
        return Explanation(LIMIT, "limit", (says,), (), ())
    binds = np.flatnonzero(price.saved > TINY)
    most = int(max(binds, key=lambda t: price.saved[t] / plan.problem.horizon.h[t]))
    dearest = price.saved[most] / plan.problem.horizon.h[most]
    first, last, currency = int(binds[0]), int(binds[-1]), planned.site.currency
    when = f"it binds in {len(binds)} of {len(edges) - 1} steps from {_instant(edges[first])} to {_instant(edges[last + 1])}"
    worth = f"most from {_instant(edges[most])}, where 1 kW of it is worth {rounded(float(dearest))} {currency} an hour"
    costs = {Cause(price.family, price.asset): price.total}
    found = _remedies(planned, costs, range(first, last + 1), budget_s)
    return Explanation(LIMIT, "limit", (sentence(price, currency), f"{when}, {worth}"), _bindings(planned, costs), found)


def _commanded(planned: Planned) -> Bounds:
    return planned.commanded or bounds(planned.site, (), planned.edges[0], planned.edges)


def _bindings(planned: Planned, costs: dict[Cause, float]) -> tuple[Binding, ...]:
    plan = planned.decided.plan
    dearest = sorted(costs.items(), key=lambda item: -item[1])
    return tuple(Binding(c.family, _asset(planned, c.asset), told(c, plan.why), money) for c, money in dearest)


def _remedies(planned: Planned, costs: dict[Cause, float], around: range, budget_s: float, job: int | None = None) -> tuple[Cure, ...]:
    """The remedies among the limits of `costs`: first what saves most money for each hundredth that the limit changes."""
    if not costs:
        return ()
    what_if = WhatIf(planned.decided.plan.problem, budget_s)
    wanted = [(c.family, c.asset) for c, _ in sorted(costs.items(), key=lambda item: -item[1])]
    limits = [limit for key in wanted for limit in what_if.marginal if (limit.family, limit.asset) == key]
    found = [remedy for limit in limits[:MOST_REMEDIES] if (remedy := what_if.without(limit, around)) is not None]
    if job is not None:
        found = [remedy for remedy in found if _relieves(remedy, what_if.running, job)]
    found.sort(key=lambda remedy: -(remedy.saved + sum(remedy.eased.values()) * 1e6) / remedy.share)
    return tuple(_cure(planned, remedy, job) for remedy in found)


def _relieves(remedy: Remedy, running: Floats, job: int) -> bool:
    """Whether a job that runs as in `running` would start earlier, or something promised would be kept."""
    now, then = (np.flatnonzero(gpus[job] > TINY).min(initial=len(gpus[job])) for gpus in (running, remedy.running))
    return bool(then < now or remedy.eased.get(CONTRACT.name, 0.0) > TINY)


def _cure(planned: Planned, remedy: Remedy, job: int | None) -> Cure:
    edges, currency, words = planned.edges, planned.site.currency, WORDS[remedy.family]
    begins, ends, unit = edges[remedy.first], edges[remedy.last + 1], LIMITS[remedy.family].unit
    says = (
        f"{words.a_unit(unit, remedy.more)} of {words.of(remedy.asset)} from {_instant(begins)} to {_instant(ends)} "
        f"would have saved {rounded(remedy.saved)} {currency}"
    )
    eased = [f"{rounded(less)} {EASED[tier]}" for tier, less in remedy.eased.items() if less > 0]
    says += f", with {' and '.join(eased)}" if eased else ""
    if job is not None and len(ran := np.flatnonzero(remedy.running[job] > TINY)):
        says += f"; the job would have started at {_instant(edges[int(ran[0])])}"
    asset = _asset(planned, remedy.asset)
    return Cure(remedy.family, asset, remedy.more, unit, _instant(begins), _instant(ends), remedy.saved, says)


def _step(planned: Planned, asked: str, names: list[str]) -> int:
    """The step that holds the instant `asked`, an ISO 8601 one or a time of the plan's first local day."""
    edges, zone = planned.edges, ZoneInfo(planned.site.timezone)
    try:
        clock = time.fromisoformat(asked)
        first = edges[0].astimezone(zone)
        text = f"{first.date()}T{asked}" if clock >= first.time() else f"{first.date() + timedelta(days=1)}T{asked}"
        at = parse_instant(text, zone, "--explain")[0]
    except ValueError:
        try:
            at = parse_instant(asked, zone, "--explain")[0]
        except InputError:
            lower = {name.lower(): name for name in names}
            near = difflib.get_close_matches(asked.lower(), lower, 1, 0.4)
            remedy = f"did you mean {lower[near[0]]}?" if near else "give the id of a job, a pool or a contract, or a time such as 17:00"
            raise InputError(Fault("--explain", f"{asked!r} is no job, pool, contract or time of this plan", remedy)) from None
    if not edges[0] <= at < edges[-1]:
        raise InputError(
            Fault("--explain", f"{asked} is outside the plan", f"give a time from {_instant(edges[0])} to {_instant(edges[-1])}")
        )
    return max(t for t, edge in enumerate(edges[:-1]) if edge <= at)


def _asset(planned: Planned, asset: str | None) -> str | None:
    return planned.site.grid.feed if asset is None else asset


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%MZ}"
