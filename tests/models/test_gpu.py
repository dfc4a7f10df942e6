"""GPU: what one does under a cap, and which of its points a plan climbs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.work.gpu import Curve, Host, commanded, ladder, upper_hull

BARE = Host(idle_w=0.0, host_idle_w=0.0, host_run_w=0.0, min_cap_w=100.0)
ROUND = Curve((100.0, 200.0, 300.0), (100.0, 200.0, 300.0), (0.3, 0.8, 1.0))
POINTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12)


def test_between_two_points_a_cap_is_interpolated_and_above_the_last_it_does_nothing() -> None:
    """250 W is half way from 200 to 300 W: speed (0.8 + 1.0) / 2 = 0.9. 50 W is half of 100 W: half its draw, half its speed."""
    assert ROUND.at(250.0) == pytest.approx((250.0, 0.9))
    assert ROUND.at(400.0) == (300.0, 1.0)
    assert ROUND.at(50.0) == (50.0, 0.15)


def test_what_a_host_adds_is_counted_once() -> None:
    """Idle 40 + 100 W. Busy at 200 W: 200 + 150 W, so 210 W more. The worst case starts at 100 W cap + 150 W host."""
    host = Host(idle_w=40.0, host_idle_w=100.0, host_run_w=150.0, min_cap_w=100.0)
    assert host.idle_total_w == 140.0
    assert host.extra_w(200.0) == 210.0
    assert host.lowest_worst_w == 250.0


def test_work_that_may_pause_starts_at_its_most_efficient_point() -> None:
    """Speed per W: 0.3 / 100 = 0.003, 0.8 / 200 = 0.004, 1 / 300 = 0.0033: from 200 W. 200 W / 0.8 = 0.25 kWh a GPU h."""
    rungs = ladder(ROUND, BARE, may_pause=True)
    assert rungs.cap_w == (200.0, 300.0)
    assert rungs.speed_step.tolist() == pytest.approx([0.8, 0.2])
    assert rungs.best_energy_kwh == pytest.approx(0.25)


def test_a_hungry_host_makes_the_fast_point_the_efficient_one() -> None:
    """With 400 W of host: 0.3 / 500, 0.8 / 600 = 0.00133, 1 / 700 = 0.00143: only 300 W is left, at 700 W over idle."""
    rungs = ladder(ROUND, Host(0.0, 0.0, 400.0, 100.0), may_pause=True)
    assert rungs.cap_w == (300.0,)
    assert rungs.draw_step_w.tolist() == [700.0]


def test_work_that_must_run_starts_at_its_lowest_point() -> None:
    rungs = ladder(ROUND, BARE, may_pause=False)
    assert rungs.cap_w == (100.0, 200.0, 300.0)
    assert rungs.draw_step_w.tolist() == [100.0, 100.0, 100.0]
    assert rungs.cap_step_w.tolist() == [0.0, 100.0, 100.0]


def test_a_dent_is_left_out_and_the_gap_is_known() -> None:
    """At 250 W the chord from 200 to 300 W lies at (0.8 + 1) / 2 = 0.9, the point at 0.82: below it."""
    dented = Curve((200.0, 250.0, 300.0), (200.0, 250.0, 300.0), (0.8, 0.82, 1.0))
    rungs = ladder(dented, BARE, may_pause=True)
    assert rungs.cap_w == (200.0, 300.0)
    assert rungs.joined == (True, False)


def test_a_point_on_the_hull_over_caps_is_kept_though_it_is_below_the_hull_over_draws() -> None:
    """Over draw, 190 W lies below the chord 0.5 + 92 / 97 * 0.5 = 0.974; over caps, 0.8 lies above (0.5 + 1) / 2."""
    saturated = Curve((100.0, 200.0, 300.0), (98.0, 190.0, 195.0), (0.5, 0.8, 1.0))
    assert ladder(saturated, BARE, may_pause=False).cap_w == (100.0, 200.0, 300.0)


def test_a_point_that_draws_no_more_and_one_that_is_no_faster_are_no_rungs() -> None:
    flat = Curve((100.0, 200.0, 300.0, 400.0), (100.0, 200.0, 250.0, 250.0), (0.3, 0.8, 1.0, 1.0))
    assert ladder(flat, BARE, may_pause=False).cap_w == (100.0, 200.0, 300.0)


def test_an_operator_leaves_one_rung_at_exactly_his_cap() -> None:
    rungs = commanded(ROUND, BARE, 250.0)
    assert (*rungs.cap_w, *rungs.draw_w, *rungs.speed) == pytest.approx((250.0, 250.0, 0.9))
    assert rungs.cap_step_w.tolist() == [150.0]


@given(POINTS)
def test_no_point_lies_above_the_hull_and_the_hull_bends_down(points: list[tuple[int, int]]) -> None:
    x, y = (np.array(v, float) for v in zip(*sorted(points), strict=True))
    hull = upper_hull(x, y)
    assert np.all(np.interp(x, x[hull], y[hull]) >= y - 1e-9)
    slopes = np.diff(y[hull]) / np.diff(x[hull])
    assert np.all(np.diff(slopes) < 0)
