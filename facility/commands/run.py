"""`facility run`: the daemon as a process - its bus, journal, scheduler and signals."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Literal, cast

from facility.clock import Clock, ScaledClock, SystemClock, parse_epoch
from facility.config import load_site
from facility.errors import Fault, InputError

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler

    from facility.bus.mqtt import MqttBus
    from facility.daemon.loop import Daemon
    from facility.history import Nowhere, Recorder
    from facility.site import Site

log = logging.getLogger("facility")

CONNECT_S = 3.0
LISTEN_S = 1.5
LAST_CYCLE_S = 1.0
"""How long a stop waits for what is left of a cycle once its solve has ended."""


def run_daemon(
    site_file: str,
    settings: tuple[str, ...],
    broker: str | None,
    state: Path | None,
    mqtt: str,
    clock_text: str | None,
    history: str | None,
) -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("apscheduler", "pyomo"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    site = load_site(site_file, settings)
    if mqtt not in {"3.1.1", "5"}:
        raise InputError(Fault("--mqtt", f"{mqtt!r} is not a version", "give 3.1.1 or 5"))

    from facility.bus.broker import reach
    from facility.bus.mqtt import MqttBus
    from facility.daemon.loop import Daemon, instance_name
    from facility.daemon.pulse import last_will
    from facility.journal.journal import Journal
    from models.solving.child import Child

    clock, speed = _clock(clock_text)
    stop, instance = _asked_to_stop(), instance_name()
    path = state or Path(f"{site.id}.sqlite")
    with ExitStack() as stack, Child() as solver, Journal(path, clock=clock) as journal:
        if journal.put_aside is not None:
            log.warning("the journal was damaged and lies at %s now; a new one begins", journal.put_aside)
        recorder = stack.enter_context(closing(_recorder(site, history, path.parent, clock)))
        at, version = reach(site.bus, broker), cast("Literal['3.1.1', '5']", mqtt)
        bus = MqttBus(at, instance, will=last_will(site, instance), version=version, now=clock.now)
        daemon = Daemon(site, bus, journal, clock, instance=instance, solver_of=solver, history=recorder)
        daemon.subscribe()
        wanted = threading.Event()
        daemon.wake = wanted.set
        planner = threading.Thread(target=_plan, args=(daemon, wanted, stop), name="plan", daemon=True)
        scheduler = _scheduler(wanted, site.control.cycle_s / speed)
        try:
            _listen_first(daemon, bus, stop)
            daemon.start()
            wanted.set()
            planner.start()
            scheduler.start()
            log.info("running %s on %s as %s", site.id, at.place, instance)
            with _scraping(site, daemon, clock, speed):
                while not stop.is_set():
                    daemon.attend(0.1)
        finally:
            stop.set()
            wanted.set()
            if scheduler.running:
                scheduler.shutdown(wait=False)
            daemon.close()
            bus.close()
            solver.close()
            if planner.ident is not None:
                planner.join(LAST_CYCLE_S)
    log.info("stopped")
    return 0


def _asked_to_stop() -> threading.Event:
    """Give the event that a signal to end sets."""
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, ask_to_stop)
    return stop


@contextmanager
def _scraping(site: Site, daemon: Daemon, clock: Clock, speed: float) -> Iterator[None]:
    """The site's exporters are asked meanwhile."""
    from facility.daemon.scraper import Scraper

    scrapers = [Scraper(site, name, daemon.hear, clock, speed) for name in site.scrape]
    for scraper in scrapers:
        scraper.start()
    try:
        yield
    finally:
        for scraper in scrapers:
            scraper.close()


def _recorder(site: Site, place: str | None, folder: Path, clock: Clock) -> Recorder | Nowhere:
    """What records readings: at a place, beside the journal where none is named, or nowhere."""
    from facility.history import Nowhere, Recorder, default_place, open_history

    if place == "none":
        return Nowhere()
    history = open_history(place or default_place(site.id, folder), site.id, clock)
    if history.put_aside is not None:
        log.warning("the history was damaged and lies at %s now; a new one begins", history.put_aside)
    return Recorder(history, site.history, clock)


def _scheduler(wanted: threading.Event, every_s: float) -> BackgroundScheduler:
    """Ask for a plan every `every_s` of real time. A tick while the one before is still being worked on is a missed cycle."""
    from apscheduler.events import EVENT_JOB_MISSED
    from apscheduler.schedulers.background import BackgroundScheduler

    def tick() -> None:
        if wanted.is_set():
            log.warning("a cycle was missed: planning takes longer than %g s", every_s)
        wanted.set()

    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_listener(lambda event: log.warning("the cycle of %s was missed", event.scheduled_run_time), EVENT_JOB_MISSED)
    scheduler.add_job(
        tick, "interval", seconds=every_s, coalesce=True, max_instances=1, misfire_grace_time=max(1, int(every_s / 2))
    )
    return scheduler


def _listen_first(daemon: Daemon, bus: MqttBus, stop: threading.Event) -> None:
    """Give the broker and the retained topics a moment, so that the first plan knows what is there."""
    until = time.monotonic() + CONNECT_S
    while not stop.is_set() and time.monotonic() < until and not bus.wait_connected(0.1):
        pass
    until = time.monotonic() + LISTEN_S
    while time.monotonic() < until and not stop.is_set():
        daemon.attend(0.05)


def _plan(daemon: Daemon, wanted: threading.Event, stop: threading.Event) -> None:
    """Make a plan whenever one is wanted; what is wanted meanwhile comes next, so none is lost and none overlap."""
    while not stop.is_set():
        wanted.wait()
        wanted.clear()
        if not stop.is_set():
            daemon.cycle()


def _clock(text: str | None) -> tuple[Clock, float]:
    """The wall clock, or `SPEED@REALSECONDS:ISO`, a faster one."""
    if text is None:
        return SystemClock(), 1.0
    speed_text, _, epoch = text.partition("@")
    try:
        speed = float(speed_text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise InputError(Fault("--clock", f"{text!r}", "give SPEED@REALSECONDS:ISO")) from None
    real_s, sim = parse_epoch(epoch)
    return ScaledClock(real_s, sim, speed), speed
