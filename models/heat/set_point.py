"""Set-point: at what temperature a cooling plant supplies its halls, one of a few levels in each step.

A warmer supply raises the COP and the thresholds of free cooling (`models.heat.cooling_plant`), but air is no colder than what cools it
(`models.heat.approach`). While no level is chosen they are mixed,
each with its own share of the step and its own curve, scaled by the share (its perspective):

    sum_l share[l,t] = 1,   supply[t] = sum_l share[l,t] * level[l]                          mixes
    sum_l part_kw[l,t] = heat[t] of the plant                                                splits
    part_kw[l,t] <= most heat[t] * share[l,t]                                                takes_part
    power_kw[l,t] >= intercept[l,s,t] * share[l,t] + slope[l,s,t] * part_kw[l,t]             removes_heat
    power_kw[l,t] <= chord_intercept[l,t] * share[l,t] + chord_slope[l,t] * part_kw[l,t]     burns_no_more
    power[t] of the plant = sum_l power_kw[l,t]                                              adds_up

Relaxed: shares are fractions, and only the mean supply binds a hall. `models.choosing.supply` then gives each step one level, and the
program is built again with that level's curve alone.

| symbol   | name                                                            | unit |
|----------|-----------------------------------------------------------------|------|
| share    | share of the step at a level                                    | 1    |
| supply   | temperature of the supply                                       | degC |
| part_kw  | heat that the plant removes while at a level                    | kW   |
| power_kw | electric power of the plant while at a level                    | kW   |

Source: perspective of a convex curve: Ceria and Soares, Mathematical Programming 86 (1999) 595.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.heat.hall import Hall
from models.horizon import Floats
from models.table import table

Secants = tuple[Floats, Floats, Floats]
"""Slopes and intercepts of a curve's segments, shape (S, T), and the (slope, intercept) of its chord, shape (2, T)."""


@dataclass(frozen=True)
class SetPoint:
    """Levels, degC, rising; the plant's own figures hold at `usual_c`, one of them.

    For each K warmer the COP gains `cop_gain_per_k` and free cooling's thresholds `free_shift_per_k` K. `supply_c` is the level of
    each step, () while none is chosen.
    """

    levels_c: tuple[float, ...]
    usual_c: float
    cop_gain_per_k: float
    free_shift_per_k: float
    approach_k_per_kw: float
    supply_c: tuple[float, ...] = ()

    def removable_kw(self, zone: Hall, memory: float, now_c: float, settles_c: float, supply_c: float) -> float:
        """Most heat that a step takes from a hall at `now_c` which would settle at `settles_c` by itself, kW, mean over the step.

        `memory` is what is left of a temperature difference after the step.
        """
        by_itself_c = memory * now_c + (1 - memory) * settles_c
        return max(0.0, (by_itself_c - supply_c) / (self.approach_k_per_kw + (1 - memory) * zone.resistance_k_per_kw))


def add(block: Any, set_point: SetPoint, curves: Sequence[Secants], steps: Any, plant: Any, most_kw: Floats) -> None:
    """Declare on `block` the mixture of levels of the plant on block `plant`, which removes at most `most_kw`.

    `curves` hold the secants of each level.
    """
    # next to nothing is nothing: the solver refuses such coefficients
    curves = [(np.round(slope, 8), np.round(intercept, 8), np.round(chord, 8)) for slope, intercept, chord in curves]
    levels, segments = range(len(curves)), range(len(curves[0][0]))
    times = range(len(most_kw))
    block.LEVELS = pyo.RangeSet(0, len(curves) - 1)
    block.SEGMENTS = pyo.RangeSet(0, len(segments) - 1)
    every = [(i, s, t) for i in levels for s in segments for t in times]
    block.slope = pyo.Param(block.LEVELS, block.SEGMENTS, steps, initialize={(i, s, t): float(curves[i][0][s, t]) for i, s, t in every})
    block.intercept_kw = pyo.Param(
        block.LEVELS, block.SEGMENTS, steps, initialize={(i, s, t): float(curves[i][1][s, t]) for i, s, t in every}
    )
    chord = {(i, t): curves[i][2][:, t].tolist() for i in levels for t in times}
    block.chord_slope = pyo.Param(block.LEVELS, steps, initialize={at: slope for at, (slope, _) in chord.items()})
    block.chord_intercept_kw = pyo.Param(block.LEVELS, steps, initialize={at: kw for at, (_, kw) in chord.items()})
    block.level_c = pyo.Param(block.LEVELS, initialize=dict(enumerate(set_point.levels_c)))
    block.most_heat_kw = table(most_kw, steps)
    block.share = pyo.Var(block.LEVELS, steps, bounds=(0, 1), dense=False)
    block.part_kw = pyo.Var(block.LEVELS, steps, bounds=(0, None), dense=False)
    block.power_kw = pyo.Var(block.LEVELS, steps, bounds=(0, None), dense=False)

    @block.Constraint(steps)
    def mixes(b: Any, t: int) -> Any:
        return sum(b.share[i, t] for i in b.LEVELS) == 1

    @block.Constraint(steps)
    def splits(b: Any, t: int) -> Any:
        return sum(b.part_kw[i, t] for i in b.LEVELS) == plant.heat_kw[t]

    @block.Constraint(block.LEVELS, steps)
    def takes_part(b: Any, i: int, t: int) -> Any:
        return b.part_kw[i, t] <= b.most_heat_kw[t] * b.share[i, t]

    @block.Constraint(block.LEVELS, block.SEGMENTS, steps)
    def removes_heat(b: Any, i: int, s: int, t: int) -> Any:
        return b.power_kw[i, t] >= b.intercept_kw[i, s, t] * b.share[i, t] + b.slope[i, s, t] * b.part_kw[i, t]

    @block.Constraint(block.LEVELS, steps)
    def burns_no_more(b: Any, i: int, t: int) -> Any:
        return b.power_kw[i, t] <= b.chord_intercept_kw[i, t] * b.share[i, t] + b.chord_slope[i, t] * b.part_kw[i, t]

    @block.Constraint(steps)
    def adds_up(b: Any, t: int) -> Any:
        return plant.power_kw[t] == sum(b.power_kw[i, t] for i in b.LEVELS)
