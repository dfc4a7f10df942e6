"""Meaning: what a job of Slurm is to the service - its pool, its terms, its work - and where it stands.

    work = work_h * GPUs * tasks, or where the user does not say, the time limit in place of work_h            GPU hours
    done = (how long it ran, before it was requeued too) * GPUs * tasks, never all of it while it runs

Slurm knows how long a job runs, not how fast: what is done is what would be done without caps.
"""

from __future__ import annotations

from facility.agents.slurm.comment import Comment
from facility.agents.slurm.instants import Instants
from facility.agents.slurm.job import SlurmJob
from facility.bus.messages import JobDesired, JobReported, JobSpec
from facility.inputs.jobterms import agree
from facility.site import Account, Site, Slurm

LEAST_LEFT = 0.02
"""The share of its work that a job which still runs has left at least."""


class Meaning:
    """What jobs of one cluster mean to a site."""

    def __init__(self, site: Site, name: str, slurm: Slurm, instants: Instants) -> None:
        self._site, self._name, self._slurm, self._instants = site, name, slurm, instants

    def id(self, job: SlurmJob) -> str:
        """The id of a job on the bus."""
        return f"{self._name}-{job.id}"

    def number(self, job: str) -> int | None:
        """Slurm's number of a job on the bus; None where it is none of this cluster's."""
        name, _, number = job.rpartition("-")
        return int(number) if name == self._name and number.isdecimal() else None

    def spec(self, job: SlurmJob, comment: Comment) -> JobSpec | str:
        """What the service is to know of a job; a sentence where it cannot be told, and why."""
        gpus, hours = self._gpus(job), self._hours(job, comment)
        pool = next((self._slurm.partitions[name] for name in job.partition.split(",") if name in self._slurm.partitions), None)
        if job.mixed:
            return "it is part of a heterogeneous job"
        if pool is None:
            return f"its partition {job.partition} is of no pool; name it in the site file's partitions"
        if not gpus:
            return "it asks for no GPUs by number; say gpus_per_node in the site file"
        if hours is None:
            return "nobody knows how long it takes; write work_h in its comment, or give it a time limit"
        account, wishes = self._slurm.accounts.get(job.account, Account()), comment.wishes
        terms = agree(self._site, account.tenant or "", account.contract or "", pool, wishes.curve or "")
        if terms.faults:
            return "; ".join(f"{what}: {found}, {remedy}" for what, found, remedy in terms.faults)
        submit = self._instants.site(job.submit)
        if wishes.deadline is not None and wishes.deadline <= submit:
            return "its deadline is not after its submission"
        return JobSpec(
            submit=submit,
            gpus=min(gpus * job.at_once, self._site.pools[pool].gpus),
            work_gpu_h=hours * gpus * job.tasks,
            pool=pool,
            deadline=wishes.deadline,
            tenant=account.tenant,
            contract=account.contract,
            curve=wishes.curve,
            elastic=wishes.elastic or job.tasks > 1,
        )

    def report(self, job: SlurmJob, comment: Comment, spec: JobSpec, obeyed: JobDesired | None, at_ms: int) -> JobReported:
        """Where a job stands, `obeyed` being the last order that it followed."""
        runs = job.state in {"running", "ending"}
        done_gpu_h = self._instants.hours(comment.mark.done_s + job.ran_s) * (self._gpus(job) or 0) * job.tasks
        return JobReported(
            timestamp=at_ms,
            epoch=None if obeyed is None else obeyed.epoch,
            seq=None if obeyed is None else obeyed.seq,
            state="running" if runs else "done" if job.state == "done" else "waiting",
            done_gpu_h=min(done_gpu_h, (1 - LEAST_LEFT) * spec.work_gpu_h) if job.state != "done" else spec.work_gpu_h,
            gpus=spec.gpus if runs else 0,
        )

    def _gpus(self, job: SlurmJob) -> int | None:
        if job.gpus is not None or self._slurm.gpus_per_node is None:
            return job.gpus
        return self._slurm.gpus_per_node * job.nodes

    def _hours(self, job: SlurmJob, comment: Comment) -> float | None:
        if comment.wishes.work_h is not None:
            return comment.wishes.work_h
        return None if job.limit_s is None else self._instants.hours(job.limit_s)
