"""Contracts from the site file to the plan's files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.bus.messages import JobSpec
from facility.config import load_site
from facility.decide import Undecided
from facility.errors import InputError
from facility.forecast import expect
from facility.overrides.arbitrate import bounds
from facility.planner import Planned, Request, plan
from facility.problem import problem_of
from facility.report.summary import summary
from facility.report.tables import cap_rows
from facility.snapshot import Snapshot
from facility.steps import uniform
from facility.telemetry.work import Work
from facility.verify import verify
from models.work.budget import Budget
from models.work.firm import Firm

DEMO = Path(__file__).parents[2] / "site_configs/demo.yaml"
SHAPE = [*range(100, 220, 10), *range(220, 100, -10)]
"""GPUs by local hour, a different number in each."""


def planned(*settings: str, start: str = "2026-07-15", horizon: str = "6h", step: str = "1h", **options: Any) -> Planned:
    found = plan(Request(str(DEMO), start, horizon, step, settings=settings, **options))
    assert not isinstance(found, Undecided)
    return found


def running(made: Planned, workload: str) -> list[float]:
    """GPUs of a workload by step, as caps.csv tells."""
    found = defaultdict[str, float](float)
    for time, _, _, name, gpus, *_ in cap_rows(made):
        found[time] += gpus if name == workload else 0.0
    return list(found.values())


def demand_file(folder: Path, rows: Sequence[str], column: str = "lumen-chat_gpus") -> str:
    file = folder / "demand.csv"
    file.write_text("\n".join([f"time,{column}", *rows]) + "\n", encoding="utf-8")
    return str(file)


def test_a_service_runs_what_its_local_hours_ask_for_and_the_second_opinion_agrees() -> None:
    made = planned(f"contracts.lumen-chat.demand_by_hour_gpus={SHAPE}")
    assert running(made, "lumen-chat") == SHAPE[:6]
    assert "demand of lumen-chat: the site's contracts.lumen-chat.demand_by_hour_gpus" in made.assumed
    decided = made.decided
    assert not verify(made.site, Snapshot(made.edges[0]), decided.decision, outdoor_c=float(made.forecast.outdoor_c[0]))
    assert decided.plan.status == "optimal"


def test_a_demand_file_stands_before_the_sites_hours_and_a_step_has_its_highest_value(tmp_path: Path) -> None:
    """Half hours of 101.5, 20, 30 and 288 GPUs, laid on hours: 102 and 288."""
    rows = [f"2026-07-15T0{i // 2}:{30 * (i % 2):02}+02:00,{value}" for i, value in enumerate((101.5, 20, 30, 288))]
    asked = {"horizon": "2h", "demand": demand_file(tmp_path, rows)}
    made = planned(f"contracts.lumen-chat.demand_by_hour_gpus={SHAPE}", **asked)
    assert running(made, "lumen-chat") == [102, 288]
    assert not any(said.startswith("demand of") for said in made.assumed)


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("lumen-chat_gpus", "289", "289"),
        ("lumen-chat_gpus", "-1", "-1"),
        ("lumen-chap_gpus", "5", "no contract 'lumen-chap' with GPUs"),
        ("kepler-jobs_gpus", "5", "no contract 'kepler-jobs' with GPUs"),
        ("lumen-chat", "5", "no column that ends in _gpus"),
    ],
)
def test_a_demand_file_that_does_not_fit_the_site_is_refused(tmp_path: Path, column: str, value: str, found: str) -> None:
    file = demand_file(tmp_path, [f"2026-07-14T{hour}:00Z,{value}" for hour in (22, 23)], column)
    with pytest.raises(InputError, match=r"demand\.csv") as refused:
        planned(horizon="1h", demand=file)
    assert found in str(refused.value)


def of_contract(made: Planned, name: str) -> Firm:
    return next(firm for firm in made.decided.plan.problem.firms if firm.id == name)


def test_a_tier_grants_what_its_ladder_says_and_keys_stand_before_it() -> None:
    granted = {f"contracts.{name}.{key}" for name, key in (("lumen-chat", "tier=T1"), ("kepler-tune", "tier=T5"), ("lumen-rank", "tier=T0"))}
    made = planned(*granted, "contracts.kepler-tune.slow_hours=3", "contracts.kepler-tune.slow_window=week", horizon="1h")
    chat, tune, rank = (of_contract(made, name) for name in ("lumen-chat", "kepler-tune", "lumen-rank"))
    assert chat.budget == Budget(1.2, (0,), (1.0,), 0.02, pytest.approx(50 * 288 / 6))
    assert tune.budget == Budget(1.5, (0,), (3.0,), 0.10, pytest.approx(30 * 192 / 3))
    assert (rank.budget, rank.floor_speed, tune.floor_speed) == (None, 1.0, 0.75)
    assert (chat.floor_speed, made.decided.plan.status) == (0.9, "optimal")


def test_days_begin_at_local_midnight_and_hours_used_are_of_the_running_one() -> None:
    """From 22:00 to 02:00 in Berlin; three of four hours are gone by 22:00, and midnight brings four new ones."""
    site = load_site(DEMO, ["contracts.lumen-chat.greatest_slowdown=1.2", "contracts.lumen-chat.slow_hours=4"])
    start = datetime(2026, 7, 15, 20, tzinfo=UTC)
    edges = uniform(start, start + timedelta(hours=4), timedelta(hours=1))
    at = Snapshot(start, slow_hours_used={"lumen-chat": 3.0})
    problem = problem_of(site, at, expect(site, edges, {}), bounds(site, (), start, edges), edges)
    budget = next(firm.budget for firm in problem.firms if firm.id == "lumen-chat")
    assert budget is not None
    assert (budget.ends, budget.left_h) == ((1, 3), (1.0, 4.0))
    # Monday 00:00 and 1 August are windows' edges too
    for window, first in (("week", "2026-07-19T23:00"), ("month", "2026-07-31T23:00")):
        made = planned(*(f"contracts.lumen-chat.{key}" for key in ("tier=T1", f"slow_window={window}")), start=first, horizon="2h")
        assert getattr(of_contract(made, "lumen-chat").budget, "ends", None) == (0, 1)


def test_slow_hours_are_spent_where_the_grid_limit_binds_and_more_is_a_breach_that_is_told() -> None:
    """Six hours under a limit that nearly needs everything at its slowest: six slow hours are enough, half of one is not."""
    keys = ("greatest_slowdown=2", "slow_hours={}", "floor_speed=0", "value_per_gpu_h=0")
    tight = ("grid.import_limit_kw=420", "grid.limit_windows=[]", "batteries={}")

    def under(hours: float) -> dict[str, Any]:
        return summary(planned(*(f"contracts.lumen-chat.{key.format(hours)}" for key in keys), *tight))

    enough, short = under(6), under(0.5)
    assert enough["status"] == "optimal"
    assert short["status"] == "breached"
    told = [breach for breach in short["breaches"] if breach["family"] == "over_budget_h"]
    assert {(breach["asset"], breach["unit"]) for breach in told} == {("lumen-chat", "h")}
    assert all("slow_hours" in breach["remedy"] and breach["amount"] > 0 for breach in told)


@pytest.mark.parametrize(("deadline", "due"), [("", "03:00"), ("2026-07-15T09:00Z", "03:00"), ("2026-07-15T02:30Z", "02:30")])
def test_a_job_starts_no_later_than_its_contract_allows(tmp_path: Path, deadline: str, due: str) -> None:
    """Two hours of work from 00:00 under T1, which lets it wait an hour: done by 03:00, or by an earlier deadline of its own.

    Where the plan starts after it was submitted, it waits from then on.
    """
    file = tmp_path / "jobs.csv"
    file.write_text(f"submit_time,duration_s,num_gpus,deadline\n2026-07-15T00:00Z,7200,8,{deadline}\n", encoding="utf-8")
    made = planned("contracts.kepler-jobs.tier=T1", start="2026-07-15T00:00+00:00", jobs=str(file))
    assert f"{made.jobs[0].deadline:%H:%M}" == due
    assert any("max_defer_h" in said for said in made.assumed)
    later = planned("contracts.kepler-jobs.tier=T1", start="2026-07-15T01:30+00:00", jobs=str(file))
    assert f"{later.jobs[0].deadline:%H:%M}" == ("04:30" if due == "03:00" else due)


def test_a_job_on_the_bus_waits_no_longer_than_its_contract_allows() -> None:
    site = load_site(DEMO, ["contracts.kepler-jobs.max_defer_h=1"])
    submit = datetime(2026, 7, 15, tzinfo=UTC)
    spec: dict[str, Any] = {"pool": "h1-b", "gpus": 8, "work_gpu_h": 16.0, "submit": submit}
    work = Work(site)
    for deadline, due in ((None, 3.0), (submit + timedelta(hours=9), 3.0), (submit + timedelta(hours=2.5), 2.5)):
        work.specify("j", JobSpec(**spec, deadline=deadline))
        assert work.jobs()[0].deadline == submit + timedelta(hours=due)


def test_fixed_maintenance_takes_gpus_in_every_step_that_it_touches_and_their_power_in_those_it_fills() -> None:
    """From 00:30 to 03:00 local 100 GPUs of 480; in hours that is three steps without work, two of them without power."""
    fixed = "maintenance={m: {pool: h1-b, gpus: 100, start: '2026-07-15T00:30+02:00', end: '2026-07-15T03:00+02:00'}}"
    made = planned(fixed)
    pool = next(p for p in made.decided.plan.problem.pools if p.id == "h1-b")
    assert pool.available == (380.0, 380.0, 380.0, 480.0, 480.0, 480.0)
    assert pool.powered == (480.0, 380.0, 380.0, 480.0, 480.0, 480.0)
    assert summary(made)["maintenance"] == [
        {"id": "m", "pool": "h1-b", "gpus": 100, "fixed": True, "start": "2026-07-14T22:30:00Z", "end": "2026-07-15T01:00:00Z"}
    ]
    day_after, without = (planned(*keys, start="2026-07-16", horizon="1h").decided.plan.problem.pools for keys in ((fixed,), ()))
    assert day_after == without


def test_maintenance_one_after_the_other_inside_a_step_takes_the_most_at_once_not_the_sum() -> None:
    window = "{{pool: h1-b, gpus: 200, start: '2026-07-15T0{}+02:00', end: '2026-07-15T0{}+02:00'}}"
    both = f"maintenance={{a: {window.format('0:00', '0:30')}, b: {window.format('0:30', '1:00')}}}"
    pool = next(p for p in planned(both, horizon="1h").decided.plan.problem.pools if p.id == "h1-b")
    assert (pool.available, pool.powered) == ((280.0,), (480.0,))


def flexible(earliest: str, latest: str, gpus: int = 288, hours: int = 2) -> str:
    return f"maintenance={{m: {{pool: h1-b, gpus: {gpus}, hours: {hours}, earliest: '{earliest}', latest: '{latest}'}}}}"


def test_a_window_is_found_where_jobs_want_it_least_and_the_second_opinion_agrees(tmp_path: Path) -> None:
    """All 288 GPUs that no contract keeps: work due by 02:00 Berlin time has the first two hours, work for two more the last two."""
    file = tmp_path / "jobs.csv"
    said = (("a", "2026-07-14T22:00Z", "2026-07-15T00:00Z"), ("b", "2026-07-14T23:00Z", "2026-07-15T04:00Z"))
    rows = [f"{job},{since},7000,200,h1-b,{due}" for job, since, due in said]
    file.write_text("\n".join(["job_id,submit_time,duration_s,num_gpus,pool,deadline", *rows]) + "\n", encoding="utf-8")
    made = planned(flexible("2026-07-15T00:00+02:00", "2026-07-15T06:00+02:00"), jobs=str(file))
    plan_ = made.decided.plan
    told = summary(made)["maintenance"][0]
    first = next(t for t, edge in enumerate(made.edges) if f"{edge:%Y-%m-%dT%H:%M:%SZ}" == told["start"])
    assert first >= 2
    assert (told["fixed"], plan_.status, made.decided.decision.maintenance) == (False, "optimal", ())
    assert (running(made, "a")[first], running(made, "b")[first]) == (0.0, 0.0)
    assert not verify(made.site, Snapshot(made.edges[0], jobs=made.jobs), made.decided.decision, outdoor_c=float(made.forecast.outdoor_c[0]))


def test_a_window_that_begins_at_once_is_in_the_decision_and_its_gpus_draw_nothing() -> None:
    made = planned(flexible("2026-07-15T00:00+02:00", "2026-07-15T02:00+02:00"), "grid.import_limit_kw=440", "grid.limit_windows=[]", "batteries={}")
    decision = made.decided.decision
    assert decision.maintenance == ("m",)
    halls = {name: hall.thermal.start_c for name, hall in made.site.halls.items() if hall.thermal}

    def above_kw(ids: tuple[str, ...]) -> float:
        sent, snapshot = replace(decision, maintenance=ids), Snapshot(made.edges[0], hall_c=halls)
        found = verify(made.site, snapshot, sent, outdoor_c=float(made.forecast.outdoor_c[0]))
        assert {violation.rule for violation in found} <= {"grid.limit"}
        return sum((violation.amount or 0.0) - (violation.allowed or 0.0) for violation in found)

    assert above_kw(("m",)) < 0.05  # hall temperatures are sent to a thousandth of a kelvin
    assert above_kw(()) > 288 * 0.11  # idle GPUs and hosts, 110 W each


@pytest.mark.parametrize(
    ("earliest", "latest"),
    [("2026-07-15T00:00+02:00", "2026-07-15T09:00+02:00"), ("2026-07-14T12:00+02:00", "2026-07-15T01:00+02:00")],
)
def test_what_can_wait_until_after_the_plan_or_had_to_begin_before_it_is_left_out(earliest: str, latest: str) -> None:
    made = planned(flexible(earliest, latest))
    assert summary(made)["maintenance"] == []
    assert made.decided.plan.status == "optimal"


def test_what_finds_no_window_is_a_breach_with_its_bounds() -> None:
    """A GPU out all night leaves 287 that no contract keeps, one too few."""
    one = "n: {pool: h1-b, gpus: 1, start: '2026-07-15T00:00+02:00', end: '2026-07-15T09:00+02:00'}"
    all_others = "m: {pool: h1-b, gpus: 288, hours: 2, earliest: '2026-07-15T00:00+02:00', latest: '2026-07-15T03:00+02:00'}"
    told = summary(planned(f"maintenance={{{all_others}, {one}}}"))
    assert told["status"] == "breached"
    breach = told["breaches"][0]
    assert (breach["asset"], breach["amount"], breach["unit"]) == ("m", 576, "GPU h")
    assert (breach["from"], breach["to"]) == ("2026-07-14T22:00:00Z", "2026-07-15T01:00:00Z")
    assert [found["start"] for found in told["maintenance"]] == [None, "2026-07-14T22:00:00Z"]


def test_the_jobs_of_a_tenant_who_would_pay_for_less_carbon_wait_for_cleaner_hours(tmp_path: Path) -> None:
    """From the fourth hour on a kWh costs 0.02 more and emits 500 g less, which is worth 0.05 to who would give 100 for a tonne."""
    carbon, jobs = tmp_path / "carbon.csv", tmp_path / "jobs.csv"
    hours = [f"2026-07-15T0{hour}:00+02:00,{600 if hour < 3 else 100}" for hour in range(6)]
    carbon.write_text("\n".join(["time,carbon_g_per_kwh", *hours]) + "\n")
    jobs.write_text("job_id,submit_time,duration_s,num_gpus,contract,pool,deadline\nj,2026-07-15T00:00+02:00,7200,64,kepler-jobs,h1-b,2026-07-15T06:00+02:00\n")
    flat = ("tariff.energy_price_by_hour_per_mwh=" + str([100] * 3 + [120] * 21), "batteries={}")
    files = {"carbon": str(carbon), "jobs": str(jobs)}
    usual = planned(*flat, **files)
    assert sum(running(usual, "j")[:3]) == pytest.approx(sum(running(usual, "j")), rel=0.01)
    wished = planned(*flat, "contracts.kepler-jobs.carbon_price_per_tonne=100", **files)
    assert sum(running(wished, "j")[3:]) == pytest.approx(sum(running(wished, "j")), rel=0.01)
    kwh_price = wished.decided.plan.problem.jobs[0].wish_per_kwh
    assert kwh_price == pytest.approx([0.06] * 3 + [0.01] * 3)
