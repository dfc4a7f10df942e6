"""Usages: who had what, by quarter of an hour, added when a quarter is over and never changed. Chained."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from facility.journal import chain
from facility.journal.cycles import packed, unpacked
from facility.journal.part import Part, ms
from facility.usage.usage import Usage

MOST_QUARTERS: Final = 200_000
"""Quarters of an hour that are kept, whatever their age: more than five years."""


class Usages(Part):
    """Quarters of an hour with what each workload had in them."""

    def record_usage(self, quarters: Mapping[datetime, tuple[Usage, ...]], fact: str, json: bytes) -> None:
        """Add quarters that are over, and store what of the next is counted under the key `fact`: all of it or nothing, on the disk."""
        with self._store.write() as db:
            for start, rows in quarters.items():
                counted = timedelta(hours=max((row.hours for row in rows), default=0.0))
                chain.add(db, "usage", (ms(start), round(counted / timedelta(milliseconds=1)), packed(msgspec.json.encode(rows))))
            db.execute("INSERT INTO fact VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET json = excluded.json", (fact, json))

    def usage(self, start: datetime, end: datetime) -> Iterator[Usage]:
        """What was had in the quarters that begin in [start, end) and are over, by time.

        Of a quarter that was counted twice, by a clock that was set back, the longer count holds; of two as long the later one.
        """
        query = "SELECT at_ms, rows, max(counted_ms * 1000000000 + n) FROM usage WHERE at_ms >= ? AND at_ms < ? GROUP BY at_ms ORDER BY at_ms"
        for _, rows, _ in self._store.read(query, ms(start), ms(end)):
            yield from msgspec.json.decode(unpacked(rows), type=tuple[Usage, ...])


def forget_usage(db: sqlite3.Connection, before_ms: int) -> None:
    """Forget the oldest quarters as long as they are of before an instant, and those beyond `MOST_QUARTERS`."""
    chain.forget(db, "usage", chain.outlived(db, "usage", before_ms, MOST_QUARTERS))
