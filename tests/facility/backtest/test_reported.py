"""A span that was lived through in the closed loop is reported as it was: energy by the plant's own meter, what ran, and what was computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from facility.backtest.recording import journal_in
from facility.backtest.run import backtest
from facility.cli import app
from tests.facility.backtest.world import only, request_in


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder, and the summary of 36 hours of the small world."""
    folder = tmp_path_factory.mktemp("reported")
    _, summary = backtest(only(request_in(folder), "ours"), folder / "out", workers=1, tell=lambda _name, _share: None, record=folder / "rec")
    return folder, summary["by_controller"]["ours"]


def report(folder: Path, *more: str) -> Any:
    return CliRunner().invoke(app, ["report", str(folder / "site.yaml"), "--state", str(journal_in(folder / "rec", "tiny")), *more])


def test_a_report_is_the_plant_s_own_account_within_the_noise_of_instruments(lived: tuple[Path, dict[str, Any]]) -> None:
    folder, ours = lived
    told = json.loads(report(folder, "--from", "2026-01-15", "--to", "2026-01-16T12:00", "--json").stdout)
    annex = {figure["key"]: figure["value"] for figure in told["annex"]}
    assert (told["status"], told["interim"]) == ("whole", [])
    assert told["import_kwh"] == pytest.approx(ours["energy_kwh"], rel=2e-4)
    assert annex["total_kwh"] == pytest.approx(ours["energy_kwh"], rel=5e-3), "what its battery holds more is no use yet"
    assert told["energy_cost"] == pytest.approx(ours["costs"]["energy"], rel=1e-3)
    assert [day["hours"] for day in told["days"]] == [24.0, 12.0]
    assert annex["it_kwh"] == pytest.approx(sum(day["it_kwh"] for day in told["days"]), rel=1e-9)
    (rent,) = told["contracts"]
    assert rent["contract"] == "rent"
    assert (rent["availability"], rent["promised_gpu_h"], rent["interruptions"]) == (1.0, pytest.approx(8 * 36), [])
    assert sum(work["energy_kwh"] for work in told["tenants"]) == pytest.approx(annex["it_kwh"], rel=1e-9)
    assert sum(work["speed_gpu_h"] for work in told["models"]) > 0.5 * 8 * 36


def test_its_month_is_interim_and_says_what_was_not_measured(lived: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = lived
    found = report(folder, "--month", "2026-01", "--out", str(folder / "month"))
    assert found.exit_code == 0
    assert "interim: who had what: 36.00 of 744.00 h were counted" in found.stdout
    told = json.loads((folder / "month/summary.json").read_text(encoding="utf-8"))
    assert told["status"] == "interim"
    assert any("2,832 of 2,976 quarters of an hour were not measured" in why for why in told["interim"])
    assert sum(day["covered"] > 0 for day in told["days"]) == 2
