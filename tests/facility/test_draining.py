"""GPUs that are to leave run empty: nothing starts that would have to stop, and what runs goes on and is told of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.daemon.telling.leaving import SETTLED
from facility.decide import Optimised, decide
from facility.forecast import expect
from facility.maintain.staying import staying
from facility.overrides.arbitrate import bounds
from facility.site import Site
from facility.snapshot import Job, Snapshot
from facility.steps import rolling
from facility.verify import verify
from tests.facility.test_daemon import NOW as HOUSE_NOW
from tests.facility.test_daemon import House
from tests.facility.test_rentals import WHOLE, run

NOW = datetime(2026, 7, 15, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
CURVE = {"source": "by hand", "points": [{"cap_w": 100, "draw_w": 100, "speed": 0.4}, {"cap_w": 400, "draw_w": 400, "speed": 1}]}
RAW: dict[str, Any] = {
    "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 20},
    "tariff": {"energy_price_by_hour_per_mwh": [100] * 24}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": CURVE}}},
    "feeders": {"main": {"rating_kw": 20}}, "halls": {"h": {"feeder": "main"}},
    "pools": {"p": {"hall": "h", "feeder": "main", "gpu_model": "g", "gpus": 12}},
    "tenants": {"t": {"name": "T"}}, "jobs": {"curve": "train"},
    "contracts": {"here": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 4, "curve": "train"}},
}  # fmt: skip


def site(gpus: int = 8, start_h: float = 2, hours: float = 4, **parts: Any) -> Site:
    """All GPUs but the contract's leave in two hours, for four."""
    begin = NOW + start_h * HOUR
    return Site.model_validate(RAW | {"maintenance": {"m": {"pool": "p", "gpus": gpus, "start": begin, "end": begin + hours * HOUR}}} | parts)


def job(hours: float, gpus: int = 4, running: bool | None = False, due_h: float = 24, name: str = "j", **more: Any) -> Job:
    return Job(name, "p", "train", gpus, gpus * hours, NOW - HOUR, NOW + due_h * HOUR, running=running, **more)


def decided(there: Site, *jobs: Job, prices: list[float] | None = None) -> Optimised:
    edges = rolling(NOW)
    if prices:
        there = there.model_copy(update={"tariff": there.tariff.model_copy(update={"energy_price_by_hour_per_mwh": tuple(prices)})})
    made = decide(there, Snapshot(NOW, jobs), expect(there, edges, {}), bounds(there, (), NOW, edges), edges, 30.0)
    assert isinstance(made, Optimised)
    return made


def orders(made: Optimised) -> dict[str, str]:
    return {order.job: order.action for order in made.decision.jobs}


def test_what_would_have_to_stop_does_not_start() -> None:
    made = decided(site(), job(3))
    assert orders(made) == {"j": "hold"}
    assert made.decision.jobs[0].until == NOW + 6 * HOUR
    assert "leave before it could be done" in made.decision.jobs[0].reason
    assert made.plan.status == "optimal"


def test_what_is_done_before_starts_and_so_does_what_finds_gpus_that_stay() -> None:
    assert orders(decided(site(start_h=4), job(3))) == {"j": "run"}
    assert orders(decided(site(gpus=4), job(3))) == {"j": "run"}


def test_of_what_waits_those_that_must_start_first_have_the_gpus_that_stay() -> None:
    made = decided(site(gpus=4), job(3, due_h=24, name="late"), job(3, due_h=8, name="soon"))
    assert orders(made) == {"late": "hold", "soon": "run"}


def test_of_what_nobody_told_whether_it_runs_nothing_is_known() -> None:
    assert orders(decided(site(), job(3, running=None))) == {"j": "run"}


def test_what_runs_and_cannot_be_done_goes_on_and_its_gpus_stay_until_it_is() -> None:
    there, runs = site(start_h=1), job(3, running=True)
    made = decided(there, runs)
    assert orders(made) == {"j": "run"}
    pool = made.plan.problem.pools[0]
    starts = made.plan.problem.horizon.starts
    assert {available for available, at in zip(pool.available, starts, strict=True) if 1 <= at < 2.9} == {8.0}
    assert {available for available, at in zip(pool.available, starts, strict=True) if 3 <= at < 4.9} == {4.0}
    assert pool.powered == pool.available


def test_what_runs_and_can_be_done_is_even_where_energy_is_cheap_later() -> None:
    """Alone it would wait for the night."""
    prices = [300.0] * 14 + [10.0] * 10
    assert orders(decided(site(start_h=23, hours=1), job(1.5, running=True), prices=prices)) == {"j": "hold"}
    made = decided(site(start_h=2, hours=2), job(1.5, running=True, due_h=24), prices=prices)
    done = made.plan.account.work_gpu_h[1]
    assert float(done[made.plan.problem.horizon.ends <= 2].sum()) == pytest.approx(6.0, abs=0.01)


