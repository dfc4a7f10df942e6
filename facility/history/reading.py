"""Reading a history, beside the daemon that writes it: sums of points over a span of time, and their values in order of time.

It reads an hour at a time or less, so that no question holds the writer's log for long or fills memory. Instants are whole ms since 1970,
UTC; spans are half-open. Times without a reading that is believed are missing, and shown as such.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from facility.history.database import Database
from facility.history.tables import EVERY, LEVELS

HOUR_MS: Final = 3_600_000
AT_ONCE: Final = 100_000
"""Readings that are about fetched at once."""
MISSING: Final = "missing"


class Value(NamedTuple):
    """The value of a point at an instant, in its sensor's unit, and the verdict on it: `good`, why it was refused, or `missing`."""

    point: str
    at_ms: int
    value: float | None
    quality: str


@dataclass(frozen=True)
class Summary:
    """A point over a span: readings believed and not believed, and of those believed the lowest, mean, highest and last.

    `missing` of `slots` intervals of the resolution asked for have no reading that is believed.
    """

    point: str
    good: int
    bad: int
    low: float | None
    mean: float | None
    high: float | None
    last: float | None
    last_at_ms: int | None
    missing: int
    slots: int


@dataclass
class _Sums:
    good: int = 0
    bad: int = 0
    total: float = 0.0
    low: float | None = None
    high: float | None = None
    last_at_ms: int | None = None
    filled: int = 0


