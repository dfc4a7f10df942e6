"""Staying: who works on GPUs that maintenance should have by now, and until when. Pure.

Nothing is stopped for it: the GPUs leave as their work is done. Who cannot wait holds the job, as any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from facility.site import Site
from facility.snapshot import Job


@dataclass(frozen=True)
class Staying:
    """So many of the `wanted` GPUs of a pool still work at an instant: gangs, and when each is done at full speed at the earliest."""

    pool: str
    wanted: int
    gpus: int
    jobs: tuple[tuple[str, datetime], ...]


def staying(site: Site, jobs: Iterable[Job], now: datetime) -> Iterator[Staying]:
    """The pools whose GPUs should have left by `now`; `site` has the contracts that are in force."""
    jobs = tuple(jobs)
    for name, pool in site.pools.items():
        wanted = sum(m.takes(name, now) for m in site.maintenance.values())
        kept = sum(contract.gpus for contract in site.contracts.values() if contract.pool == name and not contract.pausable)
        gangs = [job for job in jobs if job.pool == name and job.running and not job.elastic]
        gangs.sort(key=lambda job: (job.work_gpu_h / job.gpus, job.id))
        over = sum(job.gpus for job in gangs) + kept + wanted - pool.gpus
        if wanted and over > 0 and gangs:
            done = tuple((job.id, now + timedelta(hours=job.work_gpu_h / job.gpus)) for job in gangs)
            yield Staying(name, wanted, min(over, wanted), done)
