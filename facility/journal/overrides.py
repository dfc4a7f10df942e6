"""Overrides and answers: what people commanded and what they were told, on the disk before they are told."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from facility.bus.messages import OverrideResult
from facility.journal.facts import save_facts
from facility.journal.part import Part, instant, ms
from facility.overrides.proposal import Proposal

How = Literal["expired", "superseded", "cleared"]

TOLD: Final = """
SELECT id FROM event WHERE at_ms >= ? AND id IS NOT NULL
AND (action IN ('expired', 'superseded', 'cleared') OR action = 'clear' AND result = 'cleared')"""
"""The ids of which the account says, from an instant on, that somebody was told of their end."""
_PROPOSAL: Final = "id, target, kind, value, priority, start_ms, end_ms, by, reason, asked"


class Overrides(Part):
    """The operators' overrides."""

    def save_override(self, proposal: Proposal, answer: OverrideResult, *, at: datetime) -> None:
        """Store an override that acts together with its answer, on the disk."""
        row = (
            proposal.id, proposal.target, proposal.kind, proposal.value, proposal.asked, proposal.priority,
            ms(proposal.start), ms(proposal.end), proposal.by, proposal.reason,
        )  # fmt: skip
        with self._store.write() as db:
            db.execute("INSERT INTO override VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", row)
            save_answer(db, answer, at)

    def save_answer(
        self, answer: OverrideResult, *, at: datetime, cleared: Sequence[str] = (), facts: Mapping[str, bytes] | None = None
    ) -> None:
        """Store the answer to a request that does not act itself, the end of the overrides that it cleared, and the `facts` that it changed."""
        with self._store.write(to_disk=bool(cleared or facts)) as db:
            save_answer(db, answer, at)
            save_facts(db, facts or {})
            for override in cleared:
                save_end(db, "override", override, at, "cleared")

    def end_override(self, override: str, at: datetime, how: How) -> None:
        """Store that an override ended, on the disk; the first end counts."""
        with self._store.write() as db:
            save_end(db, "override", override, at, how)

    def set_back(self, by: timedelta) -> None:
        """Store that the clock was set back, on the disk: what stands lasts no longer for it."""
        with self._store.write() as db:
            shifts = "start_ms = start_ms - :by, end_ms = end_ms - :by"
            db.execute(f"UPDATE override SET {shifts} WHERE ended_ms IS NULL", {"by": by // timedelta(milliseconds=1)})  # noqa: S608 - our own

    def overrides(self) -> list[Proposal]:
        """List the overrides not yet told to have ended, oldest first."""
        rows = self._store.read(f"SELECT {_PROPOSAL} FROM override WHERE ended_ms IS NULL ORDER BY n")  # noqa: S608 - from our own constants
        return [_proposal(*row) for row in rows]

    def untold_ends(self, since: datetime) -> list[tuple[Proposal, How]]:
        """List the overrides that ended since an instant without anybody being told, oldest first, and how each ended."""
        query = f"SELECT how, {_PROPOSAL} FROM override WHERE ended_ms >= ? AND id NOT IN ({TOLD}) ORDER BY n"  # noqa: S608 - from our own constants
        return [(_proposal(*row), how) for how, *row in self._store.read(query, ms(since), ms(since))]

    def seen(self, override: str) -> OverrideResult | None:
        """Tell what the request with this id was answered; None where the id is new."""
        rows = self._store.read("SELECT json FROM answer WHERE id = ?", override)
        return msgspec.json.decode(rows[0][0], type=OverrideResult) if rows else None


def _proposal(key: str, target: str, kind: Any, value: float | None, priority: int, *rest: Any) -> Proposal:
    start_ms, end_ms, by, reason, asked = rest
    return Proposal(key, target, kind, value, priority, instant(start_ms), instant(end_ms), by, reason, asked)


def save_answer(db: sqlite3.Connection, answer: OverrideResult, at: datetime) -> None:
    """Store what a request was answered."""
    db.execute("INSERT INTO answer VALUES (?, ?, ?)", (answer.id, ms(at), msgspec.json.encode(answer)))


def save_end(db: sqlite3.Connection, table: Literal["override", "rental"], key: str, at: datetime, how: How) -> None:
    """Store that an override or a rental ended; the first end counts."""
    query = f"UPDATE {table} SET ended_ms = ?, how = ? WHERE id = ? AND ended_ms IS NULL"  # noqa: S608 - from our own constants
    db.execute(query, (ms(at), how, key))


def forget_commands(db: sqlite3.Connection, answers_before_ms: int, commands_before_ms: int) -> None:
    """Forget overrides and rentals that ended long ago, and answers to what did not act."""
    for table in ("override", "rental"):
        db.execute(f"DELETE FROM {table} WHERE ended_ms < ? AND end_ms < ?", (commands_before_ms, commands_before_ms))  # noqa: S608 - from our own constants
    kept = "SELECT id FROM override UNION ALL SELECT id FROM rental"
    db.execute(f"DELETE FROM answer WHERE at_ms < ? AND id NOT IN ({kept})", (answers_before_ms,))  # noqa: S608 - from our own constants
