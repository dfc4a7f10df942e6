"""Tables: the columns that scripts rely on, every number at full precision, every job of the file."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from facility.decide import Undecided
from facility.planner import Planned, Request, plan
from facility.report.tables import cap_rows, instant, job_rows, plan_rows, run_times, write_tables

DEMO = Path(__file__).parents[2] / "site_configs/demo.yaml"
START = datetime(2023, 7, 2, tzinfo=UTC)
JOBS = """job_id,submit_time,duration_s,num_gpus,deadline,curve,tenant
now,2023-07-02T00:00Z,3600,8,2023-07-02T01:00Z,pretrain-7b,
inside,2023-07-02T01:30Z,1200,8,2023-07-02T01:50Z,pretrain-7b,kepler
later,2023-07-02T00:00Z,7200,8,2023-07-02T20:00Z,finetune-8b,
past,2023-07-01T00:00Z,3600,8,,pretrain-7b,
future,2023-07-02T12:00Z,3600,8,,pretrain-7b,
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    """Six hours of the demonstration site in steps of an hour; the price halves every hour."""
    tmp = tmp_path_factory.mktemp("tables")
    (tmp / "jobs.csv").write_text(JOBS, encoding="utf-8")
    prices = ["time,price_eur_per_mwh", *(f"2023-07-02T{i:02}:00Z,{160 / 2**i}" for i in range(7))]
    (tmp / "prices.csv").write_text("\n".join(prices) + "\n", encoding="utf-8")
    asked = Request(str(DEMO), "2023-07-02T02:00", "6h", "1h", prices=str(tmp / "prices.csv"), jobs=str(tmp / "jobs.csv"))
    found = plan(asked)
    assert not isinstance(found, Undecided)
    return found


def written(planned: Planned, folder: Path) -> dict[str, list[list[str]]]:
    write_tables(planned, folder)
    return {path.name: list(csv.reader(path.open(encoding="utf-8"))) for path in folder.iterdir()}


def test_the_columns_are_those_that_scripts_rely_on(planned: Planned, tmp_path: Path) -> None:
    tables = written(planned, tmp_path)
    assert {name: ",".join(rows[0]) for name, rows in tables.items()} == {
        "plan.csv": "time,hours,price_eur_per_mwh,import_kw,import_limit_kw,export_kw,it_kw,cooling_kw,battery_kw,generation_kw,"
        "outdoor_c,gpus_running",
        "caps.csv": "time,hours,pool,workload,gpus,cap_w,draw_w,speed",
        "jobs.csv": "job_id,tenant,pool,num_gpus,submit,start,finish,deadline,deferred_h,pauses,work_gpu_h,done_gpu_h,energy_kwh,"
        "cost,reason",
    }


def test_numbers_come_back_from_the_file_bit_by_bit(planned: Planned, tmp_path: Path) -> None:
    rows = written(planned, tmp_path)["plan.csv"][1:]
    assert [float(row[3]) for row in rows] == planned.decided.plan.account.import_kw.tolist()
    assert [float(row[2]) for row in rows] == [160, 80, 40, 20, 10, 5]


def test_times_are_utc_at_the_start_of_each_step(planned: Planned) -> None:
    assert [row[0] for row in plan_rows(planned)] == [f"2023-07-02T0{i}:00:00Z" for i in range(6)]


def test_caps_are_sorted_by_time_then_workload_and_a_cap_stands_once(planned: Planned) -> None:
    rows = list(cap_rows(planned))
    order = [workload.id for workload in planned.decided.plan.problem.workloads]
    keys = [(row[0], order.index(row[3]), row[5]) for row in rows]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert all(isinstance(row[5], int) for row in rows)


def test_every_job_of_the_file_has_a_row_those_outside_the_plan_with_the_reason(planned: Planned) -> None:
    rows = {row[0]: row for row in job_rows(planned)}
    assert set(rows) == {"now", "inside", "later", "past", "future"}
    assert "finished before the plan starts" in rows["past"][-1]
    assert "submitted after the plan ends" in rows["future"][-1]
    assert rows["past"][5:7] == ["", ""]
    assert rows["past"][11] == 0.0


def test_a_job_inside_a_step_starts_at_its_arrival_and_finishes_by_its_deadline(planned: Planned) -> None:
    rows = {row[0]: row for row in job_rows(planned)}
    assert rows["inside"][1] == "kepler"
    assert rows["inside"][5:7] == ["2023-07-02T01:30:00Z", "2023-07-02T01:50:00Z"]
    assert rows["inside"][8:10] == [0.0, 0]
    assert rows["inside"][10:12] == pytest.approx([8 / 3, 8 / 3])


def test_a_job_that_may_wait_waits_for_the_cheap_hours_and_says_so(planned: Planned) -> None:
    later = next(row for row in job_rows(planned) if row[0] == "later")
    began = datetime.fromisoformat(later[5]) if later[5] else planned.edges[-1]
    assert began >= START + timedelta(hours=3)
    assert later[-1].startswith("waits")


def test_a_jobs_energy_is_that_of_its_gpus_and_their_hosts_at_the_price_of_the_hour(planned: Planned) -> None:
    now = next(row for row in job_rows(planned) if row[0] == "now")
    kwh = 8 * (387.8466524247686 + 120) / 1000
    assert now[12:14] == pytest.approx([kwh, kwh * 0.160])


def test_run_times_of_a_firm_workload_are_the_whole_plan(planned: Planned) -> None:
    assert run_times(planned, 0) == (planned.edges[0], planned.edges[-1], 0)


def test_an_instant_is_written_in_utc_with_z_and_no_needless_digits() -> None:
    cest = timezone(timedelta(hours=2))
    assert instant(datetime(2023, 7, 2, 2, tzinfo=cest)) == "2023-07-02T00:00:00Z"
    assert instant(datetime(2023, 7, 2, 0, 0, 0, 250_000, tzinfo=UTC)) == "2023-07-02T00:00:00.250000Z"


def test_gpus_running_is_the_sum_of_the_caps_rows(planned: Planned) -> None:
    running = np.array([row[-1] for row in plan_rows(planned)])
    by_time: dict[str, float] = {}
    for row in cap_rows(planned):
        by_time[row[0]] = by_time.get(row[0], 0.0) + row[4]
    assert running == pytest.approx(list(by_time.values()))
