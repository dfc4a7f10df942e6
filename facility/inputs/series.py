"""Series files: prices, weather and carbon intensity that a planner hands in, as half-open intervals of UTC.

A file has a first column `time` or `timestamp_utc` and value columns whose names end in their unit. Each row lasts until the
next one, the last as long as the one before it. What is missing, doubled or out of order is refused, never filled in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facility.errors import InputError
from facility.inputs.table import ISO_REMEDY, localise, nearest, numbers, parse_times, place, read_table, refused, text

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

UNIT = re.compile(r"(?:^|_)([a-z0-9]+_per_(?:wh|kwh|mwh|gwh|kw|kwp|mw|mj|gj|mmbtu)|c|f|k|pct|w|kw|mw|gw|wh|kwh|mwh|gwh|kmh)$")
PERSISTS = 4
"""Equal spacings in a row from which on they are the file's resolution and not missing rows."""


@dataclass(frozen=True)
class Quantity:
    """What is looked for: its column, the names taken for it unasked (a pattern), its unit, and what is believable."""

    name: str
    column: str
    fits: str
    unit: str
    low: float
    high: float


PRICE = Quantity("price", "price_{currency}_per_mwh", r".*_{currency}_per_mwh", "{currency}_per_mwh", -20_000, 20_000)
OUTDOOR = Quantity("outdoor temperature", "temp_c", r"(?!.*(wet_bulb|dew_point)).*_c", "c", -60, 60)
LOAD = Quantity("base load", "load_kw", r".*load_kw", "kw", 0, 1e7)
SOLAR = Quantity("solar output", "solar_kw_per_kwp", r"(.*_)?kw_per_kwp", "kw_per_kwp", 0, 1.5)
CARBON = Quantity("carbon intensity", "carbon_g_per_kwh", r".*_g_per_kwh", "g_per_kwh", 0, 5_000)


@dataclass(frozen=True)
class Series:
    """Values over half-open intervals `[start, end)` of UTC (datetime64[s], sorted); `name` is file and column.

    `rows` counts each as an editor shows the file, () where there is none.
    """

    name: str
    unit: str
    start: NDArray[np.datetime64]
    end: NDArray[np.datetime64]
    value: NDArray[np.float64]
    rows: tuple[int, ...] = ()

    def mean(self, start: datetime, end: datetime) -> float:
        """Time-weighted mean over `[start, end)`, aware instants; InputError where the series does not cover it."""
        return float(self.means(np.array([_instant(start), _instant(end)]))[0])

    def means(self, edges: NDArray[np.datetime64]) -> NDArray[np.float64]:
        """Time-weighted mean of each step between neighbours of `edges` (UTC, rising).

        A step within one interval has exactly that interval's value. InputError where the series does not cover a step.
        """
        edge, begin, end = (_micros(times) for times in (edges, self.start, self.end))
        if len(edge) < 2 or (np.diff(edge) <= 0).any():
            raise ValueError("edges must be at least two and rise")
        cuts = np.union1d(edge, begin[(begin > edge[0]) & (begin < edge[-1])])
        row = np.searchsorted(begin, cuts[:-1], side="right") - 1
        if (bare := np.flatnonzero((row < 0) | (end[row] < cuts[1:]))).size:
            at = bare[0]
            hole = cuts[at] if row[at] < 0 else max(cuts[at], end[row[at]])
            covered = f"no value at {_when(hole)}; it covers {_when(begin[0])} to {_when(end[-1])}"
            raise refused(self.name, covered, "give a file that covers the whole time asked for")
        step = np.searchsorted(edge, cuts[:-1], side="right") - 1
        base = self.value[row[np.searchsorted(cuts, edge[:-1])]]
        # As a deviation from the step's first value, so that a constant comes out as it stands in the file.
        deviation = np.bincount(step, weights=(self.value[row] - base[step]) * np.diff(cuts))
        return base + deviation / np.diff(edge)

    def covered(self, edges: NDArray[np.datetime64]) -> NDArray[np.float64]:
        """The same of each step that the series covers wholly, NaN of the others."""
        if not len(self.value):
            return np.full(len(edges) - 1, np.nan)
        at, begin, end = (times.astype("datetime64[s]").astype(np.int64) for times in (edges, self.start, self.end))
        knots = np.column_stack([begin, end]).ravel()
        lengths = (end - begin).astype(float)
        there = np.concatenate([[0.0], np.cumsum(lengths)])
        worth = np.concatenate([[0.0], np.cumsum(lengths * self.value)])

        def until(sums: NDArray[np.float64]) -> NDArray[np.float64]:
            """What has come together until each edge."""
            return np.interp(at, knots, np.column_stack([sums[:-1], sums[1:]]).ravel())

        told_s = np.diff(until(there))
        whole = told_s >= np.diff(at) - 0.5
        return np.where(whole, np.diff(until(worth)) / np.maximum(told_s, 1.0), np.nan)


