"""Table: the values of a Pyomo Param as one array.

    block.share = table(share, block.WORKLOADS, block.STEPS)

is an ordinary Param to Pyomo, which asks it for one value after another; `models.compile` reads the array. Its axes are those of the
Sets, in the order of their members, which are the numbers 0, 1, 2 ... along each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
from numpy.typing import ArrayLike


class Table:
    """An array that answers like a dictionary."""

    def __init__(self, values: ArrayLike) -> None:
        self.values = np.asarray(values)

    def __getitem__(self, index: int | tuple[int, ...]) -> float | int:
        found: float | int = self.values[index].item()
        return found


def table(values: ArrayLike, *sets: Any) -> Any:
    """A Param over `sets` whose values are an array of their sizes."""
    return pyo.Param(*sets, within=pyo.Any, default=Table(values))
