"""Where a message stands and who reads it, and words that sentences share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Place:
    """Where a message stands and when it is read: its topic's `name` in the table, the `ids` in it, and the reader's clock."""

    name: str
    ids: Mapping[str, str]
    now: datetime
    zone: ZoneInfo

    def at(self, instant: datetime) -> str:
        """An instant by the local clock: the time of day, with its date where that is another."""
        local = instant.astimezone(self.zone)
        return f"{local:%H:%M}" if local.date() == self.now.astimezone(self.zone).date() else f"{local:%d %b %H:%M}"

    def span(self, start: datetime, end: datetime) -> str:
        """An interval by the local clock."""
        return f"from {self.at(start)} until {self.at(end)}"


Says = Callable[[Any, Place], str]
"""From a payload to a sentence."""


def because(reason: str) -> str:
    """A reason at the end of a sentence, where there is one."""
    return f"; {reason}" if reason else ""


def number_of(gpus: int | tuple[str, ...]) -> str:
    """How many GPUs."""
    count = gpus if isinstance(gpus, int) else len(gpus)
    return f"{count} GPU{'s' if count != 1 else ''}"


def between(values: Sequence[float]) -> str:
    """The least and the most of some values, or the only one."""
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
