"""The second opinion fires where a limit is passed by the least step and is silent where it just holds.

One small site carries most cases. Its pool `p` has 10 GPUs (100 to 400 W, idle 50 W; hosts 20 W idle, 40 W busy) on feeder
`pdu` in hall `h` (base 2 kW). The rental `c` has 6 GPUs at 200 W, where they draw 190 W; job `j` has 2 at 400 W, drawing 390 W:

    IT       6 * (190 + 40) + 2 * (390 + 40) + 2 idle * (50 + 20)        = 2.380 kW
    heat     2.380 + 2 base + (10 - 24) degC / 14 K/kW                   = 3.380 kW
    cooling  free at 10 degC; pumps 0.2, fans 0.15 (their least), 0.5    = 0.850 kW
    pdu      2.380 + 2                                                   = 4.380 kW
    main     (4.380 + 0.850) * 1.02                                      = 5.3346 kW
    worst    6 * 200 + 2 * 400 + 2 * 100 + 10 * 40 W = 2.6 kW; pdu 4.6;  main (4.6 + 0.85) * 1.02 = 5.559 kW
"""

from __future__ import annotations

import ast
import copy
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facility.verify as room
from facility.decision import BatteryOrder, CapGroup, CoolingOrder, Decision, GensetOrder, JobOrder, PoolCaps, SolarOrder
from facility.site import Pool, Site
from facility.snapshot import Job, Snapshot
from facility.verify import expected_kw, fallback_caps, fits, highest_cap, steady_cooling_kw, verify
from facility.verify.loads import most_heat_kw, worst_pool_kw

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
POINTS = [
    {"cap_w": 100, "draw_w": 100, "speed": 0.2},
    {"cap_w": 200, "draw_w": 190, "speed": 0.6},
    {"cap_w": 400, "draw_w": 390, "speed": 1},
]
FIGURES: dict[str, Any] = {
    "id": "s", "name": "s", "timezone": "Europe/Berlin", "currency": "EUR",
    "grid": {"import_limit_kw": 100}, "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": {
        "min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": {"points": POINTS, "source": "by hand"}}}},
    "feeders": {"main": {"rating_kw": 100, "loss_share": 0.02}, "pdu": {"rating_kw": 100, "parent": "main"}},
    "halls": {"h": {"feeder": "pdu", "base_kw": 2, "thermal": {
        "heat_capacity_kwh_per_k": 10, "resistance_k_per_kw": 14, "start_c": 24, "cooling_plant": "plant"}}},
    "cooling_plants": {"plant": {
        "feeder": "main", "design_heat_kw": 10, "max_heat_kw": 20, "pump_kw": 1, "fan_kw": 1, "misc_kw": 0.5}},
    "pools": {"p": {"hall": "h", "feeder": "pdu", "gpu_model": "g", "gpus": 10, "host_idle_w": 20, "host_run_w": 40}},
    "batteries": {"b": {"feeder": "pdu", "capacity_kwh": 10, "charge_kw": 4, "discharge_kw": 3,
        "efficiency": 0.9, "min_share": 0.1}},
    "tenants": {"t": {"name": "T"}},
    "contracts": {"c": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 6, "curve": "train", "floor_speed": 0.5}},
    "jobs": {"curve": "train"},
}  # fmt: skip
JOB = Job("j", "p", "train", 2, 10.0, NOW, NOW + timedelta(hours=8))
SNAPSHOT = Snapshot(NOW, jobs=(JOB,))


def site_with(**changes: Any) -> Site:
    """Return the small site with some keys changed: `feeders__pdu__rating_kw=5`."""
    figures = copy.deepcopy(FIGURES)
    for path, value in changes.items():
        *parents, last = path.split("__")
        part = figures
        for key in parents:
            part = part[key]
        part[last] = value
    return Site.model_validate(figures)


def caps(firm: int = 6, firm_w: Any = 200, job: int = 2, job_w: Any = 400, rest_w: Any = 100) -> PoolCaps:
    """Return the caps of pool `p`."""
    return PoolCaps("p", rest_w, (CapGroup("c", firm, firm_w), CapGroup("j", job, job_w)))


def decision(pool: PoolCaps | None = None, **changes: Any) -> Decision:
    """Return the decision of the module's docstring, valid for a quarter of an hour, with some fields changed."""
    whole = Decision(NOW, NOW + timedelta(minutes=15), (pool or caps(),), (JobOrder("j", "run", 2),))
    return replace(whole, **changes)


def broken(site: Site, made: Decision, snapshot: Snapshot = SNAPSHOT, **more: Any) -> set[str]:
    """Return the names of the rules that fire at 10 degC."""
    return {violation.rule for violation in verify(site, snapshot, made, **{"outdoor_c": 10.0} | more)}


def test_the_decision_derived_by_hand_is_accepted_and_its_feeders_carry_what_was_derived() -> None:
    assert verify(site_with(), SNAPSHOT, decision(), outdoor_c=10.0) == ()
    assert expected_kw(site_with(), decision(), SNAPSHOT, 10.0) == pytest.approx({"pdu": 4.38, "main": 5.3346})


