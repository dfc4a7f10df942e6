"""Redundancy: feeders that back each other, any one of which may be lost (N-1).

    sum of load_kw[f,t] over the group  <= left + over_n1_kw[t]                         survives
    -sum of load_kw[f,t] over the group <= left + over_n1_kw[t]                         survives_back
    sum of worst_kw[f,t] over the group <= left_worst + over_worst_n1_kw[t]             survives_worst

    left       = least, over the feeder that is lost, of the sum of ratings of the others
    left_worst = least, over the feeder that is lost, of the sum of rating * margin of the others

Assumed: what hung under the lost feeder is transferred at once, with the losses it had, and the others share the group's whole
load by rating, also what flows back up through it; then each stays within its own rating exactly where the sum does. Losing
the largest leaves the least, so one row a step says it for every loss. `survives_back` has rows only where power may flow back
through a member. Feeders above the group are not in these rows: where the members hang under different feeders, those are a
group of their own.

| symbol           | name                                                       | unit |
|------------------|------------------------------------------------------------|------|
| load, worst      | of each feeder (`models.power.feeder`)                           | kW   |
| over_n1_kw       | breach: expected load above what the others are rated      | kW   |
| over_worst_n1_kw | breach: worst case above the others' rating * margin       | kW   |

Source: the (n-1) criterion, as in ENTSO-E's network code on system operation, (EU) 2017/1485, applied to a site's own feeders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import PLANT, Bill
from models.horizon import Floats
from models.power.feeder import Feeder, Load


@dataclass(frozen=True)
class Redundancy:
    """A group of two or more `feeders`, by id, none of them above another."""

    id: str
    feeders: tuple[str, ...]


def left_kw(group: Redundancy, feeders: Sequence[Feeder]) -> tuple[float, float]:
    """What the others carry where the largest of the group is lost, expected and in the worst case, kW."""
    rated = [f.rating_kw for f in feeders if f.id in group.feeders]
    at_worst = [f.rating_kw * f.worst_case_margin for f in feeders if f.id in group.feeders]
    return sum(rated) - max(rated), sum(at_worst) - max(at_worst)


def belongs(groups: Sequence[Redundancy], feeders: Sequence[Feeder]) -> Floats:
    """1 where a feeder is in a group, else 0, shape (R, F)."""
    return np.array([[float(f.id in group.feeders) for f in feeders] for group in groups]).reshape(len(groups), len(feeders))


def add(
    block: Any, left: tuple[float, float], steps: Any, loads: Sequence[Load], worsts: Sequence[Load], returned: Sequence[Load] = ()
) -> None:
    """Declare one group on `block`; `loads` and `worsts` are of its feeders, kW by step, `left` is what the others carry.

    `returned` are the loads without a margin for a forecast, none where no power may flow back.
    """
    block.RETURNS = pyo.Set(initialize=list(steps) if returned else [])
    block.left_kw = pyo.Param(initialize=left[0])
    block.left_worst_kw = pyo.Param(initialize=left[1])
    block.over_n1_kw = pyo.Var(steps, bounds=(0, None), dense=False)
    block.over_worst_n1_kw = pyo.Var(steps, bounds=(0, None), dense=False)

    @block.Constraint(steps)
    def survives(b: Any, t: int) -> Any:
        return sum(load(t) for load in loads) <= b.left_kw + b.over_n1_kw[t]

    @block.Constraint(block.RETURNS)
    def survives_back(b: Any, t: int) -> Any:
        return -sum(load(t) for load in returned) <= b.left_kw + b.over_n1_kw[t]

    @block.Constraint(steps)
    def survives_worst(b: Any, t: int) -> Any:
        return sum(worst(t) for worst in worsts) <= b.left_worst_kw + b.over_worst_n1_kw[t]


def cost(block: Any, h: Any, steps: Any) -> Any:
    """Money for carrying more than what a loss leaves, expected or in the worst case."""
    return sum(PLANT.price * h[t] * (block.over_n1_kw[t] + block.over_worst_n1_kw[t]) for t in steps)


def bill(groups: Sequence[Redundancy], feeders: Sequence[Feeder], load_kw: Floats, worst_kw: Floats, h: Floats) -> Bill:
    """What `groups` carry above what a loss leaves, where feeders carry `load_kw` and at worst `worst_kw`, both shape (F, T)."""
    if not groups:
        return Bill()
    member = belongs(groups, feeders)
    left = np.array([left_kw(group, feeders) for group in groups])
    breach = {
        "over_n1_kw": np.maximum(np.abs(member @ load_kw) - left[:, :1], 0.0),
        "over_worst_n1_kw": np.maximum(member @ worst_kw - left[:, 1:], 0.0),
    }
    return Bill({family: PLANT.price * float((amount @ h).sum()) for family, amount in breach.items()}, breach)
