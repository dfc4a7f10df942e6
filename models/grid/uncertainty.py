"""Uncertainty: what it costs is counted at the expected forecast, limits are held at the pessimistic one.

    margin[f,t] = (1 + loss[f]) * ( more_base[f,t] + sum over plants c on f of  rest[c,t] + per_kw[c,t] * heat[c,t]
                                    + sum over feeders g under f of margin[g,t] )                    adds
    heat[c,t]   <= most[c,t] - more_heat[c,t]                                  a bound of `cooling_plant`

The pessimistic forecast is a warmer outside and a higher base load, a P90 of each, both at once. A hall that is to have the same
temperature then needs

    more_heat = more base load + (pessimistic outdoor - outdoor) / R            of the halls of the plant

removed beyond what is expected, exactly, whatever the plan; so a hall whose plant keeps that much capacity free stays at the
planned temperature in both worlds. The power it takes, power(heat + more_heat, pessimistic outdoor) - power(heat, outdoor), is
bounded by a straight line above it, rest + per_kw * heat, as flat as its ends: no second cooling plant is needed in the program.
Every limit on load (`feeder.carries`, `feeder.carries_worst`, `grid.limits`, `grid.event`) then holds for load + margin.
Batteries and jobs are not counted on to react.

| symbol    | name                                                            | unit |
|-----------|-----------------------------------------------------------------|------|
| margin    | load of a feeder in the pessimistic forecast beyond expected    | kW   |
| more_base | base load of the feeder's halls beyond expected                 | kW   |
| more_heat | heat of a plant's halls beyond expected                         | kW   |
| most      | most heat that the plant removes at the pessimistic outdoor     | kW   |

Source of quantiles' mean, where a forecast tells P10, P50 and P90 only (`mean_of`): Swanson's rule, after Hurst, Brown and
Swanson, AAPG Bulletin 84 (2000) 1883.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.horizon import Floats
from models.power.feeder import Feeder, Load
from models.table import table


@dataclass(frozen=True)
class Margins:
    """What the pessimistic forecast adds: `more_heat_kw` by plant, `more_base_kw` by feeder (that of its halls), each shape (T,).

    `most_heat_kw` is what is left of each plant to plan with.
    """

    outdoor_high_c: Floats
    more_heat_kw: Mapping[str, Floats]
    most_heat_kw: Mapping[str, Floats]
    more_base_kw: Mapping[str, Floats]


def mean_of(low: Floats, middle: Floats, high: Floats) -> Floats:
    """The mean of a quantity whose P10, P50 and P90 are told.

    >>> mean_of(np.array([10.0]), np.array([20.0]), np.array([50.0]))
    array([26.])
    """
    return np.asarray(0.3 * low + 0.4 * middle + 0.3 * high)


def margins(
    halls: Sequence[Hall], plants: Sequence[CoolingPlant], feeders: Sequence[Feeder], outdoor_c: Floats, outdoor_high_c: Floats
) -> Margins:
    """The margins of a site whose outside may reach `outdoor_high_c`, and its halls' base load `more_base_kw` beyond expected."""
    steps = len(outdoor_c)
    base = {f.id: np.zeros(steps) for f in feeders}
    heat = {c.id: np.zeros(steps) for c in plants}
    for z in halls:
        more_kw = np.asarray(z.more_base_kw or np.zeros(steps))
        base[z.feeder] = base[z.feeder] + more_kw
        if z.cooling_plant is not None:
            leaks_kw = (outdoor_high_c - outdoor_c) / z.resistance_k_per_kw
            heat[z.cooling_plant] = heat[z.cooling_plant] + more_kw + leaks_kw
    able = {c.id: np.minimum(c.chiller.most_heat_kw(outdoor_c), c.chiller.most_heat_kw(outdoor_high_c)) for c in plants}
    more = {c: np.minimum(kw, able[c]) for c, kw in heat.items()}
    return Margins(outdoor_high_c, more, {c: able[c] - kw for c, kw in more.items()}, base)


def plant_margin_kw(plant: CoolingPlant, heat_kw: Floats, more_heat_kw: Floats, outdoor_c: Floats, outdoor_high_c: Floats) -> Floats:
    """Power of a plant in the pessimistic forecast beyond the expected one, kW; shapes broadcast."""
    high_kw = plant.chiller.power_kw(heat_kw + more_heat_kw, outdoor_high_c)
    return np.asarray(high_kw - plant.chiller.power_kw(heat_kw, outdoor_c))


def line_above(
    plant: CoolingPlant, top: Floats, more_heat_kw: Floats, outdoor_c: Floats, outdoor_high_c: Floats
) -> tuple[Floats, Floats]:
    """`rest` and `per_kw` of a line on or above `plant_margin_kw` for heats up to `top`, each shape (T,).

    Between the kinks of the two curves their difference is convex, so a line above it there is above it everywhere.
    """
    kinks = plant.chiller.breakpoints_kw()[:, None]
    heats = np.clip(np.concatenate([kinks + 0 * top, kinks - more_heat_kw]), 0.0, top)
    lies = plant_margin_kw(plant, heats, more_heat_kw, outdoor_c, outdoor_high_c)
    at_rest, at_top = (plant_margin_kw(plant, kw, more_heat_kw, outdoor_c, outdoor_high_c) for kw in (np.zeros_like(top), top))
    per_kw = np.where(top > 0, (at_top - at_rest) / np.where(top > 0, top, 1.0), 0.0)
    return (lies - per_kw * heats).max(axis=0), per_kw


def add(
    block: Any,
    feeder: Feeder,
    told: Margins,
    plants: Sequence[CoolingPlant],
    steps: Any,
    heat_kw: Callable[[str, int], Any],
    under: Sequence[Load],
    outdoor_c: Floats,
) -> None:
    """Declare one feeder's margin on `block`: of `plants` on it, which remove `heat_kw(c, t)`, and of the margins `under` it.

    Publishes `margin_kw`.
    """
    lines = {
        c.id: line_above(c, told.most_heat_kw[c.id], told.more_heat_kw[c.id], outdoor_c, told.outdoor_high_c) for c in plants
    }
    block.PLANTS = pyo.Set(initialize=list(lines))
    block.passes = pyo.Param(initialize=1 + feeder.loss_share)
    block.more_base_kw = table(told.more_base_kw[feeder.id], steps)
    block.rest_kw = pyo.Param(block.PLANTS, steps, initialize=_by_step({c: rest for c, (rest, _) in lines.items()}))
    block.per_kw = pyo.Param(block.PLANTS, steps, initialize=_by_step({c: per_kw for c, (_, per_kw) in lines.items()}))
    block.margin_kw = pyo.Var(steps, bounds=(0, None), dense=False)

    @block.Constraint(steps)
    def adds(b: Any, t: int) -> Any:
        cooling = sum(b.rest_kw[c, t] + b.per_kw[c, t] * heat_kw(c, t) for c in lines)
        return b.margin_kw[t] == b.passes * (b.more_base_kw[t] + cooling + sum(margin(t) for margin in under))


def _by_step(rows: Mapping[str, Floats]) -> dict[tuple[str, int], float]:
    return {(key, t): float(value) for key, row in rows.items() for t, value in enumerate(row)}