def test_the_second_opinion_imports_nothing_of_the_model() -> None:
    for file in Path(str(room.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
            assert not any(module.split(".")[0] == "models" for module in modules), file


@pytest.mark.parametrize(
    ("change", "holds", "fires", "rule"),
    [
        ("feeders__pdu__rating_kw", 4.6, 4.599, "feeder.worst_case"),
        ("feeders__pdu__worst_case_margin", 0.046, 0.0459, "feeder.worst_case"),
        ("feeders__main__rating_kw", 5.559, 5.558, "feeder.worst_case"),
        ("grid__import_limit_kw", 5.3346, 5.3345, "grid.limit"),
        ("cooling_plants__plant__max_heat_kw", 3.38, 3.379, "cooling.removes_heat"),
        ("contracts__c__floor_speed", 0.6, 0.60001, "firm.floor"),
    ],
)
def test_a_limit_of_the_site_holds_at_the_derived_amount_and_fires_just_below(
    change: str, holds: float, fires: float, rule: str
) -> None:
    assert broken(site_with(**{change: holds}), decision()) == set()
    assert broken(site_with(**{change: fires}), decision()) == {rule}


def test_expected_power_above_a_rating_fires_where_the_worst_case_does_not() -> None:
    """A curve that draws 1 W above its cap: 10 GPUs at 100 W expect 10 * (101 + 40) W + 2 kW = 3.41 kW, at worst 3.40 kW."""
    points = [{"cap_w": 100, "draw_w": 101, "speed": 1}]
    change = {"gpu_models__g__curves__train__points": points, "contracts__c__gpus": 10}
    made = decision(PoolCaps("p", 100, (CapGroup("c", 10, 100),)), jobs=())
    assert broken(site_with(feeders__pdu__rating_kw=3.41, **change), made) == set()
    assert broken(site_with(feeders__pdu__rating_kw=3.409, **change), made) == {"feeder.carries"}


@pytest.mark.parametrize(("low", "high"), [(100, 400)])
def test_caps_hold_at_both_ends_of_the_settable_range_and_fire_one_watt_outside(low: int, high: int) -> None:
    for cap_w in (low, high):
        assert broken(site_with(contracts__c__floor_speed=0), decision(caps(firm_w=cap_w, rest_w=cap_w))) == set()
    for cap_w in (low - 1, high + 1):
        assert broken(site_with(), decision(caps(firm_w=cap_w))) == {"cap.range"}
        assert broken(site_with(), decision(caps(rest_w=cap_w))) == {"cap.range"}


def test_caps_between_the_settable_ones_fire() -> None:
    coarse = site_with(gpu_models__g__power_step_w=25, contracts__c__floor_speed=0)
    for cap_w in (125, 150):
        assert broken(coarse, decision(caps(firm_w=cap_w, rest_w=cap_w))) == set()
    for cap_w in (124, 130):
        assert broken(coarse, decision(caps(firm_w=cap_w))) == {"cap.step"}
        assert broken(coarse, decision(caps(rest_w=cap_w))) == {"cap.step"}


def test_fallback_and_highest_caps_are_settable() -> None:
    """80 % of 7 kW are reached at 320 W, of steps of 25 W at 300 W; 5 kW less 2.4 kW are 260 W a GPU."""
    coarse = site_with(gpu_models__g__power_step_w=25, feeders__pdu__rating_kw=7)
    assert fallback_caps(coarse) == {"p": 300}
    assert highest_cap(site_with(feeders__pdu__rating_kw=5), decision(), "p", 10.0) == 260
    assert highest_cap(site_with(feeders__pdu__rating_kw=5, gpu_models__g__power_step_w=25), decision(), "p", 10.0) == 250


def test_groups_may_fill_a_pool_and_not_pass_it_by_one_gpu() -> None:
    """6 of the rental and 4 of the job are all 10."""
    wide, order = replace(SNAPSHOT, jobs=(replace(JOB, gpus=5, elastic=True),)), (JobOrder("j", "run", 5),)
    assert broken(site_with(), decision(caps(job=4), jobs=order), wide) == set()
    assert broken(site_with(), decision(caps(job=5), jobs=order), wide) == {"pool.holds"}


def test_every_pool_is_sent_exactly_one_message() -> None:
    for pools in ((), (caps(), caps()), (caps(), PoolCaps("elsewhere", 100))):
        assert broken(site_with(), decision(pools=pools)) == {"pool.once"}


@pytest.mark.parametrize("at_fault", [math.nan, math.inf, 200.0, True, None, "200"])
def test_a_cap_that_is_no_whole_number_is_a_violation_and_no_exception(at_fault: Any) -> None:
    assert broken(site_with(), decision(caps(firm_w=at_fault))) == {"cap.whole"}
    assert broken(site_with(), decision(caps(rest_w=at_fault))) == {"cap.whole"}


@pytest.mark.parametrize("at_fault", [math.nan, math.inf, -math.inf, 10**400])
def test_what_is_no_finite_number_is_a_violation_wherever_it_stands(at_fault: Any) -> None:
    site, made = site_with(), decision()
    assert broken(site, made, outdoor_c=at_fault) == {"number.finite"}
    assert broken(site, made, sent_cap_w={"p": at_fault}) == {"number.finite"}
    assert broken(site, decision(import_limit_kw=at_fault)) == {"number.finite"}
    assert broken(site, decision(batteries=(BatteryOrder("b", at_fault),))) == {"number.finite"}
    assert broken(site, decision(cooling=(CoolingOrder("plant", (("h", at_fault),)),))) == {"number.finite"}
    assert broken(site, decision(jobs=(JobOrder("j", "run", at_fault),))) == {"job.size"}
    assert broken(site, decision(caps(job=at_fault))) == {"group.size"}
    for field in ("hall_c", "battery_kwh", "pool_kw", "cooling_kw", "feeder_kw"):
        seen: Any = {field: {"x": at_fault}}
        assert broken(site, made, replace(SNAPSHOT, **seen)) == {"number.finite"}
    for field in ("outdoor_c", "import_kw", "peak_so_far_kw"):
        assert broken(site, made, replace(SNAPSHOT, **{field: at_fault})) == {"number.finite"}
    assert fits(site, {"p": 100}, at_fault)[0].rule == "number.finite"


def test_a_decision_ends_after_it_starts_and_knows_its_zone() -> None:
    assert broken(site_with(), decision(until=NOW + timedelta(microseconds=1))) == set()
    assert broken(site_with(), decision(until=NOW)) == {"decision.interval"}
    assert broken(site_with(), decision(at=NOW.replace(tzinfo=None))) == {"decision.interval"}


def test_groups_are_of_rentals_and_jobs_of_that_pool() -> None:
    stranger = PoolCaps("p", 100, (*caps().groups, CapGroup("nobody", 1, 100)))
    assert broken(site_with(), decision(stranger)) == {"group.known"}
    moved = replace(SNAPSHOT, jobs=(replace(JOB, pool="elsewhere"),))
    assert broken(site_with(), decision(), moved) == {"group.known"}


def test_a_movable_job_runs_in_one_of_its_pools_at_a_time() -> None:
    site = site_with(pools={"p": FIGURES["pools"]["p"], "q": FIGURES["pools"]["p"]})
    firm = tuple(group for group in caps().groups if group.workload == "c")
    inside = CapGroup("j", JOB.gpus, 100)
    movable = replace(SNAPSHOT, jobs=(replace(JOB, other_pools=("q",)),))
    there = decision(pools=(PoolCaps("p", 100, firm), PoolCaps("q", 100, (inside,))))
    assert broken(site, there, movable) == set()
    assert "group.known" in broken(site, there)
    both = decision(pools=(caps(), PoolCaps("q", 100, (inside,))))
    assert broken(site, both, movable) >= {"job.one_pool"}


def test_a_rental_runs_in_its_own_pool_only() -> None:
    pools = {"p": FIGURES["pools"]["p"], "q": FIGURES["pools"]["p"]}
    astray = PoolCaps("q", 100, (CapGroup("c", 1, 100),))
    assert broken(site_with(pools=pools), decision(pools=(caps(), PoolCaps("q", 100)))) == set()
    assert broken(site_with(pools=pools), decision(pools=(caps(), astray))) == {"group.known"}


def test_a_rental_that_may_not_pause_has_exactly_its_gpus_and_one_that_may_has_no_more() -> None:
    assert broken(site_with(contracts__c__floor_speed=0), decision(caps(firm=5))) == {"firm.gpus"}
    assert broken(site_with(), decision(caps(firm=7))) == {"firm.gpus"}
    pausable = site_with(contracts__c__pausable=True, contracts__c__floor_speed=0)
    assert broken(pausable, decision(caps(firm=5))) == set()
    assert broken(pausable, decision(caps(firm=7))) == {"firm.gpus"}


def test_a_service_has_the_gpus_that_its_hours_ask_for_and_its_floor_is_of_those() -> None:
    """At 12:00 UTC it is 14 in Berlin; a step of an hour and a quarter reaches into 15, where six are needed."""
    demand = [0] * 14 + [4, 6] + [0] * 8
    service = site_with(contracts__c__demand_by_hour_gpus=demand)
    assert broken(service, decision(caps(firm=4))) == set()
    assert broken(service, decision(caps(firm=4, firm_w=174))) == {"firm.floor"}  # 0.496; at 175 W 0.5
    assert broken(service, decision(caps(firm=5))) == {"firm.gpus"}
    assert broken(service, decision(caps(firm=3, firm_w=300))) == {"firm.gpus"}
    assert broken(service, decision(caps(firm=4, firm_w=300), first_step_s=4500.0)) == {"firm.gpus"}
    assert broken(service, decision(caps(firm=6), first_step_s=4500.0)) == set()
    silent = site_with(contracts__c__demand_by_hour_gpus=[0] * 24)
    assert broken(silent, decision(PoolCaps("p", 100, (CapGroup("j", 2, 400),)))) == set()


def test_gpus_that_are_out_do_no_work_and_draw_nothing_where_they_are_out_for_the_whole_step() -> None:
    """Two of the ten leave at 12:00 for half an hour: the eight that work fit. Without two idle ones the worst case, 4.6 kW, is
    0.28 kW less, 2 * (100 + 40) W; for a step of an hour they count as idle again. Three out are one too many.
    """
    def out(gpus: int, minutes: int = 30) -> Site:
        window = {"pool": "p", "gpus": gpus, "start": NOW.isoformat(), "end": (NOW + timedelta(minutes=minutes)).isoformat()}
        return site_with(maintenance={"m": window}, feeders__pdu__rating_kw=4.33)

    assert broken(site_with(feeders__pdu__rating_kw=4.33), decision()) >= {"feeder.worst_case"}
    assert broken(out(2), decision()) == set()
    assert broken(out(2), decision(first_step_s=3600.0)) >= {"feeder.worst_case"}
    assert broken(out(3), decision()) == {"pool.maintenance"}
    told = verify(out(3), SNAPSHOT, decision(), outdoor_c=10.0)[0]
    assert (told.asset, told.amount, told.allowed, told.tier) == ("p", 8.0, 7.0, "contract")


def test_a_window_that_a_decision_begins_is_one_that_the_site_leaves_open() -> None:
    window = {"pool": "p", "gpus": 2, "hours": 1, "earliest": NOW.isoformat(), "latest": (NOW + timedelta(hours=2)).isoformat()}
    site = site_with(maintenance={"m": window}, feeders__pdu__rating_kw=4.33)
    assert broken(site, decision()) == {"feeder.worst_case", "feeder.carries"}
    assert broken(site, decision(maintenance=("m",))) == set()
    late = decision(at=NOW + timedelta(hours=1.5), until=NOW + timedelta(hours=1.75), maintenance=("m",))
    assert "maintenance.open" in broken(site, late)
    assert "maintenance.open" in broken(site, decision(maintenance=("n",)))


def test_slow_hours_count_by_the_share_of_the_slowdown_and_end_with_the_budget() -> None:
    """Speed 0.6 withholds 0.4 of the half that twice slower may: a quarter of an hour at 0.8 is 0.2 h, so 0.8 h may be gone."""
    def used(hours: float) -> Snapshot:
        return replace(SNAPSHOT, slow_hours_used={"c": hours})

    granted = site_with(contracts__c__greatest_slowdown=2, contracts__c__slow_hours=1)
    assert broken(granted, decision()) == broken(granted, decision(), used(0.8)) == set()
    assert broken(granted, decision(), used(0.801)) == broken(granted, decision(), used(3.0)) == {"firm.budget"}
    assert broken(granted, decision(caps(firm_w=400)), used(3.0)) == set()
    assert broken(granted, decision(first_step_s=4600.0)) == {"firm.budget"}
    assert broken(site_with(contracts__c__greatest_slowdown=2), decision(first_step_s=9e4)) == set()
    assert broken(granted, decision(), used(math.nan)) == {"number.finite"}


def test_a_tiers_greatest_slowdown_is_a_floor() -> None:
    """Speed 0.6: T2 may be twice slower, T5 1.5 times, 0.667; a key of the contract stands before its tier."""
    assert broken(site_with(contracts__c__tier="T2"), decision()) == set()
    assert broken(site_with(contracts__c__tier="T5"), decision()) == {"firm.floor"}
    assert broken(site_with(contracts__c__tier="T5", contracts__c__greatest_slowdown=1.7), decision()) == set()
    assert broken(site_with(contracts__c__tier="T0"), decision()) == {"firm.floor"}


def test_a_floor_is_on_the_mean_speed_and_its_breach_is_told_as_the_contracts() -> None:
    """3 GPUs at 100 W (0.2) and 3 at 300 W (0.8, half way from 0.6 to 1.0) run at 0.5 on average; 299 W takes 0.001 off."""
    for cap_w, rules in ((300, set()), (299, {"firm.floor"})):
        pool = PoolCaps("p", 100, (CapGroup("c", 3, 100), CapGroup("c", 3, cap_w), CapGroup("j", 2, 400)))
        assert broken(site_with(), decision(pool)) == rules
    told = verify(site_with(), SNAPSHOT, decision(pool), outdoor_c=10.0)[0]
    assert (told.tier, told.asset, told.allowed) == ("contract", "c", 0.5)
    assert told.amount == pytest.approx(0.499)


def test_jobs_run_inside_their_window_only() -> None:
    """The window is half-open: at its submission a job may run, at its deadline no more."""
    for submit, deadline, rules in (
        (NOW, NOW + timedelta(seconds=1), set()),
        (NOW + timedelta(seconds=1), NOW + timedelta(hours=1), {"job.window"}),
        (NOW - timedelta(hours=1), NOW, {"job.window"}),
    ):
        assert broken(site_with(), decision(), Snapshot(NOW, jobs=(replace(JOB, submit=submit, deadline=deadline),))) == rules


def test_a_rigid_job_runs_whole_or_not_and_an_elastic_one_up_to_its_size() -> None:
    assert broken(site_with(), decision(caps(job=1))) == {"job.rigid"}
    assert broken(site_with(), decision(caps(job=0), jobs=(JobOrder("j", "run", 1),))) == {"job.rigid"}
    elastic = replace(SNAPSHOT, jobs=(replace(JOB, elastic=True),))
    assert broken(site_with(), decision(caps(job=1)), elastic) == set()
    assert broken(site_with(), decision(caps(job=3), jobs=(JobOrder("j", "run", 3),)), elastic) == {"job.size"}
    assert broken(site_with(), decision(jobs=(JobOrder("j", "run", 1),)), elastic) == {"job.ordered"}


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({}, set()),
        ({"running_since": NOW - timedelta(minutes=59)}, {"job.min_run"}),
        ({"running_since": NOW - timedelta(minutes=60)}, set()),
        ({"running_since": NOW - timedelta(minutes=60), "min_run_h": 1.5}, {"job.min_run"}),
        ({"running_since": NOW - timedelta(minutes=1), "min_run_h": 0.0}, set()),
        ({"running_since": NOW - timedelta(minutes=1), "elastic": True}, set()),
        ({"running_since": NOW - timedelta(minutes=1), "running": False}, set()),
        ({"running_since": NOW - timedelta(minutes=1), "deadline": NOW}, set()),
    ],
)
def test_a_job_is_not_held_before_it_has_run_for_its_minimum(changes: dict[str, Any], rules: set[str]) -> None:
    """An hour at this site, of a rigid job of which somebody knows since when it runs; one that is told to run may."""
    site, running = site_with(jobs__min_run_h=1), Snapshot(NOW, jobs=(replace(JOB, **{"running": True} | changes),))
    assert broken(site, decision(caps(job=0), jobs=(JobOrder("j", "hold", 2),)), running) == rules
    assert "job.min_run" not in broken(site, decision(), running)


