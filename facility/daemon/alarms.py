"""Alarms: what a person must know stands retained on the bus until its cause is gone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from facility.bus.interface import Bus, Message
from facility.bus.messages import Alarm, encode
from facility.bus.topics import BY_NAME, Topics
from facility.daemon.account import Account
from facility.daemon.guard import Warned
from facility.journal.entry import Entry
from facility.site import Site

log = logging.getLogger(__name__)

HISTORY = "history"


class Alarms:
    """The alarms of this process; to be used under the daemon's lock."""

    def __init__(self, site: Site, bus: Bus, account: Account) -> None:
        self._bus, self._topics, self._account = bus, Topics(site.bus.root, site.id), account
        self._feed = site.grid.feed
        self._standing: dict[str, Alarm] = {}
        self._guarded: set[str] = set()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the alarms that stand."""
        return tuple(self._standing)

    def stand(
        self, alarm: str, cause: str, now: datetime, *, place: str, remedy: str, severity: Literal["warning", "alarm"] = "alarm"
    ) -> None:
        """Raise an alarm; where it stands already, it stays as it was told."""
        if alarm not in self._standing:
            log.warning("%s: %s", place, cause)
            self._standing[alarm] = Alarm(
                id=alarm, severity=severity, cause=cause[:1000], since=now, place=place[:128], remedy=remedy
            )
            self._tell(self._standing[alarm])
            self._account.note(Entry(now, "alarm", "raised", alarm, f"{place}: {cause}", result=severity))

    def follow_cap(self, pool: str, cause: str | None, now: datetime, *, place: str) -> None:
        """Raise the alarm of a pool that enforces more than was sent; clear it when there is no cause any more."""
        alarm = f"cap-{pool}"[:64]
        if cause is None:
            self.clear(alarm, now)
        else:
            remedy = "see whether the pool's agent can set caps: until it reports what was sent, its higher cap is reckoned with"
            self.stand(alarm, cause, now, place=place, remedy=remedy)

    def follow_signals(self, amiss: Mapping[str, str], now: datetime) -> None:
        """Raise an alarm for each signal that something is wrong with, by the name of its topic; clear those of all others."""
        ids = {name: f"signal-{name.partition('_')[2]}" for name in amiss}
        for name, cause in amiss.items():
            remedy = "see who sends it: times, gaps, unit and range; an empty message withdraws it"
            self.stand(ids[name], cause, now, place=BY_NAME[name].pattern.format(feed=self._feed), remedy=remedy, severity="warning")
        for alarm in [alarm for alarm in self._standing if alarm.startswith("signal-")]:
            if alarm not in ids.values():
                self.clear(alarm, now)

    def follow_guard(self, warned: Mapping[str, Warned], now: datetime) -> None:
        """Raise an alarm for each that the guard warns of; clear those of its alarms that it does not."""
        for alarm, it in warned.items():
            self.stand(alarm, it.cause, now, place=it.place, remedy=it.remedy)
        for alarm in self._guarded - warned.keys():
            self.clear(alarm, now)
        self._guarded = set(warned)

    def follow_history(self, cause: str, now: datetime) -> None:
        """Raise the alarm of a history that cannot be written; clear it when there is no cause any more."""
        if cause:
            self.stand(HISTORY, cause, now, place="history", remedy="give it room, or mend its database; nothing else depends on it")
        else:
            self.clear(HISTORY, now)

    def clear(self, alarm: str, now: datetime) -> None:
        """Take an alarm back, where it stands."""
        stood = self._standing.pop(alarm, None)
        if stood is not None:
            log.info("the alarm %s is over", alarm)
            self._bus.publish(Message(self._topics.alarm(alarm), b"", qos=1, retain=True))
            self._account.note(Entry(now, "alarm", "over", alarm, stood.cause, result=stood.severity))

    def correct(self, alarm: str, message: Message) -> None:
        """Take an alarm off the broker that an earlier process raised; it comes again where its cause is still there."""
        if message.retain and message.payload and alarm not in self._standing:
            self._bus.publish(Message(message.topic, b"", qos=1, retain=True))

    def republish(self) -> None:
        """Tell all that stand again."""
        for alarm in self._standing.values():
            self._tell(alarm)

    def _tell(self, alarm: Alarm) -> None:
        self._bus.publish(Message(self._topics.alarm(alarm.id), encode(alarm), qos=1, retain=True))
