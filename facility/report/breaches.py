"""Breaches: each broken limit of a plan in an engineer's words: what, when, how much, and what would have helped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from facility.decide import Optimised
from facility.reasons import caps_reason, unfinished_reason
from facility.report.tables import instant
from facility.site import Site
from facility.snapshot import Job
from models.account import Account
from models.breach import TINY
from models.horizon import Floats

UNITS = {
    "over_rating_kw": ("kW", "the feeder would carry more than its rating: take load off it or raise the rating"),
    "over_worst_kw": ("kW", "the sum of caps does not fit under the feeder: lower caps or move GPUs to another feeder"),
    "over_n1_kw": ("kW", "the others of the group could not carry it: take load off the group or raise their ratings"),
    "over_worst_n1_kw": ("kW", "the sum of caps does not fit under the others of the group: lower caps or raise their ratings"),
    "short_ride_through_kwh": ("kWh", "a fuller or larger battery, a shorter ride_through_min, or lower caps under its feeder"),
    "too_hot_k": ("K", "more cooling capacity or less load in this hall"),
    "uncooled_kw": ("kW", "more capacity of the hall's thermal.liquid_plant, or less load on its liquid-cooled pools"),
    "over_limit_kw": ("kW", "a higher import limit then, or less firm load"),
    "over_feed_kw": ("kW", "a higher import_limit_kw of this feed, or load on another one"),
    "over_export_kw": ("kW", "a higher grid.export_limit_kw, or less that must be given back"),
    "over_event_kw": ("kW", "a smaller reduction or a shorter event, less firm load, or lower floors"),
    "over_ramp_kw": ("kW", "a wider grid.ramp_kw_per_h, or longer ramps of an event"),
    "short_reserve_kw": ("kW", "sell less reserve then, or keep more load that can yield, or a fuller battery"),
    "over_carbon_kg": ("kg", "a higher carbon.cap_kg_per_day, less firm load, or work at hours of cleaner energy"),
    "short_gpu_h": ("GPU h", "a higher import limit or feeder rating then, or a lower floor"),
    "over_budget_h": ("h", "more slow_hours, a higher import limit or feeder rating then, or a budget used less before"),
    "stopped_early_h": ("h", "a shorter min_run_h, a lower min_load_share, or load that takes what the genset gives"),
    "cut_short_gpu_h": ("GPU h", "a shorter min_run_h, or a higher import limit or feeder rating then"),
    "unserviced_gpu_h": ("GPU h", "a later `latest`, fewer GPUs at once, or less work that must be done before"),
    "unfinished_gpu_h": ("GPU h", "a later deadline, or more GPUs or power before it"),
}

SUMMED = frozenset({"short_gpu_h", "over_budget_h", "over_carbon_kg", "stopped_early_h", "cut_short_gpu_h"})
"""Families whose amounts add up over the steps of a stretch; of the others the largest is told."""


def breaches(site: Site, decided: Optimised, jobs: Sequence[Job], state: Account, *, explained: bool = True) -> Iterator[dict[str, Any]]:
    """Each broken limit of `state`, the plan's account or its baseline's, as one entry per asset and unbroken stretch of steps.

    `jobs` are those it was made for. The amount is the largest, or a sum of work. `cause` names what else stood in the way of a promise that
    the plan breaks; None of a limit, of the baseline, and where it is not `explained`, as a plan that has forgotten why cannot be.
    """
    plan, edges = decided.plan, decided.edges
    problem, explained = plan.problem, explained and state is plan.account
    zones = [z.id for z in problem.halls if z.cooling_plant is not None]
    feeders = [f.id for f in problem.feeders]
    groups = [g.id for g in problem.redundancies]
    assets = {
        "over_rating_kw": feeders,
        "over_worst_kw": feeders,
        "over_n1_kw": groups,
        "over_feed_kw": [f.id for f in problem.feeds],
        "over_worst_n1_kw": groups,
        "short_ride_through_kwh": [b.id for b in problem.batteries if b.ride_through_h],
        "too_hot_k": zones,
        "uncooled_kw": [z.id for z in problem.loops],
        "short_gpu_h": [f.id for f in problem.firms],
        "over_budget_h": [f.id for f in problem.firms],
        "stopped_early_h": [g.id for g in problem.gensets],
        "cut_short_gpu_h": [j.id for j in problem.jobs],
        "short_reserve_kw": [r.id for r in problem.reserves],
    }
    for family, amount in state.breach.items():
        unit, remedy = UNITS[family]
        if family == "unfinished_gpu_h":
            for i in np.flatnonzero(amount > TINY).tolist():
                job = jobs[i]
                cause = unfinished_reason(plan, len(problem.firms) + i, site.currency) if explained else None
                yield _breach(family, job.id, instant(job.submit), instant(job.deadline), float(amount[i]), unit, remedy, cause)
            continue
        if family == "unserviced_gpu_h":
            for window in problem.windows:
                if window.start is None:
                    m = site.maintenance[window.maintenance.id]
                    begins, ends = (instant(at) for at in (m.earliest, m.latest) if at)
                    yield _breach(family, window.maintenance.id, begins, ends, window.unserviced_gpu_h, unit, remedy, None)
            continue
        for i, by_step in enumerate(np.atleast_2d(amount)):
            asset = assets[family][i] if family in assets else site.grid.feed
            for first, last in _stretches(by_step > TINY):
                part = by_step[first : last + 1]
                total = float(part.sum() if family in SUMMED else part.max())
                cause = None
                if family == "short_gpu_h" and explained:
                    cause = caps_reason(plan, [i], first + int(part.argmax()), site.currency) or None
                yield _breach(family, asset, instant(edges[first]), instant(edges[last + 1]), total, unit, remedy, cause)


def _breach(
    family: str, asset: str, begins: str, ends: str, amount: float, unit: str, remedy: str, cause: str | None
) -> dict[str, Any]:
    told = {"family": family, "asset": asset, "from": begins, "to": ends, "amount": amount, "unit": unit, "remedy": remedy}
    return told | {"cause": cause}


def _stretches(broken: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and last index of each run of True."""
    edges: Floats = np.diff(np.r_[0, broken.astype(int), 0])
    yield from zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True)
