"""Tariff: windows by the local clock through days of 23 and 25 hours, fees and taxes, billing intervals and what was metered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facility.config import load_site
from facility.decide import Undecided
from facility.errors import InputError
from facility.forecast import expect
from facility.planner import Planned, Request, plan
from facility.problem.tariff import charges_of
from facility.report.summary import short_table, summary
from facility.site import Site, Window
from facility.snapshot import Snapshot
from facility.steps import Edges, uniform
from facility.tariff import (
    billing_intervals,
    charges,
    energy_price_per_mwh,
    fees_per_mwh,
    holds,
    month_share,
    paced,
    standing_charge,
)

DEMO = Path(__file__).parents[2] / "site_configs/demo.yaml"
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
NOON = datetime(2026, 7, 15, 10, tzinfo=UTC)
"""12:00 in Berlin, a Wednesday."""


def site(*tariff: str) -> Site:
    """The demonstration site at 80 a MWh with keys of its tariff set."""
    return load_site(DEMO, ("tariff={energy_price_per_mwh: 80}", *(f"tariff.{text}" for text in tariff)))


def hours(start: datetime, count: int, step: timedelta = HOUR) -> Edges:
    return uniform(start, start + count * step, step)


@pytest.mark.parametrize(
    ("window", "inside"),
    [
        ({}, True),
        ({"from_local": "12:00", "to_local": "12:15"}, True),
        ({"to_local": "12:00"}, False),
        ({"weekdays": ("mon", "wed")}, True),
        ({"weekdays": ("sat", "sun")}, False),
        ({"months": (6, 7)}, True),
        ({"months": (1,)}, False),
        ({"dates": ("2026-07-15",)}, True),
        ({"dates": ("2026-07-16",)}, False),
    ],
)
def test_a_window_is_half_open_and_of_the_days_it_names(window: dict[str, Any], inside: bool) -> None:
    assert holds(Window(**window), datetime(2026, 7, 15, 12)) is inside  # noqa: DTZ001 - local times of a window carry no zone


@pytest.mark.parametrize(
    ("start", "dear"),
    [
        ("2026-03-28T23:00", [80, 80, 80, 80]),  # 02:00 to 03:00 does not happen that night
        ("2026-10-24T22:00", [80, 80, 200, 200, 80]),  # and happens twice that one
        ("2026-07-14T22:00", [80, 80, 200, 80]),
    ],
)
def test_a_window_follows_the_local_clock_through_nights_of_any_length(start: str, dear: list[float]) -> None:
    night = site("windows=[{from_local: '02:00', to_local: '03:00', energy_price_per_mwh: 200}]")
    edges = hours(datetime.fromisoformat(start).replace(tzinfo=UTC), len(dear))
    assert energy_price_per_mwh(night, edges).tolist() == dear


def test_the_first_window_that_holds_counts_and_half_a_step_counts_half() -> None:
    both = site("windows=[{from_local: '12:30', energy_price_per_mwh: 100}, {energy_price_per_mwh: 40, weekdays: [wed]}]")
    assert energy_price_per_mwh(both, hours(NOON, 2)).tolist() == [70, 100]
    assert "and its tariff.windows" in expect(both, hours(NOON, 1), {}).assumed[0]


def test_fees_and_taxes_are_what_is_paid_beyond_the_energy() -> None:
    """Energy 80, levies 10, network 30 until 13:00 and 5 after; 20 % tax: 120 * 1.2 - 80 = 64, and 95 * 1.2 - 80 = 34."""
    taxed = site("fees_per_mwh=10", "tax_share=0.2", "network_fee_windows=[{to_local: '13:00', fee_per_mwh: 30}, {fee_per_mwh: 5}]")
    edges = hours(NOON, 2)
    assert fees_per_mwh(taxed, edges, energy_price_per_mwh(taxed, edges)).tolist() == pytest.approx([64, 34])


def test_a_month_of_the_standing_charge_is_a_month_whatever_its_clocks_do() -> None:
    fixed = site("standing_charge_per_month=743")
    assert standing_charge(fixed, hours(datetime(2026, 2, 28, 23, tzinfo=UTC), 743)) == pytest.approx(743)
    assert standing_charge(fixed, hours(NOON, 24)) == pytest.approx(743 / 31)


@pytest.mark.parametrize(
    ("start", "count", "share"),
    [
        ("2026-07-01T00:00+02:00", 24, 1 / 31),
        ("2026-07-22T13:00+02:00", 24, 1 / 10),
        ("2026-07-22T23:00+02:00", 48, 2 / 10),
        ("2026-07-31T08:00+02:00", 24, 1.0),
        ("2026-10-01T00:00+02:00", 24, 24 / (31 * 24 + 1)),
    ],
)
def test_a_plan_of_a_day_is_held_against_its_share_of_what_is_left_of_the_month(start: str, count: int, share: float) -> None:
    now = datetime.fromisoformat(start).astimezone(UTC)
    for told, name in (("peak_price_per_kw=12", "peak"), ("demand_charges={all: {price_per_kw: 12}}", "all")):
        left = charges(paced(site(told), hours(now, count)))
        assert {key: charge.price_per_kw for key, charge in left.items()} == {name: pytest.approx(12 * share)}


def test_a_charge_of_a_few_dates_is_held_against_whole_and_no_charge_changes_nothing() -> None:
    few = site("demand_charges={peak-hour: {price_per_kw: 12, dates: ['2026-07-22']}}")
    assert charges(paced(few, hours(NOON, 24))) == charges(few)
    none = site()
    assert paced(none, hours(NOON, 24)) is none


def test_the_shares_of_a_span_in_its_months_are_by_time() -> None:
    start, end = datetime(2026, 6, 28, 22, tzinfo=UTC), datetime(2026, 7, 15, 22, tzinfo=UTC)
    shares = [month_share(site(), start, end, month) for month in ("2026-05", "2026-06", "2026-07", "2026-08")]
    assert shares == pytest.approx([0, 2 / 30, 15 / 31, 0])


def test_intervals_are_aligned_to_the_wall_clock_and_cut_at_the_plans_ends() -> None:
    found = list(billing_intervals(site(), hours(NOON + timedelta(minutes=10), 2, timedelta(minutes=10))))
    assert [(f"{start:%H:%M}", inside) for start, inside in found] == [("10:00", [(0, 300)]), ("10:15", [(0, 300), (1, 600)])]


def test_what_was_metered_in_the_running_interval_is_part_of_its_mean() -> None:
    """5 min of 8 known at 60 kW before 12:10, 5 kWh; 5 min at 30 kW after: (5 + 2.5) kWh in 10 min are 45 kW."""
    edges = hours(NOON + timedelta(minutes=10), 1, timedelta(minutes=5))
    (charge,) = charges_of(site("peak_price_per_kw=2"), Snapshot(edges[0], interval_kwh=5.0, interval_s=300), edges)
    assert charge.peak_kw(np.array([30.0])) == pytest.approx(45)
    (charge,) = charges_of(site("peak_price_per_kw=2"), Snapshot(edges[0]), edges)
    assert charge.peak_kw(np.array([30.0])) == pytest.approx(30)


def test_short_steps_are_averaged_and_long_ones_have_a_margin() -> None:
    priced = site("peak_price_per_kw=2", "coarse_step_margin_share=0.1")
    (fine,) = charges_of(priced, Snapshot(NOON), hours(NOON, 3, timedelta(minutes=5)))
    assert fine.peak_kw(np.array([10.0, 20.0, 60.0])) == pytest.approx(30)
    (coarse,) = charges_of(priced, Snapshot(NOON), hours(NOON, 2))
    assert coarse.peak_kw(np.array([10.0, 20.0])) == pytest.approx(22)
    assert len(coarse.intervals) == 2


def test_a_charge_is_of_its_window_its_month_and_what_a_ratchet_keeps() -> None:
    """The night of 31 July: the window from 23:00 to 24:00 is the first hour only, and August has a peak of its own."""
    night = site("demand_charges={late: {price_per_kw: 3, from_local: '23:00', ratchet_share: 0.8, highest_of_year_kw: 100}, all: {price_per_kw: 1}}")
    edges = hours(datetime(2026, 7, 31, 21, tzinfo=UTC), 2)
    late, all_july, all_august = charges_of(night, Snapshot(edges[0], peak_so_far_kw=200, peaks_so_far_kw={"late": 50}), edges)
    assert [c.id for c in (late, all_july, all_august)] == ["late", "all", "all:2026-08"]
    assert [c.so_far_kw for c in (late, all_july, all_august)] == [80, 200, 0]
    assert late.peak_kw(np.array([500.0, 900.0])) == pytest.approx(510)
    assert all_august.peak_kw(np.array([500.0, 900.0])) == pytest.approx(918)


def planned(*settings: str, **more: Any) -> Planned:
    found = plan(Request(str(DEMO), "2026-07-15", "24h", "1h", settings=settings, **more))
    assert not isinstance(found, Undecided)
    return found


def test_a_plan_keeps_below_the_peak_of_a_dear_window_and_tells_every_cost() -> None:
    """Above 520 kW a kW costs 50 from noon to 20:00, and nothing by night: the plan stays below, the baseline does not."""
    charge = "{noon: {price_per_kw: 50, from_local: '12:00', to_local: '20:00'}, night: {price_per_kw: 1, to_local: '06:00'}}"
    keys = (f"tariff.demand_charges={charge}", "tariff.fees_per_mwh=20", "tariff.tax_share=0.1", "tariff.standing_charge_per_month=310")
    made = planned(*keys, peaks_so_far=("900", "noon=520"))
    told, hours_ = summary(made), made.decided.plan.problem.horizon.h
    ours = {c["id"]: c for c in told["demand_charges"]}
    base = {c["id"]: c for c in told["baseline"]["demand_charges"]}
    assert ours["noon"]["peak_kw"] < base["noon"]["peak_kw"]
    assert ours["night"]["peak_kw"] == base["night"]["peak_kw"] == 900
    assert told["peak_cost"] == pytest.approx(50 * ours["noon"]["peak_kw"] + 900)
    state, price = made.decided.plan.account, made.forecast.price_per_mwh
    assert told["energy_cost"] == pytest.approx(float(state.import_kw * hours_ @ price) / 1000)
    assert told["fees_cost"] == pytest.approx(float(state.import_kw * hours_ @ (1.1 * (price + 20) - price)) / 1000)
    assert told["standing_charge"] == pytest.approx(10)
    assert {"fees and taxes, EUR", "peak cost, EUR"} <= {row[0] for row in short_table(made)}


@pytest.mark.parametrize("said", ["noon", "-1", "nan", "evening=5", "noon=x"])
def test_a_peak_that_is_no_power_or_of_no_charge_is_refused(said: str) -> None:
    with pytest.raises(InputError, match="--peak-so-far"):
        planned("tariff.demand_charges={noon: {price_per_kw: 5}}", peaks_so_far=(said,))
