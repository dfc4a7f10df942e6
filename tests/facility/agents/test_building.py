"""Orders that reach the points of a building: a real broker, the real command, and a gateway that behaves as BACnet and Modbus do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.gateway import Bacnet, Gateway, Modbus
from tests.processes import Ear, Mosquitto, end, needs_mosquitto, until

pytestmark = needs_mosquitto
SITE = "site_configs/demo-set-points.yaml"
ROOT = "facility/v1/demo-set-points"


class Here:
    """Broker, gateway, ear, and the agent as a process."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack, self.seq = folder, stack, 0
        self.broker = Mosquitto(folder)
        stack.callback(self.broker.stop)
        self.gateway = Gateway(self.broker.url, Bacnet("ahu-h1", 22.0), Bacnet("ahu-h2", 71.6), Modbus("bess-1", 0))
        stack.callback(self.gateway.close)
        self.ear = Ear(self.broker.url, f"{ROOT}/#")
        stack.callback(self.ear.close)
        self.start()

    def start(self) -> None:
        before = self.said().count("connected to")
        with (self.folder / "agent.log").open("ab") as log:
            command = (sys.executable, "-m", "facility", "agent", "building", SITE, "--broker", self.broker.url)
            self.agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.stack.callback(end, self.agent)
        assert until(lambda: self.said().count("connected to") == before + 1, 30)

    def order(self, thing: str, lasts_s: float = 60.0, *, seq: int | None = None, **what: Any) -> int:
        """Order as the daemon does; the order's number."""
        self.seq = self.seq + 1 if seq is None else seq
        now = datetime.now(UTC)
        told = {"epoch": 1, "seq": self.seq, "issued_at": now.isoformat(), "valid_until": (now + timedelta(seconds=lasts_s)).isoformat(), **what}
        publish = ("mosquitto_pub", "-p", str(self.broker.port), "-q", "1", "-r", "-t", f"{ROOT}/{thing}/desired", "-s")
        subprocess.run(publish, input=json.dumps(told).encode(), check=True, timeout=5)
        return self.seq

    def obeyed(self, thing: str, seq: int) -> bool:
        told = self.ear.told(f"{ROOT}/{thing}/reported")
        return told is not None and told["seq"] == seq

    def said(self) -> str:
        log = self.folder / "agent.log"
        return log.read_text() if log.exists() else ""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with ExitStack() as stack:
        yield Here(tmp_path, stack)


def test_an_order_reaches_registers_is_read_back_and_ends_by_itself(here: Here) -> None:
    seq = here.order("battery/bess-1", 4.0, power_kw=-73.25)
    assert until(lambda: here.obeyed("battery/bess-1", seq))
    assert here.gateway.points["bess-1"].read() == b"-732"
    began = time.monotonic()
    assert until(lambda: here.gateway.points["bess-1"].read() == b"0")
    assert time.monotonic() - began < 5
    assert here.gateway.writes("bess-1") == [b"-732", b"0"]


def test_halls_get_their_temperatures_in_the_gateways_unit_and_slowly_where_they_must(here: Here) -> None:
    seq = here.order("cooling/chiller", halls={"h1": {"temperature_c": 24.0}, "h2": {"temperature_c": 25.0}})
    assert until(lambda: here.gateway.points["ahu-h2"].array.get(15) == 77.0)  # type: ignore[union-attr]
    assert until(lambda: len(here.gateway.writes("ahu-h1")) >= 3)
    steps = [json.loads(payload)["value"] for payload in here.gateway.writes("ahu-h1")]
    assert steps[0] == pytest.approx(22.0, abs=0.02)
    assert all(0 < after - before < 0.1 for before, after in pairwise(steps))
    assert not here.obeyed("cooling/chiller", seq)  # h1 is still on its way
    assert until(lambda: here.ear.told(f"{ROOT}/cooling/chiller/reported")["halls"]["h2"]["temperature_c"] == pytest.approx(25.0))


def test_who_sets_a_point_at_the_machine_keeps_it_and_it_is_handed_back_on_a_clean_stop(here: Here) -> None:
    seq = here.order("cooling/chiller", halls={"h2": {"temperature_c": 25.0}})
    assert until(lambda: here.obeyed("cooling/chiller", seq))
    here.gateway.at_the_machine("ahu-h2", 68.0)
    assert until(lambda: not here.obeyed("cooling/chiller", seq), 15)
    assert until(lambda: "somebody else has set it to 20" in here.said())
    before = len(here.gateway.writes("ahu-h2"))
    here.order("cooling/chiller", halls={"h2": {"temperature_c": 26.0}})
    time.sleep(1)
    assert len(here.gateway.writes("ahu-h2")) == before
    here.gateway.at_the_machine("ahu-h2", None)
    assert until(lambda: here.gateway.points["ahu-h2"].array == {15: 78.8})  # type: ignore[union-attr]
    here.agent.send_signal(signal.SIGTERM)
    assert here.agent.wait(5) == 0
    assert until(lambda: here.gateway.points["ahu-h2"].array == {})  # type: ignore[union-attr]


def test_orders_that_come_late_twice_or_after_their_end_change_nothing(here: Here) -> None:
    seq = here.order("battery/bess-1", power_kw=40.0)
    assert until(lambda: here.obeyed("battery/bess-1", seq))
    here.order("battery/bess-1", seq=seq, power_kw=90.0)
    here.order("battery/bess-1", seq=seq - 1, power_kw=90.0)
    here.order("battery/bess-1", -1.0, seq=seq + 5, power_kw=90.0)
    newest = here.order("battery/bess-1", seq=seq + 6, power_kw=50.0)
    assert until(lambda: here.obeyed("battery/bess-1", newest))
    assert here.gateway.writes("bess-1") == [b"400", b"500"]


def test_what_a_killed_agent_left_behind_is_handed_back_by_the_next_one(here: Here) -> None:
    began = time.monotonic()
    here.order("battery/bess-1", 4.0, power_kw=40.0)
    assert until(lambda: here.gateway.points["bess-1"].read() == b"400", 3.5)
    end(here.agent)
    time.sleep(max(began + 4.5 - time.monotonic(), 0))
    assert here.gateway.points["bess-1"].read() == b"400"  # nobody is there to hand it back
    here.start()
    assert until(lambda: here.gateway.points["bess-1"].read() == b"0")


def test_a_broker_that_is_away_keeps_nothing_from_being_handed_back(here: Here) -> None:
    began = time.monotonic()
    here.order("battery/bess-1", 4.0, power_kw=40.0)
    assert until(lambda: here.gateway.points["bess-1"].read() == b"400", 3.5)
    here.broker.stop()
    time.sleep(max(began + 4.5 - time.monotonic(), 0))
    here.broker.start()
    assert until(lambda: here.gateway.points["bess-1"].read() == b"0", 40)
    assert set(here.gateway.writes("bess-1")) == {b"400", b"0"}


def test_a_site_without_set_points_is_told_what_is_missing() -> None:
    command = (sys.executable, "-m", "facility", "agent", "building", "site_configs/demo.yaml")
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert told.returncode == 2
    assert "bus.set_points: none" in told.stderr
