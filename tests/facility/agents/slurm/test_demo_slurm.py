"""The demonstration through a real Slurm: its sample jobs are submitted, wait for the plan, and run; the plant draws what runs."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facility.commands.demo import run_demo
from facility.config import load_site
from facility.errors import InputError
from facility.simulate.submitting import Submitter, free_gpus
from tests.processes import needs_mosquitto, patience
from tests.slurm import SITE, Cluster, needs_slurm

START = datetime(2026, 7, 15, 8, 0, tzinfo=UTC)


def test_a_node_has_the_gpus_that_no_rental_holds():
    site = load_site(SITE)
    assert free_gpus(site, site.schedulers.slurm["slurm"]) == {"h1-a": 128, "h1-b": 288, "h2-a": 128}


@needs_slurm
def test_sample_jobs_are_submitted_once_when_they_arrive_and_sleep_as_long_as_their_work_takes_on_a_faster_clock():
    site, cluster = load_site(SITE), Cluster()
    try:
        submitter = Submitter(site, site.schedulers.slurm["slurm"], cluster, START, 3600.0)
        submitter.look(START)
        submitter.look(START)
        before = cluster.states()
        submitter.look(START + timedelta(minutes=20))
        (new,) = cluster.states().keys() - before.keys()
        told = cluster.job(new)
        assert (told["name"], told["partition"], told["tres_per_node"]) == ("job-1015-10-2026-07-15", "h1-b", "gres:gpu:32")
        assert told["comment"] == "facility wait work_h=5 deadline=2026-07-15T21:15:00+00:00 curve=pretrain-7b pause=requeue"
        assert told["account"] == "kepler"
        assert "-lt 5 ]" in cluster.ask("scontrol", "write", "batch_script", str(new), "-").stdout
    finally:
        cluster.close()


@needs_mosquitto
@needs_slurm
def test_the_whole_loop_runs_through_slurm(tmp_path: Path):
    command = (sys.executable, "-m", "facility", "demo", "--slurm", "--for", f"{16 * patience():.0f}s", "--start", "2026-07-15T10:00+02:00")
    told = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180)
    assert told.returncode == 0, told.stdout + told.stderr
    found = [(int(runs), int(held)) for runs, held in re.findall(r"NORMAL: .* jobs (\d+) running (\d+) held", told.stdout)]
    assert max(runs for runs, _ in found) >= 5
    assert max(held for _, held in found) >= 1
    assert "squeue" in told.stdout


def test_the_demonstration_is_of_one_kind():
    with pytest.raises(InputError, match="give one of the two"):
        run_demo(None, 60.0, "1s", None, "telegraf", slurm=True)
