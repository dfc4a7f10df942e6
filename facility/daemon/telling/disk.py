"""Disk: a journal that cannot be written stops nothing but what must be durable, is an alarm, and ends by itself.

| while it cannot be written          |                                                                       |
|-------------------------------------|-----------------------------------------------------------------------|
| plans, cuts, fallback               | go on and are sent; numbers of orders go on without the disk          |
| overrides, rentals, positions       | are refused, with the reason: what is acknowledged is durable         |
| what ends                           | ends                                                                  |
| the account, cycles, what was sent  | waits, so much of it as is kept, and is written once there is room    |
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime
from typing import Final

from facility.clock import Clock
from facility.daemon.recording.account import Account
from facility.daemon.recording.logbook import Logbook
from facility.daemon.telling.alarms import Alarms
from facility.journal.journal import Journal
from facility.journal.store import StoreFault

ALARM: Final = "journal"
LOST: Final = "journal-lost"
AGAIN_S: Final = 1.0
"""How often it is tried whether the journal can be written again."""


class Disk:
    """To be used under the daemon's lock."""

    def __init__(self, journal: Journal, clock: Clock, alarms: Alarms, account: Account, book: Logbook) -> None:
        self._journal, self._clock, self._alarms, self._account, self._book = journal, clock, alarms, account, book
        self._tried_s = clock.elapsed_s()

    def look(self, now: datetime) -> None:
        """See whether the journal can be written; where it can again, write what waits."""
        if not self._journal.trouble:
            return
        cause = f"the journal cannot be written, so no command is taken: {self._journal.trouble}"
        remedy = "give its disk room, or make it writable; what waits is written then"
        self._alarms.stand(ALARM, cause, now, place="journal", remedy=remedy)
        if self._clock.elapsed_s() - self._tried_s >= AGAIN_S:
            self._tried_s = self._clock.elapsed_s()
            if self._journal.probe():
                self._account.retry()
                self._book.write(now)
                self._alarms.clear(ALARM, now)

    def tell_lost(self, overrides: Collection[str], now: datetime) -> None:
        """Raise an alarm where a journal was damaged, or `overrides` are in none: what stood in it acts no more."""
        aside = self._journal.put_aside
        if aside is None and not overrides:
            return
        what = f"the journal was damaged and lies at {aside}" if aside else "the journal does not know what the broker remembers"
        named = f", such as {', '.join(overrides)}" if overrides else ""
        remedy = "set again what should stand, or stop the service and restore a copy (facility restore), then start it again"
        self._alarms.stand(LOST, f"{what}: overrides and rentals that stood act no more{named}", now, place="journal", remedy=remedy)

    def remember(self, facts: Callable[[], None]) -> None:
        """Write down what a restart should know, where that can be; it is tried again soon anyhow."""
        with suppress(StoreFault):
            facts()
