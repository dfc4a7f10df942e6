"""Calls: what the grid's operator asked for in a span: events that held, as the daemon kept them, and those of a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from facility.events import Event
from facility.journal.calls import Calls


def recorded(calls: Calls, start: datetime, end: datetime) -> tuple[tuple[Event, ...], str]:
    """The calls that begin in [start, end), in order; and of what time they are not known any more, in words, empty where of none."""
    known = calls.known_from
    gap = f"calls before {_iso(known)} are not kept any more; name them with --events" if known is not None and known > start else ""
    return tuple(event for event in calls.since(start) if start <= event.start < end), gap


def joined(told: Iterable[Event], heard: Sequence[Event]) -> tuple[Event, ...]:
    """Calls of a file, and those that were recorded of other times; what a file says of a time goes first."""
    first = list(told)
    return tuple(sorted([*first, *(e for e in heard if not any(e.start < f.end and f.start < e.end for f in first))], key=lambda e: e.start))


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
