"""Counters: what orders every command that is sent, (epoch, seq). Neither ever goes back, whatever the clock or a crash does."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
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
        """Give the next sequence number: strictly greater than every one before in this epoch, and across crashes while the disk is sound.

        Where a block cannot be reserved, numbers go on without: what lowers a cap waits for no disk, and the next start has a higher epoch.
        Raises StoreFault to a process that is no longer the writer: what it would send is another's to say.
        """
        if not self._store.ours:
            raise StoreFault(f"{self._store.path}: another process writes it now")
        with self._seq_mutex:
            if self._seq_reserved - self._seq <= SEQ_BLOCK // 2:  # early, so that a disk that fails for a while leaves no gap
                with suppress(StoreFault):
                    self._seq_reserved = self._reserve()
                    self._seq = self._seq_reserved - SEQ_BLOCK
            self._seq += 1
            return self._seq

    def _reserve(self) -> int:
        """The last number of a new block, on the disk."""
        with self._store.write() as db:
            return count(db, "seq", SEQ_BLOCK, first=SEQ_BLOCK, least=self._seq)


def count(db: sqlite3.Connection, name: str, by: int, *, first: int, least: int = 0) -> int:
    """Raise a counter by `by` from what it was, or from `least` where that is more, or begin it at `first`; give its value."""
    query = "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = max(value, ?) + ? RETURNING value"
    return int(db.execute(query, (name, max(first, least + by), least, by)).fetchall()[0][0])
