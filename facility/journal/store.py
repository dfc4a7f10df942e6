"""A store: one SQLite file with one writer for the life of its process, and any number of readers beside it.

Write-ahead logging lets readers in while the writer writes. The writer holds the store's lock (`facility.journal.lock`).
A damaged file is put aside, never overwritten; one of an older version is brought up to this one in a single transaction, one of a
newer version is refused.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from facility.clock import Clock
from facility.errors import Fault, InputError
from facility.journal.lock import REMEDY, Lock, StoreBusyError

__all__ = ["Store", "StoreBusyError", "StoreFault"]

log = logging.getLogger(__name__)

_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
HASTE_S: Final = 0.2
PROBE_BYTES: Final = 256 * 1024


class StoreFault(Exception):
    """The disk is full, read-only or broken: nothing of what was to be written is stored. `damaged`: the file itself is."""

    def __init__(self, words: str, *, damaged: bool = False) -> None:
        super().__init__(words)
        self.damaged = damaged


class Store:
    """An open store, safe to share between threads; `put_aside` is where a damaged predecessor lies, None where none was.

    `tables` is the SQL that makes version `version` out of an empty file, `migrations` by version that which makes the next one of it, and
    `finished` what is to be computed after all of them, in the same transaction.
    A writer looks at every page when it opens, unless it is not `thorough`. One that is `hasty` waits no longer than `HASTE_S` for another
    process that locks the file, and once a write has failed refuses all others at once, until a `probe` succeeds; `trouble` says
    why meanwhile, and is empty otherwise. Raises StoreBusyError for a second writer and InputError
    for a folder that cannot be written, a newer version, and for a reader an older one.
    """

    def __init__(
        self,
        path: Path,
        tables: str,
        version: int,
        migrations: Mapping[int, str],
        *,
        read_only: bool,
        clock: Clock,
        thorough: bool = True,
        finished: Mapping[int, Callable[[sqlite3.Connection], None]] | None = None,
        hasty: bool = False,
    ) -> None:
        self.path = path
        self.put_aside: Path | None = None
        self.trouble, self._hasty = "", hasty
        self._tables, self._version, self._migrations = tables, version, migrations
        self._thorough, self._clock, self._finished = thorough, clock, finished or {}
        self._mutex = threading.RLock()
        self._lock = None if read_only else Lock(path)
        try:
            self._db = self._open_to_read() if read_only else self._open_to_write()
        except BaseException:
            self._unlock()
            raise
        if hasty:
            self._db.execute(f"PRAGMA busy_timeout = {HASTE_S * 1000:.0f}")

    @property
    def ours(self) -> bool:
        """Whether this process is still the only writer."""
        return self._lock is not None and self._lock.ours()

    def close(self) -> None:
        """Close the file and let another writer in."""
        self._db.close()
        self._unlock()

    def read(self, query: str, *values: str | float) -> list[Any]:
        """Give all rows of a query."""
        with self._mutex:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self._fault(error) from error

    @contextmanager
    def look(self) -> Iterator[sqlite3.Connection]:
        """A connection to read by, for which the store stays as it is now while the writer goes on. Raises StoreFault."""
        try:
            with closing(self._checked(self._place("ro"))) as db:
                db.text_factory = lambda told: told.decode(errors="surrogateescape")  # what somebody changed may be no text
                db.execute("BEGIN")
                yield db
        except sqlite3.Error as error:
            raise self._fault(error) from error

    @contextmanager
    def write(self, *, to_disk: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction: on the disk at its end or, without `to_disk`, with the operating system. Raises StoreFault."""
        with self._mutex:
            if self.trouble:
                raise StoreFault(self.trouble)
            with self._transaction(to_disk=to_disk) as db:
                yield db

    def probe(self) -> bool:
        """Whether as much can be written again as any record takes; then it is tried no more."""
        with self._mutex, suppress(StoreFault), self._transaction(to_disk=True) as db:
            db.execute("CREATE TABLE IF NOT EXISTS probe (bytes)")
            db.execute("INSERT INTO probe VALUES (zeroblob(?))", (PROBE_BYTES,))
            db.execute("COMMIT")
            db.execute("BEGIN IMMEDIATE")
            db.execute("DROP TABLE probe")
            self.trouble = ""
        return not self.trouble

    @contextmanager
    def _transaction(self, *, to_disk: bool) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            try:
                self._db.execute(f"PRAGMA synchronous = {'FULL' if to_disk else 'NORMAL'}")
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                fault = self._fault(error)
                if self._hasty and not isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                    self.trouble = str(fault)
                raise fault from error
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def begin_anew(self) -> None:
        """Put this file aside because it is damaged, and go on with an empty one. Raises StoreFault where that cannot be."""
        with self._mutex:
            self._db.close()
            try:
                self._set_aside()
                self._db = self._prepared(self._place("rwc"))
            except (OSError, sqlite3.Error) as error:
                raise self._fault(error) from error

    def _fault(self, error: Exception) -> StoreFault:
        return StoreFault(f"{self.path}: {error}", damaged=getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED)

    def _place(self, mode: str) -> str:
        return f"{self.path.resolve().as_uri()}?mode={mode}"

    def _open_to_read(self) -> sqlite3.Connection:
        try:
            db = self._checked(self._place("ro"))
            found = _version(db)
        except sqlite3.Error as error:
            raise InputError(
                Fault(str(self.path), f"nothing to read here ({error})", "name the store of a running site")
            ) from error
        if found < self._version:
            db.close()
            what = f"a store of version {found}, older than {self._version}"
            raise InputError(Fault(str(self.path), what, "start the daemon on it once: it brings the store up to date"))
        return db

    def _open_to_write(self) -> sqlite3.Connection:
        place = self._place("rwc")
        try:
            return self._prepared(place)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _DAMAGED:
                raise InputError(Fault(str(self.path), f"cannot be opened ({error})", REMEDY)) from error
        self._set_aside()
        return self._prepared(place)

    def _set_aside(self) -> None:
        self.put_aside = stamped(self.path, "corrupt", self._clock.now())
        for suffix in ("-shm", "-wal", ""):
            if (part := Path(f"{self.path}{suffix}")).exists():
                part.rename(f"{self.put_aside}{suffix}")

    def _prepared(self, place: str) -> sqlite3.Connection:
        """Open to write: make the tables where there are none, look at what is there, bring what is older up to date."""
        db = self._checked(place)
        try:
            db.execute("SELECT count(*) FROM sqlite_schema")
            version = _version(db)
            if version == 0:
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(f"BEGIN; {self._tables} PRAGMA user_version = {self._version}; COMMIT;")
            elif self._thorough and (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)  # noqa: TRY301 - told like every other damage
            elif version < self._version:
                older = range(version, self._version)
                db.executescript(f"BEGIN IMMEDIATE; {''.join(self._migrations[one] for one in older)}")
                for finish in (self._finished[one] for one in older if one in self._finished):
                    finish(db)
                db.execute(f"PRAGMA user_version = {self._version}")
                db.execute("COMMIT")
                log.info("%s was of version %d and is of version %d now", self.path, version, self._version)
        except BaseException:
            db.close()
            raise
        return db

    def _checked(self, place: str) -> sqlite3.Connection:
        db = sqlite3.connect(place, uri=True, isolation_level=None, check_same_thread=False)
        try:
            found = _version(db)
        except BaseException:
            db.close()
            raise
        if found > self._version:
            db.close()
            what = f"a store of version {found}, newer than {self._version}"
            raise InputError(Fault(str(self.path), what, "use the newer facility, or name another store"))
        return db

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()


def stamped(path: Path, what: str, now: datetime) -> Path:
    """The name under which a store is put aside."""
    return path.with_name(f"{path.name}.{what}-{now.astimezone(UTC):%Y%m%dT%H%M%S%fZ}")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
