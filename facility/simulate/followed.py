"""Jobs of a real scheduler, as the rehearsed plant draws for them: those that are reported to run hold GPUs, and nothing else.

Which they are, and when they start and end, is told on the bus by the agent of that scheduler, as it is told to the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from facility.simulate.gpu import PoolPlant
from facility.simulate.scheduler import Scheduler
from facility.site import Site

if TYPE_CHECKING:
    from facility.bus.messages import JobDesired, JobReported, JobSpec


class FollowedJobs(Scheduler):
    """A scheduler without jobs of its own: it tells nothing and obeys nothing."""

    def __init__(self, site: Site, pools: Mapping[str, PoolPlant], start: datetime) -> None:
        super().__init__(site, pools, start, ())
        self._specs: dict[str, JobSpec] = {}
        self._gpus: dict[str, int] = {}
        self._seen: set[str] = set()

    def hear_spec(self, job: str, spec: JobSpec | None) -> None:
        """Take in what a job is; None: it is gone."""
        if spec is None:
            self._specs.pop(job, None)
        else:
            self._specs[job] = spec

    def hear_report(self, job: str, report: JobReported | None) -> None:
        """Take in which GPUs a job holds; None: none any more."""
        self._gpus.pop(job, None)
        if report is not None and report.state == "running":
            self._gpus[job] = report.gpus if isinstance(report.gpus, int) else len(report.gpus)

    def obey(self, job: str, order: JobDesired, now: datetime) -> str | None:  # noqa: ARG002 - the scheduler's own signature
        """Refuse: orders are another's to carry out."""
        return "its scheduler is another's"

    def step(self, seconds: float, now: datetime) -> None:  # noqa: ARG002 - the scheduler's own signature
        """Give every job that runs its GPUs, as far as there are any, and take them from those that do not."""
        there = {job: self._specs[job] for job in self._gpus if job in self._specs and self._specs[job].pool in self.pools}
        for pool in self.pools.values():
            for job in [name for name in pool.running if name in self._seen and (name not in there or there[name].pool != pool.id)]:
                pool.stop(job)
        self._seen = set(there)
        for job, spec in there.items():
            pool, curve = self.pools[spec.pool], spec.curve or self.site.jobs.curve
            held = pool.running[job].gpus if job in pool.running else 0
            gpus = min(self._gpus[job], pool.free + held)
            if gpus != held and curve in pool.model.curves:
                pool.give(job, gpus, curve)