def test_at_the_begin_what_still_runs_is_not_stopped_and_the_second_opinion_agrees() -> None:
    there, runs = site(start_h=0), job(3, running=True)
    made = decided(there, runs, job(3, name="new"))
    assert orders(made) == {"j": "run", "new": "hold"}
    assert verify(there, Snapshot(NOW, (runs, job(3, name="new"))), made.decision, outdoor_c=10.0) == ()
    stopped = Snapshot(NOW, (replace(runs, running=False), job(3, name="new")))
    assert [v.rule for v in verify(there, stopped, made.decision, outdoor_c=10.0)] == ["pool.maintenance"], "it did not run before"


def test_it_is_told_whose_gpus_stay_and_until_when() -> None:
    there = site(start_h=0)
    told = list(staying(there, (job(3, running=True), job(1, gpus=2, running=True, name="k"), job(2, name="waits")), NOW))
    assert [(each.pool, each.wanted, each.gpus, each.jobs) for each in told] == [("p", 8, 6, (("k", NOW + HOUR), ("j", NOW + 3 * HOUR)))]
    assert not list(staying(there, (job(3, running=True),), NOW - HOUR)), "they need not have left yet"
    assert not list(staying(site(gpus=4, start_h=0), (job(3, running=True),), NOW)), "it runs on those that stay"


def test_a_window_that_is_still_to_be_found_does_not_begin_under_a_gang_that_runs() -> None:
    free = {"m": {"pool": "p", "gpus": 8, "hours": 2, "earliest": NOW, "latest": NOW + 20 * HOUR}}
    assert decided(site(maintenance=free), job(3, running=True)).decision.maintenance == ()
    assert decided(site(maintenance=free)).plan.problem.windows[0].start is not None
    windows = decided(site(maintenance=free), job(3, running=True)).plan.problem.windows
    starts = decided(site(maintenance=free)).plan.problem.horizon.starts
    assert windows[0].start is not None
    assert starts[windows[0].start] >= 3


def test_a_daemon_lets_it_run_and_tells_whose_gpus_stay(tmp_path: Path) -> None:
    """All GPUs but the contract's are wanted from now on, and a job runs on two of them, with two hours of work left."""
    begin = HOUSE_NOW + timedelta(minutes=1)
    window = {"pool": "p", "gpus": 4, "start": begin.isoformat(), "end": (begin + 4 * HOUR).isoformat()}
    house = House(tmp_path / "journal.sqlite", Site.model_validate(WHOLE | {"maintenance": {"swap": window}}))
    try:
        spec = {"submit": HOUSE_NOW.isoformat(), "gpus": 2, "work_gpu_h": 4, "pool": "p", "deadline": (HOUSE_NOW + 9 * HOUR).isoformat()}
        house.say("job/j/spec", spec)
        house.say("job/j/reported", {"timestamp": int(HOUSE_NOW.timestamp() * 1000), "state": "running", "done_gpu_h": 0.0, "gpus": 2})
        house.clock.advance(60)
        for _ in range(3):
            house.clock.advance(SETTLED.total_seconds())
            house.daemon.upkeep.guard_s -= 1
            house.settle()
        alarm = house.retained("alarm/leaving-p")
        assert alarm is not None
        assert alarm["cause"].startswith("2 of the 4 GPUs of pool p that should have left for maintenance still work: j until 2026-07-01")
        assert run(house)["j"] == 2
        ordered = house.retained("job/j/desired")
        assert ordered is not None
        assert ordered["action"] == "run"
        done = {"timestamp": int(house.clock.now().timestamp() * 1000), "state": "done", "done_gpu_h": 4.0, "gpus": 0}
        house.say("job/j/reported", done)
        for _ in range(12):
            house.clock.advance(SETTLED.total_seconds())
            house.daemon.upkeep.guard_s -= 1
            house.settle()
        assert house.retained("alarm/leaving-p") is None
    finally:
        house.kill()


def test_a_daemon_plans_at_once_when_a_contract_moves_and_it_has_its_gpus_in_the_new_pool(tmp_path: Path) -> None:
    at = (HOUSE_NOW + timedelta(minutes=2)).isoformat()
    terms, pools = WHOLE["contracts"]["c"], {"p": WHOLE["pools"]["p"], "q": WHOLE["pools"]["p"] | {"gpus": 8}}
    contracts = {"c": terms | {"gpus_until": at}, "c-q": terms | {"pool": "q", "gpus_from": at}}
    maintenance = {"old": {"pool": "p", "gpus": 10, "start": at}, "new": {"pool": "q", "gpus": 8, "end": at}}
    house = House(tmp_path / "journal.sqlite", Site.model_validate(WHOLE | {"pools": pools, "contracts": contracts, "maintenance": maintenance}))
    try:
        assert run(house) == {"c": 6}
        wanted = house.wanted
        house.clock.advance(121)
        house.settle()
        assert house.wanted > wanted
        assert house.daemon.cycle().outcome == "published"
        assert house.daemon.rooms.governor.verdict == ()
        sent = [house.retained(f"cap/h/{pool}/desired") for pool in ("p", "q")]
        assert [{group["workload"]: group["gpus"] for group in caps["groups"]} for caps in sent if caps] == [{}, {"c-q": 6}]
    finally:
        house.kill()
