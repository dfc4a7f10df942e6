"""An alarm that stands, and how one that comes and goes is held. Pure.

An alarm that comes back within `AGAIN` of its end is told anew, and from then on held: it ends when its cause has been gone for `HOLD`,
twice as long each time it comes, up to `LONGEST_HOLD`. What comes back meanwhile is the same alarm, and counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from facility.bus.messages import Alarm

Severity = Literal["warning", "alarm", "critical"]

GRAVITY: Final[Mapping[str, int]] = {"warning": 0, "alarm": 1, "critical": 2}
AGAIN: Final = timedelta(minutes=10)
HOLD: Final = timedelta(minutes=1)
LONGEST_HOLD: Final = timedelta(minutes=16)
CHATTERS: Final = 3
"""How often a held alarm must have come to count as one that chatters."""
WINDOW: Final = timedelta(minutes=10)
MOST: Final = 7
MOST_PLANT: Final = 9
"""Of the ten that a person can bear in `WINDOW` (`facility.alarms.rates`) the last is for the one that stands for all others."""


def within(before: datetime, now: datetime, length: timedelta) -> bool:
    """Whether `now` is less than `length` after an instant; a clock that was set back ends every wait."""
    return timedelta(0) <= now - before < length


@dataclass(frozen=True)
class Standing:
    """An alarm as it is told, or would be; `plant`: it is about the plant's safety.

    `told_at` is when it was told last, None: not yet. `gone_at` is since when its cause is gone while it is held, for `hold`; `changed`
    says that it is not any more as it was told.
    """

    alarm: Alarm
    plant: bool
    told_at: datetime | None = None
    gone_at: datetime | None = None
    hold: timedelta = timedelta(0)
    changed: bool = False

    @property
    def order(self) -> tuple[bool, int, datetime]:
        """Sort several, the one that a person must know of first."""
        return not self.plant, -GRAVITY[self.alarm.severity], self.alarm.since

    def came_again(self, now: datetime) -> Standing:
        """Its cause is back while it was held."""
        alarm = msgspec.structs.replace(self.alarm, count=self.alarm.count + 1, last_at=now)
        return replace(self, alarm=alarm, gone_at=None, hold=min(2 * self.hold, LONGEST_HOLD), changed=True)

    def graver(self, told: Alarm, *, plant: bool) -> Standing | None:
        """It is told as something graver; None where that is no graver."""
        if GRAVITY[told.severity] <= GRAVITY[self.alarm.severity] and (self.plant or not plant):
            return None
        severity = max(told.severity, self.alarm.severity, key=lambda severity: GRAVITY[severity])
        alarm = msgspec.structs.replace(self.alarm, severity=severity, cause=told.cause, place=told.place, remedy=told.remedy)
        return replace(self, alarm=alarm, plant=plant or self.plant)


@dataclass
class Budget:
    """The alarms that were told within `WINDOW`."""

    told: deque[datetime] = field(default_factory=deque)

    def spend(self, now: datetime) -> None:
        """One more is told."""
        self.told.append(now)

    def allows(self, now: datetime, *, plant: bool) -> bool:
        """Whether one more may be told; some room is kept for the plant's."""
        while self.told and not within(self.told[0], now, WINDOW):
            self.told.popleft()
        return len(self.told) < (MOST_PLANT if plant else MOST)


def hold_of(ended: tuple[datetime, timedelta] | None, now: datetime) -> timedelta:
    """How long an alarm that comes is to be held, where it `ended` before, and after which hold; zero: not at all."""
    if ended is None or not within(ended[0], now, max(AGAIN, ended[1])):
        return timedelta(0)
    return min(max(2 * ended[1], HOLD), LONGEST_HOLD)
