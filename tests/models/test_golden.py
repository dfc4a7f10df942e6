"""Every family of constraints has its rows on record, in a form that a solver can read."""

from __future__ import annotations

import re
from pathlib import Path

import highspy
import pytest

MODELS = Path(__file__).parents[2] / "models"
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.lp"))


def families() -> set[str]:
    """`room.constraint` of every constraint that the code declares."""
    decorated = re.compile(r"@block\.Constraint\(.*\)\n\s+def (\w+)\(")
    return {f"{path.stem}.{name}" for path in MODELS.rglob("*.py") for name in decorated.findall(path.read_text(encoding="utf-8"))}


def test_every_family_has_a_golden_file_and_every_file_a_family() -> None:
    assert {path.stem for path in GOLDEN} == families()


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_file_is_a_linear_program(path: Path) -> None:
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    assert highs.readModel(str(path)) == highspy.HighsStatus.kOk
    rows = re.search(r"\nst\n(.*)\nbounds\n", path.read_text(encoding="utf-8"), re.DOTALL)
    assert rows is not None
    assert highs.getNumRow() == len(rows[1].splitlines())
