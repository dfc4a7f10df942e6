"""Whatever comes, on whatever topic: nothing gets out of the daemon, nothing takes long, and what is refused changes nothing.

`--fuzz 100000` throws more than a test run has time for.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import facility.daemon.loop as room
from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.bus.topics import TABLE, Topics
from facility.clock import ManualClock
from facility.config import load_site
from facility.daemon.loop import Daemon
from facility.daemon.neighbours.pulse import last_will
from facility.journal.journal import Journal
from facility.signals import Signals
from facility.telemetry import Telemetry
from tests.faults.inside import NOW
from tests.faults.payloads import Payloads, longest
from tests.processes import SITE

LONGEST_S = 0.005
BATCH = 20
IN_PART = {"batch", "battery_reported", "cooling_reported", "meta"}
"""Of these a part may be taken and the rest refused; a unit that contradicts the one before is refused, and the sensor with it."""
REFUSED = {"rejected", "expired", "duplicate"}


class Target:
    """A daemon on a bus in memory, and whether it refused what it got last."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site, self.clock = load_site(SITE, ("tariff.imbalance_premium_per_mwh=5",)), ManualClock(NOW)
        self.broker = MemoryBroker(self.clock.now)
        self.topics, self.ear = Topics(self.site.bus.root, self.site.id), self.broker.connect()
        for pattern in (pattern for row in TABLE if row.name.endswith("_result") for pattern in self.topics.patterns(row.name)):
            self.ear.subscribe(pattern, 1)
        monkeypatch.setattr(room, "LOOK_S", math.inf)  # time is kept between the batches, so that its cost is nobody's
        self.refused = False
        for kind in (Telemetry, Signals):
            monkeypatch.setattr(kind, "accept", self._noticing(kind.accept))
        self.journal = Journal(folder / "journal.sqlite", clock=self.clock)
        self.bus = self.broker.connect(last_will(self.site, "daemon"))
        self.daemon = Daemon(self.site, self.bus, self.journal, self.clock)
        self.daemon.subscribe()
        self.daemon.cycle()

    def _noticing(self, accept: Any) -> Any:
        def noticed(*args: Any, **kwargs: Any) -> str | None:
            reason: str | None = accept(*args, **kwargs)
            self.refused = self.refused or reason is not None
            return reason

        return noticed

    def take(self, message: Message) -> float:
        """Hand over one message; the CPU time it took, s."""
        self.refused = False
        self.bus.inbox.put(message)
        began = time.thread_time()
        self.daemon.attend(0.0)
        took_s = time.thread_time() - began
        while (answer := self.ear.receive(0.0)) is not None:
            self.refused = self.refused or msgspec.json.decode(answer.payload)["status"] in REFUSED
        self._hear_itself()
        return took_s

    def _hear_itself(self) -> None:
        refused = self.refused
        while (message := self.bus.receive(0.0)) is not None:
            self.bus.inbox.put(message)
            self.daemon.attend(0.0)
        self.refused = refused

    def keep_time(self) -> None:
        self.clock.advance(1)
        self.daemon.attend(0.0)
        self._hear_itself()
        while self.ear.receive(0.0) is not None:
            pass

    def state(self) -> tuple[Any, ...]:
        known, now = self.daemon.rooms.known, self.clock.now()
        signals = list(known._signals._series.items())
        caps = {pool: tuple(sent) for pool, sent in self.daemon.rooms.actuator.in_force._every.items()}
        here = known.situation(now)
        believed = replace(here, snapshot=replace(here.snapshot, doubts={}))  # of what is refused only the doubts may tell
        return believed, known.rentals.standing(now), known.desk.standing(now), known.events, caps, signals, self.daemon.rooms.committed._state


def same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether nothing changed; series are compared by identity, for they are replaced whole."""
    *mine, my_series, my_position = one
    *theirs, their_series, their_position = other
    alike = len(my_series) == len(their_series) and all(a[0] == b[0] and a[1] is b[1] for a, b in zip(my_series, their_series, strict=True))
    return mine == theirs and alike and my_position == their_position


def test_nothing_that_comes_gets_out_takes_long_or_changes_anything_that_it_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    target, count = Target(tmp_path, monkeypatch), pytestconfig.getoption("--fuzz")
    payloads = Payloads(target.site, target.clock, seed=count)
    thrown: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    took_s: list[float] = []
    acted_s: list[float] = []
    before = target.state()
    for number in range(count):
        message = payloads.message()
        row = (target.topics.parse(message.topic) or ("none",))[0]
        took = target.take(message)
        thrown[row] += 1
        assert not target.daemon.faults, f"{message}: {target.daemon.faults}"
        after = target.state()
        if target.refused:
            refused[row] += 1
            assert row in IN_PART or same(before, after), f"refused, and yet: {message}"
            if took > LONGEST_S:  # or was it the machine?
                took = min(target.take(message) for _ in range(3))
                after = target.state()
            took_s.append(took)
        else:
            acted_s.append(took)
        before = after
        if number % BATCH == 0:
            target.keep_time()
            before = target.state()
    assert not target.daemon.faults
    target.journal.close()
    took_s.sort()
    acted_s.sort()
    print(f"{count} payloads, {len(took_s)} refused: p50 {took_s[len(took_s) // 2] * 1e6:.0f} us, p100 {took_s[-1] * 1e3:.2f} ms;", end=" ")
    print(f"taken: p50 {acted_s[len(acted_s) // 2] * 1e6:.0f} us, p100 {acted_s[-1] * 1e3:.2f} ms", file=sys.stdout)
    print({row: f"{refused[row]}/{n}" for row, n in sorted(thrown.items())})
    assert took_s[-1] <= LONGEST_S
    rows = {topic.name for topic in TABLE if topic.direction == "in"}
    assert rows <= thrown.keys()
    assert 0.2 * count < len(took_s) < 0.8 * count


def test_the_longest_payloads_take_no_longer_on_any_topic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target(tmp_path, monkeypatch)
    payloads = Payloads(target.site, target.clock, seed=1)
    took_s: dict[tuple[str, str], float] = {}
    for row in TABLE:
        topic = payloads.topic(row, stray=0.0)
        for what, payload in longest().items():
            took_s[row.name, what] = min(target.take(Message(topic, payload, 1)) for _ in range(3))
            assert not target.daemon.faults, f"{what} on {topic}: {target.daemon.faults}"
    target.journal.close()
    readings_s = took_s.pop(("batch", "readings"))
    print([f"{took * 1e3:.2f} ms for {what} on {row}" for (row, what), took in sorted(took_s.items(), key=lambda it: -it[1])[:5]])
    print(f"{readings_s * 1e3:.1f} ms for some 8,000 readings of sensors that nobody knows, in one batch")
    assert max(took_s.values()) < 2 * LONGEST_S  # twice, for a busy machine; measured above
    assert readings_s < 10 * LONGEST_S
