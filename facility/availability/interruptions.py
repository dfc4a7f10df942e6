"""Interruptions: when GPUs that were promised did not run, since when, how long, how many and why; and the speed withheld, by cause.

What lacks for one cause without a break since one instant is one interruption, over however many quarters of an hour it was counted. It ends
when the last of its counted hours does; one that began before the span is told with its true beginning, and its hours inside the span.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from facility.usage.usage import Cause, Usage

LEAST_GPU_H = 1e-6
"""What arithmetic leaves."""


@dataclass(frozen=True)
class Interruption:
    """GPUs of a contract that did not run: `hours` of it lie in the span, `gpus` is their mean over them."""

    contract: str
    pool: str
    cause: Cause
    since: datetime
    until: datetime
    hours: float
    gpus: float
    missed_gpu_h: float


def interruptions(usages: Iterable[Usage]) -> list[Interruption]:
    """The interruptions of every contract, by when they began."""
    sums: dict[tuple[str, str, Cause, datetime], tuple[float, float, datetime]] = {}
    for row in usages:
        for lack in row.lacks:
            if lack.missed_gpu_h > LEAST_GPU_H:
                key = row.workload, row.pool, lack.cause, lack.since
                hours, missed, _ = sums.get(key, (0.0, 0.0, lack.since))
                until = max(row.start, lack.since) + timedelta(hours=lack.hours)
                sums[key] = hours + lack.hours, missed + lack.missed_gpu_h, until
    found = [
        Interruption(workload, pool, cause, since, until, hours, missed / hours, missed)
        for (workload, pool, cause, since), (hours, missed, until) in sums.items()
        if hours > 0
    ]
    return sorted(found, key=lambda one: (one.since, one.contract, one.pool, one.cause))


def by_cause(usages: Iterable[Usage]) -> dict[str, tuple[float, float]]:
    """GPU hours missed and GPU hours of speed withheld, by cause in alphabetical order."""
    sums: dict[str, tuple[float, float]] = {}
    for row in usages:
        for lack in row.lacks:
            missed, withheld = sums.get(lack.cause, (0.0, 0.0))
            sums[lack.cause] = missed + lack.missed_gpu_h, withheld + lack.withheld_gpu_h
    return dict(sorted(sums.items()))
