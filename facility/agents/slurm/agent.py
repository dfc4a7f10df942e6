"""The agent: Slurm's jobs that may be deferred, told to the service; its orders, carried out there.

Nothing is remembered here that matters: which jobs there are and what of them is ours stands in Slurm, what is ordered stands on the bus.
An agent that is killed leaves begin times behind, at which Slurm starts the jobs itself; what it has suspended the next one resumes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from facility.agents.jobs.orders import Orders, held_until
from facility.agents.jobs.telling import Teller
from facility.agents.slurm.comment import Comment, Mark, read_comment
from facility.agents.slurm.deferral import Deed, deed
from facility.agents.slurm.instants import Instants
from facility.agents.slurm.job import Away, Refused, Slurm, SlurmJob
from facility.agents.slurm.meaning import Meaning
from facility.bus.interface import Bus, utc_now
from facility.bus.messages import JobDesired
from facility.bus.topics import Topics
from facility.clock import Clock, milliseconds
from facility.site import Site
from facility.site import Slurm as Terms

log = logging.getLogger(__name__)

AT_ONCE: Final = 10_000
HEARD_S: Final = 3.0
"""So long after a connection every retained order was heard, s."""
SOONEST_S: Final = 0.5
"""Between two looks at Slurm at least, s."""
LONGEST_S: Final = 30.0
"""The longest wait between two looks while nobody answers, s."""


class Agent:
    """The agent of one cluster. `look` does what is due; call it several times a second."""

    def __init__(self, site: Site, name: str, slurm: Slurm, bus: Bus, clock: Clock, wall: Callable[[], datetime] = utc_now) -> None:
        self._terms: Terms = site.schedulers.slurm[name]
        self._slurm, self._bus, self._clock, self._wall = slurm, bus, clock, wall
        self._topics = Topics(site.bus.root, site.id)
        self._instants = Instants.of(clock)
        self._meaning = Meaning(site, name, slurm=self._terms, instants=self._instants)
        self._orders, self._teller = Orders(), Teller(bus, self._topics, clock)
        self._obeyed: dict[str, JobDesired] = {}
        self._said: dict[str, str] = {}
        self._ordered: set[str] = set()
        self._due_s = self._looked_s = self._wait_s = 0.0
        self._connections, self._connected_s = 0, 0.0
        self._away = False
        for pattern in self._topics.patterns("job_desired"):
            bus.subscribe(pattern, 1)

    def look(self) -> None:
        """Hear what came in; where it is time, or something was ordered, look at the jobs and do what is to be done."""
        now_s = self._clock.elapsed_s()
        if self._bus.connections != self._connections:
            self._connections, self._connected_s = self._bus.connections, now_s
        news = self._hear()
        if now_s >= self._due_s or (news and not self._away and now_s - self._looked_s >= SOONEST_S):
            self._round()
        elif news:
            self._due_s = min(self._due_s, self._looked_s + SOONEST_S) if not self._away else self._due_s

    def leave(self) -> None:
        """Resume what we have suspended, for nobody would; begin times end by themselves."""
        try:
            for job, comment in self._ours(self._slurm.jobs()):
                if job.state == "suspended" and comment.mark.suspended is not None:
                    self._resume(job, comment)
        except Away as error:
            log.warning("Slurm: %s; what was suspended stays so until an agent is started again", error)

    def _resume(self, job: SlurmJob, comment: Comment) -> None:
        try:
            self._do(job, comment, Deed("resume", Mark(done_s=comment.mark.done_s)))
        except Refused as refusal:
            log.warning("job %d: %s; it stays suspended until an agent is started again", job.id, refusal)

    def _hear(self) -> bool:
        """Take orders; whether there was a new one for a job of ours."""
        news = False
        for message in self._bus.drain(0.0, AT_ONCE):
            found = self._topics.parse(message.topic)
            if found is None or found[0] != "job_desired" or self._meaning.number(job := found[1]["job"]) is None:
                continue
            if message.payload:
                self._ordered.add(job)
            why = self._orders.take(job, message.payload, self._clock.now())
            news = news or why is None
            if why is not None:
                log.debug("%s: an order was dropped: %s", job, why)
        return news

    def _round(self) -> None:
        """Look at every job once."""
        self._looked_s = self._clock.elapsed_s()
        ordered = frozenset(self._ordered)
        try:
            jobs = self._slurm.jobs()
            there = {self._meaning.id(job) for job, comment in self._ours(jobs) if self._see(job, comment)}
        except Away as error:
            self._wait_s = min(max(2 * self._wait_s, self._terms.poll_s), LONGEST_S)
            self._due_s = self._clock.elapsed_s() + self._wait_s
            if not self._away:
                log.warning("Slurm does not answer: %s; trying again. Held jobs start at the end of their holds", error)
            self._away = True
            return
        if self._away:
            log.info("Slurm answers again")
        self._away, self._wait_s, self._due_s = False, 0.0, self._clock.elapsed_s() + self._terms.poll_s
        for job in sorted((self._teller.jobs | ordered) - there):
            self._teller.forget(job)
            self._orders.drop(job)
            self._ordered.discard(job)
            self._obeyed.pop(job, None)
        self._said = {job: said for job, said in self._said.items() if job.partition(" ")[0] in {str(each.id) for each in jobs}}

    def _ours(self, jobs: tuple[SlurmJob, ...]) -> list[tuple[SlurmJob, Comment]]:
        found = ((job, read_comment(job.comment, self._terms.label)) for job in jobs)
        return [(job, comment) for job, comment in found if comment is not None]

    def _see(self, job: SlurmJob, comment: Comment) -> bool:
        """Do with one job what is to be done, and tell of it; whether there is anything to tell."""
        name = self._meaning.id(job)
        if job.dependent or (job.state == "done" and name not in self._teller.jobs):
            return False
        spec = self._meaning.spec(job, comment)
        if isinstance(spec, str):
            self._say(job, "is not told of", spec)
            return False
        self._say(job, "says what nobody understands", "; ".join(comment.wishes.faults))
        order = self._orders.of(name, self._clock.now())
        job, comment = self._obey(job, comment, order)
        self._teller.tell(name, spec, self._meaning.report(job, comment, spec, self._obeyed.get(name), milliseconds(self._clock.now())))
        return True

    def _obey(self, job: SlurmJob, comment: Comment, order: JobDesired | None) -> tuple[SlurmJob, Comment]:
        """Carry out an order where that is possible; how the job stands afterwards."""
        until = None if order is None else held_until(order)
        until = None if until is None else self._instants.slurm(until)
        heard = self._bus.connected and self._connections > 0 and self._clock.elapsed_s() - self._connected_s >= HEARD_S
        what = deed(job, comment, until, ordered=order is not None, heard=heard, now=self._wall())
        why = what.why
        if what.kind != "none":
            try:
                job, comment = self._do(job, comment, what)
            except Refused as refusal:
                why = str(refusal)
        self._say(job, "does not do what was ordered", why)
        name = self._meaning.id(job)
        if order is not None and not why:
            self._obeyed[name] = order
        elif order is not None and order == self._obeyed.get(name):
            del self._obeyed[name]  # it does so no longer
        return job, comment

    def _do(self, job: SlurmJob, comment: Comment, what: Deed) -> tuple[SlurmJob, Comment]:
        """Do one deed, in an order in which a job is never left to wait where we are killed between two steps."""
        mark = what.mark or comment.mark
        match what.kind:
            case "suspend":
                if mark != comment.mark:
                    self._slurm.change(job, comment.marked(mark), None)
                self._slurm.suspend(job)
            case "resume":
                self._slurm.resume(job)
                self._slurm.change(job, comment.marked(mark), None)
            case "requeue":
                self._slurm.requeue(job)
                self._slurm.change(job, comment.marked(mark), what.begin)
            case _:
                self._slurm.change(job, comment.marked(mark), what.begin)
        return what.leaves(job), Comment(comment.words, comment.label, comment.wishes, mark)

    def _say(self, job: SlurmJob, what: str, why: str) -> None:
        """Say once what is amiss with a job, and once more where it is something else."""
        key = f"{job.id} {what}"
        if why and self._said.get(key) != why:
            log.warning("job %d %s: %s", job.id, what, why)
        self._said[key] = why
        if not why:
            del self._said[key]
