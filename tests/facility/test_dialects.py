"""Buildings that speak their own way: the plant says it in their words, and the mapping of a site file reads all of it back."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.clock import ManualClock
from facility.commands.demo import run_demo
from facility.config import load_site
from facility.errors import InputError
from facility.simulate.device import Device
from facility.simulate.dialects import DIALECTS
from facility.simulate.plant import Plant
from facility.telemetry import Telemetry
from tests.processes import needs_mosquitto

START = datetime(2026, 7, 15, 10, tzinfo=UTC)
BUILDINGS = ("telegraf", "plain", "nested")


class Hall:
    """A plant without noise that speaks a dialect, and what is heard of it."""

    def __init__(self, building: str) -> None:
        self.site = load_site(f"site_configs/demo-{building}.yaml")
        self.plant, broker = Plant(self.site, START, seed=None), MemoryBroker()
        self.clock, self.ear = ManualClock(START), broker.connect()
        self.ear.subscribe("#", 1)
        self.device = Device(self.plant, broker.connect(), self.clock, dialect=DIALECTS[building]())

    def passes(self, seconds: int) -> list[Message]:
        """What is said while time goes by, second by second."""
        heard = []
        for _ in range(seconds):
            self.clock.advance(1)
            self.device.tick()
            while (message := self.ear.receive(0)) is not None:
                heard.append(message)
        return heard


@pytest.mark.parametrize("building", [*BUILDINGS, "dsx"])
def test_what_the_meters_say_in_a_buildings_own_words_is_read_back_whole(building: str) -> None:
    hall = Hall(building)
    telemetry = Telemetry(hall.site)
    assert sum(telemetry.hear(message, hall.plant.now) for message in hall.passes(2)) > 1
    assert set(telemetry.refused) <= ({"unknown"} if building == "dsx" else set())  # there a pool is known with the last of its racks
    snapshot, plant = telemetry.snapshot(hall.plant.now), hall.plant
    assert snapshot.stale == ()
    near = {"rel": 0.01, "abs": 0.01}  # the meters spoke a second ago, when the plant was a little different
    assert snapshot.import_kw == pytest.approx(plant.import_kw, **near)
    assert snapshot.outdoor_c == pytest.approx(plant.outdoor_c, **near)
    assert snapshot.feeder_kw == pytest.approx(plant.feeder_kw, **near)
    assert snapshot.pool_kw == pytest.approx({name: pool.power_kw for name, pool in plant.pools.items()}, **near)
    assert snapshot.hall_c == pytest.approx({name: air.temperature_c for name, air in plant.halls.items()}, **near)
    assert snapshot.battery_kwh == pytest.approx({name: battery.energy_kwh for name, battery in plant.batteries.items()}, **near)
    assert snapshot.cooling_kw == pytest.approx({name: room.power_kw for name, room in plant.cooling.items()}, **near)


@pytest.mark.parametrize("building", [*BUILDINGS, "dsx"])
def test_a_foreign_building_says_nothing_of_its_meters_in_our_own_tree(building: str) -> None:
    own = [message for message in Hall(building).passes(20) if message.topic.startswith(f"facility/v1/demo-{building}/")]
    assert own
    assert {message.topic.split("/")[3] for message in own} == {"cap", "job", "cooling", "battery"}
    for message in own:
        told = json.loads(message.payload)
        assert [told.get(name) for name in ("power_kw", "energy_kwh", "stored_kwh")] == [None] * 3


def test_the_three_buildings_say_the_same_in_different_words() -> None:
    said = {building: Hall(building).passes(1) for building in BUILDINGS}
    topics = {building: {message.topic for message in messages} for building, messages in said.items()}
    assert {"telegraf/gw-h1/pdu", "telegraf/gw-site/modbus"} < topics["telegraf"]
    assert {"bms/H1/IT/H1_A/P", "bms/SITE/ELEC/BUSWAY_1A/P", "bms/H2/HVAC/H2/T"} < topics["plain"]
    assert {"iot/h1", "iot/h2", "iot/site"} < topics["nested"]
    outdoor_f = next(float(message.payload) for message in said["plain"] if message.topic == "bms/SITE/ROOF/OUTDOOR/T")
    site = next(json.loads(message.payload) for message in said["nested"] if message.topic == "iot/site")
    outdoor_c = next(d["data"]["temperature"]["value"] for d in site["devices"] if d["device"]["type"] == "weather")
    assert (outdoor_f - 32) / 1.8 == pytest.approx(outdoor_c, abs=0.01)


def test_a_building_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match="give one of telegraf, plain, nested, dsx"):
        run_demo(None, 60.0, "1s", None, "bacnet")


@needs_mosquitto
def test_the_demonstration_runs_a_foreign_building_through_its_mapping_alone() -> None:
    command = [sys.executable, "-m", "facility", "demo", "--building", "plain", "--for", "90s", "--start", "2026-07-15T10:00:00Z"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONPATH": "."})
    said, shown = [], None
    assert demo.stdout is not None
    for line in demo.stdout:
        said.append(line)
        if (shown := re.search(r"NORMAL: (\d+) of 810 kW", line)) is not None:
            demo.send_signal(signal.SIGINT)
            break
    said += demo.stdout.readlines()
    assert demo.wait(30) == 0, "".join(said)
    assert shown is not None, "".join(said)
    assert 400 < int(shown[1]) < 900
