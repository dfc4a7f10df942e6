"""Segment: a cooling plant draws what its curve says, in steps where a solution burnt more.

    sum_s on[s,t] = 1                                                           has_segment
    part[s,t]  <= to[s] * on[s,t]                                               ends_segment
    heat[t]     = sum_s part[s,t]                                               has_heat
    power_kw[t] <= sum_s (intercept[s,t] * on[s,t] + slope[s,t] * part[s,t])    keeps_to_segment

The curve being convex, no segment but the one that its heat is on leaves the plant any power.

| symbol           | name                                                     | unit     |
|------------------|----------------------------------------------------------|----------|
| on               | the plant is on this segment of its curve                | 0, 1     |
| part             | heat removed while on this segment                       | kW       |
| to               | heat at which the segment ends                           | kW       |
| slope, intercept | of the segment's chord (`models.heat.cooling_plant`)     | kW/kW, kW|
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyomo.environ as pyo


def add(block: Any, plant: Any, ends_kw: Sequence[float], steps: Sequence[int]) -> None:
    """Declare on `block` that the plant on block `plant` keeps to its curve, whose segments end at `ends_kw`, in each of `steps`."""
    block.to_kw = pyo.Param(plant.SEGMENTS, initialize=dict(enumerate(ends_kw)))
    block.STEPS = pyo.Set(dimen=1, initialize=list(steps))
    block.on = pyo.Var(plant.SEGMENTS, block.STEPS, domain=pyo.Binary)
    block.part_kw = pyo.Var(plant.SEGMENTS, block.STEPS, bounds=(0, None))

    @block.Constraint(block.STEPS)
    def has_segment(b: Any, t: int) -> Any:
        return sum(b.on[s, t] for s in plant.SEGMENTS) == 1

    @block.Constraint(plant.SEGMENTS, block.STEPS)
    def ends_segment(b: Any, s: int, t: int) -> Any:
        return b.part_kw[s, t] <= b.to_kw[s] * b.on[s, t]

    @block.Constraint(block.STEPS)
    def has_heat(b: Any, t: int) -> Any:
        return plant.heat_kw[t] == sum(b.part_kw[s, t] for s in plant.SEGMENTS)

    @block.Constraint(block.STEPS)
    def keeps_to_segment(b: Any, t: int) -> Any:
        return plant.power_kw[t] <= sum(plant.intercept_kw[s, t] * b.on[s, t] + plant.slope[s, t] * b.part_kw[s, t] for s in plant.SEGMENTS)
