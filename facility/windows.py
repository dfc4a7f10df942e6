"""Windows: daily spans of the site's local clock, such as 17:00 to 20:00, and which of them an interval touches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar
from zoneinfo import ZoneInfo


class Window(Protocol):
    """A half-open span of the wall clock, "HH:MM" each; one that ends before it starts runs over midnight."""

    @property
    def from_local(self) -> str:
        """Its first minute."""

    @property
    def to_local(self) -> str:
        """The minute after its last, up to 24:00."""


W = TypeVar("W", bound=Window)


def inside(window: Window, local: str) -> bool:
    """Whether a wall-clock time, "HH:MM" or "HH:MM:SS", is in a window."""
    if window.from_local < window.to_local:
        return window.from_local <= local < window.to_local
    return local >= window.from_local or local < window.to_local


def minutes(start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield each whole minute inside (start, end): windows and clock changes happen on no finer instant."""
    minute = start.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    while minute < end:
        yield minute
        minute += timedelta(minutes=1)


def touched(windows: Iterable[W], zone: ZoneInfo, start: datetime, end: datetime) -> list[W]:
    """Which windows of `zone`'s clock [start, end) touches."""
    told = list(windows)
    if not told:
        return []
    locals_ = {instant.astimezone(zone).strftime("%H:%M:%S") for instant in (start, *minutes(start, end))}
    return [window for window in told if any(inside(window, local) for local in locals_)]
