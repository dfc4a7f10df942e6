"""What cannot be is refused or told with a remedy, and the rest is planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from facility.errors import InputError
from facility.planner import Request, plan
from facility.report.summary import summary
from facility.report.tables import write_tables
from tests.facility.planner.days import midnight, planned, run, write
from tests.facility.planner.promises import DEMO, PHOENIX, check, near, read, root_of, told


def test_impossible_jobs_are_told_with_a_remedy_and_the_rest_is_planned(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.csv"
    rows = [
        "job_id,submit_time,duration_s,num_gpus,deadline,curve,elastic",
        "too-big,2023-07-02T06:00Z,3600,700,2023-07-02T12:00Z,pretrain-7b,false",
        "too-short,2023-07-02T06:00Z,7200,8,2023-07-02T07:00Z,pretrain-7b,false",
        "fine,2023-07-02T06:00Z,3600,8,2023-07-02T09:00Z,pretrain-7b,false",
    ]
    jobs.write_text("\n".join(rows) + "\n", encoding="utf-8")
    out = tmp_path / "out"
    done = run("plan", DEMO, "--start", "2023-07-02", "--step", "30min", "--jobs", jobs, "--out", out)
    assert done.returncode == 1, done.stderr
    t = told(out, DEMO, jobs)
    check(t, midnight("2023-07-02"), 48)
    assert t.breached("unfinished_gpu_h") == {"too-big", "too-short"}
    assert all(word in done.stdout for word in ("too-big", "too-short", "remedy"))
    assert near(next(b["amount"] for b in t.summary["breaches"] if b["asset"] == "too-short"), 8.0)
    assert t.done["too-short"]["reason"].startswith("cannot finish")
    assert "asks for 700 GPUs" in t.done["too-big"]["reason"]
    assert t.done["fine"]["finish"]


def test_a_limit_below_the_firm_load_is_broken_and_told(tmp_path: Path) -> None:
    asked = Request(str(DEMO), "2023-07-02", "2h", "1h", settings=("grid.import_limit_kw=200", "grid.limit_windows=[]"))
    numbers = summary(planned(asked))
    assert numbers["status"] == "breached"
    (breach,) = (b for b in numbers["breaches"] if b["family"] == "over_limit_kw")
    assert breach["from"] == numbers["start"]
    assert breach["to"] == numbers["end"]
    assert breach["amount"] == pytest.approx(numbers["peak_kw"] - 200)


def test_a_what_if_may_lower_the_limit_below_that_of_a_daily_window(tmp_path: Path) -> None:
    asked = Request(str(DEMO), "2023-07-02T16:00", "2h", "1h", settings=("grid.import_limit_kw=760",))
    t = told(write(planned(asked), tmp_path / "out"), DEMO, None)
    assert t.column("import_limit_kw") == [760, 760]


@pytest.mark.parametrize(
    ("start", "horizon", "step", "place"),
    [
        ("2023-07-02T06:00", None, "15min", "--horizon"),
        ("2023-07-02", "400d", "15min", "--horizon and --step"),
        ("2023-03-26T02:30", "1h", "15min", "--start"),
        ("2023-07-02", "0h", "15min", "--horizon"),
    ],
)
def test_a_span_that_makes_no_sense_is_refused(start: str, horizon: str | None, step: str, place: str) -> None:
    with pytest.raises(InputError) as error:
        plan(Request(str(DEMO), start, horizon, step))
    assert error.value.faults[0].place == place


# Phoenix: six workloads, one order to lower power, an optimum that a few lines find.


def test_an_hourly_shape_follows_a_local_clock_that_is_off_the_hour(tmp_path: Path) -> None:
    """In Kolkata (UTC+5:30) the price of 00:00 local begins at 18:30 UTC."""
    asked = Request(str(DEMO), "2026-07-15", "1h", "30min", settings=("timezone=Asia/Kolkata",))
    t = told(write(planned(asked), tmp_path / "out"), DEMO, None)
    assert t.column("price_eur_per_mwh") == [62, 62]


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"timezone": "Mars"}, "--timezone"),
        ({"jobs_from": "2017-10-02"}, "--jobs-from"),
        ({"peak_so_far_kw": float("inf")}, "--peak-so-far"),
        ({"step": "0.5s"}, "--step"),
        ({"start": "9999-12-31"}, "--start"),
        ({"start": "0001-01-01"}, "--start"),
        ({"gap": 0.1}, "--gap"),
        ({"whole_steps": 4}, "--whole-steps"),
        ({"exact": True, "gap": -1.0}, "--gap"),
    ],
)
def test_options_that_mean_nothing_are_refused_with_their_name(options: dict[str, Any], place: str) -> None:
    with pytest.raises(InputError, match=place):
        planned(Request(**{"site": str(DEMO), "start": "2026-07-15", **options}))


@pytest.mark.parametrize(("tariff", "sold_per_mwh"), [("export_price_per_mwh=120", 120.0), ("export_fee_per_mwh=4", None)])
def test_a_site_that_may_export_sells_in_the_dear_hours_within_its_limit(tmp_path: Path, tariff: str, sold_per_mwh: float | None) -> None:
    """A battery far larger than the load; what it gives back is paid as the files say, and one step goes one way."""
    battery = "{feeder: grid-main, capacity_kwh: 20000, charge_kw: 4000, discharge_kw: 4000, min_share: 0, start_share: 0.1}"
    settings = (f"batteries={{big: {battery}}}", "grid.import_limit_kw=3000", "grid.limit_windows=[]", "grid.export_limit_kw=900",
                f"feeders.{root_of(DEMO)}.rating_kw=9000", f"tariff.{tariff}")  # fmt: skip
    settings = tuple(text.replace("grid-main", root_of(DEMO)) for text in settings)
    made = planned(Request(str(DEMO), "2026-07-15", None, "1h", settings=settings))
    write_tables(made, tmp_path)
    told_ = summary(made)
    rows = read(tmp_path / "plan.csv")
    bought, sold, price = ([float(row[key]) for row in rows] for key in ("import_kw", "export_kw", "price_eur_per_mwh"))
    assert max(sold) == pytest.approx(900, abs=1)
    assert max(sold) <= 900
    assert all(kw == 0 or back == 0 for kw, back in zip(bought, sold, strict=True))
    paid = [sold_per_mwh if sold_per_mwh is not None else each - 4 for each in price]
    assert told_["export_revenue"] == pytest.approx(sum(kw * each / 1000 for kw, each in zip(sold, paid, strict=True)))
    assert told_["energy_cost"] == pytest.approx(sum(kw * each / 1000 for kw, each in zip(bought, price, strict=True)))
    assert told_["status"] == "optimal"
    assert told_["baseline"]["export_revenue"] == 0


def test_an_event_that_cannot_be_kept_is_a_breach_with_a_remedy(tmp_path: Path) -> None:
    """256 GPUs at 100 W draw 25 kW; 10 kW are called, so contracts break and then the event, by the rest."""
    file = tmp_path / "events.csv"
    file.write_text("start,end,target_kw\n2025-05-03T14:00-07:00,2025-05-03T14:30-07:00,10\n", encoding="utf-8")
    asked = Request(str(PHOENIX), "2025-05-03T14:00-07:00", "1h", "15min", events=str(file))
    t = told(write(planned(asked), tmp_path / "out"), PHOENIX, None)
    assert t.summary["status"] == "breached"
    assert len(t.breached("short_gpu_h")) == len(t.site["contracts"])
    (over,) = [breach for breach in t.summary["breaches"] if breach["family"] == "over_event_kw"]
    assert (over["unit"], over["asset"], over["to"]) == ("kW", "main", "2025-05-03T21:30:00Z")
    assert near(over["amount"], max(t.column("import_kw")[:2]) - 10)
    assert max(t.column("import_kw")[:2]) < 26
    assert over["remedy"]
    assert t.summary["events"][0]["minutes_over_target"] == 30
