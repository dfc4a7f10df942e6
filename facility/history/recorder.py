"""The recorder: takes readings from the daemon and writes them in a thread of its own, many at a time.

Whoever hands readings over never waits. They are written at least every `PERIOD_S`, so that a process that dies loses no more than the
last second. Where the database fails, what came is kept and tried again; once `MOST_WAITING` wait, what comes then is dropped and
counted. `trouble` says what is wrong, for an alarm.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from facility.clock import Clock, milliseconds
from facility.errors import InputError
from facility.history.retention import Retention
from facility.history.store import Flat, History
from facility.journal.store import StoreFault
from facility.site import Retention as Kept

log = logging.getLogger(__name__)

Note = Callable[[str, int, float | None, str], None]
"""Takes a reading: its point, when it was measured (ms since 1970), its value, the verdict on it."""

PERIOD_S: Final = 0.5
RETRY_S: Final = 1.0
CLOSING_S: Final = 5.0
"""How long the last write may take."""
BATCH: Final = 20_000
"""Readings that are worth a transaction before the period is over."""
MOST_AT_ONCE: Final = 50_000
MOST_WAITING: Final = 1_000_000
UPKEEP_SHARE: Final = 0.2
"""Share of its time that the thread spends on ageing the history."""
TOLD_S: Final = 60.0
"""How long after the last loss it is still told."""


class Nowhere:
    """A recorder that records nothing."""

    trouble = ""

    def note(self, point: str, at_ms: int, value: float | None, verdict: str) -> None:
        """Forget a reading."""

    def keep(self, kept: Kept) -> None:
        """Do nothing."""

    def hand_over(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Recorder:
    """`note` and `hand_over` are for the daemon, under its lock; `close` writes what is left."""

    def __init__(self, history: History, kept: Kept, clock: Clock, most_waiting: int = MOST_WAITING) -> None:
        self._history, self._clock, self._most = history, clock, 4 * most_waiting
        self._retention = Retention(history, kept)
        self._readings: Flat = []
        self._mutex = threading.Lock()
        self._queue: deque[Flat] = deque()
        self._waiting = 0
        self._wake, self._over = threading.Event(), threading.Event()
        self._fault = ""
        self._lost_s = -TOLD_S
        self.written = self.dropped = 0
        """Readings so far."""
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def keep(self, kept: Kept) -> None:
        """Keep readings for other times from now on."""
        self._retention = Retention(self._history, kept)

    @property
    def trouble(self) -> str:
        """What keeps readings from being recorded; empty where nothing does."""
        if self._fault:
            return self._fault
        return f"it cannot keep up: {self.dropped} readings were not recorded" if time.monotonic() - self._lost_s < TOLD_S else ""

    def note(self, point: str, at_ms: int, value: float | None, verdict: str) -> None:
        """Take one reading, in its sensor's unit where that is known; `hand_over` passes it on."""
        self._readings += (at_ms, point, value, verdict)

    def hand_over(self) -> None:
        """Pass on what was noted since the last time."""
        readings = self._readings
        if not readings:
            return
        self._readings = []
        with self._mutex:
            if self._waiting + len(readings) > self._most:
                self.dropped += len(readings) // 4
                self._lost_s = time.monotonic()
                return
            self._queue.append(readings)
            self._waiting += len(readings)
            enough = self._waiting >= 4 * BATCH
        if enough:
            self._wake.set()

    def close(self) -> None:
        """Write what is left, once, and let another writer in; a database that does not answer is left as it is."""
        self.hand_over()
        self._over.set()
        self._wake.set()
        self._thread.join(CLOSING_S)
        if self._thread.is_alive():
            log.warning("history: its database does not answer; %d readings are lost", self._waiting // 4)
        else:
            self._history.close()

    def _run(self) -> None:
        over = False
        while not over:
            self._wake.wait(PERIOD_S)
            over = self._over.is_set()
            self._wake.clear()
            try:
                while self._write_some():
                    pass
                self._tell("")
                self._upkeep()
            except (StoreFault, InputError) as fault:
                self._fail(fault)
                self._over.wait(RETRY_S)
            except Exception as fault:
                log.exception("the history failed")
                self._fail(fault)
                self._over.wait(RETRY_S)
        with self._mutex:
            self.dropped += self._waiting // 4

    def _write_some(self) -> bool:
        """Write what waits, as far as it is one transaction's worth; False where nothing does."""
        with self._mutex:
            parts: list[Flat] = []
            rows = 0
            for part in self._queue:
                if parts and rows + len(part) > 4 * MOST_AT_ONCE:
                    break
                parts.append(part)
                rows += len(part)
        if not parts:
            return False
        self._history.write(parts[0] if len(parts) == 1 else [entry for part in parts for entry in part])
        with self._mutex:
            for _ in parts:
                self._queue.popleft()
            self._waiting -= rows
        self.written += rows // 4
        return True

    def _upkeep(self) -> None:
        """Age the history, a slice at a time, while nothing presses."""
        until_s = time.monotonic() + UPKEEP_SHARE * PERIOD_S
        now_ms = milliseconds(self._clock.now())
        while time.monotonic() < until_s and not self._wake.is_set() and self._retention.slice(now_ms):
            pass

    def _fail(self, fault: Exception) -> None:
        self._tell(str(fault))
        if isinstance(fault, StoreFault) and fault.damaged:
            try:
                self._history.begin_anew()
            except StoreFault as error:
                self._tell(str(error))
            else:
                log.warning("the history was damaged and lies at %s now; a new one begins", self._history.put_aside)

    def _tell(self, fault: str) -> None:
        if bool(fault) != bool(self._fault):
            log.log(logging.WARNING if fault else logging.INFO, "history: %s", fault or "recorded again")
        self._fault = fault
