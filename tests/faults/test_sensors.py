"""Sensors that lie, fall silent or contradict each other, on a bus in memory with the real solver: no cap rises over it, and it is named.

The site is that of `tests/facility/test_blind.py`; hall `h` has one thermometer, hall `k` five.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facility.site import Site
from facility.snapshot import Snapshot
from tests.facility.test_blind import COOL, OTHER, SITE, TRUTH, Blind
from tests.facility.test_quality import METER, RAW
from tests.faults.fault import Fault

BESIDE = tuple(f"{OTHER}-{i}" for i in (2, 3, 4, 5))
RULES = {COOL: {"still_after": 12}, OTHER: {"redundant": BESIDE}}
MANY = Site.model_validate(RAW | {
    "halls": {f"h{i}": RAW["halls"]["h"] for i in range(25)},
    "pools": {f"h{i}-p{j}": RAW["pools"]["a"] | {"hall": f"h{i}"} for i in range(25) for j in range(19)},
})  # fmt: skip
"""25 halls of 19 pools and a thermometer."""
POOL_A, UPS = "h/pool/a/it_power_kw", "site/feeder/ups/power_kw"


class Sensors(Blind):
    """A house whose sensors can be made to fail: `silent` ones say nothing, `spoilt` ones what they are told to."""

    def __init__(self, path: Path, site: Site = SITE) -> None:
        super().__init__(path, site)
        self.silent: set[str] = set()
        self.spoilt: dict[str, float] = {}
        self.exact: set[str] = set()

    def go_on(self, seconds: float) -> Snapshot:
        """Let time pass; what is known then."""
        self.pass_by(seconds, without=frozenset(self.silent), exact=frozenset(self.exact), **self.spoilt)
        return self.daemon.rooms.known.situation(self.clock.now()).snapshot

    def on_the_bus(self, seconds: float) -> dict[str, list[float]]:
        """What an ear at the broker hears of each sensor while time passes."""
        while self.ear.receive(0.0) is not None:
            pass
        self.go_on(seconds)
        found: dict[str, list[float]] = {}
        while (message := self.ear.receive(0.0)) is not None:
            if message.topic.endswith("/batch/gw"):
                hall = message.topic.split("/")[-3]
                for point, value in msgspec.json.decode(message.payload)["values"].items():
                    found.setdefault(f"{hall}/{point}", []).append(value)
        return found

    def allow_more(self) -> dict[str, int]:
        """Twice the power from the grid, and a plan; the highest cap of each pool then."""
        self.limit(150)
        self.go_on(5)
        self.daemon.cycle()
        return self.highest()

    def alarm(self, name: str) -> Any:
        return self.retained(f"alarm/{name}")


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Sensors]:
    """A house that was planned with a limit of 70 kW, so that more of it raises both caps."""
    made = Sensors(tmp_path / "journal.sqlite", Site.model_validate(SITE.model_dump() | {"sensors": RULES}))
    made.spoilt = dict.fromkeys(BESIDE, 24.0)
    made.limit(70)
    made.go_on(100)
    made.daemon.cycle()
    yield made
    made.kill()


def test_fault_10_a_thermometer_that_falls_silent_raises_no_cap_of_its_hall(room: Sensors, fault: Fault) -> None:
    before = room.highest()
    fault(lambda: room.silent.add(COOL))
    fault.proven(lambda: COOL not in room.on_the_bus(60), "it is still heard", within_s=0)
    after = room.allow_more()
    assert after["a"] <= before["a"]
    assert after["b"] > before["b"]
    assert room.alarm("lost-h-hall-h-air-temperature-c")["severity"] == "alarm"


def test_fault_11_a_thermometer_that_stands_still_raises_no_cap_of_its_hall(room: Sensors, fault: Fault) -> None:
    before = room.highest()
    fault(lambda: room.exact.add(COOL))
    fault.proven(lambda: len(set(room.on_the_bus(90)[COOL])) == 1, "it still moves", within_s=0)
    after = room.allow_more()
    assert after["a"] <= before["a"]
    assert after["b"] > before["b"]
    assert "to the last digit since" in room.alarm("stuck-h-hall-h-air-temperature-c")["cause"]


def test_fault_12_a_spike_of_the_meter_is_cut_at_once_and_one_of_a_thermometer_reaches_no_plan(room: Sensors, fault: Fault) -> None:
    fault(lambda: room.spoilt.update({METER: 250.0, COOL: 34.0}))
    fault.proven(lambda: room.on_the_bus(5)[METER][-1] > 200, "the meter shows what it did", within_s=0)
    assert set(room.highest().values()) == {100}
    seen = room.daemon.rooms.known.situation(room.clock.now()).snapshot
    assert (seen.import_kw, seen.import_high_kw) == (pytest.approx(65, abs=0.1), pytest.approx(250, abs=0.1))
    assert seen.hall_c["h"] == pytest.approx(24.0, abs=0.1)


@pytest.mark.parametrize(("key", "value", "unit"), [(METER, 65_000.0, "W"), (COOL, 75.2, "degF")])
def test_fault_13_a_reading_in_another_unit_is_refused_and_its_unit_named(room: Sensors, fault: Fault, key: str, value: float, unit: str) -> None:
    before = room.highest()
    fault(lambda: room.spoilt.update({key: value}))
    fault.proven(lambda: room.on_the_bus(60)[key][-1] > 70, "it is told in its own unit", within_s=0)
    seen = room.go_on(5)
    assert f"would fit in {unit}" in seen.doubts[key].says
    assert seen.import_kw == pytest.approx(65, abs=0.1), "the meter's, or what hangs on it"
    assert (room.allow_more()["a"] <= before["a"]) is (key == COOL)


def test_fault_14_one_of_several_that_drifts_is_named_and_moves_nothing(room: Sensors, fault: Fault) -> None:
    for drift in range(30):
        fault(lambda drift=drift: room.spoilt.update({BESIDE[2]: 24.0 + 0.2 * drift}))
        room.go_on(5)
    fault.proven(lambda: room.on_the_bus(90)[BESIDE[2]][-1] > 27, "it shows what the others do", within_s=0)
    seen = room.go_on(5)
    assert {key: doubt.kind for key, doubt in seen.doubts.items()} == {BESIDE[2]: "drift"}
    assert seen.hall_c["k"] == pytest.approx(24.0, abs=0.1)
    assert room.alarm("drift-k-hall-k-air-temperature-c-4")["severity"] == "warning"


def test_fault_15_racks_that_are_not_their_feeder_are_told_as_one_balance(room: Sensors, fault: Fault) -> None:
    fault(lambda: room.spoilt.update({UPS: 20.0}))
    fault.proven(lambda: room.on_the_bus(90)[UPS][-1] < 25 < 2 * room.on_the_bus(5)[POOL_A][-1], "the sum is what the UPS shows", within_s=0)
    seen = room.go_on(5)
    assert {key: doubt.kind for key, doubt in seen.doubts.items()} == {UPS: "balance"}
    assert seen.feeder_kw["ups"] > 40, "the greater side counts"
    assert "ups's meter shows 20 kW, what hangs on it 44.88 kW" in room.alarm("balance-ups")["cause"]


def test_fault_16_with_every_sensor_lost_the_caps_fit_the_limit_at_worst_and_none_rises(room: Sensors, fault: Fault) -> None:
    before = room.highest()
    fault(lambda: room.silent.update((*TRUTH, *BESIDE)))
    fault.proven(lambda: not room.on_the_bus(60), "somebody is heard", within_s=0)
    dark = room.highest()
    assert sum(dark.values()) < sum(before.values())
    after = room.allow_more()
    assert all(after[pool] <= dark[pool] for pool in dark)
    assert room.alarm("sensors-site") is not None
    assert "nothing measures the power at the grid" in room.daemon.outcome.reason


def test_fault_17_a_fifth_of_a_zone_lost_is_told_and_stops_nothing(room: Sensors, fault: Fault) -> None:
    before = room.highest()
    fault(lambda: room.silent.add(BESIDE[0]))
    fault.proven(lambda: BESIDE[0] not in room.on_the_bus(60), "it is still heard", within_s=0)
    assert room.alarm("lost-k-hall-k-air-temperature-c-2")["severity"] == "warning"
    after = room.allow_more()
    assert all(after[pool] > before[pool] for pool in before)


def test_fault_56_500_sensors_that_are_lost_are_one_alarm(tmp_path: Path, fault: Fault) -> None:
    many = Sensors(tmp_path / "journal.sqlite", MANY)
    try:
        telemetry = many.daemon.rooms.known._telemetry
        many.truth = {key: sensor.low + 0.3 * (sensor.high - sensor.low) for key, sensor in telemetry._readings.sensors.items()}
        many.go_on(30)
        assert len(many.truth) > 500
        fault(lambda: many.silent.update(many.truth))
        fault.proven(lambda: not many.on_the_bus(60), "somebody is heard", within_s=0)
        standing = [topic for topic in many.broker.retained if "/alarm/" in topic]
        assert standing == ["facility/v1/s/alarm/sensors-site"]
    finally:
        many.kill()
