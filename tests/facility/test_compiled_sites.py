"""Every shipped site compiles to what Pyomo writes of it, row by row: nearly every key of the site file takes part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facility.planner import Planned, Request, plan
from models.sending.tightened import tightened
from models.site import build, declare

FILES = sorted((Path(__file__).parents[2] / "site_configs").glob("*.yaml"))
SITES = [path for path in FILES if "\nbased_on:" not in path.read_text(encoding="utf-8")]  # those differ in what their meters say


@pytest.mark.parametrize("site", SITES, ids=lambda path: path.stem)
def test_a_shipped_site_compiles_to_what_pyomo_writes(site: Path, same_program: Callable[[Any, Any], Any]) -> None:
    planned = plan(Request(str(site), "2026-07-15T14:00", "8h", "2h"))
    assert isinstance(planned, Planned)
    problem = tightened(planned.decided.plan.problem)
    assert same_program(declare(problem), build(problem)).shape[0] > 0
