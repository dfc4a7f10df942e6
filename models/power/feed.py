"""Feed: one of several connections to the grid, each with a limit of its own.

    load_kw[t] <= limit + over_feed_kw[t]                    limits

`load_kw` is that of the root of the feeders that hang on this feed, with what the pessimistic forecast may bring beyond it.
What the site draws is the sum over its feeds: energy, peaks, events and the site's own limit are on the sum
(`models.grid.grid_connection`). Without feeds the one root is the connection.

| symbol       | name                                       | unit |
|--------------|--------------------------------------------|------|
| limit        | most that may be drawn through the feed    | kW   |
| over_feed_kw | breach: drawn through it above its limit   | kW   |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import GRID_LIMIT, Bill
from models.horizon import Floats
from models.power.feeder import Load


@dataclass(frozen=True)
class Feed:
    """A connection at the root `feeder`, through which `limit_kw` may be drawn."""

    id: str
    feeder: str
    limit_kw: float


def add(block: Any, feed: Feed, steps: Any, load_kw: Load) -> None:
    """Declare one feed on `block`; `load_kw(t)` is the load at its root."""
    block.limit_kw = pyo.Param(initialize=feed.limit_kw)
    block.over_feed_kw = pyo.Var(steps, bounds=(0, None), dense=False)

    @block.Constraint(steps)
    def limits(b: Any, t: int) -> Any:
        return load_kw(t) <= b.limit_kw + b.over_feed_kw[t]


def cost(block: Any, h: Any, steps: Any) -> Any:
    """Money for drawing more than the limit."""
    return sum(GRID_LIMIT.price * h[t] * block.over_feed_kw[t] for t in steps)


def bill(feeds: Sequence[Feed], load_kw: Mapping[str, Floats], h: Floats) -> Bill:
    """What `feeds` draw above their limits where `load_kw`, by feeder, is drawn, shape (T,); nothing where there are none."""
    if not feeds:
        return Bill()
    over_kw = np.array([np.maximum(load_kw[f.feeder] - f.limit_kw, 0.0) for f in feeds])
    return Bill({"over_feed_kw": GRID_LIMIT.price * float((over_kw @ h).sum())}, {"over_feed_kw": over_kw})
