"""Layouts: a gang that pauses more than its program counts could run in other ways, least change first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.solving.blocks import Patch
from models.solving.layouts import layouts

H = np.array([0.25, 1.0, 1.0, 0.5])


def tried(job: Any, share: list[float], *, carries: bool = False, most: list[float] | None = None) -> list[list[float | None]]:
    """Shares of each step in each layout of a gang of ten, None where it is the program's choice; last what it may leave, if told."""
    gang = job(20.0, 9.0, pause_price_per_gpu=1.0)

    def row(patch: Patch) -> list[float | None]:
        told = [patch.get((0, t)) for t in range(len(H))]
        return [None if gpus is None else gpus / 10 for gpus in told] + ([patch[0, None]] if (0, None) in patch else [])

    return [row(patch) for patch in layouts(0, gang, np.array(share), np.array(most or [1.0] * 4), H, carries=carries)]


def test_a_part_inside_a_run_is_run_through_or_left_out_or_the_run_begins_or_ends_there(job: Any) -> None:
    """0.25 + 0.7 + 0.5 h in one go: up to the last step half an hour is the program's choice in the second, before which it waits."""
    found = tried(job, [1.0, 0.7, 0.5, 0.0])
    assert found == [
        [0.0, None, None, None],
        [1.0, 1.0, None, None],
        [1.0, None, 0.0, None],
        [1.0, 0.0, None, None],
        [0.0, None, 1.0, None],
    ]


def test_the_gap_between_two_runs_is_run_through_or_they_are_done_in_one_go_or_one_is_left_out(job: Any) -> None:
    """0.25 + 0.5 h: on from the first step, or up to the last, without the first where only a part of it would be left."""
    found = tried(job, [1.0, 0.0, 0.0, 1.0])
    assert [1.0, 1.0, 1.0, None] in found
    assert [1.0, None, 0.0, 0.0] in found
    assert [0.0, 0.0, None, 1.0] in found
    assert [0.0, None, None, None] in found


def test_a_gang_that_leaves_work_runs_on_to_the_horizons_end_or_leaves_none(job: Any) -> None:
    found = tried(job, [1.0, 1.0, 0.0, 0.0], carries=True)
    assert [1.0, None, None, None, 0.0] in found
    assert [1.0, None, 1.0, 1.0] in found
    assert [1.0, None, None, 1.0] in found
    assert [1.0, 1.0, 0.0, 0.0, 0.0] in found


def test_a_gang_that_was_left_between_in_the_first_step_keeps_to_layouts_that_say_what_it_does_there(job: Any) -> None:
    assert all(row[0] in {0.0, 1.0} for row in tried(job, [0.5, 0.5, 1.0, 0.0]))
    assert all(row[0] is None for row in tried(job, [0.0, 0.5, 0.5, 0.5], most=[0.0, 1.0, 1.0, 1.0]))


@pytest.mark.parametrize("least_change", [0, 1])
def test_least_change_comes_first(job: Any, least_change: int) -> None:
    share = np.array([1.0, 0.3 if least_change == 0 else 0.7, 1.0, 0.0])
    gang = job(20.0, 9.0, pause_price_per_gpu=1.0)
    first = next(patch for patch in layouts(0, gang, share, np.ones(4), H, carries=False) if (0, 1) in patch)
    assert first[0, 1] == 10.0 * least_change