def test_a_held_job_has_no_gpus_and_orders_are_for_known_jobs_once_each() -> None:
    hold = (JobOrder("j", "hold", 0),)
    assert broken(site_with(), decision(caps(job=0), jobs=hold)) == set()
    assert broken(site_with(), decision(jobs=hold)) == {"job.holds"}
    assert broken(site_with(), decision(jobs=(JobOrder("j", "run", 2), JobOrder("k", "run", 0)))) == {"job.known"}
    assert broken(site_with(), decision(jobs=(JobOrder("j", "run", 2),) * 2)) == {"order.once"}


def backed(spare_kw: float, **changes: Any) -> Site:
    """Return the small site where `pdu` and an empty feeder `spare` back each other."""
    group = {"parent": "main", "redundancy_group": "ab"}
    feeders = {"main": FIGURES["feeders"]["main"], "pdu": {"rating_kw": 100, **group}, "spare": {"rating_kw": spare_kw, **group}}
    return site_with(feeders=feeders, **changes)


def test_without_the_largest_feeder_of_a_group_the_others_carry_the_worst_case_whatever_message_is_lost() -> None:
    """4.6 kW at worst are under `pdu`, 5.8 kW where any of the old caps below may still be in force."""
    assert broken(backed(4.6), decision()) == set()
    assert broken(backed(4.599), decision()) == {"redundancy.worst_case"}
    old = PoolCaps("p", 100, (CapGroup("c", 5, 400),))
    assert broken(backed(5.8), decision(), sent_cap_w={"p": old}) == set()
    assert broken(backed(5.799), decision(), sent_cap_w={"p": old}) == {"redundancy.worst_case"}
    assert broken(backed(5.0), decision(), sent_cap_w={"p": 400}) == set()


