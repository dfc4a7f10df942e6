"""Alarms: what a person must know stands retained on the bus, one alarm for each cause, until its cause is gone.

| so that                    | what is done                                                                                                   |
|----------------------------|----------------------------------------------------------------------------------------------------------------|
| none chatters              | one that comes back soon after its end is held (`facility.alarms.standing`)                                    |
| a person can read them all | of those that come in ten minutes only so many are told, room is kept for the plant's; `more-alarms` stands for |
|                            | all others, each of which is told when there is room and it still stands                                      |
| they can be put aside      | one that is shelved says so (`facility.alarms.shelves`), and stands as before                                  |

On-delays are for whom sees the cause: sensors have theirs in `facility.daemon.telling.watch`. An alarm that becomes graver is told again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from facility.alarms.shelves import MOST, PLANT_MOST, Shelf
from facility.alarms.standing import CHATTERS, GRAVITY, WINDOW, Budget, Severity, Standing, hold_of, within
from facility.bus.interface import Bus, Message
from facility.bus.messages import Alarm, Shelved, encode
from facility.bus.topics import BY_NAME, Topics
from facility.daemon.guard import Warned
from facility.daemon.recording.account import Account
from facility.daemon.tally import Tally
from facility.journal.entry import Entry
from facility.site import Site

log = logging.getLogger(__name__)

HISTORY: Final = "history"
MORE: Final = "more-alarms"
RETOLD: Final = timedelta(seconds=10)
"""How often the count of an alarm is told, at most."""
NAMED: Final = 20
MOST_REMEMBERED: Final = 1000
"""Alarms that are over and whose end is remembered."""


class Alarms:
    """The alarms of this process; to be used under the daemon's lock. `shelf_of` tells how an alarm is shelved."""

    def __init__(
        self,
        site: Site,
        bus: Bus,
        account: Account,
        shelf_of: Callable[[str], Shelf | None] = lambda _alarm: None,
        tally: Tally | None = None,
    ) -> None:
        self._bus, self._topics, self._account, self._shelf_of = bus, Topics(site.bus.root, site.id), account, shelf_of
        self._feed, self._tally = site.grid.feed, tally or Tally()
        self._standing: dict[str, Standing] = {}
        self._ended: dict[str, tuple[datetime, timedelta]] = {}
        self._budget = Budget()
        self._guarded: set[str] = set()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the alarms that stand and were told."""
        return tuple(name for name, standing in self._standing.items() if standing.told_at is not None)

    @property
    def severities(self) -> Mapping[str, int]:
        """How many alarms stand, told one by one or not, by severity."""
        return Counter(standing.alarm.severity for standing in self._standing.values())

    @property
    def known(self) -> frozenset[str]:
        """Ids of the alarms that stand, or stood since this process began."""
        return frozenset(self._standing) | self._ended.keys()

    def longest_shelf(self, alarm: str) -> timedelta:
        """Tell how long an alarm may lie shelved."""
        standing = self._standing.get(alarm)
        return PLANT_MOST if standing is not None and standing.plant else MOST

    def stand(
        self, alarm: str, cause: str, now: datetime, *, place: str, remedy: str, severity: Severity = "alarm", plant: bool = False
    ) -> None:
        """Raise an alarm; where it stands already, it stays as it was told, unless it is graver now. `plant`: it is about the plant's safety."""
        standing = self._standing.get(alarm)
        told = Alarm(id=alarm, severity=severity, cause=cause[:1000], since=now, place=place[:128], remedy=remedy[:1000])
        if standing is None:
            self._raise(Standing(told, plant, hold=hold_of(self._ended.get(alarm), now)), now)
            return
        if standing.gone_at is not None:
            standing = self._standing[alarm] = standing.came_again(now)
            if standing.alarm.count == CHATTERS:
                self._note(now, "chatters", standing)
        if (graver := standing.graver(told, plant=plant)) is not None:
            self._standing[alarm] = graver
            self._note(now, "graver", graver)
            self.retell(alarm, now)

    def clear(self, alarm: str, now: datetime) -> None:
        """Take an alarm back, where it stands; one that is held goes when its time is over."""
        standing = self._standing.get(alarm)
        if standing is None or standing.gone_at is not None:
            return
        if standing.hold and standing.told_at is not None:
            self._standing[alarm] = replace(standing, gone_at=now)
        else:
            self._end(standing, now)

    def look(self, now: datetime) -> None:
        """End what was held long enough, tell what there is room for now, and what changed."""
        for standing in tuple(self._standing.values()):
            if standing.gone_at is not None and not within(standing.gone_at, now, standing.hold):
                self._end(standing, now)
            elif standing.changed and (standing.told_at is None or not within(standing.told_at, now, RETOLD)):
                self.retell(standing.alarm.id, now)
        if MORE in self._standing or len(self._standing) > len(self.ids):
            self._gather(now)

    def retell(self, alarm: str, now: datetime) -> None:
        """Tell an alarm that stands and was told before as it is now, such as on its shelf."""
        standing = self._standing.get(alarm)
        if standing is not None and standing.told_at is not None:
            self._standing[alarm] = replace(standing, told_at=now, changed=False)
            self._publish(standing.alarm)

    def follow_cap(self, pool: str, cause: str | None, now: datetime, *, place: str) -> None:
        """Raise the alarm of a pool that enforces more than was sent; clear it when there is no cause any more."""
        alarm = f"cap-{pool}"[:64]
        if cause is None:
            self.clear(alarm, now)
        else:
            remedy = "see whether the pool's agent can set caps: until it reports what was sent, its higher cap is reckoned with"
            self.stand(alarm, cause, now, place=place, remedy=remedy, plant=True)

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
            self.stand(alarm, it.cause, now, place=it.place, remedy=it.remedy, plant=True)
        for alarm in self._guarded - warned.keys():
            self.clear(alarm, now)
        self._guarded = set(warned)

    def follow_history(self, cause: str, now: datetime) -> None:
        """Raise the alarm of a history that cannot be written; clear it when there is no cause any more."""
        if cause:
            self.stand(HISTORY, cause, now, place="history", remedy="give it room, or mend its database; nothing else depends on it")
        else:
            self.clear(HISTORY, now)

    def correct(self, alarm: str, message: Message) -> None:
        """Take an alarm off the broker that an earlier process raised; it comes again where its cause is still there."""
        if message.retain and message.payload and alarm not in self.ids:
            self._bus.publish(Message(message.topic, b"", qos=1, retain=True))

    def republish(self) -> None:
        """Tell all that stand again."""
        for alarm in self.ids:
            self._publish(self._standing[alarm].alarm)

    def _raise(self, standing: Standing, now: datetime) -> None:
        """Let an alarm stand, and tell it where there is room."""
        alarm = standing.alarm
        log.warning("%s: %s", alarm.place, alarm.cause)
        self._standing[alarm.id] = standing
        if self._budget.allows(now, plant=standing.plant):
            self._tell(standing, now)
        else:
            self._note(now, "gathered", standing)
            self._gather(now)

    def _tell(self, standing: Standing, now: datetime) -> None:
        """Tell an alarm for the first time."""
        self._budget.spend(now)
        self._tally.raised[standing.alarm.severity] += 1
        self._standing[standing.alarm.id] = replace(standing, told_at=now)
        self._publish(standing.alarm)
        self._note(now, "raised", standing)

    def _gather(self, now: datetime) -> None:
        """Tell what there is room for, the gravest first, and let `more-alarms` stand for what is left."""
        left = [standing for standing in self._standing.values() if standing.told_at is None]
        for standing in sorted(left, key=lambda one: one.order):
            if self._budget.allows(now, plant=standing.plant):
                self._tell(standing, now)
        left = [standing for standing in self._standing.values() if standing.told_at is None]
        stood = self._standing.get(MORE)
        if left:
            names = ", ".join(one.alarm.id for one in left[:NAMED]) + (", ..." if len(left) > NAMED else "")
            cause = f"{len(left)} more alarms stand than are told one by one: {names}"[:1000]
            severity = max((one.alarm.severity for one in left), key=lambda severity: GRAVITY[severity])
            if stood is None:
                remedy = "look for what they have in common; `facility alarms SITE history` lists every one"
                self._tell(Standing(Alarm(id=MORE, severity=severity, cause=cause, since=now, place="site", remedy=remedy), plant=True), now)
            elif stood.alarm.cause != cause:
                self._standing[MORE] = replace(stood, alarm=msgspec.structs.replace(stood.alarm, cause=cause, severity=severity), changed=True)
        elif stood is not None and not within(stood.alarm.since, now, WINDOW):
            self._end(stood, now)

    def _end(self, standing: Standing, now: datetime) -> None:
        alarm = standing.alarm
        del self._standing[alarm.id]
        self._ended.pop(alarm.id, None)
        self._ended[alarm.id] = (standing.gone_at or now, standing.hold)
        if len(self._ended) > MOST_REMEMBERED:
            del self._ended[next(iter(self._ended))]
        log.info("the alarm %s is over", alarm.id)
        if standing.told_at is not None:
            self._bus.publish(Message(self._topics.alarm(alarm.id), b"", qos=1, retain=True))
        says = alarm.cause if alarm.count == 1 else f"{alarm.cause}; it came {alarm.count} times"
        self._account.note(Entry(now, "alarm", "over", alarm.id, says, result=alarm.severity))

    def _note(self, now: datetime, action: str, standing: Standing) -> None:
        alarm = standing.alarm
        self._account.note(Entry(now, "alarm", action, alarm.id, f"{alarm.place}: {alarm.cause}", result=alarm.severity))

    def _publish(self, alarm: Alarm) -> None:
        shelf = self._shelf_of(alarm.id)
        if shelf is not None:
            alarm = msgspec.structs.replace(alarm, shelved=Shelved(until=shelf.until, by=shelf.by, reason=shelf.reason))
        self._bus.publish(Message(self._topics.alarm(alarm.id), encode(alarm), qos=1, retain=True))

