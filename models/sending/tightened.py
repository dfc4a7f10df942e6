"""Tightened: the problem with a hair less of every limit, so that rounding has room.

No limit that the program keeps is broken by rounding what it says to what can be sent.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.grid.carbon import Carbon
from models.grid.reserve import Reserve
from models.heat.cooling_plant import CoolingPlant, secants
from models.horizon import Horizon
from models.problem import Problem
from models.work.budget import Budget
from models.work.firm import Firm

ROUNDING_RESERVE = 1e-5
"""Share of every electrical limit that the program leaves for rounding."""
ROUNDED_KW_AT_METER = 1.5
"""What a kW that rounding takes may be at the meter, with cooling and losses."""


def tightened(problem: Problem) -> Problem:
    """The problem with a hair less of every electrical limit and of what cools chips, so that rounding has room.

    Rounding lowers loads, so where power flows back what it takes comes off the export limit and the ratings.
    """
    keep = 1 - ROUNDING_RESERVE
    steps_w = _steps_w(problem)
    rounded_kw = _rounded_kw(problem) if problem.grid.may_export or problem.sources else 0.0
    return replace(
        problem,
        grid=replace(
            problem.grid,
            limit_kw=tuple(limit * keep for limit in problem.grid.limit_kw),
            event_target_kw=tuple(None if kw is None else kw * keep for kw in problem.grid.event_target_kw),
            ramp_kw_per_h=_reserved_ramp(problem),
            export_limit_kw=_less(problem.grid.export_limit_kw, rounded_kw),
        ),
        carbon=_reserved_carbon(problem.carbon, keep),
        feeders=tuple(
            replace(f, rating_kw=_less(f.rating_kw * keep, rounded_kw if problem.may_return(f) else 0.0)) for f in problem.feeders
        ),
        feeds=tuple(replace(f, limit_kw=f.limit_kw * keep) for f in problem.feeds),
        batteries=tuple(replace(b, ride_through_h=b.ride_through_h / keep) for b in problem.batteries),
        firms=tuple(
            f if f.budget is None else replace(f, budget=_reserved_budget(f, f.budget, problem.horizon, steps_w[f.id])) for f in problem.firms
        ),
        reserves=tuple(_reserved(r, 0.001 * ROUNDED_KW_AT_METER * sum(steps_w.values())) for r in problem.reserves),
        cooling_plants=tuple(_reserved_plant(c, keep, looped=bool(problem.plant_loops(c))) for c in problem.cooling_plants),
    )


def _reserved_budget(firm: Firm, budget: Budget, horizon: Horizon, step_w: float) -> Budget:
    """A budget less what a settable step of one GPU takes in the step in which that is most; what other steps lose they can give back."""
    cap_w, speed = np.asarray(firm.curve.cap_w), np.asarray(firm.curve.speed)
    used = speed[1:] > 1 / budget.greatest_slowdown
    per_w = float((np.diff(speed) / np.diff(cap_w))[used].max(initial=0.0))
    lost_h = per_w * step_w * horizon.h / (budget.withheld * np.maximum(firm.demanded(len(horizon)), 1.0))
    most_h = [float(lost_h[steps.start : steps.stop].max()) for steps in budget.windows()]
    return replace(budget, left_h=tuple(max(0.0, left - lost) for left, lost in zip(budget.left_h, most_h, strict=True)))


def _reserved(product: Reserve, lost_kw: float) -> Reserve:
    """A reserve of which a little more is to be held than is sold: rounding takes up to a settable step of each workload."""
    committed = tuple(kw + lost_kw if kw else 0.0 for kw in product.committed_kw)
    most = tuple(max(kw, sold) for kw, sold in zip(product.most_kw, committed, strict=True))
    return replace(product, committed_kw=committed, most_kw=most)


def _reserved_plant(plant: CoolingPlant, keep: float, *, looped: bool) -> CoolingPlant:
    """A plant that cools chips with less capacity, and one with a set-point a hair further from the air that it cools."""
    if point := plant.set_point:
        plant = replace(plant, set_point=replace(point, approach_k_per_kw=point.approach_k_per_kw / keep))
    if not looped:
        return plant
    capacity = tuple((outdoor_c, share * keep) for outdoor_c, share in plant.chiller.capacity or ((0.0, 1.0),))
    return replace(plant, chiller=replace(plant.chiller, capacity=capacity))


def _reserved_carbon(carbon: Carbon | None, keep: float) -> Carbon | None:
    return carbon if carbon is None or carbon.cap_kg is None else replace(carbon, cap_kg=carbon.cap_kg * keep)


def _reserved_ramp(problem: Problem) -> float | None:
    """The ramp less what rounding may take from the import of one step and not of the next, kW/h."""
    ramp = problem.grid.ramp_kw_per_h
    if ramp is None or len(problem.horizon) == 1:
        return ramp
    return max(0.0, ramp - _rounded_kw(problem) / float((problem.horizon.h[1:] + problem.horizon.h[:-1]).min() / 2))


def _rounded_kw(problem: Problem) -> float:
    """What rounding may take from the import of a step, kW.

    That is two settable steps of a workload, and what the plants' straight lines lie above their curves, with losses.
    """
    lost_kw = 0.002 * sum(_steps_w(problem).values())
    for plant in problem.cooling_plants:
        slope, intercept, _ = secants(plant.chiller, problem.outdoor_c)
        points = plant.chiller.breakpoints_kw()
        middle = (points[1:, None] + points[:-1, None]) / 2
        lost_kw += float((intercept + slope * middle - plant.chiller.power_kw(middle, problem.outdoor_c)).max())
    return ROUNDED_KW_AT_METER * lost_kw


def _steps_w(problem: Problem) -> dict[str, float]:
    """The step in which the caps of each workload can be set, W, by its id."""
    step_w = {p.id: p.host.power_step_w for p in problem.pools}
    return {load.id: step_w[load.pool] for load in problem.workloads}


def _less(limit_kw: float, rounded_kw: float) -> float:
    """A limit less what rounding may add to what flows back, and never nothing of it, kW."""
    return max(limit_kw - rounded_kw, limit_kw * ROUNDING_RESERVE)
