"""Run a rehearsal plant: `python -m facility.simulate SITE --broker URL --speed 60 --epoch REALSECONDS:ISO`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from facility.bus.broker import reach
from facility.bus.mqtt import MqttBus
from facility.clock import ScaledClock, parse_epoch
from facility.config import load_site
from facility.errors import InputError
from facility.simulate.device import Device
from facility.simulate.dialects import DIALECTS
from facility.simulate.plant import Plant


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until interrupted or terminated. Returns 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m facility.simulate", description="A plant to rehearse on.")
    parser.add_argument("site", help="site file")
    parser.add_argument("--broker", help="mqtt[s]://[user:password@]host[:port]; default: the site file's")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds in a real one")
    parser.add_argument("--epoch", help="REALSECONDS:ISO, the instant simulated at a real instant; default: now is now")
    parser.add_argument("--seed", type=int, default=0, help="of every noise")
    parser.add_argument("--building", choices=DIALECTS, help="how the meters speak; default: in our own tree")
    parser.add_argument("--rehearse", action="store_true", help="let things go wrong as the topic rehearsal/trouble tells")
    parser.add_argument("--follow", action="store_true", help="jobs are a real scheduler's, as its agent tells of them on the bus")
    wanted = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    if not 0 < wanted.speed <= 86_400:
        parser.error("--speed must be above 0 and at most 86400")
    try:
        site = load_site(wanted.site)
        real_s, sim = parse_epoch(wanted.epoch) if wanted.epoch else (datetime.now(UTC).timestamp(), datetime.now(UTC))
        clock = ScaledClock(real_s, sim, wanted.speed)
        plant = Plant(site, clock.now(), wanted.seed, follows=wanted.follow)
        bus = MqttBus(reach(site.bus, wanted.broker), client_id=f"{site.id}-plant-{os.getpid()}")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    dialect = DIALECTS[wanted.building]() if wanted.building else None
    Device(plant, bus, clock, wanted.speed, dialect, rehearse=wanted.rehearse).run(stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
