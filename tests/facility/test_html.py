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
from facility.report import html
from facility.report.charts import gpus
from facility.report.charts import planned as of_plan
from facility.report.charts.money import change, told
from facility.report.charts.planned import Charts
from facility.report.charts.waterfall import waterfall
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
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
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
    links = [attributes[name] or "" for _, attributes in read.elements for name in {"src", "href", "srcset", "action"} & set(attributes)]
    assert [link for link in links if not link.startswith("#")] == ["data:,"]  # no icon is asked for
    assert not [tag for tag, _ in read.elements if tag in {"img", "iframe", "object", "embed"}]


def test_names_from_files_stay_names(planned: Planned, tmp_path: Path) -> None:
    text, read, data = page(planned, tmp_path)
    assert [tag for tag, _ in read.elements].count("script") == 3
    assert read.text["h1"][0] == "Fire & <Ice>"
    assert "<script>alert" not in text
    (heat,) = data["figures"]["caps"]["data"]
    assert NASTY.replace("/", "").replace(" ", "") in data["jobs"]["id"]
    assert "&lt;script&gt;&lt;script&gt;alert(1)&lt;script&gt;&amp;%{x}&lt;b&gt;" in heat["y"]


def test_it_says_what_is_broken_and_what_would_mend_it(planned: Planned, tmp_path: Path) -> None:
    _, read, _ = page(planned, tmp_path)
    cells = read.text["td"]
    assert "late" in cells
    assert "job unfinished at its deadline" in read.text["th"]
    assert read.text["h2"][0] == "What is broken, and what would mend it"
    assert any("a later deadline" in cell for cell in cells)
    assert any("1 limit is broken." in said for said in read.text["p"])


def test_what_was_assumed_stands_on_it(planned: Planned, tmp_path: Path) -> None:
    _, read, _ = page(planned, tmp_path)
    assert any("24 degC" in cell for cell in read.text["td"])


def test_every_chart_is_one_that_plotly_accepts(planned: Planned, tmp_path: Path) -> None:
    from plotly.graph_objects import Figure

    _, read, data = page(planned, tmp_path)
    own = re.compile('"@[a-z]+"')  # colours of the page, which its script puts in
    assert own.search(json.dumps(data["figures"]))
    for figure in json.loads(own.sub('"#123456"', json.dumps(data["figures"]))).values():
        Figure(figure["data"], figure["layout"])
    places = [(attributes.get("id") or "") for _, attributes in read.elements]
    assert [place for place in places if place.startswith("chart-")] == [
        *(f"chart-{key}" for key in ("power", "costs", "gpus", "caps", "halls", "battery")),
        "chart-jobs",
    ]


def test_lines_carry_the_plans_numbers_to_the_end_of_the_last_step(planned: Planned) -> None:
    power = Charts(planned).power()
    drawn = {trace["name"]: trace["y"] for trace in power.traces}
    state = planned.decided.plan.account
    assert drawn["import"] == pytest.approx([*state.import_kw, state.import_kw[-1]], abs=1e-3)
    assert drawn["baseline import"][:-1] == pytest.approx(planned.decided.plan.baseline.import_kw, abs=1e-3)


def test_power_shows_what_is_generated_and_given_back_where_there_is_any(planned: Planned) -> None:
    sun = "{pv: {feeder: utility, peak_kw: 2000, output_by_hour_kw_per_kwp: %s}}" % ([1] * 24)
    found = plan(Request(str(DEMO), "2023-07-02", "3h", "1h", settings=(f"solar={sun}", "grid.export_limit_kw=100")))
    assert not isinstance(found, Undecided)
    state = found.decided.plan.account
    drawn = {trace["name"]: trace["y"] for trace in Charts(found).power().traces}
    assert drawn["generation"][:-1] == pytest.approx(state.given_kw["pv"], abs=1e-3)
    assert drawn["export"][:-1] == pytest.approx(state.export_kw, abs=1e-3)
    assert state.export_kw.max() > 1
    assert min(drawn["generation"]) > 100
    assert not {"generation", "export"} & {trace["name"] for trace in Charts(planned).power().traces}


def test_every_family_of_breaches_is_told_in_words() -> None:
    assert set(BROKEN) == set(FAMILIES)


