"""The dsx profile answers a client written straight from the AsyncAPI files, over a real broker, from a real daemon process.

The client knows github NVIDIA/dsx-exchange (Apache-2.0) and nothing of ours, but for a pool's agent, which does as caps say. It is a
building management system of one hall of racks, and an ISV that orders. The daemon's clock is `SPEED` times as fast as the wall.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import paho.mqtt.client as paho
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, KeySet

from tests.processes import Mosquitto, end, needs_mosquitto, patience

pytestmark = needs_mosquitto

SITE = "site_configs/dallas.yaml"
SPEED = 40
BEGIN = datetime(2026, 7, 15, 10, tzinfo=UTC)
STATE, BREACH = "grid/v1/dsx-flex-agent/dallas/powerstate/status", "grid/v1/dsx-flex-agent/dallas/powerbreach"
RACKS = 38
UNITS = {"UTILITY": ("W", 1000.0), "U1": ("kW", 1.0)}  # the meter of the utility counts watts


class Client:
    """A building, an ISV and a pool's agent on one connection. `meter_kw` is what the building draws."""

    def __init__(self, port: int, key: ECKey, epoch_s: float) -> None:
        self.key, self.epoch_s, self.meter_kw, self.over = key, epoch_s, 180.0, threading.Event()
        self.heard: list[tuple[str, int, dict[str, Any]]] = []
        self.mqtt = paho.Client(paho.CallbackAPIVersion.VERSION2, "client")
        self.mqtt.on_message = lambda _client, _data, message: self.hear(message)
        self.mqtt.connect("127.0.0.1", port)
        self.mqtt.subscribe([(STATE, 1), (BREACH, 2), ("facility/v1/dallas/cap/+/+/desired", 1), ("facility/v1/dallas/svc/+/status", 1)])
        self.mqtt.loop_start()
        self.describe()
        threading.Thread(target=self.measure, daemon=True).start()

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=(time.time() - self.epoch_s) * SPEED)

    def publish(self, topic: str, payload: Any, qos: int = 0, *, retain: bool = False) -> None:
        self.mqtt.publish(topic, json.dumps(payload), qos, retain)

    def hear(self, message: paho.MQTTMessage) -> None:
        told = json.loads(message.payload)
        if message.topic.endswith("/desired"):
            self.publish(message.topic.replace("/desired", "/reported"), self.obeyed(told), 1)
        else:
            self.heard.append((message.topic, message.qos, told))

    def obeyed(self, order: dict[str, Any]) -> dict[str, Any]:
        highest = max([order["cap_w"], *(group["cap_w"] for group in order["groups"])])
        at_ms = int(self.now().timestamp() * 1000)
        return {"timestamp": at_ms, "epoch": order["epoch"], "seq": order["seq"], "enforced_cap_w": highest, "groups": order["groups"]}

    def describe(self) -> None:
        for name, (unit, _) in UNITS.items():
            metadata = {
                "objectType": "PowerMeter", "pointType": "ActivePower", "objectName": name, "servesId": [], "engUnit": unit,
                "objectId": name if name == "UTILITY" else f"PM-{name}",
            }  # fmt: skip
            self.publish(f"BMS/v1/PUB/Metadata/PowerMeter/ActivePower/dal/{name}", metadata, 1, retain=True)
        for i in range(RACKS):
            metadata = {"objectType": "Rack", "pointType": "RackPower", "rackLocationName": f"r{i}", "rackLocationId": f"H1-{i:02d}", "engUnit": "kW"}
            self.publish(f"BMS/v1/PUB/Metadata/Rack/RackPower/dal/h1/{i}", metadata, 1, retain=True)

    def measure(self) -> None:
        while not self.over.wait(0.2):
            values = {f"PowerMeter/ActivePower/dal/{name}": self.meter_kw * scale for name, (_, scale) in UNITS.items()}
            values |= {f"Rack/RackPower/dal/h1/{i}": 0.7 * self.meter_kw / RACKS for i in range(RACKS)}
            at_ms = int(self.now().timestamp() * 1000)
            for point, value in values.items():
                self.publish(f"BMS/v1/PUB/Value/{point}", {"value": value, "timestamp": at_ms, "quality": 1})

    def order(self, kw: float | None) -> str:
        """Send a load target without an end, signed; its correlation id."""
        constraint = None if kw is None else {"value": kw / 1000, "unit": "megawatt"}
        data = {"targets": [{"interval": {}, "feed_tags": ["main-a"], "load_constraint": constraint}]}
        correlation = str(uuid4())
        event = {
            "specversion": "1.0.2", "id": str(uuid4()), "source": "//grid/v1/isv/lone-star-flex", "type": "grid.loadtarget.set.v1",
            "time": self.now().isoformat(), "datacontenttype": "application/json", "subject": "loadtarget", "correlationid": correlation,
            "traceparent": f"00-{uuid4().hex}-00f067aa0ba902b7-01",
            "data": jws.serialize_compact({"alg": "ES256", "kid": self.key.kid}, json.dumps(data), self.key),
        }  # fmt: skip
        self.publish("grid/v1/isv/lone-star-flex/loadtarget/set", event, 1)
        return correlation

    def states(self, correlation: str) -> list[tuple[str, dict[str, Any]]]:
        told = [event for topic, _, event in self.heard if topic == STATE and event.get("correlationid") == correlation]
        return [(feed["event"], feed) for event in told for feed in [event["data"]["feeds"]["main-a"]]]

    def breaches(self) -> list[tuple[int, dict[str, Any]]]:
        return [(qos, event["data"]) for topic, qos, event in self.heard if topic == BREACH]

    def status(self) -> dict[str, Any]:
        return next((told for topic, _, told in reversed(self.heard) if "/svc/" in topic), {})

    def close(self) -> None:
        self.over.set()
        self.mqtt.loop_stop()
        self.mqtt.disconnect()