def test_without_the_largest_feeder_of_a_group_the_others_carry_what_is_expected() -> None:
    """3.41 kW, as derived above for a curve that draws above its cap."""
    points = [{"cap_w": 100, "draw_w": 101, "speed": 1}]
    change = {"gpu_models__g__curves__train__points": points, "contracts__c__gpus": 10}
    made = decision(PoolCaps("p", 100, (CapGroup("c", 10, 100),)), jobs=())
    assert broken(backed(3.41, **change), made) == set()
    assert broken(backed(3.409, **change), made) == {"redundancy.carries"}


def test_caps_that_hold_by_themselves_hold_in_a_group_that_loses_a_feeder() -> None:
    """2 kW of base and ten GPUs at 200 + 40 W are 4.4 kW, 80 % of 5.5 kW."""
    assert fallback_caps(backed(5.5)) == {"p": 200}
    assert highest_cap(backed(4.4), decision(), "p", 10.0) == 200
    assert [v.rule for v in fits(backed(4.399), {"p": 200}, 10.0)] == ["redundancy.worst_case"]


def test_a_lost_message_leaves_the_old_cap_and_the_mixture_must_fit() -> None:
    """Old are 5 * 400 and 5 * 100 W, new 2 * 400, 6 * 200 and 2 * 100 W; of all, the ten highest are 7 * 400 and 3 * 200 W.

    That is 3.4 kW + 0.4 + 2 = 5.8 kW on the feeder, while the new caps alone need 4.6 and the old ones 4.9 kW.
    """
    old = PoolCaps("p", 100, (CapGroup("c", 5, 400),))
    assert broken(site_with(feeders__pdu__rating_kw=5.8), decision(), sent_cap_w={"p": old}) == set()
    assert broken(site_with(feeders__pdu__rating_kw=5.799), decision(), sent_cap_w={"p": old}) == {"feeder.worst_case"}
    assert broken(site_with(feeders__pdu__rating_kw=5.799), decision(), sent_cap_w={"p": (100, old)}) == {"feeder.worst_case"}


def test_a_decrease_is_not_refused_for_the_height_it_starts_from() -> None:
    """All GPUs at 400 W are 6.4 kW on a feeder of 5 kW: too many already, and this decision makes it no worse."""
    assert broken(site_with(feeders__pdu__rating_kw=5), decision(), sent_cap_w={"p": 400}) == set()


def test_in_the_worst_case_cooling_is_that_of_the_decisions_own_heat() -> None:
    """At 38 degC heat is 2.38 + 2 + 1 = 5.38 kW, COP 3.85, load 0.538: cooling 1.397403 + 0.289444 + 0.155721 + 0.5 kW.

    With the 4.6 kW at worst under `pdu`, main carries (4.6 + 2.342567) * 1.02 = 7.081419 kW.
    """
    assert broken(site_with(feeders__main__rating_kw=7.08143), decision(), outdoor_c=38.0) == set()
    assert broken(site_with(feeders__main__rating_kw=7.08141), decision(), outdoor_c=38.0) == {"feeder.worst_case"}


def test_a_plant_draws_no_more_than_for_the_heat_it_can_remove() -> None:
    """1 kW is all it removes, at full pumps and fans: 1 + 1 + 0.5 kW; main is (4.38 + 2.5) * 1.02 kW."""
    site = site_with(cooling_plants__plant__design_heat_kw=1, cooling_plants__plant__max_heat_kw=1)
    assert expected_kw(site, decision(), SNAPSHOT, 10.0)["main"] == pytest.approx(7.0176)


MESSAGES = st.builds(
    lambda groups, rest_w: PoolCaps("p", rest_w, tuple(CapGroup("c", gpus, cap_w) for gpus, cap_w in groups)),
    st.lists(st.tuples(st.integers(1, 3), st.integers(100, 400)), max_size=3),
    st.integers(100, 400),
)


@settings(max_examples=100, deadline=None)
@given(MESSAGES, MESSAGES, st.permutations(range(10)))
def test_the_worst_case_of_two_messages_bounds_every_mixture_and_some_mixture_reaches_it(
    old: PoolCaps, new: PoolCaps, which: list[int]
) -> None:
    def by_gpu_w(sent: PoolCaps) -> list[int]:
        grouped = [group.cap_w for group in sent.groups for _ in range(group.gpus)]
        return sorted(grouped + [sent.cap_w] * (10 - len(grouped)))

    worst_w = worst_pool_kw(Pool.model_validate(FIGURES["pools"]["p"]), (old, new)) * 1000 - 10 * 40
    assert sum(max(a, by_gpu_w(new)[i]) for a, i in zip(by_gpu_w(old), which, strict=True)) <= worst_w + 1e-6
    assert sum(map(max, by_gpu_w(old), reversed(by_gpu_w(new)))) == pytest.approx(worst_w)


def test_each_feed_keeps_its_limit_and_the_sum_the_sites() -> None:
    """5.3346 kW are expected on `main`, nothing on a root beside it."""
    feeders = FIGURES["feeders"] | {"other": {"rating_kw": 9}}
    for north_kw, south_kw, rules in ((5.3346, 0.1, set()), (5.3345, 0.1, {"grid.feed"})):
        feeds = {
            "north": {"feeder": "main", "import_limit_kw": north_kw},
            "south": {"feeder": "other", "import_limit_kw": south_kw},
        }
        assert broken(site_with(feeders=feeders, grid__feeds=feeds), decision()) == rules
    assert broken(site_with(feeders=feeders, grid__feeds=feeds, grid__import_limit_kw=5.3345), decision()) == {"grid.feed", "grid.limit"}


