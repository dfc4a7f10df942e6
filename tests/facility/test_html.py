"""The report page: one file that needs no network, small and quick to write, in which a job's name stays a name."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from time import process_time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from facility.decide import Undecided
from facility.planner import Planned, Request, plan
from facility.report import charts
from facility.report.html import BROKEN, write_report
from facility.report.local_clock import Clock
from facility.report.summary import summary
from models.breach import FAMILIES

DEMO = Path(__file__).parents[2] / "site_configs/demo.yaml"
NASTY = "</script><script>alert(1)</script>&%{x}<b>"
JOBS = f"""job_id,submit_time,duration_s,num_gpus,deadline,curve
"{NASTY.replace("/", "").replace(" ", "")}",2023-07-02T00:00Z,3600,8,2023-07-02T03:00Z,pretrain-7b
small,2023-07-02T00:30Z,600,1,,finetune-8b
late,2023-07-02T00:00Z,7200,64,2023-07-02T01:00Z,pretrain-7b
"""


class Page(HTMLParser):
    """Elements with their attributes, and the text of each kind."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self._open, []).append(data)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    """A day of the demonstration site with three jobs, one of which cannot be done."""
    path = tmp_path_factory.mktemp("html") / "jobs.csv"
    path.write_text(JOBS, encoding="utf-8")
    found = plan(Request(str(DEMO), "2023-07-02", jobs=str(path), settings=('name="Fire & <Ice>"',)))
    assert not isinstance(found, Undecided)
    return found


def page(planned: Planned, folder: Path) -> tuple[str, Page, dict[str, Any]]:
    path = folder / "report.html"
    write_report(planned, summary(planned), path)
    text = path.read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="plan">(.*?)</script>', text, re.DOTALL)
    assert data
    return text, Page(text), json.loads(data[1], parse_constant=pytest.fail)


def test_it_is_one_small_file_written_quickly(planned: Planned, tmp_path: Path) -> None:
    started = process_time()
    text, _, _ = page(planned, tmp_path)
    assert process_time() - started < 1.5
    assert len(text.encode()) < 6_000_000
    assert text.count("* plotly.js v") == 1


def test_it_asks_nothing_of_the_network(planned: Planned, tmp_path: Path) -> None:
    _, read, _ = page(planned, tmp_path)
    assert not [tag for tag, attributes in read.elements if {"src", "href", "srcset", "action"} & set(attributes)]
    assert not [tag for tag, _ in read.elements if tag in {"link", "img", "iframe", "object", "embed"}]


def test_names_from_files_stay_names(planned: Planned, tmp_path: Path) -> None:
    text, read, data = page(planned, tmp_path)
    assert [tag for tag, _ in read.elements].count("script") == 3
    assert read.text["h1"][0] == "Fire & <Ice>"
    assert "<script>alert" not in text
    heat = next(trace for figure in data["figures"] for trace in figure["data"] if trace["type"] == "heatmap")
    assert "&lt;script&gt;&lt;script&gt;alert(1)&lt;script&gt;&amp;%{x}&lt;b&gt;" in heat["y"]


def test_it_says_what_is_broken_and_what_would_mend_it(planned: Planned, tmp_path: Path) -> None:
    _, read, _ = page(planned, tmp_path)
    cells = read.text["td"]
    assert "late" in cells
    assert "job unfinished at its deadline" in cells
    assert any("a later deadline" in cell for cell in cells)
    assert any("1 limit is broken." in said for said in read.text["p"])


def test_what_was_assumed_stands_on_it(planned: Planned, tmp_path: Path) -> None:
    _, read, _ = page(planned, tmp_path)
    assert any("24 degC" in cell for cell in read.text["td"])


def test_every_chart_is_one_that_plotly_accepts(planned: Planned, tmp_path: Path) -> None:
    from plotly.graph_objects import Figure

    _, read, data = page(planned, tmp_path)
    for figure in data["figures"]:
        Figure(figure)
    titles = ["Power", "Energy price", "GPUs running", "Hall temperatures", "Power caps by workload", "Jobs"]
    assert [title for title in read.text["h2"] if title in titles] == titles
    assert sum((attributes.get("id") or "").startswith("chart-") for _, attributes in read.elements) == 6


def test_lines_carry_the_plans_numbers_to_the_end_of_the_last_step(planned: Planned) -> None:
    power = charts.Charts(planned).power()
    drawn = {trace["name"]: trace["y"] for trace in power.traces}
    state = planned.decided.plan.account
    assert drawn["import"] == pytest.approx([*state.import_kw, state.import_kw[-1]], abs=1e-3)
    assert drawn["baseline import"][:-1] == pytest.approx(planned.decided.plan.baseline.import_kw, abs=1e-3)


def test_power_shows_what_is_generated_and_given_back_where_there_is_any(planned: Planned) -> None:
    sun = "{pv: {feeder: mech, peak_kw: 2000, output_by_hour_kw_per_kwp: %s}}" % ([1] * 24)
    found = plan(Request(str(DEMO), "2023-07-02", "3h", "1h", settings=(f"solar={sun}", "grid.export_limit_kw=100")))
    assert not isinstance(found, Undecided)
    state = found.decided.plan.account
    drawn = {trace["name"]: trace["y"] for trace in charts.Charts(found).power().traces}
    assert drawn["generation"][:-1] == pytest.approx(state.given_kw["pv"], abs=1e-3)
    assert drawn["export"][:-1] == pytest.approx(state.export_kw, abs=1e-3)
    assert min(drawn["generation"]) > 100
    assert not {"generation", "export"} & {trace["name"] for trace in charts.Charts(planned).power().traces}


def test_every_family_of_breaches_is_told_in_words() -> None:
    assert set(BROKEN) == set(FAMILIES)


def test_stacked_pools_are_all_the_gpus_that_run(planned: Planned) -> None:
    *pools, available = charts.Charts(planned).gpus().traces
    total = [sum(step) for step in zip(*(pool["y"] for pool in pools), strict=True)]
    assert total[:-1] == pytest.approx(planned.decided.plan.account.running.sum(axis=0), abs=0.01)
    assert set(available["y"]) == {1504}


def test_at_most_so_many_jobs_are_drawn_and_the_page_says_so(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = charts.Charts(planned)
    assert "Shown" not in everything.jobs().note
    monkeypatch.setattr(charts, "MOST_JOBS", 2)
    fewer = charts.Charts(planned)
    assert "Shown are 2 of 3 jobs" in fewer.jobs().note
    assert "small" not in fewer.jobs().traces[0]["y"]


def test_a_bar_runs_from_start_to_finish_inside_its_window(planned: Planned) -> None:
    window, *pools = charts.Charts(planned).jobs().traces
    at = window["y"].index("small")
    assert (window["base"][at], window["x"][at]) == (150, 490)
    bars = {y: (base, x) for pool in pools for y, base, x in zip(pool["y"], pool["base"], pool["x"], strict=True)}
    assert set(bars) == set(window["y"])
    assert 150 <= bars["small"][0] <= bars["small"][0] + bars["small"][1] <= 640


@pytest.mark.parametrize(
    ("start", "hours", "labels"),
    [
        (datetime(2023, 10, 28, 22, tzinfo=UTC), 25, "00:00<br>Sun 29 Oct,03:00,06:00,09:00,12:00,15:00,18:00,21:00"),
        (datetime(2023, 3, 25, 23, tzinfo=UTC), 23, "00:00<br>Sun 26 Mar,03:00,06:00,09:00,12:00,15:00,18:00,21:00"),
        (datetime(2023, 7, 1, 22, 10, tzinfo=UTC), 1, "00:15<br>Sun 02 Jul,00:30,00:45,01:00"),
    ],
)
def test_ticks_tell_round_times_of_the_local_clock(start: datetime, hours: int, labels: str) -> None:
    edges = [start + timedelta(minutes=15 * i) for i in range(4 * hours + 1)]
    at, said = Clock(edges, ZoneInfo("Europe/Berlin")).ticks()
    assert said == labels.split(",")
    if hours > 1:
        assert at[1] - at[0] == (hours - 21) * 60
