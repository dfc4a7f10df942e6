"""The command line: quick help, JSON that is JSON, and bad input answered by one sentence that names the place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter, sleep
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import scipy.sparse as sp

from facility.cli import main
from facility.commands.progress import shown
from models.solving.outcome import Solved
from models.solving.program import Program
from models.solving.solver import Solver

ROOT = Path(__file__).parents[2]
DEMO = "site_configs/demo.yaml"
Done = subprocess.CompletedProcess[str]


def run(*arguments: object, **environment: str) -> Done:
    command, env = [sys.executable, "-m", "facility", *map(str, arguments)], os.environ | environment
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)


def prices(day: str = "2023-07-01", hours: int = 72) -> list[str]:
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return ["time,price_eur_per_mwh", *(f"{start + i * timedelta(hours=1):%FT%H:%MZ},{i}" for i in range(hours))]


def files_of_input() -> dict[str, list[str]]:
    good = prices()
    return {
        "hole": [*good[:31], *good[32:]],
        "twice": [*good[:31], good[30], *good[31:]],
        "naive": [line.replace("Z", "") for line in good],
        "unit": ["time,price_eur_per_kwh", *good[1:]],
        "nan": [*good[:31], good[31].split(",")[0] + ",nan", *good[32:]],
        "other-day": prices("2021-01-01"),
        "one-row": [good[0], good[1]],
        "sun": ["time,solar_kw_per_kwp", *(line.split(",")[0] + ",-1" for line in good[1:])],
        "load": ["time,load_mw", *good[1:]],
        "demand": ["time,nobody_gpus", *good[1:]],
        "jobs": ["submit_time,duration_s,num_gpus", "2023-07-02T06:00Z,60,0"],
    }


BAD = {
    "hole": ("--prices", "{hole}", "row 32", "column time", "2023-07-02T05:00"),
    "twice": ("--prices", "{twice}", "row 32", "column time", "twice"),
    "naive": ("--prices", "{naive}", "column time", "--timezone"),
    "unit": ("--prices", "{unit}", "row 1", "eur_per_kwh", "eur_per_mwh"),
    "nan": ("--prices", "{nan}", "row 32", "column price_eur_per_mwh"),
    "other-day": ("--prices", "{other-day}", "other-day.csv", "2021-01-01"),
    "no-file": ("--prices", "nowhere.csv", "nowhere.csv", "no such file"),
    "set-key": ("--set", "grid.import_limit=900", "--set grid.import_limit=900", "grid.import_limit_kw"),
    "start": ("--start", "2023-02-30", "--start", "2023-02-30"),
    "step": ("--step", "15parsecs", "--step", "15parsecs"),
    "zero": ("--horizon", "0h", "--horizon", "0h"),
    "out": ("--out", "{hole}", "--out", "hole.csv"),
    "jobs": ("--jobs", "{jobs}", "row 2", "column num_gpus"),
    "no-solar": ("--solar", "{sun}", "--solar", "describe one under `solar`"),
    "sun": ("--solar", "{sun}", "row 2", "column solar_kw_per_kwp", "-1"),
    "load": ("--load", "{load}", "row 1", "load_mw", "kw"),
    "demand": ("--demand", "{demand}", "column nobody_gpus", "lumen-chat"),
    "premium": ("--position", "{hole}", "tariff.imbalance_premium_per_mwh"),
    "position": ("--position", "{one-row}", "one-row.csv", "one row"),
    "gap": ("--gap", "0.5", "--gap", "--exact"),
    "whole-steps": ("--whole-steps", "2", "--whole-steps", "--exact"),
    "peak": ("--peak-so-far", "nobody=100", "--peak-so-far", "nobody"),
    "explain": ("--explain", "nobody", "--explain", "nobody", "17:00"),
    "broker": ("--broker", "mqtt://127.0.0.1:1", "--broker", "--commit"),
}
MORE = {
    "sun": ("--set", "solar={{pv: {{feeder: mech, peak_kw: 9, output_by_hour_kw_per_kwp: [" + "0," * 23 + "0]}}}}"),
    "position": ("--set", "tariff.imbalance_premium_per_mwh=100"),
    "explain": ("--horizon", "1h"),
}
"""What some need beside it, to get as far as the fault."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The bad files, by name."""
    tmp = tmp_path_factory.mktemp("bad")
    for name, lines in files_of_input().items():
        (tmp / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {name: tmp / f"{name}.csv" for name in files_of_input()}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_answered_by_one_sentence_that_names_the_place(
    name: str, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, because starting Python would be most of the wait."""
    option, value, *words = BAD[name]
    asked = (part.format(**files) for part in (value, *MORE.get(name, ())))
    monkeypatch.setattr(sys, "argv", ["facility", "plan", str(ROOT / DEMO), "--start", "2023-07-02", option, *asked])
    with pytest.raises(SystemExit) as exit_:
        main()
    out, err = capsys.readouterr()
    assert exit_.value.code == 2, err
    assert out == ""
    sentences = [line for line in err.splitlines() if line.startswith("facility: ")]
    assert len(sentences) == len(err.splitlines()) == 1, err
    for word in words:
        assert word in sentences[0]


def test_an_unknown_site_file_is_named() -> None:
    done = run("plan", "site_configs/atlantis.yaml", "--start", "2023-07-02")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("facility: site_configs/atlantis.yaml: ")
    assert "Traceback" not in done.stderr


def test_what_is_no_plan_cannot_be_compared(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("1,2\n", encoding="utf-8")
    for folder, said in ((tmp_path, "is no plan"), (tmp_path / "none", "no plan can be read there")):
        done = run("compare", folder, tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"facility: {folder}: {said}")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [("plan",), ("plan", DEMO, "--start", "2023-07-02", "--fast"), ("fly",)])
def test_wrong_use_is_an_exit_code_of_two(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_without_a_start_tomorrow_is_planned() -> None:
    done = run("plan", DEMO, "--step", "1h", "--json")
    assert done.returncode == 0, done.stderr
    tomorrow = datetime.now(ZoneInfo("Europe/Berlin")) + timedelta(days=1)
    start = datetime.fromisoformat(json.loads(done.stdout)["start"]).astimezone(tomorrow.tzinfo)
    assert f"{start:%FT%H:%M}" == f"{tomorrow:%F}T00:00"


def test_json_is_valid_and_has_no_nan() -> None:
    done = run("plan", "site_configs/phoenix-256gpu.yaml", "--start", "2025-05-03", "--horizon", "1h", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout, parse_constant=pytest.fail)["saving_pct"] is None


def test_the_table_says_what_is_saved_and_what_was_assumed() -> None:
    done = run("plan", DEMO, "--start", "2023-07-02", "--horizon", "1h")
    assert done.returncode == 0, done.stderr
    for said in ("energy cost, EUR", "baseline", "status: optimal", "assumed: jobs: none given"):
        assert said in done.stdout


TRIAL = ("plan", "site_configs/phoenix-256gpu.yaml", "--start", "2025-05-03", "--horizon", "2h", "--step", "1h", "--open", "--json")


def test_the_report_is_opened_in_the_browser(tmp_path: Path) -> None:
    browser, told = tmp_path / "browser", tmp_path / "told"
    browser.write_text(f'#!/bin/sh\necho "$1" > {told}\n', encoding="utf-8")
    browser.chmod(0o755)
    done = run(*TRIAL, BROWSER=str(browser), TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["site"] == "phoenix-256gpu"
    (report,) = tmp_path.glob("facility-plan-*/report.html")
    assert told.read_text(encoding="utf-8").strip() == report.as_uri()


def test_where_no_browser_opens_it_is_said_where_the_report_is(tmp_path: Path) -> None:
    done = run(*TRIAL, "--out", tmp_path, BROWSER="/bin/false", DISPLAY="", WAYLAND_DISPLAY="")
    assert done.returncode == 0
    assert f"no browser could be opened here; the report is {tmp_path}/report.html" in done.stderr
    assert (tmp_path / "report.html").is_file()


def test_help_is_there_within_0_3_s() -> None:
    """Of a processor: what the machine does besides is not counted."""
    took_s: list[float] = []
    while len(took_s) < 5 and min(took_s, default=1.0) >= 0.3:
        before = getrusage(RUSAGE_CHILDREN)
        assert run("--help").returncode == 0
        after = getrusage(RUSAGE_CHILDREN)
        took_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took_s) < 0.3


def test_a_fault_of_the_program_is_said_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from facility import cli

    def breaks(**_: object) -> None:
        raise RuntimeError("two halves that do not fit")

    monkeypatch.delenv("FACILITY_DEBUG", raising=False)
    monkeypatch.setattr(cli, "app", breaks)
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 3
    said = capsys.readouterr().err
    assert "RuntimeError: two halves that do not fit" in said
    assert "Traceback" not in said


def test_progress_says_how_large_the_program_is_before_each_solve() -> None:
    said: list[str] = []
    problem = Program(np.array([1.0]), 0.0, sp.csr_matrix([[1.0]]), np.array([0.5]), np.array([np.inf]), np.zeros(1), np.ones(1))
    solver = shown(Solver, said.append)(problem)
    assert isinstance(solver.solve(10.0), Solved)
    assert solver.runs == 1
    assert said == ["planning: 1 limits, 1 choices, solve 1, 10 s left", "planning: settling and rounding"]


def test_ctrl_c_ends_a_plan_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """In the midst of a solve that would take minutes; the process that solves goes too, and no file is half written."""
    jobs = tmp_path / "jobs.csv"
    rows = [f"2023-07-02T{i % 20:02}:00:00Z,{3600 + 97 * (i % 60)},{1 + i % 8}" for i in range(1200)]
    jobs.write_text("\n".join(["submit_time,duration_s,num_gpus", *rows]) + "\n")
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from facility.cli import main; main()"
    command = [sys.executable, "-c", code, "plan", DEMO, "--start", "2023-07-02", "--jobs", str(jobs), "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as planning:
        began = perf_counter()
        while not (solving := _children(planning.pid)) or _cpu_s(solving[0]) < 1.0:
            assert planning.poll() is None, planning.communicate()
            assert perf_counter() - began < 60
            sleep(0.05)
        planning.send_signal(signal.SIGINT)
        asked = perf_counter()
        planning.wait(20)
        assert perf_counter() - asked < 5
        assert planning.returncode == 130
    assert not any(Path(f"/proc/{pid}").exists() for pid in solving)
    assert not list((tmp_path / "out").iterdir())


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_key_that_others_may_read_signs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "key"
    key.write_text("a" * 43 + "=\n")
    key.chmod(0o644)
    monkeypatch.setenv("FACILITY_KEY_FILE", str(key))
    monkeypatch.setattr(sys, "argv", ["facility", "override", DEMO, "set", "site", "hold"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--key-file: " in (said := capsys.readouterr().err)
    assert "chmod 600" in said
