"""`facility run --shadow`: the daemon beside the one that runs, or beside none; it says nothing on the bus, and reports what it would have done."""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

from facility.bus.mqtt import MqttBus
from facility.bus.mute import Mute
from facility.bus.topics import Topics
from facility.commands.run import Options, log, prepared
from facility.daemon.loop import Daemon
from facility.durations import parse_duration
from facility.errors import Fault, InputError
from facility.history import Nowhere
from facility.journal.journal import Journal
from facility.metrics.serving import serving
from facility.process.shadow import Shadow
from facility.process.work import Means, Work
from models.solving.child import Child


def run_shadow(site_file: str, settings: tuple[str, ...], options: Options, lasts: str | None, *, as_json: bool) -> int:
    """Run for `lasts` of the site's clock, or until SIGTERM or SIGINT; report then, and at each SIGUSR1. 0 where a plan was made, else 1."""
    if options.standby:
        raise InputError(Fault("--shadow", "with --standby", "a shadow never takes over; choose one of the two"))
    most = None if lasts is None else parse_duration(lasts, "--for")
    here = prepared(site_file, settings, options)
    site, clock, instance = here.read.site, here.clock, here.instance
    topics, shadow, begun = Topics(site.bus.root, site.id), Shadow(site), clock.now()
    with ExitStack() as stack:
        solver = stack.enter_context(Child())
        journal = stack.enter_context(Journal(options.state or Path(f"{site.id}.shadow.sqlite"), clock=clock))
        ears = stack.enter_context(closing(MqttBus(here.read.broker, instance, version=here.version, now=clock.now)))
        own = topics.status(instance)
        bus = Mute(ears, shadow.kept, svc=own.removesuffix(f"{instance}/status"), own=own)

        def tell() -> None:
            cycles = Counter(journal.outcomes(begun))
            print(json.dumps(shadow.as_fields(cycles)) if as_json else "\n".join(shadow.as_lines(cycles)))
            sys.stdout.flush()

        look = stack.enter_context(serving(here.metrics, bus, clock, instance, here.speed))

        def beside(daemon: Daemon) -> None:
            look(daemon)
            if shadow.due(clock.now()):
                daemon.within(shadow.look)
            if here.asked.report.is_set():
                here.asked.report.clear()
                tell()
            if most is not None and shadow.lasted() >= most - timedelta(seconds=1):
                here.asked.stop.set()

        means = Means(instance, bus, journal, clock, here.speed, solver, Nowhere(), here.notify, beside)
        work = Work(here.read, means, here.reload)
        log.info("shadowing %s on %s, saying nothing", site.id, here.read.broker.place)
        try:
            work.go(here.asked)
        finally:
            here.notify.stopping()
            work.daemon.close()
            solver.close()
            work.join()
        tell()
        return 0 if shadow.plan is not None else 1
