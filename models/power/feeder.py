"""Feeder: a node of the electrical tree with a rating.

    load_kw[t]  = (1 + loss) * sum of expected loads below                   sums
    worst_kw[t] = (1 + loss) * sum of worst cases below                      sums_worst
    load_kw[t]  + uncertain[t] <= rating + over_rating_kw[t]                 carries
    worst_kw[t] + uncertain[t] <= rating * margin + over_worst_kw[t]         carries_worst

Where power may flow back, the load may be negative, and losses go with the size of what passes:

    drawn_kw[t] - returned_kw[t] = sum of expected loads below               nets
    load_kw[t]  = (1 + loss) * drawn_kw[t] - (1 - loss) * returned_kw[t]     loses
    -load_kw[t] <= rating + over_rating_kw[t]                                carries_back

Below hang pools (expected draw, sum of caps), halls' base load, cooling plants, batteries, generation and other feeders. A battery
that discharges and generation lower the expected load but not the worst case. Paid for what it burns, the program draws and returns at once;
`models.solving.settle` then fixes the way and solves again. A feeder without losses needs no `nets` and `loses`.

| symbol         | name                                          | unit |
|----------------|-----------------------------------------------|------|
| loss           | losses as a share of what passes              | 1    |
| drawn_kw       | what passes downwards, before losses          | kW   |
| returned_kw    | what passes upwards, before losses            | kW   |
| margin         | share of the rating the worst case may reach  | 1    |
| uncertain      | `uncertainty.margin`, 0 without a band        | kW   |
| over_rating_kw | breach: expected load above the rating        | kW   |
| over_worst_kw  | breach: worst case above rating * margin      | kW   |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import PLANT, Bill
from models.horizon import Floats

Load = Callable[[int], Any]


@dataclass(frozen=True)
class Feeder:
    """A node under `parent` (None: the root), rated `rating_kw`."""

    id: str
    parent: str | None
    rating_kw: float
    loss_share: float = 0.0
    worst_case_margin: float = 1.0


def certain(_t: int) -> Any:
    """No margin for an uncertain forecast."""
    return 0.0


def add(
    block: Any,
    feeder: Feeder,
    steps: Any,
    below: Sequence[Load],
    below_worst: Sequence[Load],
    uncertain_kw: Load = certain,
    *,
    may_return: bool = False,
) -> None:
    """Declare one feeder on `block`; `below` are the expected loads under it, kW by step, `below_worst` their worst cases.

    `may_return` says whether power may flow back up through it.
    """
    splits = may_return and feeder.loss_share > 0
    block.rating_kw = pyo.Param(initialize=feeder.rating_kw)
    block.worst_rating_kw = pyo.Param(initialize=feeder.rating_kw * feeder.worst_case_margin)
    block.passes = pyo.Param(initialize=1 + feeder.loss_share)
    block.passes_back = pyo.Param(initialize=1 - feeder.loss_share)
    block.RETURNS = pyo.Set(initialize=list(steps) if may_return else [])
    block.SPLIT = pyo.Set(initialize=list(steps) if splits else [])
    block.WHOLE = pyo.Set(initialize=[] if splits else list(steps))
    block.load_kw = pyo.Var(steps, bounds=(None if may_return else 0, None), dense=False)
    block.drawn_kw = pyo.Var(block.SPLIT, bounds=(0, None), dense=False)
    block.returned_kw = pyo.Var(block.SPLIT, bounds=(0, None), dense=False)
    block.worst_kw = pyo.Var(steps, dense=False)
    block.over_rating_kw = pyo.Var(steps, bounds=(0, None), dense=False)
    block.over_worst_kw = pyo.Var(steps, bounds=(0, None), dense=False)

    @block.Constraint(block.WHOLE)
    def sums(b: Any, t: int) -> Any:
        return b.load_kw[t] == b.passes * sum(load(t) for load in below)

    @block.Constraint(block.SPLIT)
    def nets(b: Any, t: int) -> Any:
        return b.drawn_kw[t] - b.returned_kw[t] == sum(load(t) for load in below)

    @block.Constraint(block.SPLIT)
    def loses(b: Any, t: int) -> Any:
        return b.load_kw[t] == b.passes * b.drawn_kw[t] - b.passes_back * b.returned_kw[t]

    @block.Constraint(steps)
    def sums_worst(b: Any, t: int) -> Any:
        return b.worst_kw[t] == b.passes * sum(load(t) for load in below_worst)

    @block.Constraint(steps)
    def carries(b: Any, t: int) -> Any:
        return b.load_kw[t] + uncertain_kw(t) <= b.rating_kw + b.over_rating_kw[t]

    @block.Constraint(block.RETURNS)
    def carries_back(b: Any, t: int) -> Any:
        return -b.load_kw[t] <= b.rating_kw + b.over_rating_kw[t]

    @block.Constraint(steps)
    def carries_worst(b: Any, t: int) -> Any:
        return b.worst_kw[t] + uncertain_kw(t) <= b.worst_rating_kw + b.over_worst_kw[t]


def cost(block: Any, h: Any, steps: Any) -> Any:
    """Money for carrying more than the rating, expected or in the worst case."""
    return sum(PLANT.price * h[t] * (block.over_rating_kw[t] + block.over_worst_kw[t]) for t in steps)


def loads_kw(leaves_first: Sequence[Feeder], attached_kw: Mapping[str, Floats]) -> dict[str, Floats]:
    """Power into each feeder, losses included, where `attached_kw` hangs directly under it, kW, each shape (T,).

    Losses go with the size of what passes, also when it flows back.

    >>> loads_kw([Feeder("root", None, 9.0, loss_share=0.1)], {"root": np.array([2.0, -2.0])})["root"].tolist()
    [2.2, -1.8]
    """
    below = dict(attached_kw)
    for feeder in leaves_first:
        below[feeder.id] = below[feeder.id] + feeder.loss_share * np.abs(below[feeder.id])
        if feeder.parent is not None:
            below[feeder.parent] = below[feeder.parent] + below[feeder.id]
    return below


def bill(feeders: Sequence[Feeder], load_kw: Floats, worst_kw: Floats, h: Floats) -> Bill:
    """What `feeders` carry above their ratings, expected and in the worst case, both shape (F, T)."""
    rating = np.array([f.rating_kw for f in feeders])[:, None]
    margin = np.array([f.worst_case_margin for f in feeders])[:, None]
    breach = {
        "over_rating_kw": np.maximum(np.abs(load_kw) - rating, 0.0),
        "over_worst_kw": np.maximum(worst_kw - rating * margin, 0.0),
    }
    return Bill({family: PLANT.price * float((amount @ h).sum()) for family, amount in breach.items()}, breach)


def grown(feeders: Sequence[Feeder], feeder_id: str) -> dict[str, float]:
    """What a kW under `feeder_id` has grown to, losses included, on it and on each feeder above it."""
    by_id = {f.id: f for f in feeders}
    found: dict[str, float] = {}
    factor, node = 1.0, by_id[feeder_id]
    while True:
        factor *= 1 + node.loss_share
        found[node.id] = factor
        if node.parent is None:
            return found
        node = by_id[node.parent]