def test_a_charging_battery_loads_its_feeder_and_a_discharging_one_helps_only_what_is_expected() -> None:
    """Charging 4 kW: worst 4.6 + 4 = 8.6 kW. Giving 3 kW: expected 4.38 - 3 = 1.38 kW, worst still 4.6 kW."""
    charge, give = (decision(batteries=(BatteryOrder("b", kw),)) for kw in (4.0, -3.0))
    assert broken(site_with(feeders__pdu__rating_kw=8.6), charge) == set()
    assert broken(site_with(feeders__pdu__rating_kw=8.599), charge) == {"feeder.worst_case"}
    assert expected_kw(site_with(), give, SNAPSHOT, 10.0)["pdu"] == pytest.approx(1.38)
    assert broken(site_with(feeders__pdu__rating_kw=4.599), give) == {"feeder.worst_case"}


@pytest.mark.parametrize(("kw", "just_over_kw"), [(4.0, 4.001), (-3.0, -3.001)])
def test_a_battery_gives_and_takes_its_power_and_no_more(kw: float, just_over_kw: float) -> None:
    assert broken(site_with(), decision(batteries=(BatteryOrder("b", kw),))) == set()
    assert broken(site_with(), decision(batteries=(BatteryOrder("b", just_over_kw),))) == {"battery.power"}
    assert broken(site_with(), decision(batteries=(BatteryOrder("elsewhere", kw),))) == {"battery.known"}


@pytest.mark.parametrize(("kw", "stored_kwh", "step_kwh"), [(4.0, 9.1, 0.001), (-3.0, 1 + 0.75 / 0.9, -0.001)])
def test_a_battery_ends_between_its_least_energy_and_its_capacity(kw: float, stored_kwh: float, step_kwh: float) -> None:
    """A quarter of an hour at 4 kW stores 0.9 kWh, at -3 kW it takes 0.75 / 0.9 kWh; between 1 and 10 kWh may be stored."""
    made = decision(batteries=(BatteryOrder("b", kw),))
    assert broken(site_with(), made, replace(SNAPSHOT, battery_kwh={"b": stored_kwh})) == set()
    assert broken(site_with(), made, replace(SNAPSHOT, battery_kwh={"b": stored_kwh + step_kwh})) == {"battery.energy"}


def test_a_battery_is_not_discharged_into_what_carries_the_worst_case_for_its_ride_through() -> None:
    """4.6 kW for 15 min are 1.15 kWh. 3.1112 - 0.75 / 0.9 given - 1 never used, times 0.9, are just enough; resting is always."""
    site, give = site_with(batteries__b__ride_through_min=15), decision(batteries=(BatteryOrder("b", -3.0),))
    assert broken(site, give, replace(SNAPSHOT, battery_kwh={"b": 3.1112})) == set()
    assert broken(site, give, replace(SNAPSHOT, battery_kwh={"b": 3.1111})) == {"battery.ride_through"}
    assert broken(site, decision(batteries=(BatteryOrder("b", 0.0),)), replace(SNAPSHOT, battery_kwh={"b": 1.0})) == set()
    other = site_with(batteries__b__ride_through_min=15, batteries__b__ride_through_feeder="main")
    assert broken(other, give, replace(SNAPSHOT, battery_kwh={"b": 3.1112})) == {"battery.ride_through"}


def generating(**changes: Any) -> Site:
    """Return the small site with a solar plant of 5 kW and a genset of 1 to 4 kW under `pdu`."""
    solar = {"roof": {"feeder": "pdu", "peak_kw": 5, "output_by_hour_kw_per_kwp": [0.5] * 24}}
    gensets = {"g": {"feeder": "pdu", "max_kw": 4, "min_load_share": 0.25, "fuel_price_per_mwh": 200}}
    return site_with(solar=solar, gensets=gensets, **changes)


def test_generation_lowers_what_is_expected_and_never_the_worst_case() -> None:
    """4.38 kW under `pdu` less 2 of the sun and 3 of fuel are -0.62: main takes 0.85 - 0.62, times 1.02."""
    made = decision(solar=(SolarOrder("roof", 2.0),), gensets=(GensetOrder("g", 3.0),))
    assert expected_kw(generating(), made, SNAPSHOT, 10.0) == pytest.approx({"pdu": -0.62, "main": 0.23 * 1.02})
    assert broken(generating(grid__import_limit_kw=0.2347), made) == set()
    assert broken(generating(grid__import_limit_kw=0.2345), made) == {"grid.limit"}
    assert broken(generating(feeders__pdu__rating_kw=4.599), made) == {"feeder.worst_case"}


def test_generation_stays_within_what_it_is_rated() -> None:
    for kw in (0.0, 1.0, 4.0):
        assert broken(generating(), decision(gensets=(GensetOrder("g", kw),))) == set()
    for kw in (-1.0, 0.999, 4.001):
        assert broken(generating(), decision(gensets=(GensetOrder("g", kw),))) == {"genset.power"}
    assert broken(generating(), decision(solar=(SolarOrder("roof", 5.0, 5.0),))) == set()
    for order in (SolarOrder("roof", 5.001), SolarOrder("roof", -0.001), SolarOrder("roof", 1.0, 5.001)):
        assert broken(generating(), decision(solar=(order,))) == {"solar.power"}
    assert broken(generating(), decision(gensets=(GensetOrder("x", 1.0),), solar=(SolarOrder("x", 1.0),))) == {"genset.known", "solar.known"}
    assert broken(generating(), decision(gensets=(GensetOrder("g", 1.0),) * 2)) == {"order.once"}
    assert broken(generating(), decision(gensets=(GensetOrder("g", math.nan),))) == {"number.finite"}


def test_a_battery_that_is_empty_already_may_rest_or_charge() -> None:
    for kw in (0.0, 1.0):
        assert (
            broken(site_with(), decision(batteries=(BatteryOrder("b", kw),)), replace(SNAPSHOT, battery_kwh={"b": 0.5})) == set()
        )


def test_a_hall_above_its_allowable_band_gets_no_more_power() -> None:
    """The decision gives the hall's pool 2.380 kW."""
    for hall_c, was_kw, rules in ((35.0, 2.0, set()), (35.1, 2.38, set()), (35.1, 2.379, {"hall.temperature"})):
        seen = replace(SNAPSHOT, hall_c={"h": hall_c}, pool_kw={"p": was_kw})
        assert broken(site_with(), decision(), seen) == rules
    assert broken(site_with(), decision(), replace(SNAPSHOT, hall_c={"h": 35.1})) == {"hall.temperature"}


def test_the_limit_of_the_decision_counts_before_the_sites() -> None:
    assert broken(site_with(grid__import_limit_kw=5), decision(import_limit_kw=5.3346)) == set()
    told = verify(site_with(), SNAPSHOT, decision(import_limit_kw=5.3345), outdoor_c=10.0)
    assert [(v.rule, v.tier, v.allowed) for v in told] == [("grid.limit", "grid", 5.3345)]


