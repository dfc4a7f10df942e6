"""One job as Slurm tells it, and what can be asked of a Slurm, whatever way leads there.

Instants are Slurm's, UTC; they are of the clock of its controller.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

State = Literal["pending", "running", "suspended", "ending", "done"]


class Away(Exception):
    """Slurm does not answer at present."""


class Refused(Exception):
    """Slurm answers, and does not do it. Says why."""


@dataclass(frozen=True)
class SlurmJob:
    """A job, or those tasks of an array that have not started yet.

    `address` names it in commands, `gpus` are those of one task (None: it asks for none by number), `tasks` how many there are, `at_once`
    how many of them may run together. `begin` is the earliest start that was asked for, `ran_s` how long it ran since it was started.
    """

    id: int
    state: State
    partition: str
    submit: datetime
    comment: str = ""
    account: str = ""
    address: str = ""
    gpus: int | None = None
    nodes: int = 1
    tasks: int = 1
    at_once: int = 1
    begin: datetime | None = None
    ran_s: float = 0.0
    limit_s: float | None = None
    held: bool = False
    dependent: bool = False
    requeues: bool = False
    mixed: bool = False
    """Whether it is one of several that make a heterogeneous job."""


class Slurm(Protocol):
    """A way to Slurm. Every method raises Away where nobody answers, and those that change something Refused where it is not done."""

    def jobs(self) -> tuple[SlurmJob, ...]:
        """Every job that Slurm knows, also those that have just ended."""

    def change(self, job: SlurmJob, comment: str, begin: datetime | None) -> None:
        """Set a job's comment and, unless None, the earliest instant of its start, in whole seconds; one that is past: now."""

    def requeue(self, job: SlurmJob) -> None:
        """Stop a running job and let it wait again."""

    def suspend(self, job: SlurmJob) -> None:
        """Stop a running job where it is."""

    def resume(self, job: SlurmJob) -> None:
        """Let a suspended job go on."""
