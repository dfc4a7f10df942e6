"""Explain: sentences, limits and remedies of a job, a pool and an instant; what is none of them is answered by the nearest name."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facility.commands.plan import run_plan
from facility.decide import Undecided
from facility.errors import InputError
from facility.explain import Explanation, explain
from facility.limits import rounded
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
    (late,) = [breach for breach in breaches(planned.site, planned.decided, planned.jobs, planned.decided.plan.account) if breach["asset"] == "late"]
    assert late["cause"].startswith("76.000 GPU h are left at its deadline: what pool h1-a holds (512 GPU) costs up to ")
    assert all(breach["cause"] is None for breach in breaches(planned.site, planned.decided, planned.jobs, planned.decided.plan.baseline))


def test_a_rental_below_its_floor_names_the_limit_that_keeps_its_caps_low() -> None:
    made = plan(Request(SITE, "2023-07-02T14:00Z", "2h", "1h", settings=("grid.import_limit_kw=350",)))
    assert not isinstance(made, Undecided)
    short = [b["cause"] for b in breaches(made.site, made.decided, made.jobs, made.decided.plan.account) if b["family"] == "short_gpu_h"]
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


def test_a_contract_tells_how_fast_it_runs_what_it_used_and_which_limit_slows_it() -> None:
    """Under 430 kW every GPU is slow; `kepler-jobs` is a contract of jobs, of which the plan has none."""
    keys = ("grid.import_limit_kw=430", "contracts.lumen-chat.greatest_slowdown=4", "contracts.lumen-chat.slow_hours=3")
    made = plan(Request(SITE, "2023-07-02T14:00Z", "2h", "1h", settings=keys))
    assert not isinstance(made, Undecided)
    told, state = explain(made, "lumen-chat", 20.0), made.decided.plan.account
    assert told.kind == "contract"
    w = next(i for i, firm in enumerate(made.decided.plan.problem.firms) if firm.id == "lumen-chat")
    firm = made.decided.plan.problem.firms[w]
    mean, used_h = state.work_gpu_h[w].sum() / (firm.gpus * 2), 2 - state.work_gpu_h[w].sum() / firm.gpus
    assert told.says[0].startswith(f"its GPUs run at {100 * mean:.1f} % of full speed on average")
    assert told.says[1] == f"it uses {rounded(used_h / 0.75)} slow hours of the 3 it has left"
    assert told.says[2] == "from 2023-07-02T14:00Z to 2023-07-02T16:00Z the import limit (430 kW) keeps caps low"
    assert told.remedies[0].limit == "grid.limits"
    assert explain(made, "kepler-jobs", 20.0).says == ("it has neither a rental nor jobs in this plan",)


def test_a_contract_of_jobs_tells_how_many_of_them_are_late(planned: Planned) -> None:
    jobs = tuple(replace(job, contract="kepler-jobs") for job in planned.jobs)
    assert explain(replace(planned, jobs=jobs), "kepler-jobs", 20.0).says == ("2 jobs run under it, 1 of which cannot finish",)


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
        ("?", "give the id of a job, a pool or a contract, or a time such as 17:00"),
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
