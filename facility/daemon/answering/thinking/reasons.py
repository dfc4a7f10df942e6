"""Reasons: why a job, a pool, a contract, the import limit or an instant is as it is, as an answer on the bus."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from facility.bus.messages import WhyLimit, WhyRemedy, WhyResult
from facility.daemon.answering.thinking.inquiry import Why
from facility.errors import Fault, InputError
from facility.explain import LIMIT, Explanation, explain
from facility.planner import Planned

MOST_LINES, MOST_LIMITS = 30, 20


def reasons(inquiry: Why, planned: Planned, budget_s: float, took_s: Callable[[], float]) -> WhyResult:
    """The answer; each solve that it takes has `budget_s` seconds. InputError where the plan knows nothing of what is asked about."""
    told = explain(planned, name_of(planned, inquiry.asked.about), budget_s)
    prices = {(price.family, price.asset): price for price in planned.decided.plan.marginal}
    feed = planned.site.grid.feed
    limits = []
    for limit in told.limits[:MOST_LIMITS]:
        price = prices.get((limit.limit, limit.asset)) or prices.get((limit.limit, None if limit.asset == feed else limit.asset))
        limits.append(
            WhyLimit(
                limit=limit.limit,
                asset=limit.asset,
                says=limit.says[:1000],
                cost=limit.cost,
                price=None if price is None else price.total,
                unit=None if price is None else price.unit,
            )
        )
    remedies = tuple(
        WhyRemedy(
            limit=cure.limit,
            asset=cure.asset,
            more=cure.more,
            unit=cure.unit,
            begins=_instant(cure.begins),
            ends=_instant(cure.ends),
            saved=cure.saved,
            says=cure.says[:1000],
        )
        for cure in told.remedies
    )
    otherwise = inquiry.ground.otherwise
    lines = tuple(line[:1000] for line in [*filter(None, [otherwise]), *told.says[:MOST_LINES]])
    return WhyResult(
        id=inquiry.id,
        status="ok",
        says="; ".join(filter(None, (sentence(told), otherwise)))[:1000],
        about=inquiry.asked.about,
        lines=lines,
        at=planned.edges[0],
        currency=planned.site.currency,
        limits=tuple(limits),
        remedies=remedies,
        seconds=took_s(),
    )


def sentence(told: Explanation) -> str:
    """What is asked about, why, and what would help most for the least, in a sentence."""
    subject = "the import limit" if told.kind == "limit" else told.asked if told.kind == "time" else f"{told.kind} {told.asked}"
    parts = [told.says[0] if told.says else "nothing stands in its way"]
    if told.limits and told.limits[0].says.partition(" (")[0] not in parts[0]:
        parts.append(f"what costs most is {told.limits[0].says}")
    if told.remedies:
        parts.append(told.remedies[0].says)
    return f"{subject}: {'; '.join(parts)}"[:1000]


def name_of(planned: Planned, about: str) -> str:
    """What `explain` calls it. InputError where the site or the plan has no such thing."""
    sort, _, name = about.partition("/")
    known = {
        "job": [job.id for job in planned.jobs],
        "pool": [f"{pool.hall}/{key}" for key, pool in planned.site.pools.items()],
        "contract": list(planned.site.contracts),
    }
    if sort not in known or not name or about == LIMIT:
        return about
    if name in known[sort] or (sort == "pool" and name in planned.site.pools):
        return name.rpartition("/")[2]
    some = ", ".join(known[sort][:10]) or "none"
    raise InputError(Fault("about", f"the plan knows no {about}", f"there: {some}{', ...' if len(known[sort]) > 10 else ''}"))


def _instant(told: str) -> datetime:
    return datetime.fromisoformat(told)
