"""Signals from outside count where they cover a step; where they do not, the site's own values stand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from facility.config import load_site
from facility.events import Event
from facility.forecast import expect
from facility.overrides.arbitrate import Bounds, bounds
from facility.overrides.proposal import Proposal
from facility.problem import called, problem_of
from facility.signals import Signals
from facility.snapshot import Snapshot
from models.account import account
from models.baseline import baseline

SITE = load_site("site_configs/demo.yaml")
NOW = datetime(2026, 7, 15, 6, tzinfo=UTC)
HOURS = tuple(NOW + timedelta(hours=i) for i in range(4))


def series(*values: float, start: datetime = NOW, unit: str | None = None, minutes: int = 60) -> bytes:
    edges = [start + timedelta(minutes=minutes * i) for i in range(len(values) + 1)]
    points = [
        {"start": a.isoformat(), "end": b.isoformat(), "value": v} for a, b, v in zip(edges, edges[1:], values, strict=False)
    ]
    return json.dumps({"points": points} | ({"unit": unit} if unit else {})).encode()


def test_a_price_counts_for_the_steps_it_covers_and_the_tariff_for_the_others() -> None:
    signals = Signals(SITE)
    own = signals.forecast(HOURS)
    assert signals.accept("grid_price", series(-5.0, 300.0, unit="EUR/MWh"), "main") is None
    told = signals.forecast(HOURS)
    assert told.price_per_mwh.tolist() == [-5.0, 300.0, own.price_per_mwh[2]]
    assert any(text.startswith("price") for text in own.assumed)
    assert not any(text.startswith("price") for text in told.assumed)
    assert any(text.startswith("weather") for text in told.assumed)


def test_for_a_temperature_that_nobody_measures_stands_the_highest_expected_within_an_hour() -> None:
    signals = Signals(SITE)
    design, local = SITE.weather.outdoor_by_hour_c, HOURS[0].astimezone(ZoneInfo(SITE.timezone)).hour
    for n in range(24):
        assert signals.warmest_c(HOURS[0] + timedelta(hours=n, minutes=1)) == max(design[(local + n + k) % 24] for k in (0, 1))
    signals.accept("signal_weather", series(1.0, 60.0, 3.0))
    assert signals.warmest_c(HOURS[0]) == signals.warmest_c(HOURS[1] + timedelta(minutes=1)) == 60.0
    assert signals.warmest_c(HOURS[2]) == max(3.0, design[(local + 3) % 24])


def test_weather_and_carbon_count_and_an_empty_message_takes_them_back() -> None:
    signals = Signals(SITE)
    own = signals.forecast(HOURS)
    signals.accept("signal_weather", series(1.0, 2.0, 3.0))
    signals.accept("grid_carbon", series(10.0, 20.0, 30.0))
    told = signals.forecast(HOURS)
    assert (told.outdoor_c.tolist(), told.carbon_g_per_kwh.tolist()) == ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    assert signals.accept("signal_weather", b"") is None
    assert signals.forecast(HOURS).outdoor_c.tolist() == own.outdoor_c.tolist()


@pytest.mark.parametrize(
    ("name", "payload", "feed", "why"),
    [
        ("grid_price", series(50.0, unit="USD/MWh"), "main", "is not the site's"),
        ("grid_price", series(50_000.0, unit="EUR/MWh"), "main", "not in"),
        ("grid_price", series(50.0, unit="EUR/MWh"), "other", "no feed other"),
        ("grid_limit", series(-1.0), "main", "not in"),
        ("signal_weather", series(900.0), None, "not in"),
        ("signal_weather", b'{"points": []}', None, "no points"),
        ("signal_weather", series(1.0, 2.0, minutes=0), None, "rising"),
        ("signal_weather", b"{", None, ""),
        ("signal_weather", b"\xff", None, ""),
    ],
)
def test_what_cannot_be_believed_is_refused_and_the_signal_before_it_stays(
    name: str, payload: bytes, feed: str, why: str
) -> None:
    signals = Signals(SITE)
    signals.accept(name, series(20.0, unit="EUR/MWh" if name == "grid_price" else None))
    before = signals.forecast(HOURS), signals.limited(own_limit(), HOURS)
    refused = signals.accept(name, payload, feed)
    assert refused is not None
    assert why in refused
    after = signals.forecast(HOURS), signals.limited(own_limit(), HOURS)
    assert before[0].price_per_mwh.tolist() == after[0].price_per_mwh.tolist()
    assert before[0].outdoor_c.tolist() == after[0].outdoor_c.tolist()
    assert before[1] == after[1]


def own_limit(*proposals: Proposal) -> Bounds:
    return bounds(SITE, proposals, NOW, HOURS)


def test_a_limit_counts_with_its_lowest_value_in_every_step_it_touches() -> None:
    signals = Signals(SITE)
    signals.accept("grid_limit", series(500.0, 700.0, start=NOW + timedelta(minutes=50), minutes=20), "main")
    assert signals.limited(own_limit(), HOURS).import_limit_kw == (500.0, 500.0, 810.0)


def test_a_limit_above_the_sites_own_changes_nothing() -> None:
    signals = Signals(SITE)
    signals.accept("grid_limit", series(5000.0, 5000.0, 5000.0), "main")
    assert signals.limited(own_limit(), HOURS).import_limit_kw == (810.0,) * 3


@pytest.mark.parametrize(("priority", "limits"), [(5, (900.0, 900.0, 400.0)), (8, (400.0, 400.0, 400.0))])
def test_only_an_operator_of_critical_equipment_may_pass_the_grids_limit(priority: int, limits: tuple[float, ...]) -> None:
    signals = Signals(SITE)
    signals.accept("grid_limit", series(400.0, 400.0, 400.0), "main")
    raised: Any = Proposal("r", "grid/main", "import_limit_kw", 900.0, priority, NOW, HOURS[2], "ann", "")
    assert signals.limited(own_limit(raised), HOURS, (raised,)).import_limit_kw == limits


def event(**changed: Any) -> bytes:
    told = {"start": "2026-07-15T07:00:00Z", "end": "2026-07-15T08:00:00Z", "target_kw": 400.0, "ramp_min": 30.0}
    return json.dumps(told | changed).encode()


def test_an_event_is_kept_until_an_empty_message_withdraws_it() -> None:
    signals = Signals(SITE)
    assert signals.events == ()
    assert signals.accept("grid_event", event(), "main") is None
    assert signals.events == (Event(HOURS[1], HOURS[2], target_kw=400.0, ramp=timedelta(minutes=30)),)
    assert signals.accept("grid_event", b"", "main") is None
    assert signals.events == ()


@pytest.mark.parametrize(
    ("payload", "feed"),
    [
        (event(reduction_pct=10.0), "main"),
        (event(ramp_min=1e300), "main"),
        (event(end="2026-07-15T07:00:00Z"), "main"),
        (event(), "other"),
        (b"{", "main"),
    ],
)
def test_an_event_that_cannot_be_believed_is_refused_and_the_one_before_it_stays(payload: bytes, feed: str) -> None:
    signals = Signals(SITE)
    signals.accept("grid_event", event(), "main")
    before = signals.events
    assert signals.accept("grid_event", payload, feed)
    assert signals.events == before


def test_an_event_binds_the_steps_of_the_plan_against_its_own_baseline() -> None:
    """Half an hour of ramp in the hour before: with steps of an hour, the lowest value of that hour is the target itself."""
    snapshot, outlook = Snapshot(at=NOW), expect(SITE, HOURS, {})
    asked = own_limit()
    assert called(SITE, snapshot, outlook, asked, (), HOURS) is asked
    kept = called(
        SITE, snapshot, outlook, asked, (Event(HOURS[1], HOURS[2], target_kw=400.0, ramp=timedelta(minutes=30)),), HOURS
    )
    assert kept.event_target_kw == (400.0, 400.0, 400.0)
    free = problem_of(SITE, snapshot, outlook, asked, HOURS)
    base_kw = account(free, baseline(free)).import_kw
    half = called(SITE, snapshot, outlook, asked, (Event(HOURS[0], HOURS[1], reduction_pct=50.0),), HOURS)
    assert half.event_target_kw == pytest.approx((base_kw[0] / 2, base_kw[1], None))
    assert problem_of(SITE, snapshot, outlook, kept, HOURS).grid.event_target_kw == (400.0, 400.0, 400.0)


OWN_KW = 15.0
"""What the demonstration's halls draw by its site file."""


