"""The report in a real browser: everything is drawn, found, heard, printed and readable, and nothing is asked of the network."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from facility.decide import Undecided
from facility.planner import Planned, Request, plan
from facility.report.charts.jobs import JobBar, columns
from facility.report.charts.planned import Charts
from facility.report.charts.power import power
from facility.report.html import write_report
from facility.report.local_clock import Clock
from facility.report.page.parts import Chart, Jobs
from facility.report.page.write import write_page
from facility.report.summary import summary
from facility.report.tables import write_tables
from models.breach import FAMILIES
from tests.browser.looking import CELLS, CONTRAST, HEARD, NOTES_PAPER, OUTSIDE, SETTLED
from tests.facility.planner.days import write_jobs, write_prices

pytestmark = pytest.mark.xdist_group("browser")  # one browser is enough

DEMO = Path(__file__).parents[2] / "site_configs/demo.yaml"
DAY = "2023-07-02"
BERLIN = ZoneInfo("Europe/Berlin")
LATE = "late<b>&amp;,2023-07-02T02:00:00Z,7200,64,2023-07-02T03:00:00Z,pretrain-7b,False\n"


@dataclass(frozen=True)
class Reported:
    planned: Planned
    numbers: dict[str, Any]
    folder: Path

    @property
    def page(self) -> Path:
        return self.folder / "report.html"

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """A day of the demonstration site with an hour of negative prices, thirty jobs that pause and wait, and one that cannot be done."""
    folder = tmp_path_factory.mktemp("report")
    jobs = write_jobs(folder / "asked.csv", DAY, seed=4, count=30)
    jobs.write_text(jobs.read_text(encoding="utf-8") + LATE, encoding="utf-8")
    prices = write_prices(folder / "prices.csv", DAY, lambda i: -500.0 if 11 <= i < 15 else 60.0 - 2 * i)
    found = plan(Request(str(DEMO), DAY, step="30min", jobs=str(jobs), prices=str(prices)))
    assert not isinstance(found, Undecided)
    numbers = summary(found)
    write_tables(found, folder)
    write_report(found, numbers, folder / "report.html")
    return Reported(found, numbers, folder)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that is no plan's: two weeks of five minutes, from the night of 25 hours on, and ten thousand jobs with reasons of their own."""
    path, start = tmp_path_factory.mktemp("crowded") / "report.html", datetime(2023, 10, 28, 22, tzinfo=UTC)
    clock = Clock([start + timedelta(minutes=5 * i) for i in range(14 * 288 + 1)], BERLIN)
    wave = 100 + 50 * np.sin(np.arange(14 * 288) / 40)
    lines = {"import": 2 * wave, "import limit": np.full(len(wave), 290.0)}
    drawn = power({"rentals": wave, "cooling": wave}, lines, wave, "EUR/MWh", over=[(600, 900)])
    bars = Jobs(columns([_a_job(i) for i in range(10_000)], {"a": "#0072b2", "b": "#e69f00"}, "EUR"))
    write_page(path, "crowded", "<h1>crowded</h1>", [Chart(drawn), bars], clock)
    return path


def _a_job(i: int) -> JobBar:
    at_min = i / 10
    return JobBar(
        id=f"application-{i:05d}",
        tenant=f"tenant-{i % 7}",
        pool="ab"[i % 2],
        gpus=i % 8 + 1,
        submit_min=at_min,
        deadline_min=at_min + 400,
        spans_min=[(at_min + 30, at_min + 60), (at_min + 90, at_min + 200)],
        finished=i % 100 != 7,
        missed=i % 100 == 7,
        deferred_h=i % 13,
        work_gpu_h=i % 50,
        done_gpu_h=i % 50,
        cost=i % 11,
        reason=f"waits: energy costs {i / 100:.2f} EUR/MWh less then",
    )


def test_it_asks_nothing_and_complains_of_nothing(reported: Reported, shown: Callable[..., Any]) -> None:
    seen = shown(reported.page)
    assert seen.asked == [reported.page.as_uri()]
    assert seen.complained == []


def test_every_chart_is_drawn_with_all_that_it_has(reported: Reported, shown: Callable[..., Any]) -> None:
    page, panels = shown(reported.page).page, list(Charts(reported.planned).panels())
    assert [panel.key for panel in panels] == ["power", "costs", "gpus", "caps", "halls", "battery"]
    for panel in panels:
        chart, kinds = page.locator(f"#chart-{panel.key}"), [trace["type"] for trace in panel.traces]
        unified = panel.over_time and "hovermode" not in panel.layout  # one more trace tells the time
        assert chart.locator(".scatterlayer .trace").count() == kinds.count("scatter") + unified
        assert chart.locator(".heatmaplayer image").count() == kinds.count("heatmap")
        assert chart.locator(".waterfalllayer .trace").count() == kinds.count("waterfall")


