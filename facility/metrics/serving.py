"""Serving: metrics while a daemon works, where somebody asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from facility.bus.interface import Bus
from facility.clock import Clock
from facility.daemon.loop import Daemon
from facility.metrics.address import Address
from facility.metrics.page import Page
from facility.metrics.server import Server
from facility.metrics.show import Show


@contextmanager
def serving(address: Address | None, bus: Bus, clock: Clock, instance: str, speed: float) -> Iterator[Callable[[Daemon], None]]:
    """Serve at `address`, nothing where it is None; gives what the loop is to do each time it comes round."""
    if address is None:
        yield lambda _daemon: None
        return
    show = Show(bus, clock, instance, speed)
    server = Server(address, show, Page(lambda: show.newest, clock.elapsed_s, speed), clock.elapsed_s)
    with closing(server):
        server.start()
        yield show.look
