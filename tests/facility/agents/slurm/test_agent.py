"""The agent of a cluster on a Slurm and a bus in memory: what one job refuses is no other's business, and what is told is so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from facility.agents.slurm.agent import Agent
from facility.agents.slurm.job import Refused, SlurmJob
from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.bus.messages import JobDesired, JobReported, decode, encode
from facility.clock import VirtualClock
from facility.config import load_site

NOW = datetime(2026, 7, 15, 10, tzinfo=UTC)
SITE = load_site("site_configs/demo-slurm.yaml")
ROOT = "facility/v1/demo-slurm"


class Scheduler:
    """A Slurm that does what it is told, but for jobs that `refuses` names."""

    def __init__(self, *jobs: SlurmJob) -> None:
        self.held = {job.id: job for job in jobs}
        self.refuses: set[int] = set()

    def jobs(self) -> tuple[SlurmJob, ...]:
        return tuple(self.held.values())

    def become(self, job: SlurmJob, **what: object) -> None:
        if job.id in self.refuses:
            raise Refused("Invalid job state")
        self.held[job.id] = replace(self.held[job.id], **what)  # type: ignore[arg-type]

    def change(self, job: SlurmJob, comment: str, begin: datetime | None) -> None:
        self.become(job, comment=comment, begin=self.held[job.id].begin if begin is None else begin)

    def requeue(self, job: SlurmJob) -> None:
        self.become(job, state="pending")

    def suspend(self, job: SlurmJob) -> None:
        self.become(job, state="suspended")

    def resume(self, job: SlurmJob) -> None:
        self.become(job, state="running")


class Desk:
    """A broker, an agent and its Slurm."""

    def __init__(self, *jobs: SlurmJob) -> None:
        self.clock, self.slurm = VirtualClock(NOW), Scheduler(*jobs)
        self.broker = MemoryBroker(self.clock.now)
        self.voice = self.broker.connect()
        self.agent = Agent(SITE, "slurm", self.slurm, self.broker.connect(), self.clock, self.clock.now)

    def order(self, seq: int, action: Literal["run", "hold"]) -> None:
        ends = self.clock.now() + timedelta(seconds=900)
        told = JobDesired(action=action, gpus=8 if action == "run" else 0, epoch=1, seq=seq, issued_at=self.clock.now(), valid_until=ends)
        self.voice.publish(Message(f"{ROOT}/job/slurm-1/desired", encode(told), 1, retain=True))

    def pass_by(self) -> JobReported:
        """What is told of the job after a few seconds."""
        for _ in range(5):
            self.clock.advance(1)
            self.agent.look()
        return decode(self.broker.retained[f"{ROOT}/job/slurm-1/reported"], JobReported)


def job(number: int, words: str = "", **what: object) -> SlurmJob:
    waits = SlurmJob(number, "pending", "h1-b", NOW, begin=NOW, gpus=8, limit_s=3600.0, comment=f"facility {words}".strip())
    return replace(waits, **what)  # type: ignore[arg-type]


def test_an_order_that_is_no_longer_obeyed_is_not_told_as_obeyed() -> None:
    desk = Desk(job(1))
    desk.order(1, "hold")
    told = desk.pass_by()
    assert (told.state, told.seq) == ("waiting", 1)
    desk.slurm.held[1] = replace(desk.slurm.held[1], state="running")  # somebody has let it start
    told = desk.pass_by()
    assert (told.state, told.seq) == ("running", None)


def test_one_job_that_cannot_be_resumed_keeps_no_other_suspended() -> None:
    mark = f"[facility suspended={round((NOW + timedelta(hours=1)).timestamp())}]"
    desk = Desk(*(job(number, mark, state="suspended") for number in (1, 2, 3)))
    desk.slurm.refuses = {1}
    desk.agent.leave()
    assert [each.state for each in desk.slurm.jobs()] == ["suspended", "running", "running"]


def test_what_was_resumed_and_still_has_our_mark_loses_it_so_that_the_next_suspension_is_somebody_elses() -> None:
    mark = f"[facility suspended={round((NOW - timedelta(hours=1)).timestamp())}]"
    desk = Desk(job(1, mark, state="running"))  # the agent was killed between its two steps
    desk.order(1, "run")
    assert desk.pass_by().seq == 1
    assert desk.slurm.held[1].comment == "facility"
    desk.slurm.held[1] = replace(desk.slurm.held[1], state="suspended")
    desk.pass_by()
    assert desk.slurm.held[1].state == "suspended"
