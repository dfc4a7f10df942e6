"""The real thing: a Mosquitto, a rehearsed plant and the daemon, each a process of its own, at 20 times the wall clock's speed.

Times are real seconds. What one test breaks it mends, so that the processes serve all of them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from facility.bus.interface import Message
from tests.processes import CAPS, METER, POOL, ROOT, SPEED, House, needs_mosquitto

pytestmark = needs_mosquitto


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("live"), stack)


def test_an_override_is_answered_and_in_force_within_two_seconds_planned_around_and_gone_at_its_end(house: House) -> None:
    before = house.ear.told(f"{ROOT}/plan/current")["plan_id"]
    began = time.monotonic()
    answer = house.order(POOL, "short", "cap_w", 150, ttl_s=5 * SPEED)
    assert (answer["status"], answer["effective"]) == ("accepted", 150)
    house.until(lambda: house.highest_cap() <= 150, 2 - (time.monotonic() - began), "the cap")
    house.until(lambda: house.ear.told(f"{ROOT}/override/{POOL}/state"), 2, "the state")

    def next_plan() -> Any:
        plan = house.ear.told(f"{ROOT}/plan/current")
        return plan if plan["plan_id"] != before else None

    house.until(next_plan, 4, "the next plan")
    assert next_plan()["steps"][0]["caps_w"]["h1-b"] <= 150
    reported = f"{ROOT}/cap/h1/h1-b/reported"
    house.until(lambda: house.ear.told(reported)["enforced_cap_w"] <= 150, 3, "the agent's obedience")
    house.until(lambda: time.monotonic() - began >= 4.8, 5, "the end")
    assert house.highest_cap() <= 150
    house.until(lambda: house.ear.newest[f"{ROOT}/override/{POOL}/state"] == b"", 2.2, "an empty state")
    house.until(lambda: house.highest_cap() > 150, 4, "higher caps")
    assert house.ear.since(began, f"{ROOT}/override/{POOL}/result")[-1]["status"] == "expired"


def test_a_cap_below_what_a_gpu_takes_is_clamped_and_the_same_id_acts_once(house: House) -> None:
    answer = house.order(POOL, "low", "cap_w", 50)
    assert (answer["status"], answer["effective"]) == ("clamped", 100)
    assert house.order(POOL, "low", "cap_w", 300)["status"] == "duplicate"
    house.until(lambda: house.highest_cap() == 100, 2, "the lowest cap")
    house.clear(POOL, "low")
    house.until(lambda: house.highest_cap() > 100, 4, "higher caps")


def test_an_mqtt_5_sender_gets_its_answer_where_it_asked_for_it(house: House) -> None:
    request = json.dumps({"id": "five", "kind": "cap_w", "value": 4000, "ttl_s": 10, "by": "ann"})
    properties = ("-V", "mqttv5", "-D", "publish", "response-topic", "ops/ann", "-D", "publish", "correlation-data", "no-7")
    began = house.publish(f"{ROOT}/override/pool/h2/h2-a/set", request, *properties)

    def answered() -> list[Message]:
        return [m for at, m in list(house.ear.heard) if at >= began and m.topic == "ops/ann"]

    house.until(answered, 2, "an answer on the response topic")
    assert json.loads(answered()[0].payload)["status"] == "clamped"
    assert answered()[0].correlation == b"no-7"


def test_garbage_is_answered_and_stops_nothing(house: House) -> None:
    topic = f"{ROOT}/override/site/set"
    began = time.monotonic()
    for payload in (b"{bad", b"[" * 100_000, b"\xff\xfe\x00", b'"' + b"x" * 70 * 1024 + b'"', b"null"):
        house.publish(topic, payload)
        house.publish(f"{ROOT}/job/j/spec", payload)
        house.publish(METER, payload)
    house.until(lambda: len(house.ear.since(began, f"{ROOT}/override/site/result")) == 5, 2, "five answers")
    assert {answer["status"] for answer in house.ear.since(began, f"{ROOT}/override/site/result")} == {"rejected"}
    assert house.daemon.poll() is None
    assert house.order(POOL, "still-there", "cap_w", 200)["status"] == "accepted"
    house.clear(POOL, "still-there")


def test_an_import_limit_is_metered_within_ten_seconds(house: House) -> None:
    house.until(lambda: house.mode() == "NORMAL", 5, "a plan")
    assert house.metered(house.began)[-1] > 640
    began = time.monotonic()
    assert house.order("grid/main", "limit", "import_limit_kw", 640)["status"] == "accepted"
    house.until(lambda: house.metered(began)[-1:] and house.metered(began)[-1] <= 640, 10, "an import of 640 kW")
    house.clear("grid/main", "limit")


def test_a_broker_that_dies_gets_back_what_it_lost(house: House) -> None:
    house.order(POOL, "lasting", "cap_w", 180)
    house.broker.stop()
    house.ear.newest.clear()
    house.broker.start()
    topics = [CAPS, f"{ROOT}/plan/current", f"{ROOT}/override/{POOL}/state"]
    house.until(lambda: all(house.ear.newest.get(topic) for topic in topics), 10, "what was retained")
    house.until(lambda: house.mode() not in {None, "offline"}, 3, "a heartbeat")
    assert 170 < house.highest_cap() <= 180
    house.until(lambda: house.ear.newest.get(METER), 10, "the plant's meter")


def test_a_killed_daemon_leaves_its_will_and_comes_back_with_its_overrides(house: House) -> None:
    house.until(lambda: house.ear.told(f"{ROOT}/override/{POOL}/state"), 2, "the override of the test before")
    before = house.ear.told(CAPS)
    house.daemon.send_signal(signal.SIGKILL)
    house.daemon.wait(5)
    house.until(lambda: any(s["mode"] == "offline" and s["reason"] == "lost" for s in house.statuses()), 3, "the last will")
    house.publish(f"{ROOT}/override/site/set", json.dumps({"id": "kept", "kind": "stop", "by": "eve"}), "-r")
    house.start_daemon()
    house.until(
        lambda: (house.ear.told(CAPS)["epoch"], house.ear.told(CAPS)["seq"]) > (before["epoch"], before["seq"]), 6, "caps"
    )
    assert 170 < house.highest_cap() <= 180
    assert house.ear.told(f"{ROOT}/override/{POOL}/state")["overrides"][0]["id"] == "lasting"
    house.until(lambda: house.mode() == "NORMAL", 6, "a plan")
    assert house.ear.since(house.began, f"{ROOT}/override/site/result")[-1]["status"] == "rejected"
    assert house.ear.told(f"{ROOT}/alarm/retained-command")["place"] == f"{ROOT}/override/site/set"
    subprocess.run(["mosquitto_pub", "-p", str(house.port), "-q", "1", "-t", f"{ROOT}/override/site/set", "-n", "-r"], check=True)
    house.until(lambda: house.ear.told(f"{ROOT}/alarm/retained-command") is None, 2, "the end of the alarm")
    house.clear(POOL, "lasting")


def test_a_solver_that_is_killed_is_replaced_and_the_plan_after_the_next_is_followed(house: House) -> None:
    solver = house.solver()
    os.kill(solver, signal.SIGKILL)
    house.order(POOL, "once-more", "cap_w", 180)
    # the next plan may follow before the heartbeat tells of the one that was held: the log has every change
    house.until(lambda: re.search("-> HOLD: .*SIGKILL", house.said()), 6, "a plan that is held")
    assert house.solver() != solver
    house.clear(POOL, "once-more")
    house.until(lambda: house.mode() == "NORMAL", 6, "a plan")


def test_a_stop_is_clean_and_said_also_amid_a_solve(house: House) -> None:
    solver = house.solver()
    os.kill(solver, signal.SIGSTOP)
    house.order(POOL, "last", "cap_w", 180)
    time.sleep(1)
    began = time.monotonic()
    house.daemon.send_signal(signal.SIGTERM)
    assert house.daemon.wait(5) == 0
    assert time.monotonic() - began < 3
    assert not Path(f"/proc/{solver}").exists()
    house.until(lambda: any(s["mode"] == "offline" and s["reason"] == "stopped" for s in house.statuses()), 2, "a goodbye")
