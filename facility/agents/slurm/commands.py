"""Slurm by its commands: `squeue --json` and `scontrol`, run as whoever runs the agent."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from typing import Final

from facility.agents.slurm.job import Away, Refused, SlurmJob
from facility.agents.slurm.reading import errors_in, read_jobs

PATIENCE_S: Final = 20.0
"""The longest that a command may take, s."""
SILENCE: Final = ("contact slurm controller", "communication", "connect", "timed out", "socket", "zero bytes", "not responding", "authentication")
"""What Slurm's commands say where nobody answers them."""


class Commands:
    """A `Slurm` behind its commands."""

    def jobs(self) -> tuple[SlurmJob, ...]:
        """See `Slurm.jobs`."""
        try:
            told = json.loads(_run("squeue", "--states=all", "--json"))
        except (ValueError, RecursionError) as error:
            raise Away(f"squeue --json tells no JSON: {error}") from error
        if found := errors_in(told):  # which squeue ends with 0
            raise Away(found)
        return read_jobs(told, datetime.now(UTC))

    def change(self, job: SlurmJob, comment: str, begin: datetime | None) -> None:
        """See `Slurm.change`."""
        start = () if begin is None else (f"StartTime={start_time(begin)}",)
        _run("scontrol", "update", f"JobId={job.address}", *start, f"Comment={comment}")

    def requeue(self, job: SlurmJob) -> None:
        """See `Slurm.requeue`."""
        _run("scontrol", "requeue", job.address)

    def suspend(self, job: SlurmJob) -> None:
        """See `Slurm.suspend`."""
        _run("scontrol", "suspend", job.address)

    def resume(self, job: SlurmJob) -> None:
        """See `Slurm.resume`."""
        _run("scontrol", "resume", job.address)


def start_time(begin: datetime) -> str:
    """An instant as Slurm reads it whatever the zone of its machine; `now` for one that is past."""
    return "now" if begin <= datetime.now(UTC) else f"uts{round(begin.timestamp())}"


def is_silence(said: str) -> bool:
    """Whether an error says that nobody answers, and not that somebody refuses.

    >>> is_silence("Unable to contact slurm controller (connect failure)"), is_silence("Job is no longer pending execution")
    (True, False)
    """
    return any(words in said.lower() for words in SILENCE)


def _run(*command: str) -> str:
    """Run a command; what it said. Raises Away or Refused."""
    try:
        ended = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise Away(f"{command[0]} takes longer than {PATIENCE_S:g} s") from error
    except OSError as error:
        raise Away(f"{command[0]}: {error.strerror}") from error
    said = " ".join(ended.stderr.split())[:500]
    if ended.returncode == 0:
        return ended.stdout
    raise Away(said) if is_silence(said) or command[0] == "squeue" else Refused(said or f"{command[0]} failed with {ended.returncode}")
