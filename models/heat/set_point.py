"""Set-point: at what temperature a cooling plant supplies its halls, one of a few levels in each step.

A warmer supply raises the COP and the thresholds of free cooling (`models.heat.cooling_plant`), but air is no colder than what cools it:

    temperature[z,t] >= supply[t] + approach * removed[z,t] - colder_k[z,t]                  keeps_above

While no level is chosen they are mixed, each with its own share of the step and its own curve, scaled by the share (its perspective):

    sum_l share[l,t] = 1,   supply[t] = sum_l share[l,t] * level[l]                          mixes
    sum_l part_kw[l,t] = heat[t] of the plant                                                splits
    part_kw[l,t] <= most heat[t] * share[l,t]                                                takes_part
    power_kw[l,t] >= intercept[l,s,t] * share[l,t] + slope[l,s,t] * part_kw[l,t]             removes_heat
    power_kw[l,t] <= chord_intercept[l,t] * share[l,t] + chord_slope[l,t] * part_kw[l,t]     burns_no_more
    power[t] of the plant = sum_l power_kw[l,t]                                              adds_up

Relaxed: shares are fractions, and only the mean supply binds a hall. `models.heat.supply` then gives each step one level, and the
program is built again with that level's curve alone. Checked at the end of a step; removal is constant within it. A hall that
nothing heats but its base load may drift below any supply: `colder_k` is at most what it then lacks, and it is discomfort.

| symbol   | name                                                            | unit |
|----------|-----------------------------------------------------------------|------|
| share    | share of the step at a level                                    | 1    |
| supply   | temperature of the supply                                       | degC |
| approach | what the air stays above the supply, per heat removed of a hall | K/kW |
| removed  | heat removed from a hall                                        | kW   |
| part_kw  | heat that the plant removes while at a level                    | kW   |
| power_kw | electric power of the plant while at a level                    | kW   |
| colder_k | discomfort: a hall below its supply                             | K    |

Source: effectiveness of a coil at constant flow, as in ASHRAE Handbook, HVAC Systems and Equipment; perspective of a convex
curve: Ceria and Soares, Mathematical Programming 86 (1999) 595.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import COMFORT_PRICE_PER_KWH_H, Bill
from models.heat.hall import Hall
from models.horizon import Floats

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


def idle_c(zone: Hall, h: Floats, outdoor_c: Floats) -> Floats:
    """Temperature of a hall that its base load alone heats and nothing cools, at the end of each step, degC, shape (T,)."""
    memory, base_kw = zone.memory(h), zone.base(len(h))
    reached, now_c = np.zeros(len(h)), zone.start_c
    for t in range(len(h)):
        now_c = float(memory[t] * now_c + (1 - memory[t]) * (outdoor_c[t] + zone.resistance_k_per_kw * base_kw[t]))
        reached[t] = now_c
    return reached


def add(
    block: Any,
    set_point: SetPoint,
    curves: Sequence[Secants],
    zones: Sequence[Hall],
    h: Floats,
    steps: Any,
    plant: Any,
    halls: Any,
    outdoor_c: Floats,
    most_kw: Floats,
) -> None:
    """Declare on `block` the set-point of the plant on block `plant`, which removes at most `most_kw` from `zones`, on blocks of `halls`.

    While no level is chosen it publishes `share`, and `curves` hold the secants of each level.
    """
    if not set_point.supply_c:
        _mix(block, set_point, curves, steps, plant, most_kw)
    coldest_c = np.asarray(set_point.supply_c or (min(set_point.levels_c),) * len(h))
    lacks_k = {z.id: np.maximum(coldest_c - idle_c(z, h, outdoor_c), 0.0) for z in zones}
    block.ZONES = pyo.Set(initialize=list(lacks_k))
    most = {(z, t): float(k) for z, row in lacks_k.items() for t, k in enumerate(row)}
    block.most_colder_k = pyo.Param(block.ZONES, steps, initialize=most)
    block.supply_c = pyo.Param(steps, initialize=dict(enumerate(set_point.supply_c)))
    block.colder_k = pyo.Var(block.ZONES, steps, bounds=lambda b, z, t: (0, b.most_colder_k[z, t]))

    def mixed_c(b: Any, t: int) -> Any:
        return sum(b.level_c[i] * b.share[i, t] for i in b.LEVELS)

    def chosen_c(b: Any, t: int) -> Any:
        return b.supply_c[t]

    supply_c = chosen_c if set_point.supply_c else mixed_c

    @block.Constraint(block.ZONES, steps)
    def keeps_above(b: Any, z: str, t: int) -> Any:
        above_k = set_point.approach_k_per_kw * halls[z].removed_kw[t] - b.colder_k[z, t]
        return halls[z].temperature_c[t] >= supply_c(b, t) + above_k


def _mix(block: Any, set_point: SetPoint, curves: Sequence[Secants], steps: Any, plant: Any, most_kw: Floats) -> None:
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
    block.most_heat_kw = pyo.Param(steps, initialize=dict(enumerate(most_kw.tolist())))
    block.share = pyo.Var(block.LEVELS, steps, bounds=(0, 1))
    block.part_kw = pyo.Var(block.LEVELS, steps, bounds=(0, None))
    block.power_kw = pyo.Var(block.LEVELS, steps, bounds=(0, None))

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


def cost(block: Any, zones: Sequence[Hall], h: Any, steps: Any) -> Any:
    """Money for halls below their supply; per kWh of heat that a hall's capacity holds per K, and hour."""
    return sum(COMFORT_PRICE_PER_KWH_H * z.heat_capacity_kwh_per_k * h[t] * block.colder_k[z.id, t] for z in zones for t in steps)


def bill(zones: Sequence[Hall], supply_c: Sequence[Floats], hall_c: Sequence[Floats], h: Floats) -> Bill:
    """What `zones` cost below their supply, each with shape (T,), at `hall_c`; nothing where there are none."""
    if not zones:
        return Bill()
    below = [z.heat_capacity_kwh_per_k * float(np.maximum(s - c, 0.0) @ h) for z, s, c in zip(zones, supply_c, hall_c, strict=True)]
    return Bill({"below_supply": COMFORT_PRICE_PER_KWH_H * sum(below)})
