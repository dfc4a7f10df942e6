"""Rentals have their GPUs and their floors, jobs their windows, and what is out of service does no work."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from facility.decision import CapGroup, JobOrder, PoolCaps
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify import verify
from tests.facility.verify.by_hand import FIGURES, JOB, NOW, SNAPSHOT, broken, caps, decision, site_with


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


def test_a_job_runs_from_its_submission_and_also_when_it_is_late() -> None:
    for submit, deadline, rules in (
        (NOW, NOW + timedelta(seconds=1), set()),
        (NOW + timedelta(seconds=1), NOW + timedelta(hours=1), {"job.window"}),
        (NOW - timedelta(hours=1), NOW, set()),
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
        ({"running_since": NOW - timedelta(minutes=1), "deadline": NOW}, {"job.min_run"}),
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
