"""Jobs: their terms, from the site file and the job file into the plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facility.decide import Undecided
from facility.planner import Planned, Request, plan
from facility.report.summary import summary
from facility.report.tables import JOB_COLUMNS, cap_rows, job_rows
from facility.snapshot import Snapshot
from facility.verify import verify

DEMO = Path(__file__).parents[2] / "site_configs/demo.yaml"
Ask = Callable[..., Planned]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Plan six hours of the demonstration site, by turns at 20 and at 200 EUR/MWh; its jobs come from `rows`."""

    def asked(*rows: str, header: str = "", **settings: Any) -> Planned:
        prices = ["time,price_eur_per_mwh", *(f"2023-07-02T{i:02}:00Z,{200 if i % 2 else 20}" for i in range(7))]
        (tmp_path / "prices.csv").write_text("\n".join(prices) + "\n", encoding="utf-8")
        columns = "job_id,submit_time,duration_s,num_gpus,deadline,contract" + header
        (tmp_path / "jobs.csv").write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
        changes = [f"{key.replace('__', '.')}={value}" for key, value in settings.items()]
        files = {"prices": str(tmp_path / "prices.csv"), "jobs": str(tmp_path / "jobs.csv")}
        found = plan(Request(str(DEMO), "2023-07-02T02:00", "6h", "1h", **files, settings=changes))
        assert not isinstance(found, Undecided)
        return found

    return asked


def told(planned: Planned) -> dict[str, dict[str, Any]]:
    """Rows of jobs.csv by job."""
    return {row[0]: dict(zip(JOB_COLUMNS, row, strict=True)) for row in job_rows(planned)}


def test_a_job_pauses_through_dear_hours_unless_its_pauses_cost_more(ask: Ask) -> None:
    """8 GPUs save less than 8 * 0.6 kW * 180 EUR/MWh = 0.9 EUR an hour; a lost GPU hour each is worth more than 8 * 0.8 EUR."""
    row = "train,2023-07-02T00:00Z,7200,8,2023-07-02T06:00Z,kepler-jobs"
    assert told(ask(row))["train"]["pauses"] > 0
    kept = ask(row, jobs__pause_cost_gpu_h=1.0)
    assert told(kept)["train"]["pauses"] == 0
    assert kept.decided.plan.account.cost["pauses"] == 0.0
    cheap = ask(row, jobs__pause_cost_gpu_h=0.01)
    pauses = told(cheap)["train"]["pauses"]
    assert pauses > 0
    assert summary(cheap)["pauses"] == {"times": pauses, "jobs": 1, "cost": cheap.decided.plan.account.cost["pauses"]}
    assert "pauses" not in summary(kept)
    value, energy = 0.8, cheap.decided.plan.problem.jobs[0].carry_price_per_gpu_h
    assert cheap.decided.plan.account.cost["pauses"] == pytest.approx(8 * pauses * 0.01 * (value + energy), rel=0.01)


def test_a_job_says_for_itself_what_its_pause_costs(ask: Ask) -> None:
    rows = [f"{name},2023-07-02T00:00Z,7200,8,2023-07-02T06:00Z,kepler-jobs,{cost}" for name, cost in (("light", 0), ("heavy", 2.5), ("silent", ""))]
    prices = [job.pause_price_per_gpu for job in ask(*rows, header=",pause_cost_gpu_h", jobs__pause_cost_gpu_h=0.5).decided.plan.problem.jobs]
    by_id = dict(zip(("heavy", "light", "silent"), prices, strict=True))
    assert by_id["light"] == 0.0
    assert by_id["heavy"] == pytest.approx(5 * by_id["silent"])


def test_a_job_that_started_runs_on_through_a_dear_hour_while_its_minimum_run_lasts(ask: Ask) -> None:
    """Two hours of work by turns at 20 and 200 EUR/MWh: with half an hour at least two cheap ones, with two hours one run."""
    row = "train,2023-07-02T00:00Z,7200,8,2023-07-02T06:00Z,kepler-jobs"
    assert told(ask(row, jobs__min_run_h=0.5))["train"]["pauses"] > 0
    assert told(ask(row, jobs__min_run_h=2))["train"]["pauses"] == 0
    own = ask(f"{row},2", f"other{row[5:]},", header=",min_run_h", jobs__min_run_h=0.5)
    assert [job.min_run_h for job in own.decided.plan.problem.jobs] == [0.5, 2.0]
    assert [told(own)[name]["pauses"] > 0 for name in ("other", "train")] == [True, False]


def test_a_job_of_a_spot_contract_is_left_out_while_its_energy_costs_more_than_its_value(ask: Ask) -> None:
    """About 0.6 kWh a GPU h: 0.012 EUR in the first hour, 0.12 in the second; 8 GPUs do at most 8 of 16 GPU h in the first."""
    bought = {"contracts__batch": "{tenant: nordlab, kind: spot, value_per_gpu_h: 0.05}"}
    made = ask("train,2023-07-02T00:00Z,7200,8,2023-07-02T02:00Z,batch", **bought)
    row = told(made)["train"]
    assert 6 < row["done_gpu_h"] <= 8
    assert row["finish"] == ""
    assert row["reason"].endswith("GPU h of spot work are left out: its energy costs more than the 0.05 EUR that it is worth")
    assert made.decided.plan.status == "optimal"
    left_gpu_h = 16 - row["done_gpu_h"]
    assert summary(made)["forgone"] == {"gpu_h": pytest.approx(left_gpu_h), "value": pytest.approx(0.05 * left_gpu_h)}
    dear = {"contracts__batch": "{tenant: nordlab, kind: spot, value_per_gpu_h: 1.5}"}
    assert told(ask("train,2023-07-02T00:00Z,7200,8,2023-07-02T02:00Z,batch", **dear))["train"]["done_gpu_h"] == pytest.approx(16)


def test_the_penalty_of_a_job_is_its_contracts_and_the_sites_where_that_names_none(ask: Ask) -> None:
    bought = {"contracts__plain": "{tenant: nordlab, kind: on-demand}", "jobs__unfinished_penalty_per_gpu_h": 33}
    rows = [f"{name},2023-07-02T00:00Z,3600,8,,{name}" for name in ("kepler-jobs", "plain")]
    assert [job.unfinished_price_per_gpu_h for job in ask(*rows, **bought).decided.plan.problem.jobs] == [20, 33]


def test_a_movable_job_runs_where_there_is_room_and_the_second_opinion_agrees(ask: Ask) -> None:
    """Rentals that may not pause leave 512 - 288 = 224 GPUs in h1-a, 480 - 192 = 288 in h1-b: a gang of 240 has room there only."""
    train = "train,2023-07-02T00:00Z,3600,240,2023-07-02T01:00Z,kepler-jobs,h1-a,"
    stays, moves = (ask(train + flag, header=",pool,movable", grid__import_limit_kw=2000) for flag in ("", "true"))
    assert told(stays)["train"]["done_gpu_h"] == 0.0
    assert told(moves)["train"]["done_gpu_h"] == pytest.approx(240)
    assert told(moves)["train"]["pool"] == "h1-b"
    assert {row[2] for row in cap_rows(moves) if row[3] == "train"} == {"h1-b"}
    snapshot = Snapshot(moves.edges[0], moves.jobs)
    assert not verify(moves.site, snapshot, moves.decided.decision, outdoor_c=float(moves.forecast.outdoor_c[0]))