def test_the_base_load_counts_for_the_steps_it_covers_and_the_site_file_for_the_others() -> None:
    signals = Signals(SITE)
    assert signals.forecast(HOURS).load_kw is None
    assert signals.accept("signal_load", series(40.0, 60.0), now=NOW) is None
    told = signals.forecast(HOURS)
    assert told.load_kw is not None
    assert (told.load_kw.tolist(), told.load_high_kw) == ([40.0, 60.0, OWN_KW], None)
    halls = problem_of(SITE, Snapshot(at=NOW), told, own_limit(), HOURS).halls
    assert [hall.base_kw for hall in halls] == [pytest.approx((80 / 3, 40, 10)), pytest.approx((40 / 3, 20, 5))]
    loaded = signals.loaded(SITE, HOURS)
    assert [hall.base_kw for hall in loaded.halls.values()] == pytest.approx([80 / 3, 40 / 3])
    assert signals.loaded(SITE, HOURS) is loaded
    assert signals.loaded(SITE, HOURS[2:]) is SITE


def test_a_base_load_below_the_site_files_is_expected_and_limits_hold_at_the_files() -> None:
    signals = Signals(SITE)
    signals.accept("signal_load", series(5.0, 60.0), now=NOW)
    told = signals.forecast(HOURS)
    assert told.load_kw is not None
    assert told.load_high_kw is not None
    assert (told.load_kw.tolist(), told.load_high_kw.tolist()) == ([5.0, 60.0, OWN_KW], [OWN_KW, 60.0, OWN_KW])
    assert signals.loaded(SITE, HOURS) is SITE


