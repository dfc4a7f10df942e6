"""The daemon inside this process, on a real broker, with a clock that the test moves: what a process hides can be measured here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from facility.bus.interface import Message
from facility.bus.mqtt import MqttBus
from facility.clock import ManualClock
from facility.config import load_site
from facility.daemon.loop import Daemon
from facility.daemon.neighbours.pulse import last_will
from facility.journal.journal import Journal
from facility.snapshot import Job
from tests.faults.proxy import Proxy
from tests.processes import ROOT, SITE, Ear, Mosquitto, patience

NOW = datetime(2026, 7, 15, 10, tzinfo=UTC)


class Inside:
    """`steps_s` is how long each call of the daemon's loop took, beside the wait for a message."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.site, self.clock = load_site(SITE), ManualClock(NOW)
        self.broker = Mosquitto(folder, "allow_anonymous true", "persistence false", *lines)
        self.wire, self.ear = Proxy(self.broker.port), Ear(self.broker.url)
        self.journal = Journal(folder / "journal.sqlite", clock=self.clock)
        self.buses: list[MqttBus] = []
        self.bus = self.open("daemon", self.wire.url, will=last_will(self.site, "daemon"))
        self.daemon = Daemon(self.site, self.bus, self.journal, self.clock)
        self.others: list[Callable[[], None]] = []
        self.steps_s: list[float] = []
        self.daemon.subscribe()
        assert self.bus.wait_connected(5)

    def open(self, name: str, url: str = "", **options: Any) -> MqttBus:
        self.buses.append(MqttBus(url or self.broker.url, name, now=self.clock.now, **options))
        return self.buses[-1]

    def close(self) -> None:
        self.ear.close()
        self.wire.close()
        for bus in self.buses:
            bus.close()
        self.broker.stop()
        self.journal.close()

    def attend(self) -> None:
        began = time.perf_counter()
        self.daemon.attend(0.0)
        self.steps_s.append(time.perf_counter() - began)

    def until(self, holds: Callable[[], Any], seconds: float = 5.0, what: str = "it") -> None:
        """Let everybody go on until something holds."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > seconds * patience():
                pytest.fail(f"{what} did not come within {seconds} s; {self.daemon.outcome}")
            self.go_on(0.0)

    def go_on(self, seconds: float) -> None:
        """Let everybody go on for a while, at least once."""
        end = time.monotonic() + seconds
        while True:
            self.attend()
            for other in self.others:
                other()
            time.sleep(0.002)
            if time.monotonic() >= end:
                return

    def jobs(self) -> tuple[Job, ...]:
        """The jobs that the daemon knows."""
        return self.daemon.rooms.known.situation(self.clock.now()).snapshot.jobs

    def stale(self) -> tuple[str, ...]:
        """The sensors that the daemon does not hear."""
        return self.daemon.rooms.known.situation(self.clock.now()).snapshot.stale

    def cycle(self) -> str:
        self.daemon.cycle()
        return self.daemon.outcome.mode

    def order(self, target: str, name: str, kind: str, value: float, **more: Any) -> Any:
        """Send an override to the broker, past the wire; its answer."""
        began = time.monotonic()
        request = {"id": name, "kind": kind, "value": value, "by": "ann"} | more
        self.ear.bus.publish(Message(f"{ROOT}/override/{target}/set", json.dumps(request).encode(), qos=1))
        topic = f"{ROOT}/override/{target}/result"
        self.until(lambda: any(answer["id"] == name for answer in self.ear.since(began, topic)), 2, f"an answer to {name}")
        return next(answer for answer in self.ear.since(began, topic) if answer["id"] == name)
