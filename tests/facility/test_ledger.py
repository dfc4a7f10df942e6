"""What was used of what is rationed by the hour, as the daemon counts it; the site and the bus are those of `test_daemon`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facility.problem import tenancy
from facility.site import Site
from tests.facility.test_daemon import NOW, SITE, House

WHOLE = SITE.model_dump(mode="json", exclude_unset=True)
SLOW = Site.model_validate(WHOLE | {"contracts": {"c": WHOLE["contracts"]["c"] | {"greatest_slowdown": 2, "slow_hours": 1}}})
DIESEL = {"feeder": "main", "max_kw": 2, "min_load_share": 0.5, "fuel_price_per_mwh": 10, "start_cost": 0.001, "min_run_h": 1, "run_hours_left": 1}
FUELLED = Site.model_validate(WHOLE | {"gensets": {"diesel": DIESEL}})

@pytest.fixture
def slow(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite", SLOW)
    yield made
    made.kill()


def seen(house: House) -> dict[str, Any]:
    """Make a plan; the snapshot that it was made from."""
    assert house.daemon.cycle().outcome == "published"
    record = house.journal.cycles(1)[0]
    snapshot: dict[str, Any] = msgspec.json.decode(record.inputs)["snapshot"]
    return snapshot


def cycles(house: House, count: int) -> None:
    """Let time pass, with a plan every ten minutes."""
    for _ in range(count):
        house.clock.advance(600)
        house.daemon.cycle()


def restart(house: House, down_s: float) -> None:
    house.kill()
    house.clock.advance(down_s)
    house.open()
    house.daemon.start()


def test_slow_hours_are_counted_from_the_caps_that_were_sent_and_the_next_plan_has_as_much_less(slow: House) -> None:
    """250 W are speed 0.6: 0.4 of the half that twice slower withholds, so half an hour is 0.4 h of the hour of each day."""
    assert seen(slow)["slow_hours_used"] == {"c": 0.0}
    slow.order("pool/h/p", "cap_w", 250, ttl_s=7200)
    cycles(slow, 3)
    plan = slow.daemon.rooms.governor.plan
    assert plan is not None
    budget = plan.plan.problem.firms[0].budget
    assert budget is not None
    assert budget.left_h == pytest.approx((0.6, 1.0))


def test_a_crash_forgets_no_slow_hour_and_what_was_sent_counts_until_it_lapses(slow: House) -> None:
    """0.4 h before; while nobody is there 250 W hold for the 900 s they were sent for, 0.2 h, and then the fallback's 400 W."""
    slow.daemon.cycle()
    slow.order("pool/h/p", "cap_w", 250, ttl_s=7200)
    cycles(slow, 3)
    restart(slow, 1800)
    assert seen(slow)["slow_hours_used"]["c"] == pytest.approx(0.6)
    restart(slow, 0)
    assert seen(slow)["slow_hours_used"]["c"] == pytest.approx(0.6)


def test_a_new_day_has_all_its_slow_hours_and_the_old_one_stays_in_the_journal(slow: House) -> None:
    slow.daemon.cycle()
    slow.order("pool/h/p", "cap_w", 250, ttl_s=1800)
    cycles(slow, 3)
    slow.clock.advance(12 * 3600)
    assert seen(slow)["slow_hours_used"] == {"c": 0.0}
    kept = slow.journal.get(f"ledger slow c {NOW:%Y-%m-%d}")
    assert kept is not None
    assert msgspec.json.decode(kept) == pytest.approx(0.4)


def test_a_rental_at_full_speed_or_without_a_budget_uses_none(slow: House, tmp_path: Path) -> None:
    slow.daemon.cycle()
    cycles(slow, 2)
    assert seen(slow)["slow_hours_used"]["c"] == pytest.approx(0.0, abs=1e-6)
    plain = House(tmp_path / "other.sqlite", SITE)
    try:
        plain.order("pool/h/p", "cap_w", 250, ttl_s=7200)
        cycles(plain, 1)
        assert seen(plain)["slow_hours_used"] == {}
    finally:
        plain.kill()


