"""Calls: the grid events that held, as facts in a ring of `MOST`, the oldest giving way to the newest."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from facility.events import Event
from facility.journal.facts import Facts

PREFIX: Final = "call "
MOST: Final = 2_000
"""Calls that are kept: two hundred a year for ten years."""


class Calls:
    """The calls of a journal; what does not read as a call is left where it is."""

    def __init__(self, journal: Facts) -> None:
        self._journal = journal
        found = {int(key.removeprefix(PREFIX)): _event(json) for key, json in journal.get_all(PREFIX).items()}
        self._by_place = {place: event for place, event in found.items() if event is not None}

    @property
    def full(self) -> bool:
        """Whether older calls may have given way."""
        return len(self._by_place) >= MOST

    @property
    def known_from(self) -> datetime | None:
        """From when on all calls are known; None where none has given way."""
        return min(event.start for event in self._by_place.values()) if self.full else None

    def since(self, at: datetime) -> tuple[Event, ...]:
        """Those that end after an instant, by their beginning."""
        return tuple(sorted((event for event in self._by_place.values() if event.end > at), key=lambda event: event.start))

    def keep(self, event: Event) -> None:
        """Keep a call, in place of what was kept of one with the same beginning. Raises StoreFault."""
        place = next((place for place, kept in self._by_place.items() if kept.start == event.start), None)
        if place is not None and self._by_place[place] == event:
            return
        place = self._free() if place is None else place
        self._journal.put(f"{PREFIX}{place}", msgspec.json.encode(event))
        self._by_place[place] = event

    def _free(self) -> int:
        """A place that nobody has, or that of the oldest call."""
        if not self.full:
            return next(place for place in range(MOST) if place not in self._by_place)
        return min(self._by_place, key=lambda place: self._by_place[place].start)


def _event(json: bytes) -> Event | None:
    try:
        return msgspec.json.decode(json, type=Event)
    except (msgspec.MsgspecError, ValueError):
        return None
