"""The account: who changed what, when, why and what came of it. Chained."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple
from datetime import datetime
from typing import Final

from facility.journal import chain
from facility.journal.entry import Entry
from facility.journal.part import Part, instant, ms

MOST_ENTRIES: Final = 1_000_000
"""Entries of the account that are kept, whatever their age."""


class Entries(Part):
    """Entries, oldest first."""

    def note(self, entry: Entry, *, to_disk: bool = False) -> None:
        """Add an entry to the account."""
        at, *rest = astuple(entry)
        with self._store.write(to_disk=to_disk) as db:
            chain.add(db, "event", (ms(at), *rest))

    def account(self, since: datetime, *, by: str | None = None, target: str | None = None) -> list[Entry]:
        """List the account from an instant on, oldest first; only what `by` did, or was done to `target`, where they are given."""
        query = f"SELECT {chain.CHAINED['event']} FROM event WHERE at_ms >= ?"  # noqa: S608 - from our own constants
        wanted = {"actor": by, "target": target}
        given = {column: value for column, value in wanted.items() if value is not None}
        rows = self._store.read(query + "".join(f" AND {column} = ?" for column in given) + " ORDER BY n", ms(since), *given.values())
        return [Entry(instant(at_ms), *rest) for at_ms, *rest in rows]

    def newest(self) -> datetime | None:
        """Tell when the account was last added to; None where it is empty."""
        rows = self._store.read("SELECT at_ms FROM event ORDER BY n DESC LIMIT 1")
        return instant(rows[0][0]) if rows else None


def forget_entries(db: sqlite3.Connection, before_ms: int) -> None:
    """Forget the oldest entries as long as they are of before an instant, and those beyond `MOST_ENTRIES`."""
    chain.forget(db, "event", chain.outlived(db, "event", before_ms, MOST_ENTRIES))
