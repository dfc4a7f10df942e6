"""Chain: every row of the record carries the hash of all before it, so that a row which was changed, lost or put in shows.

    hash[n] = sha256(hash[n-1] + columns of row n)        n = 1, 2, 3, ... without a gap; hash[0] is 32 zero bytes

Each chained table is a chain of its own. The table `chain` holds both ends of each: the newest row that was forgotten (the anchor, from
which what is left is computed) and the newest that was added. Whoever can write the file can compute the whole chain anew; what
shows that is a head that was written down elsewhere (`facility audit` prints them), or that what a row says cannot be computed
from its inputs any more (`facility replay`).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

CHAINED: Final[Mapping[str, str]] = {
    "cycle": "at_ms, cycle, mode, outcome, reason, inputs, decision, verdict",
    "sending": "at_ms, epoch, first_seq, ruling, messages",
    "event": "at_ms, sort, action, target, says, actor, reason, result, id, signer",
    "usage": "at_ms, counted_ms, rows",
}
"""The columns that are hashed, by table."""
ZERO: Final = bytes(32)


@dataclass(frozen=True)
class Break:
    """The first row of a chain that is not as it was written: the row `n` of `table`, and what is wrong."""

    table: str
    n: int
    says: str


@dataclass(frozen=True)
class Checked:
    """What a look at every row of a chain found: how many there are, the hash of the newest, and where it breaks first."""

    table: str
    rows: int
    head: bytes
    broken: Break | None

    def __str__(self) -> str:
        what = {"cycle": "cycles", "sending": "sendings", "event": "entries of the account", "usage": "quarters of usage"}[self.table]
        if self.broken is None:
            return f"{self.rows} {what} are chained and whole, head {self.head.hex()[:16]}"
        return f"the chain of {what} breaks at row {self.broken.n}: {self.broken.says}; the {self.rows} rows before it hold"


def add(db: sqlite3.Connection, table: str, row: Sequence[Any]) -> int:
    """Add a row, its columns in the order of `CHAINED`; gives its number."""
    ends = db.execute("SELECT newest_n, newest_hash FROM chain WHERE name = ?", (table,)).fetchone()
    n, before = (ends[0] + 1, ends[1]) if ends else (1, ZERO)
    digest = linked(before, n, row)
    db.execute(f"INSERT INTO {table} VALUES (?{', ?' * len(row)}, ?)", (n, *row, digest))  # noqa: S608 - from our own constants
    db.execute(
        "INSERT INTO chain VALUES (?, 0, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET newest_n = excluded.newest_n, newest_hash = excluded.newest_hash",
        (table, ZERO, n, digest),
    )
    return n


def outlived(db: sqlite3.Connection, table: str, before_ms: int, most: int) -> int:
    """The number before which rows may go: the first that is not of before an instant, or from which on there are `most`."""
    newest = db.execute(f"SELECT coalesce(max(n), 0) FROM {table}").fetchone()[0]  # noqa: S608 - from our own constants
    young = f"SELECT n FROM {table} WHERE +at_ms >= ? ORDER BY n LIMIT 1"  # noqa: S608 - from our own constants; +: the oldest row ends the search
    first = db.execute(young, (before_ms,)).fetchone()
    return int(max(first[0] if first else newest + 1, newest - most + 1))


def forget(db: sqlite3.Connection, table: str, before_n: int) -> None:
    """Forget the rows before a number; the newest of them stays as the anchor of what is left."""
    last = db.execute(f"SELECT n, hash FROM {table} WHERE n < ? ORDER BY n DESC LIMIT 1", (before_n,)).fetchone()  # noqa: S608 - from our own constants
    if last is not None:
        db.execute("UPDATE chain SET pruned_n = ?, pruned_hash = ? WHERE name = ?", (*last, table))
        db.execute(f"DELETE FROM {table} WHERE n <= ?", (last[0],))  # noqa: S608 - from our own constants


def link_all(db: sqlite3.Connection) -> None:
    """Number and chain the rows of a store that had no chain, in the order in which they came."""
    for table, columns in CHAINED.items():
        rows = db.execute(f"SELECT n, {columns} FROM {table} ORDER BY n").fetchall()  # noqa: S608 - from our own constants
        before, n = ZERO, 0
        for n, (was, *row) in enumerate(rows, 1):  # in ascending order, so no new number meets an old one
            before = linked(before, n, row)
            db.execute(f"UPDATE {table} SET n = ?, hash = ? WHERE n = ?", (n, before, was))  # noqa: S608 - from our own constants
        if rows:
            db.execute("INSERT INTO chain VALUES (?, 0, ?, ?, ?)", (table, ZERO, n, before))


def check(db: sqlite3.Connection, table: str) -> Checked:
    """Compute a chain anew, in one transaction of `db`, and say where it breaks first."""
    ends = db.execute("SELECT pruned_n, pruned_hash, newest_n, newest_hash FROM chain WHERE name = ?", (table,)).fetchone()
    first, head, newest_n, newest = ends or (0, ZERO, 0, ZERO)
    n = first

    def broken(at: int, says: str) -> Checked:
        return Checked(table, n - first, head, Break(table, at, says))

    for found, digest, *row in db.execute(f"SELECT n, hash, {CHAINED[table]} FROM {table} ORDER BY n"):  # noqa: S608 - from our own constants
        if found != n + 1:
            return broken(n + 1, "it is missing" if found > n else f"row {found} does not belong here")
        if linked(head, found, row) != digest:
            return broken(found, "it is not as it was written, or what stood before it is not")
        n, head = found, digest
    if (n, head) != (newest_n, newest):
        return broken(n + 1, "it is missing, the newest that was written") if newest_n > n else broken(n, "it was put in")
    return Checked(table, n - first, head, None)


def linked(before: bytes, n: int, row: Sequence[Any]) -> bytes:
    """The hash of a row after the one with the hash `before`: each column with its kind and length, so that none runs into the next."""
    digest = hashlib.sha256(before)
    for value in (n, *row):
        kind, told = _told(value)
        digest.update(b"%c%d:" % (kind, len(told)))
        digest.update(told)
    return digest.digest()


def _told(value: Any) -> tuple[bytes, bytes]:
    match value:
        case None:
            return b"n", b""
        case bytes():
            return b"b", value
        case str():
            return b"s", value.encode(errors="surrogateescape")
        case int():
            return b"i", b"%d" % value
        case _:
            return b"f", repr(value).encode()
