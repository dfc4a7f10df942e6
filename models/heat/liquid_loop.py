"""Liquid loop: the heat of a hall's chips that warm water takes straight to a plant of its own.

    removed_kw[t] + uncooled_kw[t] = sum over the hall's pools of liquid share * draw_kw[t]          takes_heat

Cold plates take a share of a pool's heat before it reaches the air; only the rest warms the hall. The loop holds little water beside
what a hall's air, racks and chilled water hold, so it has no temperature here: its plant removes in each step what the chips give
off, or they must give off less. Warm water (W32 to W45 of ASHRAE TC 9.9) can be cooled without a chiller in hotter weather than
air can: the plant's own free-cooling thresholds say so.

| symbol       | name                                              | unit |
|--------------|---------------------------------------------------|------|
| liquid share | share of a pool's heat that its cold plates take   | 1    |
| removed_kw   | heat the loop's plant removes                     | kW   |
| uncooled_kw  | breach: heat of chips that no plant removes       | kW   |
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from models.breach import PLANT, Bill
from models.horizon import Floats
from models.power.feeder import Load


def add(block: Any, steps: Any, heat_kw: Load) -> None:
    """Declare one hall's loop on `block`; `heat_kw(t)` is what its cold plates take. Publishes `removed_kw`."""
    block.removed_kw = pyo.Var(steps, bounds=(0, None), dense=False)
    block.uncooled_kw = pyo.Var(steps, bounds=(0, None), dense=False)

    @block.Constraint(steps)
    def takes_heat(b: Any, t: int) -> Any:
        return b.removed_kw[t] + b.uncooled_kw[t] == heat_kw(t)


def cost(block: Any, h: Any, steps: Any) -> Any:
    """Money for heat that stays in the chips, by the kWh."""
    return sum(PLANT.price * h[t] * block.uncooled_kw[t] for t in steps)


def bill(uncooled_kw: Floats, h: Floats) -> Bill:
    """What heat that no plant removes costs; `uncooled_kw` has shape (L, T)."""
    return Bill({"uncooled_kw": PLANT.price * float((uncooled_kw * h).sum())}, {"uncooled_kw": uncooled_kw})
