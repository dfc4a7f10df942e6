"""Difference: what something costs, by two plans of the same steps, with it and without it. Pure.

cost      = objective(with) - objective(without)
later[j]  = mean instant at which the work of job j is done, with it - without it; of jobs of which both do as much
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from facility.limits import sentence
from models.breach import TINY
from models.plan import Plan

SMALL_GPU_H = 0.05
"""Who gets less done by no more than this does not give way: that much is rounding."""
SMALL_H = 0.05
"""Whose work is later by no more than this is not told of."""


@dataclass(frozen=True)
class Displaced:
    """A job or contract that gives way: work that is done less of in the plan, of it what is undone when a job is due, GPU h at full speed."""

    kind: Literal["job", "contract"]
    id: str
    less_gpu_h: float
    undone_gpu_h: float = 0.0


@dataclass(frozen=True)
class Difference:
    """Money by kind in `costs`, their sum in `cost`; `later_h` tells by job how much later its work is done in the mean, h."""

    cost: float
    costs: Mapping[str, float]
    energy_kwh: float
    peak_kw: float
    carbon_kg: float
    displaced: tuple[Displaced, ...]
    later_h: Mapping[str, float]


def difference(without: Plan, made: Plan, moved: Mapping[str, str] | None = None) -> Difference:
    """What `made` costs more than `without`, and who gives way; `moved` tells by contract of `made` which one it is of `without`."""
    before, after, h = without.account, made.account, made.problem.horizon.h
    costs = {kind: money - before.cost.get(kind, 0.0) for kind, money in after.cost.items()}
    more_kw = after.import_kw - before.import_kw
    return Difference(
        after.objective - before.objective,
        costs,
        float(more_kw @ h),
        float(after.import_kw.max() - before.import_kw.max()),
        _carbon_kg(made) - _carbon_kg(without),
        tuple(_displaced(without, made, moved or {})),
        dict(_later(without, made)),
    )


def worse(made: Plan, without: Plan) -> str:
    """The limits that are broken further with it than without it; empty where none is."""
    found = []
    for family, amount in made.account.breach.items():
        before = float(np.sum(without.account.breach.get(family, 0.0)))
        more = float(amount.sum()) - before
        if more > max(TINY, 1e-6 * before):
            found.append(f"{family} by {more:.2f}")
    return ", ".join(found)


def binding(plan: Plan, currency: str) -> str:
    """The limit that is dearest in a plan."""
    prices = sorted(plan.marginal, key=lambda price: -price.total)
    return f"what binds: {sentence(prices[0], currency)}" if prices else "no limit has a price"


def _carbon_kg(plan: Plan) -> float:
    """CO2 of what is drawn from the grid, and of gensets' fuel."""
    problem, account = plan.problem, plan.account
    drawn_kg = float((account.import_kw * problem.horizon.h) @ np.asarray(problem.grid.carbon_g_per_kwh)) / 1000
    return drawn_kg + float(problem.burnt_kg(account.given_kw).sum())


def _displaced(without: Plan, made: Plan, moved: Mapping[str, str]) -> Iterator[Displaced]:
    """Who gets less done within the plan, those that lose most first."""
    before, after = _done(without, {}), _done(made, moved)
    found = (Displaced(*key, before[key][0] - work, max(undone - before[key][1], 0.0)) for key, (work, undone) in after.items() if key in before)
    yield from sorted((each for each in found if each.less_gpu_h > SMALL_GPU_H), key=lambda each: -each.less_gpu_h)


def _done(plan: Plan, moved: Mapping[str, str]) -> dict[tuple[Literal["job", "contract"], str], tuple[float, float]]:
    """What each job and contract gets done, and what of it is undone when it is due, GPU h at full speed."""
    work, firms = plan.account.work_gpu_h.sum(axis=1), plan.problem.firms
    undone = plan.account.breach["unfinished_gpu_h"]
    done: dict[tuple[Literal["job", "contract"], str], tuple[float, float]] = {}
    for i, firm in enumerate(firms):
        whose = moved.get(firm.id, firm.id)
        done["contract", whose] = (done.get(("contract", whose), (0.0, 0.0))[0] + float(work[i]), 0.0)
    for i, job in enumerate(plan.problem.jobs):
        done["job", job.id] = (float(work[len(firms) + i]), float(undone[i]))
    return done


def _later(without: Plan, made: Plan) -> Iterator[tuple[str, float]]:
    """The jobs whose work is later, the latest first."""
    before, after = _mean_h(without), _mean_h(made)
    found = [(job, after[job][0] - mean_h, work - after[job][1]) for job, (mean_h, work) in before.items() if job in after]
    late = [(job, later_h) for job, later_h, less in found if later_h > SMALL_H and abs(less) <= SMALL_GPU_H]
    yield from sorted(late, key=lambda each: -each[1])


def _mean_h(plan: Plan) -> dict[str, tuple[float, float]]:
    """The mean instant at which each job's work is done, hours after the plan's start, and the work, GPU h; of those that do any."""
    horizon, first = plan.problem.horizon, len(plan.problem.firms)
    work = plan.account.work_gpu_h[first:]
    middle_h = horizon.starts + horizon.h / 2
    done = [(job.id, mine, float(mine.sum())) for job, mine in zip(plan.problem.jobs, work, strict=True)]
    return {job: (float(mine @ middle_h) / whole, whole) for job, mine, whole in done if whole > 0}
