"""The heartbeat and its echo, with a clock that the test moves: when the broker counts as silent, and what is done about it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from facility.bus.memory import MemoryBroker, MemoryBus
from facility.bus.messages import Status
from facility.clock import VirtualClock
from facility.config import load_site
from facility.daemon.neighbours.pulse import LONGEST_WAIT_S, MOST_BEATS, Pulse

SITE = load_site("site_configs/demo.yaml")


class Listener:
    """A pulse that is looked at ten times a second, and what it sent."""

    def __init__(self) -> None:
        self.clock, self.heartbeat = VirtualClock(datetime(2026, 7, 15, 10, tzinfo=UTC)), 0
        self.broker = MemoryBroker()
        self.bus: MemoryBus = self.broker.connect()
        self.pulse = Pulse(SITE, self.bus, self.clock, "daemon")
        self.bus.subscribe(self.pulse.topic, 1)

    def passes(self, seconds: float, *, answers: bool = True, late_s: float = 0.0) -> None:
        until = self.clock.elapsed_s() + seconds
        pending: list[tuple[float, bytes]] = []
        while self.clock.elapsed_s() < until - 0.05:
            self.clock.advance(0.1)
            if self.pulse.due():
                self.heartbeat += 1
                self.pulse.beat(Status(instance="daemon", mode="NORMAL", heartbeat=self.heartbeat))
            while (message := self.bus.receive(0.0)) is not None:
                pending.append((self.clock.elapsed_s(), message.payload))
            while answers and pending and pending[0][0] <= self.clock.elapsed_s() - late_s:
                self.pulse.echo(pending.pop(0)[1])


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_a_broker_that_answers_is_never_silent(listener: Listener) -> None:
    listener.passes(60)
    assert (listener.pulse.silent, listener.bus.connections) == (False, 1)


def test_silence_is_noticed_within_five_seconds_said_once_and_ends_with_an_echo(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    listener.passes(3)
    with caplog.at_level(logging.INFO):
        listener.passes(4, answers=False)
        assert not listener.pulse.silent
        listener.passes(1.2, answers=False)
        assert listener.pulse.silent
        listener.passes(20, answers=False)
        listener.pulse.connected()
        assert listener.pulse.silent
        listener.passes(1.2)
    assert not listener.pulse.silent
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_each_connection_that_brings_no_echo_is_given_twice_the_time(listener: Listener) -> None:
    at = []
    for _ in range(2000):
        before = listener.bus.connections
        listener.passes(0.1, answers=False)
        if listener.bus.connections > before:
            at.append(listener.clock.elapsed_s())
    assert at[:4] == pytest.approx([5, 15, 35, 75], abs=1)
    assert [later - sooner for sooner, later in pairwise(at[3:])] == pytest.approx([LONGEST_WAIT_S] * 2, abs=1)


def test_an_echo_that_is_later_than_five_seconds_proves_nothing(listener: Listener) -> None:
    listener.passes(30, late_s=4)
    assert not listener.pulse.silent
    listener.passes(30, late_s=7)
    assert listener.pulse.silent


def test_a_beat_of_somebody_else_or_twice_the_same_is_no_echo(listener: Listener) -> None:
    listener.passes(1.5)
    last = listener.broker.retained[listener.pulse.topic]
    for _ in range(6):
        listener.passes(1, answers=False)
        listener.pulse.echo(last)
        listener.pulse.echo(b"{}")
    assert listener.pulse.silent


def test_time_in_which_nobody_listened_is_not_held_against_the_broker(listener: Listener) -> None:
    listener.passes(3)
    listener.clock.advance(600)
    listener.passes(3, answers=False)
    assert not listener.pulse.silent


def test_what_is_remembered_of_beats_is_bounded(listener: Listener) -> None:
    listener.passes(300, answers=False)
    assert len(listener.pulse._beats) <= MOST_BEATS
