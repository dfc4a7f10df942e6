"""Jobs of a real scheduler on the rehearsed plant: it draws what they are reported to hold, and tells nothing of its own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.bus.messages import JobDesired, JobReported, JobSpec, encode
from facility.bus.topics import Topics
from facility.clock import VirtualClock
from facility.config import load_site
from facility.simulate.device import Device
from facility.simulate.plant import Plant

SITE = load_site("site_configs/demo-slurm.yaml")
NOW = datetime(2026, 7, 15, 10, tzinfo=UTC)
TOPICS = Topics(SITE.bus.root, SITE.id)


class Bench:
    def __init__(self) -> None:
        self.clock = VirtualClock(NOW)
        self.broker = MemoryBroker(self.clock.now)
        self.bus = self.broker.connect()
        self.bus.subscribe(f"{TOPICS.root}/{TOPICS.site}/job/#", 1)
        self.plant = Plant(SITE, NOW, None, follows=True)
        self.device = Device(self.plant, self.broker.connect(), self.clock)

    def tell(self, job: str, *, pool: str = "h1-b", gpus: int = 64, state: str = "running") -> None:
        self.say(job, "spec", encode(JobSpec(submit=NOW, gpus=gpus, work_gpu_h=64.0, pool=pool)))
        self.say(job, "reported", encode(JobReported(timestamp=0, state=state, gpus=gpus if state == "running" else 0)))

    def say(self, job: str, what: str, payload: bytes) -> None:
        self.bus.publish(Message(TOPICS.job(job, what), payload, 1, retain=True))
        self.pass_by()

    def pass_by(self, seconds: float = 2.0) -> None:
        self.clock.advance(seconds)
        for _ in range(3):
            self.device.tick()

    def held(self, job: str, pool: str = "h1-b") -> int:
        running = self.plant.pools[pool].running
        return running[job].gpus if job in running else 0


def test_what_is_reported_to_run_draws_and_what_is_not_does_not():
    bench = Bench()
    before_kw = bench.plant.pools["h1-b"].gpu_kw
    bench.tell("slurm-1")
    bench.pass_by(10)
    assert bench.held("slurm-1") == 64
    assert bench.plant.pools["h1-b"].gpu_kw == pytest.approx(before_kw + 64 * (0.3878 - 0.05), rel=0.02)
    bench.tell("slurm-1", state="waiting")
    bench.pass_by(10)
    assert bench.held("slurm-1") == 0
    assert bench.plant.pools["h1-b"].gpu_kw == pytest.approx(before_kw)


def test_a_job_that_is_taken_off_the_bus_draws_no_more():
    bench = Bench()
    for what in ("spec", "reported"):
        bench.tell("slurm-1")
        assert bench.held("slurm-1") == 64
        bench.say("slurm-1", what, b"")
        assert bench.held("slurm-1") == 0


def test_no_job_gets_gpus_that_others_hold_and_rentals_keep_theirs():
    bench = Bench()
    bench.tell("slurm-1", gpus=280)
    bench.tell("slurm-2", gpus=64)
    assert (bench.held("slurm-1"), bench.held("slurm-2"), bench.held("kepler-tune")) == (280, 8, 192)
    bench.tell("slurm-1", gpus=280, state="done")
    assert bench.held("slurm-2") == 64


def test_what_makes_no_sense_changes_nothing_and_nothing_is_told_or_obeyed():
    bench = Bench()
    bench.tell("slurm-1", pool="h9-z")
    bench.say("slurm-2", "spec", b"{")
    bench.say("slurm-2", "reported", b"[]")
    order = JobDesired(epoch=1, seq=1, issued_at=NOW, valid_until=NOW.replace(hour=23), action="run", gpus=8)
    bench.say("slurm-3", "desired", encode(order))
    assert not any(name.startswith("slurm") for pool in bench.plant.pools.values() for name in pool.running)
    assert {message.topic.split("/")[4] for message in bench.bus.drain(0.0, 1000)} == {"slurm-1", "slurm-2", "slurm-3"}
    assert bench.plant.scheduler.obey("slurm-3", order, NOW) == "its scheduler is another's"
