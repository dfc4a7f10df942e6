"""People: operators' commands are answered, what is in force is shown, and what looks like an attack is told.

An empty payload is no command: it deletes a retained one.

A command that arrives retained is refused and raises an alarm until the broker holds it no more. An answer goes to the fixed
result topic and to the response topic of MQTT 5, unless that lies in the site's own tree, where it could pass for an order.
"""

from __future__ import annotations

import logging
from datetime import datetime

from facility.bus.interface import Bus, Message, check_topic
from facility.bus.messages import OverrideClear, OverrideResult, OverrideSet, Rejected, decode, encode
from facility.bus.topics import Topics
from facility.daemon.alarms import Alarms
from facility.overrides.desk import OverrideDesk
from facility.overrides.rules import Limits
from facility.site import Site

log = logging.getLogger(__name__)

ACTS = {"accepted", "clamped", "cleared"}
RETAINED = "retained-command"


class People:
    """The operators' side of the bus; to be used under the daemon's lock."""

    def __init__(self, site: Site, bus: Bus, desk: OverrideDesk, alarms: Alarms) -> None:
        self._site, self._bus, self._desk, self._alarms = site, bus, desk, alarms
        self._topics = Topics(site.bus.root, site.id)
        self._active: dict[str, str] = {}
        self._retained: set[str] = set()

    def answer(self, name: str, target: str, message: Message, now: datetime, limits: Limits) -> bool:
        """Answer a command, `override_set` or `override_clear`; True where something acts, or acts no more, because of it."""
        self._watch(message, now)
        if not message.payload:
            return False
        try:
            if name == "override_set":
                request = decode(message.payload, OverrideSet)
                result = self._desk.set(target, request, now=now, retained=message.retain, limits=limits)
            else:
                result = self._desk.clear(target, decode(message.payload, OverrideClear), now, retained=message.retain)
        except Rejected as rejected:
            result = OverrideResult(id=rejected.id, status="rejected", reason=rejected.reason[:1000])
        payload = encode(result)
        self._tell(target, payload)
        if message.response_topic is not None and self._may_answer(message.response_topic):
            self._bus.publish(Message(message.response_topic, payload, qos=1, correlation=message.correlation))
        if result.status not in ACTS:
            return False
        self._active = self._in_force(now)
        self._show(target, now)
        return True

    def keep_up(self, now: datetime) -> bool:
        """Tell what ended; True where what is in force changed since the last call, because something began or ended."""
        self._desk.expire(now)
        for target, notice in self._desk.notices():
            log.info("override %s: %s", notice.id, notice.reason)
            self._tell(target, encode(notice))
            self._show(target, now)
        before, self._active = self._active, self._in_force(now)
        changed = before.keys() ^ self._active.keys()
        for target in {(before | self._active)[override] for override in changed}:
            self._show(target, now)
        return bool(changed)

    def correct(self, target: str, message: Message, now: datetime) -> None:
        """Answer what the broker remembers of a target, from another time, with the truth."""
        if message.retain and message.payload and target not in self._active.values():
            self._show(target, now)

    def republish(self, now: datetime) -> None:
        """Say again what is in force: the broker is a cable, not a memory."""
        for target in set(self._active.values()):
            self._show(target, now)

    def _in_force(self, now: datetime) -> dict[str, str]:
        return {proposal.id: proposal.target for proposal in self._desk.active(now)}

    def _tell(self, target: str, payload: bytes) -> None:
        self._bus.publish(Message(self._topics.override(target, "result"), payload, qos=1))

    def _show(self, target: str, now: datetime) -> None:
        state = self._desk.state(target, now)
        payload = b"" if state is None else encode(state)
        self._bus.publish(Message(self._topics.override(target, "state"), payload, qos=1, retain=True))

    def _may_answer(self, topic: str) -> bool:
        own = f"{self._site.bus.root}/{self._site.id}/"
        try:
            check_topic(topic)
        except ValueError:
            return False
        return not topic.startswith((own, "$"))

    def _watch(self, message: Message, now: datetime) -> None:
        """Raise the alarm of a retained command; clear it when every topic that had one is emptied."""
        if message.retain and message.payload:
            self._retained.add(message.topic)
            cause = "a command arrived retained: whoever published it, everyone who connects would get it again"
            remedy = "delete the retained message (publish an empty one, retained) and see who may publish there"
            self._alarms.stand(RETAINED, cause, now, place=message.topic, remedy=remedy)
        elif not message.payload and message.topic in self._retained:
            self._retained.discard(message.topic)
            if not self._retained:
                self._alarms.clear(RETAINED)
