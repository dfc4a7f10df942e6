"""A real Slurm for tests, on loopback, and the agent beside it as a process; orders as the daemon gives them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from facility.agents.slurm.arriving import job_submit
from facility.agents.slurm.reading import read_jobs
from facility.config import load_site
from facility.simulate.slurm import PrivateSlurm, missing
from tests.processes import Ear, Mosquitto, end

SITE = "site_configs/demo-slurm.yaml"
ROOT = "facility/v1/demo-slurm"
NODES = {"h1-a": 128, "h1-b": 288, "h2-a": 128}
needs_slurm = pytest.mark.skipif(bool(missing(rest=True)), reason=f"needs Slurm: no {', '.join(missing(rest=True))}")


class Cluster(PrivateSlurm):
    """A cluster in a folder that everybody may enter, as the user of slurmrestd must."""

    def __init__(self) -> None:
        self.temporary = TemporaryDirectory(prefix="facility-slurm-")
        folder = Path(self.temporary.name)
        folder.chmod(0o755)
        terms = load_site(SITE, ["schedulers.slurm.slurm.first_wait_s=3600"]).schedulers.slurm["slurm"]
        super().__init__(folder, NODES, rest=True, job_submit=job_submit(terms))
        self.start()

    def close(self) -> None:
        self.stop()
        self.temporary.cleanup()

    def job(self, number: int) -> dict[str, Any]:
        """What Slurm says of a job."""
        told = json.loads(self.ask("squeue", "--states=all", "--json").stdout)
        return next(job for job in told["jobs"] if job["job_id"] == number)

    def states(self) -> dict[int, str]:
        told = json.loads(self.ask("squeue", "--states=all", "--json").stdout)
        return {job.id: job.state for job in read_jobs(told, datetime.now(UTC))}

    def sleep(self, seconds: float, *options: str, gpus: int = 8, partition: str = "h1-b", comment: str | None = "facility work_h=1") -> int:
        """Submit a job that sleeps."""
        said = () if comment is None else (f"--comment={comment}",)
        return self.submit(f"#!/bin/sh\nsleep {seconds:g}\n", f"--gres=gpu:{gpus}", f"--partition={partition}", *said, *options)


class Desk:
    """A broker, an ear, the agent of a cluster by one way, and orders."""

    def __init__(self, folder: Path, stack: ExitStack, cluster: Cluster, way: str) -> None:
        self.folder, self.stack, self.cluster, self.way, self.seq = folder, stack, cluster, way, 0
        self.broker = Mosquitto(folder)
        stack.callback(self.broker.stop)
        self.ear = Ear(self.broker.url, f"{ROOT}/#")
        stack.callback(self.ear.close)
        self.start()

    def start(self, *options: str) -> None:
        settings = ["schedulers.slurm.slurm.poll_s=0.5"]
        environment = os.environ | self.cluster.environment
        if self.way == "rest":
            token = self.folder / "token"
            token.write_text(f"SLURM_JWT={self.cluster.token(self.cluster.user)}\n")
            token.chmod(0o600)
            settings += [f"schedulers.slurm.slurm.url={self.cluster.url}", f"schedulers.slurm.slurm.token_file={token}"]
        given = [part for setting in settings for part in ("--set", setting)]
        with (self.folder / "agent.log").open("ab") as log:
            command = (sys.executable, "-m", "facility", "agent", "slurm", SITE, "--broker", self.broker.url, *given, *options)
            self.agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self.stack.callback(end, self.agent)

    def said(self) -> str:
        return (self.folder / "agent.log").read_text()

    def order(self, jobs: Sequence[int], action: str, lasts_s: float = 600.0, **what: Any) -> None:
        """Order as the daemon does."""
        now = datetime.now(UTC)
        for job in jobs:
            self.seq += 1
            told = {"action": action, "gpus": 8 if action == "run" else 0, "epoch": 1, "seq": self.seq, "issued_at": now.isoformat()}
            told |= {"valid_until": (now + timedelta(seconds=lasts_s)).isoformat(), **what}
            publish = ("mosquitto_pub", "-p", str(self.broker.port), "-q", "1", "-r", "-t", f"{ROOT}/job/slurm-{job}/desired", "-s")
            subprocess.run(publish, input=json.dumps(told).encode(), check=True, timeout=5)

    def told(self, job: int, what: str) -> Any:
        """The newest that the agent told of a job; None where there is nothing."""
        return self.ear.told(f"{ROOT}/job/slurm-{job}/{what}")

    def reported(self, job: int) -> str | None:
        told = self.told(job, "reported")
        return None if told is None else str(told["state"])

    def obeyed(self, job: int) -> bool:
        """Whether the last order was carried out, as far as the agent says."""
        told, wanted = self.told(job, "reported"), self.told(job, "desired")
        return told is not None and wanted is not None and told["seq"] == wanted["seq"]
