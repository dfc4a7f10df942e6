"""Facts: small things by key, of which only the newest counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from facility.journal.part import Part


class Facts(Part):
    """What is known by key."""

    def put(self, key: str, json: bytes) -> None:
        """Store a small fact under a key, in place of the one before, on the disk."""
        self.put_all({key: json})

    def put_all(self, facts: Mapping[str, bytes]) -> None:
        """Store several facts by key, all of them or none, on the disk."""
        with self._store.write() as db:
            save_facts(db, facts)

    def get(self, key: str) -> bytes | None:
        """Give the fact under a key; None where there is none."""
        rows = self._store.read("SELECT json FROM fact WHERE key = ?", key)
        return bytes(rows[0][0]) if rows else None

    def get_all(self, prefix: str) -> dict[str, bytes]:
        """Give the facts whose keys begin so, by key."""
        return {key: bytes(json) for key, json in self._store.read("SELECT key, json FROM fact WHERE substr(key, 1, ?) = ?", len(prefix), prefix)}


def save_facts(db: sqlite3.Connection, facts: Mapping[str, bytes]) -> None:
    """Store facts by key, within a transaction."""
    db.executemany("INSERT INTO fact VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET json = excluded.json", facts.items())
