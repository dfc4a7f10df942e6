"""Work: a daemon and the threads that serve it - the planner, the scheduler that asks for plans, the scrapers, the watchdog.

The thread that calls `go` reads and guards; it never solves and waits for nobody. Where the site file is read again, the daemon is
exchanged for one by the new file; the threads, the bus and the journal stay.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING

from facility.bus.mqtt import MqttBus
from facility.bus.mute import Mute
from facility.clock import Clock
from facility.daemon.answering.thinking.inquiry import Nobody, Thinker
from facility.daemon.loop import Daemon
from facility.daemon.neighbours.scraper import Scraper
from facility.daemon.tally import Tally
from facility.daemon.watchdog import Watchdog
from facility.errors import Fault, InputError
from facility.history import Nowhere, Recorder
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.process.asked import Asked
from facility.process.notify import Notify
from facility.process.reload import Read, Reload, accept, judged, keep, refuse
from facility.site import Site
from models.solving.attempt import SolverOf

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler

log = logging.getLogger(__name__)

CONNECT_S, LISTEN_S, AGAIN_S = 3.0, 1.5, 0.5
"""How long the start waits for the broker, then for what it retains, so that the first plan knows it; and after a reload for that."""
HEAR_S = 0.3
"""How long of that it waits before what still holds is sent again."""
LAST_CYCLE_S = 1.0
"""How long a stop waits for what is left of a cycle once its solve has ended."""
ATTEND_S = 0.1


@dataclass(frozen=True)
class Means:
    """What a process works with, whatever the site file says. `clock` runs `speed` times as fast as the wall clock."""

    instance: str
    bus: MqttBus | Mute
    journal: Journal
    clock: Clock
    speed: float
    solver_of: SolverOf
    recorder: Recorder | Nowhere
    notify: Notify
    beside: Callable[[Daemon], None] = lambda _daemon: None
    """What else is done each time the loop comes round."""
    tally: Tally = field(default_factory=Tally)
    thinker: Thinker = field(default_factory=Nobody)
    """Who thinks over what people ask."""


class Work:
    """One daemon at work, and those that follow it. `read` is what was read at the start, `reload` reads again.

    Raises InputError where the journal cannot be written: no daemon begins without its epoch.
    """

    def __init__(self, read: Read, means: Means, reload: Reload) -> None:
        self._read, self._means, self._reload = read, means, reload
        try:
            self.daemon = self._made(read.site)
        except StoreFault as fault:
            raise InputError(_unwritable(str(fault), "start again")) from fault
        self._wanted, self._over = threading.Event(), threading.Event()
        self._planner = threading.Thread(target=self._plan, name="plan", daemon=True)
        self._watchdog = Watchdog(means.clock.elapsed_s, means.notify.alive)
        self._scrapers = ExitStack()
        self._scheduler: BackgroundScheduler | None = None

    def go(self, asked: Asked) -> bool:
        """Listen, begin, and go on until it is asked to stop; False where another process writes the journal by now, so that this one must end."""
        over = asked.stop.is_set
        self._watchdog.start()
        with closing(self._watchdog), ExitStack() as stack:
            stack.callback(self._scrapers.close)
            self._scrape()
            self._listen(CONNECT_S, lambda: over() or self._means.bus.connected)
            self._begin(LISTEN_S, over)
            stack.enter_context(self._planning())
            while not over():
                if not self._means.journal.ours:  # before anything is heard or said, also after a sleep of hours
                    log.critical("another process writes the journal: this one is no more the daemon of %s, and ends", self._read.site.id)
                    return False
                self._step(ATTEND_S)
                if asked.reload.is_set() and not self._reload.busy:
                    asked.reload.clear()
                    self._means.notify.reloading()
                    self._reload.begin()
                if (found := self._reload.found()) is not None:
                    self._renew(found, over)
        return True

    def join(self) -> None:
        """Wait a little for a cycle that is under way."""
        if self._planner.ident is not None:
            self._planner.join(LAST_CYCLE_S)

    def _made(self, site: Site) -> Daemon:
        means = self._means
        daemon = Daemon(
            site, means.bus, means.journal, means.clock,
            instance=means.instance, solver_of=means.solver_of, history=means.recorder, tally=means.tally, thinker=means.thinker,
        )  # fmt: skip
        daemon.subscribe()
        keep(means.journal, site)
        return daemon

    def _begin(self, listen_s: float, over: Callable[[], bool]) -> None:
        """Go on with what still holds, and plan once there was time to hear all that is known."""
        self._listen(HEAR_S, over)
        self.daemon.start()
        self._listen(listen_s - HEAR_S, over)
        self.daemon.wake = self._wanted.set
        self._wanted.set()

    def _listen(self, seconds: float, over: Callable[[], bool]) -> None:
        until_s = self._means.clock.elapsed_s() + seconds
        while not over() and self._means.clock.elapsed_s() < until_s:
            self._step(ATTEND_S / 2)

    def _step(self, timeout_s: float) -> None:
        self.daemon.attend(timeout_s)
        if stood_s := self._watchdog.mark():
            self.daemon.stood_still(stood_s)
        if self.daemon.ready and not self._reload.busy:
            self._means.notify.ready()
        self._means.beside(self.daemon)
        self._means.notify.status(f"{self.daemon.outcome.mode}: {self.daemon.outcome.reason}")

    def _renew(self, found: Read | InputError, over: Callable[[], bool]) -> None:
        """Bring what was read again into force, or refuse it."""
        means, before = self._means, self._read
        if isinstance(found, InputError):
            refuse(self.daemon, found.faults, means.instance)
            return
        changed, faults = judged(before.site, found.site, self.daemon)
        if not means.journal.probe():  # the next daemon could not begin, and this one would be gone
            faults = (*faults, _unwritable(means.journal.trouble, "reload"))
        if faults:
            refuse(self.daemon, faults, means.instance)
            return
        renewed = found.secrets != before.secrets
        if renewed:
            means.bus.renew(found.broker)
        self.daemon.retire()
        self._scrapers.close()
        self._read = found
        self.daemon = self._made(found.site)
        self.daemon.wake = self._wanted.set
        means.recorder.keep(found.site.history)
        accept(self.daemon, changed, means.instance, renewed=renewed)
        self._scrape()
        if self._scheduler is not None:
            self._scheduler.reschedule_job("cycle", trigger="interval", seconds=found.site.control.cycle_s / means.speed)
        self._begin(AGAIN_S, over)

    def _scrape(self) -> None:
        self._scrapers.close()
        self._scrapers.enter_context(scraping(self._read.site, self.daemon, self._means.clock, self._means.speed))

    @contextmanager
    def _planning(self) -> Iterator[None]:
        """Plans are made meanwhile; afterwards what is left of a cycle has its time to end."""
        self._scheduler = scheduled(self._wanted, self._read.site.control.cycle_s / self._means.speed, self._missed)
        self._planner.start()
        self._scheduler.start()
        try:
            yield
        finally:
            self._scheduler.shutdown(wait=False)
            self._over.set()
            self._wanted.set()

    def _missed(self, why: str) -> None:
        self.daemon.missed(why)

    def _plan(self) -> None:
        """Make a plan whenever one is wanted; what is wanted meanwhile comes next, so none is lost and none overlap."""
        while not self._over.is_set():
            self._wanted.wait()
            self._wanted.clear()
            if not self._over.is_set() and not self._watchdog.stands:
                self.daemon.cycle()


def _unwritable(why: str, then: str) -> Fault:
    return Fault("the journal", f"cannot be written ({why})", f"make room on its disk, or end what holds it, and {then}")


@contextmanager
def scraping(site: Site, daemon: Daemon, clock: Clock, speed: float) -> Iterator[None]:
    """The site's exporters are asked meanwhile."""
    with ExitStack() as stack:
        for name in site.scrape:
            stack.enter_context(closing(Scraper(site, name, daemon.hear, clock, speed))).start()
        yield


def scheduled(wanted: threading.Event, every_s: float, missed: Callable[[str], None]) -> BackgroundScheduler:
    """Ask for a plan every `every_s` of real time. A tick while the one before still waits for its plan is a cycle that was `missed`."""
    from apscheduler.events import EVENT_JOB_MISSED
    from apscheduler.schedulers.background import BackgroundScheduler

    def tick() -> None:
        if wanted.is_set():
            missed("planning takes longer than a cycle")
        wanted.set()

    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_listener(lambda event: missed(f"the cycle of {event.scheduled_run_time} was missed: the scheduler was late"), EVENT_JOB_MISSED)
    scheduler.add_job(
        tick, "interval", id="cycle", seconds=every_s, coalesce=True, max_instances=1, misfire_grace_time=max(1, int(every_s / 2))
    )
    return scheduler
