"""A daemon that dies, or a disk that fails, between two steps of one thing leaves nothing half done behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.alarms.shelves import Shelves
from facility.daemon.answering.answers import Answers
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.rental.offers import Offers
from facility.site import Site
from tests.facility.test_daemon import NOW, SITE, House
from tests.facility.test_questions import planned
from tests.facility.test_quoted_live import PRICED, Desk, accepted

BOUGHT = Site.model_validate(
    SITE.model_dump(mode="json", exclude_unset=True) | {"tariff": {"energy_price_per_mwh": 50, "imbalance_premium_per_mwh": 100}}
)
HOUR = {"start": NOW.isoformat(), "end": (NOW + timedelta(hours=1)).isoformat()}
POSITION = {"id": "p1", "by": "ann", "points": [HOUR | {"value": 3.0}]}
SHELVE = {"id": "s1", "by": "ann", "reason": "the feed is being mended", "ttl_s": 60}


class Died(BaseException):
    """The process is killed here."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite", BOUGHT)
    yield made
    made.kill()


def dies(*_: Any, **__: Any) -> None:
    raise Died


def is_full(*_: Any, **__: Any) -> None:
    raise StoreFault("the disk is full")


def die_in(house: House, patch: pytest.MonkeyPatch, place: object, name: str, topic: str, command: dict[str, Any]) -> None:
    """Have a daemon die in a call of `place.name`, while it takes a command, and another begin."""
    with patch.context() as broken:
        broken.setattr(place, name, dies)
        with pytest.raises(Died):
            house.say(topic, command)
    house.kill()
    house.bus.inbox.drain(0.0, 1000)
    house.open()


def shelved_alarm(house: House) -> str:
    """An alarm that stands."""
    house.say("signal/weather", b"no forecast")
    (alarm,) = house.daemon.rooms.alarms.ids
    return alarm


def test_a_position_is_kept_together_with_its_answer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    die_in(house, monkeypatch, Journal, "save_answer", "position/set", POSITION)
    assert house.retained("position/state") is None
    house.say("position/set", POSITION)
    assert house.heard("position/result")[-1]["status"] == "accepted"


def test_a_position_that_cannot_be_stored_is_refused_and_told_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.journal, "save_answer", is_full)
    house.say("position/set", POSITION)
    (answer,) = house.heard("position/result")
    assert (answer["status"], answer["id"]) == ("rejected", "p1")
    assert "could not be stored" in answer["reason"]
    house.kill()
    house.open()
    assert house.retained("position/state") is None
    assert not house.daemon.faults


def test_an_alarm_is_shelved_together_with_its_answer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    alarm = shelved_alarm(house)
    monkeypatch.setattr(house.journal, "save_answer", is_full)
    house.say(f"alarm/{alarm}/shelve", SHELVE)
    assert house.heard(f"alarm/{alarm}/result")[-1]["status"] == "rejected"
    house.kill()
    house.open()
    assert house.daemon.rooms.shelving.shelved == ()


def test_the_end_of_a_shelving_that_nobody_was_told_of_is_told_by_the_next_process(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    alarm = shelved_alarm(house)
    house.say(f"alarm/{alarm}/shelve", SHELVE)
    house.clock.advance(61)
    house.heard("")
    with monkeypatch.context() as broken:
        broken.setattr(Answers, "tell", dies)
        with pytest.raises(Died):
            house.settle()
    house.kill()
    house.open()
    assert [it["status"] for it in house.heard(f"alarm/{alarm}/result")] == ["expired"]
    house.kill()
    assert Shelves(Journal(house.path, read_only=True)).shelved == ()
    house.open()
    assert not house.heard(f"alarm/{alarm}/result")


def test_an_offer_is_accepted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path / "journal.sqlite", PRICED)
    planned(desk)
    best = desk.quote(hours=1)["cheapest"]
    terms = {"by": "desk", "tenant": "t", "kind": "reserved"} | accepted(best)
    die_in(desk, monkeypatch, Offers, "taken", "contract/one/set", {"id": "first"} | terms)
    assert desk.retained("contract/one/state") is not None
    desk.say("contract/one/clear", {"id": "first", "by": "desk"})
    again = desk.rent("two", **accepted(best))
    assert (again["status"], again["reason"]) == ("rejected", f"no offer {best['id']} stands; ask for a quote again")
    desk.kill()


def test_what_begins_just_as_something_else_is_commanded_is_shown(house: House) -> None:
    house.daemon.cycle()
    later = {"start": (NOW + timedelta(seconds=30)).isoformat(), "ttl_s": None, "end": (NOW + timedelta(hours=1)).isoformat()}
    assert house.order("hall/h", "cap_w", 300, **later)["status"] == "accepted"
    assert house.retained("override/hall/h/state") is None
    house.clock.advance(30)
    house.order("pool/h/p", "cap_w", 250)
    shown = house.retained("override/hall/h/state")
    assert shown is not None
    assert [it["value"] for it in shown["overrides"]] == [300]
