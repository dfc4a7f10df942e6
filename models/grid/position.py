"""Position: what was committed a day ahead, and what it costs to leave it.

    net_kw[t] - position[t] = short_kw[t] - long_kw[t]            settles (only in steps that are committed)

| symbol   | name                                                       | unit      |
|----------|------------------------------------------------------------|-----------|
| net_kw   | import less export (`models.grid.grid_connection`)              | kW        |
| position | what was bought for that step                              | kW        |
| short_kw | drawn beyond it                                            | kW        |
| long_kw  | bought and not drawn                                       | kW        |
| premium  | of an imbalance beyond the price of energy, either way     | money/kWh |

Cost: premium * (short + long). What was bought is paid at the price, what is short is bought at price + premium and what is long
sold at price - premium: in all price * net, which the grid connection counts, and the premium on what differs. A position is a
price and no limit: every limit and every promise of a contract goes before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import Bill
from models.horizon import Floats
from models.power.feeder import Load


@dataclass(frozen=True)
class Position:
    """Committed power by step, kW, None in a step that nobody committed; () where there is no position."""

    kw: tuple[float | None, ...] = ()
    premium_per_kwh: float = 0.0

    @property
    def committed_kw(self) -> dict[int, float]:
        """The committed power by the steps that have one."""
        return {t: kw for t, kw in enumerate(self.kw) if kw is not None}

    def over_kw(self, net_kw: Floats) -> Floats:
        """What `net_kw` is above the position (below it: negative), zero where nothing is committed, shape (T,)."""
        over_kw = np.zeros(len(net_kw))
        for t, kw in self.committed_kw.items():
            over_kw[t] = net_kw[t] - kw
        return over_kw


def add(block: Any, position: Position, net_kw: Load) -> None:
    """Declare the position on `block`; `net_kw(t)` is what is drawn from the grid less what is given back."""
    block.COMMITTED = pyo.Set(initialize=list(position.committed_kw))
    block.position_kw = pyo.Param(block.COMMITTED, initialize=position.committed_kw)
    block.short_kw = pyo.Var(block.COMMITTED, bounds=(0, None), dense=False)
    block.long_kw = pyo.Var(block.COMMITTED, bounds=(0, None), dense=False)

    @block.Constraint(block.COMMITTED)
    def settles(b: Any, t: int) -> Any:
        return net_kw(t) - b.position_kw[t] == b.short_kw[t] - b.long_kw[t]


def cost(block: Any, position: Position, h: Any) -> Any:
    """Money for leaving the position."""
    return sum(position.premium_per_kwh * h[t] * (block.short_kw[t] + block.long_kw[t]) for t in block.COMMITTED)


def bill(position: Position, net_kw: Floats, h: Floats) -> Bill:
    """What drawing `net_kw`, shape (T,), costs beside its energy; nothing without a position."""
    return Bill({"imbalance": position.premium_per_kwh * float(np.abs(position.over_kw(net_kw)) @ h)} if position.kw else {})
