"""Arriving: how a job that has just come waits for its first order, so that it does not start before anybody could defer it.

Slurm runs `job_submit.lua` for each job that is submitted (`JobSubmitPlugins=lua`). Ours gives a job with the label, and without a begin
time of its own, one that is a little later, and the word `wait`: an order moves it, and where none comes the job starts then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from facility.site import Slurm

SCRIPT: Final = Path(__file__).with_name("job_submit.lua")


def job_submit(terms: Slurm) -> str:
    """The script for a cluster with these terms."""
    return SCRIPT.read_text(encoding="utf-8").replace("@LABEL@", terms.label).replace("@WAIT_S@", str(max(round(terms.first_wait_s), 1)))