@pytest.fixture
def fuelled(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite", FUELLED)
    yield made
    made.kill()


def price(house: House, first: float, hours: float = 30, then: float = 0.0) -> None:
    """Tell what the grid's energy costs a MWh, `first` for some hours from noon on, and `then`."""
    steps = ((0.0, hours, first), (hours, 40.0, then))
    points = [{"start": (NOW + timedelta(hours=a)).isoformat(), "end": (NOW + timedelta(hours=z)).isoformat(), "value": v} for a, z, v in steps]
    house.say("grid/main/price", {"unit": "EUR/MWh", "points": points}, retain=True)


def ordered_kw(house: House) -> float:
    sent = house.retained("genset/diesel/desired")
    assert sent is not None
    return float(sent["power_kw"])


def test_a_genset_that_was_started_runs_its_minimum_also_across_a_crash_and_then_stops(fuelled: House) -> None:
    """Started at 50 a MWh against 10, and then the grid is free: of the hour that it runs at least the rest is run at 1 kW."""
    price(fuelled, 50.0, hours=1)
    assert seen(fuelled)["genset_on_since"] == {}
    assert ordered_kw(fuelled) == pytest.approx(2.0, abs=0.01)
    price(fuelled, 0.0)
    cycles(fuelled, 3)
    assert ordered_kw(fuelled) == pytest.approx(1.0, abs=0.01)
    restart(fuelled, 600)
    snapshot = seen(fuelled)
    assert datetime.fromisoformat(snapshot["genset_on_since"]["diesel"]) == NOW
    assert snapshot["genset_hours_run"]["diesel"] == pytest.approx(40 / 60)
    assert ordered_kw(fuelled) == pytest.approx(1.0, abs=0.01)
    cycles(fuelled, 2)
    assert ordered_kw(fuelled) == 0.0
    cycles(fuelled, 1)
    assert seen(fuelled)["genset_on_since"] == {}


def test_the_hours_that_a_genset_ran_are_taken_from_its_permit(fuelled: House) -> None:
    """1 h: after half of it as much is left, and after all it stands still though fuel is cheaper."""
    price(fuelled, 50.0, hours=1)
    fuelled.daemon.cycle()
    cycles(fuelled, 3)
    plan = fuelled.daemon.rooms.governor.plan
    assert plan is not None
    genset = plan.plan.problem.gensets[0]
    assert genset.hours_left == pytest.approx(0.5)
    assert genset.is_on
    price(fuelled, 50.0)
    cycles(fuelled, 3)
    assert ordered_kw(fuelled) == 0.0
    assert seen(fuelled)["genset_hours_run"]["diesel"] == pytest.approx(1.0)


KEPT = Site.model_validate(WHOLE | {"jobs": {"curve": "train", "min_run_h": 1}})


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite", KEPT)
    yield made
    made.kill()


def report(house: House, state: str) -> None:
    """Let the scheduler say that the job `j` is now in `state`."""
    at_ms = int(house.clock.now().timestamp() * 1000)
    told = {"timestamp": at_ms, "state": state, "done_gpu_h": 0.0, "gpus": 2 if state == "running" else 0}
    house.say("job/j/reported", told, retain=True)


def order(house: House) -> str:
    sent = house.retained("job/j/desired")
    assert sent is not None
    return str(sent["action"])


def a_started_job(house: House) -> None:
    """Start a job of 3 GPU h on two GPUs, due in eight hours, while energy is cheap; then the next three hours are dear."""
    deadline = NOW + timedelta(hours=8)
    spec = {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 3, "pool": "p", "deadline": deadline.isoformat()}
    house.say("job/j/spec", spec, retain=True)
    price(house, 10.0, hours=1, then=500.0)
    assert seen(house)["jobs"][0]["running_since"] is None
    assert order(house) == "run"
    report(house, "running")
    price(house, 500.0, hours=3, then=1.0)


def test_a_job_that_was_started_runs_its_minimum_also_across_a_crash_and_then_may_pause(kept: House) -> None:
    """Of the hour that it runs at least 30 minutes are over, then 10 more while nobody is there; with the hour it waits for cheap energy."""
    a_started_job(kept)
    cycles(kept, 3)
    assert order(kept) == "run"
    kept.daemon.rooms.known.remember()
    restart(kept, 600)
    report(kept, "running")
    assert datetime.fromisoformat(seen(kept)["jobs"][0]["running_since"]) == NOW
    assert order(kept) == "run"
    cycles(kept, 2)
    assert order(kept) == "hold"
    report(kept, "waiting")
    assert seen(kept)["jobs"][0]["running_since"] is None


def test_a_job_that_nobody_reports_to_run_may_pause_and_an_operator_may_always_hold_it(kept: House, tmp_path: Path) -> None:
    a_started_job(kept)
    assert kept.order("job/j", "hold", ttl_s=3600)["status"] == "accepted"
    assert order(kept) == "hold"
    cycles(kept, 1)
    assert kept.mode() == "NORMAL"
    assert order(kept) == "hold"
    unknown = House(tmp_path / "other.sqlite", KEPT)
    try:
        a_started_job(unknown)
        unknown.say("job/j/reported", b"", retain=True)
        cycles(unknown, 1)
        assert order(unknown) == "hold"
    finally:
        unknown.kill()


def test_a_plan_that_would_cut_a_run_short_and_does_not_say_why_is_not_followed(kept: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model forgets the minimum run; the second opinion does not."""
    a_started_job(kept)
    monkeypatch.setattr(tenancy, "still_to_run_h", lambda *_: 0.0)
    cycles(kept, 1)
    assert kept.mode() == "HOLD"
    assert "job.min_run of j" in kept.daemon.outcome.reason
    assert order(kept) == "run"


def test_a_genset_that_nobody_orders_any_more_has_stopped(fuelled: House) -> None:
    """What was sent at noon lapses after 900 s; nobody is there for an hour."""
    price(fuelled, 50.0, hours=1)
    fuelled.daemon.cycle()
    restart(fuelled, 3600)
    snapshot = seen(fuelled)
    assert snapshot["genset_on_since"] == {}
    assert snapshot["genset_hours_run"]["diesel"] == pytest.approx(0.25)
