"""Grid events: what a step may import while one calls, and what is wrong with a file of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from facility.config import load_site
from facility.errors import InputError
from facility.events import Event, delivery, targets_kw
from facility.inputs.events import read_events
from facility.site import Site
from facility.steps import Edges, uniform

DEMO = Path(__file__).parents[2] / "site_configs/demo.yaml"
MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 7, 15, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(str(DEMO))


def steps(start_min: float, end_min: float, step_min: float) -> Edges:
    """Steps by their minutes after noon."""
    return uniform(NOON + start_min * MINUTE, NOON + end_min * MINUTE, step_min * MINUTE)


def event(start_min: float, end_min: float, ramp_min: float = 0.0, **asked: float) -> Event:
    return Event(NOON + start_min * MINUTE, NOON + end_min * MINUTE, ramp=ramp_min * MINUTE, **asked)


def test_a_target_comes_down_before_the_start_goes_up_after_the_end_and_keeps_to_the_baseline_for_an_hour() -> None:
    """100 kW, 30 % for 10 min from 12:20, ramps of 15 min, steps of 5: the lowest value of each step's end, then beginning."""
    edges = steps(0, 120, 5)
    found = targets_kw([event(20, 30, 15, reduction_pct=30)], edges, np.full(24, 100.0))
    assert found[:9] == pytest.approx((None, 90.0, 80.0, 70.0, 70.0, 70.0, 70.0, 80.0, 90.0))
    assert found[9:21] == (100.0,) * 12
    assert found[21:] == (None,) * 3


def test_without_a_ramp_only_the_window_and_the_hour_after_it_are_bound() -> None:
    found = targets_kw([event(10, 20, target_kw=60)], steps(0, 90, 10), np.full(9, 100.0))
    assert found == (None, 60.0, *(100.0,) * 6, None)


def test_a_step_that_the_window_only_touches_is_called_whole() -> None:
    assert targets_kw([event(14, 16, target_kw=60)], steps(0, 30, 15), np.full(2, 100.0)) == (60.0, 60.0)


def test_a_reduction_follows_the_baseline_and_the_lowest_target_counts() -> None:
    halves = event(0, 20, reduction_pct=50)
    assert targets_kw([halves, event(10, 20, target_kw=45)], steps(0, 20, 10), np.array([80.0, 100.0])) == (40.0, 45.0)


def test_a_target_above_the_baseline_asks_nothing_of_the_ramps() -> None:
    found = targets_kw([event(10, 20, 10, target_kw=150)], steps(0, 30, 10), np.full(3, 100.0))
    assert found == (100.0, 150.0, 100.0)


def test_an_event_at_another_time_binds_nothing() -> None:
    far = event(1000, 1100, reduction_pct=50)
    assert not far.touches(NOON, NOON + timedelta(hours=2))
    assert targets_kw([far], steps(0, 120, 60), np.full(2, 100.0)) == ()


def test_delivery_is_told_by_hand() -> None:
    """70 kW in two steps of 10 min: 68 is 2 % of the baseline more than asked, 71 is above the target and delivers no more."""
    edges = steps(0, 20, 10)
    kept = delivery(event(0, 20, reduction_pct=30), edges, np.full(2, 100.0), np.array([68.0, 71.0]), 1e-6)
    assert kept.mean_over_delivery_pct == pytest.approx(1.0)
    assert kept.minutes_over_target == 10.0


def test_a_file_is_read_by_start_with_either_amount(tmp_path: Path, site: Site) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "start,end,target_kw,reduction_pct,ramp_min\n"
        "2026-07-15T14:00,2026-07-15T15:00,,25,15\n"
        "2026-07-15T10:00,2026-07-15T11:00,300,,\n",
        encoding="utf-8",
    )
    first, second = read_events(str(path), site, timezone="Europe/Berlin")
    assert first == Event(datetime(2026, 7, 15, 8, tzinfo=UTC), datetime(2026, 7, 15, 9, tzinfo=UTC), target_kw=300.0)
    assert second == event(0, 60, 15, reduction_pct=25.0)


GOOD = "2026-07-15T12:00Z,2026-07-15T13:00Z"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["start,target_kw", "2026-07-15T12:00Z,3"], "events.csv, row 1: has no column end"),
        (["start,end", GOOD], "row 1: has neither target_kw nor reduction_pct"),
        (["start,end,target_mw", f"{GOOD},3"], "row 1: has neither target_kw nor reduction_pct"),
        (["start,end,target_kw,ramp", f"{GOOD},3,5"], "row 1: column ramp is not known"),
        (["start,end,target_kw", f"{GOOD},"], "row 2, column target_kw: neither target_kw nor reduction_pct is given"),
        (
            ["start,end,target_kw,reduction_pct", f"{GOOD},3,4"],
            "row 2, column reduction_pct: target_kw and reduction_pct are both",
        ),
        (["start,end,reduction_pct", f"{GOOD},25", f"{GOOD},120"], "row 3, column reduction_pct: 120 is no number from 0 to 100"),
        (["start,end,target_kw", f"{GOOD},lots"], "row 2, column target_kw: lots is no number"),
        (["start,end,target_kw", f"{GOOD},1e9"], "row 2, column target_kw: 1e9 is no number from 0 to"),
        (["start,end,target_kw,ramp_min", f"{GOOD},3,-1"], "row 2, column ramp_min: -1 is no number"),
        (["start,end,target_kw", "2026-07-15T12:00Z,2026-07-15T12:00Z,3"], "row 2, column end: is not after start"),
        (["start,end,target_kw", "noon,2026-07-15T12:00Z,3"], "row 2, column start: 'noon' is not a time"),
        (["start,end,target_kw", ",2026-07-15T12:00Z,3"], "row 2, column start: no time"),
        (["start,end,target_kw", "2026-07-15T12:00,2026-07-15T13:00,3"], "row 2, column start: 2026-07-15T12:00 and the others"),
    ],
)
def test_a_fault_is_told_with_file_row_and_column(tmp_path: Path, site: Site, lines: list[str], said: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_events(str(path), site, timezone=None)
    assert said in str(refused.value)
    assert all(fault.remedy for fault in refused.value.faults)
