"""The real thing: a Mosquitto, a rehearsed plant and the daemon, each a process of its own, at 20 times the wall clock's speed.

Times are real seconds. What one test breaks it mends, so that the processes serve all of them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from facility.bus.interface import Message
from facility.commands import status as status_room
from facility.commands.audit import run_audit
from facility.commands.override import Command, run_override
from facility.commands.status import run_status
from tests.processes import CAPS, METER, POOL, ROOT, SITE, SPEED, House, highest_w, needs_mosquitto

pytestmark = needs_mosquitto
ROOMY = ("grid.import_limit_kw=900",)
"""A limit that nothing here comes near: a meter above it makes caps give way, whatever a test waits for."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("live"), stack, settings=ROOMY)


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
    answer = house.order(POOL, "still-there", "cap_w", 100)  # the lowest, which always fits
    assert answer["status"] == "accepted", answer["reason"]
    house.clear(POOL, "still-there")


def test_a_rental_is_quoted_and_its_gpus_are_kept(house: House) -> None:
    start = house.now() + timedelta(hours=3)
    command = (
        *(sys.executable, "-m", "facility", "quote", SITE, "--gpus", "32", "--hours", "2", "--start", start.isoformat(), "--tier", "T2"),
        *("--accept", "quoted-1", "--tenant", "nordlab", "--broker", house.url, "--by", "ann"),
    )
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "accept: accepted" in told.stderr, told.stderr
    assert told.returncode == 0
    house.until(lambda: house.ear.told(f"{ROOT}/contract/quoted-1/state"), 2, "the rental")
    kept = house.ear.told(f"{ROOT}/contract/quoted-1/state")
    assert (kept["gpus"], kept["tenant"], kept["tier"], kept["by"]) == (32, "nordlab", "T2", "ann")
    house.publish(f"{ROOT}/contract/quoted-1/clear", json.dumps({"id": kept["id"], "by": "ann"}))
    house.until(lambda: house.ear.newest[f"{ROOT}/contract/quoted-1/state"] == b"", 2, "the end of the rental")


