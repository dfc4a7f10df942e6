"""Shortage: what adding a number of GPUs means hour by hour - who is slowed, how much, and what it takes of energy.

The added GPUs are slowed first, evenly and only as far as an hour is short; where what they agreed to is not enough, the present rentals give
what their terms allow. Shares of hours in which load is cut are what studies of large loads' flexibility tell: Norris et al., Rethinking Load
Growth, Duke University 2025, found room for 76, 98 and 126 GW in the United States at 0.25, 0.5 and 1 % of a year's energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facility.capacity.place import Place
from facility.capacity.reach import LimitOf, Month
from models.horizon import Floats

HALVINGS = 12
"""How often the range of speeds is halved: to less than a thousandth of full speed."""


@dataclass(frozen=True)
class Shortage:
    """By hour, shape (T,): relative speed of the added GPUs, whether the present rentals give too, and what the added ones take at the meter."""

    gpus: int
    speed: Floats
    present_gives: np.ndarray
    added_kw: Floats
    cost: float
    carbon_kg: float

    @property
    def slowed(self) -> np.ndarray:
        """The hours in which the added GPUs are slowed."""
        return np.asarray(self.speed < 1 - 1e-6)

    @property
    def lost_gpu_h(self) -> float:
        """Work that the added GPUs do not do, GPU hours at full speed."""
        return self.gpus * float((1 - self.speed).sum())

    @property
    def lost_share(self) -> float:
        """The share of what they could do that this is."""
        return float((1 - self.speed).mean()) if self.gpus else 0.0

    @property
    def longest(self) -> tuple[int, int]:
        """The longest run of hours in which they are slowed: its first hour, and how many."""
        best, began = (0, 0), 0
        for t, slow in enumerate((*self.slowed.tolist(), False)):
            if not slow:
                best, began = max(best, (began, t - began), key=lambda run: run[1]), t + 1
        return best


def shortage(there: Sequence[Month], place: Place, gpus: int, least_speed: float) -> Shortage:
    """What `gpus` at a place, which may be slowed to `least_speed`, come to in every hour."""
    speeds, gives, drawn, cost, carbon = [], [], [], 0.0, 0.0
    for month in there:
        speed = _speeds(month, place, gpus, least_speed)
        draw, could = place.draws_kw(speed), place.could_draw_kw(speed)
        found = month.hours(place, draw, could, slowed=False)
        grid = found.of("grid.limits", "")
        kw = np.maximum(grid.load.at(gpus), 0.0) - np.maximum(grid.load.at(0), 0.0)
        speeds.append(speed)
        gives.append(found.most < gpus - 1e-6)
        drawn.append(kw)
        cost += float(kw @ month.paid_per_kwh)
        carbon += float(kw @ month.part.forecast.carbon_g_per_kwh) / 1000
    return Shortage(gpus, np.concatenate(speeds), np.concatenate(gives), np.concatenate(drawn), cost, carbon)


def lifted_kw(there: Sequence[Month], place: Place, limit: LimitOf, gpus: int, speed: float) -> float:
    """How much more a limit would have to be for `gpus` at a speed, in the hour that needs most, kW."""
    most = -np.inf
    for month in there:
        found = month.hours(place, float(place.draws_kw(speed)), float(place.could_draw_kw(speed)), slowed=True)
        most = max(most, float(found.of(*limit).over_kw(gpus).max()))
    return most


def _speeds(month: Month, place: Place, gpus: int, least_speed: float) -> Floats:
    """The highest speed of each hour at which all fit while the present rentals run at full speed; the least that is agreed where none is."""
    steps = len(month.problem.horizon)
    if not gpus:
        return np.ones(steps)
    low, high = np.full(steps, least_speed), np.ones(steps)

    def fits(speed: Floats) -> np.ndarray:
        return np.asarray(month.hours(place, place.draws_kw(speed), place.could_draw_kw(speed), slowed=False).most >= gpus - 1e-6)

    low = np.where(fits(high), high, low)
    while_short = low < high
    for _ in range(HALVINGS if while_short.any() else 0):
        middle = (low + high) / 2
        there = fits(middle)
        low, high = np.where(while_short & there, middle, low), np.where(while_short & ~there, middle, high)
    return low
