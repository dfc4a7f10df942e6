"""Client: a short visit to the bus, for commands that ask the daemon something."""

from __future__ import annotations

import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from facility.bus.broker import Broker
from facility.bus.interface import Message
from facility.bus.messages import OverrideResult, QuoteResult, Rejected, WhatIfResult, WhyResult, decode
from facility.bus.mqtt import MqttBus
from facility.errors import Fault, InputError

R = TypeVar("R", OverrideResult, WhatIfResult, WhyResult, QuoteResult)

CONNECT_S = 5.0
ANSWER_S = 5.0
LOOK_S = 0.1
"""How long a Ctrl-C waits to be noticed."""


@contextmanager
def visit(broker: Broker) -> Iterator[MqttBus]:
    """A connected bus; InputError where the broker does not answer or refuses us."""
    bus = MqttBus(broker, f"facility-cli-{uuid.uuid4().hex[:8]}")
    try:
        if not bus.wait_connected(CONNECT_S):
            found = bus.trouble or "it does not answer"
            remedy = "look at the user, the password and the certificates" if "refuses" in found or "CERT" in found else "start the broker"
            raise InputError(Fault(f"the broker at {broker.place}", found, f"{remedy}, or name another with --broker"))
        yield bus
    finally:
        bus.close()


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets: an exception amid a lock could leave it held for ever. The second is an exception."""
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask_to_stop)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def answer(
    broker: Broker, site_id: str, request: Message, result_topic: str, request_id: str, kind: type[R], within_s: float = ANSWER_S
) -> R | None:
    """Send `request` and wait for the daemon's result on it; None, and a sentence to the user, where none comes in time."""
    with visit(broker) as bus:
        bus.subscribe(result_topic, qos=1)
        bus.publish(request)
        for message in heard(bus, within_s):
            try:
                result = decode(message.payload, kind)
            except Rejected:
                continue
            if result.id == request_id:
                return result
    print(f"facility: no answer within {within_s:g} s: no daemon runs {site_id} on this broker, or it may not hear you", file=sys.stderr)
    return None


def heard(bus: MqttBus, seconds: float, stop: threading.Event | None = None) -> Iterator[Message]:
    """The messages that arrive within `seconds`, or until `stop` is set."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not (stop is not None and stop.is_set()):
        message = bus.receive(left if stop is None else min(left, LOOK_S))
        if message is not None:
            yield message