def test_a_grid_event_counts_beside_the_limit() -> None:
    assert broken(site_with(), decision(event_target_kw=5.3346)) == set()
    told = verify(site_with(), SNAPSHOT, decision(event_target_kw=5.3345), outdoor_c=10.0)
    assert [(v.rule, v.tier, v.allowed) for v in told] == [("grid.event", "grid", 5.3345)]
    assert broken(site_with(), decision(event_target_kw=float("nan"))) == {"number.finite"}


def test_a_daily_window_limits_a_decision_that_reaches_into_it() -> None:
    """12:00 UTC is 14:00 in Berlin in July; the decision lasts until 14:15."""
    for start, rules in (("14:15", set()), ("14:14", {"grid.limit"})):
        window = {"from_local": start, "to_local": "24:00", "import_limit_kw": 5}
        assert broken(site_with(grid__limit_windows=[window]), decision()) == rules
    window = {"from_local": "10:00", "to_local": "14:00", "import_limit_kw": 5}
    assert broken(site_with(grid__limit_windows=[window]), decision()) == set()


def test_what_flows_back_through_a_feeder_loses_too() -> None:
    """8 kW given under 4.38 kW of load leave 3.62 kW, of which a feeder with 10 % of losses passes 3.258 kW."""
    site = site_with(feeders__pdu__loss_share=0.1, batteries__b__discharge_kw=8)
    assert expected_kw(site, decision(batteries=(BatteryOrder("b", -8.0),)), SNAPSHOT, 10.0)["pdu"] == pytest.approx(-3.258)


def test_what_is_given_back_holds_at_the_export_limit_and_fires_just_above() -> None:
    """8 kW given under 4.38 kW of load leave 3.62 kW, of which cooling takes 0.85 kW and losses 2 % of the rest: 2.7146 kW."""
    site = site_with(batteries__b__discharge_kw=8)
    given = decision(batteries=(BatteryOrder("b", -8.0),))
    export_kw = -expected_kw(site, given, SNAPSHOT, 10.0)["main"]
    assert export_kw == pytest.approx(2.7146)
    assert broken(site, given) == set()
    assert broken(site_with(batteries__b__discharge_kw=8, grid__export_limit_kw=export_kw), given) == set()
    assert broken(site_with(batteries__b__discharge_kw=8, grid__export_limit_kw=export_kw - 1e-3), given) == {"grid.export"}


def test_the_published_plant_reaches_its_published_pue() -> None:
    """1,400 kW of IT: 1.082 at 12 degC, 1.212 at 20, 1.304 at 25, 1.349 at 40 (Sun et al. 2020, Zhao et al. 2024)."""
    plant = {"feeder": "main", "design_heat_kw": 1400, "max_heat_kw": 1400, "pump_kw": 60, "fan_kw": 30, "misc_kw": 25}
    site = site_with(cooling_plants__plant=plant)
    pue = [round(1 + steady_cooling_kw(site, "plant", 1400.0, outdoor_c) / 1400, 3) for outdoor_c in (12.0, 20.0, 25.0, 40.0)]
    assert pue == [1.082, 1.212, 1.304, 1.349]
    assert steady_cooling_kw(site, "plant", 70.0, 25.0) == pytest.approx(140 / 4.5 + 60 * 0.2 + 30 * 0.15 + 25)
    assert steady_cooling_kw(site, "plant", 1400.0, 90.0) == pytest.approx(1400 / 1.5 + 60 + 30 + 25)


def test_a_plants_stages_are_loaded_best_first_and_its_capacity_falls_with_the_heat_outside() -> None:
    """20 kW of heat, at 35 degC 15: 10 at COP 6 - 0.5 and 5 at COP 4 - 0.5, pumps (15 / 10)^2, fans (15 / 10)^3, 0.5 always."""
    stages = [{"max_heat_kw": 10, "cop_at_25c": 4}, {"max_heat_kw": 10, "cop_at_25c": 6}]
    capacity = [{"outdoor_c": 25, "share": 1}, {"outdoor_c": 45, "share": 0.5}]
    site = site_with(cooling_plants__plant__stages=stages, cooling_plants__plant__capacity_by_outdoor=capacity)
    plant = site.cooling_plants["plant"]
    assert [most_heat_kw(plant, outdoor_c) for outdoor_c in (-5, 25, 35, 45, 60)] == pytest.approx([20, 20, 15, 10, 10])
    staged_kw = steady_cooling_kw(site, "plant", 15.0, 35.0)
    assert staged_kw == pytest.approx(10 / 5.5 + 5 / 3.5 + 1.5**2 + 1.5**3 + 0.5)
    assert steady_cooling_kw(site, "plant", 0.5, 35.0) == pytest.approx(1 / 5.5 + 0.2 + 0.15 + 0.5)  # at the minimum load


@pytest.mark.parametrize(("share", "rules"), [(0.1691, set()), (0.1689, {"cooling.removes_heat"})])
def test_a_plant_is_judged_by_what_it_removes_in_the_weather(share: float, rules: set[str]) -> None:
    """3.38 kW of heat are a share of 0.169 of 20 kW."""
    assert broken(site_with(cooling_plants__plant__capacity_by_outdoor=[{"outdoor_c": 10, "share": share}]), decision()) == rules


def test_the_heat_of_chips_goes_to_the_loops_plant_and_the_rest_to_the_halls() -> None:
    """80 % of 2.38 kW of IT are 1.904 kW to a plant of 2 kW design; the hall keeps 0.476 + 2 - 1 = 1.476 kW.

    Air: pumps, fans and 0.5 at their least, 0.85 kW. Water: pumps 0.5 * (1.904 / 2)^2 = 0.453152, fans none, free at 10 degC.
    """
    wet = {"feeder": "main", "design_heat_kw": 2, "max_heat_kw": 2, "pump_kw": 0.5, "fan_kw": 0}

    def looped(**figures: Any) -> Site:
        thermal = FIGURES["halls"]["h"]["thermal"] | {"liquid_plant": "wet"}
        changes = {"halls__h__thermal": thermal, "pools__p__liquid_share": 0.8, "cooling_plants__wet": dict(wet)}
        return site_with(**changes, **{f"cooling_plants__{key}": value for key, value in figures.items()})

    assert expected_kw(looped(), decision(), SNAPSHOT, 10.0)["main"] == pytest.approx((4.38 + 0.85 + 0.453152) * 1.02)
    assert broken(looped(wet__max_heat_kw=1.905, plant__max_heat_kw=1.477), decision()) == set()
    assert broken(looped(wet__max_heat_kw=1.903), decision()) == {"cooling.removes_heat"}
    assert broken(looped(plant__max_heat_kw=1.475), decision()) == {"cooling.removes_heat"}


def tanked(store_kw: float | None, step_s: float = 900, **changes: Any) -> tuple[Site, Decision]:
    """Return a tank of 4 kWh that takes in 2 kW and gives 1 kW, and an order to it."""
    store = {"capacity_kwh": 4, "charge_kw": 2, "discharge_kw": 1, "loss_share_per_h": 0.19} | changes
    made = decision(cooling=(CoolingOrder("plant", (("h", 24.0),), store_kw),), first_step_s=step_s)
    return site_with(cooling_plants__plant__store=store), made


