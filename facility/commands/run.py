"""`facility run`: the daemon as a process - its bus, its journal, and who is told how it goes."""

from __future__ import annotations

import faulthandler
import logging
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

from facility.bus.broker import reach
from facility.bus.mqtt import MqttBus
from facility.clock import Clock, parse_clock
from facility.config import load_site
from facility.daemon.answering.thinking.beside import Beside
from facility.daemon.loop import instance_name
from facility.daemon.neighbours.pulse import last_will
from facility.daemon.watchdog import STUCK
from facility.errors import Fault, InputError
from facility.history import Nowhere, Recorder, default_place, open_history
from facility.journal.journal import Journal
from facility.journal.lock import StoreBusyError
from facility.journal.store import StoreFault
from facility.metrics.address import Address, parse_address
from facility.metrics.serving import serving
from facility.process.asked import Asked, by_signals
from facility.process.changes import changes
from facility.process.notify import Notify
from facility.process.reload import Read, Reload, kept
from facility.process.spare import Spare
from facility.process.work import Means, Work
from facility.site import Retention
from models.solving.child import Child

log = logging.getLogger("facility")

RUNNING = "running"
"""The fact in the journal that a process runs; one that ends cleanly takes it back."""
LEAVES_S = 1.0
"""How long a process that dies may still have the history's lock once it has let go of the journal's."""


@dataclass(frozen=True)
class Options:
    """What the command line says beside the site file; None leaves it to the site file or to us."""

    broker: str | None = None
    state: Path | None = None
    mqtt: str = "3.1.1"
    clock: str | None = None
    history: str | None = None
    standby: bool = False
    metrics: str | None = None


@dataclass(frozen=True)
class Prepared:
    """What every way to run begins with: the site and how to read it again, the clock and its speed, who asks, who is told, our name, and
    where metrics are served.
    """

    read: Read
    reload: Reload
    clock: Clock
    speed: float
    asked: Asked
    notify: Notify
    instance: str
    version: Literal["3.1.1", "5"]
    metrics: Address | None


def prepared(site_file: str, settings: tuple[str, ...], options: Options) -> Prepared:
    """Read what there is to read, and listen for signals. Raises InputError."""
    _log()
    if options.mqtt not in {"3.1.1", "5"}:
        raise InputError(Fault("--mqtt", f"{options.mqtt!r} is not a version", "give 3.1.1 or 5"))
    metrics = None if options.metrics is None else parse_address(options.metrics)
    reload = Reload(partial(load_site, site_file, settings), lambda site: reach(site.bus, options.broker))
    clock, speed = parse_clock(options.clock)
    version = cast("Literal['3.1.1', '5']", options.mqtt)
    return Prepared(reload.read(), reload, clock, speed, by_signals(), Notify.of_environment(), instance_name(), version, metrics)


def run_daemon(site_file: str, settings: tuple[str, ...], options: Options) -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean stop, 3 where another process has become the site's daemon."""
    here = prepared(site_file, settings, options)
    site, clock, instance = here.read.site, here.clock, here.instance
    path = options.state or Path(f"{site.id}.sqlite")
    opened = partial(Journal, path, clock=clock)
    with ExitStack() as stack:
        solver = stack.enter_context(Child())
        journal = None if options.standby else stack.enter_context(opened())
        bus = MqttBus(here.read.broker, instance, will=last_will(site, instance), version=here.version, now=clock.now)
        stack.callback(bus.close)
        if journal is None:
            journal = Spare(site, bus, clock, instance, path, opened, here.notify).wait(here.asked.stop.is_set)
            if journal is None:
                return 0
            stack.enter_context(journal)
        if journal.put_aside is not None:
            log.warning("the journal was damaged and lies at %s now; a new one begins", journal.put_aside)
        recorder = stack.enter_context(closing(_recorder(site.id, site.history, options.history, path.parent, clock)))
        read, follows = here.read, journal.get(RUNNING) == b"true"
        if follows and changes(before := kept(journal, site), site):
            log.warning("nobody stopped the daemon before: this one begins with the site that was in force, and reads the file again then")
            read = replace(read, site=before)
            here.asked.reload.set()
        look = stack.enter_context(serving(here.metrics, bus, clock, instance, here.speed))
        thinker = stack.enter_context(closing(Beside()))
        means = Means(instance, bus, journal, clock, here.speed, solver, recorder, here.notify, look, thinker=thinker)
        work = Work(read, means, here.reload)
        log.info("running %s on %s as %s", site.id, here.read.broker.place, instance)
        if follows:
            log.warning("the process that ran before ended without a word")
            work.daemon.follows_a_death()
        with suppress(StoreFault):
            journal.put(RUNNING, b"true")
        ours = True
        try:
            ours = work.go(here.asked)
        finally:
            here.notify.stopping()
            if ours:
                work.daemon.close()
                with suppress(StoreFault):
                    journal.put(RUNNING, b"false")
            else:
                bus.publish(last_will(site, instance, "another process writes the journal"))
            bus.close()
            solver.close()
            work.join()
    log.info("stopped")
    return 0 if ours else STUCK


def _log() -> None:
    """Log what matters on standard error, and the stacks of all threads where the process dies of a fault."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("apscheduler", "pyomo"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    faulthandler.enable()


def _recorder(site_id: str, kept: Retention, place: str | None, folder: Path, clock: Clock) -> Recorder | Nowhere:
    """What records readings: at a place, beside the journal where none is named, or nowhere."""
    if place == "none":
        return Nowhere()
    where, until_s = place or default_place(site_id, folder), clock.elapsed_s() + LEAVES_S
    while True:
        try:
            history = open_history(where, site_id, clock)
            break
        except StoreBusyError:
            if clock.elapsed_s() > until_s:
                raise
            time.sleep(0.05)
    if history.put_aside is not None:
        log.warning("the history was damaged and lies at %s now; a new one begins", history.put_aside)
    return Recorder(history, kept, clock)
