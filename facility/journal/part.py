"""A part of the journal: what it shares with the others is one store, and how instants lie in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from facility.clock import Clock
from facility.journal.store import Store

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Part:
    """Something that is kept in `store`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock


def ms(instant: datetime) -> int:
    """An instant as the store has it: whole ms since 1970, UTC."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def instant(at_ms: int) -> datetime:
    """The instant of a number in the store."""
    return _EPOCH + timedelta(milliseconds=at_ms)
