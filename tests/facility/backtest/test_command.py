"""`facility backtest`: what it prints, writes and answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facility.backtest.metering import Breach
from facility.backtest.run import SUMMARY
from facility.cli import app
from facility.commands import backtest as command
from facility.errors import InputError
from tests.facility.backtest.world import START, request_in


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    """The command quietens the log of its process: here that is also the other tests'."""
    levels = {name: logging.getLogger(name).level for name in ("facility", "pyomo")}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def arguments(folder: Path, *more: str) -> list[str]:
    """The command line of the small world, without those that plan."""
    asked = request_in(folder)
    assert asked.prices is not None
    assert asked.jobs is not None
    told = ["backtest", asked.site, "--from", asked.start, "--to", asked.end, "--prices", asked.prices, "--jobs", asked.jobs]
    return [*told, "--cycle", "1h", "--only", "rules", "--only", "none", "--workers", "1", *more]


def test_it_prints_a_table_and_what_was_assumed(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, arguments(tmp_path, "--out", str(tmp_path / "out")))
    assert done.exit_code == 0, done.output
    for said in ("a decision every 60 min", "cost, EUR", "missed deadlines", "rules", "none", "jobs: their work is known when they are submitted"):
        assert said in done.output
    numbers = json.loads((tmp_path / "out" / SUMMARY).read_text())
    assert numbers["saving_share_of_foresight"] is None
    assert numbers["by_controller"]["rules"]["cost"] < numbers["by_controller"]["none"]["cost"]


def test_json_is_the_summary(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, arguments(tmp_path, "--json"))
    assert json.loads(done.stdout)["cost"].keys() == {"rules", "none"}


def test_bad_input_names_the_place(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, arguments(tmp_path, "--published", "late"))
    assert isinstance(done.exception, InputError)
    assert "--published" in str(done.exception)


def test_a_breach_of_ours_is_told_and_answers_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from facility.backtest import run as running

    lived = running.live

    def broken(*asked: object) -> object:
        breach = Breach("over_limit_kw", "1 min mean", START, START + timedelta(minutes=3), 2.5, "kW")
        return replace(lived(*asked), controller="ours", breaches=(breach,))  # type: ignore[arg-type, type-var]

    monkeypatch.setattr(running, "live", lambda world, _who, *rest: broken(world, "none", *rest))
    request = replace(request_in(tmp_path), controllers=("ours",))
    assert command.run_backtest(request, None, 1, as_json=False) == 1
    assert "breach: over_limit_kw of 1 min mean by 2.50 kW from 2026-01-15T00:00:00Z to 2026-01-15T00:03:00Z" in capsys.readouterr().out
