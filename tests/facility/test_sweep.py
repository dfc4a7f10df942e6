"""Sweeps: many plans side by side, each the one that `facility plan` makes; a case that fails is a row, and what was made is not made again."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import monotonic, sleep

import pytest

from facility.cli import main
from facility.errors import InputError
from facility.planner import Planned, Request, plan
from facility.report.summary import summary
from facility.sweep import crew
from facility.sweep.axes import cases, read_axes
from facility.sweep.crew import Crew
from facility.sweep.kept import FILE, Kept, digests
from facility.sweep.outcome import FIGURES, Outcome
from facility.sweep.page import lines, write
from facility.sweep.question import as_anywhere, ask
from facility.sweep.sweep import Swept, sweep
from facility.sweep.telling import as_csv, as_json
from facility.sweep.work import outcome

ROOT = Path(__file__).parents[2]
DEMO = str(ROOT / "site_configs/demo.yaml")
SHORT = Request(DEMO, start="2026-07-15T13:00Z", horizon="3h", step="1h")
VARY = ("grid.import_limit_kw=400..900:2", "halls.h1.thermal.recommended_max_c=26,36", "halls.h1.thermal.allowable_max_c=35,40")
"""A recommended 36 degC is above an allowable 35: two of the eight cases are refused. At 400 kW limits break."""


def quiet(_: Outcome) -> None:
    """Nobody listens."""


@cache
def swept() -> Swept:
    return sweep(ask(SHORT, VARY), quiet, processes=2)


@cache
def alone() -> tuple[Outcome, ...]:
    """The same cases one by one, in this process."""
    question = ask(SHORT, VARY)
    return tuple(outcome(question.asked(case)) for case in question.cases)


def without_times(outcomes: tuple[Outcome, ...]) -> list[Outcome]:
    return [replace(each, seconds=0.0) for each in outcomes]


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("k=8000..12000:5", ["8000", "9000", "10000", "11000", "12000"]),
        ("k=1..0:3", ["1", "0.5", "0"]),
        ("k=0.1..0.3:3", ["0.1", "0.2", "0.3"]),
        ("k=-5..5:2,7", ["-5", "5", "7"]),
        ("k=0,4 , 12", ["0", "4", "12"]),
        ("k=[],[{a: 1, b: 2}],null", ["[]", "[{a: 1, b: 2}]", "null"]),
        ("""k='a,b',"c"]""", ["'a,b'", '"c"]']),
    ],
)
def test_values_are_read_as_they_are_meant(written: str, values: list[str]) -> None:
    assert list(read_axes([written])[0].values) == values


def test_the_last_axis_runs_fastest() -> None:
    assert [case.settings for case in cases(read_axes(["a=1,2", "b=x,y"]))] == [
        ("a=1", "b=x"),
        ("a=1", "b=y"),
        ("a=2", "b=x"),
        ("a=2", "b=y"),
    ]


BAD = {
    "no value": (["--vary", "grid.import_limit_kw"], "no `=`", "FIRST..LAST:COUNT"),
    "no key": (["--vary", "=1"], "no key"),
    "an empty value": (["--vary", "jobs.slack_h=1,,2"], "empty value"),
    "no range": (["--vary", "jobs.slack_h=1..2"], "1..2 is no range", "8000..12000:5"),
    "one value": (["--vary", "jobs.slack_h=1..2:1"], "no 1 different values"),
    "the same value": (["--vary", "jobs.slack_h=1,1"], "1 is there twice"),
    "the same key": (["--vary", "jobs.slack_h=1,2", "--vary", "jobs.slack_h=3,4"], "varied twice"),
    "set as well": (["--vary", "jobs.slack_h=1,2", "--set", "jobs.slack_h=3"], "--set too"),
    "too many": (["--vary", "jobs.slack_h=1..9:200", "--vary", "grid.import_limit_kw=1..9:200"], "40,000 plans"),
    "unknown key": (["--vary", "grid.import_limit=900"], "--vary grid.import_limit: no key", "grid.import_limit_kw"),
    "a value it cannot have": (["--vary", "batteries.bess-1.capacity_kwh=100,-5"], "batteries.bess-1.capacity_kwh", "-5"),
    "no zone": (["--vary", "jobs.slack_h=1,2", "--timezone", "Mars/Base"], "--timezone", "Mars/Base"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_with_its_place(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, *words = BAD[name]
    if name != "no zone":  # that one is told by a plan; nothing else begins one
        monkeypatch.setattr("facility.sweep.sweep.Crew", None)
    monkeypatch.setattr(sys, "argv", ["facility", "sweep", DEMO, "--start", "2026-07-15", "--processes", "1", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    out, err = capsys.readouterr()
    assert (exit_.value.code, out) == (2, ""), err
    told = [line for line in err.splitlines() if line.startswith("facility: ")]
    assert len(told) == 1, err
    assert all(word in told[0] for word in words), err


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(InputError) as told:
        ask(SHORT, ["grid.import_limit=1,2", "nobody=3", "batteries.bess-1.capacity_kwh=-1,-2"])
    assert {fault.place.split(" (")[0] for fault in told.value.faults} == {
        "--vary grid.import_limit",
        "--vary nobody",
        f"{DEMO}: batteries.bess-1.capacity_kwh",
    }


def test_every_process_makes_the_plans_that_are_made_one_by_one() -> None:
    assert without_times(swept().outcomes) == without_times(alone())


def test_a_row_has_the_figures_of_the_plan() -> None:
    question = swept().question
    planned = plan(question.asked(question.cases[4]))
    assert isinstance(planned, Planned)
    numbers, told = summary(planned), swept().outcomes[4]
    assert {name: told.figures[name] for name in FIGURES} == {name: numbers[name] for name in FIGURES}
    assert told.figures["limit_price_per_kw"] == numbers["marginal_prices"].get("grid.limits", 0.0)
    assert told.figures["breaches"] == len(numbers["breaches"]) == 0


def test_a_case_that_fails_says_why_and_the_others_go_on() -> None:
    statuses = [told.status for told in swept().outcomes]
    assert statuses == ["breached", "breached", "bad_input", "breached", "optimal", "optimal", "bad_input", "optimal"]
    assert "allowable_max_c" in swept().outcomes[2].why
    assert swept().outcomes[0].broken == "short_gpu_h"


def test_the_table_has_a_row_for_each_case() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(swept()))))
    assert [row["grid.import_limit_kw"] for row in rows] == ["400"] * 4 + ["900"] * 4
    assert [float(row["energy_cost"]) if row["energy_cost"] else None for row in rows] == [
        told.figures.get("energy_cost") for told in swept().outcomes
    ]
    told = json.loads(json.dumps(as_json(swept()), allow_nan=False))
    assert told["plans"][4]["set"] == {
        "grid.import_limit_kw": 900,
        "halls.h1.thermal.recommended_max_c": 26,
        "halls.h1.thermal.allowable_max_c": 35,
    }
    fit = [i for i, each in enumerate(alone()) if each.status == "optimal"]
    assert told["best"] == min(fit, key=lambda i: alone()[i].figures["objective"] or 0)


def test_the_chart_has_a_line_for_each_combination_of_the_other_keys(tmp_path: Path) -> None:
    drawn = list(lines(swept(), "energy_cost", 0))
    assert [line["name"] for line in drawn] == [f"recommended_max_c {a}, allowable_max_c {b}" for a in (26, 36) for b in (35, 40)]
    assert all(line["x"] == [400, 900] for line in drawn)
    assert drawn[2]["y"] == [None, None]
    assert drawn[0]["y"] == [alone()[i].figures["energy_cost"] for i in (0, 4)]
    assert drawn[0]["marker"]["symbol"] == ["x", "circle"]
    assert len({line["line"]["color"] for line in drawn}) == len({line["line"]["dash"] for line in drawn}) == 2
    write(swept(), tmp_path / "sweep.html")
    text = (tmp_path / "sweep.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    assert len(json.loads(found[1])["figures"]["figures"]["data"]) == 3 * 4
    assert text.count("<tr") == 1 + len(swept().outcomes)
    assert not re.search(r'<(?:img|script)[^>]+(?:src|href)="?http', text)


def test_what_was_made_is_not_made_again(tmp_path: Path) -> None:
    first = sweep(ask(SHORT, ["grid.import_limit_kw=700,800"]), quiet, processes=1, folder=tmp_path)
    kept = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(kept + kept.splitlines()[0][:200])  # a process that died amid its last line
    wider = sweep(ask(SHORT, ["grid.import_limit_kw=600,700,800"]), quiet, processes=1, folder=tmp_path)
    assert (first.taken, wider.taken) == (0, 2)
    assert wider.outcomes[1:] == first.outcomes
    again = sweep(ask(SHORT, ["grid.import_limit_kw=600,700,800"]), quiet, processes=1, folder=tmp_path)
    assert again.taken == 3
    assert as_csv(again) == as_csv(wider)


def test_what_was_made_from_something_else_is_not_taken(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    base = tmp_path / "base.yaml"
    base.write_text(Path(DEMO).read_text())
    site.write_text("based_on: base.yaml\nid: other\n")
    request = replace(SHORT, site=str(site))
    before = digests(ask(request, ["jobs.slack_h=1,2"]))
    assert digests(ask(request, ["jobs.slack_h=0,1,2"]))[1:] == before
    assert set(digests(ask(replace(request, step="30min"), ["jobs.slack_h=1,2"]))).isdisjoint(before)
    base.write_text(Path(DEMO).read_text().replace("Demonstration", "Another"))
    assert set(digests(ask(request, ["jobs.slack_h=1,2"]))).isdisjoint(before)


def test_a_case_without_a_plan_is_tried_again(tmp_path: Path) -> None:
    with Kept(tmp_path) as kept:
        kept.keep("a", Outcome("lost", why="killed"))
        kept.keep("b", alone()[4])
    with Kept(tmp_path) as kept:
        assert kept.found == {"b": alone()[4]}


def test_a_process_that_dies_costs_its_case_alone() -> None:
    question = ask(SHORT, ["grid.import_limit_kw=700,800,850"])
    requests = [question.asked(case) for case in question.cases]
    with Crew(1) as one:
        (worker,) = one._workers
        os.kill(worker.process.pid, signal.SIGSTOP)  # so that it dies before it answers, however fast it is
        killer = threading.Timer(0.2, os.kill, (worker.process.pid, signal.SIGKILL))
        killer.start()
        told = dict(one.outcomes(requests))
    assert told[0].status == "lost"
    assert "SIGKILL" in told[0].why
    assert [told[i].status for i in (1, 2)] == ["optimal", "optimal"]


def test_a_process_that_never_answers_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "GRACE_S", 0.3)
    monkeypatch.setattr(crew, "BUDGETS", 0.0)
    with Crew(1) as one:
        pid = one._workers[0].process.pid
        os.kill(pid, signal.SIGSTOP)
        told = next(one.outcomes([SHORT]))
    assert told == (0, Outcome("lost", why="the process that made it is lost: it was killed: it did not answer in time"))
    assert not Path(f"/proc/{pid}").exists()


def children(pid: int) -> set[int]:
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return {int(each) for each in listed.split()}


def test_ctrl_c_ends_all_processes_and_the_same_command_goes_on(tmp_path: Path) -> None:
    # tests that run in the background are deaf to Ctrl-C, and so would be what they start
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from facility.cli import main; main()"
    command = [sys.executable, "-c", code, "sweep", DEMO, "--start", "2026-07-15", "--out", str(tmp_path), "--processes", "2"]
    command += ["--vary", "grid.import_limit_kw=700..900:60"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    latest = monotonic() + 60
    while not (tmp_path / FILE).exists() or (tmp_path / FILE).read_text().count("\n") < 2:
        assert monotonic() < latest
        sleep(0.05)
    busy = children(process.pid)
    assert len(busy) >= 2
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all of them hear it
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    latest = monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in busy) and monotonic() < latest:
        sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in busy)
    question = ask(Request(DEMO, start="2026-07-15"), ["grid.import_limit_kw=700..900:60"])
    with Kept(tmp_path) as kept:
        assert 2 <= len(kept.found) < 60
        assert set(kept.found) <= set(digests(question))


def test_the_command_prints_a_table_writes_its_files_and_answers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "facility", "sweep", DEMO, "--start", "2026-07-15T13:00Z", "--horizon", "3h", "--step", "1h"]
    command += ["--vary", "grid.import_limit_kw=300,900", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "150"})
    assert done.returncode == 1, done.stderr  # 300 kW is too little
    assert "counted: grid.import_limit_kw=900" in done.stdout
    assert done.stderr == ""
    assert {file.name for file in tmp_path.iterdir()} == {"sweep.csv", "summary.json", "sweep.html", FILE}
    assert [each["status"] for each in json.loads((tmp_path / "summary.json").read_text())["plans"]] == ["breached", "optimal"]


def test_a_request_for_other_machines_names_its_files_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    told = as_anywhere(Request("site_configs/demo.yaml", prices="prices.csv:day_ahead", start="2026-07-15"))
    assert (told.site, told.prices, told.jobs) == (DEMO, f"{ROOT}/prices.csv:day_ahead", None)


def test_a_cluster_makes_the_same_plans() -> None:
    pytest.importorskip("distributed")
    told = sweep(ask(SHORT, VARY), quiet, processes=2, address="local")
    assert without_times(told.outcomes) == without_times(alone())


def test_a_cluster_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("facility.sweep.cluster.PATIENCE_S", 0.5)
    with pytest.raises(InputError, match="no scheduler answers"):
        sweep(ask(SHORT, ["jobs.slack_h=1,2"]), quiet, processes=1, address="tcp://127.0.0.1:1")


def test_a_cluster_without_its_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"facility\[cluster\]"):
        sweep(ask(SHORT, ["jobs.slack_h=1,2"]), quiet, processes=1, address="local")
