"""Account: who changed what, when, why and what came of it, written into the journal as it happens.

A disk that fails stops nothing: what could not be written is kept, and tried again with whatever comes next.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

from facility.journal.entry import Entry
from facility.journal.journal import Journal
from facility.journal.store import StoreFault

log = logging.getLogger(__name__)

MOST_KEPT: Final = 10_000
"""Entries that wait for a disk that fails; beyond them the oldest are lost."""


class Account:
    """To be used under the daemon's lock."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: deque[Entry] = deque(maxlen=MOST_KEPT)

    def note(self, entry: Entry, *, to_disk: bool = False) -> None:
        """Write an entry down; with `to_disk` it is on the disk when this returns. Never raises for a disk that fails."""
        failed_before = bool(self._waiting)
        self._waiting.append(entry)
        try:
            while self._waiting:
                self._journal.note(self._waiting[0], to_disk=to_disk)
                self._waiting.popleft()
        except StoreFault as fault:
            if not failed_before:
                log.warning("the account cannot be written, its entries wait: %s", fault)