def test_the_stack_of_uses_is_what_is_drawn_from_the_grid_the_battery_and_the_sky(reported: Reported) -> None:
    traces, state = Charts(reported.planned).power().traces, reported.planned.decided.plan.account
    stack = np.sum([trace["y"][:-1] for trace in traces if "stackgroup" in trace], axis=0)
    given = np.maximum(-state.battery_kw, 0.0).sum(axis=0)
    assert stack == pytest.approx(state.import_kw + given, abs=0.01)
    assert given.max() > 1


def test_jobs_have_a_bar_for_each_run_and_say_why(reported: Reported, shown: Callable[..., Any]) -> None:
    page, jobs = shown(reported.page).page, reported.table("jobs.csv")
    ran: dict[str, list[datetime]] = defaultdict(list)
    for row in reported.table("caps.csv"):
        at = datetime.fromisoformat(row["time"])
        if at not in ran[row["workload"]]:
            ran[row["workload"]].append(at)
    step = timedelta(minutes=30)
    runs = {job["job_id"]: sum(at - step not in ran[job["job_id"]] for at in ran[job["job_id"]]) for job in jobs}
    drawn = page.evaluate("Object.fromEntries(at('chart-jobs').data.map(trace => [trace.name, trace.y.length]))")
    assert sum(count for name, count in drawn.items() if name.startswith("runs in ")) == sum(runs.values()) > len(jobs)
    assert sum(count for name, count in drawn.items() if not name.startswith("runs in ")) == len(jobs) == 31
    assert {name: count for name, count in drawn.items() if name.endswith("missed")} == {"submission to deadline, missed": 1}
    bars = page.locator("#chart-jobs .barlayer .trace").first.locator(".point path")
    assert page.locator("#chart-jobs .barlayer .point path").count() == sum(drawn.values())
    page.locator("#chart-jobs").scroll_into_view_if_needed()
    for i in (0, 7):
        box = bars.nth(i).bounding_box()
        page.mouse.move(box["x"] + 2, box["y"] + 1.5)
        page.wait_for_selector("#chart-jobs .hovertext")
        said = page.locator("#chart-jobs .hovertext").text_content()
        (job,) = (job for job in jobs if said.startswith(f"{job['job_id']}{job['num_gpus']} GPUs in {job['pool']}"))
        assert job["reason"] in said
        page.mouse.move(2, 2)
        page.wait_for_selector("#chart-jobs .hovertext", state="detached")


def test_the_waterfall_adds_up_to_the_difference_that_the_summary_tells(reported: Reported, shown: Callable[..., Any]) -> None:
    said = shown(reported.page).page.locator("#chart-costs .waterfalllayer .bartext").all_text_contents()
    *kinds, together = (float(number.replace(",", "")) for number in said)
    ours, base = reported.numbers["costs"], reported.numbers["baseline"]["costs"]
    difference = sum(ours.get(kind, 0.0) - base.get(kind, 0.0) for kind in {*ours, *base} - set(FAMILIES))
    assert len(kinds) >= 3
    assert together == pytest.approx(difference, abs=0.02)
    assert sum(kinds) == pytest.approx(difference, abs=0.01 * len(kinds) + 0.02)
    objectives = reported.numbers["objective"] - reported.numbers["baseline"]["objective"]
    broken = sum(ours.get(family, 0.0) - base.get(family, 0.0) for family in FAMILIES)
    assert difference + broken == pytest.approx(objectives, abs=1e-6)


def test_breaches_come_first(reported: Reported, shown: Callable[..., Any]) -> None:
    page = shown(reported.page).page
    assert page.locator("main h2").first.inner_text() == "What is broken, and what would mend it"
    cells = page.locator("#breaches tbody tr").first.locator("th, td").all_inner_texts()
    assert cells[:3] == ["job unfinished at its deadline", "late<b>&amp;", "Sun 02 Jul 04:00"]
    assert page.locator("#breaches").bounding_box()["y"] + page.evaluate("scrollY") < 400


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_readable_wide_and_narrow_light_and_dark(reported: Reported, shown: Callable[..., Any], width: int, dark: bool) -> None:
    page = shown(reported.page, width, dark=dark).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    found = page.evaluate(CONTRAST)
    assert len(found) > 300
    assert [said for said in found if said[0] < 4.5] == []
    dark_page = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark_page == "rgb(20, 24, 27)") is dark


def test_it_prints_on_paper_in_ink_without_controls(reported: Reported, shown: Callable[..., Any]) -> None:
    page = shown(reported.page, dark=True).page
    page.evaluate(NOTES_PAPER)
    paper = page.pdf(prefer_css_page_size=True)
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 12
    ((across, down), *_) = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)", paper)
    assert (float(across), float(down)) == pytest.approx((595, 842), abs=1.5)  # A4
    assert page.evaluate("printed") == ["rgb(255, 255, 255)", "rgb(0, 0, 0)", 690, True]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 27)"
    page.wait_for_function(SETTLED)
    page.emulate_media(media="print")
    assert not any(page.locator(each).first.is_visible() for each in ("nav", ".controls", "summary"))
    assert all(page.locator(each).is_visible() for each in ("#chart-power", "#jobs-table"))
    page.emulate_media(media="screen")


