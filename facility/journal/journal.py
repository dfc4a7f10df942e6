"""The journal: what must survive a crash.

It holds the counters that order every command sent (epoch, seq), the overrides people gave and what they were answered, the
rentals that came, every cycle with what went in and what came out, every decision that was sent with what it was made from, the account
of who changed what, who had what by quarter of an hour, and a few small facts. The broker is only a cable: after a restart or a reconnect the
truth comes from here. Overrides, rentals, usage, counters and facts reach the disk before the call returns; cycles and sendings survive the
death of the process and may lose their last seconds with the power. Instants are stored as whole ms since 1970, UTC. Cycles, sendings, the
account and usage are chained
(`facility.journal.chain`).
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from facility.clock import Clock, SystemClock
from facility.journal.chain import CHAINED, Checked, check
from facility.journal.counters import Counters
from facility.journal.cycles import CycleRecord, Cycles, forget_cycles
from facility.journal.entries import Entries, forget_entries
from facility.journal.facts import Facts
from facility.journal.overrides import How, Overrides, forget_commands
from facility.journal.part import ms
from facility.journal.rentals import Rentals
from facility.journal.sendings import Sendings, forget_sendings
from facility.journal.store import Store
from facility.journal.tables import FINISHED, MIGRATIONS, TABLES, VERSION
from facility.journal.usages import Usages, forget_usage

__all__ = ["IDS_KEPT", "CycleRecord", "How", "Journal"]

IDS_KEPT: Final = timedelta(days=400)
"""How much longer than cycles an override's id is remembered, so that an old message cannot act again."""


class Journal(Counters, Overrides, Rentals, Sendings, Cycles, Entries, Usages, Facts):
    """An open journal; a context manager, safe to share between threads.

    `path` is made where it does not exist; its folder must exist. A second writer of the same file gets StoreBusyError;
    with `read_only` any process may look. A damaged file is put aside and a new one begun: `put_aside` then says where the
    old one lies (None otherwise), and the caller starts SAFE. Raises InputError for a file that cannot be used, and
    StoreFault later where the disk fails: then nothing more is written, and whoever writes is refused at once, until `probe` succeeds.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        options = {"read_only": read_only, "hasty": not read_only}
        super().__init__(Store(Path(path), TABLES, VERSION, MIGRATIONS, clock=clock, finished=FINISHED, **options), clock)

    @property
    def put_aside(self) -> Path | None:
        """Where a damaged predecessor lies."""
        return self._store.put_aside

    @property
    def ours(self) -> bool:
        """Whether this process is still the only writer."""
        return self._store.ours

    @property
    def trouble(self) -> str:
        """Why nothing can be written just now; empty where it can."""
        return self._store.trouble

    def probe(self) -> bool:
        """Whether it can be written again; to be asked now and then while it could not."""
        return self._store.probe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let another writer in."""
        self._store.close()

    def look(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection to read by, for which everything stays as it is now while the writer goes on. Raises StoreFault."""
        return self._store.look()

    def check(self) -> tuple[Checked, ...]:
        """Compute every chain anew, and say where each breaks first, if it does."""
        with self._store.look() as db:
            return tuple(check(db, table) for table in CHAINED)

    def prune(self, before: datetime, usage_before: datetime | None = None) -> None:
        """Forget cycles before an instant, much older entries, overrides and rentals with their ids, and usage before another one."""
        at, ids_at = ms(before), ms(before - IDS_KEPT)
        with self._store.write(to_disk=False) as db:
            forget_cycles(db, at)
            forget_sendings(db, at)
            forget_commands(db, at, ids_at)
            forget_entries(db, ids_at)
            if usage_before is not None:
                forget_usage(db, ms(usage_before))
