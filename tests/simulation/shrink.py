"""Shrink: as few faults and as little talk as still break the same day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.simulation.schedule import Schedule

T = TypeVar("T")


def shrunk(schedule: Schedule, breaks: Callable[[Schedule], bool]) -> Schedule:
    """The schedule without what can be left out, first halves, then quarters, then one by one."""
    windows = _fewer(schedule.windows, lambda kept: breaks(replace(schedule, windows=kept)))
    schedule = replace(schedule, windows=windows)
    return replace(schedule, said=_fewer(schedule.said, lambda kept: breaks(replace(schedule, said=kept))))


def _fewer(parts: Sequence[T], breaks: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    kept, size = tuple(parts), max(len(parts) // 2, 1)
    while kept:
        at = 0
        while at < len(kept):
            tried = kept[:at] + kept[at + size :]
            if breaks(tried):
                kept = tried
            else:
                at += size
        if size == 1:
            break
        size //= 2
    return kept
