"""A span that was lived through and recorded is billed as one that the daemon kept: it is the plant's own meter, and the same life."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from facility.backtest.recording import journal_in
from facility.backtest.run import backtest
from facility.bill.versions import LEDGER
from facility.cli import app
from facility.journal.journal import Journal
from facility.usage.usage import Usage
from tests.facility.backtest.world import START, only, request_in

END = datetime(2026, 1, 16, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """The folder, and the summary of 36 hours of the small world without and with a recording."""
    folder = tmp_path_factory.mktemp("recorded")
    request = only(request_in(folder), "ours")
    _, plain = backtest(request, folder / "out", workers=1, tell=lambda _name, _share: None)
    _, recorded = backtest(request, folder / "out", workers=1, tell=lambda _name, _share: None, record=folder / "rec")
    return folder, plain, recorded


def bill(folder: Path, *more: str) -> Any:
    span = ("--from", "2026-01-15", "--to", "2026-01-16T12:00", "--state", str(journal_in(folder / "rec", "tiny")))
    return CliRunner().invoke(app, ["bill", str(folder / "site.yaml"), *span, *more])


def usages(folder: Path) -> list[Usage]:
    with Journal(journal_in(folder / "rec", "tiny"), read_only=True) as journal:
        return list(journal.usage(START, END))


def test_a_recording_changes_nothing_of_what_is_lived(lived: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    _, plain, recorded = lived
    assert recorded == plain


def test_the_bill_is_the_plant_s_own_meter_within_the_noise_of_instruments(lived: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    folder, plain, _ = lived
    told = json.loads(bill(folder, "--json").stdout)
    ours = plain["by_controller"]["ours"]
    assert told["status"] == "final"
    assert told["gaps"] == []
    assert told["whole"]["energy_kwh"] == pytest.approx(ours["energy_kwh"], rel=2e-4)
    assert told["whole"]["costs"]["energy"] == pytest.approx(ours["costs"]["energy"], rel=1e-3)
    assert sum(each["energy_kwh"] for each in told["accounts"]) == pytest.approx(told["whole"]["energy_kwh"], rel=1e-9)
    assert round(sum(each["total"] for each in told["accounts"]), 2) == told["whole"]["total"]
    assert "price: as it was told, of 144 of 144 intervals" in told["assumed"]


def test_what_is_counted_is_what_ran(lived: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    """Every GPU of the rental ran all the time; jobs did the work that they are done with, at the speed of their caps."""
    folder, plain, _ = lived
    found = usages(folder)
    assert {row.start for row in found if row.workload == "rent"} == {row.start for row in found}
    assert sum(row.gpu_h for row in found if row.workload == "rent") == pytest.approx(8 * 36)
    assert all(row.hours == pytest.approx(0.25) for row in found if row.kind != "job")
    done = {job: hours * gpus for job, _, hours, gpus in (("a", 1, 4, 8), ("b", 7, 3, 16), ("c", 8, 6, 8))}
    for job, work_gpu_h in done.items():
        assert sum(row.speed_gpu_h for row in found if row.workload == job) == pytest.approx(work_gpu_h, rel=0.02)
    assert plain["by_controller"]["ours"]["jobs_done"] >= len(done)


def test_expected_energy_is_near_what_the_pool_drew(lived: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    folder, _, _ = lived
    told = json.loads(bill(folder, "--json").stdout)
    expected = sum(row.expected_kwh + row.idle_kwh for row in usages(folder))
    assert expected == pytest.approx(told["whole"]["it_kwh"], rel=0.02)


def test_the_command_writes_once_says_when_nothing_has_changed_and_corrects_with_a_reason(
    lived: tuple[Path, dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    folder, _, _ = lived
    out = str(tmp_path / "bills")
    first = bill(folder, "--out", out)
    assert first.exit_code == 0, first.output
    for said in ("acme", "the site's own", "together", "total, EUR", "assumed: carbon intensity", "bill-2026-01-15--2026-01-16T1200.v1"):
        assert said in first.output
    assert "nothing has changed: version 1 stands" in bill(folder, "--out", out).output
    prices = folder / "settled.csv"
    prices.write_text("time,price_eur_per_mwh\n2026-01-14T00:00Z,100\n2026-01-18T00:00Z,100\n")
    second = bill(folder, "--out", out, "--prices", str(prices), "--correct", "settled prices", "--by", "ann")
    assert "corrects version 1 (settled prices): Acme " in second.output
    lines = [json.loads(line) for line in (tmp_path / "bills" / LEDGER).read_text().splitlines()]
    assert [(line["version"], line["reason"], line["by"]) for line in lines] == [(1, "", ""), (2, "settled prices", "ann")]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--correct", "why"), "--correct"),
        (("--state", "nowhere.sqlite"), "tiny.history.sqlite: nothing to read here"),
        (("--history", "nowhere.sqlite"), "nowhere.sqlite: nothing to read here"),
    ],
)
def test_bad_input_names_the_place(lived: tuple[Path, dict[str, Any], dict[str, Any]], more: tuple[str, ...], says: str) -> None:
    done = bill(lived[0], *more)
    assert done.exit_code != 0
    assert says in str(done.exception)


def test_a_month_of_which_nothing_was_read_is_no_bill(lived: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    folder = lived[0]
    state = ("--state", str(journal_in(folder / "rec", "tiny")))
    done = CliRunner().invoke(app, ["bill", str(folder / "site.yaml"), "--month", "2025-11", *state])
    assert "has no reading of 2025-11" in str(done.exception)


def test_only_ours_is_recorded(tmp_path: Path) -> None:
    asked = only(request_in(tmp_path), "rules")
    told = ["backtest", asked.site, "--from", asked.start, "--to", asked.end, "--only", "rules", "--record", str(tmp_path / "rec")]
    assert "only ours is recorded" in str(CliRunner().invoke(app, told).exception)
