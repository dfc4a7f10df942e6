"""A site's month: its span by the local clock, what meters told and did not, contracts, calls, and the files that are written."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from facility.commands.report import Asked, run_report
from facility.config import load_site
from facility.daemon.recording.called import Called
from facility.errors import InputError
from facility.events import Event
from facility.forecast import Past
from facility.history import GOOD, open_history
from facility.history.place import open_database
from facility.history.reading import Reader
from facility.inputs.series import CARBON, PRICE, Series
from facility.journal.calls import Calls
from facility.journal.journal import Journal
from facility.kpi.readings import read_metered
from facility.report.month.calls import joined, recorded
from facility.report.month.signals import Files
from facility.report.month.span import month_of, span_of
from facility.simulate.plant import Plant
from facility.site import Site
from facility.steps import as_datetime64
from facility.usage.usage import QUARTER, Cause, Lack, Usage
from tests.facility.test_daemon import NOW, House

DEMO, HAMBURG = (str(Path(__file__).parents[2] / f"site_configs/{name}.yaml") for name in ("demo", "hamburg"))
BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 7, 14, 22, tzinfo=UTC)
"""Midnight in Berlin, a Wednesday."""
HOUR, STEP = timedelta(hours=1), timedelta(minutes=5)
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def keep(folder: Path, site: Site, readings: Iterator[tuple[datetime, str, float]]) -> Path:
    """A history of readings, all of them believed."""
    path = folder / f"{site.id}.history.sqlite"
    with closing(open_history(str(path), site.id)) as history:
        history.write([part for at, point, value in readings for part in (round(at.timestamp() * 1000), point, value, GOOD)])
    return path


def steady(
    kw: Mapping[str, float], start: datetime, end: datetime, without: Collection[tuple[str, datetime]] = ()
) -> Iterator[tuple[datetime, str, float]]:
    """The same reading of each point in every five minutes, but for quarters of an hour that a point is `without`."""
    at = start
    while at < end:
        quarter = at.replace(minute=at.minute // 15 * 15)
        yield from ((at, point, value) for point, value in kw.items() if (point, quarter) not in without)
        at += STEP


STEADY = {
    "site/meter/main/import_kw": 600.0, "h1/pool/h1-a/it_power_kw": 200.0, "h1/pool/h1-b/it_power_kw": 150.0, "h2/pool/h2-a/it_power_kw": 100.0,
    "site/cooling/chiller/power_kw": 100.0, "site/weather/outdoor/temperature_c": 25.0,
}  # fmt: skip
"""A PUE of 4/3."""


def report(folder: Path, capsys: pytest.CaptureFixture[str], site: str = DEMO, **asked: Any) -> tuple[int, dict[str, Any]]:
    told = {"month": None, "start": None, "end": None, "state": None, "history": str(folder / f"{Path(site).stem}.history.sqlite"),
            "files": Files(), "events": None}  # fmt: skip
    code = run_report(site, (), Asked(**(told | asked)), folder / "out", as_json=True)
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("month", "hours", "odd"), [("2026-03", 743, ("2026-03-29", 23)), ("2026-10", 745, ("2026-10-25", 25)), ("2026-02", 672, None)]
)
def test_a_month_has_as_many_hours_as_its_local_days(month: str, hours: int, odd: tuple[str, int] | None) -> None:
    span = month_of(month, BERLIN, LATER)
    days = {begin.astimezone(BERLIN).date().isoformat(): (end - begin) / HOUR for begin, end in span.days(BERLIN)}
    assert (span.end - span.start) / HOUR == sum(days.values()) == hours
    assert {day: length for day, length in days.items() if length != 24} == ({odd[0]: odd[1]} if odd else {})
    assert span.over
    assert not span.annual(BERLIN)


@pytest.mark.parametrize(
    ("first", "last", "annual"),
    [
        ("2025-01-01", "2026-01-01", True), ("2025-03-30", "2026-03-30", True), ("2025-10-26", "2026-10-26", True),
        ("2024-01-01", "2024-12-31", False), ("2024-01-01", "2025-01-01", True), ("2024-02-29", "2025-02-28", False),
        ("2024-02-29", "2025-03-01", True), ("2025-03-30", "2026-03-29", False),
    ],
)  # fmt: skip
def test_a_year_is_one_of_the_calendar_with_its_leap_day_and_its_hours(first: str, last: str, annual: bool) -> None:
    assert span_of(first, last, BERLIN, LATER).annual(BERLIN) == annual


def test_a_year_is_annual_once_it_is_over_and_december_ends_with_it() -> None:
    assert not span_of("2025-01-01", "2026-01-01", BERLIN, datetime(2025, 12, 31, tzinfo=UTC)).annual(BERLIN)
    assert month_of("2025-12", BERLIN, LATER).end == datetime(2025, 12, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"month": "2026-13"}, "no month"),
        ({"month": "July"}, "no month"),
        ({}, "--month"),
        ({"month": "2026-07", "start": "2026-07-01"}, "--month"),
        ({"start": "2026-07-02", "end": "2026-07-01"}, "not before"),
        ({"start": "2026-07-01T00:07+02:00", "end": "2026-07-02"}, "quarter of an hour"),
        ({"month": "2190-01"}, "has not begun"),
    ],
)
def test_a_time_that_is_none_is_refused(tmp_path: Path, asked: dict[str, Any], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    keep(tmp_path, load_site(DEMO), steady(STEADY, START, START + HOUR))
    with pytest.raises(InputError, match=why):
        report(tmp_path, capsys, **asked)


def test_a_site_without_a_history_is_told_to_name_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError):
        report(tmp_path, capsys, month="2026-07")
    keep(tmp_path, load_site(DEMO), steady(STEADY, START, START + HOUR))
    assert report(tmp_path, capsys, month="2026-06")[0] == 1, "no meter told anything then"


def test_a_day_of_the_rehearsed_plant_is_told_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = load_site(DEMO)
    plant, readings, it_kwh = Plant(site, START, seed=3, longest_s=60), [], 0.0
    for _ in range(24 * 12):
        plant.step(STEP.total_seconds())
        it_kwh += sum(pool.power_kw for pool in plant.pools.values()) / 12
        at = plant.now - STEP / 2
        readings += [(at, sensor.key, plant.read(sensor)) for sensor in plant.sensors]
    keep(tmp_path, site, iter(readings))
    code, told = report(tmp_path, capsys, start="2026-07-15", end="2026-07-16")
    figures = {figure["key"]: figure for figure in told["figures"]}
    annex = {figure["key"]: figure["value"] for figure in told["annex"]}
    assert code == 0
    assert annex["total_kwh"] == pytest.approx(plant.import_kwh, rel=2e-3)
    assert figures["pue"]["value"] == pytest.approx(plant.import_kwh / it_kwh, rel=2e-3)
    assert figures["cue"]["value"] == pytest.approx(0.363 * plant.import_kwh / it_kwh, rel=2e-3)
    assert (figures["pue"]["name"], figures["wue1"]["value"], figures["erf"]["value"]) == ("iPUE2", None, None)
    assert [day["hours"] for day in told["days"]] == [24.0]
    assert told["interim"] == ["no journal: contracts, tenants and calls are not known; name it with --state"]


def test_gaps_are_told_and_nothing_is_filled_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Eight quarters without pool h1-b: sums of IT lack them, ratios are of the 88 others."""
    without = {("h1/pool/h1-b/it_power_kw", START + 5 * HOUR + i * QUARTER) for i in range(8)}
    keep(tmp_path, load_site(DEMO), steady(STEADY, START, START + 24 * HOUR, without))
    _, told = report(tmp_path, capsys, start="2026-07-15", end="2026-07-16")
    pue = next(figure for figure in told["figures"] if figure["key"] == "pue")
    assert pue["value"] == pytest.approx(600 / 450)
    assert pue["covered"] == pytest.approx(88 / 96)
    annex = {figure["key"]: figure["value"] for figure in told["annex"]}
    assert annex["total_kwh"] == pytest.approx(600 * 24)
    assert annex["it_kwh"] == pytest.approx(450 * 22)
    assert told["status"] == "interim"
    assert "pool h1-b: 8 of 96 quarters of an hour were not measured, and are left out" in told["interim"]
    assert told["peak_kw"] == pytest.approx(600)
    assert told["energy_cost"] == pytest.approx(0.6 * sum(load_site(DEMO).tariff.energy_price_by_hour_per_mwh or ()))