def read_series(
    argument: str, quantity: Quantity, *, start: datetime, end: datetime, timezone: str | None, currency: str
) -> Series:
    """Read the rows of `argument` (`FILE` or `FILE:column`) that cover `[start, end)`.

    `timezone` is the IANA zone of times without an offset; `currency` the site's. Raises InputError for anything that would
    have to be guessed: an unknown or foreign unit, a gap, a duplicate, an empty value, another day.
    """
    path, picked = split(argument)
    frame = read_table(path)
    names = [str(name) for name in frame.columns]
    if names[0] not in ("time", "timestamp_utc"):
        raise refused(f"{path}, row 1", f"the first column is {names[0]!r}", "its name must be `time` or `timestamp_utc`")
    column = choose(path, names[1:], picked, quantity, currency.lower())
    begin, last = intervals(path, frame[names[0]], timezone)
    first, final = _instant(start), _instant(end)
    if first < begin[0] or final > last[-1]:
        found = f"covers {_when(begin[0])} to {_when(last[-1])}, asked for was {_when(first)} to {_when(final)}"
        raise refused(path, found, "give a file that covers it, or plan another day")
    span = np.flatnonzero((begin < final) & (last > first))
    _refuse_gaps(path, frame, begin, span)
    cells, unit = frame[column].iloc[span], quantity.unit.format(currency=currency.lower())
    value = numbers(cells)
    _refuse_values(path, cells, value, quantity, unit)
    return Series(f"{path}:{column}", unit, begin[span], last[span], value, tuple(frame.index[span]))


def split(argument: str) -> tuple[str, str | None]:
    """Part `FILE:column` into both; a file of that very name goes first."""
    if ":" not in argument or Path(argument).exists():
        return argument, None
    path, _, column = argument.rpartition(":")
    return path, column


def choose(path: str, names: list[str], picked: str | None, quantity: Quantity, currency: str) -> str:
    """Return the column of the quantity: the one picked, the one of its very name, or the only one in its unit."""
    wanted, unit = quantity.column.format(currency=currency), quantity.unit.format(currency=currency)
    header, foreign = f"{path}, row 1", f"give a file in {unit}"
    if picked is not None:
        if picked not in names:
            raise refused(header, f"has no column {picked!r} ({nearest(picked, names)})", "pick one of its columns")
        stated = UNIT.search(picked.lower())
        if stated and stated[1] != unit:
            raise refused(header, f"unit {stated[1]} of column {picked} is not the site's {unit}", foreign)
        return picked
    if wanted in names:
        return wanted
    fitting = [name for name in names if re.fullmatch(quantity.fits.format(currency=currency), name.lower())]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        found = f"{len(fitting)} columns could be the {quantity.name}: {', '.join(fitting)}"
        raise refused(header, found, f"pick one, such as {path}:{fitting[0]}")
    for name in names:
        stated = UNIT.search(name.lower())
        if stated and name.lower().split("_")[0] == wanted.split("_")[0]:
            raise refused(header, f"unit {stated[1]} of column {name} is not the site's {unit}", foreign)
    found = f"has no column {wanted} nor another in {unit} ({nearest(wanted, names)})"
    raise refused(header, found, f"pick the {quantity.name} by hand as {path}:column")


