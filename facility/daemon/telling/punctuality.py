"""Punctuality: a cycle that takes longer than a cycle, or does not begin, is an alarm, and is not made up for.

It stands until a cycle is concluded in less time than a cycle has. The last plan is held meanwhile, then fallback caps.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from facility.daemon.telling.alarms import Alarms
from facility.site import Site

MISSED: Final = "cycle-missed"
LATE: Final = 2
"""How many cycles may pass without one that begins: an override may have had one begin just after the clock's last."""


class Punctuality:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site, alarms: Alarms, now: datetime) -> None:
        self._alarms, self._every = alarms, timedelta(seconds=site.control.cycle_s)
        self._begun_at, self._under_way = now, False

    def begins(self, now: datetime) -> None:
        """A cycle begins."""
        self._begun_at, self._under_way = now, True

    def concludes(self, now: datetime) -> None:
        """The cycle is over."""
        self._under_way = False
        if timedelta(0) <= now - self._begun_at < self._every:
            self._alarms.clear(MISSED, now)

    def missed(self, why: str, now: datetime) -> None:
        """Somebody knows of a cycle that did not begin."""
        remedy = "see what the machine is busy with; a shorter horizon, a longer control.cycle_s or a smaller control.solver_budget_s helps"
        self._alarms.stand(MISSED, why, now, place="cycle", remedy=remedy)

    def look(self, now: datetime) -> None:
        """See whether a cycle takes too long, or none began."""
        since = now - self._begun_at
        if since < timedelta(0):
            self._begun_at = now
        elif self._under_way and since >= self._every:
            self.missed(f"a plan is being made since {self._begun_at:%H:%M:%S} UTC, longer than a cycle of {self._every.total_seconds():g} s", now)
        elif since >= LATE * self._every:
            self.missed(f"no cycle began since {self._begun_at:%H:%M:%S} UTC", now)
