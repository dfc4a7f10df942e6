"""Faults 51, 52, 54 and 55: what the grid asks for and withdraws, prices that are none, and deadlines that cannot be met."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from facility.bus.interface import Message
from tests.facility.test_daemon import NOW, House, price
from tests.faults.conftest import PATIENCE_S, WiredHouse
from tests.faults.fault import Fault
from tests.faults.rehearsal import Rehearsal
from tests.processes import METER, ROOT, needs_mosquitto

MINUTE = timedelta(minutes=1)
MODEL_ERROR = 0.02
"""By how much, at most, five minutes of the rehearsed plant draw more than was planned: its cooling follows set-points at once."""


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Rehearsal]:
    made = Rehearsal(tmp_path)
    assert made.mode() == "NORMAL"
    yield made
    made.kill()


def test_fault_51_an_event_is_kept_from_its_ramp_to_the_hour_after_it_by_the_plant_itself(rehearsal: Rehearsal, fault: Fault) -> None:
    """From 4.2 kW to 2 kW for a quarter of an hour, told a quarter before, with ramps of 5 min."""
    start, end, ramp = NOW + 15 * MINUTE, NOW + 30 * MINUTE, 5 * MINUTE
    told = {"start": start.isoformat(), "end": end.isoformat(), "target_kw": 2.0, "ramp_min": 5}
    rehearsal.live(4)
    before_kw, plan = fmean(rehearsal.between(NOW, NOW + 5 * MINUTE)), rehearsal.daemon.rooms.governor.plan
    base_kw = float(plan.plan.baseline.import_kw[0])
    fault(lambda: rehearsal.say("grid/main/event", told, retain=True))
    fault.proven(lambda: any(t.endswith("grid/main/event") for t in rehearsal.broker.retained) and before_kw > 4, "it asks for nothing", within_s=0)
    rehearsal.live(95)
    five = [(t + start, fmean(rehearsal.between(t + start, t + start + 5 * MINUTE))) for t in (n * 5 * MINUTE for n in range(-1, 16))]
    asked = [
        2.0 if start <= at < end else (base_kw + 2.0) / 2 if start - ramp <= at < end + ramp else base_kw
        for at, _ in five
    ]
    assert [kw for _, kw in five] == [pytest.approx(min(kw, limit), rel=MODEL_ERROR) for (_, kw), limit in zip(five, asked, strict=True)]
    assert max(kw for at, kw in five if start <= at < end) <= 2.0, "the meter holds it"
    assert min(kw for at, kw in five if at < end) > 0.9 * 2.0, "it gives what is asked and no more"
    after = [kw for at, kw in five if at >= end + ramp]
    assert max(after) > before_kw * 0.9, "what was put off goes on"
    assert {entry.action for entry in rehearsal.journal.account(NOW) if entry.sort == "mode"} == {"NORMAL"}


@needs_mosquitto
def test_fault_52_an_event_holds_to_its_end_when_feed_broker_and_daemon_are_lost_amid_it(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 10, "a plan")
    usual_kw = house.ear.told(METER)["value"]
    target_kw, now = round(0.8 * usual_kw), house.now()
    event = {"start": now.isoformat(), "end": (now + timedelta(minutes=40)).isoformat(), "target_kw": target_kw}
    topic = f"{ROOT}/grid/main/event"

    def planned_kw() -> float:
        plan = house.ear.told(f"{ROOT}/plan/current")
        return float(plan["steps"][0]["import_kw"]) if plan else usual_kw

    house.publish(topic, json.dumps(event), "-r")
    house.until(lambda: planned_kw() <= target_kw, PATIENCE_S, "a plan that keeps to it")
    house.until(lambda: house.ear.told(METER)["value"] <= 1.01 * target_kw, 5, "a plant that does")

    def lose() -> None:
        house.daemon.kill()
        house.daemon.wait()
        house.broker.stop()
        house.ear.newest.clear()
        house.broker.start()
        house.start_daemon()

    fault(lose)
    fault.proven(lambda: house.ear.newest and topic not in house.ear.newest, "the broker still tells of it", within_s=3)
    house.until(lambda: house.mode() == "NORMAL" and house.ear.told(f"{ROOT}/plan/current"), 30, "a plan")
    back = time.monotonic()
    assert planned_kw() <= target_kw
    house.until(lambda: len(house.metered(back)) >= 3, 5, "what the meter shows")
    assert max(house.metered(back)) <= 1.02 * target_kw
    house.ear.bus.publish(Message(topic, b"", qos=1, retain=True))
    house.until(lambda: planned_kw() > target_kw, PATIENCE_S, "a plan without it")


def test_fault_52_a_limit_that_was_ordered_survives_a_crash_and_a_broker_that_forgot(tmp_path: Path, fault: Fault) -> None:
    house = House(tmp_path / "journal.sqlite")
    hour = {"start": NOW.isoformat(), "end": (NOW + timedelta(hours=1)).isoformat()}
    house.say("grid/main/limit", {"unit": "kW", "points": [hour | {"value": 2.0}]}, retain=True)
    house.daemon.cycle()
    limited = house.caps()

    def lose() -> None:
        house.kill()
        house.broker.stop(forget=True)
        house.broker.start()
        house.open()

    fault(lose)
    fault.proven(lambda: not any("/grid/" in topic for topic in house.broker.retained), "the broker remembers it", within_s=0)
    house.daemon.start()
    house.daemon.cycle()
    assert house.caps() == limited
    house.clock.advance(3600)
    house.daemon.cycle()
    assert house.caps()["c"] > limited["c"], "at its end it ends"
    house.kill()


PRICES = {"constant": [80.0], "negative": [-200.0], "ten times": [500.0], "from -500 to 4000": [-500.0, 4000.0]}


@pytest.mark.parametrize("name", PRICES)
def test_fault_54_whatever_power_costs_the_plant_draws_what_was_planned_and_work_is_done(
    rehearsal: Rehearsal, fault: Fault, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """At no price does a plan burn power that physics does not draw, or do work that is not there."""
    usual = rehearsal.caps()
    fault(lambda: price(rehearsal, *PRICES[name]))
    rehearsal.live(4)
    fault.proven(lambda: rehearsal.plan()["steps"][0]["price_per_mwh"] == PRICES[name][0], "it is another price", within_s=0)
    for _ in range(3):
        step, now = rehearsal.plan()["steps"][0], rehearsal.clock.now()
        planned_kw = step["import_kw"]
        ahead_kw = step["cooling_kw"] if step["price_per_mwh"] < 0 else 0.0  # a hall that is cooled ahead is cold before the step is over
        rehearsal.live(5)
        assert rehearsal.mode() == "NORMAL"
        drawn_kw = fmean(rehearsal.between(now + MINUTE, now + 5 * MINUTE))
        assert drawn_kw <= (1 + 3 * MODEL_ERROR) * planned_kw
        assert drawn_kw >= (1 - 3 * MODEL_ERROR) * (planned_kw - ahead_kw) or "caps give way" in caplog.text
        assert rehearsal.plan()["breaches"] == []
        assert min(rehearsal.caps().values()) >= 100
        found = rehearsal.daemon.rooms.governor.plan
        (job,), left_gpu_h = found.plan.problem.jobs, float(found.plan.account.work_gpu_h[-1].sum())
        assert left_gpu_h == pytest.approx(job.work_gpu_h, abs=1e-6)
    if name == "constant":
        assert rehearsal.caps() == usual


@needs_mosquitto
def test_fault_54_the_running_house_is_paid_for_power_and_draws_no_more_than_it_may(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 10, "a plan")
    now, topic = house.now(), f"{ROOT}/grid/main/price"
    point = {"start": now.isoformat(), "end": (now + timedelta(hours=9)).isoformat(), "value": -200.0}
    fault(lambda: house.publish(topic, json.dumps({"unit": "EUR/MWh", "points": [point]}), "-r"))
    fault.proven(lambda: house.ear.told(topic), "nobody says so")

    def first() -> Any:
        return house.ear.told(f"{ROOT}/plan/current")["steps"][0]

    try:
        house.until(lambda: first()["price_per_mwh"] == -200.0, PATIENCE_S, "a plan by it")
        began = time.monotonic()
        assert first()["import_kw"] <= first()["import_limit_kw"]
        house.until(lambda: len(house.metered(began)) >= 5, 5, "what the meter shows")
        assert fmean(house.metered(began)) <= 1.01 * first()["import_limit_kw"]
        assert house.mode() == "NORMAL"
    finally:
        house.ear.bus.publish(Message(topic, b"", qos=1, retain=True))
    house.until(lambda: first()["price_per_mwh"] > 0, PATIENCE_S, "the site's own price")


def test_fault_55_a_deadline_that_cannot_be_met_is_told_with_its_amount_as_soon_as_it_is_known(tmp_path: Path, fault: Fault) -> None:
    """2 GPUs do 2 GPU h in an hour: of 4 GPU h 2 are left; another could finish until an operator holds it."""
    house = House(tmp_path / "journal.sqlite")

    def submit(name: str, hours: float, **more: Any) -> None:
        spec = {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 4, "pool": "p", "deadline": (NOW + timedelta(hours=hours)).isoformat()}
        house.say(f"job/{name}/spec", spec | more)

    def told(name: str) -> tuple[float | None, str]:
        plan, order = house.retained("plan/current"), house.retained(f"job/{name}/desired")
        assert plan is not None
        assert order is not None
        amounts = [b["amount"] for b in plan["breaches"] if (b["family"], b["asset"]) == ("unfinished_gpu_h", name)]
        return (amounts[0] if amounts else None), order["reason"]

    submit("fine", 9)
    fault(lambda: submit("late", 1))
    fault.proven(lambda: "late" in {job.id for job in house.daemon.rooms.known.situation(NOW).snapshot.jobs}, "nobody asks for it", within_s=0)
    assert house.daemon.cycle().mode == "NORMAL"
    amount, reason = told("late")
    assert amount == pytest.approx(2.0)
    assert reason == "cannot finish: 2.000 GPU h are left at its deadline: 2 GPUs for 1.00 h, arrival to deadline, are less than its work"
    assert told("fine")[0] is None
    assert house.order("job/fine", "hold", ttl_s=8 * 3600)["status"] == "accepted"  # an hour of nine is left then
    house.daemon.cycle()
    amount, _ = told("fine")
    assert amount == pytest.approx(2.0), "eight hours before its deadline"
    house.kill()


@needs_mosquitto
def test_fault_55_the_running_house_tells_of_a_deadline_that_cannot_be_met_within_two_plans(house: WiredHouse, fault: Fault) -> None:
    """4 GPUs do 1 GPU h in a quarter of an hour; 100 are wanted."""
    house.until(lambda: house.mode() == "NORMAL", 10, "a plan")
    now, topic = house.now(), f"{ROOT}/job/hopeless/spec"
    spec = {"submit": now.isoformat(), "gpus": 4, "work_gpu_h": 100, "pool": "h1-b", "deadline": (now + timedelta(minutes=15)).isoformat()}
    fault(lambda: house.publish(topic, json.dumps(spec), "-r"))
    fault.proven(lambda: house.ear.told(topic), "nobody asks for it")

    def told() -> list[dict[str, Any]]:
        plan = house.ear.told(f"{ROOT}/plan/current")
        return [breach for breach in plan["breaches"] if breach["asset"] == "hopeless"]

    try:
        house.until(told, PATIENCE_S, "a plan that says so")
        (breach,) = told()
        assert (breach["family"], breach["unit"]) == ("unfinished_gpu_h", "GPU h")
        assert 99 <= breach["amount"] <= 100
        assert "cannot finish" in house.ear.told(f"{ROOT}/job/hopeless/desired")["reason"]
        assert house.now() < now + timedelta(minutes=15), "before its deadline"
    finally:
        for told in (topic, f"{ROOT}/job/hopeless/desired"):
            house.ear.bus.publish(Message(told, b"", qos=1, retain=True))
