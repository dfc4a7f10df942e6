"""A plan keeps its word on days of every length and price, and the checker notices a word that is broken."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from facility.planner import Request
from tests.facility.planner.days import DAYS, midnight, planned, request, run, write
from tests.facility.planner.promises import DEMO, check, near, read, told


@pytest.fixture(scope="module")
def dear_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folder and job file of one plan that keeps its word."""
    tmp = tmp_path_factory.mktemp("dear")
    asked, jobs = request(tmp, "dear")
    return write(planned(asked), tmp / "out"), jobs


def test_every_promise_holds_of_an_exact_plan_and_its_proof_is_told_in_money(tmp_path: Path) -> None:
    """In half-hour steps, an hour of them at a negative price; the proof is to 0.01 and the rounded plan no nearer to the bound."""
    asked, jobs = request(tmp_path, "spring", jobs=12)
    out = tmp_path / "out"
    options = ["--start", asked.start, "--step", "30min", "--prices", asked.prices, "--jobs", jobs, "--out", out]
    done = run("plan", DEMO, *options, "--exact")
    assert done.returncode == 0, done.stderr
    t = told(out, DEMO, jobs)
    check(t, midnight("2023-03-26"), 46)
    solve = t.summary["solve"]
    assert solve["not_exact"] is None
    assert 0 <= solve["mip_gap"] <= 0.01
    assert solve["distance"]["exact"] <= solve["distance"]["rounded"] + 0.01
    assert solve["mip_bound"] >= solve["bound"] - 0.01
    assert "exact: proven to 0.0" in done.stdout


@pytest.mark.parametrize("name", ["negative", "spring"])
def test_every_promise_holds_through_the_command_line(tmp_path: Path, name: str) -> None:
    asked, jobs = request(tmp_path, name)
    out = tmp_path / "out"
    done = run("plan", DEMO, "--start", asked.start, "--prices", asked.prices, "--jobs", jobs, "--out", out)
    day, steps, _ = DAYS[name]
    t = told(out, DEMO, jobs)
    check(t, midnight(day), steps)
    assert done.returncode == (1 if t.summary["status"] == "breached" else 0), done.stderr
    assert {path.name for path in out.iterdir()} == {"plan.csv", "caps.csv", "jobs.csv", "summary.json", "report.html"}


def test_every_promise_holds_on_a_very_dear_day(dear_day: tuple[Path, Path]) -> None:
    folder, jobs = dear_day
    check(told(folder, DEMO, jobs), midnight("2022-08-26"), 96)


def test_every_promise_holds_on_the_day_of_25_hours(tmp_path: Path) -> None:
    asked, jobs = request(tmp_path, "autumn")
    check(told(write(planned(asked), tmp_path / "out"), DEMO, jobs), midnight("2023-10-29"), 100)


def test_a_horizon_is_elapsed_time_and_its_last_step_may_be_shorter(tmp_path: Path) -> None:
    asked, jobs = request(tmp_path, "autumn", jobs=6)
    short = Request(asked.site, asked.start, "5h20min", "30min", prices=asked.prices, jobs=asked.jobs)
    t = told(write(planned(short), tmp_path / "out"), DEMO, jobs)
    check(t, midnight("2023-10-29"), 11)
    assert near(t.hours[-1], 1 / 3)


@pytest.mark.parametrize(
    ("file", "column", "change"),
    [
        ("plan.csv", "import_kw", lambda v: float(v) + 0.01),
        ("plan.csv", "it_kw", lambda v: float(v) + 0.01),
        ("plan.csv", "gpus_running", lambda v: float(v) + 0.1),
        ("plan.csv", "battery_kw", lambda v: float(v) - 30.0),
        ("plan.csv", "hours", lambda _: 0.2),
        ("caps.csv", "cap_w", lambda v: int(v) + 1),
        ("caps.csv", "cap_w", lambda v: float(v) + 0.5),
        ("caps.csv", "gpus", lambda v: float(v) * 1.01),
        ("caps.csv", "speed", lambda v: float(v) + 1e-4),
        ("caps.csv", "time", lambda v: v.replace("T", "T0").replace("T00", "T01")[:20]),
        ("jobs.csv", "done_gpu_h", lambda v: float(v) + 0.001),
        ("jobs.csv", "finish", lambda _: ""),
        ("jobs.csv", "start", lambda _: "2022-08-20T00:00:00Z"),
        ("jobs.csv", "job_id", lambda _: "another"),
    ],
)  # fmt: skip
def test_the_checker_notices_one_wrong_cell(
    tmp_path: Path, dear_day: tuple[Path, Path], file: str, column: str, change: Callable[[str], object]
) -> None:
    folder, jobs = dear_day
    shutil.copytree(folder, tmp_path / "out")
    path = tmp_path / "out" / file
    rows = read(path)
    at = next(i for i, row in enumerate(rows) if row[column] and i >= len(rows) // 2)
    rows[at][column] = str(change(rows[at][column]))
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises((AssertionError, ValueError, KeyError, StopIteration)):
        check(told(tmp_path / "out", DEMO, jobs), midnight("2022-08-26"), 96)


@pytest.mark.parametrize(
    "change",
    [{"energy_cost": 0.0}, {"status": "breached"}, {"objective": 1e9}, {"peak_kw": 1.0}, {"end": "2022-08-27T00:00:00Z"}],
)
def test_the_checker_notices_a_wrong_summary(tmp_path: Path, dear_day: tuple[Path, Path], change: dict[str, object]) -> None:
    folder, jobs = dear_day
    shutil.copytree(folder, tmp_path / "out")
    path = tmp_path / "out" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change), encoding="utf-8")
    with pytest.raises(AssertionError):
        check(told(tmp_path / "out", DEMO, jobs), midnight("2022-08-26"), 96)