def test_stacked_pools_are_all_the_gpus_that_run(planned: Planned) -> None:
    *pools, available = Charts(planned).gpus().traces
    total = [sum(step) for step in zip(*(pool["y"] for pool in pools), strict=True)]
    assert total[:-1] == pytest.approx(planned.decided.plan.account.running.sum(axis=0), abs=0.01)
    assert set(available["y"]) == {1504}


def test_the_map_of_caps_has_rentals_and_the_largest_jobs_and_says_so(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = Charts(planned).caps()
    assert everything
    assert "Shown" not in everything.note
    monkeypatch.setattr(of_plan, "MOST_ROWS", 2)
    fewer = Charts(planned).caps()
    assert fewer
    workloads = [w.id for w in planned.decided.plan.problem.workloads]
    assert f"Shown are {len(workloads) - 1} of {len(workloads)} workloads" in fewer.note
    assert set(everything.traces[0]["y"]) - set(fewer.traces[0]["y"]) == {"small"}
    monkeypatch.setattr(gpus, "MOST_CELLS", 2 * 96)
    fewest = Charts(planned).caps()
    assert fewest
    assert fewest.traces[0]["y"] == everything.traces[0]["y"][:2]


def test_a_job_runs_inside_its_window(planned: Planned) -> None:
    (small,) = (bar for bar in Charts(planned).jobs() if bar.id == "small")
    assert (small.submit_min, small.deadline_min) == (150, 640)
    assert 150 <= small.spans_min[0][0] < small.spans_min[-1][1] <= 640
    assert (small.finished, small.missed) == (True, False)
    assert [(bar.finished, bar.missed) for bar in Charts(planned).jobs() if bar.id == "late"] == [(False, True)]


def test_a_job_that_goes_on_after_the_end_has_missed_nothing(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("job_id,submit_time,duration_s,num_gpus,deadline\nlong,2023-07-02T00:00Z,14400,8,2023-07-02T12:00Z\n", encoding="utf-8")
    found = plan(Request(str(DEMO), "2023-07-02T00:00Z", "3h", "1h", jobs=str(path)))
    assert not isinstance(found, Undecided)
    assert [(bar.finished, bar.missed) for bar in Charts(found).jobs()] == [(False, False)]


def test_times_at_which_a_limit_is_broken_are_marked(planned: Planned) -> None:
    over = {"family": "over_limit_kw", "from": "2023-07-02T01:00:00Z", "to": "2023-07-02T02:00:00Z"}
    hot = {"family": "too_hot_k", "from": "2023-07-02T03:00:00Z", "to": "2023-07-02T03:15:00Z"}
    charts = Charts(planned, [over, hot])
    halls = charts.halls()
    assert halls
    marked = [[(shape["x0"], shape["x1"]) for shape in panel.layout["shapes"] if shape["xref"] == "x"] for panel in (charts.power(), halls)]
    assert marked == [[(180, 240)], [(300, 315)]]


def test_costs_differ_by_what_the_bars_say_and_no_breach_is_money(planned: Planned) -> None:
    ours, base = planned.decided.plan.account.cost, planned.decided.plan.baseline.cost
    kinds = change(ours, base)
    money = sum(ours.get(kind, 0.0) - base.get(kind, 0.0) for kind in {*ours, *base} - set(FAMILIES))
    assert sum(kinds.values()) == pytest.approx(money, abs=0.1)
    (bars,) = waterfall("costs", "Costs", "", kinds, "EUR").traces
    assert bars["x"][-1] == pytest.approx(sum(bars["x"][:-1]))
    assert bars["measure"][-1] == "total"


def test_speed_that_changes_is_said_to_be_on_no_bill() -> None:
    assert "on no bill" in told({"energy": 90.0, "value": -40.0}, {"energy": 100.0, "value": -50.0}, "EUR")
    assert "on no bill" not in told({"energy": 90.0, "value": -50.0}, {"energy": 100.0, "value": -50.0}, "EUR")


def test_more_breaches_than_a_reader_can_bear_are_counted(planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MOST_BREACHES", 0)
    _, read, _ = page(planned, tmp_path)
    assert "1 more stands in summary.json." in read.text["p"]


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
