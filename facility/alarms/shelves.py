"""Shelves: alarms that an operator put aside for a while, signed and with a reason, kept in the journal (ANSI/ISA-18.2-2016, shelving).

A shelved alarm stands as before and says that it is shelved; nothing that the service does depends on it. It comes back by itself: at the
end of its time, when somebody takes it off the shelf, or when the clock says that it was not shelved yet. One about the plant's safety
may lie for `PLANT_MOST`, any other for `MOST`, also where it became one about the plant's safety only since.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from facility.bus.messages import AlarmShelve, AlarmUnshelve, OverrideResult
from facility.journal.journal import Journal
from facility.journal.store import StoreFault

log = logging.getLogger(__name__)

FACT: Final = "shelves"
DEFAULT: Final = timedelta(hours=1)
MOST: Final = timedelta(hours=24)
PLANT_MOST: Final = timedelta(minutes=30)
"""Long enough to mend what is at hand; then somebody must look again."""
SKEW: Final = timedelta(seconds=5)
"""How far the clock may go back, as clocks that are kept right do, before a shelf counts as not begun."""
MOST_SHELVED: Final = 100
"""Alarms that may be shelved at once: whoever shelves more does not look."""


@dataclass(frozen=True)
class Shelf:
    """An alarm that lies shelved in the half-open interval [since, until), UTC, `by` whom and why; `id` is the command's."""

    alarm: str
    id: str
    by: str
    reason: str
    since: datetime
    until: datetime


class Shelves:
    """Takes commands and keeps them in the journal; to be used by one thread. `most` tells how long an alarm may lie."""

    def __init__(self, journal: Journal, most: Callable[[str], timedelta] = lambda _alarm: MOST) -> None:
        self._journal, self.most = journal, most
        self._shelves = {shelf.alarm: shelf for shelf in _read(journal.get(FACT))}

    @property
    def shelved(self) -> tuple[str, ...]:
        """The ids of the alarms that are shelved, whether or not they stand."""
        return tuple(self._shelves)

    def of(self, alarm: str) -> Shelf | None:
        """Tell how an alarm is shelved; None where it is not."""
        return self._shelves.get(alarm)

    def shelve(self, alarm: str, request: AlarmShelve, now: datetime, *, known: Collection[str], retained: bool = False) -> OverrideResult:
        """Answer a command; where it is accepted, or clamped to a shorter time, it is stored and in force when this returns.

        `known` are the alarms that stand, or stood: there is no shelving ahead of what nobody has seen.
        """
        if refused := self._refused(request, retained=retained):
            return refused
        if not request.reason.strip():
            return _answer(request, "rejected", "say in `reason` why it is put aside: whoever comes next must know")
        if alarm not in known:
            return _answer(request, "rejected", f"no alarm {alarm} stands or stood; there are: {', '.join(sorted(known)[:30]) or 'none'}")
        if len(self._shelves) >= MOST_SHELVED and alarm not in self._shelves:
            return _answer(request, "rejected", f"{MOST_SHELVED} alarms are shelved already; take some off first")
        most = self.most(alarm)
        try:
            asked = request.end or now + (DEFAULT if request.ttl_s is None else timedelta(seconds=request.ttl_s))
        except OverflowError:
            return _answer(request, "rejected", f"ttl_s {request.ttl_s} gives no end")
        if asked <= now:
            return _answer(request, "expired", f"its end, {asked:%Y-%m-%d %H:%M:%S} UTC, has passed")
        shelf = Shelf(alarm, request.id, request.by, request.reason, now, min(asked, now + most))
        said = f"{alarm} is shelved by {shelf.by} until {shelf.until:%Y-%m-%d %H:%M:%S} UTC: {shelf.reason}"
        if asked > shelf.until and (request.end is not None or request.ttl_s is not None):
            answer = _answer(request, "clamped", f"{said}; an alarm of this kind may lie for at most {most}", shelf.until)
        else:
            answer = _answer(request, "accepted", said, shelf.until)
        return self._stored({**self._shelves, alarm: shelf}, answer, now)

    def unshelve(self, alarm: str, request: AlarmUnshelve, now: datetime, *, retained: bool = False) -> OverrideResult:
        """Take an alarm off its shelf, and answer."""
        if refused := self._refused(request, retained=retained):
            return refused
        if alarm not in self._shelves:
            return _answer(request, "rejected", f"{alarm} is not shelved; shelved are: {', '.join(self._shelves) or 'none'}")
        left = {name: shelf for name, shelf in self._shelves.items() if name != alarm}
        return self._stored(left, _answer(request, "cleared", f"{alarm} was taken off its shelf by {request.by}"), now)

    def expire(self, now: datetime) -> list[Shelf]:
        """Take off what has lain long enough, and list it; `store` comes once that was told: a process that dies before tells it again."""
        over = [shelf for shelf in self._shelves.values() if not self._lies(shelf, now)]
        if over:
            self._shelves = {name: shelf for name, shelf in self._shelves.items() if shelf not in over}
        return over

    def store(self) -> None:
        """Store what lies shelved. A failing disk changes nothing: what is read again has ended too."""
        with suppress(StoreFault):
            self._journal.put(FACT, msgspec.json.encode(list(self._shelves.values())))

    def _lies(self, shelf: Shelf, now: datetime) -> bool:
        return shelf.since - SKEW <= now < min(shelf.until, shelf.since + self.most(shelf.alarm))

    def _refused(self, request: AlarmShelve | AlarmUnshelve, *, retained: bool) -> OverrideResult | None:
        if retained:
            return _answer(request, "rejected", "it arrived retained, so it may be old; send it not retained")
        if not request.by.strip():
            return _answer(request, "rejected", "nobody signed it; say in `by` who commands")
        try:
            first = self._journal.seen(request.id)
        except StoreFault as fault:
            return _answer(request, "rejected", f"whether it came before cannot be read: {fault}")
        if first is not None:
            return _answer(request, "duplicate", f"this id was answered before ({first.status}); give a new command a new id", first.until)
        return None

    def _stored(self, shelves: dict[str, Shelf], answer: OverrideResult, now: datetime) -> OverrideResult:
        try:
            self._journal.save_answer(answer, at=now, facts={FACT: msgspec.json.encode(list(shelves.values()))})
        except StoreFault as fault:
            return OverrideResult(id=answer.id, status="rejected", reason=f"it could not be stored, so nothing changes: {fault}"[:1000])
        self._shelves = shelves
        return answer


def _read(state: bytes | None) -> list[Shelf]:
    if state is None:
        return []
    try:
        return msgspec.json.decode(state, type=list[Shelf])
    except (msgspec.MsgspecError, ValueError) as error:
        log.warning("which alarms were shelved cannot be read, so none is: %s", error)
        return []


def _answer(
    request: AlarmShelve | AlarmUnshelve,
    status: str,
    reason: str,
    until: datetime | None = None,
) -> OverrideResult:
    return OverrideResult(id=request.id, status=status, until=until, reason=reason[:1000])  # type: ignore[arg-type]
