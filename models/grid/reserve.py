"""Reserve: power that the site takes off the grid (up), or puts on it (down), when the grid's operator calls for it.

    offered_kw[t] + short_reserve_kw[t] >= committed[t]                      keeps
    offered_kw[t] <= sum over pools and batteries of what they hold for it   is_held

A call may come in any step and lasts the product's duration; what is held is there without another plan. `reserve_up` and
`reserve_down` say what pools and batteries can hold.

| symbol           | name                       | unit        |
|------------------|----------------------------|-------------|
| committed        | sold already               | kW          |
| offered_kw       | held and paid for          | kW          |
| short_reserve_kw | breach: sold and not there | kW          |
| price            | paid for holding           | money/kW/h  |

Cost: - price * h * offered; a breach at its tier's price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo

from models.breach import GRID_EVENT, Bill
from models.horizon import Floats, Horizon
from models.power.feeder import Load
from models.table import table

Direction = Literal["up", "down"]
Held = Mapping[tuple[str, str], Floats]
"""kW by step, shape (T,), that an asset holds for a product: by (reserve id, pool or battery id)."""


@dataclass(frozen=True)
class Reserve:
    """A product of the grid's operator. `committed_kw`, `most_kw` and `price_per_kw_h` have one entry a step.

    `most_kw` is the most that can be sold in all, what is committed included.
    """

    id: str
    direction: Direction
    duration_h: float
    committed_kw: tuple[float, ...]
    most_kw: tuple[float, ...]
    price_per_kw_h: tuple[float, ...]


def during(horizon: Horizon, duration_h: float) -> list[tuple[int, int]]:
    """(t, t') for every step t' in which a call of `duration_h` that comes in step t may still last.

    >>> during(Horizon((1.0, 1.0, 1.0)), 1.0)
    [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2)]
    """
    steps = range(len(horizon))
    return [(t, u) for t in steps for u in steps[t:] if u == t or horizon.starts[u] < horizon.ends[t] + duration_h - 1e-9]


def shared(found: dict[tuple[str, str], Floats], reserves: Sequence[Reserve], asset: str, most: Floats, weight: Floats) -> None:
    """Scale what `asset` holds for `reserves` down to where its sum, weighted by product, is at most `most`, shape (T,). In place."""
    weights = {(r.id, asset): w for r, w in zip(reserves, weight.tolist(), strict=True) if (r.id, asset) in found}
    total = sum((w * found[key] for key, w in weights.items()), np.zeros(len(most)))
    share = np.minimum(1.0, most / np.maximum(total, 1e-12))
    for key in weights:
        found[key] = found[key] * share


def held_kw(block: Any, r: str, t: int) -> Any:
    """What the pools and batteries of `block`, of one direction, hold for product `r` in step `t`, kW."""
    return sum(block.pool_kw[r, p, t] for p in block.POOLS) + sum(block.battery_kw[r, s, t] for s in block.BATTERIES)


def add(block: Any, product: Reserve, steps: Any, held_kw: Load) -> None:
    """Declare one product on `block`; `held_kw(t)` is what all assets hold for it. Publishes `offered_kw`."""
    block.committed_kw = table(product.committed_kw, steps)
    block.most_kw = table(product.most_kw, steps)
    block.price_per_kw_h = table(product.price_per_kw_h, steps)

    def can_offer(b: Any, t: int) -> Any:
        return 0, b.most_kw[t]

    block.offered_kw = pyo.Var(steps, bounds=can_offer, dense=False)
    block.short_reserve_kw = pyo.Var(steps, bounds=(0, None), dense=False)

    @block.Constraint(steps)
    def keeps(b: Any, t: int) -> Any:
        return b.offered_kw[t] + b.short_reserve_kw[t] >= b.committed_kw[t]

    @block.Constraint(steps)
    def is_held(b: Any, t: int) -> Any:
        return b.offered_kw[t] <= held_kw(t)


def cost(block: Any, h: Any, steps: Any) -> Any:
    """Money for what is sold and not there, less what is paid for holding."""
    return sum(
        h[t] * (GRID_EVENT.price * block.short_reserve_kw[t] - block.price_per_kw_h[t] * block.offered_kw[t]) for t in steps
    )


def offered_kw(reserves: Sequence[Reserve], held: Held, h: Floats) -> Floats:
    """What each product can be paid for where `held` is there, kW, shape (R, T)."""
    found = np.zeros((len(reserves), len(h)))
    for i, r in enumerate(reserves):
        total = sum((kw for (product, _), kw in held.items() if product == r.id), np.zeros(len(h)))
        found[i] = np.minimum(total, r.most_kw)
    return found


def bill(reserves: Sequence[Reserve], offered: Floats, h: Floats) -> Bill:
    """What offering `offered`, kW, shape (R, T), earns and lacks."""
    short = np.array([np.maximum(np.asarray(r.committed_kw) - kw, 0.0) for r, kw in zip(reserves, offered, strict=True)])
    earned = sum(float((np.asarray(r.price_per_kw_h) * kw) @ h) for r, kw in zip(reserves, offered, strict=True))
    short = short.reshape(len(reserves), len(h))
    return Bill(
        {"reserve": 0.0 - float(earned), "short_reserve_kw": GRID_EVENT.price * float((short @ h).sum())}, {"short_reserve_kw": short}
    )