def test_a_month_under_way_is_told_as_far_as_it_is_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest reading, in the year 2100, is later than any clock: until its quarter of an hour the month is over."""
    start = datetime(2100, 6, 30, 22, tzinfo=UTC)
    keep(tmp_path, load_site(DEMO), steady(STEADY, start, start + 30 * HOUR))
    _, told = report(tmp_path, capsys, month="2100-07")
    assert told["status"] == "interim"
    assert told["interim"][0].startswith("it is not over: told until 2100-07-02T03:45Z of 2100-07-31T22:00Z")
    assert [(day["date"], day["hours"]) for day in told["days"]] == [("2100-07-01", 24.0), ("2100-07-02", 5.75)]


def test_a_battery_stores_what_it_is_charged_with_less_its_losses_and_one_that_nobody_measures_stores_nothing(tmp_path: Path) -> None:
    site, point = load_site(DEMO), "site/battery/bess-1/power_kw"
    rows = [*steady(STEADY | {point: 100.0}, START, START + HOUR), *steady(STEADY | {point: -96.0}, START + HOUR, START + 2 * HOUR)]
    path = keep(tmp_path, site, iter(rows))
    (tmp_path / "blind").mkdir()
    blind = keep(tmp_path / "blind", site, steady(STEADY, START, START + 2 * HOUR))
    for place, stored in ((path, [24.0] * 4 + [-25.0] * 4), (blind, [0.0] * 8)):
        with closing(open_database(str(place), site.id, read_only=True)) as database:
            metered = read_metered(Reader(database), site, START, START + 2 * HOUR, None)
        assert metered.stored_kwh == pytest.approx(stored)
        assert metered.total_kwh == pytest.approx(150 - np.array(stored))
        assert metered.carbon_kg is None


def test_a_redundant_sensor_stands_in_for_one_that_told_nothing(tmp_path: Path) -> None:
    key, other = "site/meter/main/import_kw", "site/meter/main-b/import_kw"
    site = load_site(DEMO, (f"sensors={{{key}: {{redundant: [{other}]}}}}",))
    path = keep(tmp_path, site, steady(STEADY | {other: 610.0}, START, START + HOUR, {(key, START + QUARTER)}))
    with closing(open_database(str(path), site.id, read_only=True)) as database:
        metered = read_metered(Reader(database), site, START, START + HOUR, np.full(4, 100.0))
    assert metered.import_kwh == pytest.approx([150, 152.5, 150, 150])
    assert metered.carbon_kg == pytest.approx([15, 15.25, 15, 15])


def test_every_meter_of_water_heat_and_generation_is_read(tmp_path: Path) -> None:
    site = load_site(HAMBURG)
    kw = {f"{pool.hall}/pool/{name}/it_power_kw": 100.0 for name, pool in site.pools.items()}
    kw |= {f"site/meter/{site.grid.feed}/import_kw": 300.0, "site/solar/roof/power_kw": 80.0, "site/genset/diesel-1/power_kw": 20.0}
    kw |= {"site/water/towers/flow_m3_per_h": 0.4, "site/water/town/flow_m3_per_h": 0.1, "site/water/nursery/flow_m3_per_h": 0.2}
    kw |= {"site/heat/swimming-pool/reused_kw": 60.0, "site/heat/swimming-pool/supply_c": 48.0}
    path = keep(tmp_path, site, steady(kw, START, START + HOUR))
    with closing(open_database(str(path), site.id, read_only=True)) as database:
        metered = read_metered(Reader(database), site, START, START + HOUR, np.full(4, 400.0))
    assert metered.total_kwh is not None
    sums, covered = metered.sums(metered.total_kwh, metered.it_kwh, metered.water_in_m3, metered.potable_m3, metered.water_out_m3, metered.reused_kwh)
    assert sums == pytest.approx((400, 300, 0.5, 0.1, 0.2, 60))
    assert covered == 1.0
    assert metered.supply_c == pytest.approx([48.0] * 4)
    assert metered.carbon_kg == pytest.approx([75 * 0.4 + 5 * 0.72] * 4), "the genset's fuel counts"
    assert metered.outdoor_c is not None
    assert np.isnan(metered.outdoor_c).all()


def journal_of(folder: Path, quarters: int) -> Path:
    """A journal in which kepler-tune, 192 GPUs, lacks 32 of them from the second quarter on."""
    path, rows = folder / "demo.sqlite", {}
    for i in range(quarters):
        at, gone = START + i * QUARTER, 32 if i else 0
        lacks = (Lack("gone", START + QUARTER, 0.25, gone / 4),) if gone else ()
        ran = (192 - gone) / 4
        mine = Usage(at, 0.25, "h1-b", "kepler-tune", "contract", "kepler", "kepler-tune", 48.0, ran, ran, 0.9 * ran, 10.0, 0.0, 0.0, lacks)
        rows[at] = (mine, Usage(at, 0.25, "h1-b", "", "free", idle_kwh=5.0))
    with Journal(path) as journal:
        journal.record_usage(rows, "used", b"{}")
        past = Past()
        told = as_datetime64([START, START + 3 * HOUR])
        past.tell(CARBON, Series("", "", told, told + np.timedelta64(3, "h"), np.array([100.0, 200.0])), START)
        journal.put_all(past.changed())
    return path


def test_contracts_tenants_and_what_the_bus_told_come_from_the_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """kepler-tune misses 32 GPUs for three quarters, 24 GPU h at 30 EUR; of h1-b's 150 kW two thirds are kepler's."""
    keep(tmp_path, load_site(DEMO), steady(STEADY, START, START + HOUR))
    span = {"start": "2026-07-15T00:00+02:00", "end": "2026-07-15T01:00+02:00"}
    _, told = report(tmp_path, capsys, state=journal_of(tmp_path, 4), **span)
    assert told["status"] == "whole"
    assert told["interim"] == []
    (tune,) = told["contracts"]
    assert tune["availability"] == pytest.approx(1 - 24 / 192)
    assert tune["credit"] == pytest.approx(24 * 30)
    assert [(one["cause"], one["since"], one["gpus"]) for one in tune["interruptions"]] == [("gone", "2026-07-14T22:15:00Z", 32.0)]
    tenants = {work["key"]: work["energy_kwh"] for work in told["tenants"]}
    assert tenants == pytest.approx({"kepler": 100.0, "": 50.0})
    cue = next(figure for figure in told["figures"] if figure["key"] == "cue")
    assert cue["value"] == pytest.approx(0.1 * 600 / 450), "the intensity that was told"
    assert any("as told on the bus for 100.0% of the time" in said for said in told["assumed"])
    _, gap = report(tmp_path, capsys, state=tmp_path / "demo.sqlite", **(span | {"end": "2026-07-15T02:00+02:00"}))
    assert "who had what: 1.00 of 2.00 h were counted" in gap["interim"]


@pytest.mark.parametrize("told", ["a file", "the bus"])
def test_prices_and_carbon_that_change_within_a_quarter_count_by_their_mean(
    told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """600 kWh in an hour whose every quarter has 5 minutes of each of three values: 200 a MWh and 200 g/kWh in the mean."""
    keep(tmp_path, load_site(DEMO), steady(STEADY, START, START + HOUR))
    begins = [START + i * STEP for i in range(12)]
    values = [float(100 * (1 + i % 3)) for i in range(12)]
    asked: dict[str, Any] = {"start": "2026-07-15T00:00+02:00", "end": "2026-07-15T01:00+02:00"}
    if told == "a file":
        rows = "".join(f"{at:%Y-%m-%dT%H:%MZ},{value},{value}\n" for at, value in zip(begins, values, strict=True))
        (tmp_path / "s.csv").write_text(f"time,price_eur_per_mwh,carbon_g_per_kwh\n{rows}")
        asked["files"] = Files(*(str(tmp_path / "s.csv"),) * 2)
    else:
        past = Past()
        for quantity in (PRICE, CARBON):
            at = as_datetime64([*begins, START + HOUR])
            past.tell(quantity, Series("", quantity.unit, at[:-1], at[1:], np.array(values)), START)
        asked["state"] = tmp_path / "demo.sqlite"
        with Journal(asked["state"]) as journal:
            journal.put_all(past.changed())
    _, found = report(tmp_path, capsys, **asked)
    assert found["energy_cost"] == pytest.approx(0.2 * 600)
    assert next(figure["value"] for figure in found["figures"] if figure["key"] == "cue") == pytest.approx(0.2 * 600 / 450)


def test_a_table_of_interruptions_begins_with_those_that_no_contract_lets_happen_and_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facility.report.month.tables.MOST_INTERRUPTIONS", 3)
    keep(tmp_path, load_site(DEMO), steady(STEADY, START, START + HOUR))
    row = {"hours": 0.25, "kind": "contract", "tenant": "nordlab", "promised_gpu_h": 24.0}

    def lacking(i: int, cause: Cause, **where: str) -> Usage:
        at = START + i * QUARTER
        return Usage(at, lacks=(Lack(cause, at, 0.25, 4.0),), **row, **where)

    pauses = {START + i * QUARTER: lacking(i, "pause", pool="h1-a", workload="nordlab-spot") for i in range(4)}
    dead = lacking(2, "gone", pool="h1-b", workload="kepler-tune")
    with Journal(tmp_path / "demo.sqlite") as journal:
        journal.record_usage({at: (each, dead) if at == dead.start else (each,) for at, each in pauses.items()}, "used", b"{}")
    report(tmp_path, capsys, start="2026-07-15T00:00+02:00", end="2026-07-15T01:00+02:00", state=tmp_path / "demo.sqlite")
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    table = page[page.index('<section id="interruptions">') :]
    table = table[: table.index("</section>")]
    assert table.index("GPUs were gone") < table.index("its contract lets it pause")
    assert table.count("<tr>") == 1 + 3
    assert "2 more stand in summary.json" in table


def test_calls_are_events_that_held_as_they_were_told_last_and_until_they_were_withdrawn(tmp_path: Path) -> None:
    held = Event(START + 2 * HOUR, START + 3 * HOUR, target_kw=500.0, ramp=timedelta(minutes=15))
    changed = Event(START + 2 * HOUR, START + 3 * HOUR, target_kw=450.0)
    never, cut = (Event(START + i * HOUR, START + (i + 1) * HOUR, reduction_pct=20.0) for i in (5, 7))
    told = {1.0: (held, never), 2.0: (held,), 2.5: (changed,), 4.0: (never,), 4.9: (), 7.0: (cut,), 7.25: (), 8.5: ()}
    with Journal(tmp_path / "calls.sqlite") as journal:
        called = Called(journal)
        for hours, events in told.items():
            called.look(events, START + hours * HOUR)
    with Journal(tmp_path / "calls.sqlite", read_only=True) as journal:
        found, gap = recorded(Calls(journal), START, START + 24 * HOUR)
        assert found == (changed, replace(cut, end=START + 7.25 * HOUR))
        assert recorded(Calls(journal), START + 3 * HOUR, START + 24 * HOUR)[0] == found[1:]
        assert gap == ""
    assert joined([held], [changed, never]) == (held, never)


def test_a_daemon_keeps_the_event_that_it_is_told_of_once_it_holds(tmp_path: Path) -> None:
    house = House(tmp_path / "journal.sqlite")
    try:
        start, end = (house.clock.now() + timedelta(minutes=minutes) for minutes in (10, 40))
        house.say("grid/main/event", {"start": start.isoformat(), "end": end.isoformat(), "target_kw": 5.0, "ramp_min": 5}, retain=True)
        house.daemon.cycle()
        assert Calls(house.journal).since(NOW) == ()
        house.clock.advance(15 * 60)
        house.settle()
        house.daemon.cycle()
        assert Calls(house.journal).since(NOW) == (Event(start, end, target_kw=5.0, ramp=timedelta(minutes=5)),)
        house.say("grid/main/event", b"", retain=True)
        house.clock.advance(60)
        house.daemon.cycle()
        (call,) = Calls(house.journal).since(NOW)
        assert start < call.end < end
    finally:
        house.kill()


def test_the_oldest_call_gives_way_and_a_report_of_before_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facility.journal.calls.MOST", 3)
    with Journal(tmp_path / "calls.sqlite") as journal:
        calls = Calls(journal)
        for i in range(5):
            calls.keep(Event(START + i * HOUR, START + (i + 1) * HOUR, target_kw=100.0))
        journal.put("call 7", b"nonsense")
        found, gap = recorded(Calls(journal), START, START + 24 * HOUR)
    assert [event.start for event in found] == [START + i * HOUR for i in (2, 3, 4)]
    assert gap.startswith("calls before 2026-07-15T00:00:00Z are not kept any more")


@pytest.mark.parametrize(("hours", "begins"), [(7, [8]), (24, [])])
def test_a_report_of_a_time_after_the_oldest_call_that_is_kept_lacks_none(
    hours: int, begins: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facility.journal.calls.MOST", 3)
    with Journal(tmp_path / "calls.sqlite") as journal:
        calls = Calls(journal)
        for i in range(0, 10, 2):
            calls.keep(Event(START + i * HOUR, START + (i + 1) * HOUR, target_kw=100.0))
        found, gap = recorded(Calls(journal), START + hours * HOUR, START + 48 * HOUR)
    assert [event.start for event in found] == [START + i * HOUR for i in begins]
    assert gap == ""


def test_a_call_of_a_file_is_held_against_the_meter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Target 500 kW from 12:00 to 13:00; the meter stays at 600 until 12:10 and is at 480 then: 50 minutes of 120 kW below the base."""
    noon = START + 12 * HOUR
    rows = [row for row in steady(STEADY, START, START + 24 * HOUR) if row[1] != "site/meter/main/import_kw"]
    steps = (START + i * STEP for i in range(288))
    rows += [(at, "site/meter/main/import_kw", 480.0 if noon + 2 * STEP <= at < noon + HOUR else 600.0) for at in steps]
    keep(tmp_path, load_site(DEMO), iter(rows))
    (tmp_path / "events.csv").write_text("start,end,target_kw\n2026-07-15T12:00+02:00,2026-07-15T13:00+02:00,500\n")
    _, told = report(tmp_path, capsys, start="2026-07-15", end="2026-07-16", events=str(tmp_path / "events.csv"))
    (call,) = told["calls"]
    assert "same day" in call["method"]
    expected = {"baseline_kw": 600, "asked_kw": 100, "delivered_kwh": 100, "late_min": 10, "over_min": 10, "rebound_kwh": 0, "covered": 1}
    assert {key: call[key] for key in expected} == pytest.approx(expected)
    assert call["reserves_kw"] == {}


