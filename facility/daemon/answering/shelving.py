"""Shelving: operators put alarms aside for a while; answered as every command is, told in the alarm, over by itself.

An empty payload is no command: it deletes a retained one.
"""

from __future__ import annotations

import logging
from datetime import datetime
from functools import partial

from facility.alarms.shelves import Shelves
from facility.bus.interface import Message
from facility.bus.messages import AlarmShelve, AlarmUnshelve, OverrideResult, Rejected
from facility.bus.topics import Topics
from facility.daemon.answering.answers import Answers
from facility.daemon.telling.alarms import Alarms
from facility.site import Site

log = logging.getLogger(__name__)


class Shelving:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site, shelves: Shelves, alarms: Alarms, answers: Answers) -> None:
        self._shelves, self._alarms, self._answers = shelves, alarms, answers
        self._topics = Topics(site.bus.root, site.id)

    @property
    def shelved(self) -> tuple[str, ...]:
        """The ids of the alarms that are shelved, whether or not they stand."""
        return self._shelves.shelved

    def answer(self, name: str, alarm: str, message: Message, now: datetime) -> None:
        """Answer a command, `alarm_shelve` or `alarm_unshelve`."""
        self._answers.watch(message, now)
        if not message.payload:
            return
        request: AlarmShelve | AlarmUnshelve | None = None
        try:
            if name == "alarm_shelve":
                request = self._answers.read(message, AlarmShelve, now)
                result = self._shelves.shelve(alarm, request, now, known=self._alarms.known, retained=message.retain)
            else:
                request = self._answers.read(message, AlarmUnshelve, now)
                result = self._shelves.unshelve(alarm, request, now, retained=message.retain)
        except Rejected as rejected:
            result = OverrideResult(id=rejected.id, status="rejected", reason=rejected.reason[:1000])
        by, reason = (request.by, request.reason) if request is not None else ("", "")
        topic, action = self._topics.alarm(alarm, "result"), name.removeprefix("alarm_")
        show = partial(self._alarms.retell, alarm, now)
        self._answers.give("alarm", action, alarm, topic, result, now, to=message, show=show, by=by, reason=reason)

    def keep_up(self, now: datetime) -> None:
        """Bring back what has lain long enough, and tell it."""
        over = self._shelves.expire(now)
        for shelf in over:
            log.info("the alarm %s is back from its shelf", shelf.alarm)
            says = f"the alarm {shelf.alarm}, which {shelf.by} shelved, is back: {shelf.reason}"
            notice = OverrideResult(id=shelf.id, status="expired", reason=says[:1000])
            self._alarms.retell(shelf.alarm, now)
            self._answers.tell("alarm", shelf.alarm, self._topics.alarm(shelf.alarm, "result"), notice, now)
        if over:
            self._shelves.store()
