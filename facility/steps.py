"""Steps: the instants at which a plan's intervals begin and end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from models.horizon import Horizon

Edges = tuple[datetime, ...]
"""T + 1 rising UTC instants; step t is the half-open interval [edges[t], edges[t + 1])."""

ROLLING = (
    (timedelta(minutes=5), timedelta(hours=2)),
    (timedelta(minutes=15), timedelta(hours=6)),
    (timedelta(hours=1), timedelta(hours=24)),
)


def uniform(start: datetime, end: datetime, step: timedelta) -> Edges:
    """Equal steps of elapsed time from `start` to `end`, both UTC; the last one may be shorter."""
    count = -(-(end - start) // step)
    return (*(start + i * step for i in range(count)), end)


def rolling(now: datetime) -> Edges:
    """The daemon's steps: 5 min for 2 h, 15 min up to 6 h, 1 h up to 24 h."""
    edges = [now]
    for step, until in ROLLING:
        while edges[-1] < now + until:
            edges.append(edges[-1] + step)
    return tuple(edges)


def local_midnight(date: datetime, zone: ZoneInfo) -> datetime:
    """UTC instant at which the local calendar day of the naive `date` begins."""
    return datetime.combine(date.date(), time(), zone).astimezone(UTC)


def local_day(date: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The local calendar day of the naive `date` as a UTC interval of 23, 24 or 25 h."""
    return local_midnight(date, zone), local_midnight(date + timedelta(days=1), zone)


def horizon(edges: Edges) -> Horizon:
    """The lengths of the steps, h."""
    return Horizon(tuple((b - a).total_seconds() / 3600 for a, b in itertools.pairwise(edges)))


def as_datetime64(edges: Sequence[datetime]) -> np.ndarray:
    """UTC instants as numpy's datetime64 in seconds, shape (n,)."""
    return np.array([math.floor(edge.timestamp()) for edge in edges], "int64").view("datetime64[s]")
