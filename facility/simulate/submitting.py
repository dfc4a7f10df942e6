"""The sample jobs of a site, submitted to a real Slurm as scripts that sleep.

    seconds = work / GPUs / speed of the site's clock

A script notes every second how far it is, so that one which Slurm has queued again goes on where it was. Slurm's clock is everybody's: on a
site whose clock runs 60 times as fast a job of six hours sleeps for six minutes.
"""

from __future__ import annotations

import math
from datetime import datetime

from facility.simulate.gpu import PoolPlant
from facility.simulate.scheduler import RehearsedJob, Scheduler
from facility.simulate.slurm import MOST_GPUS, PrivateSlurm
from facility.site import Site, Slurm

SCRIPT = """\
#!/bin/sh
note="{folder}/done-$SLURM_JOB_ID"
done=$(cat "$note" 2>/dev/null || echo 0)
while [ "$done" -lt {seconds} ]; do
  sleep 1
  done=$((done + 1))
  echo "$done" > "$note"
done
rm -f "$note"
"""


def free_gpus(site: Site, terms: Slurm) -> dict[str, int]:
    """GPUs by partition that no rental of the site holds, as many as a node may have."""
    firm = {pool: sum(contract.gpus for contract in site.contracts.values() if contract.pool == pool) for pool in site.pools}
    return {name: min(site.pools[pool].gpus - firm[pool], MOST_GPUS) for name, pool in terms.partitions.items() if site.pools[pool].gpus > firm[pool]}


class Submitter:
    """Submits each sample job of `site` to `slurm` when it arrives by the site's clock, which runs `speed` times as fast as Slurm's."""

    def __init__(self, site: Site, terms: Slurm, slurm: PrivateSlurm, start: datetime, speed: float) -> None:
        self._site, self._terms, self._slurm, self._speed = site, terms, slurm, speed
        pools = {name: PoolPlant(name, pool, site.gpu_models[pool.gpu_model], None) for name, pool in site.pools.items()}
        for name, contract in site.contracts.items():
            if contract.gpus and contract.pool is not None and contract.curve is not None:
                pools[contract.pool].give(name, contract.gpus, contract.curve)
        self._scheduler = Scheduler(site, pools, start)
        self._submitted: set[str] = set()

    def look(self, now: datetime) -> None:
        """Submit what has arrived by now. Raises InputError where Slurm refuses it."""
        self._scheduler.step(0.0, now)
        for job in self._scheduler.jobs.values():
            if job.id not in self._submitted:
                self._submitted.add(job.id)
                self._submit(job)

    def _submit(self, job: RehearsedJob) -> None:
        partition = next((name for name, pool in self._terms.partitions.items() if pool == job.pool and name in self._slurm.nodes), None)
        if partition is None or job.gpus > self._slurm.nodes[partition]:
            return
        script = SCRIPT.format(folder=self._slurm.folder, seconds=max(round(job.work_gpu_h / job.gpus * 3600 / self._speed), 1))
        account = next((name for name, each in self._terms.accounts.items() if each.contract == job.contract), None)
        self._slurm.submit(
            script,
            f"--job-name={job.id}",
            f"--partition={partition}",
            f"--gres=gpu:{job.gpus}",
            f"--begin=now+{max(math.ceil(self._terms.first_wait_s / self._speed), 2)}",
            f"--comment={self._words(job)}",
            "--requeue",
            *((f"--account={account}",) if account else ()),
        )

    def _words(self, job: RehearsedJob) -> str:
        words = [self._terms.label, "wait", f"work_h={job.work_gpu_h / job.gpus:g}", f"deadline={job.deadline.isoformat()}", f"curve={job.curve}"]
        return " ".join((*words, *(("elastic",) if job.elastic else ()), "pause=requeue"))
