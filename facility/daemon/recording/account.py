"""Account: who changed what, when, why and what came of it, written into the journal as it happens.

A disk that fails stops nothing: what could not be written is kept, and tried again with whatever comes next. Of refused commands only so
many are written in a minute, and then how many more there were, so that who floods the bus does not fill the disk.
"""

from __future__ import annotations

import logging
from collections import deque
from datetime import datetime, timedelta
from typing import Final

from facility.journal.entry import Entry
from facility.journal.journal import Journal
from facility.journal.store import StoreFault

log = logging.getLogger(__name__)

MOST_KEPT: Final = 10_000
"""Entries that wait for a disk that fails; beyond them the oldest are lost."""
MOST_REFUSED: Final = 100
"""Refused commands that are written down in `MINUTE`."""
MINUTE: Final = timedelta(minutes=1)
REFUSED: Final = frozenset({"rejected", "duplicate", "expired"})


class Account:
    """To be used under the daemon's lock."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: deque[Entry] = deque(maxlen=MOST_KEPT)
        self._since: datetime | None = None
        self._refused = 0

    def note(self, entry: Entry, *, to_disk: bool = False) -> None:
        """Write an entry down; with `to_disk` it is on the disk when this returns. Never raises for a disk that fails."""
        if self._since is None or not timedelta(0) <= entry.at - self._since < MINUTE:
            if self._refused > MOST_REFUSED:
                says = f"{self._refused - MOST_REFUSED} more commands were refused than are written down"
                self._write(Entry(entry.at, "command", "set", "site", says, result="rejected"), to_disk=False)
            self._since, self._refused = entry.at, 0
        self._refused += entry.result in REFUSED
        if entry.result not in REFUSED or self._refused <= MOST_REFUSED:
            self._write(entry, to_disk=to_disk)

    def retry(self) -> None:
        """Write what waits, once the disk is sound again."""
        try:
            while self._waiting:
                self._journal.note(self._waiting[0])
                self._waiting.popleft()
        except StoreFault as fault:
            log.debug("the account cannot be written yet: %s", fault)

    def _write(self, entry: Entry, *, to_disk: bool) -> None:
        failed_before = bool(self._waiting)
        self._waiting.append(entry)
        try:
            while self._waiting:
                self._journal.note(self._waiting[0], to_disk=to_disk)
                self._waiting.popleft()
        except StoreFault as fault:
            if not failed_before:
                log.warning("the account cannot be written, its entries wait: %s", fault)
