"""Walk: the chains, then every sending and every cycle in the order in which they came, each computed again."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from facility.bus.topics import Topics
from facility.daemon.recording.kept import Finder
from facility.daemon.recording.logbook import KeptOrder, KeptRuling
from facility.journal.chain import Checked
from facility.journal.cycles import CycleRecord
from facility.journal.journal import Journal
from facility.journal.sendings import Sending, cycles, sendings
from facility.journal.store import StoreFault
from facility.replay.cycles import kept_in, solved_again, why_not
from facility.replay.difference import Difference, difference
from facility.replay.sendings import Ruled, orders_again, ruled_again
from models.solving.attempt import SolverOf

Progress = Callable[[int, int], None]
"""Told how many of how many records were computed again."""


@dataclass(frozen=True)
class Span:
    """What of a journal is computed again: what came in [start, end), UTC. `solve`: plans of this version (None), of any, or none."""

    start: datetime | None = None
    end: datetime | None = None
    solve: bool | None = None

    def __contains__(self, at: datetime) -> bool:
        return (self.start is None or at >= self.start) and (self.end is None or at < self.end)


@dataclass
class Tally:
    """What came of it. `identical` cycles are those of which nothing differs, nor of what they sent; `steps` are orders on the way."""

    chains: tuple[Checked, ...] = ()
    cycles: int = 0
    identical: int = 0
    sendings: int = 0
    orders: int = 0
    steps: int = 0
    solved: int = 0
    unsolved: Counter[str] = field(default_factory=Counter)
    older: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether the chains hold and nothing differs."""
        return not self.differences and all(checked.broken is None for checked in self.chains)


def replay(journal: Journal, span: Span, solver_of: SolverOf, progress: Progress = lambda _done, _of: None) -> Tally:
    """Compute a span of a journal again, from one state of it. Raises StoreFault for a file that cannot be read."""
    with journal.look() as db:
        tally = Tally(chains=journal.check())
        _Walk(db, Finder(journal.piece), solver_of, span, tally).go(progress)
    return tally


class _Walk:
    def __init__(self, db: sqlite3.Connection, finder: Finder, solver_of: SolverOf, span: Span, tally: Tally) -> None:
        self._db, self._finder, self._solver_of, self._span, self._tally = db, finder, solver_of, span, tally
        self._ruled: Ruled | None = None
        self._plans: dict[str, KeptRuling] = {}
        self._topics: dict[str, Topics] = {}

    def go(self, progress: Progress) -> None:
        total = sum(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("sending", "cycle"))  # noqa: S608 - our own names
        done = 0
        for n, sending in sendings(self._db):
            self._sending(f"sending {n} at {sending.at:%Y-%m-%d %H:%M:%S} UTC", sending, told=sending.at in self._span)
            progress(done := done + 1, total)
        for n, record in cycles(self._db):
            if record.at in self._span:
                self._cycle(f"cycle {record.cycle} (row {n}) at {record.at:%Y-%m-%d %H:%M:%S} UTC", record)
            progress(done := done + 1, total)

    def _sending(self, where: str, sending: Sending, *, told: bool) -> None:
        kept = msgspec.json.decode(sending.ruling, type=KeptRuling) if sending.ruling else None
        if kept is not None and kept.origin == "plan":
            self._plans[kept.plan_id] = kept
        if not told:
            self._ruled = None if kept is not None else self._ruled
            return
        self._tally.sendings += 1
        try:
            if kept is not None:
                self._ruled, found = ruled_again(where, kept, self._finder)
                self._differs(found)
            orders = msgspec.json.decode(sending.messages, type=tuple[KeptOrder, ...])
            if self._ruled is not None:
                topics = self._topics.setdefault(self._ruled.file.id, Topics(self._ruled.file.bus.root, self._ruled.file.id))
                for step, found in orders_again(where, orders, self._ruled, topics):
                    self._tally.orders += 1
                    self._tally.steps += step
                    self._differs(found)
        except (StoreFault, ValueError) as error:
            self._differs(Difference(where, "what it was made from", "whole", str(error)))

    def _cycle(self, where: str, record: CycleRecord) -> None:
        tally, kept = self._tally, kept_in(record)
        tally.cycles += 1
        if kept is None:
            tally.older += 1
            return
        before = len(tally.differences)
        try:
            self._followed(where, record, kept.plan_id)
            reason = why_not(kept, whichever=self._span.solve is True) if self._span.solve is not False else "it was not asked for"
            if not reason:
                reason, found = solved_again(where, kept, self._finder, self._solver_of)
                self._differs(found)
            if reason:
                tally.unsolved[reason] += 1
            else:
                tally.solved += 1
        except (StoreFault, ValueError) as error:
            self._differs(Difference(where, "what it was made from", "whole", str(error)))
        tally.identical += len(tally.differences) == before

    def _followed(self, where: str, record: CycleRecord, plan_id: str) -> None:
        """What a cycle says it sent is what was sent, and its base the answer."""
        sent = self._plans.get(plan_id)
        if sent is None:
            return
        kept = kept_in(record)
        assert kept is not None
        self._differs(difference(where, "answer", kept.answer.decision, sent.source))
        self._differs(difference(where, "decision", msgspec.Raw(record.decision), msgspec.Raw(self._finder.bytes(sent.decision))))
        self._differs(difference(where, "verdict", msgspec.Raw(record.verdict), sent.verdict))

    def _differs(self, found: Difference | None) -> None:
        if found is not None:
            self._tally.differences.append(found)
