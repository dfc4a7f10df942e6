"""Watchdog: sees that the loop which reads and guards goes on, from a thread of its own.

    silent for `SLOW_S`    the stacks of all threads are logged, once; no plan is begun, for nobody holds it against the meter
               `DEAD_S`    nobody tells the service manager any more that we live; once the loop goes on, an alarm says how long it stood
               `END_S`     the process ends itself, so that whoever supervises it starts it again

What agents have lapses meanwhile and they go to their fallback caps by themselves. Only time in which this thread ran counts: a machine
that was halted holds nothing against the loop. Should one thread keep all others from running, this one too, the kernel ends the
process after `END_S` of its computing time, with the stacks (SIGPROF).

What it shows goes past the log, straight to standard error, and from a thread that nobody waits for long: the loop may stand in the middle of
a line of the log and keep its lock, or before a standard error that nobody reads.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Callable
from datetime import datetime

log = logging.getLogger(__name__)

SLOW_S, DEAD_S, END_S = 2.0, 10.0, 15.0
LOOK_S = 0.25
BEAT_S = 1.0
STDERR = 2
STUCK = 3
"""Exit code of a process that ended itself."""


class Watchdog:
    """`alive` is called every second while the loop goes on; `stacks` shows where all threads are, `end` ends the process."""

    def __init__(
        self,
        elapsed_s: Callable[[], float],
        alive: Callable[[], None] = lambda: None,
        *,
        stacks: Callable[[], None] = faulthandler.dump_traceback,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._elapsed_s, self._alive, self._stacks, self._end = elapsed_s, alive, stacks, end
        self._looked_s = self._beat_s = elapsed_s()
        self._silent_s, self._marked, self._logged = 0.0, True, False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch; to be called in the main thread, of a process that has no other use for SIGPROF."""
        faulthandler.register(signal.SIGPROF, all_threads=True, chain=True)
        signal.setitimer(signal.ITIMER_PROF, END_S)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._over.set()
        self._thread.join()
        signal.setitimer(signal.ITIMER_PROF, 0.0)

    @property
    def stands(self) -> bool:
        """Whether the loop stands still."""
        return self._silent_s >= SLOW_S

    def mark(self) -> float:
        """The loop goes on; how long it had stood still, s, where that was `DEAD_S` or more, else 0."""
        stood_s, self._silent_s, self._marked = self._silent_s, 0.0, True
        if self._logged:
            self._logged = False
            log.warning("the loop goes on after %.1f s", stood_s)
        return stood_s if stood_s >= DEAD_S else 0.0

    def look(self) -> None:
        """See whether it still does."""
        now_s = self._elapsed_s()
        passed_s, self._looked_s = min(now_s - self._looked_s, 2 * LOOK_S), now_s
        self._silent_s += passed_s
        if self.stands and not self._logged:
            self._logged = True
            self._show("ERROR", f"the loop that reads and guards has stood still for {self._silent_s:.1f} s; all stacks:", self._stacks)
        if self._silent_s >= END_S:
            self._show("CRITICAL", f"the loop has stood still for {self._silent_s:.0f} s: the process ends itself, to be started again")
            self._end(STUCK)
        if self._marked and now_s - self._beat_s >= BEAT_S:
            self._marked, self._beat_s = False, now_s
            self._alive()

    def _show(self, level: str, words: str, more: Callable[[], None] = lambda: None) -> None:
        line = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {level} {__name__}: {words}\n"

        def show() -> None:
            os.write(STDERR, line.encode())
            more()

        showing = threading.Thread(target=show, name="watchdog shows", daemon=True)
        showing.start()
        showing.join(LOOK_S)

    def _run(self) -> None:
        while not self._over.wait(LOOK_S):
            signal.setitimer(signal.ITIMER_PROF, END_S)
            self.look()
