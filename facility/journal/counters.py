"""Counters: what orders every command that is sent, (epoch, seq). Neither ever goes back, whatever the clock or a crash does."""

from __future__ import annotations

import sqlite3
import threading
from typing import Final

from facility.clock import Clock
from facility.journal.part import Part, ms
from facility.journal.store import Store, StoreFault

SEQ_BLOCK: Final = 1000
"""Sequence numbers reserved at once; a crash skips what is left of them."""


class Counters(Part):
    """The two counters; safe to share between threads."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
        self._seq = self._seq_reserved = 0
        self._seq_mutex = threading.Lock()

    def next_epoch(self) -> int:
        """Begin the next epoch, once per start: strictly greater than every one before.

        A new journal begins at the seconds since 1970, so that one which replaces a lost or damaged journal is still ahead.
        """
        with self._store.write() as db:
            return count(db, "epoch", 1, first=max(1, ms(self._clock.now()) // 1000))

    def next_seq(self) -> int:
        """Give the next sequence number: strictly greater than every one before, across crashes.

        Raises StoreFault to a process that is no longer the writer: what it would send is another's to say.
        """
        if not self._store.ours:
            raise StoreFault(f"{self._store.path}: another process writes it now")
        with self._seq_mutex:
            left = self._seq_reserved - self._seq
            if left <= SEQ_BLOCK // 2:  # early, so that a full disk does not stop an emergency decrease
                try:
                    with self._store.write() as db:
                        self._seq_reserved = count(db, "seq", SEQ_BLOCK, first=SEQ_BLOCK)
                    self._seq = self._seq_reserved - SEQ_BLOCK
                except StoreFault:
                    if not left:
                        raise
            self._seq += 1
            return self._seq


def count(db: sqlite3.Connection, name: str, by: int, *, first: int) -> int:
    """Raise a counter, or begin it, and give its value."""
    query = "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + ? RETURNING value"
    return int(db.execute(query, (name, first, by)).fetchall()[0][0])