def test_a_tank_is_charged_by_its_plant_and_takes_heat_off_it() -> None:
    """At 30 degC heat is 2.38 + 2 + 6 / 14 = 4.8086 kW; the tank's charge comes on top at COP 4.25."""
    for store_kw in (2.0, -1.0):
        site, made = tanked(store_kw)
        heat_kw = 2.38 + 2 + 6 / 14 + store_kw
        pumps_fans_kw = max((heat_kw / 10) ** 2, 0.2) + max((heat_kw / 10) ** 3, 0.15)
        cooling_kw = heat_kw / 4.25 + pumps_fans_kw + 0.5
        assert expected_kw(site, made, SNAPSHOT, 30.0)["main"] == pytest.approx((4.38 + cooling_kw) * 1.02)
        assert broken(site, made, outdoor_c=30.0) == set()


@pytest.mark.parametrize(("kw", "just_over_kw"), [(2.0, 2.001), (-1.0, -1.001)])
def test_a_tank_gives_and_takes_its_power_and_no_more(kw: float, just_over_kw: float) -> None:
    assert broken(*tanked(kw)) == set()
    assert broken(*tanked(just_over_kw)) == {"tank.power"}


@pytest.mark.parametrize(
    ("store_kw", "holds_kwh", "fires_kwh"),
    [
        (2.0, 3 / 0.9 - 0.001, 3 / 0.9 + 0.001),  # 0.9 of it are left after 30 min, and 1 kWh comes to it
        (-1.0, 0.5 / 0.9 + 0.001, 0.5 / 0.9 - 0.001),  # and half a kWh goes
    ],
)
def test_a_tank_ends_between_nothing_and_its_capacity(store_kw: float, holds_kwh: float, fires_kwh: float) -> None:
    site, made = tanked(store_kw, step_s=1800)
    assert broken(site, made, replace(SNAPSHOT, thermal_store_kwh={"plant": holds_kwh})) == set()
    assert broken(site, made, replace(SNAPSHOT, thermal_store_kwh={"plant": fires_kwh})) == {"tank.energy"}


def test_orders_are_for_tanks_and_plants_of_the_site() -> None:
    def ordered(plant: str, store_kw: Any) -> Decision:
        return decision(cooling=(CoolingOrder(plant, (), store_kw),))

    assert broken(site_with(), ordered("plant", 1.0)) == {"tank.known"}
    assert broken(site_with(), ordered("elsewhere", None)) == {"plant.known"}
    assert broken(tanked(1.0)[0], ordered("plant", math.nan)) == {"number.finite"}


def test_whole_pool_caps_fit_up_to_the_margin() -> None:
    """10 * (320 + 40) W + 2 kW = 5.6 kW."""
    assert fits(site_with(feeders__pdu__rating_kw=5.6), {"p": 320}, 10.0) == ()
    assert [v.rule for v in fits(site_with(feeders__pdu__rating_kw=5.6), {"p": 321}, 10.0)] == ["feeder.worst_case"]
    half = site_with(feeders__pdu__rating_kw=11.2, feeders__pdu__worst_case_margin=0.5)
    assert (fits(half, {"p": 320}, 10.0), len(fits(half, {"p": 321}, 10.0))) == ((), 1)
    assert [v.rule for v in fits(site_with(), {}, 10.0)] == ["pool.once"]
    assert [v.rule for v in fits(site_with(), {"p": 401}, 10.0)] == ["cap.range"]


def test_fallback_caps_fill_80_percent_of_the_tightest_feeder() -> None:
    """80 % of 7 kW are 5.6 kW, reached at 320 W; a site's own value stands; what never fits gets the lowest cap."""
    assert fallback_caps(site_with(feeders__pdu__rating_kw=7)) == {"p": 320}
    assert fallback_caps(site_with(feeders__pdu__rating_kw=6.999)) == {"p": 319}
    assert fallback_caps(site_with(feeders__pdu__rating_kw=7, pools__p__fallback_cap_w=150)) == {"p": 150}
    assert fallback_caps(site_with(feeders__pdu__rating_kw=1)) == {"p": 100}
    assert fallback_caps(site_with()) == {"p": 400}


def test_fallback_caps_take_the_same_share_of_every_pools_range() -> None:
    """Half of 100..400 and of 200..700 W: 10 * (250 + 450) W + 20 * 40 W + 2 kW = 9.8 kW, 80 % of 12.25 kW."""
    figures = FIGURES["gpu_models"]
    models = figures | {"big": figures["g"] | {"min_cap_w": 200, "max_cap_w": 700}}
    pools = {"p": FIGURES["pools"]["p"], "q": FIGURES["pools"]["p"] | {"gpu_model": "big"}}
    assert fallback_caps(site_with(gpu_models=models, pools=pools, feeders__pdu__rating_kw=12.25)) == {"p": 250, "q": 450}


def test_fallback_caps_are_for_the_hottest_hour_of_the_design_day() -> None:
    """At 38 degC, 10 GPUs at 300 W: heat 3.4 + 2 + 14 / 14 = 6.4 kW, COP 4.5 - 0.05 * 13 = 3.85, load 0.64.

    Cooling is 6.4 / 3.85 + 0.4096 + 0.262144 + 0.5 = 2.834081663 kW; main
    (5.4 + 2.834081663) * 1.02 = 8.398763296 kW, 80 % of 10.49845412.
    """
    day = [10] * 23 + [38]
    assert fallback_caps(site_with(weather__outdoor_by_hour_c=day, feeders__main__rating_kw=10.49846)) == {"p": 300}
    assert fallback_caps(site_with(weather__outdoor_by_hour_c=day, feeders__main__rating_kw=10.49845)) == {"p": 299}


def test_the_highest_cap_is_accepted_and_one_watt_more_is_not() -> None:
    """10 * (300 + 40) W + 2 kW = 5.4 kW; charging at 1 kW leaves 200 W; nothing leaves room on a feeder of 1 kW."""
    assert highest_cap(site_with(feeders__pdu__rating_kw=5.4), decision(), "p", 10.0) == 300
    assert highest_cap(site_with(feeders__pdu__rating_kw=5.399), decision(), "p", 10.0) == 299
    assert highest_cap(site_with(feeders__pdu__rating_kw=5.4), decision(batteries=(BatteryOrder("b", 1.0),)), "p", 10.0) == 200
    assert highest_cap(site_with(feeders__pdu__rating_kw=1), decision(), "p", 10.0) == 100
    assert highest_cap(site_with(), decision(), "p", 10.0) == 400


def warming(by_k: float, step_s: float | None = 900) -> Decision:
    """Return the decision with an order that lets the hall warm from half of `by_k` below 24 degC to half of it above."""
    return decision(cooling=(CoolingOrder("plant", (("h", 24 + by_k / 2),)),), first_step_s=step_s)


