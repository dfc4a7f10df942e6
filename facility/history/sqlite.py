"""SQLite as a place of history: one file, write-ahead log, any number of readers beside the writer.

Readings are loaded 500 to a statement: three times as fast as one by one, and the interpreter's lock is free while SQLite works, so that
the thread that reads the bus hardly notices. A transaction survives the death of the process, and may be lost with the power.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from facility.clock import Clock
from facility.history.database import Columns
from facility.history.tables import KEEP, MEAN, NAMES, RAW
from facility.journal.store import Store

AT_ONCE: Final = 500
VERSION: Final = 1
MIGRATIONS: Final[Mapping[int, str]] = {}
"""By version, what makes the next one of it."""
TABLES: Final = f"""
    {NAMES}
    CREATE TABLE raw ({RAW}) WITHOUT ROWID;
    CREATE TABLE minute ({MEAN}) WITHOUT ROWID;
    CREATE TABLE quarter ({MEAN}) WITHOUT ROWID;
"""


class SqliteDatabase:
    """A `Database` in a file. Raises StoreBusyError for a second writer, InputError for a place that cannot be used."""

    def __init__(self, path: Path, *, read_only: bool, clock: Clock) -> None:
        self._store = Store(path, TABLES, VERSION, MIGRATIONS, read_only=read_only, clock=clock, thorough=False)

    @property
    def put_aside(self) -> str | None:
        """See `Database.put_aside`."""
        return None if self._store.put_aside is None else str(self._store.put_aside)

    def read(self, query: str, *values: float | str) -> list[Any]:
        """See `Database.read`."""
        return self._store.read(query, *values)

    @contextmanager
    def transaction(self) -> Iterator[_Transaction]:
        """See `Database.transaction`."""
        with self._store.write(to_disk=False) as db:
            yield _Transaction(db)

    def begin_anew(self) -> None:
        """See `Database.begin_anew`."""
        self._store.begin_anew()

    def close(self) -> None:
        """See `Database.close`."""
        self._store.close()


class _Transaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def run(self, statement: str, *values: float | str) -> None:
        self._db.execute(statement, values)

    def load(self, readings: Columns) -> None:
        rows = len(readings[0])
        flat: list[float | None] = [None] * (4 * rows)
        for i, column in enumerate(readings):
            flat[i::4] = column
        whole = rows - rows % AT_ONCE
        statement = _insert(AT_ONCE)
        for at in range(0, 4 * whole, 4 * AT_ONCE):
            self._db.execute(statement, flat[at : at + 4 * AT_ONCE])
        if whole < rows:
            self._db.execute(_insert(rows - whole), flat[4 * whole :])


def _insert(rows: int) -> str:
    return f"INSERT INTO raw VALUES {','.join(['(?,?,?,?)'] * rows)} {KEEP}"
