"""Backup: a copy of a journal while its daemon runs, and such a copy put in the place of a journal that was lost.

What was sent, commanded and ended after the copy was made is not in it. So a journal that is restored begins far above every epoch that the
old one can have reached, keeps as ended what the old one says has ended, where that can still be read, and ends every override of which
it cannot know whether it still stands: none comes back that was cleared. Whoever restores is told which, and sets again what should stand.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from facility.clock import Clock
from facility.errors import Fault, InputError
from facility.journal import chain
from facility.journal.entry import Entry
from facility.journal.journal import Journal
from facility.journal.lock import Lock
from facility.journal.part import ms
from facility.journal.store import StoreFault, stamped

AHEAD: Final = 1_000_000
"""Starts of a daemon that there may have been since a backup."""


@dataclass(frozen=True)
class Restored:
    """Where the old journal lies, None where there was none; the overrides that ended with it, and those that were in it alone, by id."""

    put_aside: Path | None
    ended: tuple[str, ...]
    unknown: tuple[str, ...]
    epoch: int


def back_up(state: Path, file: Path) -> tuple[chain.Checked, ...]:
    """Copy the journal `state` to `file`, in place of an earlier copy, once it is whole; gives its chains.

    Raises InputError where either cannot be used, and where the copy is not whole: then `file` stays as it was.
    """
    part = file.with_name(f"{file.name}.part")
    with Journal(state, read_only=True) as journal, _clean(part):
        with closing(sqlite3.connect(part)) as copy, journal.look() as db:
            db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        checked = whole(part)
        _settle(part)
        part.replace(file)
    _settle(file.parent)
    return checked


def whole(file: Path) -> tuple[chain.Checked, ...]:
    """The chains of a copy. Raises InputError where a page is damaged or a chain is broken."""
    with Journal(file, read_only=True) as journal, journal.look() as db:
        found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        checked = tuple(chain.check(db, table) for table in chain.CHAINED)
    broken = [str(it) for it in checked if it.broken is not None]
    if found != "ok" or broken:
        raise InputError(Fault(str(file), "; ".join([*([] if found == "ok" else [found]), *broken]), "take an older copy"))
    return checked


def restore(file: Path, state: Path, clock: Clock, by: str) -> Restored:
    """Put a copy of `file` in the place of `state`. Raises InputError where either cannot be used, or a daemon runs on `state`."""
    now, part = clock.now(), state.with_name(f"{state.name}.part")
    with closing(Lock(state)), _clean(part):
        whole(file)
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as db, closing(sqlite3.connect(part)) as copy:
            db.backup(copy)
        old = _old(state)
        with closing(sqlite3.connect(part, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN IMMEDIATE")
            ended, epoch = _settled(db, old, now)
            told = f"from {file}; {len(ended)} overrides of which nobody knows whether they still stand have ended"
            entry = Entry(now, "service", "restored", str(state), told, actor=by)
            chain.add(db, "event", (ms(entry.at), entry.sort, entry.action, entry.target, entry.says, entry.actor, "", "", None, None))
            db.execute("COMMIT")
        _settle(part)
        aside = _aside(state, now)
        part.replace(state)
    _settle(state.parent)
    return Restored(aside, tuple(ended), tuple(sorted(old.standing - _standing_in(state))), epoch)


@dataclass(frozen=True)
class _Old:
    """What can still be read of the journal that is replaced: its epoch, the overrides that stand, and what ended when and how."""

    readable: bool = False
    epoch: int = 0
    standing: frozenset[str] = frozenset()
    ended: tuple[tuple[str, str, int, str], ...] = ()
    answers: tuple[tuple[str, int, bytes], ...] = ()


def _old(state: Path) -> _Old:
    if not state.exists():
        return _Old()
    try:
        with closing(sqlite3.connect(f"{state.resolve().as_uri()}?mode=ro", uri=True)) as db:
            (epoch,) = db.execute("SELECT coalesce(max(value), 0) FROM counter WHERE name = 'epoch'").fetchone()
            standing = frozenset(name for (name,) in db.execute("SELECT id FROM override WHERE ended_ms IS NULL"))
            ended = [
                (table, *row)
                for table in ("override", "rental")
                for row in db.execute(f"SELECT id, ended_ms, how FROM {table} WHERE ended_ms IS NOT NULL")  # noqa: S608 - our own names
            ]
            return _Old(True, epoch, standing, tuple(ended), tuple(db.execute("SELECT id, at_ms, json FROM answer")))
    except sqlite3.Error:
        return _Old()


def _settled(db: sqlite3.Connection, old: _Old, now: datetime) -> tuple[list[str], int]:
    """End what may have ended since; the ids of overrides that end now, and the epoch from which on the next begins."""
    for table, name, at_ms, how in old.ended:
        db.execute(f"UPDATE {table} SET ended_ms = ?, how = ? WHERE id = ? AND ended_ms IS NULL", (at_ms, how, name))  # noqa: S608 - our own names
    db.executemany("INSERT INTO answer VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING", old.answers)
    standing = [name for (name,) in db.execute("SELECT id FROM override WHERE ended_ms IS NULL ORDER BY n")]
    ended = [name for name in standing if name not in old.standing]
    db.executemany("UPDATE override SET ended_ms = ?, how = 'cleared' WHERE id = ?", [(ms(now), name) for name in ended])
    (kept,) = db.execute("SELECT coalesce(max(value), 0) FROM counter WHERE name = 'epoch'").fetchone()
    epoch = max(kept + AHEAD, old.epoch, ms(now) // 1000)
    db.execute("INSERT INTO counter VALUES ('epoch', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (epoch,))
    return ended, epoch


def _standing_in(state: Path) -> frozenset[str]:
    with closing(sqlite3.connect(f"{state.resolve().as_uri()}?mode=ro", uri=True)) as db:
        return frozenset(name for (name,) in db.execute("SELECT id FROM override WHERE ended_ms IS NULL"))


def _aside(state: Path, now: datetime) -> Path | None:
    """Put the old journal aside, with what belongs to it."""
    if not state.exists():
        return None
    place = stamped(state, "replaced", now)
    for suffix in ("-shm", "-wal", ""):
        if (part := Path(f"{state}{suffix}")).exists():
            part.rename(f"{place}{suffix}")
    return place


def _settle(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _clean(part: Path) -> Iterator[None]:
    """Leave nothing half done; a disk that fails is told as bad input."""
    try:
        yield
    except (OSError, sqlite3.Error, StoreFault) as error:
        raise InputError(Fault(str(part), f"cannot be written ({error})", "give it room, or name another place")) from error
    finally:
        for suffix in ("-journal", "-shm", "-wal", ""):
            Path(f"{part}{suffix}").unlink(missing_ok=True)
