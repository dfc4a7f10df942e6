"""Called: the grid events that held, kept in the journal for reports of months long gone.

An event is kept from its beginning on, as it was told last; one that is withdrawn or ends amid its time ends there. Its place is one of a ring
of facts, so that the oldest gives way to the newest. What is planned ahead and withdrawn before it begins was no call.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from facility.events import Event
from facility.journal.calls import Calls
from facility.journal.journal import Journal


class Called:
    """To be used under the daemon's lock."""

    def __init__(self, journal: Journal) -> None:
        self._calls = Calls(journal)

    def look(self, events: tuple[Event, ...], now: datetime) -> None:
        """Keep what holds at `now`. Raises StoreFault; then it is tried again with the next look."""
        holding = {event.start: event for event in events if event.start <= now < event.end}
        for event in holding.values():
            self._calls.keep(event)
        for event in self._calls.since(now):
            if event.start not in holding and event.start < now < event.end:
                self._calls.keep(replace(event, end=now))
