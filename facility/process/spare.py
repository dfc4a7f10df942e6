"""Spare: a second daemon that waits beside the running one, and takes over where that one left off.

    the writer's lock    its heartbeat                           the spare
    free                 gone, or the broker out of reach        takes over
    free                 beats: a daemon with another journal    waits
    held                 silent for `HUNG_S`, and ours beats     ends the writer, which hangs, and takes over
    held                 beats, or the broker out of reach       waits

Who writes is said by the lock alone: two never write (I16). A heartbeat is gone when its last will was heard, or nothing was for
`DEAD_S` in which our own came back. The new one begins the next epoch, so that agents drop what the old one may still have on its way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from facility import __version__
from facility.bus.interface import Bus, Message
from facility.bus.messages import Rejected, Status, decode
from facility.bus.topics import Topics
from facility.clock import Clock, milliseconds
from facility.daemon.neighbours.pulse import DEAD_S, Pulse, last_will
from facility.journal.entry import Entry
from facility.journal.journal import Journal
from facility.journal.lock import StoreBusyError, end_writer
from facility.process.notify import Notify
from facility.site import Site

log = logging.getLogger(__name__)

HUNG_S = 10.0
"""How long the heartbeat of a writer that holds its lock must be silent; a loop that stands still is told as dead by then."""
LOOK_S = 0.1
AT_ONCE = 100


class Spare:
    """`opened` opens the journal at `path`, or raises StoreBusyError."""

    def __init__(
        self, site: Site, bus: Bus, clock: Clock, instance: str, path: Path, opened: Callable[[], Journal], notify: Notify
    ) -> None:
        self._site, self._bus, self._clock, self._instance, self._path = site, bus, clock, instance, path
        self._opened, self._notify = opened, notify
        self._topics = Topics(site.bus.root, site.id)
        self._pulse = Pulse(site, bus, clock, instance)
        self._beats: dict[str, float] = {}
        self._since_s: float | None = None
        self._echoed_s = self._silent_since_s = clock.elapsed_s()
        self._left = False
        self._ended: int | None = None
        self._said = ""

    def wait(self, over: Callable[[], bool]) -> Journal | None:
        """Wait until it is the spare's turn, and give the journal; None where it is `over` before."""
        (pattern,) = self._topics.patterns("status")
        self._bus.subscribe(pattern, qos=1)
        self._say("waits for the daemon that runs")
        while not over():
            for message in self._bus.drain(LOOK_S, AT_ONCE):
                self._hear(message)
            if self._pulse.due():
                self._pulse.beat(self._status())
            self._notify.ready()
            self._notify.alive()
            if (journal := self._turn()) is not None:
                return journal
        self._bus.publish(last_will(self._site, self._instance, "stopped"))
        return None

    def _hear(self, message: Message) -> None:
        try:
            status = decode(message.payload, Status)
        except Rejected:
            return
        now_s = self._clock.elapsed_s()
        if status.instance == self._instance:
            if not message.retain:
                self._pulse.echo(message.payload)
                self._since_s = now_s if self._since_s is None else self._since_s
                self._echoed_s = now_s
        elif status.mode in {"offline", "standby"}:
            self._left |= self._beats.pop(status.instance, None) is not None
        elif not message.retain:
            self._beats[status.instance] = now_s
            self._silent_since_s = now_s

    def _turn(self) -> Journal | None:
        """Take over where it is time."""
        now_s = self._clock.elapsed_s()
        if now_s - self._echoed_s > DEAD_S:
            self._since_s = None  # what is heard again has to be heard for a while
            return self._try("the broker is out of reach, and nobody writes the journal")
        if self._since_s is None:
            return None
        self._beats = {name: heard_s for name, heard_s in self._beats.items() if now_s - heard_s <= DEAD_S}
        if self._beats or not (self._left or now_s - self._since_s > DEAD_S):
            return None
        journal = self._try("the daemon that ran is gone")
        silent_s = now_s - max(self._since_s, self._silent_since_s)
        if journal is None and silent_s > HUNG_S and self._ended is None:
            self._ended = end_writer(self._path)
            if self._ended is None:
                self._say("the daemon that runs hangs, and cannot be ended from here: end it")
            else:
                log.warning("process %d wrote the journal and was silent for %.0f s: it was killed", self._ended, silent_s)
        return journal

    def _try(self, why: str) -> Journal | None:
        try:
            journal = self._opened()
        except StoreBusyError:
            return None
        says = why if self._ended is None else f"{why}: process {self._ended} hung, and was killed"
        log.warning("takes over: %s", says)
        journal.note(Entry(self._clock.now(), "service", "took over", self._instance, says), to_disk=True)
        return journal

    def _status(self) -> Status:
        return Status(
            instance=self._instance, mode="standby", heartbeat=milliseconds(self._clock.now()), reason=self._said, version=__version__
        )

    def _say(self, words: str) -> None:
        if words != self._said:
            self._said = words
            log.info("%s", words)
            self._notify.status(f"standby: {words}")
