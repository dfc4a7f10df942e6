"""The demonstration's jobs in a Slurm of its own: a cluster with a node for each partition, and the site's sample jobs submitted to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from facility.commands.agent_slurm import choose
from facility.simulate.slurm import PrivateSlurm
from facility.simulate.submitting import Submitter, free_gpus
from facility.site import Site


class JobsInSlurm:
    """A cluster that runs, and who submits to it."""

    def __init__(self, slurm: PrivateSlurm, submitter: Submitter) -> None:
        self._slurm, self._submitter = slurm, submitter

    @property
    def environment(self) -> Mapping[str, str]:
        """What Slurm's commands need to find the cluster."""
        return self._slurm.environment

    def look(self, now: datetime) -> None:
        """Submit the jobs that have arrived by now, on the site's clock."""
        self._submitter.look(now)

    def hints(self) -> Iterator[str]:
        """What to try in a second terminal."""
        yield f"  SLURM_CONF={self._slurm.environment['SLURM_CONF']} squeue -o '%.6i %.9P %.10T %.20S %.12r %k'"


@contextmanager
def jobs_in_slurm(site: Site, folder: Path, start: datetime, speed: float) -> Iterator[JobsInSlurm]:
    """A Slurm for the jobs of `site`, whose clock is at `start` and runs `speed` times as fast. Raises InputError where there can be none."""
    terms = site.schedulers.slurm[choose(site, None)]
    place = folder / "slurm"
    place.mkdir()
    slurm = PrivateSlurm(place, free_gpus(site, terms))
    try:
        slurm.start()
        yield JobsInSlurm(slurm, Submitter(site, terms, slurm, start, speed))
    finally:
        slurm.stop()
