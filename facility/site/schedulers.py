"""Schedulers: where jobs live, and what their words for places and people mean here. Each is of one kind, and has an agent of its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facility.site.part import Id, Part, Positive

Name = Annotated[str, Field(min_length=1, max_length=255)]
SchedulerId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]
Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
DOMAIN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
KEY = DOMAIN[:-1] + r"/[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"
VALUE = r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"
LabelKey = Annotated[str, Field(pattern=KEY, max_length=317)]
LabelValue = Annotated[str, Field(pattern=VALUE, max_length=63)]


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


class Kubernetes(Part):
    """One cluster of Kubernetes. Its jobs are told as `SCHEDULER-NAME-UID`, such as `k8s-train-7b-3f2a91c0`."""

    pools: Annotated[dict[LabelValue, Id], Field(min_length=1)] = Field(
        description="value of `pool_label` in a job's node selector, or else among its labels: the pool in which it runs"
    )
    pool_label: LabelKey = Field(default="facility.example/pool", description="label of nodes, and of jobs that select none by it")
    default_pool: Id | None = Field(default=None, description="pool of jobs that say none; absent: they are not told of")
    prefix: Annotated[str, Field(pattern=DOMAIN, max_length=200)] = Field(
        default="facility.example",
        description="what our labels and annotations begin with: a job labelled PREFIX/deferrable=yes may be deferred; "
        "any other is neither touched nor told of",
    )
    namespaces: dict[Name, Account] = Field(
        default={},
        description="namespace: whose jobs these are; with it, jobs of others are under jobs.contract, whatever their annotations say",
    )
    gpu_resources: Annotated[tuple[LabelKey, ...], Field(min_length=1)] = Field(
        default=("nvidia.com/gpu", "amd.com/gpu"), description="resources of which one is one GPU"
    )
    work_h: Positive = Field(default=24.0, description="how long the work of a job takes that neither says so nor has a time limit, h")
    queues: bool = Field(
        default=False, description="a ClusterQueue of Kueue labelled PREFIX/deferrable=yes is held whole while every job that waits in it is"
    )
    first_wait_s: Positive = Field(
        default=900.0, description="how long a job that was created suspended, with the annotation PREFIX/wait=yes, waits for its first order, s"
    )


class Schedulers(Part):
    """The schedulers of a site, by kind and name."""

    slurm: dict[SchedulerId, Slurm] = Field(default={}, description="clusters of Slurm")
    kubernetes: dict[SchedulerId, Kubernetes] = Field(default={}, description="clusters of Kubernetes")
