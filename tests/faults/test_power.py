"""More on a feeder than it may carry, from wherever it comes: caps below it give way within two seconds, and truth ends within the rating.

The first three with a real broker, plant and daemon: UPS `ups-1` of 510 kW, 3 % of which are losses, feeds hall `h1` with pools `h1-a` and `h1-b`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facility.site import Site
from tests.facility.test_guard import RAW
from tests.faults.conftest import WiredHouse
from tests.faults.fault import Fault
from tests.faults.rehearsed import Rehearsed
from tests.processes import ROOT

UPS = f"{ROOT}/tele/site/feeder/ups-1/power_kw"
RATED_KW = 510.0
POOLS = {"h1-a": 512, "h1-b": 480}


@pytest.fixture
def well(house: WiredHouse) -> Iterator[WiredHouse]:
    """The house, in which all is well before and after."""
    house.calm()
    yield house
    house.trouble()
    house.until(lambda: house.mode() == "NORMAL" and not standing(house), 30, "the end of what went wrong")


def standing(house: WiredHouse) -> list[str]:
    ends = ("over-", "draw-", "cap-", "gone-")
    return [topic for topic, payload in house.ear.newest.items() if payload and topic.rpartition("/")[2].startswith(ends)]


def ups_kw(house: WiredHouse, since: float) -> list[float]:
    return [sample["value"] for sample in house.ear.since(since, UPS)]


def sum_w(house: WiredHouse, pool: str, sent: dict[str, Any]) -> int:
    """The sum of the caps of a message."""
    return sum(g["cap_w"] * g["gpus"] for g in sent["groups"]) + sent["cap_w"] * (POOLS[pool] - sum(g["gpus"] for g in sent["groups"]))


def lowered_after_s(house: WiredHouse, since: float, pool: str) -> float | None:
    """How long after an instant less was published for a pool than before it."""
    topic = f"{ROOT}/cap/h1/{pool}/desired"
    heard = [(at, sum_w(house, pool, json.loads(m.payload))) for at, m in list(house.ear.heard) if m.topic == topic and m.payload]
    before = [caps_w for at, caps_w in heard if at < since][-1]
    return next((at - since for at, caps_w in heard if at >= since and caps_w < before), None)


def overload(house: WiredHouse, kw: float) -> float:
    """Bring the UPS to `kw` by load that nobody declared; tells the instant."""
    began = time.monotonic()
    house.until(lambda: len(ups_kw(house, began)) > 1, 5, "what it carries now")
    now_kw = ups_kw(house, began)[-1]
    return house.trouble(extra_kw={"ups-1": (kw - now_kw) / 1.03})


def settles(house: WiredHouse) -> None:
    """The UPS comes to carry no more than its rating, and goes on to for four seconds."""

    def quiet() -> bool:
        now = time.monotonic()
        return now - began > 4 and max(ups_kw(house, max(began, now - 4)), default=RATED_KW + 1) <= RATED_KW

    began = time.monotonic()
    house.until(quiet, 16, "less load, for four seconds")


def test_fault_18_a_feeder_above_98_percent_is_relieved_within_2_s(well: WiredHouse, fault: Fault) -> None:
    at = fault(lambda: overload(well, 0.99 * RATED_KW)) or time.monotonic()
    fault.proven(lambda: max(ups_kw(well, at), default=0) > 0.98 * RATED_KW, "the meter of ups-1 shows it")
    well.until(lambda: any(lowered_after_s(well, at, pool) for pool in POOLS), 2, "a decrease")
    well.until(lambda: well.ear.told(f"{ROOT}/alarm/over-feeder-ups-1"), 2, "an alarm")
    settles(well)


def test_fault_19_a_feeder_that_rises_by_37_percent_in_2_s_is_relieved_within_2_s(well: WiredHouse, fault: Fault) -> None:
    well.until(lambda: well.ear.told(UPS)["value"] > 0.75 * RATED_KW, 20, "its load back, after what was before")
    before_kw = well.ear.told(UPS)["value"]
    at = fault(lambda: overload(well, 1.375 * before_kw)) or time.monotonic()
    fault.proven(lambda: max(ups_kw(well, at), default=0) > 1.3 * before_kw, "the meter of ups-1 shows it")
    well.until(lambda: any(lowered_after_s(well, at, pool) for pool in POOLS), 2, "a decrease")
    settles(well)


def test_fault_22_gpus_that_ignore_their_cap_are_told_and_their_neighbours_leave_them_room(well: WiredHouse, fault: Fault) -> None:
    """h1-b may then draw 480 * 520 W = 249.6 kW; with 10 kW of base load and the losses that leaves h1-a 235.5 of the 266 kW it may have."""
    reported = f"{ROOT}/cap/h1/h1-b/reported"
    topic = f"{ROOT}/cap/h1/h1-a/desired"
    most_w = (RATED_KW / 1.03 - 10 - 0.52 * 480) * 1000 - 512 * 120
    assert well.order("pool/h1/h1-b", "twenty-two-h1-b", "cap_w", 150)["status"] == "accepted"
    well.until(lambda: well.ear.told(reported)["enforced_cap_w"] == 150, 5, "what was ordered")
    assert well.order("pool/h1/h1-a", "twenty-two-h1-a", "cap_w", 400)["status"] == "accepted"
    well.until(lambda: sum_w(well, "h1-a", well.ear.told(topic)) > most_w, 5, "more than is left afterwards")
    at = fault(lambda: well.trouble(ignores={"h1-b": "told"})) or time.monotonic()
    fault.proven(lambda: well.ear.told(reported)["enforced_cap_w"] == 400, "the agent enforces more than it was sent")
    well.until(lambda: sum_w(well, "h1-a", well.ear.told(topic)) <= most_w, 2, "room for it")
    told = ("while h1-b draws more than caps allow", "feeder ups-1")  # whichever is seen first: what the agent says, or the meter
    assert any(words in sent["reason"] for sent in well.ear.since(at, topic) for words in told)
    well.until(lambda: well.ear.told(f"{ROOT}/alarm/cap-h1-b"), 2, "an alarm")
    settles(well)
    for pool in POOLS:
        well.clear(f"pool/h1/{pool}", f"twenty-two-{pool}")


def test_fault_20_what_is_left_when_a_ups_is_gone_carries_all_within_its_rating_and_it_is_told(tmp_path: Path, fault: Fault) -> None:
    room = Rehearsed(tmp_path, Site.model_validate(RAW))
    truth, b = room.plant.feeder_kw, "site/feeder/b/power_kw"
    assert truth["a"] > 20

    def within() -> bool:
        return truth["b"] <= 60

    def gone() -> bool:
        room.go_on(20, within)
        return truth["a"] == 0 and room.plant.read(next(s for s in room.plant.sensors if s.key == b)) > 40

    fault(lambda: room.suffer(gone=("a",)))
    fault.proven(gone, "ups a carries nothing, b all of it", within_s=0)
    assert "the others of its group its load" in room.alarm("gone-a")["cause"]
    before, at = room.caps_w(), room.at_s
    room.suffer(gone=("a",), extra_kw={"b": 60.5 - truth["b"]})
    room.go_on(7)
    assert room.caps_w() != before
    lower = {pool for pool in "pqr" if room.lowered_at(at, pool, before[pool]) is not None}
    assert lower == {pool for pool in "pqr" if before[pool] > 100} > {"r"}, "the pools of both give way"
    for _ in range(4):
        room.go_on(150, within)
        room.daemon.cycle()
    assert room.alarm("gone-a") is not None
    room.suffer()
    room.go_on(30)
    assert room.alarm("gone-a") is None
    room.close()
