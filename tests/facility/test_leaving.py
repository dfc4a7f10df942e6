"""On the plant GPUs leave when no work is on them, draw nothing while they are out, and those that come are not there before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from facility.bus.messages import CapDesired, CapGroup, JobDesired
from facility.inputs.jobterms import Placement
from facility.simulate.plant import Plant
from facility.site import Site
from facility.snapshot import Job

START = datetime(2026, 7, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODEL = {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": {"source": "by hand", "points": [
    {"cap_w": 100, "draw_w": 100, "speed": 0.4}, {"cap_w": 400, "draw_w": 400, "speed": 1}]}}}  # fmt: skip
RAW: dict[str, Any] = {
    "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 20},
    "tariff": {"energy_price_by_hour_per_mwh": [100] * 24}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": MODEL}, "feeders": {"main": {"rating_kw": 20}}, "halls": {"h": {"feeder": "main"}},
    "pools": {name: {"hall": "h", "feeder": "main", "gpu_model": "g", "gpus": gpus} for name, gpus in (("p", 12), ("q", 8))},
    "tenants": {"t": {"name": "T"}}, "jobs": {"curve": "train"},
    "contracts": {"here": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 4, "curve": "train"},
                  "spare": {"tenant": "t", "kind": "spot", "pool": "p", "gpus": 4, "curve": "train", "pausable": True}},
}  # fmt: skip


def at(hours: float) -> datetime:
    return START + hours * HOUR


def out(gpus: int, pool: str = "p", **when: float) -> dict[str, Any]:
    return {"pool": pool, "gpus": gpus, **{key: at(hours) for key, hours in when.items()}}


def plant(jobs: tuple[Job, ...] = (), contracts: dict[str, Any] | None = None, **maintenance: Any) -> Plant:
    raw = RAW | {"maintenance": maintenance, "contracts": contracts or RAW["contracts"]}
    return Plant(Site.model_validate(raw), START, None, jobs=jobs, longest_s=60.0)


def job(gpus: int, work_gpu_h: float) -> Job:
    return Job("j", "p", "train", gpus, work_gpu_h, START, at(24))


def run(it: Plant, gpus: int) -> None:
    order = JobDesired(epoch=1, seq=1, issued_at=it.now, valid_until=at(24), plan_id="", reason="", action="run", gpus=gpus)
    assert it.scheduler.obey("j", order, it.now) is None


def until(it: Plant, hours: float) -> None:
    while it.now < at(hours):
        it.step(60.0)


def test_idle_gpus_leave_at_once_and_draw_nothing_until_they_are_back() -> None:
    it = plant(m=out(3, start=1, end=2))
    until(it, 0.5)
    kw = it.pools["p"].power_kw
    until(it, 1.5)
    assert it.pools["p"].there == 9
    assert it.pools["p"].power_kw == pytest.approx(kw - 0.15)
    until(it, 2.5)
    assert (it.pools["p"].there, it.pools["p"].power_kw) == (12, pytest.approx(kw))


def test_nobody_pulls_a_gpu_on_which_a_job_runs_and_nothing_new_begins_on_it() -> None:
    it = plant((job(4, 6.0),), m=out(8, start=1, end=4))
    run(it, 4)
    until(it, 1.25)
    running = it.scheduler.jobs["j"]
    assert (running.state, running.stops) == ("running", [])
    assert (it.pools["p"].there, it.pools["p"].free) == (8, 0), "the contract's and the job's; what may pause has given way"
    until(it, 2)
    assert it.pools["p"].there == 4
    assert running.finished is not None


def test_what_may_pause_gives_way_and_has_its_gpus_again() -> None:
    it = plant(m=out(6, start=1, end=2))
    until(it, 0.5)
    group = CapGroup(workload="spare", gpus=2, cap_w=400)
    held = {"issued_at": it.now, "valid_until": at(24), "plan_id": "", "reason": ""}
    caps = CapDesired(epoch=1, seq=1, cap_w=100, fallback_cap_w=100, groups=(group,), **held)
    assert it.pools["p"].obey(caps, it.now) is None
    until(it, 1.5)
    assert {name: work.gpus for name, work in it.pools["p"].running.items()} == {"here": 4, "spare": 2}
    until(it, 2.5)
    assert it.pools["p"].running["spare"].gpus == 4


def test_gpus_leave_for_good_and_others_come_and_a_contract_moves_to_them() -> None:
    terms = RAW["contracts"]["here"]
    contracts = {"here": terms | {"gpus_until": at(2)}, "there": terms | {"pool": "q", "gpus_from": at(2)}}
    it = plant(contracts=contracts, old=out(8, start=1), older=out(4, start=2), new=out(8, "q", end=2))
    until(it, 1.5)
    assert {name: pool.there for name, pool in it.pools.items()} == {"p": 4, "q": 0}
    assert it.pools["q"].power_kw == 0.0
    until(it, 2.5)
    assert {name: pool.there for name, pool in it.pools.items()} == {"p": 0, "q": 8}
    assert [list(pool.running) for pool in it.pools.values()] == [[], ["there"]]


def test_work_that_names_no_pool_goes_where_its_gpus_stay() -> None:
    maintenance = {"old": out(12, start=3), "new": out(8, "q", end=2)}
    contracts = {"jobs": {"tenant": "t", "kind": "spot"}}
    old, new = RAW["contracts"]["here"] | {"gpus": 6, "gpus_until": at(5)}, RAW["contracts"]["here"] | {"gpus": 6, "pool": "q", "gpus_from": at(5)}
    moves = {"old": out(6, start=3), "new": out(8, "q", end=2)}
    tight = Placement(Site.model_validate(RAW | {"maintenance": moves, "contracts": {"here": old, "there": new}}))
    assert tight.choose("train", 2, (at(2.5), at(8))) == "q", "between the third hour and the fifth none of the old ones is free"
    placement = Placement(Site.model_validate(RAW | {"maintenance": maintenance, "contracts": contracts}))
    assert placement.choose("train", 4, (at(0), at(2.5))) == "p", "the new ones are still to come"
    assert placement.choose("train", 4, (at(2), at(8))) == "q", "the old ones leave for good"
