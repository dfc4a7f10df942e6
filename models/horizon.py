"""Horizon: the steps a plan is made of, fine first and coarse later."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Horizon:
    """Steps of `hours[t]` h each, laid end to end from hour 0.

    >>> Horizon((0.25, 0.25, 1.0)).ends
    array([0.25, 0.5 , 1.5 ])
    """

    hours: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.hours or min(self.hours) <= 0:
            raise ValueError("a horizon needs at least one step, and every step a positive length")

    def __len__(self) -> int:
        return len(self.hours)

    @cached_property
    def h(self) -> Floats:
        """Length of each step, h, shape (T,)."""
        return np.asarray(self.hours, float)

    @cached_property
    def ends(self) -> Floats:
        """End of each step, h after the start, shape (T,)."""
        return np.cumsum(self.h)

    @cached_property
    def starts(self) -> Floats:
        """Start of each step, h after the start, shape (T,)."""
        return self.ends - self.h

    @property
    def end_h(self) -> float:
        """Length of the whole horizon, h."""
        return float(self.ends[-1])

    def overlap(self, from_h: float, to_h: float) -> Floats:
        """Share of each step that lies in [from_h, to_h), shape (T,), each in [0, 1].

        >>> Horizon((1.0, 1.0)).overlap(0.5, 1.25)
        array([0.5 , 0.25])
        """
        covered = np.minimum(self.ends, to_h) - np.maximum(self.starts, from_h)
        share = np.clip(covered / self.h, 0.0, 1.0)
        share[share < 1e-9] = 0.0
        share[share > 1 - 1e-9] = 1.0
        return share
