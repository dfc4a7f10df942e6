"""When a spare takes over: its table, row by row, on a bus in memory. What it does to a writer that hangs is in `tests/process`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.clock import VirtualClock
from facility.daemon.neighbours.pulse import DEAD_S, last_will
from facility.journal.journal import Journal
from facility.process.notify import Notify
from facility.process.spare import Spare
from tests.facility.test_daemon import ROOT, SITE

NOW = datetime(2026, 7, 1, tzinfo=UTC)
STEP_S = 0.5


class Waiting:
    """A spare, another client of its broker, and a clock that moves half a second each time the spare comes round."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.path = VirtualClock(NOW), folder / "journal.sqlite"
        self.broker = MemoryBroker(self.clock.now)
        self.other = self.broker.connect()
        self.other.subscribe(f"{ROOT}/svc/#", 1)
        bus = self.broker.connect(last_will(SITE, "spare"))
        self.spare = Spare(SITE, bus, self.clock, "spare", self.path, partial(Journal, self.path, clock=self.clock), Notify(None))
        self.waited_s = 0.0

    def wait(self, seconds: float, each: Callable[[], None] = lambda: None) -> bool:
        """Let it wait for so long at most; whether it took over."""
        self.waited_s = 0.0

        def over() -> bool:
            self.clock.advance(STEP_S)
            self.waited_s += STEP_S
            each()
            return self.waited_s > seconds

        journal = self.spare.wait(over)
        if journal is not None:
            self.account = [(entry.action, entry.says) for entry in journal.account(NOW - timedelta(days=1))]
            journal.close()
        return journal is not None

    def beat(self, mode: str = "NORMAL", *, retain: bool = True) -> None:
        told = {"instance": "daemon", "mode": mode, "heartbeat": 0}
        self.other.publish(Message(f"{ROOT}/svc/daemon/status", msgspec.json.encode(told), qos=1, retain=retain))


@pytest.fixture
def waiting(tmp_path: Path) -> Waiting:
    return Waiting(tmp_path)


def test_where_nobody_is_heard_and_nobody_writes_it_takes_over_after_a_while(waiting: Waiting) -> None:
    assert waiting.wait(3 * DEAD_S)
    assert waiting.waited_s >= DEAD_S
    assert waiting.account == [("took over", "the daemon that ran is gone")]


def test_a_last_will_is_heard_at_once(waiting: Waiting) -> None:
    assert not waiting.wait(3, waiting.beat)
    waiting.beat("offline")
    assert waiting.wait(DEAD_S)
    assert waiting.waited_s <= 2 * STEP_S


def test_while_another_daemon_beats_a_free_lock_is_left_alone_for_it_writes_elsewhere(waiting: Waiting) -> None:
    assert not waiting.wait(3 * DEAD_S, waiting.beat)


def test_what_is_retained_of_long_ago_is_no_heartbeat(waiting: Waiting) -> None:
    waiting.beat()
    assert waiting.wait(3 * DEAD_S)


def test_another_that_waits_is_no_daemon(waiting: Waiting) -> None:
    assert waiting.wait(3 * DEAD_S, lambda: waiting.beat("standby"))


def test_without_a_broker_it_takes_over_where_nobody_writes(waiting: Waiting) -> None:
    assert not waiting.wait(3, waiting.beat)
    waiting.broker.stop()
    assert waiting.wait(3 * DEAD_S)
    assert waiting.account == [("took over", "the broker is out of reach, and nobody writes the journal")]


def test_it_says_of_itself_that_it_waits_and_that_it_left(waiting: Waiting) -> None:
    waiting.wait(3, waiting.beat)
    said = []
    while (message := waiting.other.receive(0.0)) is not None:
        if message.topic == f"{ROOT}/svc/spare/status":
            said.append(msgspec.json.decode(message.payload)["mode"])
    assert said[0] == "standby"
    assert said[-1] == "offline"