def intervals(path: str, column: pd.Series, timezone: str | None) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
    """Start and end of each row, UTC, strictly rising."""
    name, rows = str(column.name), column.index
    times = parse_times(path, column)
    if not times.aware and not times.faults:
        if timezone is None:
            found = f"{column.iloc[0]} and the others have no offset"
            raise refused(place(path, int(rows[0]), name), found, "say whose clock they show: --timezone ZONE")
        if name == "timestamp_utc" and timezone not in {"UTC", "Etc/UTC"}:
            found = f"its name says UTC, --timezone says {timezone}"
            raise refused(f"{path}, column {name}", found, "write the times with Z, or name the column `time`")
        times = localise(path, column, times.value, timezone, in_order=True)
    if times.faults:
        raise InputError(*times.faults[:20])
    if (empty := np.flatnonzero(np.isnat(times.value))).size:
        raise refused(place(path, int(rows[empty[0]]), name), "no time", ISO_REMEDY)
    if len(rows) < 2:
        raise refused(path, "has only one row, so nothing says how long it lasts", "give at least two rows")
    begin = times.value.astype("datetime64[s]")
    spacing = np.diff(begin)
    if (wrong := np.flatnonzero(spacing <= np.timedelta64(0))).size:
        at = int(wrong[0]) + 1
        found = (
            f"{_when(begin[at])} comes after {_when(begin[at - 1])}" if spacing[at - 1] else f"{_when(begin[at])} is there twice"
        )
        raise refused(place(path, int(rows[at]), name), found, "keep one row per time, in rising order")
    return begin, np.append(begin[1:], begin[-1] + spacing[-1])


def _refuse_gaps(path: str, frame: pd.DataFrame, begin: NDArray[np.datetime64], span: NDArray[np.intp]) -> None:
    gaps, usual = _gaps(np.diff(begin).astype(np.int64))
    if (inside := span[np.isin(span, np.flatnonzero(gaps))]).size:
        at = int(inside[0])
        found = f"no row between {_when(begin[at])} and {_when(begin[at + 1])}, where rows are {int(usual[at]) // 60} min apart"
        more = f" ({inside.size - 1} more such gaps)" if inside.size > 1 else ""
        where = place(path, int(frame.index[at + 1]), str(frame.columns[0]))
        raise refused(where, found + more, "add what is missing, or plan another time")


def _gaps(spacing_s: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which spacings are wider than the file's resolution there, and that resolution, s.

    A resolution is a spacing that persists. It may change once and for all, or to a finer one; a coarser stretch between two
    finer ones is what missing rows look like, however long.
    """
    first = np.flatnonzero(np.diff(spacing_s, prepend=spacing_s[0] - 1))
    length = np.diff(np.append(first, len(spacing_s)))
    size, lasting = spacing_s[first], np.flatnonzero(length >= PERSISTS)
    if not lasting.size:
        sizes, counts = np.unique(spacing_s, return_counts=True)
        usual = np.full(len(spacing_s), sizes[np.argmax(counts)])
        return spacing_s > usual, usual
    run = np.arange(len(first))
    before = np.searchsorted(lasting, run, side="left") - 1
    after = np.searchsorted(lasting, run, side="right")
    has_before, has_after = before >= 0, after < len(lasting)
    left = size[lasting[np.where(has_before, before, after.clip(max=len(lasting) - 1))]]
    right = size[lasting[np.where(has_after, after, before.clip(min=0))]]
    persists = length >= PERSISTS
    finer = np.where(persists, np.maximum(left, right), np.minimum(left, right))
    edge = persists & ~(has_before & has_after)
    usual = np.where(edge | (finer >= size), size, finer)
    return np.repeat(size > usual, length), np.repeat(usual, length)


def _refuse_values(path: str, column: pd.Series, value: NDArray[np.float64], quantity: Quantity, unit: str) -> None:
    finite = np.isfinite(value)
    odd = finite & ~((value >= quantity.low) & (value <= quantity.high))
    not_believable = f"is not believable as a {quantity.name} ({quantity.low:g} to {quantity.high:g} {unit})"
    for wrong, complaint, remedy in (
        (~finite, "is not a number", "write what it was, or plan another time"),
        (odd, not_believable, f"is it really in {unit}? convert the column, or mend the row"),
    ):
        if (at := np.flatnonzero(wrong)).size:
            cell = text(column.iloc[at[:1]]).iloc[0]
            more = f" ({at.size - 1} more such rows up to row {column.index[at[-1]]})" if at.size > 1 else ""
            found = (f"{cell} {complaint}" if cell else "no value") + more
            raise refused(place(path, int(column.index[at[0]]), str(column.name)), found, remedy)


def _instant(at: datetime) -> np.datetime64:
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")


def _micros(times: NDArray[np.datetime64]) -> NDArray[np.int64]:
    return times.astype("datetime64[us]").astype(np.int64)


def _when(at: np.datetime64 | np.int64) -> str:
    return f"{np.asarray(at).astype('datetime64[us]').astype('datetime64[s]')}Z"