def test_the_running_daemon_quotes_within_three_seconds_and_holds_to_its_offer(house: House) -> None:
    def quoted(*more: str) -> dict[str, Any]:
        wish = ("--gpus", "32", "--hours", "2", "--within", "12h", "--price", "1.5", "--live", "--broker", house.url, "--by", "ann", "--json")
        done = subprocess.run((sys.executable, "-m", "facility", "quote", SITE, *wish, *more), check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    assert any(quoted()["seconds"] < 3 for _ in range(3)), "or was it the machine?"
    found = quoted("--accept", "quoted-2", "--tenant", "nordlab")
    assert found["cheapest"]["price"] == pytest.approx(1.5 * 32 * 2)
    house.until(lambda: house.ear.told(f"{ROOT}/contract/quoted-2/state"), 2, "the rental")
    kept = house.ear.told(f"{ROOT}/contract/quoted-2/state")
    assert (kept["gpus"], kept["price_per_gpu_h"], kept["version"]) == (32, pytest.approx(1.5), 1)
    house.publish(f"{ROOT}/contract/quoted-2/clear", json.dumps({"id": kept["id"], "by": "ann"}))
    house.until(lambda: house.ear.newest[f"{ROOT}/contract/quoted-2/state"] == b"", 2, "the end of the rental")


def test_an_import_limit_is_metered_within_ten_seconds(house: House) -> None:
    house.until(lambda: house.mode() == "NORMAL", 5, "a plan")
    house.until(lambda: house.metered(house.began)[-1] > 640, 12, "more than that")
    began = time.monotonic()
    assert house.order("grid/main", "limit", "import_limit_kw", 640)["status"] == "accepted"
    house.until(lambda: house.metered(began)[-1:] and house.metered(began)[-1] <= 640, 10, "an import of 640 kW")
    house.clear("grid/main", "limit")


def test_the_history_tells_what_was_measured_planned_and_sent(house: House) -> None:
    def facility(*words: str) -> str:
        command = [sys.executable, "-m", "facility", "history", SITE, "--history", str(house.folder / "demo.history.sqlite"), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    def told() -> dict[str, Any]:
        return {point["point"]: point for point in json.loads(facility(*span, "--json"))["points"]}

    span, key = ("--from", "2026-07-15T10:00Z", "--to", "2026-07-15T12:00Z"), "site/meter/main/import_kw"
    house.until(lambda: house.mode() == "NORMAL", 5, "a plan")
    time.sleep(1.5)  # until what was said before is written down
    bad, began = told()[key]["bad"], time.monotonic()
    house.publish(METER, json.dumps({"value": -1e9}))
    house.until(lambda: time.monotonic() - began > 1.5, 3, "the next second of readings")
    points = told()
    heard = [value for value in house.metered(0) if value > -1e9]
    meter = points[key]
    assert meter["bad"] == bad + 1
    assert 1 < meter["good"] <= len(heard)
    assert min(heard) <= meter["low"] <= meter["mean"] <= meter["high"] <= max(heard)
    planned = [plan["steps"][0]["import_kw"] for plan in house.ear.since(0, f"{ROOT}/plan/current")]
    assert round(points["site/meter/main/planned_import_kw"]["last"], 3) in planned
    assert points["h1/pool/h1-b/sent_cap_w"]["last"] in {highest_w(sent) for sent in house.ear.since(0, CAPS)}
    table = facility(*span, "--points", "site/meter/*", "--every", "1min")
    assert key in table
    assert "gaps of 0:01:00" in table
    out = house.folder / "f.parquet"
    assert f"{720 * len(points):,} means" in facility(*span, "--every", "10s", "--out", str(out))
    assert {row["quality"] for row in parquet.read_table(out).to_pylist()} == {"good", "missing"}


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
    house.clear(POOL, "lasting")


def test_a_battery_and_a_chiller_whose_agent_hangs_are_told_until_they_act_again(house: House) -> None:
    alarms = [f"{ROOT}/alarm/heeds-not-{thing}" for thing in ("battery-bess-1", "cooling-chiller")]
    assert not any(house.ear.told(alarm) for alarm in alarms)
    house.plant.send_signal(signal.SIGSTOP)
    try:
        house.until(lambda: all(house.ear.told(alarm) for alarm in alarms), 2 * 300 / SPEED, "two alarms")
        assert "battery bess-1 does not do what it is told: order " in house.ear.told(alarms[0])["cause"]
    finally:
        house.plant.send_signal(signal.SIGCONT)
    house.until(lambda: not any(house.ear.told(alarm) for alarm in alarms), 30, "their end")


def test_a_killed_daemon_leaves_its_will_and_comes_back_with_its_overrides(house: House) -> None:
    house.order(POOL, "outlives", "cap_w", 180)
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
    assert house.ear.told(f"{ROOT}/override/{POOL}/state")["overrides"][0]["id"] == "outlives"
    house.until(lambda: house.mode() == "NORMAL", 6, "a plan")
    assert house.ear.since(house.began, f"{ROOT}/override/site/result")[-1]["status"] == "rejected"
    assert house.ear.told(f"{ROOT}/alarm/retained-command")["place"] == f"{ROOT}/override/site/set"
    subprocess.run(["mosquitto_pub", "-p", str(house.port), "-q", "1", "-t", f"{ROOT}/override/site/set", "-n", "-r"], check=True)
    house.until(lambda: house.ear.told(f"{ROOT}/alarm/retained-command") is None, 2, "the end of the alarm")
    house.clear(POOL, "outlives")


def test_a_solver_that_is_killed_is_replaced_and_the_plan_after_the_next_is_followed(house: House) -> None:
    solver = house.solver()
    os.kill(solver, signal.SIGKILL)
    house.order(POOL, "once-more", "cap_w", 180)
    # the next plan may follow before the heartbeat tells of the one that was held: the log has every change
    house.until(lambda: re.search("-> HOLD: .*SIGKILL", house.said()), 6, "a plan that is held")
    assert house.solver() != solver
    house.clear(POOL, "once-more")
    house.until(lambda: house.mode() == "NORMAL", 6, "a plan")


def test_a_rental_comes_and_goes_is_told_in_words_and_is_in_the_account(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what an operator's commands say meanwhile: an override by a short name, the status, the audit beside the running daemon."""
    tail = house.child("tail", sys.executable, "-m", "facility", "tail", SITE, "--broker", house.url)
    told = house.folder / "tail.log"
    house.until(lambda: "standing  daemon" in told.read_text(), 5, "the first lines of the tail")
    start, end = house.now(), house.now() + timedelta(hours=1)
    rent = {"id": "rent-1", "by": "desk", "tenant": "lumen", "kind": "on-demand", "pool": "h1-b", "gpus": 64, "curve": "finetune-8b",
            "start": start.isoformat(), "end": end.isoformat(), "floor_speed": 0.5, "value_per_gpu_h": 2}  # fmt: skip
    began = house.publish(f"{ROOT}/contract/lumen-burst/set", json.dumps(rent))
    result = f"{ROOT}/contract/lumen-burst/result"
    house.until(lambda: house.ear.since(began, result), 2, "an answer")
    assert house.ear.since(began, result)[0]["status"] == "accepted"

    def let(topic: str) -> int:
        return sum(group["gpus"] for group in house.ear.told(topic)["groups"] if group["workload"] == "lumen-burst")

    house.until(lambda: let(CAPS) == 64, 4, "caps for the rental")
    house.until(lambda: let(f"{ROOT}/cap/h1/h1-b/reported") == 64, 3, "the rental at work")
    house.publish(f"{ROOT}/signal/load", json.dumps({"unit": "W", "points": []}))
    house.until(lambda: house.ear.told(f"{ROOT}/alarm/signal-load"), 2, "an alarm")
    load = {"points": [{"start": start.isoformat(), "end": end.isoformat(), "value": 20}]}
    house.publish(f"{ROOT}/signal/load", json.dumps(load))
    house.until(lambda: house.ear.told(f"{ROOT}/alarm/signal-load") is None, 2, "the end of the alarm")

    command = Command("set", "h1-b", "cap_w", 180, "30min", 8, "ann", "busbar warm", "by-hand")
    assert run_override(SITE, (), command, house.url, as_json=True) == 0
    monkeypatch.setattr(status_room, "LISTEN_S", 1.3)  # a heart beats every second
    assert run_status(SITE, (), house.url, as_json=True) == 0
    answer, status = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (answer["status"], answer["effective"]) == ("accepted", 180)
    assert list(status["contracts"]) == ["lumen-burst"]
    assert [override["by"] for override in status["overrides"][POOL]] == ["ann"]
    house.clear(POOL, "by-hand")

    began = house.publish(f"{ROOT}/contract/lumen-burst/clear", json.dumps({"id": "rent-1", "by": "desk"}))
    house.until(lambda: house.ear.since(began, result), 2, "an answer")
    house.until(lambda: let(CAPS) == 0, 2, "caps without the rental")
    house.until(lambda: "contract lumen-burst is over" in told.read_text(), 5, "the end of the rental in the tail")
    tail.send_signal(signal.SIGINT)
    assert tail.wait(5) == 0
    lines = told.read_text().splitlines()
    assert not any("Traceback" in line for line in lines)
    for words in (
        "desk asks for contract lumen-burst: 64 GPUs of h1-b for lumen (on-demand)",
        "contract lumen-burst: accepted",
        "W for lumen-burst (64 GPUs)",
        "ann orders a cap of 180 W on pool/h1/h1-b for 30 min (priority 8); busbar warm",
        "in force on pool/h1/h1-b: a cap of 180 W by ann",
        "nothing is in force on pool/h1/h1-b",
        "readings: ",
        "contract lumen-burst is over",
    ):
        assert any(words in line for line in lines), words
    assert run_audit(SITE, (), house.folder / "journal.sqlite", "1h", "desk", None, as_json=True) == 0
    account = json.loads(capsys.readouterr().out)
    assert [(entry["action"], entry["result"]) for entry in account] == [("set", "accepted"), ("clear", "cleared")]
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
