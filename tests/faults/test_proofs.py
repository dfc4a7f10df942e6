"""A test of a fault that does not prove its fault is found out, with the fault and without."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

TESTS = """
def test_fault_1_proves(fault):
    happened = []
    fault(lambda: happened.append(1))
    fault.proven(lambda: happened, "nothing happened", 0.1)

def test_fault_2_proves_nothing(fault):
    fault(lambda: None)

def test_fault_3_proves_what_is_always_so(fault):
    fault(lambda: None)
    fault.proven(lambda: True, "never said")

def test_fault_4_fails_before_its_proof(fault):
    assert fault(lambda: 1) == 1
    fault.proven(lambda: True, "never said")

def test_fault_5_does_not_happen(fault):
    fault(lambda: None)
    fault.proven(lambda: False, "it never does", 0.1)

def test_of_no_fault():
    pass
"""


def outcomes(folder: Path, *options: str) -> dict[str, str]:
    """What becomes of each test, by the beginning of its name."""
    place = folder / "faults"
    place.mkdir(exist_ok=True)
    (place / "test_them.py").write_text(TESTS)
    command = ["-m", "pytest", "-p", "tests.conftest", "-p", "tests.faults.conftest", "-p", "no:cacheprovider", "-vv", "-c", "/dev/null"]
    run = subprocess.run([sys.executable, *command, str(place), *options], capture_output=True, text=True, check=False, timeout=60)
    return dict(re.findall(r"::test_(fault_\d|of_no_fault)\S*(?: <- \S+)? (PASSED|FAILED|SKIPPED)", run.stdout))


def test_each_test_proves_its_fault_and_fails_at_that_without_it(tmp_path: Path) -> None:
    assert outcomes(tmp_path) == {
        "fault_1": "PASSED", "fault_2": "FAILED", "fault_3": "PASSED", "fault_4": "PASSED", "fault_5": "FAILED", "of_no_fault": "PASSED",
    }  # fmt: skip
    assert outcomes(tmp_path, "--no-inject") == {
        "fault_1": "PASSED", "fault_2": "FAILED", "fault_3": "FAILED", "fault_4": "FAILED", "fault_5": "PASSED", "of_no_fault": "SKIPPED",
    }  # fmt: skip


def test_a_test_of_a_fault_that_does_not_ask_for_it_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults" / "test_more.py").write_text("def test_fault_6_asks_for_nothing():\n    pass\n")
    assert outcomes(tmp_path) == {}
