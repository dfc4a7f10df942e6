"""A decision that is no decision - too few messages, values that are no numbers, orders for what is not there - is refused."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import facility.verify as room
from facility.decision import BatteryOrder, CapGroup, CoolingOrder, Decision, JobOrder, PoolCaps
from facility.verify import Violation, fits
from facility.verify.violation import over, under
from tests.facility.verify.by_hand import JOB, NOW, SNAPSHOT, broken, caps, chosen, decision, site_with, tanked


def test_the_second_opinion_imports_nothing_of_the_model() -> None:
    for file in Path(str(room.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
            assert not any(module.split(".")[0] == "models" for module in modules), file


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


@pytest.mark.parametrize("at_fault", [math.nan, math.inf, -math.inf, 10**400, np.float64(math.nan)])
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


def test_orders_are_for_tanks_and_plants_of_the_site() -> None:
    def ordered(plant: str, store_kw: Any) -> Decision:
        return decision(cooling=(CoolingOrder(plant, (), store_kw),))

    assert broken(site_with(), ordered("plant", 1.0)) == {"tank.known"}
    assert broken(site_with(), ordered("elsewhere", None)) == {"plant.known"}
    assert broken(tanked(1.0)[0], ordered("plant", math.nan)) == {"number.finite"}


def test_orders_for_no_hall_of_the_site_and_steps_without_length_are_malformed() -> None:
    assert broken(site_with(), decision(cooling=(CoolingOrder("plant", (("x", 24.0),)),))) == {"hall.known"}
    assert broken(site_with(), decision(first_step_s=0.0)) == {"decision.interval"}
    assert broken(site_with(), decision(first_step_s=math.nan)) == {"number.finite"}


def test_a_supply_is_one_of_the_plants_levels() -> None:
    assert broken(*chosen(18.0)) == {"supply.level"}
    assert broken(*chosen(math.nan)) == {"number.finite", "supply.level"}
    assert broken(site_with(), chosen(16)[1]) == {"supply.level"}


@pytest.mark.parametrize("amount", [None, math.nan, math.inf])
def test_an_amount_that_is_no_number_is_within_no_limit(amount: float | None) -> None:
    found = Violation("rule", "thing", amount, "kW", 1.0, "says", "plant")
    assert over(found) == (replace(found, amount=None),)
    assert under(replace(found, amount=amount and -amount)) == (replace(found, amount=None),)
    assert over(replace(found, amount=1.0, allowed=math.nan)) == (replace(found, amount=1.0, allowed=None),)
    assert under(replace(found, amount=1.0, allowed=math.nan)) == (replace(found, amount=1.0, allowed=None),)
    assert over(replace(found, amount=1.0)) == under(replace(found, amount=1.0)) == ()


@pytest.mark.parametrize("gpus", [-1, 2.0, math.nan, None])
def test_an_order_is_for_a_whole_number_of_gpus(gpus: Any) -> None:
    assert broken(site_with(), decision(jobs=(JobOrder("j", "run", gpus),))) == {"job.size"}


@pytest.mark.parametrize("change", [{"gpus": 2.0}, {"submit": NOW.replace(tzinfo=None)}, {"deadline": NOW.replace(tzinfo=None)}])
def test_what_is_known_of_a_job_is_a_whole_number_of_gpus_and_instants_that_everybody_shares(change: dict[str, Any]) -> None:
    assert broken(site_with(), decision(), replace(SNAPSHOT, jobs=(replace(JOB, **change),))) == {"job.form"}