def test_a_base_load_under_which_the_fallback_caps_would_not_fit_is_refused() -> None:
    refused = Signals(SITE).accept("signal_load", series(400.0), now=NOW)
    assert refused is not None
    assert "the fallback caps would not fit under ups-1" in refused


@pytest.mark.parametrize("name", ["grid_price", "grid_carbon", "signal_weather", "signal_load"])
def test_what_is_past_is_refused_and_what_runs_out_or_has_gaps_is_told(name: str) -> None:
    signals, unit = Signals(SITE), "EUR/MWh" if name == "grid_price" else None
    past = series(20.0, start=NOW - timedelta(hours=2), unit=unit)
    assert signals.accept(name, past, now=NOW) == "all of it is past, it ended at 2026-07-15 05:00 UTC"
    assert "refused: all of it is past" in signals.amiss(NOW)[name]
    assert signals.accept(name, series(20.0, unit=unit), now=NOW) is None
    assert signals.amiss(NOW) == {}
    assert signals.amiss(HOURS[1]) == {name: "it ended at 2026-07-15 07:00 UTC; the site's own values hold"}
    told = json.loads(series(20.0, 21.0, 22.0, unit=unit))
    del told["points"][1]
    signals.accept(name, json.dumps(told).encode(), now=NOW)
    assert signals.amiss(NOW) == {name: "it tells nothing from 2026-07-15 07:00 UTC to 2026-07-15 08:00 UTC; the site's own values hold then"}
    assert signals.amiss(HOURS[2]) == {}
    signals.accept(name, b"")
    assert signals.amiss(HOURS[3]) == {}


def test_a_limit_and_an_event_pass_away_without_a_word() -> None:
    signals = Signals(SITE)
    signals.accept("grid_limit", series(500.0), now=NOW)
    signals.accept("grid_event", event(), now=NOW)
    assert signals.amiss(HOURS[3]) == {}
    assert signals.accept("grid_limit", b"{", now=NOW)
    assert set(signals.amiss(NOW)) == {"grid_limit"}


def test_a_firm_event_is_a_limit_in_every_step_it_touches_and_an_operator_of_critical_equipment_may_pass_it() -> None:
    signals = Signals(SITE)
    signals.accept("grid_event", event(), "main")
    firm = Event(NOW + timedelta(minutes=50), HOURS[2], target_kw=500.0, firm=True)
    signals.ordered = (firm, Event(NOW, HOURS[3], target_kw=300.0))
    assert [e.target_kw for e in signals.events] == [400.0, 500.0, 300.0]
    assert signals.limited(own_limit(), HOURS).import_limit_kw == (500.0, 500.0, 810.0)
    raised: Any = Proposal("r", "grid/main", "import_limit_kw", 900.0, 5, NOW, HOURS[2], "ann", "")
    assert signals.limited(own_limit(raised), HOURS, (raised,)).import_limit_kw == (900.0, 900.0, 810.0)
