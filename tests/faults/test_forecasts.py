"""Faults 8 and 9: forecasts that are missing, old, of a day of 23 or 25 hours, a thousand times too high or below zero.

The site is that of `tests/facility/test_daemon.py`, in Berlin; its own price is 50 EUR/MWh.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from facility.bus.interface import Message
from facility.site import Site
from tests.facility.test_daemon import House
from tests.facility.test_rentals import WHOLE
from tests.faults.conftest import WiredHouse
from tests.faults.fault import Fault
from tests.processes import ROOT, needs_mosquitto

BERLIN = Site.model_validate(WHOLE | {"timezone": "Europe/Berlin", "halls": {"h": {"feeder": "main", "base_kw": 0.2}}})
ZONE, QUARTER = ZoneInfo("Europe/Berlin"), timedelta(minutes=15)


def day(house: House, first: datetime, quarters: int, price: float = 20.0) -> dict[str, Any]:
    """A price for each quarter of an hour from `first` on, each dearer than the one before."""
    at = [first + i * QUARTER for i in range(quarters + 1)]
    points = [{"start": a.isoformat(), "end": b.isoformat(), "value": price + i} for i, (a, b) in enumerate(pairwise(at))]
    told = {"points": points, "unit": "EUR/MWh"}
    house.say("grid/main/price", told, retain=True)
    return told


def prices(house: House) -> list[tuple[datetime, float, float]]:
    """What the plan reckons with: the start of each step, its hours and its price, EUR/MWh."""
    plan = house.retained("plan/current")
    assert plan is not None
    return [(datetime.fromisoformat(step["time"]), step["hours"], step["price_per_mwh"]) for step in plan["steps"]]


@pytest.mark.parametrize(("date", "quarters"), [((2026, 3, 28), 96), ((2026, 3, 29), 92), ((2026, 10, 25), 100), ((2028, 2, 29), 96)])
def test_fault_08_a_day_has_the_quarters_that_it_has(tmp_path: Path, fault: Fault, date: tuple[int, int, int], quarters: int) -> None:
    """The price of a step is that of its quarters, counted from midnight; what lies after the day has the site's own."""
    midnight = datetime(*date, tzinfo=ZONE).astimezone(UTC)
    house = House(tmp_path / "journal.sqlite", BERLIN, start=midnight - timedelta(minutes=10))
    fault(lambda: day(house, midnight, quarters))
    told = (house.retained("grid/main/price") or {"points": []})["points"]
    after = datetime(*date, tzinfo=ZONE) + timedelta(days=1)  # the local day after, however long this one is
    whole = len(told) == quarters and datetime.fromisoformat(told[-1]["end"]) == after.astimezone(UTC)
    fault.proven(lambda: whole, "the day is not told from midnight to midnight", within_s=0)
    house.clock.advance(600)
    assert house.daemon.cycle().mode == "NORMAL"
    for start, hours, price in prices(house):
        begun = [start + minutes * timedelta(minutes=1) for minutes in range(round(hours * 60))]
        each = [20.0 + i if (i := (at - midnight) // QUARTER) < quarters else 50.0 for at in begun]
        assert price == pytest.approx(sum(each) / len(each), abs=1e-3)
    assert house.retained("alarm/signal-price") is None
    house.kill()


@pytest.fixture
def priced(tmp_path: Path) -> Iterator[House]:
    """A house with prices for the next two hours, from 30 EUR/MWh on, and a plan by them."""
    made = House(tmp_path / "journal.sqlite", BERLIN)
    day(made, made.clock.now(), 8, 30.0)
    assert made.daemon.cycle().mode == "NORMAL"
    assert prices(made)[0][2] == 30.0
    yield made
    made.kill()


def test_fault_08_without_prices_the_sites_own_hold(priced: House, fault: Fault) -> None:
    fault(lambda: priced.say("grid/main/price", b"", retain=True))
    fault.proven(lambda: priced.retained("grid/main/price") is None, "they are there", within_s=0)
    assert priced.daemon.cycle().mode == "NORMAL"
    assert {price for _, _, price in prices(priced)} == {50.0}
    assert priced.retained("alarm/signal-price") is None, "who withdraws them knows"


def test_fault_08_prices_that_run_out_are_told_and_the_sites_own_hold(priced: House, fault: Fault) -> None:
    fault(lambda: priced.clock.advance(2 * 3600 + 1))
    last = datetime.fromisoformat(priced.retained("grid/main/price")["points"][-1]["end"])
    fault.proven(lambda: last < priced.clock.now(), "they still last", within_s=0)
    priced.daemon.upkeep.guard_s -= 1
    priced.settle()
    alarm = priced.retained("alarm/signal-price")
    assert alarm is not None
    assert (alarm["severity"], "it ended at" in alarm["cause"]) == ("warning", True)
    assert priced.daemon.cycle().mode == "NORMAL"
    assert {price for _, _, price in prices(priced)} == {50.0}
    day(priced, priced.clock.now(), 8)
    assert priced.retained("alarm/signal-price") is None


def test_fault_08_yesterdays_prices_are_refused_and_what_was_told_before_holds(priced: House, fault: Fault) -> None:
    fault(lambda: day(priced, priced.clock.now() - timedelta(days=1), 8, 99.0))
    told = priced.retained("grid/main/price")
    fault.proven(lambda: datetime.fromisoformat(told["points"][-1]["end"]) < priced.clock.now(), "they are not old", within_s=0)
    alarm = priced.retained("alarm/signal-price")
    assert alarm is not None
    assert "all of it is past" in alarm["cause"]
    assert priced.daemon.cycle().mode == "NORMAL"
    assert prices(priced)[0][2] == 30.0


@needs_mosquitto
def test_fault_09_a_price_that_is_a_thousand_times_too_high_is_an_alarm_of_the_running_house_and_no_plan(house: WiredHouse, fault: Fault) -> None:
    now, topic = house.now(), f"{ROOT}/grid/main/price"
    point = {"start": now.isoformat(), "end": (now + timedelta(hours=9)).isoformat(), "value": 64_000.0}
    fault(lambda: house.publish(topic, json.dumps({"unit": "EUR/MWh", "points": [point]}), "-r"))
    fault.proven(lambda: house.ear.told(topic), "nobody says so")
    try:
        house.until(lambda: house.ear.told(f"{ROOT}/alarm/signal-price"), 2, "an alarm")
        plan = house.ear.told(f"{ROOT}/plan/current")["plan_id"]
        house.until(lambda: house.ear.told(f"{ROOT}/plan/current")["plan_id"] != plan, 8, "the next plan")
        assert max(step["price_per_mwh"] for step in house.ear.told(f"{ROOT}/plan/current")["steps"]) < 200
        assert house.mode() == "NORMAL"
    finally:
        house.ear.bus.publish(Message(topic, b"", qos=1, retain=True))
    house.until(lambda: not house.ear.told(f"{ROOT}/alarm/signal-price"), 2, "its end")


UNBELIEVABLE = {
    "price": ("grid/main/price", {"unit": "EUR/MWh"}, 50_000.0, "-20000 to 20000"),
    "carbon": ("grid/main/carbon", {}, 363_000.0, "0 to 5000"),
    "carbon below zero": ("grid/main/carbon", {}, -363.0, "0 to 5000"),
    "weather": ("signal/weather", {}, 20_000.0, "-60 to 60"),
    "base load": ("signal/load", {}, 200.0, "the fallback caps would not fit"),
    "base load below zero": ("signal/load", {}, -0.2, "0 to 1e+07"),
    "limit below zero": ("grid/main/limit", {"unit": "kW"}, -4.0, "0 to inf"),
}


@pytest.mark.parametrize("name", UNBELIEVABLE)
def test_fault_09_what_is_a_thousand_times_too_high_or_below_zero_is_refused_told_and_moves_nothing(priced: House, fault: Fault, name: str) -> None:
    topic, unit, value, why = UNBELIEVABLE[name]
    caps, before, now = priced.caps(), prices(priced), priced.clock.now()
    point = {"start": now.isoformat(), "end": (now + timedelta(hours=9)).isoformat(), "value": value}
    fault(lambda: priced.say(topic, unit | {"points": [point]}, retain=True))
    told = priced.retained(topic)
    fault.proven(lambda: told is not None and told["points"][0]["value"] == value, "nobody says so", within_s=0)
    assert priced.daemon.cycle().mode == "NORMAL"
    assert (priced.caps(), prices(priced)) == (caps, before)
    alarm = priced.retained(f"alarm/signal-{topic.rpartition('/')[2]}")
    assert alarm is not None
    assert (alarm["severity"], why in alarm["cause"]) == ("warning", True), alarm


@pytest.mark.parametrize("value", [-500.0, 9_000.0])
def test_fault_09_a_price_that_a_market_may_have_is_taken_at_its_word_within_every_promise(tmp_path: Path, fault: Fault, value: float) -> None:
    """Neither end is told from scarcity or glut: what it moves is work that may wait, and caps down to the floor of 0.6."""
    floor = {"contracts": {"c": WHOLE["contracts"]["c"] | {"floor_speed": 0.6}}}
    house = House(tmp_path / "journal.sqlite", Site.model_validate(BERLIN.model_dump(mode="json", exclude_unset=True) | floor))
    assert house.daemon.cycle().mode == "NORMAL"
    fault(lambda: day(house, house.clock.now(), 96, value))
    fault.proven(lambda: (house.retained("grid/main/price") or {}).get("points"), "nobody says so", within_s=0)
    assert house.daemon.cycle().mode == "NORMAL"
    assert prices(house)[0][2] == value
    assert house.retained("alarm/signal-price") is None
    assert not house.daemon.rooms.governor.verdict
    assert 250 <= house.caps()["c"] <= (400 if value < 0 else 255)
    house.kill()
