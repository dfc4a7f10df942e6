"""Calls: what the grid's operator asked for in a span: events that the daemon planned by, as its cycles recorded them, and those of a file.

An event counts where a cycle inside it still knew it, or where no cycle was recorded inside it: one that was withdrawn before its beginning is
in earlier cycles only. Of several that begin together the one told last holds. Cycles are kept for some weeks; calls of before are known from a
file alone (`--events`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from facility.events import Event
from facility.journal.journal import Journal

NONE: Final = b'"events":[]'
AHEAD: Final = timedelta(hours=48)
"""How far ahead an event is looked for in cycles."""


class _Cycle(msgspec.Struct, frozen=True):
    """What of a recorded cycle is looked at."""

    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Calls:
    """The calls that begin in a span, in order; `gap` says of what time none could be known, empty where of none."""

    events: tuple[Event, ...]
    gap: str


def recorded(journal: Journal, start: datetime, end: datetime) -> Calls:
    """The calls of [start, end) that a journal tells of. Raises StoreFault."""
    last: dict[datetime, tuple[Event, datetime]] = {}
    cycles: list[datetime] = []
    for at, inputs in journal.inputs(start - AHEAD, end):
        cycles.append(at)
        if NONE not in inputs:
            for event in msgspec.json.decode(inputs, type=_Cycle).events:
                last[event.start] = event, at
    found = [event for event, seen in last.values() if start <= event.start < end and _held(event, seen, cycles)]
    oldest = journal.oldest_cycle()
    known_from = end if oldest is None else oldest
    gap = f"calls before {_iso(known_from)} are not recorded any more; name them with --events" if known_from > start else ""
    return Calls(tuple(sorted(found, key=lambda event: event.start)), gap)


def joined(told: Iterable[Event], heard: Sequence[Event]) -> tuple[Event, ...]:
    """Calls of a file, and those that were recorded of other times; what a file says of a time goes first."""
    first = list(told)
    return tuple(sorted([*first, *(e for e in heard if not any(e.start < f.end and f.start < e.end for f in first))], key=lambda e: e.start))


def _held(event: Event, seen: datetime, cycles: Sequence[datetime]) -> bool:
    inside = [at for at in cycles if event.start <= at < event.end]
    return not inside or seen >= inside[0]


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
