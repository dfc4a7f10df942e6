"""Job files: every job of the file is accounted for, and what the file does not say is said in the notes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from facility.errors import InputError
from facility.inputs.jobfile import JobTable, read_jobs
from facility.site import Site

START = datetime(2023, 7, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
POINT = {"cap_w": 300, "draw_w": 290.0, "speed": 1.0}
Write = Callable[..., str]


def model(*curves: str) -> dict[str, Any]:
    kinds = {curve: {"source": "made up", "points": [POINT]} for curve in curves}
    return {"min_cap_w": 100, "max_cap_w": 300, "idle_w": 50.0, "curves": kinds}


SITE = Site.model_validate({
    "id": "here", "name": "Here", "timezone": "Europe/Berlin", "currency": "EUR",
    "grid": {"import_limit_kw": 1000.0}, "tariff": {"energy_price_per_mwh": 80.0}, "weather": {"outdoor_by_hour_c": [20.0] * 24},
    "feeders": {"main": {"rating_kw": 1000.0}}, "halls": {"a": {"feeder": "main"}},
    "gpu_models": {"new": model("training", "inference"), "old": model("training"), "unused": model("rendering")},
    "pools": {
        name: {"hall": "a", "feeder": "main", "gpu_model": kind, "gpus": gpus}
        for name, kind, gpus in (("wide", "new", 100), ("rented", "new", 60), ("small", "old", 20))
    },
    "tenants": {name: {"name": name} for name in ("lab", "bank", "film")},
    "contracts": {
        "lab-jobs": {"tenant": "lab", "kind": "spot"},
        "bank-jobs": {"tenant": "bank", "kind": "on-demand"},
        "bank-rental": {"tenant": "bank", "kind": "reserved", "pool": "rented", "gpus": 40, "curve": "inference"},
        "bank-idle": {"tenant": "bank", "kind": "reserved", "pool": "wide", "gpus": 90, "curve": "inference", "pausable": True},
    },
    "jobs": {"slack_h": 8.0, "curve": "training", "contract": "lab-jobs"},
})  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(*rows: str, header: str = "submit_time,duration_s,num_gpus") -> str:
        (tmp_path / "jobs.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return str(tmp_path / "jobs.csv")

    return write


def read(path: str, *, timezone: str | None = None, jobs_from: str | None = None, start: datetime = START) -> JobTable:
    return read_jobs(path, SITE, start=start, end=start + 24 * HOUR, timezone=timezone, jobs_from=jobs_from)


def faults(path: str, **how: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(path, **how)
    return [str(fault) for fault in caught.value.faults]


# --- defaults


def test_an_export_of_three_columns_is_enough_and_every_assumption_is_noted(write: Write) -> None:
    table = read(write("2023-07-02T06:00:00Z,5400,3,x", header="submit_time,duration_s,num_gpus,user"))
    (job,) = table.jobs
    assert (job.id, job.gpus, job.work_gpu_h, job.curve) == ("job-000001", 3, 3 * 5400 / 3600, "training")
    assert (job.submit, job.deadline) == (START + 6 * HOUR, START + 6 * HOUR + 1.5 * HOUR + 8 * HOUR)
    assert (job.tenant, job.contract, job.elastic, job.running) == ("lab", "lab-jobs", False, None)
    assert [note.split(" ", 2)[2] for note in table.notes] == [
        "without a curve run as training",
        "without a contract are under lab-jobs",
        "without a deadline have until submit (or the plan's start) + duration + 8 h",
        "without a pool go to the least loaded one with their curve",
    ]


def test_what_the_file_says_is_kept_and_nothing_is_noted(write: Write) -> None:
    header = "job_id,submit_time,duration_s,num_gpus,tenant,contract,pool,curve,deadline,elastic"
    row = "Run_7.b,2023-07-02T06:00:00+02:00,3600,4,bank,bank-jobs,wide,inference,2023-07-02T20:00:00+02:00,True"
    table = read(write(row, header=header))
    (job,) = table.jobs
    assert (job.id, job.tenant, job.contract, job.pool, job.curve, job.elastic) == (
        "Run_7.b", "bank", "bank-jobs", "wide", "inference", True,
    )  # fmt: skip
    assert (job.submit, job.deadline) == (START + 4 * HOUR, START + 18 * HOUR)
    assert table.notes == ()


def test_jobs_come_by_submit_time_and_then_id(write: Write) -> None:
    rows = ("b,2023-07-02T06:00Z,1,1", "c,2023-07-02T05:00Z,1,1", "a,2023-07-02T06:00Z,1,1")
    assert [job.id for job in read(write(*rows, header="job_id,submit_time,duration_s,num_gpus")).jobs] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("tenant", "contract", "given"),
    [
        ("", "", ("lab", "lab-jobs")), ("lab", "", ("lab", "lab-jobs")), ("film", "", ("film", None)),
        ("", "bank-jobs", ("bank", "bank-jobs")), ("bank", "bank-rental", ("bank", "bank-rental")),
    ],
)  # fmt: skip
def test_tenant_and_contract_complete_each_other(write: Write, tenant: str, contract: str, given: tuple[str, str | None]) -> None:
    header = "submit_time,duration_s,num_gpus,tenant,contract"
    (job,) = read(write(f"2023-07-02T06:00Z,1,1,{tenant},{contract}", header=header)).jobs
    assert (job.tenant, job.contract) == given


def test_a_contract_of_another_tenant_or_one_of_several_is_not_guessed(write: Write) -> None:
    header = "submit_time,duration_s,num_gpus,tenant,contract"
    said = faults(write("2023-07-02T06:00Z,1,1,lab,bank-jobs", "2023-07-02T06:00Z,1,1,bank,", header=header))
    assert "row 2, column contract: contract bank-jobs is bank's, not lab's" in said[0]
    assert "row 3, column tenant: bank has 3 contracts" in said[1]


# --- pools


def test_a_job_goes_to_the_least_loaded_pool_with_room_beside_firm_rentals(write: Write) -> None:
    rows = [f"2023-07-02T06:{minute:02d}Z,3600,{gpus}" for minute, gpus in enumerate([10, 21, 10, 10, 10, 10, 10])]
    # Free: wide 100 (its rental may be paused), rented 60 - 40, small 20. Loads per free GPU before each job:
    # 0 0 0 | .1 0 0, only wide has 21 | .31 0 0 | .31 .5 0 | .31 .5 .5 | .41 .5 .5 | .51 .5 .5: the first of equals
    assert [job.pool for job in read(write(*rows)).jobs] == ["wide", "wide", "rented", "small", "wide", "wide", "rented"]


def test_work_that_names_its_pool_counts_as_load(write: Write) -> None:
    header = "submit_time,duration_s,num_gpus,pool"
    rows = ("2023-07-02T06:00Z,360000,10,wide", "2023-07-02T06:01Z,3600,10,")
    assert [job.pool for job in read(write(*rows, header=header)).jobs] == ["wide", "rented"]


def test_a_job_larger_than_every_pool_goes_to_the_largest(write: Write) -> None:
    assert read(write("2023-07-02T06:00Z,3600,1000")).jobs[0].pool == "wide"


def test_a_curve_limits_the_choice_to_models_that_have_it(write: Write) -> None:
    header = "submit_time,duration_s,num_gpus,curve"
    rows = [f"2023-07-02T06:{minute:02d}Z,3600,10,inference" for minute in range(9)]
    assert {job.pool for job in read(write(*rows, header=header)).jobs} == {"wide", "rented"}


def test_a_curve_that_the_pool_or_every_pool_lacks_is_refused(write: Write) -> None:
    header = "submit_time,duration_s,num_gpus,pool,curve"
    said = faults(write("2023-07-02T06:00Z,1,1,small,inference", "2023-07-02T06:00Z,1,1,,rendering", header=header))
    assert "row 2, column curve: pool small has no curve 'inference' for its old" in said[0]
    assert "row 3, column curve: the site has no curve 'rendering'" in said[1]


# --- clocks


def test_an_instant_of_a_naive_trace_is_laid_on_the_start_by_its_own_clock(write: Write) -> None:
    table = read(write("2017-10-29T05:00:00,3600,1"), jobs_from="2017-10-29")
    assert table.jobs[0].submit == START + 5 * HOUR
    assert any("2017-10-29 is laid on the start by the trace's own clock" in note for note in table.notes)


def test_with_a_zone_the_same_shift_is_elapsed_time(write: Write) -> None:
    header = "submit_time,duration_s,num_gpus,deadline"
    path = write("2017-10-29T05:00:00,3600,1,2017-10-29T09:00", header=header)
    (job,) = read(path, jobs_from="2017-10-29", timezone="Europe/Berlin").jobs
    assert (job.submit, job.deadline) == (START + 6 * HOUR, START + 10 * HOUR)


@pytest.mark.parametrize("jobs_from", ["2017-10-02T00:00:00+02:00", "2017-10-01T22:00Z", "2017-10-02"])
def test_an_aware_trace_takes_an_aware_instant_or_the_sites_midnight(write: Write, jobs_from: str) -> None:
    table = read(write("2017-10-02T05:00:00Z,3600,1"), jobs_from=jobs_from)
    assert table.jobs[0].submit == START + 7 * HOUR
    assert any("by the clock of Europe/Berlin" in note for note in table.notes) == (jobs_from == "2017-10-02")


def test_naive_times_with_nothing_to_place_them_are_refused_with_both_remedies(write: Write) -> None:
    (said,) = faults(write("2017-10-02T05:00:00,3600,1"))
    assert "--timezone" in said
    assert "--jobs-from" in said


def test_an_aware_instant_cannot_place_naive_times(write: Write) -> None:
    path = write("2017-10-02T05:00:00,3600,1")
    (said,) = faults(path, jobs_from="2017-10-02T00:00Z")
    assert "no offset, --jobs-from 2017-10-02T00:00Z has one" in said
    assert read(path, jobs_from="2017-10-02T00:00Z", timezone="UTC").jobs[0].submit == START + 5 * HOUR


def test_local_times_that_do_not_exist_or_came_twice_are_refused(write: Write) -> None:
    said = faults(write("2023-03-26T02:30,60,1", "2023-10-29T02:30,60,1"), timezone="Europe/Berlin")
    assert "row 2, column submit_time: 2023-03-26 02:30:00 does not exist" in said[0]
    assert "row 3, column submit_time: 2023-10-29 02:30:00 came twice" in said[1]


def test_deadlines_are_written_as_submit_times_are(write: Write) -> None:
    header = "submit_time,duration_s,num_gpus,deadline"
    said = faults(write("2023-07-02T06:00Z,60,1,2023-07-02T09:00", header=header), timezone="UTC")
    assert "column deadline: has no offsets, submit_time has" in said[0]


def test_a_deadline_at_the_end_of_time_survives_the_shift(write: Write) -> None:
    header = "submit_time,duration_s,num_gpus,deadline"
    (job,) = read(write("2017-10-02T06:00,60,1,9999-12-31", header=header), jobs_from="2017-10-02").jobs
    assert job.deadline == datetime(9999, 12, 31, tzinfo=UTC)


# --- before and after the plan


def test_nothing_is_lost_at_the_edges_of_the_plan(write: Write) -> None:
    header = "job_id,submit_time,duration_s,num_gpus,deadline"
    table = read(
        write(
            "running,2023-07-01T20:00Z,3600,2,",
            "over,2023-07-01T15:00Z,3600,2,",
            "late,2023-07-01T15:00Z,3600,2,2023-07-01T17:00Z",
            "first,2023-07-02T00:00Z,3600,2,",
            "last,2023-07-02T23:59:59Z,3600,2,",
            "after,2023-07-03T00:00Z,3600,2,",
            header=header,
        )
    )
    assert [job.id for job in table.jobs] == ["late", "running", "first", "last"]
    assert [(job.id, job.reason) for job in table.left_out] == [
        ("over", "finished before the plan starts (assumed deadline 2023-07-02T00:00:00+00:00)"),
        ("after", "submitted after the plan ends"),
    ]
    assert {job.work_gpu_h for job in table.jobs} | {job.work_gpu_h for job in table.left_out} == {2.0}
    assert (table.left_out[0].num_gpus, table.left_out[0].tenant) == (2, "lab")
    assert any(note.startswith("jobs: 2 submitted before the plan starts") for note in table.notes)


# --- faults


def test_missing_columns_are_told_together_with_the_nearest_names(write: Write) -> None:
    said = faults(write("2023-07-02T06:00Z,60,1", header="submitted_time,duration,gpus"))
    assert len(said) == 3
    assert "no column submit_time (nearest: submitted_time)" in said[0]
    assert "no column num_gpus (nearest: gpus)" in said[2]


@pytest.mark.parametrize(
    ("column", "cell", "found"),
    [
        ("duration_s", "0", "'0' is not a duration"), ("duration_s", "-5", "'-5' is not a duration"), ("duration_s", "", "'' is not"),
        ("duration_s", "nan", "'nan' is not"), ("duration_s", "1:30", "'1:30' is not"), ("duration_s", "1e12", "over 30 years"),
        ("num_gpus", "0", "'0' is not a whole"), ("num_gpus", "1.5", "'1.5' is not a whole"), ("num_gpus", "inf", "'inf' is not"),
        ("submit_time", "noon", "'noon' is not a time"), ("submit_time", "", "no time"), ("deadline", "2023-07-02T05:59Z", "before submit"),
        ("deadline", "soon", "'soon' is not a time"), ("pool", "wid", "nearest: wide"), ("tenant", "labb", "nearest: lab"),
        ("contract", "lab-job", "nearest: lab-jobs"), ("curve", "trainin", "nearest: training"), ("elastic", "perhaps", "'perhaps'"),
        ("job_id", "", "'' is no id"), ("job_id", "a/b", "'a/b' is no id"), ("job_id", "a b", "'a b' is no id"), ("job_id", "x", "of row 2"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_told_with_file_row_column_and_remedy(write: Write, column: str, cell: str, found: str) -> None:
    good = {"job_id": "y", "submit_time": "2023-07-02T06:00Z", "duration_s": "60", "num_gpus": "1", "deadline": "", "pool": "",
            "tenant": "", "contract": "", "curve": "", "elastic": ""}  # fmt: skip
    rows = [",".join({**good, "job_id": "x"}.values()), ",".join({**good, column: cell}.values())]
    (said,) = faults(write(*rows, header=",".join(good)))
    assert f"jobs.csv, row 3, column {column}: " in said
    assert found in said
    assert "; " in said


def test_faults_of_all_kinds_are_gathered_and_twenty_are_told(write: Write) -> None:
    said = faults(write("2023-07-02T06:00Z,-1,1", "2023-07-02T06:00Z,60,0", "never,60,1"))
    assert sorted(fault.split("column ")[1].split(":")[0] for fault in said) == ["duration_s", "num_gpus", "submit_time"]
    said = faults(write(*["2023-07-02T06:00Z,-1,1"] * 50))
    assert len(said) == 20
    assert "31 more faults" in said[-1]


def test_parquet_reads_as_csv_does(tmp_path: Path) -> None:
    times = pd.to_datetime(["2017-10-02T05:00:00", "2017-10-02T04:00:00"])
    frame = pd.DataFrame(
        {"submit_time": times, "duration_s": [3600, 60], "num_gpus": np.array([2, 1], dtype="int16"), "elastic": [True, False]}
    )
    path = str(tmp_path / "jobs.parquet")
    frame.to_parquet(path)
    assert [(job.id, job.submit, job.elastic) for job in read(path, jobs_from="2017-10-02").jobs] == [
        ("job-000002", START + 4 * HOUR, False),
        ("job-000001", START + 5 * HOUR, True),
    ]


def test_fifty_thousand_jobs_are_read_within_a_second(tmp_path: Path) -> None:
    times = pd.date_range("2017-10-02", periods=52_849, freq="s").strftime("%Y-%m-%dT%H:%M:%S")
    path = str(tmp_path / "jobs.parquet")
    pd.DataFrame({"submit_time": times, "duration_s": 3600, "num_gpus": 4}).to_parquet(path)
    began = process_time()
    table = read(path, jobs_from="2017-10-02")
    assert process_time() - began < 2.0, "half of it is left to a slow machine"
    assert len(table.jobs) == 52_849


def test_what_a_pause_costs_is_a_column_and_no_number_is_a_fault(write: Write) -> None:
    header = "submit_time,duration_s,num_gpus,pause_cost_gpu_h"
    row = "2023-07-02T06:00:00Z,5400,3,"
    assert [job.pause_cost_gpu_h for job in read(write(row + "0.5", row, header=header)).jobs] == [0.5, None]
    (fault,) = faults(write(row + "-1", header=header))
    assert "row 2, column pause_cost_gpu_h: '-1' is not GPU hours from 0" in fault


def test_the_minimum_run_is_a_column_and_no_number_and_an_elastic_job_are_faults(write: Write) -> None:
    header = "submit_time,duration_s,num_gpus,elastic,min_run_h"
    row = "2023-07-02T06:00:00Z,5400,3,"
    assert [job.min_run_h for job in read(write(row + ",0.5", row + ",", row + "true,0", header=header)).jobs] == [0.5, None, 0.0]
    fault, other = faults(write(row + ",inf", row + "true,2", header=header))
    assert "row 2, column min_run_h: 'inf' is not hours from 0" in fault
    assert "row 3, column min_run_h: 2 h of an elastic job, which gives GPUs back one by one" in other
    assert "leave one of the two empty" in other


MOVABLE = "submit_time,duration_s,num_gpus,pool,pools,movable"


@pytest.mark.parametrize(
    ("cells", "pool", "others"),
    [
        ("rented,,true", "rented", ("wide",)),
        ("rented,,", "rented", ()),
        ("small,,true", "small", ()),
        ("rented,rented; wide,", "rented", ("wide",)),
        (",rented;wide,", "wide", ("rented",)),
        (",rented,", "rented", ()),
    ],
)
def test_a_movable_job_has_its_pools_of_one_model(write: Write, cells: str, pool: str, others: tuple[str, ...]) -> None:
    (job,) = read(write(f"2023-07-02T06:00Z,3600,3,{cells}", header=MOVABLE)).jobs
    assert (job.pool, job.other_pools) == (pool, others)


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (",wide;wid,", "column pools: the site has no pool 'wid' (nearest: wide"),
        (",wide;small,", "column pools: wide has GPUs of model new, small of old"),
        ("rented,wide,", "column pools: the job's pool rented is not among them"),
        (",small,maybe", "column movable: 'maybe' is neither true nor false"),
    ],
)
def test_pools_that_do_not_fit_a_job_are_a_fault(write: Write, cells: str, found: str) -> None:
    (fault,) = faults(write(f"2023-07-02T06:00Z,3600,3,{cells}", header=MOVABLE))
    assert found in fault


def test_pools_without_the_jobs_curve_are_a_fault(write: Write) -> None:
    (fault,) = faults(write("2023-07-02T06:00Z,3600,3,small,inference", header="submit_time,duration_s,num_gpus,pools,curve"))
    assert "column pools: pool small has no curve 'inference' for its old" in fault