class Reader:
    """Questions to a history. Raises StoreFault where the database fails."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._points: dict[int, str] = dict(database.read("SELECT n, name FROM point ORDER BY name"))
        self._verdicts: dict[int, str] = dict(database.read("SELECT n, name FROM verdict"))

    def points(self, pattern: str = "*") -> tuple[str, ...]:
        """List the points whose names match a shell pattern, such as `h1/*/power_kw`, by name."""
        return tuple(name for name in self._points.values() if fnmatch.fnmatchcase(name, pattern))

    def newest(self) -> datetime | None:
        """Tell the end of the newest reading's millisecond, UTC; None where there is no reading."""
        newest = [self._db.read(f"SELECT max(at_ms) FROM {level.table}")[0][0] for level in LEVELS]
        found = [at_ms for at_ms in newest if at_ms is not None]
        return datetime.fromtimestamp((max(found) + 1) / 1000, UTC) if found else None

    def resolution_ms(self, start_ms: int, end_ms: int, asked_ms: int) -> int:
        """The finest resolution of the span, ms, that is not finer than asked for: what is old is there only as means."""
        coarse = [level.every_ms for level in LEVELS[1:] if self._any(level.table, start_ms, end_ms)]
        return max([asked_ms, *coarse])

    def summaries(self, points: Collection[str], start_ms: int, end_ms: int, every_ms: int) -> list[Summary]:
        """Sum up each of `points`, also those without any reading in the span."""
        sums = {point: _Sums() for point in points}
        for begin, end in self._spans(start_ms, end_ms, every_ms):
            query = f"""
                SELECT point, sum(good), sum(bad), sum(total), min(low), max(high), max(last_at), sum(CASE WHEN good > 0 THEN 1 ELSE 0 END)
                FROM (SELECT point, at_ms / {every_ms:d} AS slot, sum(good) AS good, sum(bad) AS bad, sum(total) AS total, min(low) AS low,
                        max(high) AS high, max(CASE WHEN good > 0 THEN at_ms END) AS last_at
                    FROM ({EVERY}) AS readings WHERE {self._among(points)} GROUP BY 1, 2) AS slots
                GROUP BY 1"""
            for n, good, bad, total, low, high, last_at_ms, filled in self._db.read(query, *(begin, end) * len(LEVELS)):
                part = sums[self._points[n]]
                part.good, part.bad, part.total = part.good + int(good), part.bad + int(bad), part.total + float(total)
                part.low = low if part.low is None or (low is not None and low < part.low) else part.low
                part.high = high if part.high is None or (high is not None and high > part.high) else part.high
                part.last_at_ms = part.last_at_ms if last_at_ms is None else last_at_ms
                part.filled += int(filled)
        slots = -(-end_ms // every_ms) - start_ms // every_ms
        return [self._summary(point, part, slots) for point, part in sums.items()]

    def values(self, points: Collection[str], start_ms: int, end_ms: int) -> Iterator[Value]:
        """Every reading of `points` as it is kept, by time; of what is old the means, each at the begin of its interval."""
        raw = f"SELECT at_ms, point, value, verdict FROM raw WHERE at_ms >= ? AND at_ms < ? AND {self._among(points)}"
        means = " ".join(
            f"UNION ALL SELECT at_ms, point, CASE WHEN good > 0 THEN total / good END, CASE WHEN good > 0 THEN 0 ELSE -1 END"
            f" FROM {level.table} WHERE at_ms >= ? AND at_ms < ? AND {self._among(points)}"
            for level in LEVELS[1:]
        )
        step_ms = 1000
        while (start_ms := self._first(start_ms, end_ms)) < end_ms:
            stop_ms = min(start_ms + step_ms, end_ms)
            rows = self._db.read(f"{raw} {means} ORDER BY 1, 2", *(start_ms, stop_ms) * len(LEVELS))
            start_ms, step_ms = stop_ms, min(max(int(step_ms * min(AT_ONCE / max(len(rows), 1), 2.0)), 1), HOUR_MS)
            for at_ms, n, value, verdict in rows:
                yield Value(self._points[n], at_ms, _number(value), self._verdicts.get(verdict, MISSING))

    def means(self, points: Collection[str], start_ms: int, end_ms: int, every_ms: int) -> Iterator[Value]:
        """The mean of each of `points` in each interval of the span, by time; an interval without a reading believed is `missing`."""
        slot = start_ms // every_ms
        for begin, end in self._spans(start_ms, end_ms, every_ms):
            query = f"""
                SELECT at_ms / {every_ms:d}, point, sum(total) / sum(good)
                FROM ({EVERY}) AS readings WHERE good > 0 AND {self._among(points)} GROUP BY 1, 2"""
            found = {(at, self._points[n]): mean for at, n, mean in self._db.read(query, *(begin, end) * len(LEVELS))}
            stop = -(-end // every_ms)
            yield from _filled(points, range(slot, stop), every_ms, found)
            slot = stop
        yield from _filled(points, range(slot, -(-end_ms // every_ms)), every_ms, {})

    def _summary(self, point: str, part: _Sums, slots: int) -> Summary:
        mean = part.total / part.good if part.good else None
        last = None if part.last_at_ms is None else self._at(point, part.last_at_ms)
        return Summary(point, part.good, part.bad, part.low, mean, part.high, last, part.last_at_ms, slots - part.filled, slots)

    def _at(self, point: str, at_ms: int) -> float | None:
        (n,) = (n for n, name in self._points.items() if name == point)
        query = f"SELECT total / good FROM ({EVERY}) AS readings WHERE point = ? AND good > 0"
        found = self._db.read(query, *(at_ms, at_ms + 1) * len(LEVELS), n)
        return float(found[0][0]) if found else None

    def _spans(self, start_ms: int, end_ms: int, every_ms: int) -> Iterator[tuple[int, int]]:
        """The parts of a span that hold anything, each of about an hour, ending where intervals do."""
        step = max(HOUR_MS // every_ms, 1) * every_ms
        while start_ms < end_ms:
            start_ms = max(start_ms, self._first(start_ms, end_ms) // step * step)
            if start_ms >= end_ms:
                return
            stop = min((start_ms // step + 1) * step, end_ms)
            yield start_ms, stop
            start_ms = stop

    def _first(self, start_ms: int, end_ms: int) -> int:
        """When something is there for the first time in a span; its end where nothing is."""
        nexts = [self._db.read(f"SELECT min(at_ms) FROM {level.table} WHERE at_ms >= ?", start_ms)[0][0] for level in LEVELS]
        return min([end_ms, *(int(at_ms) for at_ms in nexts if at_ms is not None)])

    def _any(self, table: str, start_ms: int, end_ms: int) -> bool:
        return bool(self._db.read(f"SELECT 1 FROM {table} WHERE at_ms >= ? AND at_ms < ? LIMIT 1", start_ms, end_ms))

    def _among(self, points: Collection[str]) -> str:
        if len(points) == len(self._points):
            return "true"
        wanted = set(points)
        return f"point IN ({', '.join(str(n) for n, name in self._points.items() if name in wanted) or 'NULL'})"


def _filled(points: Collection[str], slots: range, every_ms: int, found: Mapping[tuple[int, str], float]) -> Iterator[Value]:
    for slot in slots:
        for point in points:
            mean = found.get((slot, point))
            yield Value(point, slot * every_ms, mean, MISSING if mean is None else "good")


def _number(value: float | None) -> float | None:
    """PostgreSQL holds what has no value as not-a-number."""
    return None if value is None or value != value else value  # noqa: PLR0124
