"""Deferral: what is to be done with a job so that an order comes true. No bus, no clock, no Slurm.

A job that waits is given a begin time, the end of its hold, never a hold flag: whatever becomes of us, Slurm itself starts it then. Each
newer order moves that begin time on; an order to run takes it away.

| the job       | is to wait until T                                       | is to run                      | nothing is ordered           |
|---------------|----------------------------------------------------------|--------------------------------|------------------------------|
| waits         | begins at T, or at its user's own time where that is later | begins now, or at its user's time | stays as it is            |
| is held       | is its user's business                                   | is its user's business         | is its user's business       |
| runs          | waits again, or is suspended, where it says it may       | runs on                        | runs on                      |
| is suspended  | stays so if it was us                                    | goes on if it was us           | goes on if it was us         |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from facility.agents.slurm.comment import Comment, Mark
from facility.agents.slurm.job import SlurmJob

Kind = Literal["none", "change", "requeue", "suspend", "resume"]


@dataclass(frozen=True)
class Deed:
    """What is to be done: a kind, the mark and the begin time that go with it. `why` says why an order is not carried out."""

    kind: Kind = "none"
    mark: Mark | None = None
    begin: datetime | None = None
    why: str = ""

    def leaves(self, job: SlurmJob) -> SlurmJob:
        """How a job stands once it is done."""
        match self.kind:
            case "suspend":
                return replace(job, state="suspended")
            case "resume":
                return replace(job, state="running")
            case "requeue":
                return replace(job, state="pending", begin=self.begin, ran_s=0.0)
            case _:
                return job if self.begin is None else replace(job, begin=self.begin)


AS_IT_IS = Deed()


def theirs(job: SlurmJob, comment: Comment, now: datetime) -> datetime | None:
    """The begin time that a job's user asked for, as far as it is to come; None where there is none."""
    mark = comment.mark
    if mark.begin is not None and job.begin == mark.begin:
        asked = mark.theirs
    elif comment.wishes.wait and mark.begin is None:
        asked = None
    else:
        asked = job.begin
    return asked if asked is not None and asked > now else None


def deed(job: SlurmJob, comment: Comment, until: datetime | None, *, ordered: bool, heard: bool, now: datetime) -> Deed:
    """What is to be done with a job at `now`: `until` is the end of the hold that is ordered; None: let it run, if anything is `ordered`.

    `heard`: whether every order that there is was heard, so that none of them means that nothing is ordered.
    """
    until = None if until is None else _whole(until)
    waits = ordered and until is not None and until > now
    if job.state == "suspended":
        return _suspended(comment, until if waits else None, over=ordered or heard, now=now)
    if job.state == "running":
        return _running(job, comment, until) if waits and until is not None else _runs_on(comment)
    if job.state != "pending" or not ordered:
        return AS_IT_IS
    if job.held:
        return AS_IT_IS if waits else Deed(why="it is held by its user")
    return _pending(job, comment, until if waits else None, now)


def _pending(job: SlurmJob, comment: Comment, until: datetime | None, now: datetime) -> Deed:
    asked = theirs(job, comment, now)
    if until is None:
        if asked is not None and job.begin == asked:
            return Deed(why=f"its user lets it begin at {asked:%Y-%m-%dT%H:%M:%SZ}")
        waits = job.begin is not None and job.begin > now
        return Deed("change", Mark(done_s=comment.mark.done_s), asked or now) if waits else AS_IT_IS
    begin = until if asked is None else max(until, asked)
    if job.begin == begin:
        return AS_IT_IS
    return Deed("change", Mark(begin, asked, done_s=comment.mark.done_s), begin)


def _running(job: SlurmJob, comment: Comment, until: datetime) -> Deed:
    done_s = comment.mark.done_s
    match comment.wishes.pause:
        case "suspend":
            return Deed("suspend", Mark(suspended=until, done_s=done_s))
        case "requeue" if job.requeues:
            ran_s = done_s + round(job.ran_s) if comment.wishes.work_h is not None else 0
            return Deed("requeue", Mark(until, done_s=ran_s), until)
        case "requeue":
            return Deed(why="it runs, and was submitted with --no-requeue")
        case _:
            return Deed(why="it runs, and does not say that it may pause: pause=requeue or pause=suspend in its comment")


def _runs_on(comment: Comment) -> Deed:
    """Take off the mark of a suspension that is over, or never came about: the next one may be somebody else's."""
    return AS_IT_IS if comment.mark.suspended is None else Deed("change", replace(comment.mark, suspended=None))


def _suspended(comment: Comment, until: datetime | None, *, over: bool, now: datetime) -> Deed:
    mark = comment.mark
    if mark.suspended is None:
        return Deed(why="somebody else has suspended it")
    if until is None:
        return Deed("resume", replace(mark, suspended=None)) if over or mark.suspended <= now else AS_IT_IS
    return AS_IT_IS if mark.suspended == until else Deed("change", replace(mark, suspended=until))


def _whole(instant: datetime) -> datetime:
    """The last whole second that is not after an instant: a hold never lasts longer than it was ordered."""
    return datetime.fromtimestamp(int(instant.timestamp()), UTC)
