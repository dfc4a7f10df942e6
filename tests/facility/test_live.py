"""The real thing: a Mosquitto, a rehearsed plant and the daemon, each a process of its own, at 20 times the wall clock's speed.

Times are real seconds. What one test breaks it mends, so that the processes serve all of them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from facility.bus.interface import Message
from facility.bus.mqtt import MqttBus

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(not MOSQUITTO or not shutil.which("mosquitto_pub"), reason="no Mosquitto here")

SITE = "site_configs/demo.yaml"
ROOT = "facility/v1/demo"
SPEED = 20
POOL = "pool/h1/h1-b"
CAPS = f"{ROOT}/cap/h1/h1-b/desired"
METER = f"{ROOT}/tele/site/meter/main/import_kw"


def end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.kill()
    child.wait(5)


class Ear(threading.Thread):
    """Hears everything: the newest message of each topic, and all of them with the instant they came."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.bus = MqttBus(url, "ear", version="5")
        self.bus.subscribe(f"{ROOT}/#", 1)
        self.bus.subscribe("ops/#", 1)
        self.heard: list[tuple[float, Message]] = []
        self.newest: dict[str, bytes] = {}
        self.over = False
        self.start()

    def run(self) -> None:
        while not self.over:
            if (message := self.bus.receive(0.1)) is not None:
                self.newest[message.topic] = message.payload
                self.heard.append((time.monotonic(), message))

    def close(self) -> None:
        self.over = True
        self.join()
        self.bus.close()

    def told(self, topic: str) -> Any:
        """The newest message on a topic; None where there is none, or an empty one."""
        payload = self.newest.get(topic)
        return json.loads(payload) if payload else None

    def since(self, instant: float, topic: str) -> list[Any]:
        return [
            json.loads(m.payload) for at, m in list(self.heard) if at >= instant and m.topic == topic and m.payload[-1:] == b"}"
        ]


class House:
    """The processes."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"mqtt://127.0.0.1:{self.port}"
        (folder / "mosquitto.conf").write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self.epoch = f"{time.time():.3f}:2026-07-15T10:00:00+00:00"
        self.start_broker()
        self.ear = Ear(self.url)
        stack.callback(self.ear.close)
        self.plant = self.child(
            "plant",
            sys.executable,
            "-m",
            "facility.simulate",
            SITE,
            "--broker",
            self.url,
            "--speed",
            str(SPEED),
            "--epoch",
            self.epoch,
        )
        self.start_daemon()
        self.until(lambda: self.mode() == "NORMAL", 15, "a plan")

    def child(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.stack.callback(end, child)
        return child

    def start_broker(self) -> None:
        self.broker = self.child("broker", str(MOSQUITTO), "-c", str(self.folder / "mosquitto.conf"))
        self.until(self.listens, 5, "a broker")

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def start_daemon(self) -> None:
        self.began = time.monotonic()
        self.daemon = self.child(
            "daemon", sys.executable, "-m", "facility", "run", SITE, "--broker", self.url, "--mqtt", "5",
            "--state", str(self.folder / "journal.sqlite"), "--clock", f"{SPEED}@{self.epoch}",
        )  # fmt: skip

    def solver(self) -> int:
        """The process in which the daemon solves; it has no other."""
        parent = {int(p.parent.name): p.read_text().rpartition(")")[2].split()[:2] for p in Path("/proc").glob("[0-9]*/stat")}
        (solver,) = [pid for pid, (state, of) in parent.items() if int(of) == self.daemon.pid and state != "Z"]
        return solver

    def statuses(self) -> list[Any]:
        return [json.loads(payload) for topic, payload in self.ear.newest.items() if topic.startswith(f"{ROOT}/svc/") and payload]

    def mode(self) -> str | None:
        """What the living daemon says of itself, once it has said anything since it was started."""
        last = [m for at, m in list(self.ear.heard) if at >= self.began and m.topic.startswith(f"{ROOT}/svc/") and m.payload]
        return str(json.loads(last[-1].payload)["mode"]) if last else None

    def until(self, holds: Callable[[], Any], seconds: float, what: str) -> float:
        """Wait until something holds; tells how long it took."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > seconds:
                log = self.folder / "daemon.log"
                said = log.read_text()[-3000:] if log.exists() else ""
                pytest.fail(f"{what} did not come within {seconds} s; the daemon said:\n{said}")
            time.sleep(0.02)
        return time.monotonic() - began

    def publish(self, topic: str, payload: str | bytes, *options: str) -> float:
        """Publish with mosquitto_pub; tells the instant before."""
        began = time.monotonic()
        told = payload.encode() if isinstance(payload, str) else payload
        command = ["mosquitto_pub", "-p", str(self.port), "-q", "1", "-t", topic, "-s", *options]
        subprocess.run(command, input=told, check=True, timeout=5)
        return began

    def order(self, target: str, name: str, kind: str, value: float | None = None, ttl_s: float = 3600, **more: Any) -> Any:
        """Send an override; its answer, which must come within 2 s."""
        request = {"id": name, "kind": kind, "value": value, "ttl_s": ttl_s, "by": "ann", "reason": "a test"} | more
        began = self.publish(f"{ROOT}/override/{target}/set", json.dumps({k: v for k, v in request.items() if v is not None}))
        topic = f"{ROOT}/override/{target}/result"
        self.until(lambda: any(r["id"] == name for r in self.ear.since(began, topic)), 2, f"an answer to {name}")
        return next(r for r in self.ear.since(began, topic) if r["id"] == name)

    def clear(self, target: str, name: str) -> None:
        began = self.publish(f"{ROOT}/override/{target}/clear", json.dumps({"id": name, "by": "ann"}))
        topic = f"{ROOT}/override/{target}/result"
        self.until(lambda: any(r["status"] == "cleared" for r in self.ear.since(began, topic)), 2, f"the end of {name}")

    def highest_cap(self) -> int:
        sent = self.ear.told(CAPS)
        return max([sent["cap_w"], *(group["cap_w"] for group in sent["groups"])])

    def metered(self, since: float) -> list[float]:
        return [sample["value"] for sample in self.ear.since(since, METER)]


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
    house.broker.send_signal(signal.SIGKILL)
    house.broker.wait(5)
    house.ear.newest.clear()
    house.start_broker()
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
    house.until(lambda: re.search("-> HOLD: .*SIGKILL", (house.folder / "daemon.log").read_text()), 6, "a plan that is held")
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
