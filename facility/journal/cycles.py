"""Cycles: what went into each and what came out, as JSON, compressed. Chained."""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import msgspec

from facility.journal import chain
from facility.journal.part import Part, instant, ms

MOST_CYCLES: Final = 20_000
"""Cycles that are kept, whatever their age."""
LAST: Final = "last published cycle"
"""The fact that keeps the newest cycle that was published once it is forgotten with those of its age."""

_COLUMNS: Final = chain.CHAINED["cycle"]
_LEVEL: Final = 1
"""A third of the time of the usual 6, for a tenth more bytes."""


@dataclass(frozen=True)
class CycleRecord:
    """One cycle: how it ended, and the JSON bytes from which it can be computed again. `at` is kept to the ms, UTC."""

    at: datetime
    cycle: int
    mode: str
    outcome: Literal["published", "held", "safe"]
    reason: str
    inputs: bytes
    decision: bytes
    verdict: bytes


class Cycles(Part):
    """Cycles, and what was published last."""

    def outcomes(self, since: datetime) -> dict[str, int]:
        """Count the cycles from an instant on by how they ended."""
        rows = self._store.read("SELECT outcome, count(*) FROM cycle WHERE at_ms >= ? GROUP BY outcome ORDER BY 2 DESC", ms(since))
        return {outcome: int(many) for outcome, many in rows}

    def cycles(self, limit: int = 100) -> list[CycleRecord]:
        """List the newest `limit` cycles, newest first."""
        return self._cycles("ORDER BY n DESC LIMIT ?", limit)

    def last_published(self) -> CycleRecord | None:
        """Give the newest cycle that was published, however long ago; None where there is none."""
        newest = self._cycles("WHERE outcome = 'published' ORDER BY n DESC LIMIT ?", 1)
        if newest:
            return newest[0]
        kept = self._store.read("SELECT json FROM fact WHERE key = ?", LAST)
        return msgspec.json.decode(kept[0][0], type=CycleRecord) if kept else None

    def _cycles(self, which: str, limit: int) -> list[CycleRecord]:
        rows = self._store.read(f"SELECT {_COLUMNS} FROM cycle {which}", limit)  # noqa: S608 - from our own constants
        return [record_of(*row) for row in rows]


def row_of(record: CycleRecord) -> tuple[int, int, str, str, str, bytes, bytes, bytes]:
    """The row of a record."""
    return (
        ms(record.at), record.cycle, record.mode, record.outcome, record.reason,
        packed(record.inputs), packed(record.decision), packed(record.verdict),
    )  # fmt: skip


def packed(json: bytes) -> bytes:
    """Bytes as the store has them; what does not begin as JSON is compressed."""
    return zlib.compress(json, _LEVEL)


def unpacked(stored: bytes) -> bytes:
    """The bytes that were packed. Those of an older store are as they were. Raises zlib.error where they were changed.

    >>> unpacked(packed(b'{"a": 1}')), unpacked(b'[]')
    (b'{"a": 1}', b'[]')
    """
    return zlib.decompress(stored) if stored[:1] == b"x" else stored


def forget_cycles(db: sqlite3.Connection, before_ms: int) -> None:
    """Forget the oldest cycles as long as they are of before an instant, and those beyond `MOST_CYCLES`; the last one published stays known."""
    until = chain.outlived(db, "cycle", before_ms, MOST_CYCLES)
    last = db.execute(f"SELECT n, {_COLUMNS} FROM cycle WHERE outcome = 'published' ORDER BY n DESC LIMIT 1").fetchone()  # noqa: S608 - from our own constants
    if last is not None and last[0] < until:
        kept = msgspec.json.encode(record_of(*last[1:]))
        db.execute("INSERT INTO fact VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET json = excluded.json", (LAST, kept))
    chain.forget(db, "cycle", until)


def record_of(
    at_ms: int,
    cycle: int,
    mode: str,
    outcome: Literal["published", "held", "safe"],
    reason: str,
    inputs: bytes,
    decision: bytes,
    verdict: bytes,
) -> CycleRecord:
    """A record from its row."""
    return CycleRecord(instant(at_ms), cycle, mode, outcome, reason, unpacked(inputs), unpacked(decision), unpacked(verdict))