class House:
    def __init__(self, folder: Path) -> None:
        self.folder, epoch_s = folder, time.time()
        key = ECKey.generate_key("P-256", {"kid": "lone-star"})
        (folder / "isv.jwks").write_text(json.dumps(KeySet([key]).as_dict(private=False)))
        self.broker = Mosquitto(folder)
        self.client = Client(self.broker.port, key, round(epoch_s, 3))
        settings = {
            "bus.profile": "dsx", "bus.dsx.signing_key_file": "null", "bus.dsx.infra_agents": "{}",
            "bus.dsx.isvs": f"{{lone-star-flex: {{keys_file: {folder / 'isv.jwks'}}}}}",
        }  # fmt: skip
        command = [sys.executable, "-m", "facility", "run", SITE, "--broker", self.broker.url, "--state", str(folder / "journal.sqlite")]
        command += ["--clock", f"{SPEED}@{epoch_s:.3f}:{BEGIN.isoformat()}"]
        command += [part for key_value in settings.items() for part in ("--set", "=".join(key_value))]
        self.log = (folder / "daemon.log").open("wb")
        self.daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def until(self, holds: Callable[[], Any], seconds: float, what: str) -> Any:
        began = time.monotonic()
        while not (found := holds()):
            if time.monotonic() - began > seconds * patience():
                pytest.fail(f"{what} did not come within {seconds} s; the daemon said:\n{(self.folder / 'daemon.log').read_text()[-3000:]}")
            time.sleep(0.02)
        return found

    def close(self) -> None:
        end(self.daemon)
        self.log.close()
        self.client.close()
        self.broker.stop()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def test_the_dsx_profile_answers_a_client_written_straight_from_the_asyncapi_files(house: House) -> None:
    client = house.client
    house.until(lambda: client.status().get("mode") == "NORMAL", 30, "a plan")

    correlation = client.order(130.0)
    told = house.until(lambda: client.states(correlation), 5, "the power state")
    assert told[0][0] == "target_set"
    (target,) = told[0][1]["targets"]
    assert (target["active"], target["load_constraint"], target["correlation_id"]) == (True, {"value": 0.13, "unit": "megawatt"}, correlation)
    house.until(lambda: "start_ramp_down" in [name for name, _ in client.states(correlation)], 5, "the ramp")

    client.meter_kw = 128.0
    house.until(lambda: "end_ramp_down" in [name for name, _ in client.states(correlation)], 10, "the end of the ramp")
    last = client.states(correlation)[-1][1]
    assert (last["compliant"], last["in_flight"]) == (True, False)
    assert last["calculated_load"]["value"] <= 130.0
    assert not client.breaches()

    client.meter_kw = 140.0  # the plant does not follow
    house.until(client.breaches, 60 / SPEED + 10, "the breach")
    client.meter_kw = 120.0
    house.until(lambda: len(client.breaches()) == 2, 60 / SPEED + 10, "its end")
    (qos, active), (_, resolved) = client.breaches()
    assert (qos, active["status"], active["severity"], active["feed_tag"]) == (2, "active", "warning", "main-a")
    assert active["measured_load"] == {"value": 140.0, "unit": "kilowatt"}
    assert active["infrastructure_actions"] == ["SHUTDOWN_NODES"]
    assert (resolved["status"], resolved["infrastructure_actions"]) == ("resolved", [])
    assert active["breach"]["breach_id"] == resolved["breach"]["breach_id"]
    assert active["target"]["correlation_id"] == correlation

    over = client.order(None)
    told = house.until(lambda: client.states(over), 5, "the end of the target")
    assert told[0][1]["targets"] == []
