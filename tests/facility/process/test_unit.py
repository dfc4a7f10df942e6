"""The systemd unit: systemd itself reads it, and says how much it leaves open."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facility.config import load_site
from facility.process.unit import unit

SITE = "site_configs/demo.yaml"
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze")


def analyzed(*words: str) -> str:
    assert ANALYZE is not None
    done = subprocess.run([ANALYZE, *words], capture_output=True, text=True, check=False, timeout=20)
    return done.stdout + done.stderr


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The unit as the command prints it, of a site file with a difficult name and an override with signs that systemd reads."""
    site = tmp_path / "my 100% site.yaml"
    shutil.copy(SITE, site)
    command = [sys.executable, "-m", "facility", "check", str(site), "--unit", "--set", 'name="50% of $HOME"']
    made = tmp_path / "facility-demo.service"
    made.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return made


@needs_systemd
def test_systemd_finds_no_fault_in_it(file: Path) -> None:
    assert analyzed("verify", str(file)) == ""
    spoilt = file.with_name("spoilt.service")
    spoilt.write_text(file.read_text().replace("Type=notify", "Type=notfy"))
    assert "Failed to parse service type" in analyzed("verify", str(spoilt)), "it would say so"


@needs_systemd
def test_it_leaves_little_open(file: Path) -> None:
    level = re.search(r"exposure level for \S+: ([\d.]+)", analyzed("security", "--offline=yes", str(file)))
    assert level is not None
    assert float(level[1]) <= 2.0


def test_its_command_is_the_one_that_was_checked(file: Path) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", file.read_text(), re.MULTILINE)
    assert '/my 100%% site.yaml"' in line
    assert r'--set "name=\"50%% of $$HOME\""' in line
    assert line.endswith("--state %S/facility/demo.sqlite")


def test_it_is_watched_restarted_and_bounded_by_what_the_site_needs() -> None:
    demo, large = (unit(load_site(file), file) for file in (SITE, "site_configs/frankfurt.yaml"))
    for words in ("Type=notify\n", "WatchdogSec=10\n", "Restart=always\n", "NoNewPrivileges=yes\n", "OOMPolicy=continue\n", "LimitNOFILE="):
        assert words in demo
    most_mb = [int(re.findall(r"MemoryMax=(\d+)M", text)[0]) for text in (demo, large)]
    assert most_mb[0] < most_mb[1]
