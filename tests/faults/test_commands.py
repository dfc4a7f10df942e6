"""Faults 33 to 35: commands that come twice, from another day, or with times that make no sense."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.faults.conftest import PATIENCE_S, WiredHouse
from tests.faults.fault import Fault
from tests.faults.sender import Sender
from tests.processes import CAPS, POOL, ROOT, needs_mosquitto

pytestmark = needs_mosquitto
SET, RESULT, STATE = (f"{ROOT}/override/{POOL}/{what}" for what in ("set", "result", "state"))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def command(name: str, **more: Any) -> bytes:
    times = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in more.items()}
    return json.dumps({"id": name, "kind": "cap_w", "value": 170, "by": "ann", "reason": "a test"} | times).encode()


def heard(house: WiredHouse, since: float, payload: bytes, times: int = 1) -> bool:
    return [m.payload for m in house.ear.messages(since, SET)].count(payload) >= times


def test_fault_33_a_command_that_comes_twice_or_more_acts_once(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 20, "a plan")
    payload, began = command("doubled", ttl_s=3600), time.monotonic()

    def send() -> None:
        with Sender(house.port) as sender:
            sender.publish(SET, payload, ticket=7)
            for _ in range(4):
                sender.publish(SET, payload, ticket=7, again=True)
            sender.settle()

    fault(send)
    fault.proven(lambda: heard(house, began, payload, 5), "it came but once")
    house.until(lambda: len(house.ear.since(began, RESULT)) == 5, 2, "five answers")
    first, *others = house.ear.since(began, RESULT)
    assert first["status"] == "accepted"
    assert {(other["status"], other["effective"], other["until"]) for other in others} == {("duplicate", 170, first["until"])}
    assert [override["id"] for override in house.ear.told(STATE)["overrides"]] == ["doubled"]
    house.clear(POOL, "doubled")
    house.until(lambda: not house.ear.told(STATE), 2, "its end")
    with Sender(house.port) as sender:
        cleared = time.monotonic()
        sender.publish(SET, payload, ticket=7, again=True)
    assert house.answer(POOL, "doubled", cleared)["status"] == "duplicate"
    assert not house.ear.told(STATE)


def test_fault_34_what_was_in_force_yesterday_does_not_act_again_and_raises_an_alarm(house: WiredHouse, fault: Fault) -> None:
    payload, began = command("yesterday", ttl_s=20), time.monotonic()
    house.publish(SET, payload)
    assert house.answer(POOL, "yesterday", began)["status"] == "accepted"
    house.until(lambda: "by ann" in house.ear.told(CAPS)["reason"], 2, "her cap")
    house.until(lambda: any(answer["status"] == "expired" for answer in house.ear.since(began, RESULT)), 4, "its end")
    house.until(lambda: house.highest_cap() > 170, PATIENCE_S, "caps that have risen again")
    again = time.monotonic()
    fault(lambda: house.publish(SET, payload))
    fault.proven(lambda: heard(house, again, payload), "nobody replays it")
    assert house.answer(POOL, "yesterday", again)["status"] == "duplicate"
    assert not house.ear.told(STATE)
    house.until(lambda: house.ear.told(f"{ROOT}/alarm/old-command"), 2, "an alarm")
    assert "yesterday" in house.ear.told(f"{ROOT}/alarm/old-command")["cause"]
    assert not any("by ann" in sent["reason"] for sent in house.ear.since(again, CAPS))


def test_fault_34_a_command_that_the_broker_retained_is_refused_and_raises_an_alarm(house: WiredHouse, fault: Fault) -> None:
    def send() -> None:
        house.wire.cut()  # a live subscriber is not told that a message is retained
        house.publish(SET, command("kept", ttl_s=3600), "-r")

    def kept() -> bool:
        ask = ["mosquitto_sub", "-p", str(house.port), "-t", SET, "-F", "%r", "-W", "1"]
        return subprocess.run(ask, check=False, capture_output=True, text=True, timeout=5).stdout.startswith("1")

    began = time.monotonic()
    fault(send)
    try:
        fault.proven(kept, "the broker retains nothing")
        house.wire.mend()
        answer = house.answer(POOL, "kept", began, 6)
        assert (answer["status"], "retained" in answer["reason"]) == ("rejected", True)
        house.until(lambda: house.ear.told(f"{ROOT}/alarm/retained-command"), 2, "an alarm")
        assert house.ear.told(f"{ROOT}/alarm/retained-command")["place"] == SET
        assert not house.ear.told(STATE)
    finally:
        house.wire.mend()
        subprocess.run(["mosquitto_pub", "-p", str(house.port), "-q", "1", "-t", SET, "-n", "-r"], check=True)
    house.until(lambda: not house.ear.told(f"{ROOT}/alarm/retained-command"), 3, "the end of the alarm")


@pytest.mark.parametrize(
    ("name", "times", "status", "until", "says"),
    [
        ("no-expiry", {}, "accepted", HOUR, "until"),
        ("too-long", {"ttl_s": 30 * 86_400}, "clamped", DAY, "at most 1 day"),
        ("end-too-far", {"end": 30 * DAY}, "clamped", DAY, "at most 1 day"),
        ("past", {"start": -DAY, "end": -DAY + HOUR}, "expired", None, "has passed; it is"),
        ("past-ttl", {"start": -DAY, "ttl_s": 3600}, "expired", None, "has passed; it is"),
        ("end-before-start", {"start": HOUR, "end": HOUR / 2}, "expired", None, "not after its start"),
        ("slow-clock", {"end": -HOUR + timedelta(minutes=5)}, "expired", None, "has passed; it is"),
        ("fast-clock", {"start": timedelta(minutes=10), "ttl_s": 3600}, "accepted", HOUR + timedelta(minutes=10), "from"),
        ("clock-of-next-week", {"start": 7 * DAY, "ttl_s": 3600}, "rejected", None, "starts more than 1 day"),
        ("clock-of-1970", {"start": datetime.fromisoformat("1970-01-01T00:00:00Z"), "ttl_s": 3600}, "expired", None, "has passed"),
        ("no-time-at-all", {"ttl_s": 0}, "rejected", None, "ttl_s"),
        ("endless", {"ttl_s": 1e300}, "rejected", None, "ttl_s"),
        ("end-without-zone", {"end": "2026-07-15T23:00:00"}, "rejected", None, "end"),
    ],
)
def test_fault_35_times_that_make_no_sense_are_bounded_or_refused_and_the_answer_says_so(
    house: WiredHouse, fault: Fault, name: str, times: dict[str, Any], status: str, until: timedelta | None, says: str
) -> None:
    now, began = house.now(), time.monotonic()
    payload = command(name, **{key: now + value if isinstance(value, timedelta) else value for key, value in times.items()})
    fault(lambda: house.publish(SET, payload))
    fault.proven(lambda: heard(house, began, payload), "nobody sends it")
    answer = house.answer(POOL, name, began)
    assert (answer["status"], says in answer["reason"]) == (status, True), answer
    if until is None:
        assert not house.ear.told(STATE)
    else:
        assert datetime.fromisoformat(answer["until"]) - now == pytest.approx(until, abs=timedelta(seconds=40))
        house.clear(POOL, name)
