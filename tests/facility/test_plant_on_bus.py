"""The rehearsal plant over a bus: what it says, and that it does what it is told."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker, MemoryBus
from facility.bus.messages import (
    BatteryDesired,
    BatteryReported,
    CapDesired,
    CapGroup,
    CapReported,
    CoolingDesired,
    CoolingReported,
    HallSetpoint,
    JobDesired,
    JobReported,
    JobSpec,
    Meta,
    Payload,
    Sample,
    decode,
    encode,
)
from facility.bus.mqtt import MqttBus
from facility.bus.topics import Topics
from facility.clock import ManualClock, SystemClock
from facility.simulate.device import Device
from facility.simulate.plant import Plant
from facility.site import Site

START = datetime(2026, 1, 15, 11, 0, tzinfo=UTC)
TOPICS = Topics("facility/v1", "tiny")
JOB = "job-1000-00-2026-01-15"
POWER = TOPICS.tele("h1", "pool", "p1", "it_power_kw")
CAP, CAP_REPORTED = TOPICS.cap_desired("h1", "p1"), TOPICS.cap_reported("h1", "p1")

SITE = Site.model_validate(
    {
        "id": "tiny",
        "name": "Tiny",
        "timezone": "UTC",
        "currency": "EUR",
        "grid": {"import_limit_kw": 150},
        "tariff": {"energy_price_per_mwh": 100},
        "weather": {"outdoor_by_hour_c": [20.0] * 24},
        "gpu_models": {
            "g400": {
                "min_cap_w": 100,
                "max_cap_w": 400,
                "idle_w": 50,
                "curves": {
                    "train": {
                        "points": [{"cap_w": 200, "draw_w": 200, "speed": 0.7}, {"cap_w": 400, "draw_w": 370, "speed": 1}],
                        "source": "made up for this test",
                    }
                },
            }
        },
        "feeders": {"main": {"rating_kw": 200}},
        "halls": {
            "h1": {
                "feeder": "main",
                "thermal": {"heat_capacity_kwh_per_k": 5, "resistance_k_per_kw": 0.5, "start_c": 24, "cooling_plant": "chillers"},
            }
        },
        "cooling_plants": {"chillers": {"feeder": "main", "design_heat_kw": 100, "max_heat_kw": 120, "pump_kw": 4, "fan_kw": 3}},
        "pools": {"p1": {"hall": "h1", "feeder": "main", "gpu_model": "g400", "gpus": 200}},
        "batteries": {"b1": {"feeder": "main", "capacity_kwh": 10, "charge_kw": 20, "discharge_kw": 20}},
        "tenants": {"acme": {"name": "Acme"}},
        "contracts": {"rent": {"tenant": "acme", "kind": "reserved", "pool": "p1", "gpus": 40, "curve": "train"}},
        "jobs": {"curve": "train", "contract": "rent"},
        "sample_jobs": [{"submit_local": "10:00", "duration_h": 0.5, "gpus": 80, "slack_h": 4}],
    }
)

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")

P = TypeVar("P", bound=Payload)


class Rehearsal:
    """A noiseless plant on a bus in memory, a clock that the test moves, and a listener."""

    def __init__(self, speed: float = 1.0) -> None:
        self.clock = ManualClock(START)
        self.broker = MemoryBroker(self.clock.now)
        self.plant = Plant(SITE, START, seed=None)
        self.device = Device(self.plant, self.broker.connect(), self.clock, speed)
        self.ears: MemoryBus = self.broker.connect()
        self.ears.subscribe("facility/v1/#", 1)
        self.device.tick()

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        while self.plant.now < self.clock.now():
            self.device.tick()

    def order(self, topic: str, payload: Payload) -> None:
        """Send an order as the service does."""
        self.ears.publish(Message(topic, encode(payload), qos=1, retain=True))

    def told(self, topic: str, kind: type[P]) -> P:
        """Return what is retained on a topic."""
        return decode(self.broker.retained[topic], kind)

    def samples(self, topic: str) -> list[Sample]:
        """Return what was heard on a topic since the last call."""
        heard = []
        while message := self.ears.receive(0):
            if message.topic == topic:
                heard.append(decode(message.payload, Sample))
        return heard


def serial(seq: int) -> Any:
    """Return the number and dates of an order that is valid for 15 minutes."""
    return {"epoch": 3, "seq": seq, "issued_at": START, "valid_until": START + timedelta(minutes=15)}


def run_job(seq: int) -> JobDesired:
    """Order the job to run."""
    return JobDesired(action="run", gpus=80, **serial(seq))


def test_a_cap_is_echoed_and_the_meter_falls() -> None:
    site = Rehearsal()
    before = site.samples(POWER)[-1]
    assert before.value == pytest.approx((40 * 370 + 160 * 50) / 1000)
    group = CapGroup(workload="rent", gpus=40, cap_w=200)
    site.order(CAP, CapDesired(cap_w=100, groups=(group,), fallback_cap_w=150, **serial(7)))
    site.passes(5)
    told = site.told(CAP_REPORTED, CapReported)
    assert (told.epoch, told.seq, told.enforced_cap_w, told.groups) == (3, 7, 200, (group,))
    assert told.draw_kw == pytest.approx((40 * 200 + 160 * 50) / 1000)
    assert site.samples(POWER)[-1].value == pytest.approx(16.0)
    site.passes(900)
    assert site.told(CAP_REPORTED, CapReported).enforced_cap_w == 150


def test_a_bad_order_changes_nothing_and_harms_nobody() -> None:
    site = Rehearsal()
    for payload in (b"\xff", b"[]", b"", encode(CapDesired(cap_w=5, fallback_cap_w=150, **serial(8)))):
        site.ears.publish(Message(CAP, payload, qos=1))
    site.order(TOPICS.cap_desired("h1", "nowhere"), CapDesired(cap_w=200, fallback_cap_w=150, **serial(9)))
    site.order(TOPICS.job("nobody", "desired"), run_job(9))
    site.passes(5)
    told = site.told(CAP_REPORTED, CapReported)
    assert (told.seq, told.enforced_cap_w) == (None, 400)


def test_a_job_is_told_of_runs_and_when_held_gives_its_gpus_back() -> None:
    site = Rehearsal()
    spec = site.told(TOPICS.job(JOB, "spec"), JobSpec)
    assert (spec.gpus, spec.work_gpu_h, spec.pool, spec.tenant, spec.curve) == (80, 40, "p1", "acme", "train")
    assert spec.deadline == START + timedelta(hours=3.5)
    site.passes(60)
    assert site.told(TOPICS.job(JOB, "reported"), JobReported).state == "waiting"
    idle_kw = site.samples(POWER)[-1].value
    site.order(TOPICS.job(JOB, "desired"), run_job(1))
    site.passes(60)
    running = site.told(TOPICS.job(JOB, "reported"), JobReported)
    assert (running.state, running.gpus, running.seq) == ("running", 80, 1)
    assert running.done_gpu_h == pytest.approx(80 / 60, rel=0.02)
    busy_kw = site.samples(POWER)[-1].value
    assert idle_kw is not None
    assert busy_kw == pytest.approx(idle_kw + 80 * 0.32)
    site.order(TOPICS.job(JOB, "desired"), JobDesired(action="hold", gpus=0, **serial(2)))
    site.passes(60)
    held = site.told(TOPICS.job(JOB, "reported"), JobReported)
    assert (held.state, held.gpus, held.done_gpu_h) == ("waiting", 0, running.done_gpu_h)
    assert site.samples(POWER)[-1].value == pytest.approx(idle_kw)


def test_a_finished_job_leaves_the_bus_after_an_hour() -> None:
    site = Rehearsal()
    site.order(TOPICS.job(JOB, "desired"), run_job(1))
    site.passes(1900)
    assert site.told(TOPICS.job(JOB, "reported"), JobReported).state == "done"
    site.passes(3700)
    assert not [topic for topic in site.broker.retained if "/job/" in topic]


def test_set_points_and_battery_power_are_obeyed_and_reported() -> None:
    site = Rehearsal()
    cooler = {"h1": HallSetpoint(temperature_c=22.0)}
    site.order(TOPICS.cooling("chillers", "desired"), CoolingDesired(halls=cooler, **serial(1)))
    site.order(TOPICS.battery("b1", "desired"), BatteryDesired(power_kw=-12.0, **serial(1)))
    site.passes(60)
    assert site.told(TOPICS.cooling("chillers", "reported"), CoolingReported).halls == cooler
    battery = site.told(TOPICS.battery("b1", "reported"), BatteryReported)
    assert battery.power_kw == pytest.approx(-12)
    assert battery.energy_kwh == pytest.approx(5 - 0.2 / 0.96)
    assert site.plant.halls["h1"].temperature_c < 24
    wrong = {"h1": HallSetpoint(temperature_c=5.0)}
    site.order(TOPICS.cooling("chillers", "desired"), CoolingDesired(halls=wrong, **serial(2)))
    site.passes(60)
    assert site.told(TOPICS.cooling("chillers", "reported"), CoolingReported).halls == cooler
    site.passes(900)
    assert site.told(TOPICS.cooling("chillers", "reported"), CoolingReported).halls == {"h1": HallSetpoint(temperature_c=24.0)}
    assert site.told(TOPICS.battery("b1", "reported"), BatteryReported).power_kw == 0


def test_every_sensor_is_described_and_sampled_at_its_period() -> None:
    site = Rehearsal()
    for sensor in site.plant.sensors:
        meta = site.told(TOPICS.meta(sensor.hall, sensor.asset_type, sensor.asset, sensor.point), Meta)
        assert (meta.unit, meta.period_s) == (sensor.unit, sensor.period_s)
    site.samples(POWER)
    for _ in range(20):
        site.passes(1)
    stamps = [sample.timestamp for sample in site.samples(POWER)]
    assert stamps == [1000 * (int(START.timestamp()) + after_s) for after_s in (5, 10, 15, 20)]


def test_a_fast_clock_samples_at_most_four_times_a_real_second_and_says_so() -> None:
    site = Rehearsal(speed=60)
    assert site.told(TOPICS.meta("h1", "pool", "p1", "it_power_kw"), Meta).period_s == 15
    site.samples(POWER)
    for _ in range(60):
        site.passes(1)
    assert len(site.samples(POWER)) == 4


def test_after_an_outage_everything_retained_is_said_again() -> None:
    site = Rehearsal()
    before = set(site.broker.retained)
    site.broker.stop(forget=True)
    site.passes(1)
    site.broker.start()
    site.passes(1)
    assert set(site.broker.retained) == before


def test_it_leaves_without_a_trace_of_its_jobs() -> None:
    broker, stop = MemoryBroker(), threading.Event()
    device = Device(Plant(SITE, START, seed=None), broker.connect(), ManualClock(START))
    thread = threading.Thread(target=device.run, args=(stop,))
    thread.start()
    ears = broker.connect()
    ears.subscribe(TOPICS.job(JOB, "spec"), 1)
    assert ears.receive(5) is not None
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert not [topic for topic in broker.retained if "/job/" in topic]


def test_it_keeps_up_with_a_running_clock() -> None:
    clock = SystemClock()
    plant = Plant(SITE, clock.now(), seed=None)
    device = Device(plant, MemoryBroker().connect(), clock)
    device.tick(0.05)
    assert abs((clock.now() - plant.now).total_seconds()) < 1


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


@pytest.mark.skipif(MOSQUITTO is None, reason="needs a mosquitto")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_speaks_to_a_real_broker_and_leaves_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    port, site_file, settings = free_port(), tmp_path / "tiny.yaml", tmp_path / "mosquitto.conf"
    site_file.write_text(SITE.model_dump_json(exclude_none=True))
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    url, epoch = f"mqtt://127.0.0.1:{port}", f"{time.time()}:{START.isoformat()}"
    broker = subprocess.Popen([str(MOSQUITTO), "-c", str(settings)], stderr=subprocess.DEVNULL)
    ears = MqttBus(url, client_id="ears")
    ears.subscribe(TOPICS.tele("site", "meter", "main", "import_kw"), 0)
    ears.subscribe(TOPICS.job(JOB, "spec"), 1)
    command = [sys.executable, "-m", "facility.simulate", str(site_file), "--broker", url, "--speed", "60", "--epoch", epoch]
    plant = subprocess.Popen(command)
    try:
        heard = [message for message in (ears.receive(10) for _ in range(4)) if message is not None]
        assert {message.topic.rsplit("/", 1)[-1] for message in heard} == {"import_kw", "spec"}
        plant.send_signal(number)
        assert plant.wait(10) == 0
        while (last := ears.receive(5)) is not None and not last.topic.endswith("spec"):
            pass
        assert last is not None
        assert last.payload == b""
    finally:
        plant.kill()
        plant.wait()
        ears.close()
        broker.terminate()
        broker.wait()
