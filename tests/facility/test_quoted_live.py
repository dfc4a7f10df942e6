"""What a rental would cost, asked of a daemon on a bus in memory: 10 GPUs in pool `p` of 100 to 400 W, 6 of them rented by `c`, a limit of 4 kW."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facility.bus.messages import QuoteResult, decode
from facility.quote.steps import days, edges, step_h
from facility.site import Site
from tests.facility.test_daemon import NOW, SITE
from tests.facility.test_questions import Asked, planned

HOUR = timedelta(hours=1)
PRICED = Site.model_validate(
    SITE.model_dump(mode="json", exclude_unset=True) | {"quotes": {"price_per_gpu_h": {"g": 0.5}, "margin_pct": 20, "valid_min": 30}}
)
Told = dict[str, Any]


class Desk(Asked):
    """A house whose daemon is asked for quotes."""

    def quote(self, gpus: int = 3, hours: float = 2, **more: Any) -> Told:
        self.number += 1
        name = f"q{self.number}"
        self.heard("")
        self.say("quote/request", {"id": name, "by": f"person-{name}", "gpus": gpus, "hours": hours} | more)
        (told,) = self.heard("quote/result")
        assert decode(msgspec.json.encode(told), QuoteResult).id == name
        return told

    def rent(self, contract: str = "burst", **terms: Any) -> Told:
        self.heard("")
        self.number += 1
        self.say(f"contract/{contract}/set", {"id": f"r{self.number}", "by": "desk", "tenant": "t", "kind": "reserved"} | terms)
        told: Told = self.heard(f"contract/{contract}/result")[0]
        return told


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "journal.sqlite", PRICED)
    planned(made)
    yield made
    made.kill()


def accepted(offer: Told, **other: Any) -> Told:
    """The terms that accept an offer."""
    return {"offer": offer["id"], "start": offer["start"], "end": offer["end"]} | other


def test_an_offer_tells_what_it_costs_and_what_is_asked_for_it(house: Desk) -> None:
    told = house.quote()
    best = told["cheapest"]
    assert (told["status"], told["currency"], told["step_h"]) == ("ok", "EUR", 1)
    assert (best["pool"], best["gpus"], best["tier"]) == ("p", 3, "T0")
    assert best["start"] == "2026-07-01T13:00:00Z"
    assert best["cost"] > 0
    assert best["price"] == pytest.approx(0.5 * 3 * 2), "the list is more than the cost and its margin"
    assert {offer["tier"] for offer in told["tiers"]} == {"T0", "T2", "T3"}
    assert told["until"] == "2026-07-01T12:30:00Z"


def test_half_an_hour_costs_half_of_an_hour(house: Desk) -> None:
    half, whole = house.quote(hours=0.5), house.quote(hours=1)
    assert (half["step_h"], whole["step_h"]) == (0.5, 1)
    assert half["cheapest"]["energy_kwh"] == pytest.approx(whole["cheapest"]["energy_kwh"] / 2, rel=0.02)
    odd = house.quote(hours=0.7)
    assert odd["assumed"][-1] == "steps: the rental ends within one of 1 h, and counts for all of it"
    assert odd["cheapest"]["energy_kwh"] == pytest.approx(whole["cheapest"]["energy_kwh"], rel=0.02)


def test_the_margin_counts_where_it_is_more_than_the_list(tmp_path: Path) -> None:
    dear = PRICED.model_copy(update={"quotes": PRICED.quotes.model_copy(update={"price_per_gpu_h": {}})})
    house = Desk(tmp_path / "journal.sqlite", dear)
    best = planned(house) and house.quote()["cheapest"]
    assert best["price"] == pytest.approx(1.2 * best["cost"])
    house.kill()


def test_an_offer_that_is_accepted_keeps_its_gpus_under_its_terms(house: Desk) -> None:
    best = house.quote(tier="T2")["cheapest"]
    answer = house.rent(**accepted(best))
    assert answer["status"] == "accepted", answer["reason"]
    state = house.retained("contract/burst/state")
    assert state is not None
    assert {key: state[key] for key in ("gpus", "pool", "tier", "curve", "price_per_gpu_h")} == {
        "gpus": 3, "pool": "p", "tier": "T2", "curve": "train", "price_per_gpu_h": pytest.approx(0.5),
    }  # fmt: skip
    again = house.rent("other", **accepted(best))
    assert (again["status"], again["reason"]) == ("rejected", f"no offer {best['id']} stands; ask for a quote again")


def test_who_asked_for_a_time_that_has_come_is_offered_no_later_one_than_asked_for(house: Desk) -> None:
    """The GPUs are free again three hours from now, at 15:00; until 14:00 or 15:00 it may begin."""
    assert house.quote(start=NOW.isoformat())["earliest"]["start"] == "2026-07-01T13:00:00Z", "the next full hour is near enough"
    house.rent(start=NOW.isoformat(), end=(NOW + 3 * HOUR).isoformat(), pool="p", gpus=4, curve="train")
    asked = {"gpus": 2, "hours": 1, "start": (NOW - 2 * HOUR).isoformat()}
    assert house.quote(**asked, within_h=4)["status"] == "refused"
    assert house.quote(**asked, within_h=5)["earliest"]["start"] == "2026-07-01T15:00:00Z"


def test_what_is_rented_already_is_offered_to_nobody_else(house: Desk) -> None:
    house.rent(**accepted(house.quote(gpus=3, hours=4)["cheapest"]))
    told = house.quote(gpus=2, hours=1)
    assert told["status"] == "refused"
    assert told["limits"] == ["p: 1 of 10 GPUs are free as long as that"]
    assert told["remedies"] == ["1 GPUs fit into p"]
    later = house.quote(gpus=2, hours=1, within_h=6)
    assert datetime.fromisoformat(later["earliest"]["start"]) >= NOW + 5 * HOUR


def test_an_offer_that_says_something_else_is_refused(house: Desk) -> None:
    best = house.quote()["cheapest"]
    answer = house.rent(**accepted(best, gpus=4, price_per_gpu_h=0.1))
    assert (answer["status"], answer["reason"]) == ("rejected", "that is not what was offered: price_per_gpu_h is 0.5, gpus is 3")
    assert house.retained("contract/burst/state") is None


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"kind": "spot"}, "kind was not asked for"),
        ({"floor_speed": 1.0, "penalty_per_gpu_h": 900}, "floor_speed was not asked for, penalty_per_gpu_h was not asked for"),
        ({"demand_by_hour_gpus": [1] * 24}, "demand_by_hour_gpus was not asked for"),
    ],
)
def test_an_offer_is_no_way_to_more_than_was_reckoned_with(house: Desk, terms: Told, says: str) -> None:
    best = house.quote()["cheapest"]
    assert house.rent(**accepted(best, **terms))["reason"] == f"that is not what was offered: {says}"
    assert house.rent(**accepted(best, carbon_price_per_tonne=50))["status"] == "accepted", "what a tenant wishes is its own"


def test_an_offer_ends_by_its_time_and_survives_a_restart_until_then(house: Desk) -> None:
    first, second = house.quote()["earliest"], house.quote()["earliest"]
    house.clock.advance(20 * 60)
    house.kill()
    house.open()
    assert house.rent("a", **accepted(first))["status"] == "accepted"
    house.clock.advance(11 * 60)
    answer = house.rent("b", **accepted(second))
    assert answer["status"] == "rejected"
    assert "could be accepted until 2026-07-01 12:30 UTC" in answer["reason"]


def test_a_rental_of_a_model_is_given_a_pool(house: Desk) -> None:
    span = {"start": NOW.isoformat(), "end": (NOW + HOUR).isoformat()}
    answer = house.rent(gpu_model="g", gpus=3, curve="train", **span)
    assert answer["status"] == "accepted", answer["reason"]
    assert (house.retained("contract/burst/state") or {})["pool"] == "p"
    full = house.rent("more", gpu_model="g", gpus=3, curve="train", **span)
    assert full["reason"] == "3 GPUs of g are free in no pool all that time; p has 1"
    assert house.rent("other", pool="p", gpu_model="x", gpus=1, curve="train", **span)["reason"] == "pool p has GPUs of g, not of x"
    assert "the site has no pool of x" in house.rent("none", gpu_model="x", gpus=1, curve="train", **span)["reason"]


def test_each_change_of_a_contract_is_a_version(house: Desk) -> None:
    span = {"start": NOW.isoformat(), "end": (NOW + HOUR).isoformat(), "pool": "p", "curve": "train"}
    versions = []
    for gpus in (1, 2, 3):
        assert house.rent(gpus=gpus, **span)["status"] == "accepted"
        versions.append((house.retained("contract/burst/state") or {})["version"])
    house.kill()
    house.open()
    assert versions == [1, 2, 3]
    house.daemon.rooms.republish(house.clock.now())
    assert (house.retained("contract/burst/state") or {})["version"] == 3


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"gpus": 0}, ">= 1"),
        ({"hours": -1}, "> 0"),
        ({"pool": "q"}, "the site has no pool 'q'"),
        ({"gpu_model": "h100", "curve": "poems"}, "the site has no curve 'poems'"),
        ({"start": (NOW + timedelta(days=40)).isoformat()}, "it would end more than 28 days from now"),
        ({"start": (NOW - 8 * HOUR).isoformat(), "within_h": 7}, "it was to begin by 2026-07-01 11:00 UTC, which is past"),
        ({"tier": "T9"}, "Invalid enum value"),
    ],
)
def test_what_cannot_be_quoted_is_refused_and_says_why(house: Desk, request_: Told, says: str) -> None:
    told = house.quote(**({"gpus": 1, "hours": 1} | request_))
    assert told["status"] == "refused"
    assert says in told["says"]


def test_while_an_operator_drives_nothing_is_quoted(house: Desk) -> None:
    house.order("site", "manual", ttl_s=600)
    assert "an operator drives (manual)" in house.quote()["says"]


def test_a_request_delivered_twice_is_answered_once(house: Desk) -> None:
    house.thinker.idle = True
    for _ in range(2):
        house.say("quote/request", {"id": "twice", "by": "ann", "gpus": 1, "hours": 1})
    house.thinker.idle = False
    house.settle()
    assert [told["id"] for told in house.heard("quote/result")] == ["twice"]


def test_what_takes_longer_than_the_asker_waits_is_too_late_and_offers_nothing(house: Desk) -> None:
    house.thinker.mind._solver_of = _never
    told = house.quote(within_s=0.01)
    assert (told["status"], told.get("cheapest")) == ("too-late", None)


def _never(*_: object) -> Any:
    raise AssertionError("no time for that")


def test_steps_are_as_fine_as_there_is_time_for() -> None:
    week = timedelta(days=7)
    assert step_h(10, 24, week, 30) == 1
    assert step_h(536, 24, timedelta(days=2), 30) == 4
    assert step_h(536, 9, timedelta(days=2), 30) == 4, "none of those that fit divides 9 h: the finest"
    assert step_h(536, 18, timedelta(days=2), 30) == 6, "the finest of those that do"
    assert step_h(100_000, 24, week, 30) == 12
    parts = [step_h(10, hours, timedelta(days=2), 30) for hours in (2.5, 0.75, 0.7)]
    assert parts == [0.5, 0.25, 1], "parts of an hour that divide it, where whole ones do not"
    assert step_h(536, 2.5, timedelta(days=2), 30) == 4, "and only where there is the time"
    assert (days(24, 0), days(24, 1), days(0.5, 0)) == (timedelta(days=1), timedelta(days=2), timedelta(days=1))


def test_the_first_step_reaches_the_full_hour_and_the_others_are_equal() -> None:
    now = NOW + timedelta(minutes=12)
    found = edges(now, NOW + HOUR, NOW + 25 * HOUR, 4 * HOUR)
    assert found[:3] == (now, NOW + HOUR, NOW + 5 * HOUR)
    assert found[-1] == NOW + 25 * HOUR
    assert edges(NOW, NOW, NOW + HOUR, HOUR) == (NOW, NOW + HOUR)
