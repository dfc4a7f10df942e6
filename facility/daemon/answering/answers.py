"""Answers: what every command of a person has in common - it is answered, always, noted in the account, and refused where it looks like
an attack.

A command that arrives retained raises an alarm until the broker holds it no more. One that comes when its time is over, new or sent
again, raises one for a while: somebody replays it, or a clock is wrong. An answer goes to the fixed result topic and to
the response topic of MQTT 5, unless that lies in the site's own tree, where it could pass for an order. Where the site asks for
signatures, a command that its sender did not sign, for this topic and just now, is none (`facility.bus.signing`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from facility.bus.interface import Bus, Message, check_topic
from facility.bus.messages import OverrideResult, decode, encode
from facility.bus.messages.codec import Command
from facility.bus.signing import check, read_keys
from facility.daemon.recording.account import Account
from facility.daemon.tally import Tally
from facility.daemon.telling.alarms import Alarms
from facility.journal.entry import OURSELVES, Entry, Sort
from facility.site import Site

C = TypeVar("C", bound=Command)

ACTS: Final = frozenset({"accepted", "clamped", "cleared"})
"""The answers after which something acts, or acts no more."""
RETAINED: Final = "retained-command"
OLD: Final = "old-command"
OLD_TOLD: Final = timedelta(minutes=10)
"""How long the alarm of an old command stands after the last one came."""


class Answers:
    """To be used under the daemon's lock. Raises InputError where signatures are required and the operators' keys cannot be read."""

    def __init__(self, site: Site, bus: Bus, alarms: Alarms, account: Account, tally: Tally | None = None) -> None:
        self._own = f"{site.bus.root}/{site.id}/"
        self._bus, self._alarms, self._account, self._tally = bus, alarms, account, tally or Tally()
        self._retained: set[str] = set()
        self._old_at: datetime | None = None
        keys = site.bus.operator_keys_file if site.bus.signatures == "required" else None
        self._keys = None if keys is None else read_keys(Path(keys))

    def read(self, message: Message, kind: type[C], now: datetime) -> C:
        """Decode a command and, where the site asks for it, prove who sent it. Raises Rejected."""
        command = decode(message.payload, kind)
        if self._keys is not None:
            check(self._keys, message.topic, message.payload, command, now)
        return command

    def keep_up(self, now: datetime) -> None:
        """Take the alarm of old commands back when none has come for a while."""
        if self._old_at is not None and now - self._old_at >= OLD_TOLD:
            self._old_at = None
            self._alarms.clear(OLD, now)

    def watch(self, message: Message, now: datetime) -> None:
        """Raise the alarm of a retained command; clear it when every topic that had one is emptied."""
        if message.retain and message.payload:
            self._retained.add(message.topic)
            cause = "a command arrived retained: whoever published it, everyone who connects would get it again"
            remedy = "delete the retained message (publish an empty one, retained) and see who may publish there"
            self._alarms.stand(RETAINED, cause, now, place=message.topic, remedy=remedy)
        elif not message.payload and message.topic in self._retained:
            self._retained.discard(message.topic)
            if not self._retained:
                self._alarms.clear(RETAINED, now)

    def give(
        self,
        sort: Sort,
        action: str,
        target: str,
        topic: str,
        result: OverrideResult,
        now: datetime,
        *,
        to: Message,
        show: Callable[[], None],
        by: str = "",
        reason: str = "",
    ) -> bool:
        """Answer the command `to`, `by` whom it was read, on `topic`; True where something acts, or acts no more, because of it.

        Then `show` shows that before the answer goes out: who hears it finds it on the broker, also where we die with the answer.
        """
        acts = result.status in ACTS
        self._tally.answered[sort, result.status] += 1
        if result.status == "expired" or (result.status == "duplicate" and result.until is not None and result.until <= now):
            self._came_late(to, result, now)
        signer = by if by and self._keys is not None else None
        entry = Entry(now, sort, action, target, result.reason, by, reason, result.status, result.id, signer)
        self._account.note(entry, to_disk=acts)
        if acts:
            show()
        self.reply(topic, encode(result), to=to)
        return acts

    def reply(self, topic: str, payload: bytes, *, to: Message) -> None:
        """Say something on the fixed topic of answers to `to`, and where MQTT 5 asks for it; noted nowhere."""
        self._bus.publish(Message(topic, payload, qos=1))
        if to.response_topic is not None and self._may_answer(to.response_topic):
            self._bus.publish(Message(to.response_topic, payload, qos=1, correlation=to.correlation))

    def tell(self, sort: Sort, target: str, topic: str, notice: OverrideResult, now: datetime) -> None:
        """Tell what became of an earlier command: it expired, was superseded or cleared. Noted only then, so that a process that dies
        in between tells it again when it is back.
        """
        self._bus.publish(Message(topic, encode(notice), qos=1))
        self._account.note(Entry(now, sort, notice.status, target, notice.reason, OURSELVES, id=notice.id))

    def _came_late(self, message: Message, result: OverrideResult, now: datetime) -> None:
        self._old_at = now
        cause = f"the command {result.id} came when its time was over: {result.reason}"[:1000]
        remedy = "see who sent it and who else may publish there; if it was meant, set the sender's clock and give it a new id"
        self._alarms.stand(OLD, cause, now, place=message.topic, remedy=remedy)

    def _may_answer(self, topic: str) -> bool:
        try:
            check_topic(topic)
        except ValueError:
            return False
        return not topic.startswith((self._own, "$"))
