"""Acts: what an operator does, as messages; the daemon's answer; and a line in the shift log before and after.

An act that cannot be written into the shift log is not done.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from facility.bus.messages import AlarmShelve, OverrideClear, OverrideResult, OverrideSet
from facility.bus.messages.codec import Command
from facility.bus.topics import Topics
from facility.console.model.words import override
from facility.console.post import Post, Refused, Unanswered
from facility.console.shift import Line, ShiftLog
from facility.errors import InputError
from facility.overrides.proposal import Kind
from facility.site import Site

ANSWER_S: Final = 5.0
CAREFUL: Final[frozenset[str]] = frozenset({"manual", "stop"})
"""Kinds that are asked about twice."""
KINDS: Final[Mapping[str, tuple[Kind, ...]]] = {
    "site": ("cap_w", "import_limit_kw", "hold", "release", "freeze", "manual", "stop"),
    "hall": ("cap_w", "hold", "release"),
    "pool": ("cap_w", "hold", "release"),
    "job": ("cap_w", "hold", "run", "pause", "release"),
    "grid": ("import_limit_kw",),
}
"""What may be ordered of each sort of target."""


@dataclass(frozen=True)
class Wish:
    """An override as an operator fills it in: for `for_s` seconds from now."""

    target: str
    kind: Kind
    value: float | None
    for_s: float
    by: str
    reason: str
    priority: int = 8

    @property
    def words(self) -> str:
        """What is asked for."""
        return f"{override(self.kind, self.value)} for {self.for_s / 60:g} min, priority {self.priority}"


@dataclass(frozen=True)
class Outcome:
    """What came of an act: `ok` where it acts, and the daemon's words or ours."""

    ok: bool
    status: Literal["answered", "unanswered", "not sent"]
    words: str
    result: OverrideResult | None = None


class Acts:
    """Sends, waits, writes down."""

    def __init__(self, site: Site, post: Post, log: ShiftLog) -> None:
        self._post, self._log, self._now = post, log, post.now
        self._topics = Topics(site.bus.root, site.id)

    async def set(self, wish: Wish) -> Outcome:
        """Set an override."""
        ref = uuid.uuid4().hex

        def made() -> OverrideSet:
            return OverrideSet(
                id=ref, kind=wish.kind, value=wish.value, priority=wish.priority, ttl_s=wish.for_s, by=wish.by, reason=wish.reason
            )

        return await self._do(lambda: self._topics.override(wish.target, "set"), made, wish.words, wish.target)

    async def clear(self, target: str, override_id: str, by: str, reason: str) -> Outcome:
        """End an override before its time."""

        def made() -> OverrideClear:
            return OverrideClear(id=override_id, by=by, reason=reason)

        return await self._do(lambda: self._topics.override(target, "clear"), made, "clear", target)

    async def shelve(self, alarm: str, for_s: float, by: str, reason: str) -> Outcome:
        """Put an alarm aside for a while."""

        def made() -> AlarmShelve:
            return AlarmShelve(id=uuid.uuid4().hex, ttl_s=for_s, by=by, reason=reason)

        return await self._do(lambda: self._topics.alarm(alarm, "shelve"), made, f"put aside for {for_s / 60:g} min", f"alarm/{alarm}")

    async def _do(self, topic: Callable[[], str], made: Callable[[], Command], what: str, target: str) -> Outcome:
        """Send a command and wait for its answer. `made` may raise ValueError, `topic` InputError: what was filled in cannot be."""
        try:
            command, on = made(), topic()
            if not command.by.strip():
                return _unsaid("say who you are: nothing is done without a name")
            if not command.reason.strip():
                return _unsaid("say why: nothing is done without a reason")
            command = self._post.sealed(on, command)
        except (Refused, ValueError) as refusal:
            return _unsaid(str(refusal))
        except InputError as error:
            return _unsaid("; ".join(f"{fault.found}: {fault.remedy}" for fault in error.faults))
        line = Line(self._now(), command.id, command.by, what, target, command.reason)
        try:
            await asyncio.to_thread(self._log.add, line)
        except sqlite3.Error as error:
            return _unsaid(f"the shift log cannot be written, so nothing is done: {error}")
        outcome = await self._ask(on, command)
        with contextlib.suppress(sqlite3.Error):  # it was asked and is written down; what came of it, the daemon's journal tells too
            await asyncio.to_thread(self._log.add, closing_line(line, self._now(), outcome))
        return outcome

    async def _ask(self, topic: str, command: Command) -> Outcome:
        try:
            result = await self._post.ask(topic, command, OverrideResult, ANSWER_S)
        except Refused as refused:
            return _unsaid(str(refused))
        except Unanswered:
            words = f"no answer within {ANSWER_S:g} s: it may act or not. What is in force is what the list of overrides shows"
            return Outcome(ok=False, status="unanswered", words=words)
        ok = result.status in {"accepted", "clamped", "cleared"}
        return Outcome(ok=ok, status="answered", words=f"{result.status}: {result.reason}" if result.reason else result.status, result=result)


def _unsaid(words: str) -> Outcome:
    return Outcome(ok=False, status="not sent", words=words)


def closing_line(line: Line, at: datetime, outcome: Outcome) -> Line:
    """The line that says what came of an act."""
    return Line(at, line.ref, line.by, line.what, line.target, line.reason, outcome.words)
