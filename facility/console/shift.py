"""Shift log: who did what when and why, and what came of it; lines are only ever added, and the file itself refuses anything else.

Each act has two lines of one `ref`: what was asked, before it is sent, and the answer, or that none came. Instants are the site's, UTC;
`told_at` is the wall clock's, which in a rehearsal is another.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from facility.clock import milliseconds
from facility.errors import Fault, InputError

TABLE = """
CREATE TABLE IF NOT EXISTS line (
    n INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, told_at TEXT NOT NULL, ref TEXT NOT NULL, by TEXT NOT NULL,
    what TEXT NOT NULL, target TEXT NOT NULL, reason TEXT NOT NULL, outcome TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS line_at ON line (at_ms);
CREATE TRIGGER IF NOT EXISTS no_change BEFORE UPDATE ON line BEGIN SELECT RAISE(ABORT, 'lines of a shift log are never changed'); END;
CREATE TRIGGER IF NOT EXISTS no_loss BEFORE DELETE ON line BEGIN SELECT RAISE(ABORT, 'lines of a shift log are never deleted'); END;
"""


@dataclass(frozen=True)
class Line:
    """One line. `outcome` is empty in the line that says what was asked."""

    at: datetime
    ref: str
    by: str
    what: str
    target: str
    reason: str
    outcome: str = ""


class ShiftLog:
    """The file. Raises InputError where it cannot be opened; may be used by several threads."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(TABLE)
        except sqlite3.Error as error:
            raise InputError(Fault("--shift-log", f"cannot write {file}: {error}", "name a file in a folder that you may write to")) from error

    def add(self, line: Line) -> None:
        """Add a line; it is on the disk when this returns. Raises sqlite3.Error where it cannot be."""
        told_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        row = (milliseconds(line.at), told_at, line.ref, line.by, line.what, line.target, line.reason, line.outcome)
        with self._lock:
            self._db.execute("INSERT INTO line (at_ms, told_at, ref, by, what, target, reason, outcome) VALUES (?,?,?,?,?,?,?,?)", row)

    def search(self, words: str = "", most: int = 200) -> Sequence[Line]:
        """The newest lines in which all words stand, the newest first."""
        wanted = words.split()
        text = "by || ' ' || what || ' ' || target || ' ' || reason || ' ' || outcome"
        where = " AND ".join([f"({text}) LIKE ? ESCAPE '\\'"] * len(wanted)) or "true"
        query = f"SELECT at_ms, ref, by, what, target, reason, outcome FROM line WHERE {where} ORDER BY n DESC LIMIT ?"  # noqa: S608 - ours
        with self._lock:
            rows = self._db.execute(query, (*(f"%{_plain(word)}%" for word in wanted), most)).fetchall()
        return [Line(datetime.fromtimestamp(at_ms / 1000, UTC), *rest) for at_ms, *rest in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _plain(word: str) -> str:
    """A word in which LIKE finds no signs of its own."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
