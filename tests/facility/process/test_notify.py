"""What a service manager hears, on real sockets."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from facility.process.notify import Notify


class Manager:
    """A service manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.settimeout(0.2)

    def heard(self) -> list[str]:
        found = []
        try:
            while True:
                found.append(self.socket.recv(4096).decode())
        except TimeoutError:
            return found


@pytest.fixture(params=["file", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "file" else f"@facility-test-{os.getpid()}"


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    made = Manager(address)
    yield made
    made.socket.close()


def test_a_life_is_told_in_the_words_of_the_protocol(manager: Manager, address: str) -> None:
    notify = Notify(address)
    before_us = time.monotonic_ns() // 1000
    notify.ready()
    notify.status("NORMAL: plan 1\nverified")
    notify.alive()
    notify.reloading()
    notify.ready()
    notify.stopping()
    first, status, alive, reloading, again, last = manager.heard()
    assert (first, status, alive, again, last) == ("READY=1", "STATUS=NORMAL: plan 1 verified", "WATCHDOG=1", "READY=1", "STOPPING=1")
    said, _, at = reloading.partition("\nMONOTONIC_USEC=")
    assert said == "RELOADING=1"
    assert before_us <= int(at) <= time.monotonic_ns() // 1000


def test_what_was_said_is_not_said_again(manager: Manager, address: str) -> None:
    notify = Notify(address)
    for _ in range(3):
        notify.ready()
        notify.status("HOLD: no solver")
    assert manager.heard() == ["READY=1", "STATUS=HOLD: no solver"]


def test_without_a_manager_nothing_is_said_and_nothing_fails() -> None:
    notify = Notify(None)
    assert not notify.listened_to
    notify.ready()
    notify.alive()


def test_a_manager_that_is_gone_or_does_not_read_delays_nobody(manager: Manager, address: str) -> None:
    notify = Notify(address)
    began = time.monotonic()
    for _ in range(10_000):
        notify.alive()
    manager.socket.close()
    notify.alive()
    assert time.monotonic() - began < 2


def test_our_children_do_not_speak_for_us(monkeypatch: pytest.MonkeyPatch, manager: Manager, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    Notify.of_environment().alive()
    assert manager.heard() == ["WATCHDOG=1"]
    assert "NOTIFY_SOCKET" not in os.environ
