"""A process that plans starts without what it does not need of SciPy."""

from __future__ import annotations

import subprocess
import sys

import pytest

UNWANTED = "[name for name in ('scipy.integrate', 'scipy.spatial', 'scipy.stats') if name in sys.modules]"


@pytest.mark.parametrize("module", ["models.solving.serve", "facility.commands.run"])
def test_whoever_plans_starts_without_what_it_does_not_need(module: str) -> None:
    assert _printed(f"import sys, {module}; print({UNWANTED})") == "[]"


def test_whoever_wants_the_rest_of_scipy_gets_it() -> None:
    assert _printed("import models.plan, scipy.stats, scipy; print(scipy.stats.norm.cdf(0), scipy.spatial.cKDTree.__name__)") == "0.5 cKDTree"


def test_what_was_there_before_stays() -> None:
    assert _printed("import scipy.spatial as before, models.plan, scipy; print(scipy.spatial is before)") == "True"


def _printed(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()
