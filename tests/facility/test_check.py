"""`facility check`: what is fine, and what is no fault of the file but cannot work."""

from __future__ import annotations

import pytest

from facility.commands.check import run_check

DEMO = "site_configs/demo.yaml"


def told(capsys: pytest.CaptureFixture[str], *settings: str) -> str:
    assert run_check(DEMO, settings, schema=False, asyncapi=False, as_json=False) == 0
    return capsys.readouterr().out


def test_a_site_that_can_work_is_fine_without_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys)
    assert f"{DEMO}: fine" in out
    assert "warning" not in out


def test_a_limit_below_what_the_site_draws_at_rest_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    """992 * (50 + 60) W and 512 idle V100s, and the halls' base load, are more than 100 kW."""
    assert "more than the import limit of 100 kW" in told(capsys, "grid.import_limit_kw=100")


def test_fallback_caps_that_do_not_fit_are_warned_of_with_the_feeder(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the fallback caps do not fit: busway-2a at" in told(capsys, "cooling_plants.chiller.feeder=busway-2a")
