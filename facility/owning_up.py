"""Owning up: what a plan says itself that its first step breaks, so that a second opinion need not refuse it for that."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from models.plan import Plan


def broken_rules(plan: Plan) -> frozenset[str]:
    """Name the verifier's rules of the grid that the first step breaks and tells."""
    breach = plan.account.breach
    hot = bool((breach["too_hot_k"][:, :1] > 0).any())
    told = {"grid.limit": hot or bool(breach["over_limit_kw"][0] > 0), "grid.event": hot or bool(breach["over_event_kw"][0] > 0)}
    for product, short_kw in zip(plan.problem.reserves, breach["short_reserve_kw"], strict=True):
        rule = f"grid.reserve_{product.direction}"
        told[rule] = told.get(rule, False) or bool(short_kw[0] > 0)
    return frozenset(rule for rule, broken in told.items() if broken)


def silent_stops(plan: Plan, held: AbstractSet[str]) -> frozenset[str]:
    """Name the jobs of `held` that the plan could run now, though nobody ordered it otherwise, without saying that it cuts them short."""
    problem, first = plan.problem, len(plan.problem.firms)
    cut_short = plan.account.breach.get("cut_short_gpu_h")
    return frozenset(
        job.id
        for i, job in enumerate(problem.jobs)
        if job.id in held and problem.cells.share[first + i, 0] > 0 and (cut_short is None or not cut_short[i, 0] > 0)
    )
