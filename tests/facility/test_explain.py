"""Explain: sentences, limits and remedies of a job, a pool and an instant; what is none of them is answered by the nearest name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from facility.commands.plan import run_plan
from facility.decide import Undecided
from facility.errors import InputError
from facility.explain import Explanation, explain
from facility.planner import Planned, Request, plan
from facility.report.breaches import breaches

SITE = str(Path(__file__).parents[2] / "site_configs/demo.yaml")
JOBS = """submit_time,duration_s,num_gpus,job_id,deadline,elastic,pool
2023-07-02T15:00Z,3600,64,cheap,2023-07-02T20:00Z,true,h1-a
2023-07-02T14:00Z,3600,300,late,2023-07-02T15:00Z,true,h1-a
"""


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> Request:
    jobs = tmp_path_factory.mktemp("explain") / "jobs.csv"
    jobs.write_text(JOBS, encoding="utf-8")
    return Request(SITE, "2023-07-02T14:00Z", "6h", "1h", jobs=str(jobs), settings=("grid.import_limit_kw=640",), budget_s=20.0)


@pytest.fixture(scope="module")
def planned(request_: Request) -> Planned:
    found = plan(request_)
    assert not isinstance(found, Undecided)
    return found


def test_a_late_job_names_the_limit_and_what_more_of_it_would_have_saved(planned: Planned) -> None:
    told = explain(planned, "late", 20.0)
    assert told.kind == "job"
    assert told.says[0].startswith("cannot finish: ")
    assert "a GPU h of it is worth" in told.says[1]
    assert "a deadline 1 h after 2023-07-02T15:00Z would have saved" in told.says[2]
    cure = told.remedies[0]
    assert (cure.limit, cure.asset, cure.unit) == ("pool.holds", "h1-a", "GPU")
    assert (cure.begins, cure.ends) == ("2023-07-02T14:00Z", "2023-07-02T15:00Z")
    assert cure.saved > 0
    assert cure.limit in {limit.limit for limit in told.limits}
    assert cure.says.startswith(f"{cure.more:.4g} GPU more of what pool h1-a holds from ")
    assert "GPU h less short of contracts" in cure.says
    assert [limit.cost for limit in told.limits] == sorted((limit.cost for limit in told.limits), reverse=True)


def test_the_remedy_is_true(planned: Planned, request_: Request) -> None:
    """With so many GPUs more so much more of the job is done, to what the next whole GPU does and rounding takes."""
    cure = explain(planned, "late", 20.0).remedies[0]
    more = plan(Request(**{**vars(request_), "settings": (*request_.settings, f"pools.h1-a.gpus={512 + math.ceil(cure.more)}")}))
    assert not isinstance(more, Undecided)
    before, after = (float(p.decided.plan.account.breach["unfinished_gpu_h"].sum()) for p in (planned, more))
    less = float(cure.says.partition(", with ")[2].partition(" ")[0])
    assert less > 10
    assert before - after == pytest.approx(less, abs=1.0)


def test_a_breach_names_what_stood_in_the_way_of_the_promise(planned: Planned) -> None:
    (late,) = [breach for breach in breaches(planned, planned.decided.plan.account) if breach["asset"] == "late"]
    assert late["cause"].startswith("76.000 GPU h are left at its deadline: what pool h1-a holds (512 GPU) costs up to ")
    assert all(breach["cause"] is None for breach in breaches(planned, planned.decided.plan.baseline))


def test_a_rental_below_its_floor_names_the_limit_that_keeps_its_caps_low() -> None:
    made = plan(Request(SITE, "2023-07-02T14:00Z", "2h", "1h", settings=("grid.import_limit_kw=350",)))
    assert not isinstance(made, Undecided)
    short = [b["cause"] for b in breaches(made, made.decided.plan.account) if b["family"] == "short_gpu_h"]
    assert short
    assert all(cause.startswith("the import limit (350 kW) keeps caps low: 1 kW of it is worth ") for cause in short)


def test_a_job_that_only_waits_for_cheaper_energy_has_no_remedy(planned: Planned) -> None:
    told = explain(planned, "cheap", 20.0)
    assert told.says[0].startswith("waits until") or told.says[0].startswith("runs")
    assert all("the job would have started at" in cure.says for cure in told.remedies)


def test_a_pool_tells_when_its_caps_are_low_and_why(planned: Planned) -> None:
    told = explain(planned, "h1-a", 20.0)
    assert told.kind == "pool"
    assert told.says == ("from 2023-07-02T15:00Z to 2023-07-02T20:00Z the import limit (640 kW) keeps caps low",)
    assert told.remedies[0].limit == "grid.limits"


@pytest.mark.parametrize("asked", ["16:30", "2023-07-02T14:30Z", "2023-07-02T16:30"])
def test_a_time_is_local_unless_it_says_otherwise_and_means_its_step(planned: Planned, asked: str) -> None:
    told = explain(planned, asked, 20.0)
    assert told.kind == "time"
    assert told.says[0].startswith("from 2023-07-02T14:00Z to 2023-07-02T15:00Z ")
    assert "of 640 kW are drawn" in told.says[0]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("h1-A", "did you mean h1-a?"),
        ("lat", "did you mean late?"),
        ("?", "give a job's id, a pool's id or a time such as 17:00"),
        ("2023-07-04T00:00Z", "is outside the plan; give a time from 2023-07-02T14:00Z to 2023-07-02T20:00Z"),
    ],
)
def test_what_is_neither_is_answered_by_the_nearest_name(planned: Planned, asked: str, says: str) -> None:
    with pytest.raises(InputError) as raised:
        explain(planned, asked, 20.0)
    assert says in str(raised.value)
    assert "--explain" in str(raised.value)


def test_the_command_prints_it_and_its_json_has_it(request_: Request, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_plan(request_, None, ("late",), as_json=True) == 1
    numbers: dict[str, Any] = json.loads(capsys.readouterr().out)
    (told,) = numbers["explanations"]
    assert set(told) == set(Explanation.__dataclass_fields__)
    assert run_plan(request_, None, ("late",), as_json=False) == 1
    said = capsys.readouterr().out
    assert "explain job late:\n  cannot finish" in said
    assert f"  cheapest remedy: {told['remedies'][0]['says']}\n" in said
