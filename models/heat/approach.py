"""Approach: the air of a hall stays above the supply that cools it, by more the more heat is removed.

    temperature[t] >= supply[t] + approach * removed[t]      or      removed[t] = 0

is not convex: a hall that starts colder than its supply, or that little heats, is below it, and is cooled by nothing. So where it would
be so with the least heat there is and never cooled, at `idle`, the row is the convex hull of both, and `models.solving.cold` settles
what that leaves between:

    temperature[t] >= least[t] + (approach + lacks[t] / most removed[t]) * removed[t]        keeps_above
    least[t] = min(supply[t], idle[t]),   lacks[t] = supply[t] - least[t]

Elsewhere nothing is lacking, and the row asks for a temperature above the supply even where nothing is removed, as a hall has that was
never cooled. While levels are mixed, `least` is the mixture of theirs and `lacks` the coldest one's. Checked at the end of a step;
removal is constant within it.

| symbol       | name                                                            | unit |
|--------------|-----------------------------------------------------------------|------|
| supply       | temperature of the supply, chosen or still a mixture of levels  | degC |
| approach     | what the air stays above the supply, per heat removed           | K/kW |
| removed      | heat removed from the hall                                      | kW   |
| most removed | what its plant and its tank together can remove                 | kW   |
| idle         | temperature of the hall, heated least and never cooled          | degC |

Source: effectiveness of a coil at constant flow, as in ASHRAE Handbook, HVAC Systems and Equipment; hull of a disjunction: Balas, SIAM
Journal on Algebraic and Discrete Methods 6 (1985) 466.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.heat.hall import Hall
from models.heat.set_point import SetPoint
from models.horizon import Floats
from models.table import table


def idle_c(zone: Hall, h: Floats, outdoor_c: Floats, least_kw: Floats) -> Floats:
    """Temperature of a hall that `least_kw` alone heats and nothing cools, at the end of each step, degC; all of shape (T,)."""
    memory = zone.memory(h)
    reached, now_c = np.zeros(len(h)), zone.start_c
    for t in range(len(h)):
        now_c = float(memory[t] * now_c + (1 - memory[t]) * (outdoor_c[t] + zone.resistance_k_per_kw * least_kw[t]))
        reached[t] = now_c
    return reached


def add(block: Any, set_point: SetPoint, mixed: Any, hall: Any, steps: Any, never_below_c: Floats, most_kw: Floats) -> None:
    """Declare on `block` the approach of a hall, on block `hall`, from which at most `most_kw` are removed.

    `mixed` is the block of the set-point while its levels are mixed; `never_below_c` is the hall's `idle_c`. All of shape (T,).
    """
    levels_c = np.array([set_point.supply_c] if set_point.supply_c else [[c] * len(most_kw) for c in set_point.levels_c])
    least_c = np.minimum(levels_c, never_below_c)
    lacks_k = (levels_c - least_c).min(axis=0)
    block.least_c = table(least_c, mixed.LEVELS, steps) if not set_point.supply_c else table(least_c[0], steps)
    block.lacks_k, block.most_kw = table(lacks_k, steps), table(most_kw, steps)
    block.approach_k_per_kw = pyo.Param(initialize=set_point.approach_k_per_kw)
    slope_k_per_kw = set_point.approach_k_per_kw + np.divide(lacks_k, most_kw, out=np.zeros(len(most_kw)), where=most_kw > 0)
    block.rises_k_per_kw = table(slope_k_per_kw, steps)

    def mixed_c(b: Any, t: int) -> Any:
        return sum(b.least_c[i, t] * mixed.share[i, t] for i in mixed.LEVELS)

    def chosen_c(b: Any, t: int) -> Any:
        return b.least_c[t]

    supply_c = chosen_c if set_point.supply_c else mixed_c

    @block.Constraint(steps)
    def keeps_above(b: Any, t: int) -> Any:
        return hall.temperature_c[t] >= supply_c(b, t) + b.rises_k_per_kw[t] * hall.removed_kw[t]
