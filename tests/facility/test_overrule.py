"""What operators command lies over a decision at once, without a solver.

Pool `p`: 10 GPUs (100 to 400 W), 6 of the rental `c` at 300 W, 2 of job `j` at 400 W, the rest at 100 W. Work draws its cap.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from facility.daemon.holding.overrule import carried, overrule, shed
from facility.decision import BatteryOrder, CapGroup, Decision, JobOrder, PoolCaps
from facility.overrides.arbitrate import Bounds, bounds
from facility.overrides.proposal import Kind, Proposal
from facility.site import Site
from facility.snapshot import Job, Snapshot
from facility.verify import expected_kw, verify

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SITE = Site.model_validate({
    "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 100},
    "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": {"source": "by hand", "points": [
        {"cap_w": 100, "draw_w": 100, "speed": 0.2}, {"cap_w": 400, "draw_w": 400, "speed": 1}]}}}},
    "feeders": {"main": {"rating_kw": 100}}, "halls": {"h": {"feeder": "main"}},
    "pools": {"p": {"hall": "h", "feeder": "main", "gpu_model": "g", "gpus": 10}},
    "tenants": {"t": {"name": "T"}},
    "contracts": {"c": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 6, "curve": "train"}},
    "jobs": {"curve": "train"},
})  # fmt: skip
JOB = Job("j", "p", "train", 2, 10.0, NOW, NOW + timedelta(hours=8))
NEWER = replace(JOB, id="newer")
SNAPSHOT = Snapshot(NOW, jobs=(JOB,))
MADE = Decision(
    NOW,
    NOW + timedelta(minutes=15),
    (PoolCaps("p", 100, (CapGroup("c", 6, 300), CapGroup("j", 2, 400))),),
    (JobOrder("j", "run", 2),),
)


def order(target: str, kind: Kind, value: float | None = None, priority: int = 8) -> Proposal:
    return Proposal(f"{kind}-{target}", target, kind, value, priority, NOW, NOW + timedelta(hours=1), "ann", "because")


def asked(*proposals: Proposal) -> Bounds:
    return bounds(SITE, proposals, NOW, (NOW, NOW + timedelta(minutes=5)), jobs={"j": "p", "newer": "p"})


def ruled(*proposals: Proposal, snapshot: Snapshot = SNAPSHOT) -> Decision:
    return overrule(SITE, snapshot, MADE, asked(*proposals), 10.0)


def caps(decision: Decision) -> dict[str, int]:
    (pool,) = decision.pools
    return {"": pool.cap_w} | {group.workload: group.cap_w for group in pool.groups}


def test_without_a_command_a_decision_stays_as_it_is() -> None:
    assert ruled() == replace(MADE, import_limit_kw=100.0)


@pytest.mark.parametrize("target", ["pool/h/p", "hall/h", "site"])
def test_a_cap_on_a_pool_its_hall_or_the_site_reaches_every_gpu_and_says_who_gave_it(target: str) -> None:
    decision = ruled(order(target, "cap_w", 250))
    assert caps(decision) == {"": 250, "c": 250, "j": 250}
    assert "ann" in decision.pools[0].reason


def test_a_cap_on_a_job_reaches_that_job_only() -> None:
    assert caps(ruled(order("job/j", "cap_w", 150))) == {"": 100, "c": 300, "j": 150}


def test_a_held_job_loses_its_gpus_and_is_told_so() -> None:
    for proposal in (order("job/j", "hold"), order("job/j", "pause"), order("pool/h/p", "hold")):
        decision = ruled(proposal)
        assert caps(decision) == {"": 100, "c": 300}
        assert [(o.job, o.action, o.until) for o in decision.jobs] == [("j", "hold", None)]


def test_a_held_job_that_the_plan_did_not_know_is_told_too() -> None:
    decision = ruled(order("pool/h/p", "hold"), snapshot=replace(SNAPSHOT, jobs=(JOB, NEWER)))
    assert [(o.job, o.action) for o in decision.jobs] == [("j", "hold"), ("newer", "hold")]


def test_a_job_made_to_run_is_not_held_with_its_pool() -> None:
    assert [o.action for o in ruled(order("pool/h/p", "hold"), order("job/j", "run", priority=5)).jobs] == ["run"]


def test_stop_holds_every_job_and_sets_every_gpu_to_its_lowest_cap() -> None:
    decision = ruled(order("site", "stop"), order("pool/h/p", "cap_w", 400))
    assert caps(decision) == {"": 100, "c": 100}
    assert [(o.job, o.action) for o in decision.jobs] == [("j", "hold")]


def test_an_import_limit_sheds_from_every_cap_alike_just_as_far_as_it_must() -> None:
    """6 * 300 + 2 * 400 + 2 * 50 W = 2.7 kW; (2.7 - 0.3 - 1.6) kW / (6 * 200 + 2 * 300) W leave 5/9 of the range for 2.0 kW."""
    decision = ruled(order("grid/main", "import_limit_kw", 2.0))
    import_kw = expected_kw(SITE, decision, SNAPSHOT, 10.0)["main"]
    assert 1.98 < import_kw <= 2.0
    assert decision.import_limit_kw == 2.0
    assert caps(decision) == {
        "": 100,
        "c": pytest.approx(100 + 200 * 11 / 18, abs=2),
        "j": pytest.approx(100 + 300 * 11 / 18, abs=2),
    }


def test_pools_whose_cap_somebody_commanded_give_way_last() -> None:
    """Pool `q` like `p`, without a command: at its lowest caps both draw 8 * (240 + 100) + 4 * 50 W = 2.92 kW."""
    site = SITE.model_copy(update={"pools": SITE.pools | {"q": SITE.pools["p"]}})
    other = PoolCaps("q", 100, (CapGroup("k", 8, 400),))
    mine = PoolCaps("p", 240, (CapGroup("c", 8, 240),))
    made = replace(MADE, pools=(mine, other), jobs=())
    spared = shed(site, SNAPSHOT, made, 3.0, 10.0, last={"p"})
    assert spared.pools[0] == mine
    assert 100 < spared.pools[1].groups[0].cap_w <= 110
    both = shed(site, SNAPSHOT, made, 2.5, 10.0, last={"p"})
    assert both.pools[1].groups[0].cap_w == 100
    assert 180 <= both.pools[0].groups[0].cap_w <= 188


def test_what_cannot_be_shed_leaves_the_lowest_caps() -> None:
    assert caps(ruled(order("grid/main", "import_limit_kw", 0.1))) == {"": 100, "c": 100, "j": 100}


def test_caps_give_way_until_every_feeder_carries_them_at_worst_commanded_ones_last() -> None:
    """Under 3 kW: 6 GPUs at 300 W, 2 at 400 W and 2 at 100 W may draw 2.8 kW, all at 400 W 4 kW."""
    feeders = {"main": SITE.feeders["main"].model_copy(update={"rating_kw": 3.0})}
    tight = SITE.model_copy(update={"feeders": feeders})
    assert carried(tight, SNAPSHOT, MADE, 10.0) == MADE
    high = ruled(order("site", "cap_w", 400))
    for last in (frozenset[str](), frozenset({"p"})):
        low = carried(tight, SNAPSHOT, high, 10.0, last)
        assert caps(low) == {"": 300, "c": 300, "j": 300}
        assert not [v for v in verify(tight, SNAPSHOT, low, outdoor_c=10.0) if v.tier == "plant"]


def test_nothing_is_shed_where_the_limit_holds() -> None:
    assert shed(SITE, SNAPSHOT, MADE, 2.7, 10.0) is MADE


def test_batteries_are_charged_less_before_caps_are_shed_or_carried() -> None:
    """3 kW of charging beside 2.7 kW: what is above 4 kW the battery leaves, and above 2.5 kW caps give way as well."""
    battery = {"feeder": "main", "capacity_kwh": 10, "charge_kw": 5, "discharge_kw": 5}
    feeders = {"main": {"rating_kw": 4.0, "worst_case_margin": 1.0}}
    site = Site.model_validate(SITE.model_dump(exclude_unset=True) | {"batteries": {"x": battery}})
    tight = Site.model_validate(site.model_dump(exclude_unset=True) | {"feeders": feeders})
    made = replace(MADE, batteries=(BatteryOrder("x", 3.0),))
    some, none = (shed(site, SNAPSHOT, made, kw, 10.0) for kw in (4.0, 2.5))
    assert caps(some) == caps(made)
    assert expected_kw(site, some, SNAPSHOT, 10.0)["main"] == pytest.approx(4.0, abs=0.01)
    assert none.batteries[0].power_kw == 0.0
    assert caps(none) != caps(made)
    low = carried(tight, SNAPSHOT, made, 10.0)
    assert caps(low) == caps(made)
    assert low.batteries[0].power_kw == pytest.approx(4.0 - 2.8, abs=0.01)
