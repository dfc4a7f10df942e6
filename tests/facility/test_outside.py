"""Signals from outside reach the next plan, and what is wrong with one is told on the bus; the site and the bus are those of `test_daemon`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facility.daemon import upkeep
from tests.facility.test_daemon import NOW, SITE, House

HOUR = timedelta(hours=1)
NARROW = SITE.model_copy(update={"grid": SITE.grid.model_copy(update={"import_limit_kw": 3.0})})


def points(*values: float, start: float = 0.0) -> list[dict[str, Any]]:
    """One value for each hour, the first `start` hours from now."""
    hours = [NOW + (start + i) * HOUR for i in range(len(values) + 1)]
    return [{"start": a.isoformat(), "end": b.isoformat(), "value": v} for a, b, v in zip(hours, hours[1:], values, strict=False)]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(upkeep, "GUARD_S", 0.0)
    made = House(tmp_path / "journal.sqlite", NARROW)
    yield made
    made.kill()


def first_step(house: House) -> dict[str, Any]:
    """Make a plan that the verifier has nothing against, and give its first step."""
    assert house.daemon.cycle().outcome == "published"
    assert house.daemon.rooms.governor.verdict == ()
    plan = house.retained("plan/current")
    assert plan is not None
    step: dict[str, Any] = plan["steps"][0]
    return step


def test_a_price_and_the_weather_are_in_the_next_plan_and_go_with_an_empty_message(house: House) -> None:
    before = first_step(house)
    house.say("grid/main/price", {"unit": "EUR/MWh", "points": points(70, 80)})
    house.say("signal/weather", {"points": points(31)})
    told = first_step(house)
    assert (before["price_per_mwh"], before["outdoor_c"]) == (50, 10)
    assert (told["price_per_mwh"], told["outdoor_c"]) == (70, 31)
    house.say("grid/main/price", b"")
    house.say("signal/weather", b"")
    assert first_step(house) == before


def test_a_higher_base_load_is_drawn_in_the_next_plan_and_caps_give_way_to_it(house: House) -> None:
    """6 GPUs at 390 W are 2.54 kW with the 4 idle ones; of the 2.97 kW that plans keep to below a limit of 3 kW, a base load of 1 kW leaves 1.97."""
    before = first_step(house)
    house.say("signal/load", {"points": points(1, 1)})
    told = first_step(house)
    assert before["import_kw"] == pytest.approx(2.54)
    assert told["import_kw"] == pytest.approx(2.97, abs=0.02)
    assert told["it_kw"] == pytest.approx(1.97, abs=0.02)
    assert told["caps_w"]["p"] < before["caps_w"]["p"]
    house.clock.advance(7200)
    house.settle()
    assert first_step(house) == before | {"time": told["time"].replace("T12", "T14")}


def test_the_verifier_reckons_with_the_base_load_that_is_told(house: House) -> None:
    first_step(house)
    house.say("signal/load", {"points": points(1)})
    now = house.clock.now()
    here = house.daemon.rooms.known.situation(now)
    assert here.site.halls["h"].base_kw == 1
    house.daemon.rooms.governor.enforce(here)
    assert house.daemon.rooms.governor.verdict == ()
    assert max(house.caps().values()) < 400


def test_a_base_load_is_in_the_record_of_the_cycle(house: House) -> None:
    house.say("signal/load", {"points": points(1)})
    first_step(house)
    told = msgspec.json.decode(house.journal.cycles(1)[0].inputs)["forecast"]["load_kw"]
    assert (told[0], told[-1]) == (1, 0)


@pytest.mark.parametrize(
    ("topic", "alarm", "wrong", "right", "why"),
    [
        ("grid/main/price", "signal-price", {"unit": "USD/MWh", "points": points(50)}, {"unit": "EUR/MWh", "points": points(50)}, "unit USD/MWh"),
        ("signal/weather", "signal-weather", {"unit": "degF", "points": points(70)}, {"points": points(20)}, "degF"),
        ("signal/load", "signal-load", {"points": points(1, start=-3)}, {"points": points(1)}, "all of it is past"),
        ("grid/main/carbon", "signal-carbon", {"points": []}, {"points": points(400)}, "no points"),
        ("grid/main/event", "signal-event", {"start": 7}, b"", "got `int`"),
    ],
)
def test_what_is_refused_is_told_on_the_bus_until_something_better_comes(
    house: House, topic: str, alarm: str, wrong: dict[str, Any], right: dict[str, Any] | bytes, why: str
) -> None:
    house.say(topic, wrong)
    told = house.retained(f"alarm/{alarm}")
    assert told is not None
    assert (told["severity"], why in told["cause"]) == ("warning", True)
    house.say(topic, right)
    assert house.retained(f"alarm/{alarm}") is None


def test_a_signal_that_runs_out_is_told_when_it_does(house: House) -> None:
    house.say("signal/load", {"points": points(1, 1)})
    assert house.retained("alarm/signal-load") is None
    house.clock.advance(2 * 3600)
    house.settle()
    told = house.retained("alarm/signal-load")
    assert told is not None
    assert told["cause"] == "it ended at 2026-07-01 14:00 UTC; the site's own values hold"
    house.say("signal/load", {"points": points(1, 1, start=2)})
    assert house.retained("alarm/signal-load") is None


def test_the_site_of_these_tests_has_no_base_load_of_its_own() -> None:
    assert [hall.base_kw for hall in SITE.halls.values()] == [0.0]
