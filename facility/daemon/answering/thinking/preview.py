"""Preview: two plans of the same instant, with and without some changes, told apart for who thinks of commanding them.

`cost` counts what is billed, and at the mean price the work that is left for after the horizon; neither the worth of rentals' speed nor the
prices that only steer. What a change does to rentals is told as speed, and what it breaks as what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import numpy as np

from facility.bus.messages import Breach, ContractChange, Figures, JobChange, Judged, PoolCaps, WhatIfResult
from facility.daemon.answering.thinking.changes import words
from facility.daemon.answering.thinking.fates import FATES, contract_changes, job_changes
from facility.daemon.answering.thinking.inquiry import WhatIf
from facility.decide import Undecided
from facility.limits import rounded
from facility.planner import Planned
from facility.report.broken import in_words
from facility.report.charts.money import KINDS
from facility.report.current import broken
from models.breach import TINY
from models.horizon import Floats

AHEAD = timedelta(hours=1)
"""How far caps are told."""
MOST_POOLS, MOST_JOBS, MOST_CONTRACTS, MOST_BREACHES = 60, 40, 20, 10
WORSE = 1.01
"""What is broken by more than a hundredth more is broken by more."""
SMALL = 0.005
"""Half a cent."""


def preview(
    inquiry: WhatIf, judged: tuple[Judged, ...], before: Planned | Undecided, after: Planned | Undecided, seconds: float
) -> WhatIfResult:
    """The answer, which took so many seconds."""
    edges, site = inquiry.newest.edges, inquiry.newest.site
    times = tuple(at for at in edges[:-1] if at < edges[0] + AHEAD)
    caps = _caps(site.pools, before, after, len(times))
    jobs, contracts, more, less = list[JobChange](), list[ContractChange](), list[Breach](), list[Breach]()
    if isinstance(before, Planned) and isinstance(after, Planned):
        jobs, contracts = job_changes(before, after), contract_changes(before, after)
        was, will = _broken(before), _broken(after)
        more, less = _beyond(will, was), _beyond(was, will)
        says = _told(before, after, jobs, contracts, more, less)
    else:
        undecided = after if isinstance(after, Undecided) else before
        assert isinstance(undecided, Undecided)
        verb, when = ("leaves", "then") if undecided is after else ("ends a time with", "now")
        says = f"{verb} no plan in force ({when}: {undecided.reason}), so that nobody can say what it costs"
    lists = ((caps, MOST_POOLS), (jobs, MOST_JOBS), (contracts, MOST_CONTRACTS), (more, MOST_BREACHES), (less, MOST_BREACHES))
    return WhatIfResult(
        id=inquiry.id,
        status="ok",
        says="; ".join(filter(None, (f"{words(inquiry.asked.changes, judged)} {says}", inquiry.ground.otherwise)))[:1000],
        judged=judged,
        at=edges[0],
        until=edges[-1],
        currency=site.currency,
        before=figures(before) if isinstance(before, Planned) else None,
        after=figures(after) if isinstance(after, Planned) else None,
        times=times,
        caps=tuple(caps[:MOST_POOLS]),
        jobs=tuple(jobs[:MOST_JOBS]),
        contracts=tuple(contracts[:MOST_CONTRACTS]),
        broken=tuple(more[:MOST_BREACHES]),
        mended=tuple(less[:MOST_BREACHES]),
        left_out=sum(max(0, len(some) - most) for some, most in lists),
        seconds=seconds,
    )


def figures(planned: Planned) -> Figures:
    """A plan in numbers."""
    plan = planned.decided.plan
    state, problem, h = plan.account, plan.problem, plan.problem.horizon.h
    costs = {kind: float(state.cost[kind]) for kind in KINDS if kind != "value" and state.cost.get(kind)}
    back_kw = _back_kw(planned)
    return Figures(
        cost=sum(costs.values()),
        costs=costs,
        energy_kwh=float(state.import_kw @ h),
        peak_kw=float(state.import_kw.max()),
        margin_kw=float((np.asarray(problem.grid.limit_kw) + back_kw - state.import_kw).min()),
        kept_kw=float(back_kw.min()),
        work_gpu_h=float(state.work_gpu_h.sum()),
        jobs_late=int((state.breach["unfinished_gpu_h"] > TINY).sum()),
        breaches=len(_broken(planned)),
    )


def _back_kw(planned: Planned) -> Floats:
    """How far the plan stays below what may be drawn, shape (T,)."""
    kept = () if planned.commanded is None else planned.commanded.kept_back_kw
    return np.array(kept or [0.0] * (len(planned.edges) - 1))


def _caps(pools: Iterable[str], before: Planned | Undecided, after: Planned | Undecided, steps: int) -> list[PoolCaps]:
    """Caps by pool in the first steps, those that change most first."""
    was, will = _highest(before, steps), _highest(after, steps)
    nothing = (None,) * steps
    found = [PoolCaps(pool=pool, before_w=was.get(pool, nothing), after_w=will.get(pool, nothing)) for pool in pools]
    return sorted(found, key=lambda caps: -sum(abs((a or 0) - (b or 0)) for a, b in zip(caps.before_w, caps.after_w, strict=True)))


def _highest(planned: Planned | Undecided, steps: int) -> dict[str, tuple[int | None, ...]]:
    if isinstance(planned, Undecided):
        return {}
    groups, workloads = planned.decided.plan.schedule.groups, planned.decided.plan.problem.workloads
    highest: dict[str, list[int | None]] = {}
    for w, t, cap_w in zip(groups.w.tolist(), groups.t.tolist(), groups.cap_w.tolist(), strict=True):
        if t < steps:
            caps = highest.setdefault(workloads[w].pool, [None] * steps)
            caps[t] = max(caps[t] or 0, cap_w)
    return {pool: tuple(caps) for pool, caps in highest.items()}


def _broken(planned: Planned) -> list[Breach]:
    return list(broken(planned.site, planned.decided, planned.jobs, _back_kw(planned)))


def _beyond(ones: Sequence[Breach], others: Sequence[Breach]) -> list[Breach]:
    """Those of `ones` that are broken by more than the same limit is at most among `others`."""
    most: dict[tuple[str, str], float] = {}
    for breach in others:
        most[breach.family, breach.asset] = max(most.get((breach.family, breach.asset), 0.0), breach.amount)
    return [breach for breach in ones if breach.amount > WORSE * most.get((breach.family, breach.asset), 0.0) + TINY]


def _told(
    before: Planned,
    after: Planned,
    jobs: Sequence[JobChange],
    contracts: Sequence[ContractChange],
    more: Sequence[Breach],
    less: Sequence[Breach],
) -> str:
    was, will, currency = figures(before), figures(after), before.site.currency
    hours = (before.edges[-1] - before.edges[0]) / timedelta(hours=1)
    dearer = will.cost - was.cost
    sums = f"over the next {hours:.0f} h ({will.cost:,.2f} instead of {was.cost:,.2f})"
    cost = f"costs {dearer:,.2f} {currency} more {sums}" if dearer > SMALL else f"saves {-dearer:,.2f} {currency} {sums}"
    told = [cost if abs(dearer) > SMALL else f"costs nothing {sums}"]
    told += [f"{count} {said[count > 1]}" for change, said in FATES.items() if (count := sum(job.change == change for job in jobs))]
    told += [contract.says for contract in contracts[:2]] + ([f"{len(contracts) - 2} more contracts change"] if len(contracts) > 2 else [])
    if more:
        worst = more[0]
        others = f" and {len(more) - 1} more" if len(more) > 1 else ""
        told.append(f"it breaks a limit: {in_words(worst)} by {rounded(worst.amount)} {worst.unit}{others}")
    elif less:
        told.append(f"it keeps a limit that is broken without it: {in_words(less[0])}")
    else:
        told.append("no limit is broken by it")
    return "; ".join(told)
