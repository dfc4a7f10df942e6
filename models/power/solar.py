"""Solar: power that the sky gives, as much of it as is wanted.

    0 <= power_kw[t] <= available[t]            a bound, no row

What is not taken is curtailed at no cost. It lowers the expected load of its feeder, and may flow back up the tree; it never
lowers the worst case, for a cloud asks nobody.

| symbol    | name                               | unit |
|-----------|------------------------------------|------|
| power     | given to the feeder                | kW   |
| available | most that the plant could give     | kW   |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyomo.environ as pyo

from models.table import table


@dataclass(frozen=True)
class Solar:
    """A photovoltaic plant on a feeder that could give `available_kw[t]`."""

    id: str
    feeder: str
    available_kw: tuple[float, ...]


def add(block: Any, solar: Solar, steps: Any) -> None:
    """Declare one plant on `block`. Publishes `power_kw`."""
    block.available_kw = table(solar.available_kw, steps)

    def can_give(b: Any, t: int) -> Any:
        return 0, b.available_kw[t]

    block.power_kw = pyo.Var(steps, bounds=can_give, dense=False)
