"""The daemon and a rehearsed plant on a bus in memory, with the real solver, on a clock that the test moves a second at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.clock import VirtualClock
from facility.daemon.loop import Daemon
from facility.daemon.neighbours.pulse import last_will
from facility.journal.journal import Journal
from facility.simulate.device import Device
from facility.simulate.plant import Plant
from facility.simulate.trouble import Trouble
from facility.site import Site
from tests.facility.test_guard import NOW


class Rehearsed:
    """`told` are the caps that were published, with the second in which they were: the highest of each message."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.site, self.clock = site, VirtualClock(NOW)
        self.broker = MemoryBroker(self.clock.now)
        self.plant = Plant(site, NOW)
        self.device = Device(self.plant, self.broker.connect(), self.clock)
        self.journal = Journal(folder / "journal.sqlite", clock=self.clock)
        self.ear = self.broker.connect()
        self.ear.subscribe(f"facility/v1/{site.id}/cap/+/+/desired", 1)
        self.daemon = Daemon(site, self.broker.connect(last_will(site, "daemon")), self.journal, self.clock)
        self.daemon.subscribe()
        self.daemon.start()
        self.told: list[tuple[float, str, int]] = []
        self.go_on(30)
        self.daemon.cycle()
        self.go_on(120)

    def close(self) -> None:
        self.journal.close()

    @property
    def at_s(self) -> float:
        return (self.clock.now() - NOW).total_seconds()

    def go_on(self, seconds: int, holds: Callable[[], bool] = lambda: True) -> None:
        """Let time pass; `holds` must hold in every second of it."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.device.tick()
            for _ in range(3):
                self.daemon.attend(0.0)
                self.device._take_orders(0.0)
            while (message := self.ear.receive(0.0)) is not None:
                self._hear(message)
            assert holds(), f"second {self.at_s:g}"

    def _hear(self, message: Message) -> None:
        sent = msgspec.json.decode(message.payload)
        highest_w = max([sent["cap_w"], *(group["cap_w"] for group in sent["groups"])])
        self.told.append((self.at_s, message.topic.split("/")[-2], highest_w))

    def suffer(self, **what: Any) -> None:
        self.plant.suffer(Trouble(**what))

    def caps_w(self) -> dict[str, int]:
        """What each pool was told last."""
        return {pool: cap_w for _, pool, cap_w in self.told}

    def lowered_at(self, since_s: float, pool: str, below_w: int) -> float | None:
        """When a pool was first told less than `below_w`."""
        return next((at for at, name, cap_w in self.told if at >= since_s and name == pool and cap_w < below_w), None)

    def alarm(self, name: str) -> Any:
        payload = self.broker.retained.get(f"facility/v1/{self.site.id}/alarm/{name}")
        return msgspec.json.decode(payload) if payload else None
