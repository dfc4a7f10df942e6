"""The journal: what must survive a crash.

It holds the counters that order every command sent (epoch, seq), the overrides people gave and what they were answered, the
rentals that came, every cycle with what went in and what came out, the account of who changed what, and a few small facts. The
broker is only a cable: after a restart or a reconnect the truth comes from here. Overrides, rentals, counters and facts reach the
disk before the call returns; cycles survive the death of the process and may lose their last seconds with the power. Instants are
stored as whole ms since 1970, UTC.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import msgspec
from pydantic import ValidationError

from facility.bus.messages import OverrideResult
from facility.clock import Clock, SystemClock
from facility.journal.entry import Entry
from facility.journal.store import Store, StoreFault
from facility.journal.tables import MIGRATIONS, TABLES, VERSION
from facility.overrides.proposal import Proposal
from facility.rental.rental import Rental
from facility.site import Contract

log = logging.getLogger(__name__)

SEQ_BLOCK: Final = 1000
"""Sequence numbers reserved at once; a crash skips what is left of them."""
IDS_KEPT: Final = timedelta(days=400)
"""How much longer than cycles an override's id is remembered, so that an old message cannot act again."""
MOST_ENTRIES: Final = 1_000_000
"""Entries of the account that are kept, whatever their age."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

How = Literal["expired", "superseded", "cleared"]


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


class Journal:
    """An open journal; a context manager, safe to share between threads.

    `path` is made where it does not exist; its folder must exist. A second writer of the same file gets StoreBusyError;
    with `read_only` any process may look. A damaged file is put aside and a new one begun: `put_aside` then says where the
    old one lies (None otherwise), and the caller starts SAFE. Raises InputError for a file that cannot be used, and
    StoreFault later where the disk fails.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        self._store = Store(Path(path), TABLES, VERSION, MIGRATIONS, read_only=read_only, clock=self._clock)
        self._seq = self._seq_reserved = 0
        self._seq_mutex = threading.Lock()

    @property
    def put_aside(self) -> Path | None:
        """Where a damaged predecessor lies."""
        return self._store.put_aside

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let another writer in."""
        self._store.close()

    def next_epoch(self) -> int:
        """Begin the next epoch, once per start: strictly greater than every one before.

        A new journal begins at the seconds since 1970, so that one which replaces a lost or damaged journal is still ahead.
        """
        with self._store.write() as db:
            return _count(db, "epoch", 1, first=max(1, _ms(self._clock.now()) // 1000))

    def next_seq(self) -> int:
        """Give the next sequence number: strictly greater than every one before, across crashes."""
        with self._seq_mutex:
            left = self._seq_reserved - self._seq
            if left <= SEQ_BLOCK // 2:  # early, so that a full disk does not stop an emergency decrease
                try:
                    with self._store.write() as db:
                        self._seq_reserved = _count(db, "seq", SEQ_BLOCK, first=SEQ_BLOCK)
                    self._seq = self._seq_reserved - SEQ_BLOCK
                except StoreFault:
                    if not left:
                        raise
            self._seq += 1
            return self._seq

    def save_override(self, proposal: Proposal, answer: OverrideResult, *, at: datetime) -> None:
        """Store an override that acts together with its answer, on the disk."""
        row = (
            proposal.id, proposal.target, proposal.kind, proposal.value, proposal.asked, proposal.priority,
            _ms(proposal.start), _ms(proposal.end), proposal.by, proposal.reason,
        )  # fmt: skip
        with self._store.write() as db:
            db.execute("INSERT INTO override VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", row)
            _answer(db, answer, at)

    def save_answer(self, answer: OverrideResult, *, at: datetime, cleared: Sequence[str] = ()) -> None:
        """Store the answer to a request that does not act itself, and the end of the overrides that it cleared."""
        with self._store.write(to_disk=bool(cleared)) as db:
            _answer(db, answer, at)
            for override in cleared:
                _end(db, "override", override, at, "cleared")

    def end_override(self, override: str, at: datetime, how: How) -> None:
        """Store that an override ended, on the disk; the first end counts."""
        with self._store.write() as db:
            _end(db, "override", override, at, how)

    def overrides(self) -> list[Proposal]:
        """List the overrides not yet told to have ended, oldest first."""
        columns = "id, target, kind, value, priority, start_ms, end_ms, by, reason, asked"
        rows = self._store.read(f"SELECT {columns} FROM override WHERE ended_ms IS NULL ORDER BY n")  # noqa: S608 - from our own constants
        return [
            Proposal(key, target, kind, value, priority, _instant(start_ms), _instant(end_ms), by, reason, asked)
            for key, target, kind, value, priority, start_ms, end_ms, by, reason, asked in rows
        ]

    def save_rental(self, rental: Rental, answer: OverrideResult, *, at: datetime, superseded: str | None = None) -> None:
        """Store a rental together with its answer and the end of the one that it replaces, on the disk."""
        terms = rental.terms.model_dump_json(exclude_unset=True).encode()
        row = (rental.id, rental.contract, terms, _ms(rental.start), _ms(rental.end), rental.by, rental.reason)
        with self._store.write() as db:
            if superseded is not None:
                _end(db, "rental", superseded, at, "superseded")
            db.execute("INSERT INTO rental VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", row)
            _answer(db, answer, at)

    def end_rental(self, rental: str, at: datetime, how: How) -> None:
        """Store that a rental ended, on the disk; the first end counts."""
        with self._store.write() as db:
            _end(db, "rental", rental, at, how)

    def rentals(self) -> list[tuple[Rental, datetime | None]]:
        """List the rentals that are kept, oldest first, each with the instant at which it was told to have ended."""
        rows = self._store.read("SELECT id, contract, terms, start_ms, end_ms, by, reason, ended_ms FROM rental ORDER BY n")
        found: list[tuple[Rental, datetime | None]] = []
        for key, contract, terms, start_ms, end_ms, by, reason, ended_ms in rows:
            try:
                told = Contract.model_validate_json(terms)
            except ValidationError as error:
                log.warning("contract %s cannot be read by this version: %s", contract, error)
                continue
            rental = Rental(key, contract, told, _instant(start_ms), _instant(end_ms), by, reason)
            found.append((rental, None if ended_ms is None else _instant(ended_ms)))
        return found

    def note(self, entry: Entry, *, to_disk: bool = False) -> None:
        """Add an entry to the account."""
        at, *rest = astuple(entry)
        with self._store.write(to_disk=to_disk) as db:
            db.execute("INSERT INTO event VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (_ms(at), *rest))

    def account(self, since: datetime, *, by: str | None = None, target: str | None = None) -> list[Entry]:
        """List the account from an instant on, oldest first; only what `by` did, or was done to `target`, where they are given."""
        query = "SELECT at_ms, sort, action, target, says, actor, reason, result, id, signer FROM event WHERE at_ms >= ?"
        wanted = {"actor": by, "target": target}
        given = {column: value for column, value in wanted.items() if value is not None}
        rows = self._store.read(query + "".join(f" AND {column} = ?" for column in given) + " ORDER BY n", _ms(since), *given.values())
        return [Entry(_instant(at_ms), *rest) for at_ms, *rest in rows]

    def newest(self) -> datetime | None:
        """Tell when the account was last added to; None where it is empty."""
        rows = self._store.read("SELECT at_ms FROM event ORDER BY n DESC LIMIT 1")
        return _instant(rows[0][0]) if rows else None

    def seen(self, override: str) -> OverrideResult | None:
        """Tell what the request with this id was answered; None where the id is new."""
        rows = self._store.read("SELECT json FROM answer WHERE id = ?", override)
        return msgspec.json.decode(rows[0][0], type=OverrideResult) if rows else None

    def record_cycle(self, record: CycleRecord) -> None:
        """Add one cycle."""
        at, *rest = astuple(record)
        with self._store.write(to_disk=False) as db:
            db.execute("INSERT INTO cycle VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", (_ms(at), *rest))

    def cycles(self, limit: int = 100) -> list[CycleRecord]:
        """List the newest `limit` cycles, newest first."""
        return self._cycles("ORDER BY n DESC LIMIT ?", limit)

    def last_published(self) -> CycleRecord | None:
        """Give the newest cycle that was published; None where there is none."""
        return next(iter(self._cycles("WHERE outcome = 'published' ORDER BY n DESC LIMIT ?", 1)), None)

    def prune(self, before: datetime) -> None:
        """Forget cycles before an instant, except the last one published, and much older entries, overrides and rentals with their ids."""
        at, ids_at = _ms(before), _ms(before - IDS_KEPT)
        with self._store.write(to_disk=False) as db:
            db.execute(
                "DELETE FROM cycle WHERE at_ms < ? AND n IS NOT (SELECT max(n) FROM cycle WHERE outcome = 'published')", (at,)
            )
            for table in ("override", "rental"):
                db.execute(f"DELETE FROM {table} WHERE ended_ms < ? AND end_ms < ?", (ids_at, ids_at))  # noqa: S608 - from our own constants
            kept = "SELECT id FROM override UNION ALL SELECT id FROM rental"
            db.execute(f"DELETE FROM answer WHERE at_ms < ? AND id NOT IN ({kept})", (at,))  # noqa: S608 - from our own constants
            db.execute("DELETE FROM event WHERE at_ms < ? OR n <= (SELECT max(n) FROM event) - ?", (ids_at, MOST_ENTRIES))

    def put(self, key: str, json: bytes) -> None:
        """Store a small fact under a key, in place of the one before, on the disk."""
        self.put_all({key: json})

    def put_all(self, facts: Mapping[str, bytes]) -> None:
        """Store several facts by key, all of them or none, on the disk."""
        with self._store.write() as db:
            db.executemany("INSERT INTO fact VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET json = excluded.json", facts.items())

    def get(self, key: str) -> bytes | None:
        """Give the fact under a key; None where there is none."""
        rows = self._store.read("SELECT json FROM fact WHERE key = ?", key)
        return bytes(rows[0][0]) if rows else None

    def _cycles(self, which: str, limit: int) -> list[CycleRecord]:
        columns = "at_ms, cycle, mode, outcome, reason, inputs, decision, verdict"
        rows = self._store.read(f"SELECT {columns} FROM cycle {which}", limit)  # noqa: S608 - from our own constants
        return [CycleRecord(_instant(at_ms), *rest) for at_ms, *rest in rows]


def _count(db: sqlite3.Connection, name: str, by: int, *, first: int) -> int:
    """Raise a counter, or begin it, and give its value."""
    query = "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + ? RETURNING value"
    return int(db.execute(query, (name, first, by)).fetchall()[0][0])


def _answer(db: sqlite3.Connection, answer: OverrideResult, at: datetime) -> None:
    db.execute("INSERT INTO answer VALUES (?, ?, ?)", (answer.id, _ms(at), msgspec.json.encode(answer)))


def _end(db: sqlite3.Connection, table: Literal["override", "rental"], key: str, at: datetime, how: How) -> None:
    query = f"UPDATE {table} SET ended_ms = ?, how = ? WHERE id = ? AND ended_ms IS NULL"  # noqa: S608 - from our own constants
    db.execute(query, (_ms(at), how, key))


def _ms(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def _instant(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)
