"""Pieces: what many records have in common - a site, a decision that goes on - kept once, under the hash of its bytes.

A piece goes when the last record that names it has gone: each knows the number of the newest sending that used it.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Mapping
from typing import Final

from facility.clock import Clock
from facility.journal.part import Part
from facility.journal.store import Store, StoreFault

AGAIN: Final = 1000
"""Sendings after which a piece that is used is marked again."""
MOST_REMEMBERED: Final = 10_000


class Pieces(Part):
    """Bytes by their SHA-256."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
        self._marked: dict[str, int] = {}

    def piece(self, name: str) -> bytes:
        """Give a piece. Raises StoreFault where it is not there, or is not what it was."""
        rows = self._store.read("SELECT bytes FROM piece WHERE name = ?", name)
        if not rows:
            raise StoreFault(f"the piece {name} is missing")
        try:
            found = zlib.decompress(rows[0][0])
        except zlib.error as error:
            raise StoreFault(f"the piece {name} cannot be read: {error}") from error
        if named(found) != name:
            raise StoreFault(f"the piece {name} is not as it was written")
        return found

    def keep_pieces(self, db: sqlite3.Connection, pieces: Mapping[str, bytes], used: int) -> None:
        """Keep pieces that the sending number `used` names, within its transaction."""
        for name, told in pieces.items():
            if used - self._marked.get(name, -AGAIN) >= AGAIN:
                query = "INSERT INTO piece VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET used = excluded.used"
                db.execute(query, (name, used, zlib.compress(told, 1)))

    def mark_pieces(self, pieces: Mapping[str, bytes], used: int) -> None:
        """Know that they are kept, once the transaction is over."""
        if len(self._marked) > MOST_REMEMBERED:
            self._marked.clear()
        for name in pieces:
            if used - self._marked.get(name, -AGAIN) >= AGAIN:
                self._marked[name] = used


def named(told: bytes) -> str:
    """The name of a piece: its SHA-256, hexadecimal."""
    return hashlib.sha256(told).hexdigest()


def forget_pieces(db: sqlite3.Connection, oldest: int) -> None:
    """Forget pieces that only sendings before the number `oldest` used."""
    db.execute("DELETE FROM piece WHERE used < ?", (oldest - AGAIN,))
