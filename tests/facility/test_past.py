"""What was told and measured is remembered, so that what comes after it can be learnt."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from facility.bus.interface import Message
from facility.clock import ManualClock
from facility.config import load_site
from facility.daemon.knowledge import Knowledge
from facility.decide import Optimised, decide
from facility.forecast import Past
from facility.forecast.past import PREFIX, RING
from facility.inputs.series import OUTDOOR, PRICE, Series
from facility.journal.journal import Journal
from facility.overrides.arbitrate import bounds
from facility.signals import Signals
from facility.snapshot import Snapshot
from facility.steps import as_datetime64, rolling

SITE = load_site("site_configs/demo.yaml")
ZONE = ZoneInfo(SITE.timezone)
NOW = datetime(2026, 7, 15, 6, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def series(first: datetime, values: list[float]) -> Series:
    edges = as_datetime64([first + i * HOUR for i in range(len(values) + 1)])
    return Series("told", "", edges[:-1], edges[1:], np.array(values, float))


def known(past: Past, quantity=PRICE) -> list[tuple[datetime, float]]:
    found = past.known(quantity)
    return list(zip((at.astype(datetime).replace(tzinfo=UTC) for at in found.start), found.value.tolist(), strict=True))


def test_what_is_told_replaces_what_was_told_from_its_beginning_on() -> None:
    past = Past()
    past.tell(PRICE, series(NOW, [1, 2, 3, 4]), NOW)
    past.tell(PRICE, series(NOW + 2 * HOUR, [9]), NOW)
    assert known(past) == [(NOW, 1), (NOW + HOUR, 2), (NOW + 2 * HOUR, 9)]


def test_what_is_said_of_later_than_a_week_is_not_remembered() -> None:
    past = Past()
    past.tell(PRICE, series(NOW - DAY, [1] * 24), NOW)
    past.tell(PRICE, series(NOW + 400 * DAY, [1, 2]), NOW)
    assert [at for at, _ in known(past)] == [NOW - DAY + i * HOUR for i in range(24)]


def test_what_is_measured_goes_before_what_was_told_of_the_same_time() -> None:
    past = Past()
    past.tell(OUTDOOR, series(NOW - HOUR, [1, 2, 3, 4, 5]), NOW)
    for minutes, value in ((0, 10), (30, 20), (60, 40), (90, 60)):
        past.measure(OUTDOOR, NOW + timedelta(minutes=minutes), value)
    assert known(past, OUTDOOR) == [(NOW - HOUR, 1), (NOW, 15), (NOW + HOUR, 50), (NOW + 1.5 * HOUR, 3), (NOW + 2 * HOUR, 4), (NOW + 3 * HOUR, 5)]


def test_a_day_is_known_after_a_restart_and_what_cannot_be_read_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    past = Past()
    past.tell(PRICE, series(NOW - 3 * DAY, list(range(96))), NOW)
    for minutes in range(0, 300, 5):
        past.measure(OUTDOOR, NOW + timedelta(minutes=minutes), minutes)
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.put("passing", b"1")
        journal.put_all(past.changed())
        again = Past(kept := journal.get_all(PREFIX))
    assert all(key.startswith(PREFIX) for key in kept)
    assert (known(again), known(again, OUTDOOR)) == (known(past), known(past, OUTDOOR))
    key = next(key for key in kept if "price" in key)
    broken = Past({**kept, key: b"[[1, 2"})
    assert 48 < len(known(broken)) < 96
    assert "cannot be read" in caplog.text


def test_only_what_changed_is_written_and_a_year_at_most() -> None:
    past = Past()
    kept: dict[str, bytes] = {}
    for day in range(0, 500, 5):
        past.tell(PRICE, series(NOW + day * DAY, [day] * 120), NOW + day * DAY)
        changed = past.changed()
        assert 1 <= len(changed) <= 7
        past.saved()
        kept.update(changed)
    assert past.changed() == {}
    assert len(kept) <= RING
    assert known(Past(kept))[-24 * 360 :] == known(past)[-24 * 360 :]
    assert len(known(past)) <= 24 * (RING + 1)


def told(values: list[float], first: datetime) -> bytes:
    points = [{"start": (first + i * HOUR).isoformat(), "end": (first + (i + 1) * HOUR).isoformat(), "value": v} for i, v in enumerate(values)]
    return json.dumps({"points": points, "unit": "EUR/MWh"}).encode()


def day_ahead(signals: Signals, days: int, until: datetime) -> None:
    """Prices as an auction tells them, a day at a time: 30 by night, 90 by day, and `until` is not reached."""
    for day in range(-days, 0):
        first = until + day * DAY
        values = [90.0 if 8 <= (first + i * HOUR).hour < 20 else 30.0 for i in range(24)]
        assert signals.accept("grid_price", told(values, first), "main", first) is None


def test_beyond_what_the_auction_told_a_plan_expects_what_it_learnt_and_says_so() -> None:
    signals = Signals(SITE)
    day_ahead(signals, 10, NOW + 6 * HOUR)
    edges = rolling(NOW)
    forecast = signals.forecast(edges)
    expected = [90.0 if 8 <= at.hour < 20 else 30.0 for at in edges[:-1]]
    assert forecast.price_per_mwh == pytest.approx(expected)
    assert "price: beyond what was told: learnt from 10 days: as at the same time of the newest day, in wide bands" in forecast.assumed
    assert len([text for text in forecast.assumed if text.startswith("price")]) == 1


def test_with_less_than_two_days_the_sites_own_values_stand() -> None:
    signals = Signals(SITE)
    own = signals.forecast(rolling(NOW))
    day_ahead(signals, 1, NOW + 6 * HOUR)
    found = signals.forecast(rolling(NOW))
    assert found.price_per_mwh[-6:].tolist() == own.price_per_mwh[-6:].tolist()
    assert not any("learnt" in text for text in found.assumed)


def test_whoever_withdraws_a_signal_takes_back_what_was_learnt_from_it() -> None:
    signals = Signals(SITE)
    own = signals.forecast(rolling(NOW))
    day_ahead(signals, 10, NOW + 6 * HOUR)
    assert signals.accept("grid_price", b"", "main", NOW) is None
    found = signals.forecast(rolling(NOW))
    assert (found.price_per_mwh.tolist(), found.assumed) == (own.price_per_mwh.tolist(), own.assumed)


def test_a_signal_that_ended_is_an_alarm_that_says_what_holds_until_it_is_too_long_ago() -> None:
    signals = Signals(SITE)
    day_ahead(signals, 10, NOW)
    assert signals.amiss(NOW)["grid_price"].endswith("what was learnt of it holds")
    assert signals.amiss(NOW + 4 * DAY)["grid_price"].endswith("the site's own values hold")
    assert any("learnt" in text for text in signals.forecast(rolling(NOW + DAY)).assumed)
    assert not any("learnt" in text for text in signals.forecast(rolling(NOW + 4 * DAY)).assumed)


def test_weather_that_is_measured_is_learnt_and_limits_hold_at_its_p90() -> None:
    past = Past()
    signals = Signals(SITE, past)
    rng = np.random.default_rng(1)
    for hour in range(-24 * 40, 0):
        at = NOW + hour * HOUR
        past.measure(OUTDOOR, at + 0.5 * HOUR, 15 + 5 * np.sin(at.hour / 24 * 2 * np.pi) + rng.normal())
    found = signals.forecast(rolling(NOW))
    assert found.outdoor_high_c is not None
    assert (found.outdoor_high_c > found.outdoor_c).all()
    assert 8 < found.outdoor_c.min() < found.outdoor_c.max() < 22
    assert any(text.startswith("weather: beyond what was told: learnt from 40 days") for text in found.assumed)


def test_load_that_is_learnt_lowers_what_is_expected_and_limits_hold_at_the_files() -> None:
    signals = Signals(SITE)
    own = sum(hall.base_kw for hall in SITE.halls.values())
    for day in range(-5, 0):
        first = NOW + 2 * HOUR + day * DAY
        body = told([own / 2] * 24, first).replace(b"EUR/MWh", b"kW")
        assert signals.accept("signal_load", body, None, first) is None
    found = signals.forecast(rolling(NOW))
    assert found.load_kw is not None
    assert found.load_high_kw is not None
    assert found.load_kw == pytest.approx(own / 2)
    assert (found.load_high_kw == own).all()
    assert signals.loaded(SITE, rolling(NOW)) is SITE


def test_a_site_where_nothing_is_told_or_measured_expects_what_it_always_did() -> None:
    assert Past().ahead(PRICE, rolling(NOW), ZONE) is None
    assert not Past().teaches(OUTDOOR, NOW)
    assert not any("learnt" in text for text in Signals(SITE).forecast(rolling(NOW)).assumed)


def test_a_daemon_goes_on_learning_where_the_one_before_it_ended(tmp_path: Path) -> None:
    clock = ManualClock(NOW - 10 * DAY)
    with Journal(tmp_path / "j.sqlite", clock=clock) as journal:
        before = Knowledge(SITE, journal, clock, lambda *_: None)
        for _ in range(10):
            values = [90.0 if 8 <= (clock.now() + i * HOUR).hour < 20 else 30.0 for i in range(24)]
            topic = f"{SITE.bus.root}/{SITE.id}/grid/{SITE.grid.feed}/price"
            before.accept("grid_price", SITE.grid.feed, Message(topic, told(values, clock.now())), clock.now())
            before.remember()
            clock.advance(DAY.total_seconds())
        edges = rolling(NOW)
        _, expected = before.foreseen(edges)
        _, again = Knowledge(SITE, journal, clock, lambda *_: None).foreseen(edges)
    assert again.price_per_mwh.tolist() == expected.price_per_mwh.tolist()
    assert any("learnt from 10 days" in text for text in again.assumed)


def test_a_plan_by_what_was_learnt_is_certified_and_leaves_room_for_a_warm_day() -> None:
    past = Past()
    signals, rng = Signals(SITE, past), np.random.default_rng(2)
    day_ahead(signals, 30, NOW)
    for hour in range(-24 * 30, 0):
        past.measure(OUTDOOR, NOW + (hour + 0.5) * HOUR, 22 + 5 * np.sin((hour - 8) / 24 * 2 * np.pi) + rng.normal())
    edges = rolling(NOW)
    learnt = signals.forecast(edges)
    sure = replace(learnt, outdoor_high_c=None)
    held, free = (decide(SITE, Snapshot(at=NOW), each, bounds(SITE, (), NOW, edges), edges, 60) for each in (learnt, sure))
    assert isinstance(held, Optimised)
    assert isinstance(free, Optimised)
    assert held.plan.account.import_kw.max() <= free.plan.account.import_kw.max() + 1e-6
