"""Chill: a hall is cooled by its supply or not at all, in steps where a solution cooled one that is colder than its supply.

    removed[t] <= most removed[t] * chills[t]                                      is_cooled
    temperature[t] >= least[t] + lacks[t] * chills[t] + approach * removed[t]      or_is_left

| symbol                     | name                                            | unit        |
|----------------------------|-------------------------------------------------|-------------|
| chills                     | the hall is above its supply, and may be cooled | 0, 1        |
| most removed, least, lacks | as in the hull of both (`models.heat.approach`) | kW, degC, K |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyomo.environ as pyo


def add(block: Any, hall: Any, approach: Any, steps: Sequence[int]) -> None:
    """Declare on `block` that the hall on block `hall` is cooled or left in each of `steps`; `approach` is the block of its hull."""
    block.STEPS = pyo.Set(dimen=1, initialize=list(steps))
    block.chills = pyo.Var(block.STEPS, domain=pyo.Binary)

    @block.Constraint(block.STEPS)
    def is_cooled(b: Any, t: int) -> Any:
        return hall.removed_kw[t] <= approach.most_kw[t] * b.chills[t]

    @block.Constraint(block.STEPS)
    def or_is_left(b: Any, t: int) -> Any:
        least_c = approach.least_c[t] + approach.lacks_k[t] * b.chills[t]
        return hall.temperature_c[t] >= least_c + approach.approach_k_per_kw * hall.removed_kw[t]
