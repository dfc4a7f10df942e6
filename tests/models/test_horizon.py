"""Horizon: steps laid end to end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.horizon import Horizon

HOURS = st.lists(st.sampled_from([0.25, 0.5, 1.0, 3.0]), min_size=1, max_size=6).map(tuple)
INSTANT = st.floats(-2.0, 20.0)


def test_steps_are_laid_end_to_end() -> None:
    """0.25 + 0.25 + 1 h: the third step starts at 0.5 h and ends at 1.5 h."""
    horizon = Horizon((0.25, 0.25, 1.0))
    assert len(horizon) == 3
    assert horizon.starts.tolist() == [0.0, 0.25, 0.5]
    assert horizon.ends.tolist() == [0.25, 0.5, 1.5]
    assert horizon.end_h == 1.5


def test_a_window_that_begins_and_ends_inside_steps_counts_by_its_fraction() -> None:
    """[0.5, 2.5) over steps [0, 1), [1, 2), [2, 4): half of the first, all of the second, a quarter of the third."""
    assert Horizon((1.0, 1.0, 2.0)).overlap(0.5, 2.5).tolist() == [0.5, 1.0, 0.25]


def test_a_sliver_of_a_step_is_none_and_all_but_a_sliver_is_all() -> None:
    assert Horizon((1.0, 1.0)).overlap(1e-12, 1.0 + 1e-12).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("hours", [(), (1.0, 0.0), (1.0, -1.0)])
def test_a_horizon_without_length_is_refused(hours: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="positive length"):
        Horizon(hours)


@given(HOURS, INSTANT, INSTANT)
def test_shares_add_up_to_the_time_the_window_has_in_the_horizon(hours: tuple[float, ...], from_h: float, to_h: float) -> None:
    horizon = Horizon(hours)
    inside = max(0.0, min(to_h, horizon.end_h) - max(from_h, 0.0))
    assert float(horizon.h @ horizon.overlap(from_h, to_h)) == pytest.approx(inside, abs=1e-7)
    assert np.all((horizon.overlap(from_h, to_h) >= 0) & (horizon.overlap(from_h, to_h) <= 1))
