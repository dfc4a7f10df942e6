"""Schedulers: where jobs live, and what their words for places and people mean here. Each is of one kind, and has an agent of its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facility.site.part import Id, Part, Positive

Name = Annotated[str, Field(min_length=1, max_length=255)]
SchedulerId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]
Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]


class Account(Part):
    """Whose jobs those of an account are."""

    tenant: Id | None = Field(default=None, description="absent: the contract's, or that of jobs.contract")
    contract: Id | None = Field(default=None, description="absent: the tenant's only one, or jobs.contract")


class Slurm(Part):
    """One cluster of Slurm. Its jobs are told as `SCHEDULER-JOB`, such as `slurm-4711`."""

    partitions: Annotated[dict[Name, Id], Field(min_length=1)] = Field(description="partition: the pool in which its jobs run")
    accounts: dict[Name, Account] = Field(default={}, description="account: whose jobs these are; others are under jobs.contract")
    label: Label = Field(
        default="facility", description="a job whose comment has this word may be deferred; any other is neither touched nor told of"
    )
    gpus_per_node: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="GPUs on each node of a job that asks for none by number; absent: it is not told of"
    )
    url: Annotated[str, Field(pattern=r"^(https?://[^\s/]+|unix:/\S+)$", max_length=1000)] | None = Field(
        default=None, description="slurmrestd: http[s]://host:port or unix:/path; absent: the commands squeue and scontrol"
    )
    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=64)] | None = Field(
        default=None, description="who we are to slurmrestd, an operator of Slurm; absent: whoever runs the agent"
    )
    token_file: str | None = Field(default=None, description="file of the token for slurmrestd, read anew before each use; absent: token_env")
    token_env: str = Field(default="SLURM_JWT", description="variable of the environment that holds the token")
    poll_s: Positive = Field(default=5.0, description="time from one look at the jobs to the next, s")
    first_wait_s: Positive = Field(
        default=900.0, description="how long a job that has just come waits for its first order, where facility agent slurm --job-submit is in use, s"
    )


class Schedulers(Part):
    """The schedulers of a site, by kind and name."""

    slurm: dict[SchedulerId, Slurm] = Field(default={}, description="clusters of Slurm")
