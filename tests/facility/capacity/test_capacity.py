"""Room for more GPUs is what a plan has room for: reckoned by hand on a small site, and against plans of sites that nobody would build."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import yaml

from facility.capacity.answer import Answer, answer
from facility.capacity.check import keeps_all, some_more
from facility.capacity.contracted import free_gpus, rented, steady, with_added
from facility.capacity.place import place_of
from facility.capacity.question import Asked, question
from facility.capacity.reach import months, reached
from facility.capacity.span import Span
from facility.capacity.telling import hours_csv
from facility.capacity.waiting import all_done
from facility.config import load_site
from facility.errors import InputError
from facility.problem import problem_of
from facility.snapshot import Job, Snapshot
from tests.facility.test_random_sites import a_site

POINTS = [{"cap_w": 100, "draw_w": 100, "speed": 0.4}, {"cap_w": 200, "draw_w": 200, "speed": 0.7}, {"cap_w": 400, "draw_w": 400, "speed": 1}]
RAW: dict[str, Any] = {
    "id": "s", "name": "s", "timezone": "Europe/Berlin", "currency": "EUR",
    "grid": {"import_limit_kw": 10.001, "limit_windows": [{"from_local": "17:00", "to_local": "18:00", "import_limit_kw": 8.001}]},
    "tariff": {"energy_price_per_mwh": 100}, "weather": {"outdoor_by_hour_c": [10] * 24}, "carbon": {"intensity_g_per_kwh": 500},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": {"source": "by hand", "points": POINTS}}}},
    "feeders": {"main": {"rating_kw": 20}, "row": {"rating_kw": 9, "parent": "main"}}, "halls": {"h": {"feeder": "main"}},
    "pools": {"p": {"hall": "h", "feeder": "row", "gpu_model": "g", "gpus": 10}},
    "tenants": {"t": {"name": "T"}},
    "contracts": {
        "here": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 6, "curve": "train", "floor_speed": 0.7},
        "spot": {"tenant": "t", "kind": "spot", "pool": "p", "gpus": 2, "curve": "train", "pausable": True},
    },
    "jobs": {"curve": "train"},
}  # fmt: skip
"""As agreed 6 rentals draw 200 W, 2 pause at 50 W, 2 GPUs do jobs at 400 W: 2.1 kW. At full speed all draw 400 W: 4 kW."""
DAY = ("2026-07-15", "2026-07-16")
SEEDS, FEWEST_WITH_ROOM = 50, 20

Told = Callable[..., Answer]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """The answer of a day on the small site, with other settings or options."""

    def made(*settings: str, start: str = DAY[0], end: str = DAY[1], **options: Any) -> Answer:
        file = tmp_path / "site.yaml"
        file.write_text(yaml.safe_dump(RAW))
        return answer(question(Asked(str(file), start, end, settings=settings, **options)), lambda *_: None)

    return made


def fit(found: Answer) -> dict[float, tuple[int, int]]:
    """By per cent: GPUs that fit as agreed, and beside present rentals at full speed."""
    return {level.slower_pct: (level.agreed.gpus, level.untouched.gpus) for level in found.levels}


def test_the_tightest_hour_says_how_many_fit(told: Told) -> None:
    # 8 kW less 2.1 kW: 14 at 400 W, 29 at 200 W; less 4 kW: 10 and 20
    found = told(flexible="0,30")
    assert fit(found) == {0: (14, 10), 30: (29, 20)}
    assert {level.agreed.reach.binding for level in found.levels} == {("grid.limits", "")}
    assert found.at(int(np.argmin(found.levels[0].agreed.reach.most))) == datetime(2026, 7, 15, 15, tzinfo=UTC)


def test_beside_a_pool_its_feeder_is_a_limit_and_the_next_one_is_told(told: Told) -> None:
    # in sums of caps what pauses counts for 100 W: 6 * 0.2 + 2 * 0.1 + 2 * 0.4 = 2.2 kW of the row's 5 kW
    found = told("feeders.row.rating_kw=5.001", pool="p", flexible="0")
    (level,) = found.levels
    assert level.agreed.gpus == 7
    assert level.agreed.reach.binding == ("feeder.carries_worst", "row")
    assert level.agreed.reach.following == (("feeder.carries", "row"), 7)
    # the row's 9 kW let in (9 - 2.2) / 0.4, a hair less than 17, the connection 14: it needs 2.1 + 16 * 0.4 kW for as many
    (level,) = told(pool="p", flexible="0").levels
    assert level.agreed.gpus == 14
    assert level.agreed.reach.following == (("feeder.carries_worst", "row"), 16)
    assert level.agreed.lift_kw == pytest.approx(2.1 + 16 * 0.4 - 8.001, abs=1e-3)


def test_a_hall_that_loses_heat_by_itself_takes_what_the_plant_and_the_walls_remove(told: Told) -> None:
    # through the walls go (27 - 10) / 5 = 3.4 kW, of the present 2.1 kW nothing is left; the plant removes 2 kW
    (level,) = told(
        "halls.h.thermal={heat_capacity_kwh_per_k: 1, resistance_k_per_kw: 5, start_c: 24, cooling_plant: cold}",
        "cooling_plants.cold={feeder: main, design_heat_kw: 2, max_heat_kw: 2, pump_kw: 0, fan_kw: 0}",
        pool="p", flexible="0",
    ).levels  # fmt: skip
    assert (level.agreed.gpus, level.agreed.reach.binding) == (8, ("cooling_plant.heat_kw", "cold"))
    assert level.checked is not None
    assert level.checked.agrees


def test_what_the_sun_gives_behind_another_connection_helps_nobody(told: Told) -> None:
    (level,) = told(
        "feeders.other={rating_kw: 20}", "grid.feeds={a: {feeder: main, import_limit_kw: 20}, b: {feeder: other, import_limit_kw: 20}}",
        f"solar.roof={{feeder: other, peak_kw: 5, output_by_hour_kw_per_kwp: {[1] * 24}}}",
        pool="p", flexible="0",
    ).levels  # fmt: skip
    assert level.agreed.gpus == 14
    assert level.checked is not None
    assert level.checked.agrees


def test_a_battery_that_is_to_ride_through_carries_so_many_and_no_more(told: Told) -> None:
    # 1 kWh carries 5 kW for 12 min: (5 - 2.2) / 0.4
    battery = "{feeder: row, capacity_kwh: 1.001, charge_kw: 1, discharge_kw: 1, efficiency: 1, min_share: 0, ride_through_min: 12}"
    (level,) = told(f"batteries.ups={battery}", pool="p", flexible="0").levels
    assert (level.agreed.gpus, level.agreed.reach.binding) == (7, ("battery.rides_through", "ups"))
    assert level.checked is not None
    assert level.checked.agrees


def test_those_that_are_added_are_slowed_only_where_it_is_short_and_no_further(told: Told) -> None:
    # 20 beside 4 kW: 17 to 18 o'clock there are 4 kW for them, 200 W each, speed 0.7; else 6 kW, 300 W each, speed 0.85
    found = told(flexible="30").levels[0].untouched
    lost = found.shortage
    assert found.gpus == 20
    assert lost.speed[15 + 2] == pytest.approx(0.7, abs=1e-3)
    assert np.delete(lost.speed, 17) == pytest.approx(0.85, abs=1e-3)
    assert lost.longest == (0, 24)
    assert not lost.present_gives.any()
    assert lost.lost_gpu_h == pytest.approx(20 * (0.3 + 23 * 0.15), rel=1e-3)
    assert float(lost.added_kw.sum()) == pytest.approx(4 + 23 * 6, rel=1e-3)
    assert lost.carbon_kg == pytest.approx((4 + 23 * 6) / 2, rel=1e-3)
    assert lost.cost == pytest.approx((4 + 23 * 6) / 10, rel=1e-3)


def test_present_rentals_give_where_what_was_agreed_is_not_enough(told: Told) -> None:
    lost = told(flexible="0").levels[0].agreed.shortage
    # 14 at 400 W beside 4 kW are 9.6 kW: more than 8 kW, less than 10 kW
    assert np.flatnonzero(lost.present_gives).tolist() == [17]
    assert not lost.slowed.any()


def test_so_many_hours_without_them_let_more_in(told: Told) -> None:
    # one hour of 24 has 4 kW, the others 6 kW; those that pause draw 50 W: (4 - 15 * 0.05) / 0.35 of 15 work then
    one, none = told(hours_share="5,4").shared
    assert (one.gpus, one.hours) == (15, 1)
    assert one.lost_share == pytest.approx((15 - 3.25 / 0.35) / 15 / 24, rel=1e-3)
    assert (none.gpus, none.hours, none.lost_share) == (10, 0, 0.0)


def test_plans_say_the_same(told: Told) -> None:
    for level in told(flexible="0,30").levels:
        assert level.checked is not None
        assert level.checked.agrees
        assert level.checked.as_is
        assert level.lacks_kw > 0


def test_jobs_of_a_file_take_what_they_need_when_they_are_submitted(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text("submit_time,duration_s,num_gpus\n2026-07-15T17:30+02:00,3600,2\n2026-07-15T09:00+02:00,7200,1\n")
    found = told(flexible="0", jobs=str(file))
    two, one, none = (found.slowed_kw[hour] for hour in (17, 10, 12))
    assert (two - none, one - none) == (pytest.approx(2 * 0.35), pytest.approx(0.35))
    assert found.slowed_kw[18] == two
    assert found.slowed_kw[19] == none
    assert fit(found)[0][0] == 14


def test_gpus_of_a_rental_that_has_ended_do_jobs(told: Told) -> None:
    # of 6 that were rented until noon none draw 200 W then but all do jobs at 400 W: 2 spots pause, 8 do jobs, 3.3 kW of 8 kW
    day = told("contracts.here.gpus_until=2026-07-15T12:00+02:00", flexible="0")
    ended = told("contracts.here.gpus_until=2026-07-15T00:00+02:00", flexible="0")
    assert (day.slowed_kw[11], day.slowed_kw[12]) == (pytest.approx(2.1), pytest.approx(3.3))
    assert ended.slowed_kw == pytest.approx(3.3)
    assert fit(day)[0][0] == fit(ended)[0][0] == 11
    for found in (day, ended):
        assert found.levels[0].checked is not None
        assert found.levels[0].checked.agrees


def test_gpus_that_leave_for_good_draw_nothing_and_those_to_come_not_yet(told: Told) -> None:
    # the 2 that do jobs at 400 W: 0.8 kW less, 2 more fit
    for lasting in ("start: '2026-07-15T12:00+02:00'", "end: '2027-01-01T00:00Z'"):
        found = told(f"maintenance.some={{pool: p, gpus: 2, {lasting}}}", flexible="0")
        assert found.slowed_kw[12:] == pytest.approx(1.3)
        assert fit(found)[0][0] == 16
        assert not any("maintenance" in each for each in found.question.assumed)
        assert found.levels[0].checked is not None
        assert found.levels[0].checked.agrees
    passing = told("maintenance.repair={pool: p, gpus: 2, start: '2026-07-15T12:00+02:00', end: '2026-07-15T20:00+02:00'}", flexible="0")
    assert passing.slowed_kw == pytest.approx(2.1)
    assert "not looked at: maintenance" in passing.question.assumed


def test_jobs_that_wait_within_their_slack_let_more_in(told: Told, tmp_path: Path) -> None:
    # in the hour of 8 kW 2 GPUs would do a job: 14 more fit beside it, 16 if it waits an hour, 16 only if it may
    file, settings = tmp_path / "jobs.csv", ("grid.import_limit_kw=9",)
    for slack_h, gpus in ((0, 14), (2, 16)):
        file.write_text("submit_time,duration_s,num_gpus\n2026-07-15T17:00+02:00,3600,2\n")
        found = told(*settings, f"jobs.slack_h={slack_h}", flexible="0", jobs=str(file))
        (level,) = found.levels
        assert (level.agreed.gpus, level.waiting) == (14, gpus)
        alone, (day,) = steady(rented(found.question.site, {}, {})), found.question.span.parts
        for more, fits in ((0, True), (1, False)):
            site = with_added(alone, found.place, gpus + more, 1.0)
            snapshot = Snapshot(at=day.edges[0], jobs=found.question.jobs)
            assert keeps_all(problem_of(site, snapshot, day.forecast, day.asked_of(site), day.edges), 60.0) is fits


def test_jobs_that_are_late_anyway_are_told(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text("submit_time,duration_s,num_gpus\n2026-07-15T09:00+02:00,3600,2\n2026-07-15T09:00+02:00,3600,2\n")
    found = told("jobs.slack_h=0", flexible="0", jobs=str(file))
    assert found.levels[0].waiting is None
    assert (found.slowed_kw[9:12] - found.slowed_kw[8]).tolist() == pytest.approx([0.7, 0.7, 0.0])  # the second waits for the GPUs of the first


def test_a_job_is_done_in_time_or_it_is_not() -> None:
    start = datetime(2026, 7, 15, tzinfo=UTC)

    def job(name: str, submit: float, hours: float, slack: float, gpus: int) -> Job:
        begins = start + timedelta(hours=submit)
        return Job(name, "p", "train", gpus, gpus * hours, begins, begins + timedelta(hours=hours + slack))

    urgent, patient = job("a", 1, 1, 0, 4), job("b", 0, 2, 2, 4)
    assert all_done([urgent, patient], np.array([4.0, 4, 4, 4]), start)
    assert not all_done([urgent, patient], np.array([4.0, 4, 3, 0]), start)
    assert not all_done([urgent, job("b", 0, 2, 0, 4)], np.array([4.0, 4, 4, 4]), start)
    assert not all_done([job("c", 0, 2, 0, 4)], np.array([9.0, 3, 9]), start)
    assert all_done([job("c", 0.5, 2, 0.5, 4)], np.array([2.0, 4, 2]), start)


def test_a_year_has_its_hours_and_the_clock_that_changes(told: Told) -> None:
    found = told(flexible="0", start="2026-03-28", end="2026-03-31")
    local = [found.at(int(t)).astimezone(found.question.span.zone) for t in np.flatnonzero(found.limit_kw < 9)]
    assert [(at.day, at.hour) for at in local] == [(28, 17), (29, 17), (30, 17)]
    assert len(found.limit_kw) == 71
    assert len(hours_csv(found).splitlines()) == 72


def test_nothing_fits_where_the_site_is_full(told: Told) -> None:
    found = told("grid.import_limit_kw=2", flexible="0,50")
    assert not found.fits
    assert not any(level.untouched.shortage.slowed.any() for level in found.levels)
    assert [level.checked for level in found.levels] == [None, None]


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"flexible": "0,100"}, "--flexible"),
        ({"hours_share": "few"}, "--hours-share"),
        ({"busy_pct": 120.0}, "--busy"),
        ({"model": "h"}, "--model"),
        ({"pool": "q"}, "--pool"),
        ({"curve": "tune"}, "--curve"),
        ({"start": "2026-07-16", "end": "2026-07-15"}, "--to"),
        ({"start": "2026-07-15", "end": "2026-07-15T12:30+02:00"}, "--to"),
        ({"jobs_from": "2026-07-15"}, "--jobs-from"),
    ],
)
def test_what_makes_no_sense_is_refused(told: Told, options: dict[str, Any], place: str) -> None:
    with pytest.raises(InputError) as refused:
        told(**options)
    assert [fault.place for fault in refused.value.faults] == [place]


def test_what_is_reckoned_is_what_plans_have_room_for(tmp_path: Path) -> None:
    start = datetime(2026, 7, 15, tzinfo=UTC)
    with_room = 0
    for seed in range(SEEDS):
        rng = Random(seed)
        raw = a_site(rng)
        for plant in raw["cooling_plants"].values():
            plant.pop("set_point", None)  # of its levels a plan tries some only
        file = tmp_path / f"{seed}.yaml"
        file.write_text(yaml.safe_dump(raw))
        site = load_site(file)
        free = free_gpus(site, (start, start + timedelta(hours=1)))
        busy = {pool: round(gpus * rng.choice([0, 0.3, 0.6])) for pool, (gpus,) in free.items()}
        span = Span(rented(site, busy, {}), start, start + timedelta(hours=24), {}, {})
        place = place_of(span.site, rng.choice(["p-a", "p-b"]), None, "even", new_hall=rng.random() < 0.5)
        speed = rng.choice([1.0, 0.9, 0.75, 0.5])
        gpus = reached(months(span, place, lambda: None), place, [speed]).contracted[speed].gpus
        alone, (hours,) = steady(span.site), span.parts
        with_room += gpus > 0
        if gpus:
            assert keeps_all(hours.problem(with_added(alone, place, gpus, speed)), 60.0), seed
        assert not keeps_all(hours.problem(with_added(alone, place, some_more(gpus), speed)), 60.0), seed
    assert with_room >= FEWEST_WITH_ROOM


def test_where_a_plan_has_less_room_than_was_reckoned_fewer_are_told(told: Told) -> None:
    # at speed 0.71 a mixture draws 139 W at least, and another is capped at 170 W at least: no mixture does both, and 10 GPUs want both
    (level,) = told(
        "gpu_models.g.curves.bent={source: by hand, points: [{cap_w: 100, draw_w: 98, speed: 0.5}, {cap_w: 200, draw_w: 190, speed: 0.8}, "
        "{cap_w: 300, draw_w: 195, speed: 1}]}",
        "contracts.here={tenant: t, kind: reserved, pool: p, gpus: 100, curve: bent, floor_speed: 0.71}",
        "pools.p.gpus=102", "grid.limit_windows=[]", "grid.import_limit_kw=17.98", "feeders.row.rating_kw=21.21", "feeders.main.rating_kw=90",
        pool="p", flexible="0", busy_pct=0.0,
    ).levels  # fmt: skip
    assert (level.agreed.gpus, level.agreed.reach.spared) == (7, 3)
    assert level.checked is not None
    assert (level.checked.gpus, level.checked.fits) == (7, True)


def test_the_command_tells_writes_and_says_no(tmp_path: Path) -> None:
    file, out = tmp_path / "site.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(RAW))

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "facility", "capacity", str(file), "--from", DAY[0], "--to", DAY[1], *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    told = run("--flexible", "0,30", "--out", str(out))
    assert told.returncode == 0, told.stderr
    assert "the import limit binds on 2026-07-15 17:00" in told.stdout
    assert {each.name for each in out.iterdir()} == {"capacity.csv", "hours.csv", "summary.json", "capacity.html"}
    summary = json.loads((out / "summary.json").read_text())
    assert [level["as_agreed"]["gpus"] for level in summary["levels"]] == [14, 29]
    assert summary["levels"][1]["as_agreed"]["short"]["by_hour"]["17"] == 1
    assert summary["levels"][0]["as_agreed"]["tightest"][0]["time"] == "2026-07-15T15:00:00Z"
    assert "capacity.csv hours.csv summary.json capacity.html" in told.stdout
    page = (out / "capacity.html").read_text()
    assert "src=" not in page.partition("<script")[0]
    full = run("--set", "grid.import_limit_kw=2", "--json")
    assert full.returncode == 1
    assert json.loads(full.stdout)["fits"] is False
    assert run("--pool", "q").returncode == 2
