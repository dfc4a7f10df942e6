"""PostgreSQL as a place of history: a schema of its own for each site, readings by binary COPY.

It is connected when it is first needed and again after a loss, so that a server that is away costs history and nothing else. One process
writes a site's history: it holds an advisory lock for as long as it is connected.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from facility.errors import Fault, InputError
from facility.history.database import Columns
from facility.history.tables import KEEP, MEAN, NAMES, RAW
from facility.journal.store import StoreFault

if TYPE_CHECKING:
    import psycopg

CONNECT_S: Final = 5
SILENT_S: Final = 10
"""How long a server may leave what was sent to it unacknowledged."""
LOCK_S: Final = 1
"""How long a server may take to notice that the writer before has gone."""
STEPS: Final = (f"{NAMES} CREATE TABLE raw ({RAW}); CREATE TABLE minute ({MEAN}); CREATE TABLE quarter ({MEAN});",)

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
TRAILER: Final = struct.pack("!h", -1)
ROW: Final = np.dtype([
    ("fields", ">i2"), ("at_bytes", ">i4"), ("at_ms", ">i8"), ("point_bytes", ">i4"), ("point", ">i4"),
    ("value_bytes", ">i4"), ("value", ">f8"), ("verdict_bytes", ">i4"), ("verdict", ">i4"),
])  # fmt: skip
"""A row of binary COPY: how many fields, then each with its length in bytes before it. What has no value is not-a-number."""


class PostgresDatabase:
    """A `Database` on a server. Raises InputError where the library is missing or the address cannot be read."""

    def __init__(self, url: str, site: str, *, read_only: bool) -> None:
        try:
            import psycopg
        except ImportError:
            raise InputError(Fault("--history", "PostgreSQL needs a library that is missing", "pip install 'facility[postgres]'")) from None
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise InputError(Fault("--history", "this is no address of a database", "write postgresql://user@host:port/name")) from None
        self._url, self._read_only = url, read_only
        self._schema = f"facility_{site.replace('-', '_')}"
        self._open: psycopg.Connection[tuple[Any, ...]] | None = None
        self._errors: tuple[type[Exception], ...] = (psycopg.Error, OSError)

    put_aside = None
    """A server mends its own files, or says that it cannot."""

    def read(self, query: str, *values: float | str) -> list[Any]:
        """See `Database.read`."""
        with self._faults() as db:
            return db.execute(_sql(query), values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[_Transaction]:
        """See `Database.transaction`."""
        with self._faults() as db, db.transaction():
            yield _Transaction(db)

    def begin_anew(self) -> None:
        """Raise StoreFault: a damaged server is for its keeper."""
        raise StoreFault("the database is damaged: see its server's log")

    def close(self) -> None:
        """See `Database.close`."""
        if self._open is not None:
            self._open.close()

    @contextmanager
    def _faults(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        try:
            if self._open is None or self._open.closed:
                self._open = self._connected()
            yield self._open
        except self._errors as error:
            if self._open is not None and self._open.broken:
                self._open.close()
            raise StoreFault(f"PostgreSQL: {str(error).strip() or type(error).__name__}") from error

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        import psycopg

        db = psycopg.connect(
            self._url, autocommit=True, connect_timeout=CONNECT_S, tcp_user_timeout=1000 * SILENT_S, application_name="facility"
        )
        try:
            if not self._read_only:
                self._prepare(db)
            elif self._version(db) < len(STEPS):
                raise StoreFault(f"there is no history in the schema {self._schema}")  # noqa: TRY301 - closed like on any fault
            db.execute(_sql(f"SET search_path TO {self._schema}"))
            if not self._read_only:
                db.execute("SET synchronous_commit TO off")  # the last second may be lost with the server, as with the process
                db.execute(f"CREATE TEMP TABLE incoming ({RAW}) ON COMMIT DELETE ROWS")
        except BaseException:
            with suppress(*self._errors):
                db.close()
            raise
        return db

    def _prepare(self, db: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Be the only writer, and take the steps that the schema lacks."""
        from psycopg.errors import LockNotAvailable

        db.execute(f"SET lock_timeout TO '{LOCK_S}s'")
        try:
            db.execute("SELECT pg_advisory_lock(hashtext(%s))", (self._schema,))
        except LockNotAvailable:
            raise StoreFault(f"another process writes the history in the schema {self._schema}") from None
        with db.transaction():
            db.execute(_sql(f"CREATE SCHEMA IF NOT EXISTS {self._schema}"))
            db.execute(_sql(f"SET LOCAL search_path TO {self._schema}"))
            db.execute("CREATE TABLE IF NOT EXISTS version (n INTEGER NOT NULL)")
            for step in STEPS[self._version(db) :]:
                db.execute(_sql(step))
            db.execute("DELETE FROM version")
            db.execute("INSERT INTO version VALUES (%s)", (len(STEPS),))

    def _version(self, db: psycopg.Connection[tuple[Any, ...]]) -> int:
        known = db.execute("SELECT to_regclass(%s)", (f"{self._schema}.version",)).fetchone()
        if known is None or known[0] is None:
            return 0
        found = db.execute(_sql(f"SELECT coalesce(max(n), 0) FROM {self._schema}.version")).fetchone()
        version = 0 if found is None else int(found[0])
        if version > len(STEPS):
            what = f"its history in the schema {self._schema} is of version {version}, newer than {len(STEPS)}"
            raise InputError(Fault("--history", what, "use the newer facility, or name another database"))
        return version


class _Transaction:
    def __init__(self, db: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._db = db

    def run(self, statement: str, *values: float | str) -> None:
        self._db.execute(_sql(statement), values)

    def load(self, readings: Columns) -> None:
        from psycopg.errors import UniqueViolation

        rows = HEADER + _rows(readings).tobytes() + TRAILER
        try:
            with self._db.transaction():
                self._copy("raw", rows)
        except UniqueViolation:  # seldom, and by way of a second table half as fast
            self._copy("incoming", rows)
            self._db.execute(_sql(f"INSERT INTO raw SELECT * FROM incoming {KEEP}"))
            self._db.execute("TRUNCATE incoming")

    def _copy(self, table: str, rows: bytes) -> None:
        with self._db.cursor() as cursor, cursor.copy(_sql(f"COPY {table} FROM STDIN (FORMAT BINARY)")) as copy:
            copy.write(rows)


def _rows(readings: Columns) -> np.ndarray[Any, np.dtype[Any]]:
    """Readings as rows of COPY, by instant and point, each once: of several the last one believed, else the last."""
    at_ms, point, value, verdict = (
        np.array(column, kind) for column, kind in zip(readings, ("i8", "i4", "f8", "i4"), strict=True)
    )
    order = np.lexsort((np.arange(len(at_ms)), verdict == 0, point, at_ms))
    last = np.ones(len(order), bool)
    last[:-1] = (np.diff(at_ms[order]) != 0) | (np.diff(point[order]) != 0)
    kept = order[last]
    rows = np.empty(len(kept), ROW)
    rows["fields"], rows["at_bytes"], rows["point_bytes"], rows["value_bytes"], rows["verdict_bytes"] = 4, 8, 4, 8, 4
    rows["at_ms"], rows["point"], rows["value"], rows["verdict"] = at_ms[kept], point[kept], value[kept], verdict[kept]
    return rows


def _sql(text: str) -> str:
    """Our own SQL with the library's sign for a value."""
    return text.replace("?", "%s")
