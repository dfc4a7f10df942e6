"""Commitment: the position that a planner committed over the bus, kept in the journal and shown as long as any of it is to come.

It is answered as an override is: always, once for each id, and refused where it arrives retained, with an alarm. It costs the imbalance premium to
leave it, nothing more, so that what came by mistake breaks no limit; one without points withdraws it.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import numpy as np

from facility.bus.interface import Bus, Message
from facility.bus.messages import OverrideResult, PositionSet, PositionState, Rejected, Step, decode, encode
from facility.bus.topics import Topics
from facility.daemon.answering.answers import Answers
from facility.inputs.series import Series
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.position import committed_kw, merged
from facility.site import Site
from facility.steps import Edges, as_datetime64

log = logging.getLogger(__name__)

FACT = "position"
BELIEVABLE = 10
"""A position beyond this many times the connection's limit is a mistake of units."""


class Commitment:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site, bus: Bus, journal: Journal, answers: Answers) -> None:
        self._site, self._bus, self._journal, self._answers = site, bus, journal, answers
        self._topics = Topics(site.bus.root, site.id)
        self._position: Series | None = None
        self._state = journal.get(FACT) or b""
        if self._state:
            try:
                self._position = _series(decode(self._state, PositionState).points)
            except Rejected as rejected:
                log.warning("the position that was committed cannot be read: %s", rejected.reason)
                self._state = b""

    def kw(self, edges: Edges) -> tuple[float | None, ...]:
        """What is committed in each step between `edges`, kW; () where nothing is."""
        return () if self._position is None else committed_kw(self._position, edges)

    def answer(self, message: Message, now: datetime) -> bool:
        """Answer a commitment; True where another position is in force because of it."""
        self._answers.watch(message, now)
        if not message.payload:
            return False
        before, told = self._state, None
        try:
            told = self._answers.read(message, PositionSet, now)
            result = self._take(told, now, retained=message.retain)
        except Rejected as rejected:
            result = OverrideResult(id=rejected.id, status="rejected", reason=rejected.reason[:1000])
        except StoreFault as fault:
            says = f"it could not be stored, so nothing changes: {fault}"
            result = OverrideResult(id=None if told is None else told.id, status="rejected", reason=says[:1000])
        by, reason = (told.by, told.reason) if told is not None else ("", "")
        topic = self._topics.position("result")
        self._answers.give("position", "set", "site", topic, result, now, to=message, show=self.republish, by=by, reason=reason)
        return self._state != before

    def republish(self) -> None:
        """Say again what is committed: the broker is a cable, not a memory."""
        self._bus.publish(Message(self._topics.position("state"), self._state, qos=1, retain=True))

    def _take(self, told: PositionSet, now: datetime, *, retained: bool) -> OverrideResult:
        if retained:
            raise Rejected("a command must not be retained", told.id)
        if self._journal.seen(told.id) is not None:
            return OverrideResult(id=told.id, status="duplicate", reason="this id was answered before")
        if self._site.tariff.imbalance_premium_per_mwh is None:
            raise Rejected("the site file has no tariff.imbalance_premium_per_mwh, so leaving a position has no price", told.id)
        if told.points and told.points[-1].end <= now:
            raise Rejected(f"all of it is past: it ends {told.points[-1].end:%Y-%m-%d %H:%M} UTC", told.id)
        most_kw = BELIEVABLE * self._site.grid.import_limit_kw
        if any(abs(point.value) > most_kw for point in told.points):
            raise Rejected(f"more than {most_kw:g} kW is not believable on this connection", told.id)
        position = merged(self._position, _series(told.points), now) if told.points else None
        points = () if position is None else _points(position)
        state = encode(PositionState(points=points, by=told.by, reason=told.reason)) if points else b""
        until = points[-1].end if points else None
        said = f"{len(told.points)} steps are committed" if points else "nothing is committed any more"
        result = OverrideResult(id=told.id, status="accepted", until=until, reason=said)
        self._journal.save_answer(result, at=now, facts={FACT: state})
        self._position, self._state = position, state
        return result


def _series(points: tuple[Step, ...]) -> Series:
    start, end = (as_datetime64([getattr(point, side) for point in points]) for side in ("start", "end"))
    return Series("the committed position", "kw", start, end, np.array([point.value for point in points], float))


def _points(position: Series) -> tuple[Step, ...]:
    start, end = ([at.astype(datetime).replace(tzinfo=UTC) for at in side] for side in (position.start, position.end))
    return tuple(Step(start=a, end=b, value=kw) for a, b, kw in zip(start, end, position.value.tolist(), strict=True))