@pytest.mark.parametrize("told", ["a file", "the journal"])
def test_a_day_with_a_call_before_the_span_is_no_like_day(told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The meter is at 600 kW, but for 300 while it was called on Monday at noon: what it would have drawn on Wednesday is 600."""
    monday, wednesday = (Event(START + hours * HOUR, START + (hours + 1) * HOUR, target_kw=300.0) for hours in (12 - 48, 12))
    begins = [START - timedelta(days=30) + i * QUARTER for i in range(31 * 96)]
    keep(tmp_path, load_site(DEMO), ((at, "site/meter/main/import_kw", 300.0 if monday.start <= at < monday.end else 600.0) for at in begins))
    asked: dict[str, Any] = {"start": "2026-07-15", "end": "2026-07-16"}
    if told == "a file":
        rows = "".join(f"{event.start:%Y-%m-%dT%H:%MZ},{event.end:%Y-%m-%dT%H:%MZ},300\n" for event in (monday, wednesday))
        (tmp_path / "events.csv").write_text(f"start,end,target_kw\n{rows}")
        asked["events"] = str(tmp_path / "events.csv")
    else:
        asked["state"] = tmp_path / "demo.sqlite"
        with Journal(asked["state"]) as journal:
            for event in (monday, wednesday):
                Calls(journal).keep(event)
    (call,) = report(tmp_path, capsys, **asked)[1]["calls"]
    assert "mean of 10 working days" in call["method"]
    assert monday.start.date().isoformat() not in call["days"]
    assert call["baseline_kw"] == pytest.approx(600)


def test_a_page_holds_everything_and_is_the_same_bytes_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(tmp_path, load_site(DEMO), steady(STEADY, START, START + 50 * HOUR))
    asked = {"start": "2026-07-15", "end": "2026-07-17", "state": journal_of(tmp_path, 4)}
    report(tmp_path, capsys, **asked)
    files = {name: (tmp_path / "out" / name).read_bytes() for name in ("report.html", "summary.json")}
    report(tmp_path, capsys, **asked)
    assert all((tmp_path / "out" / name).read_bytes() == told for name, told in files.items())
    page = files["report.html"].decode()
    for said in ("iPUE2", "Interruptions", "GPUs were gone", "For the Union&#x27;s database", 'id="chart-by-day"', "1.00 of 48.00 h were counted"):
        assert said in page
    assert 'src="http' not in page
    run_report(DEMO, (), Asked(None, "2026-07-15", "2026-07-17", None, str(tmp_path / "demo.history.sqlite"), Files(), None), None, as_json=False)
    text = capsys.readouterr().out
    assert "iPUE2   1.333" in text
    assert "interim: " in text
