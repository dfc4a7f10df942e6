"""Where a simulated process can be heard, and killed: at each thing that it publishes and at each write to its journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from facility.bus.interface import Message
from facility.bus.memory import MemoryBus
from facility.journal.journal import Journal


class Killed(BaseException):
    """The process is dead; nothing inside catches it."""


class Tap:
    """A `Bus` over another that tells what is published, before it goes. `strike` is called before and after each message and may kill."""

    def __init__(self, bus: MemoryBus, told: Callable[[Message], None], strike: Callable[[], None]) -> None:
        self._bus, self._told, self._strike = bus, told, strike

    def publish(self, message: Message) -> bool:
        """See `Bus.publish`."""
        self._strike()
        self._told(message)
        sent = self._bus.publish(message)
        self._strike()
        return sent

    def __getattr__(self, name: str) -> Any:
        """All else is the bus's."""
        return getattr(self._bus, name)


def struck(journal: Journal, strike: Callable[[], None]) -> None:
    """Let `strike` be called around each transaction of a journal, and inside it, where all that was written is lost."""
    write = journal._store.write

    @contextmanager
    def writes(*, to_disk: bool = True) -> Iterator[sqlite3.Connection]:
        strike()
        with write(to_disk=to_disk) as db:
            yield db
            strike()
        strike()

    journal._store.write = writes  # type: ignore[method-assign]
