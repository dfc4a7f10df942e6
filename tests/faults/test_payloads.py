"""Faults 31 and 32: payloads that no sane sender sends, and more of them than anybody can read."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from facility.bus.interface import MAX_PAYLOAD_BYTES
from tests.faults.conftest import WiredHouse
from tests.faults.fault import Fault
from tests.faults.inside import Inside
from tests.faults.sender import MOST_BYTES, Sender
from tests.processes import METER, POOL, ROOT, needs_mosquitto

pytestmark = needs_mosquitto
HOSTILE = {
    "nested brackets": b"[" * 100_000,
    "nested objects": b'{"a":' * 13_000,
    "an integer of 5,000 digits": b'{"value": ' + b"9" * 5000 + b"}",
    "a repeated field": b'{"id": "twice", "kind": "stop", "kind": "hold", "by": "eve", "by": "ann"}',
    "bad UTF-8": b'{"value": 1, "id": "\xff\xfe\x80"}',
    "a number beyond all": b'{"value": 1e999, "timestamp": -1}',
    "not a number": b'{"value": NaN}',
    "too long": b'{"reason": "' + b"x" * 70_000 + b'"}',
    "nothing but a quote": b'"',
}
TOPICS = [
    METER,
    f"{ROOT}/tele/site/batch/gateway-1",
    f"{ROOT}/grid/main/limit",
    f"{ROOT}/grid/main/event",
    f"{ROOT}/job/no-such-job/spec",
    f"{ROOT}/cap/h1/h1-b/reported",
    f"{ROOT}/override/site/set",
    f"{ROOT}/override/{POOL}/clear",
    f"{ROOT}/svc/other/status",
]


@pytest.mark.parametrize("what", HOSTILE)
def test_fault_31_a_hostile_payload_is_refused_everywhere_and_stops_nothing(house: WiredHouse, fault: Fault, what: str) -> None:
    payload, began, faults = HOSTILE[what], time.monotonic(), house.said().count("a fault in")

    def send() -> None:
        with Sender(house.port) as sender:
            for topic in TOPICS:
                sender.publish(topic, payload)
            sender.settle()

    fault(send)
    seen = payload[: MAX_PAYLOAD_BYTES + 1]
    fault.proven(lambda: all(seen in [m.payload for m in house.ear.messages(began, topic)] for topic in TOPICS), "nobody hears it")
    for target in ("site", POOL):
        told = f"{ROOT}/override/{target}/result"
        house.until(lambda told=told: house.ear.since(began, told), 2, "an answer")
        assert [answer["status"] for answer in house.ear.since(began, told)] == ["rejected"]
    assert house.order(POOL, f"after {what}", "cap_w", 300)["status"] == "accepted"
    house.clear(POOL, f"after {what}")
    assert house.said().count("a fault in") == faults
    assert house.daemon.poll() is None


def test_fault_31_a_payload_of_256_megabytes_is_cut_short_and_refused(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 10, "a plan")
    before_kb, carried, began = house.resident_kb(), house.wire.down.carried, time.monotonic()

    def send() -> None:
        with Sender(house.port) as sender:
            sender.publish_zeros(f"{ROOT}/override/site/set")
            sender.settle()

    fault(send)
    fault.proven(lambda: house.wire.down.carried - carried >= MOST_BYTES, "the broker does not pass it on", 30)
    result = f"{ROOT}/override/site/result"
    house.until(lambda: house.ear.since(began, result), 5, "an answer")
    assert "64 KiB" in house.ear.since(began, result)[-1]["reason"]
    assert house.resident_kb() - before_kb < 64 * 1024
    assert house.order(POOL, "after-256", "cap_w", 300)["status"] == "accepted"
    house.clear(POOL, "after-256")


@pytest.mark.parametrize("size", [1_000_000, MOST_BYTES])
def test_fault_31_a_broker_with_a_limit_does_not_even_pass_it_on(tmp_path: Path, fault: Fault, size: int) -> None:
    with closing(Inside(tmp_path, "message_size_limit 65536")) as inside:
        inside.until(lambda: inside.ear.told(f"{ROOT}/svc/daemon/status"), what="a heartbeat")
        carried, began, sent = inside.wire.down.carried, time.monotonic(), []

        def send() -> None:
            with Sender(inside.broker.port) as sender, suppress(ConnectionError):
                sender.publish_zeros(f"{ROOT}/override/site/set", size)
                sent.append(size)
                sender.settle()

        fault(send)
        fault.proven(lambda: sent == [size], "nobody sent it")
        inside.go_on(1.5)
        assert not inside.ear.messages(began, f"{ROOT}/override/site/set")
        assert inside.wire.down.carried - carried < 100_000
        assert not inside.daemon.rooms.pulse.silent


def test_fault_32_an_override_amid_ten_thousand_messages_a_second_is_answered_within_two_seconds(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 10, "a plan")
    topic, sample = f"{ROOT}/tele/h1/hall/h1/air_temperature_c", json.dumps({"value": 24.5, "quality": 1})
    flood = ["-m", "tests.faults.sender", str(house.port), topic, sample, "10000", "4"]
    carried = house.wire.down.carried
    flooder: Any = fault(lambda: subprocess.Popen([sys.executable, *flood], stdout=subprocess.PIPE, text=True))
    fault.proven(lambda: house.wire.down.carried - carried > 10_000 * len(sample), "nothing floods", 5)
    took_s = []
    for number in range(3):
        began = time.monotonic()
        assert house.order(POOL, f"flooded-{number}", "cap_w", 200 + number)["status"] == "accepted"
        took_s.append(time.monotonic() - began)
        house.until(lambda began=began, w=200 + number: house.ear.told(f"{ROOT}/cap/h1/h1-b/desired")["cap_w"] <= w, 2 - took_s[-1], "the cap")
    assert flooder.poll() is None, "the flood was over before the last order"
    per_s = float(flooder.communicate(timeout=20)[0])
    fault.proven(lambda: per_s > 9000, f"only {per_s:.0f} messages a second")
    house.clear(POOL, "flooded-2")
    assert max(took_s) < 2