def test_a_hall_that_warms_takes_up_heat_that_its_plant_need_not_remove() -> None:
    """0.02 K in a quarter of an hour around 24 degC store 10 * 0.02 * 4 = 0.8 kW: 3.38 - 0.8 = 2.58 kW are to be removed.

    At 38 degC, COP 3.85, steady: heat 5.38, cooling 5.38 / 3.85 + 0.289444 + 0.155720872 + 0.5; warming: heat 4.58, cooling
    4.58 / 3.85 + 0.209764 + 0.15 + 0.5.
    """
    measured = replace(SNAPSHOT, hall_c={"h": 23.99})
    assert broken(at_its_limit(2.5801), warming(0.02), measured) == set()
    assert broken(at_its_limit(2.5799), warming(0.02), measured) == {"cooling.removes_heat"}
    steady_kw = (4.38 + 5.38 / 3.85 + 0.289444 + 0.155720872 + 0.5) * 1.02
    warming_kw = (4.38 + 4.58 / 3.85 + 0.209764 + 0.15 + 0.5) * 1.02
    assert expected_kw(site_with(), warming(0.02), measured, 38.0)["main"] == pytest.approx(warming_kw)
    assert expected_kw(site_with(), warming(0.02), SNAPSHOT, 38.0)["main"] == pytest.approx(steady_kw)
    assert expected_kw(site_with(), warming(0.02, None), measured, 38.0)["main"] == pytest.approx(steady_kw)
    assert expected_kw(site_with(), decision(first_step_s=900), measured, 38.0)["main"] == pytest.approx(steady_kw)


def test_a_hall_that_cools_down_gives_its_plant_more_to_remove_and_none_removes_less_than_nothing() -> None:
    """0.02 K down make 3.38 + 0.8 = 4.18 kW, of which the 0.02 K up to the band's end may stay; 2 K up would store 80 kW."""
    cooling = replace(SNAPSHOT, hall_c={"h": 24.01})
    assert broken(at_its_limit(3.3801, 24.01), warming(-0.02), cooling) == set()
    assert broken(at_its_limit(3.3799, 24.01), warming(-0.02), cooling) == {"cooling.removes_heat"}
    coasting = replace(SNAPSHOT, hall_c={"h": 23.0})
    assert broken(site_with(cooling_plants__plant__max_heat_kw=0.001), warming(2), coasting) == set()


def test_a_hall_below_its_band_may_end_a_little_warmer_than_ordered() -> None:
    """Half a kelvin in 10 kWh/K over a quarter of an hour takes up 20 kW, a tenth of one, 4 kW: all but 0.18 of the 4.18 kW."""
    cooling = replace(SNAPSHOT, hall_c={"h": 24.01})
    assert broken(site_with(cooling_plants__plant__max_heat_kw=0.001), warming(-0.02), cooling) == set()
    assert broken(at_its_limit(0.1801, 24.09), warming(-0.02), cooling) == set()
    assert broken(at_its_limit(0.1799, 24.09), warming(-0.02), cooling) == {"cooling.removes_heat"}


def at_its_limit(max_heat_kw: float, allowable_c: float = 24.0) -> Site:
    """A site whose hall may end no warmer than it is ordered to, or only as warm as `allowable_c`."""
    band = {"halls__h__thermal__recommended_max_c": 23.5, "halls__h__thermal__allowable_max_c": allowable_c}
    return site_with(cooling_plants__plant__max_heat_kw=max_heat_kw, **band)


def test_a_plans_order_to_a_battery_is_judged_over_its_first_step_only() -> None:
    """-3 kW for 5 min take 0.25 / 0.9 = 0.278 kWh; for a quarter of an hour they would take 0.833 kWh."""
    stored = replace(SNAPSHOT, battery_kwh={"b": 1.3})
    made = decision(batteries=(BatteryOrder("b", -3.0),))
    assert broken(site_with(), replace(made, first_step_s=300), stored) == set()
    assert broken(site_with(), made, stored) == {"battery.energy"}


def test_orders_for_no_hall_of_the_site_and_steps_without_length_are_malformed() -> None:
    assert broken(site_with(), decision(cooling=(CoolingOrder("plant", (("x", 24.0),)),))) == {"hall.known"}
    assert broken(site_with(), decision(first_step_s=0.0)) == {"decision.interval"}
    assert broken(site_with(), decision(first_step_s=math.nan)) == {"number.finite"}


def chosen(supply_c: Any, approach: float = 1.0, **more: Any) -> tuple[Site, Decision]:
    """The small site whose plant may supply 16 (as usual) or 20 degC, and the decision of the docstring at one of them."""
    point = {"levels_c": [16, 20], "usual_c": 16, "cop_gain_per_k": 0.1, "approach_k_per_kw": approach}
    made = decision(cooling=(CoolingOrder("plant", (("h", 24.0),), supply_c=supply_c),), **more)
    return site_with(cooling_plants__plant__set_point=point), made


@pytest.mark.parametrize(("supply_c", "share", "cop"), [(16, 8 / 13, 4.75), (20, 4 / 13, 5.15), (None, 8 / 13, 4.75)])
def test_a_plant_draws_what_its_ordered_supply_says(supply_c: Any, share: float, cop: float) -> None:
    """At 20 degC, between 12 and 25 (or 16 and 29) degC of free cooling; COP 4.5 + 0.05 * 5, and 0.1 * 4. Not told, it is the coldest."""
    site, made = chosen(supply_c)
    heat_kw = 2.38 + 2 + (20 - 24) / 14
    assert expected_kw(site, made, SNAPSHOT, 20.0)["main"] == pytest.approx((4.38 + 0.85 + share * heat_kw / cop) * 1.02)
    just_kw = expected_kw(site, made, SNAPSHOT, 20.0)["main"]
    for margin_kw, rules in ((1e-3, set()), (-1e-3, {"grid.limit"})):
        assert broken(site, replace(made, import_limit_kw=just_kw + margin_kw), outdoor_c=20.0) == rules


@pytest.mark.parametrize(("supply_c", "approach", "rules"), [
    (20, (24.5 - 20) / 3.38 - 1e-3, set()),
    (20, (24.5 - 20) / 3.38 + 1e-3, {"cooling.supply"}),
    (16, (24.5 - 20) / 3.38 + 1e-3, set()),
])  # fmt: skip
def test_a_hall_is_no_colder_than_its_supply_and_its_heat_allow(supply_c: float, approach: float, rules: set[str]) -> None:
    """3.38 kW leave the hall; half a K more than the 24 degC ordered may stay."""
    assert broken(*chosen(supply_c, approach)) == rules


def test_a_supply_is_one_of_the_plants_levels() -> None:
    assert broken(*chosen(18.0)) == {"supply.level"}
    assert broken(*chosen(math.nan)) == {"number.finite", "supply.level"}
    assert broken(site_with(), chosen(16)[1]) == {"supply.level"}


def test_caps_that_hold_whatever_runs_hold_at_the_coldest_supply() -> None:
    """A plant that is usually at 20 degC may be at 16: COP 4.5 - 0.4 there, and thresholds 4 K lower."""
    point = {"levels_c": [16, 20], "usual_c": 20, "cop_gain_per_k": 0.1, "approach_k_per_kw": 1}
    colder = {"cop_at_25c": 4.1, "free_cooling_full_below_c": 8, "free_cooling_none_above_c": 21}
    small, plant = {"feeders__main__rating_kw": 1}, "cooling_plants__plant__"
    free = site_with(**small, **{plant + "set_point": point})
    fixed = site_with(**small, **{plant + key: value for key, value in colder.items()})
    assert [v.amount for v in fits(free, {"p": 400}, 20.0)] == pytest.approx([v.amount for v in fits(fixed, {"p": 400}, 20.0)])
    assert [v.amount for v in fits(free, {"p": 400}, 20.0)] != pytest.approx([v.amount for v in fits(site_with(**small), {"p": 400}, 20.0)])
