"""People: operators' commands are answered, and what is in force is shown. An empty payload is no command: it deletes a retained one."""

from __future__ import annotations

import logging
from datetime import datetime

from facility.bus.interface import Bus, Message
from facility.bus.messages import OverrideClear, OverrideResult, OverrideSet, OverrideState, Rejected, decode, encode
from facility.bus.topics import Topics
from facility.daemon.answering.answers import Answers
from facility.overrides.desk import OverrideDesk
from facility.overrides.rules import Limits
from facility.site import Site

log = logging.getLogger(__name__)


class People:
    """The operators' side of the bus; to be used under the daemon's lock."""

    def __init__(self, site: Site, bus: Bus, desk: OverrideDesk, answers: Answers) -> None:
        self._bus, self._desk, self._answers = bus, desk, answers
        self._topics = Topics(site.bus.root, site.id)
        self._active: dict[str, str] = {}

    def answer(self, name: str, target: str, message: Message, now: datetime, limits: Limits) -> bool:
        """Answer a command, `override_set` or `override_clear`; True where something acts, or acts no more, because of it."""
        self._answers.watch(message, now)
        if not message.payload:
            return False
        request: OverrideSet | OverrideClear | None = None
        try:
            if name == "override_set":
                request = self._answers.read(message, OverrideSet, now)
                result = self._desk.set(target, request, now=now, retained=message.retain, limits=limits)
            else:
                request = self._answers.read(message, OverrideClear, now)
                result = self._desk.clear(target, request, now, retained=message.retain)
        except Rejected as rejected:
            result = OverrideResult(id=rejected.id, status="rejected", reason=rejected.reason[:1000])
        by, reason = (request.by, request.reason) if request is not None else ("", "")
        action = name.removeprefix("override_")
        topic = self._topics.override(target, "result")

        def show() -> None:
            self._follow(now, target)

        return self._answers.give("override", action, target, topic, result, now, to=message, show=show, by=by, reason=reason)

    def begin(self, now: datetime) -> bool:
        """As `keep_up`, and tell of ends of which an earlier process may have told nobody."""
        self._desk.recall(now)
        return self.keep_up(now)

    def keep_up(self, now: datetime) -> bool:
        """Tell what ended; True where what is in force changed since the last call, because something began or ended."""
        self._answers.keep_up(now)
        self._desk.expire(now)
        for target, notice in self._desk.notices():
            log.info("override %s: %s", notice.id, notice.reason)
            self._show(target, now)
            self._answers.tell("override", target, self._topics.override(target, "result"), notice, now)
        return self._follow(now)

    def correct(self, target: str, message: Message, now: datetime) -> tuple[str, ...]:
        """Answer what the broker remembers of a target, from another time, with the truth; the ids of overrides that stood and were lost."""
        if not message.retain or not message.payload:
            return ()
        lost = self._lost(message.payload)
        if lost or target not in self._active.values():
            self._show(target, now)
        for override in lost:
            self._answers.tell("override", target, self._topics.override(target, "result"), _lost(override), now)
        return lost

    def _lost(self, payload: bytes) -> tuple[str, ...]:
        try:
            told = decode(payload, OverrideState)
        except Rejected:
            return ()
        return tuple(it.id for it in told.overrides if not self._desk.knows(it.id))

    def republish(self, now: datetime) -> None:
        """Say again what is in force: the broker is a cable, not a memory."""
        for target in dict.fromkeys(self._active.values()):
            self._show(target, now)

    def _follow(self, now: datetime, *targets: str) -> bool:
        """Show targets, and all others on which something began or ended since the last call; True where anything did."""
        before, self._active = self._active, self._in_force(now)
        changed = before.keys() ^ self._active.keys()
        others = (target for override, target in (before | self._active).items() if override in changed)
        for target in dict.fromkeys((*targets, *others)):
            self._show(target, now)
        return bool(changed)

    def _in_force(self, now: datetime) -> dict[str, str]:
        return {proposal.id: proposal.target for proposal in self._desk.active(now)}

    def _show(self, target: str, now: datetime) -> None:
        state = self._desk.state(target, now)
        payload = b"" if state is None else encode(state)
        self._bus.publish(Message(self._topics.override(target, "state"), payload, qos=1, retain=True))


def _lost(override: str) -> OverrideResult:
    """What is told of an override that stood and is in no journal any more."""
    return OverrideResult(id=override, status="cleared", reason="the journal that held it was lost, so it acts no more; set it again if it should")
