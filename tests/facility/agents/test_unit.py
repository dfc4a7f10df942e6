"""The systemd units of agents: systemd itself reads them, and says how much they leave open."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from facility.agents.unit import whole
from tests.facility.process.test_unit import SITE, analyzed, needs_systemd

GPU = ("--site", "demo", "--pool", "h1/h1-b", "--node", "node-17", "--broker", "mqtts://agent@broker.example", "--ca-file", "ca.pem")
AGENTS = {
    "nvml": (GPU, 5.0),
    "amd": (GPU, 5.0),
    "redfish": ((*GPU, "--nodes", "bmc.toml"), 2.0),
    "slurm": ((SITE, "--broker", "mqtt://127.0.0.1"), 2.0),
    "building": ((SITE,), 2.0),
    "kubernetes": ((SITE, "--kubeconfig=k.yaml"), 2.0),
}
"""By agent its options, and how exposed it may be, 0 to 10."""


@pytest.fixture(params=AGENTS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """An agent, and its unit."""
    words = [sys.executable, "-m", "facility", "agent", request.param, *AGENTS[request.param][0], "--unit"]
    file = tmp_path / f"facility-agent-{request.param}-demo.service"
    file.write_text(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return request.param, file


@needs_systemd
def test_systemd_finds_no_fault_in_it_and_little_that_is_open(made: tuple[str, Path]) -> None:
    kind, file = made
    assert analyzed("verify", str(file)) == ""
    level = re.search(r"exposure level for \S+: ([\d.]+)", analyzed("security", "--offline=yes", str(file)))
    assert level is not None
    assert float(level[1]) <= AGENTS[kind][1]


def test_it_begins_the_agent_that_was_asked_for_and_again_where_it_ends(made: tuple[str, Path]) -> None:
    kind, file = made
    text = file.read_text()
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert f" agent {kind} " in command
    assert "--unit" not in command
    assert "Restart=always" in text
    assert (str(Path(SITE).absolute()) in command) == (SITE in AGENTS[kind][0])


def test_files_are_named_by_their_whole_paths() -> None:
    here = Path.cwd()
    asked = ["--ca-file", "ca.pem", "--unit", "--nodes=bmc.toml", "--node", "n", "--password-file", "/etc/secret"]
    assert whole(asked) == ["--ca-file", f"{here}/ca.pem", f"--nodes={here}/bmc.toml", "--node", "n", "--password-file", "/etc/secret"]
