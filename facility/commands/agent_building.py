"""`facility agent building`: set-points of cooling, batteries, gensets and solar plants, carried to the gateways of the building."""

from __future__ import annotations

import logging
import os
import time
from typing import Final, Literal, cast

from facility.agents.building.building import Building
from facility.bus.broker import reach
from facility.bus.mqtt import MqttBus
from facility.clock import parse_clock
from facility.config import load_site
from facility.errors import Fault, InputError
from facility.process.asked import by_signals

log = logging.getLogger("facility")

LOOK_S = 0.1
"""Between two looks at the bus, s."""
LEAVING_S: Final = 5.0
"""The longest wait for gateways to show that they took what was handed back, s."""


def run_building(site_file: str, settings: tuple[str, ...], broker: str | None, mqtt: str, clock: str | None) -> int:
    """Run until SIGTERM or SIGINT, then hand every point back; 0. InputError for bad input."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if mqtt not in {"3.1.1", "5"}:
        raise InputError(Fault("--mqtt", f"{mqtt!r} is not a version", "give 3.1.1 or 5"))
    site = load_site(site_file, settings)
    if not site.bus.set_points:
        raise InputError(Fault("bus.set_points", "none, so there is nothing to do", "say which topics of which gateways take what is ordered"))
    asked, (instant, speed) = by_signals(), parse_clock(clock)
    bus = MqttBus(reach(site.bus, broker), f"{site.id}-building-{os.getpid()}", version=cast("Literal['3.1.1', '5']", mqtt))
    try:
        building = Building(site, bus, instant, speed)
        log.info("carrying orders to %d set-points of %s", len(site.bus.set_points), site.id)
        while not asked.stop.wait(LOOK_S):
            building.look()
        building.leave()
        ends_s = time.monotonic() + LEAVING_S
        while building.handing and time.monotonic() < ends_s:
            time.sleep(LOOK_S)
            building.look()
        for topic in building.handing:
            log.warning("%s: it was handed back, and nothing shows that this was taken", topic)
        log.info("every set-point is handed back")
    finally:
        bus.close()
    return 0
