"""Table: a Pyomo Param, or an indexed Set, as one array.

    block.share  = table(share, block.WORKLOADS, block.STEPS)
    block.WINDOW = ragged(share > 0, block.WORKLOADS)

are an ordinary Param and Set to Pyomo, which asks for one value, one Set of members after another; `models.compile` reads the arrays.
Their axes are those of the Sets, whose members are the numbers 0, 1, 2 ... along each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
from numpy.typing import ArrayLike, NDArray
from pyomo.core.base.set import IndexedSet, InsertionOrderSetData

Bools = NDArray[np.bool_]


class Table:
    """An array that answers like a dictionary."""

    def __init__(self, values: ArrayLike) -> None:
        self.values = np.asarray(values)

    def __getitem__(self, index: int | tuple[int, ...]) -> float | int:
        found: float | int = self.values[index].item()
        return found


class Ragged(IndexedSet):  # type: ignore[misc]
    """For each number the numbers at which its row of `holds`, shape (m, n), is true; a Set is made of them once Pyomo asks."""

    _ComponentDataClass = InsertionOrderSetData

    def __init__(self, holds: Bools, over: Any) -> None:
        self.holds = holds
        super().__init__(over, initialize=lambda _, row: np.flatnonzero(holds[row]).tolist())

    def construct(self, data: Any = None) -> None:  # noqa: ARG002 - Pyomo's own signature
        """Nothing yet: members are made when they are asked for."""
        self._constructed = True


def ragged(holds: Bools, over: Any) -> Any:
    """For each member of the Set `over` the Set of the numbers at which its row of `holds` is true."""
    return Ragged(holds, over)


def table(values: ArrayLike, *sets: Any) -> Any:
    """A Param over `sets` whose values are an array of their sizes."""
    return pyo.Param(*sets, within=pyo.Any, default=Table(values))
