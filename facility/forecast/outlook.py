"""Outlook: a band for each step of what was observed or published so far - what it says where it reaches, what it taught beyond.

Steps that are known have their value thrice. The others have the P10, P50 and P90 that `learnt` finds for the slots that they touch, as
far from the last known slot as they are; what is more than `MOST_LEAD_DAYS` away is as uncertain as what is just that far. A slot that
is known in part goes on as it is, and a hole is as the day before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from facility.forecast.learnt import ENOUGH_DAYS, ahead, filled
from facility.forecast.slots import Ints, Slots, integrals, number_of, seconds, slots_of
from facility.inputs.series import Series
from facility.steps import Edges, as_datetime64
from models.grid.uncertainty import mean_of
from models.horizon import Floats

MOST_DAYS: Final = 365
"""Days that are remembered."""
MOST_LEAD_DAYS: Final = 3
FROM_ZERO: Final = frozenset({"kw", "kw_per_kwp", "g_per_kwh", "gpus", "gpu_h"})
"""Units of what is never below zero."""
ROOM: Final = 0.5
"""How far from all that was seen a band may reach, as a share of what lies between its least and its most."""


@dataclass(frozen=True)
class Band:
    """P10, P50 and P90 of the mean of each step, shape (T,), and the days that are known of what lies beyond; 0 where all steps are known."""

    low: Floats
    middle: Floats
    high: Floats
    days: float

    @property
    def mean(self) -> Floats:
        """What is expected, shape (T,)."""
        return np.where(self.low == self.high, self.middle, mean_of(self.low, self.middle, self.high))

    @property
    def said(self) -> str:
        """How it was learnt, in words; empty where all of it was known."""
        if not self.days:
            return ""
        how_long = f"{self.days:.0f} days" if self.days >= 2 else f"{24 * self.days:.0f} h"
        return f"learnt from {how_long}{'' if self.days >= ENOUGH_DAYS else ': as at the same time of the newest day, in wide bands'}"


def outlook(known: Series, edges: Edges, zone: ZoneInfo) -> Band:
    """The band of the steps between `edges`, by what is `known`; `zone` is whose days they are. ValueError where nothing is known.

    Of what is older than `MOST_DAYS` before the last that is known nothing counts.
    """
    if not len(known.value):
        raise ValueError(f"{known.name}: nothing is known that could be learnt from")
    at = seconds(as_datetime64(edges))
    exact = _covered(known, at)
    found, days = np.empty((3, len(exact))), 0.0
    if not exact.all():
        base = known.value[-1]  # all else is counted from it, so that a constant comes out as it stands
        beside = replace(known, value=known.value - base)
        slots = slots_of(beside, zone, MOST_DAYS)
        found = base + _expected(beside, slots, at, zone)
        days = float(np.count_nonzero(np.isfinite(slots.value)) / slots.a_day)
        if known.unit in FROM_ZERO:
            found = np.maximum(found, 0.0)
    for first, last in _runs(exact):
        found[:, first:last] = known.means(as_datetime64(edges[first : last + 1]))
    return Band(found[0], found[1], found[2], days)


def _covered(known: Series, at: Ints) -> np.ndarray:
    """Which steps are known from end to end."""
    _, covered_s = integrals(known.start, known.end, known.value, at)
    return np.asarray(covered_s == np.diff(at))


def _expected(known: Series, slots: Slots, at: Ints, zone: ZoneInfo) -> Floats:
    """The band of each step, of pieces that are known or in one slot each; shape (3, T)."""
    ends = np.concatenate([seconds(known.start), seconds(known.end)])
    begin = at[0] // slots.length_s * slots.length_s
    inner = np.concatenate([np.arange(begin, at[-1], slots.length_s), ends])
    cuts = np.unique(np.concatenate([at, inner[(inner > at[0]) & (inner < at[-1])]]))
    length_s = np.diff(cuts)
    amount, covered_s = integrals(known.start, known.end, known.value, cuts)
    pieces = np.where(covered_s == length_s, amount / length_s, _beyond(slots, number_of(cuts[:-1], zone, slots.length_s)))
    step = np.searchsorted(at, cuts[:-1], side="right") - 1
    return np.array([np.bincount(step, weights=row * length_s) for row in pieces]) / np.diff(at)


def _beyond(slots: Slots, number: Ints) -> Floats:
    """The band of slots that are not known, or not wholly, by their numbers; shape (3, n)."""
    a_day, lead, values = slots.a_day, number - slots.last, filled(slots.value, slots.a_day)
    lead_days = int(np.clip(-(-lead.max() // a_day), 1, MOST_LEAD_DAYS))
    band = ahead(slots.value, a_day, slots.first // a_day, lead_days)
    room = np.ptp(values) * ROOM
    band = band.clip(values.min() - room, values.max() + room)
    lead = np.where(lead > band.shape[1], (lead - 1) % a_day + 1 + band.shape[1] - a_day, lead)
    hole = lead < 1
    of = band[:, np.where(hole, np.where(lead == 0, 1, a_day), lead) - 1]
    here = np.where(number >= slots.first, number - slots.first, number % a_day).clip(max=len(values) - 1)
    return np.asarray(np.where(hole, of - of[1] + values[here], of))


def _runs(true: np.ndarray) -> list[tuple[int, int]]:
    """The stretches of neighbours that are true, as half-open spans."""
    turns = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(int)))
    return [(int(first), int(last)) for first, last in turns.reshape(-1, 2)]
