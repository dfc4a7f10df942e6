"""Where a simulated process can be heard, and killed: at each thing that it publishes and at each write to its journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from facility.bus.interface import Message
from facility.bus.memory import MemoryBus
from facility.journal.journal import Journal


class Killed(BaseException):
    """The process is dead; nothing inside catches it."""


class Tap:
    """A bus that tells what is published, before it goes. `strike` is called before and after each message and may kill."""

    def __init__(self, bus: MemoryBus, told: Callable[[Message], None], strike: Callable[[], None]) -> None:
        self._bus, self._told, self._strike = bus, told, strike

    def publish(self, message: Message) -> bool:
        """See `Bus.publish`."""
        self._strike()
        self._told(message)
        sent = self._bus.publish(message)
        self._strike()
        return sent

    def subscribe(self, pattern: str, qos: int = 0) -> None:
        """See `Bus.subscribe`."""
        self._bus.subscribe(pattern, qos)

    def receive(self, timeout_s: float) -> Message | None:
        """See `Bus.receive`."""
        return self._bus.receive(timeout_s)

    def drain(self, timeout_s: float, most: int) -> list[Message]:
        """See `Bus.drain`."""
        return self._bus.drain(timeout_s, most)

    @property
    def connections(self) -> int:
        """See `Bus.connections`."""
        return self._bus.connections

    @property
    def connected(self) -> bool:
        """See `Bus.connected`."""
        return self._bus.connected

    @property
    def dropped(self) -> int:
        """See `Bus.dropped`."""
        return self._bus.dropped

    def reconnect(self) -> None:
        """See `Bus.reconnect`."""
        self._bus.reconnect()

    def close(self) -> None:
        """See `Bus.close`."""
        self._bus.close()


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