def test_what_is_seen_is_also_heard(reported: Reported, shown: Callable[..., Any]) -> None:
    page = shown(reported.page).page
    heard = dict(page.evaluate(HEARD))
    assert [key for key, said in heard.items() if len(said) < 3] == []
    assert "what is imported" in heard["chart-power"]
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(node => +node.tagName[1])")
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    assert page.evaluate("[...document.querySelectorAll('nav a')].every(link => document.querySelector(link.getAttribute('href')))")
    assert page.evaluate("[...document.querySelectorAll('tbody tr')].every(row => row.cells[0].scope === 'row')")


def test_the_numbers_are_those_of_the_plan(reported: Reported, shown: Callable[..., Any]) -> None:
    page, rows = shown(reported.page).page, reported.table("plan.csv")
    page.locator("#numbers summary").click()
    page.wait_for_selector("#numbers-table tbody tr")
    head, *shown_rows = page.locator("#numbers-table").evaluate(CELLS)
    assert head == ["from", *list(rows[0])[1:]]
    assert len(shown_rows) == len(rows) == 48
    for told, row in zip(shown_rows, rows, strict=True):
        local = datetime.fromisoformat(row["time"]).astimezone(BERLIN)
        assert told[0] == f"{local:%a %d %b %H:%M %Z}"
        assert [float(cell.replace(",", "")) for cell in told[1:]] == pytest.approx([float(row[name]) for name in head[1:]], abs=0.0501)


def test_all_charts_show_the_same_hours(reported: Reported, shown: Callable[..., Any]) -> None:
    page = shown(reported.page).page
    page.evaluate("Plotly.relayout(at('chart-battery'), {'xaxis.range': [300, 600]})")
    ranges = "['power', 'gpus', 'caps', 'halls', 'jobs'].map(id => at('chart-' + id).layout.xaxis.range)"
    page.wait_for_function(f"{ranges}.every(range => range[0] === 300 && range[1] === 600)")
    page.evaluate("Plotly.relayout(at('chart-battery'), {'xaxis.range': [0, 1440]})")


def test_ten_thousand_jobs_are_found_by_keyboard(crowded: Path, shown: Callable[..., Any]) -> None:
    seen = shown(crowded)
    page, told = seen.page, lambda: page.locator("#jobs-shown").inner_text()
    assert crowded.stat().st_size < 6_500_000
    assert told() == "1 to 40 of 10,000 jobs"
    assert page.evaluate("document.querySelectorAll('*').length") < 5_000
    page.locator("#jobs-find").focus()
    page.keyboard.insert_text("05 EUR/MWh")
    assert told() == "1 to 40 of 100 found among 10,000 jobs"
    for _ in range(3):  # to the order, past the button that has nothing to do, to the next page
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "jobs-after":
            break
    page.keyboard.press("Enter")
    assert told() == "41 to 80 of 100 found among 10,000 jobs"
    assert page.locator("#jobs-table tbody tr").first.locator("th").inner_text() == "application-04005"
    page.locator("#jobs-find").fill("")
    page.locator("#jobs-order").select_option("missed")
    assert page.locator("#jobs-table tbody th").all_inner_texts()[:2] == ["application-00007", "application-00107"]
    draws = "() => { const began = performance.now(); drawJobs(); return performance.now() - began; }"
    assert min(page.evaluate(draws) for _ in range(3)) < 1000  # ms; a busy machine shows it in some of them only
    assert seen.complained == []


def test_pieces_that_know_no_plan_make_a_page_of_two_weeks(crowded: Path, shown: Callable[..., Any]) -> None:
    page = shown(crowded).page
    assert page.locator("#chart-power .scatterlayer .trace").count() == 6  # two uses, two lines, the price, the time
    assert page.locator("#chart-power .shapelayer path").count() == 1
    assert page.locator("#chart-power .xaxislayer-above text").all_text_contents()[0].endswith("Sun 29 Oct")
    assert page.evaluate("at('chart-power').data[0].x.length") == 14 * 288 + 1


def test_times_of_jobs_are_those_of_the_sites_clock_in_the_night_of_25_hours_too(crowded: Path, shown: Callable[..., Any]) -> None:
    page = shown(crowded).page
    page.locator("#jobs-order").select_option("submit")
    told, start = [], datetime(2023, 10, 28, 22, tzinfo=UTC)
    for i in (1000, 1500, 2300):
        page.locator("#jobs-find").fill(f"application-{i:05d}")
        told.append(page.locator("#jobs-table tbody td").all_inner_texts()[4:8])
        minutes = [i / 10, i / 10 + 30, i / 10 + 200, i / 10 + 400]
        assert told[-1] == [f"{(start + timedelta(minutes=at)).astimezone(BERLIN):%a %d %b %H:%M}" for at in minutes]
    assert told[1][:2] == ["Sun 29 Oct 02:30", "Sun 29 Oct 02:00"]  # half an hour later


def test_what_the_script_is_told_cannot_end_it(reported: Reported) -> None:
    text = reported.page.read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data
    assert "late<b>&amp;" in json.loads(data[1], parse_constant=pytest.fail)["jobs"]["id"]
