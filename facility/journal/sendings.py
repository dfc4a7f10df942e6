"""Sendings: every decision that was sent and every message it became, with what it was made from. Chained."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from facility.clock import Clock
from facility.journal import chain
from facility.journal.cycles import CycleRecord, packed, record_of, row_of, unpacked
from facility.journal.part import instant, ms
from facility.journal.pieces import Pieces, forget_pieces
from facility.journal.store import Store

MOST_SENDINGS: Final = 100_000
"""Sendings that are kept, whatever their age."""


@dataclass(frozen=True)
class Sending:
    """What was sent at `at` (UTC, kept to the ms) in epoch `epoch`, the first message with the sequence number `first_seq`.

    `ruling` is the JSON of the decision and of what it was made from; empty where messages followed of the decision before. `messages` is
    the JSON of what was published. Both name pieces.
    """

    at: datetime
    epoch: int
    first_seq: int
    ruling: bytes
    messages: bytes


class Sendings(Pieces):
    """Sendings, numbered from 1 on."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
        self._newest: int | None = None

    def record_sending(self, sending: Sending, pieces: Mapping[str, bytes]) -> int:
        """Add a sending with the pieces that it names; gives its number."""
        row = (ms(sending.at), sending.epoch, sending.first_seq, packed(sending.ruling), packed(sending.messages))
        with self._store.write(to_disk=False) as db:
            n = chain.add(db, "sending", row)
            self.keep_pieces(db, pieces, n)
        self.mark_pieces(pieces, n)
        return n

    def record_cycle(self, record: CycleRecord, pieces: Mapping[str, bytes] | None = None) -> None:
        """Add one cycle with the pieces that it names."""
        kept = pieces or {}
        with self._store.write(to_disk=False) as db:
            chain.add(db, "cycle", row_of(record))
            n = int(db.execute("SELECT coalesce(max(n), 0) FROM sending").fetchone()[0])
            self.keep_pieces(db, kept, n)
        self.mark_pieces(kept, n)


def sendings(db: sqlite3.Connection) -> Iterator[tuple[int, Sending]]:
    """Give every sending with its number, oldest first."""
    for n, at_ms, epoch, first_seq, ruling, messages in db.execute(f"SELECT n, {chain.CHAINED['sending']} FROM sending ORDER BY n"):  # noqa: S608 - from our own constants
        yield n, Sending(instant(at_ms), epoch, first_seq, unpacked(ruling), unpacked(messages))


def cycles(db: sqlite3.Connection) -> Iterator[tuple[int, CycleRecord]]:
    """Give every cycle with its number, oldest first."""
    for n, *row in db.execute(f"SELECT n, {chain.CHAINED['cycle']} FROM cycle ORDER BY n"):  # noqa: S608 - from our own constants
        yield n, record_of(*row)


def forget_sendings(db: sqlite3.Connection, before_ms: int) -> None:
    """Forget the oldest sendings as long as they are of before an instant, those beyond `MOST_SENDINGS`, and their pieces."""
    oldest = chain.outlived(db, "sending", before_ms, MOST_SENDINGS)
    chain.forget(db, "sending", oldest)
    forget_pieces(db, oldest)
