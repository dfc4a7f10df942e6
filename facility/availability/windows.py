"""Windows: the slow hours that a contract's flexibility grants in each day, week or month, and how many of them were used.

A window that the span cuts off is not whole: what was used of it outside the span is not counted here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from facility.ladder import Flexibility
from facility.problem.tenancy import window_of
from facility.usage.usage import Usage

DAY = timedelta(days=1)
TINY_H = 1e-6


@dataclass(frozen=True)
class SlowWindow:
    """One window, such as 2026-07-15, 2026-29 (a week by ISO 8601) or 2026-07: hours used at the greatest slow-down, and granted, None for any."""

    window: str
    used_h: float
    granted_h: float | None
    whole: bool

    @property
    def over_h(self) -> float:
        """Hours beyond what was granted."""
        return 0.0 if self.granted_h is None else max(self.used_h - self.granted_h, 0.0)


def slow_windows(usages: Iterable[Usage], terms: Flexibility, start: datetime, end: datetime, zone: ZoneInfo) -> tuple[SlowWindow, ...]:
    """The windows that [start, end), UTC, touches, in order, with what one contract used of them."""
    used: dict[str, float] = {}
    for row in usages:
        name = _name(row.start.astimezone(zone), terms)
        used[name] = used.get(name, 0.0) + row.slow_h
    cut = {_name(edge.astimezone(zone), terms) for edge in (start, end) if _amid(edge.astimezone(zone), terms)}
    names = dict.fromkeys(_names(start, end, terms, zone))
    return tuple(SlowWindow(name, used.get(name, 0.0), terms.slow_hours, name not in cut) for name in names)


def _names(start: datetime, end: datetime, terms: Flexibility, zone: ZoneInfo) -> Iterable[str]:
    day, last = start.astimezone(zone).date(), (end - timedelta(microseconds=1)).astimezone(zone).date()
    while day <= last:
        yield _name(datetime(day.year, day.month, day.day, tzinfo=zone), terms)
        day += DAY


def _amid(local: datetime, terms: Flexibility) -> bool:
    """Whether a local instant lies within a window and not at its beginning."""
    before = (local - timedelta(minutes=1)).astimezone(local.tzinfo)
    return _name(before, terms) == _name(local, terms)


def _name(local: datetime, terms: Flexibility) -> str:
    return "-".join(f"{part:02d}" for part in window_of(local, terms.slow_window))
