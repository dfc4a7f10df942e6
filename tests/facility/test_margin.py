"""Plans stay below the import limit by what the meter was above them: learnt within bounds, for a day, kept, shown, and computed again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facility.config import load_site
from facility.daemon.margin import Margin
from facility.daemon.recording.kept import KeptCycle
from facility.journal.sendings import cycles
from facility.overrides.arbitrate import Bounds, bounds
from facility.replay.walk import Span, replay
from models.solving.solver import Solver
from tests.facility.test_daemon import NOW, SITE, House, meter

AT = datetime(2026, 7, 1, 12, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMIT_KW = 100.0


def learnt(*readings: tuple[datetime, float], planned_kw: float = 96.0) -> Margin:
    """What is learnt while one plan is followed."""
    margin = Margin()
    margin.follow(planned_kw)
    for at, kw in readings:
        margin.read(at, kw, kw, LIMIT_KW)
    return margin


@pytest.mark.parametrize(("shown_kw", "margin_kw"), [(90.0, 1.0), (96.5, 1.0), (99.0, 3.0), (103.0, 7.0), (140.0, 8.0)])
def test_it_is_the_most_that_was_above_a_plan_within_its_bounds(shown_kw: float, margin_kw: float) -> None:
    assert learnt((AT, 96.2), (AT, shown_kw), (AT, 95.0)).kw(AT, LIMIT_KW) == pytest.approx(margin_kw)


def test_it_forgets_after_a_day_and_knows_nothing_of_what_is_still_to_come() -> None:
    margin = learnt((AT, 99.0), (AT + HOUR, 101.0))
    assert [margin.kw(AT + hours * HOUR, LIMIT_KW) for hours in (-1, 0, 1, 24, 25)] == [1.0, 3.0, 5.0, 5.0, 1.0]
    margin.read(AT + 30 * HOUR, 98.0, 98.0, LIMIT_KW)
    assert msgspec.json.decode(margin.kept) == {str(int((AT + 30 * HOUR).timestamp()) // 3600): 2.0}


def test_nothing_is_learnt_far_from_the_limit_without_a_plan_or_where_nothing_is_measured() -> None:
    far = learnt((AT, 99.0), planned_kw=80.0)
    none = Margin()
    none.read(AT, 99.0, 99.0, LIMIT_KW)
    dark = learnt()
    dark.read(AT, None, None, LIMIT_KW)
    assert [margin.kept for margin in (far, none, dark)] == [b"{}"] * 3


def test_what_the_plan_before_ordered_is_not_held_against_the_next() -> None:
    margin = learnt(planned_kw=99.0)
    margin.follow(90.0)
    margin.read(AT, 99.0, 99.0, LIMIT_KW)
    assert margin.kw(AT, LIMIT_KW) == 1.0
    margin.follow(90.0)
    margin.read(AT, 95.0, 95.0, LIMIT_KW)
    assert margin.kw(AT, LIMIT_KW) == 5.0


def test_a_spike_teaches_no_more_than_meters_err_by() -> None:
    margin = learnt()
    margin.read(AT, 180.0, 96.0, LIMIT_KW)
    assert margin.kw(AT, LIMIT_KW) == pytest.approx(0.02 * 96.0)


def test_what_cannot_be_read_is_learnt_anew(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="facility"):
        assert Margin(b"[1]").kw(AT, LIMIT_KW) == 1.0
    assert "learnt anew" in caplog.text


def test_it_comes_off_each_steps_own_limit_unless_less_is_asked_for_already() -> None:
    site = load_site("site_configs/demo.yaml")
    edges = (NOW, NOW + HOUR, NOW + 2 * HOUR)
    asked: Bounds = replace(bounds(site, (), NOW, edges), import_limit_kw=(70.0, 50.0))
    told = learnt((AT, 102.0)).below(AT, asked, (100.0, 50.0))
    assert told.import_limit_kw == pytest.approx((70.0, 46.0))
    assert told.kept_back_kw == pytest.approx((30.0, 4.0))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """All GPUs at 400 W draw 3.22 kW, of 3.3."""
    site = SITE.model_copy(update={"grid": SITE.grid.model_copy(update={"import_limit_kw": 3.3})})
    made = House(tmp_path / "journal.sqlite", site)
    deadline = NOW + timedelta(hours=9)
    made.say("job/j/spec", {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 4, "pool": "p", "deadline": deadline.isoformat()})
    assert made.daemon.cycle().outcome == "published"
    yield made
    made.kill()


def first_step(house: House) -> dict[str, Any]:
    """The first step of the plan as it is told."""
    plan = house.retained("plan/current")
    assert plan is not None
    found: dict[str, Any] = plan["steps"][0]
    return found


def meters(house: House, kw: float) -> None:
    """The meter shows it for a while."""
    for _ in range(4):
        house.clock.advance(5)
        meter(house, kw)


def test_the_next_plan_stays_as_far_below_the_limit_as_the_meter_was_above_the_last(house: House) -> None:
    before = first_step(house)
    assert (before["import_limit_kw"], before["kept_back_kw"]) == (3.3, 0.033)
    meters(house, 3.3)
    assert not house.daemon.rooms.governor.gives_way
    assert house.daemon.cycle().outcome == "published"
    after = first_step(house)
    assert (after["import_limit_kw"], after["kept_back_kw"]) == (3.3, pytest.approx(3.3 - before["import_kw"], abs=1e-3))
    assert after["import_kw"] <= 3.3 - after["kept_back_kw"] + 1e-6


def test_it_outlives_a_restart(house: House) -> None:
    meters(house, 3.3)
    house.daemon.retire()
    house.kill()
    house.open()
    house.daemon.start()
    house.daemon.cycle()
    assert first_step(house)["kept_back_kw"] > 0.05


def test_while_somebody_commands_nothing_is_learnt(house: House) -> None:
    house.order("pool/h/p", "cap_w", 400)
    meters(house, 3.3)
    assert house.daemon.rooms.known.margin.kept == b"{}"


def test_a_plan_that_needs_what_it_would_keep_back_breaks_nothing(house: House) -> None:
    meters(house, 3.3)
    step = {"start": NOW.isoformat(), "end": (NOW + timedelta(hours=2)).isoformat(), "value": 0.805}
    house.say("grid/main/limit", {"unit": "kW", "points": [step]}, retain=True)
    assert house.daemon.cycle().outcome == "published"
    plan = house.retained("plan/current")
    assert plan is not None
    assert first_step(house)["import_limit_kw"] == 0.805
    assert first_step(house)["import_kw"] > 0.805 * 0.99  # six rented GPUs at their lowest cap, and four idle ones, draw 0.8
    assert [breach for breach in plan["breaches"] if breach["family"] == "over_limit_kw"] == []


def test_the_journal_has_it_and_cycles_come_out_the_same_again(house: House) -> None:
    meters(house, 3.3)
    house.daemon.cycle()
    tally = replay(house.journal, Span(solve=True), Solver)
    assert (tally.whole, tally.solved) == (True, 2)
    with house.journal.look() as db:
        asked = [msgspec.json.decode(record.inputs, type=KeptCycle).asked for _, record in cycles(db)]
    assert [round(bound.kept_back_kw[0], 3) for bound in asked] == [0.033, pytest.approx(0.08, abs=0.002)]
