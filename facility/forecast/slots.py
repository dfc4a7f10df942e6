"""Slots: a series by the hours of its local days, or their quarters, as a table that the same time of many days can be read from.

A slot of the spring hour that no clock shows has no value; that of the autumn hour that is shown twice has the mean of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from facility.inputs.series import Series
from models.horizon import Floats

Ints = NDArray[np.int64]

HOUR_S = 3600
QUARTER_S = 900
DAY_S = 86400
KNOWN_SHARE = 0.5
"""Share of a slot that must be known for its mean to count."""


@dataclass(frozen=True)
class Slots:
    """Means of slots of `length_s` seconds, NaN where not known; the first begins a local day, the last is the last one known."""

    value: Floats
    first: int
    length_s: int

    @property
    def a_day(self) -> int:
        """How many slots a day has."""
        return DAY_S // self.length_s

    @property
    def last(self) -> int:
        """The number of the last slot, as `number_of` counts."""
        return self.first + len(self.value) - 1


def slots_of(known: Series, zone: ZoneInfo, most_days: int) -> Slots:
    """The last `most_days` of a series by local time: its quarters where it tells as much and no more, else its hours.

    A slot counts where half of it is known; where that is so of none, any does.
    """
    spacing_s = np.median(seconds(known.end[-96:]) - seconds(known.start[-96:]))
    length_s = QUARTER_S if QUARTER_S <= spacing_s < HOUR_S else HOUR_S
    end = int(seconds(known.end[-1:])[0])
    begin = max(int(seconds(known.start[:1])[0]), end - most_days * DAY_S)
    begin = begin // length_s * length_s
    edges = np.arange(begin, end + length_s, length_s)
    first_row = int(np.searchsorted(seconds(known.end), begin, side="right"))
    amount, covered = integrals(known.start[first_row:], known.end[first_row:], known.value[first_row:], edges)
    told = np.flatnonzero(covered >= min(KNOWN_SHARE * length_s, covered.max()))
    numbers = number_of(edges[told], zone, length_s)
    first = int(numbers[0]) // (DAY_S // length_s) * (DAY_S // length_s)
    at, count = numbers - first, int(numbers.max()) - first + 1
    value = np.full(count, np.nan)
    times = np.bincount(at, minlength=count)
    sums = np.bincount(at, weights=amount[told] / covered[told], minlength=count)
    value[times > 0] = sums[times > 0] / times[times > 0]
    return Slots(value, first, length_s)


def seconds(times: NDArray[np.datetime64]) -> Ints:
    """Seconds since 1970 of instants."""
    return times.astype("datetime64[s]").astype(np.int64)


def integrals(start: NDArray[np.datetime64], stop: NDArray[np.datetime64], value: Floats, edges: Ints) -> tuple[Floats, Floats]:
    """By step between `edges` (seconds since 1970): the integral of what is known of it, and how many seconds that are; shapes (T,)."""
    begin, end = seconds(start), seconds(stop)
    row = np.searchsorted(begin, edges, side="right") - 1
    within = np.clip(edges - begin[row], 0, (end - begin)[row]) * (row >= 0)
    length = (end - begin).astype(float)
    covered = np.diff(np.concatenate([[0.0], np.cumsum(length)])[row.clip(0)] + within)
    amount = np.diff(np.concatenate([[0.0], np.cumsum(value * length)])[row.clip(0)] + within * value[row])
    return amount, covered


def number_of(times: Ints, zone: ZoneInfo, length_s: int) -> Ints:
    """The number of the slot of the local clock, counted since 1970, that each instant is in; shape (n,)."""
    return np.asarray((times + _offsets_s(times, zone)) // length_s)


def _offsets_s(times: Ints, zone: ZoneInfo) -> Ints:
    """How far the local clock is ahead of UTC at instants that rise, s."""
    years = [datetime.fromtimestamp(int(at), UTC).year for at in (times[0], times[-1])]
    table = np.concatenate([_year_s(zone, year) for year in range(years[0], years[1] + 1)])
    first = int(datetime(years[0], 1, 1, tzinfo=UTC).timestamp())
    return np.asarray(table[(times - first) // HOUR_S])


@lru_cache(maxsize=32)
def _year_s(zone: ZoneInfo, year: int) -> Ints:
    """How far a zone is ahead of UTC in each hour of a UTC year, s."""
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    hours = range(int((end - begin) / timedelta(hours=1)))
    ahead = (((begin + timedelta(hours=hour)).astimezone(zone).utcoffset() or timedelta()).total_seconds() for hour in hours)
    return np.fromiter(ahead, np.int64)
