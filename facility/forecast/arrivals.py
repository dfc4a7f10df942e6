"""Arrivals: what work is still to come, by the hour, from the jobs that came so far; and jobs that stand for it, so that a plan keeps room.

    rate[k]  =  sum over past hours of kind k of  w * work  /  sum of w           w halves every `HALF_LIFE_DAYS`

An hour's kind is its local hour of the day, of a working day or of a weekend; an hour without a job counts as one with no work. Until a
kind has been seen often, the mean of all hours stands in for it (`PRIOR_HOURS`). Work of a job counts as far as the job can have done it
within `WITHIN_H`: what a job of weeks wants tomorrow is a day of it. Bands are weighted quantiles of the same hours and their neighbours:
work comes in lumps, a third of it in two jobs of a thousand in a trace of 50,000 (Philly, 2017), so that P50 is far below the mean.

What stands for them (`Arrivals.standing_in`) are elastic jobs, one for each hour and pool, of the mean work, no wider than it was asked for, due as
late as jobs are that come. They are in no snapshot that people see, and nothing is sent for them: a decision speaks of jobs that are there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from facility.forecast.outlook import Band
from facility.forecast.slots import HOUR_S, Ints, number_of, seconds
from facility.snapshot import Job
from facility.steps import Edges, as_datetime64
from models.horizon import Floats

HALF_LIFE_DAYS: Final = 14.0
PRIOR_HOURS: Final = 1.5
MOST_HOURS: Final = 24 * 84
"""Hours that are remembered."""
WITHIN_H: Final = 24.0
LEAST_DAYS: Final = 2.0
"""Days of arrivals that must have been seen before any are expected."""
LEAST_GPU_H: Final = 0.01
"""Work that is worth a job of its own."""
STANDS_FOR: Final = "expected-"
"""How the names of jobs begin that stand for others."""
KINDS: Final = 48


@dataclass(frozen=True)
class JobSeen:
    """A job as it was when it came: GPUs, its work at full speed (GPU h), and what it may wait beyond that (h)."""

    submit: datetime
    gpus: int
    work_gpu_h: float
    pool: str
    slack_h: float = 0.0
    tenant: str | None = None

    @property
    def soon_gpu_h(self) -> float:
        """What it can have done of its work within `WITHIN_H`."""
        return min(self.work_gpu_h, self.gpus * WITHIN_H)


@dataclass(frozen=True)
class Coming:
    """Work that comes in each step, GPU h: its mean, shape (T,), and the band of it."""

    mean: Floats
    band: Band


@dataclass
class _Sums:
    """What came to a pool: work, and by it how long jobs last at least and wait at most, GPU h and GPU h * h."""

    work: float = 0.0
    lasts: float = 0.0
    waits: float = 0.0


class Arrivals:
    """What was seen of the jobs of a site since an instant; each is to be seen once, when it comes."""

    def __init__(self, zone: ZoneInfo, since: datetime) -> None:
        self._zone, self._begin = zone, int(since.timestamp()) // HOUR_S * HOUR_S
        self._work: dict[int, float] = {}
        self._pools: dict[str, _Sums] = {}
        self._learnt: tuple[int, Floats, Floats] | None = None

    def see(self, job: JobSeen) -> None:
        """Know a job that came."""
        hour = int(job.submit.timestamp()) // HOUR_S * HOUR_S
        work = job.soon_gpu_h
        self._work[hour] = self._work.get(hour, 0.0) + work
        sums = self._pools.setdefault(job.pool, _Sums())
        sums.work += work
        sums.lasts += work * min(job.work_gpu_h / job.gpus, WITHIN_H)
        sums.waits += work * job.slack_h
        self._learnt = None

    def expected(self, edges: Edges) -> Coming | None:
        """What comes between `edges`, by what came in whole hours before; None where those are less than `LEAST_DAYS`.

        Steps of less than an hour have their share of it.
        """
        at = seconds(as_datetime64(edges))
        now = int(at[0]) // HOUR_S * HOUR_S
        if now - self._begin < LEAST_DAYS * 86400:
            return None
        if self._learnt is None or self._learnt[0] != now:
            self._learnt = (now, *self._learn(now))
        _, rate, quantiles = self._learnt
        step_h = np.diff(at) / HOUR_S
        of = _kind(at[:-1] // HOUR_S * HOUR_S, self._zone)
        low, middle, high = (row[of] * step_h for row in quantiles)
        return Coming(rate[of] * step_h, Band(low, middle, high, (now - self._begin) / 86400))

    def standing_in(self, edges: Edges, curve: str, contract: str | None = None) -> tuple[Job, ...]:
        """Elastic jobs that stand for what is coming, submitted at the beginning of each hour after the first step, shared among pools as it was."""
        coming, total = self.expected(edges), sum(sums.work for sums in self._pools.values())
        if coming is None or not total:
            return ()
        found = []
        for start, end, work in _hours(coming, edges):
            for pool, sums in self._pools.items():
                mine = work * sums.work / total
                if mine < LEAST_GPU_H:
                    continue
                lasts_h = max(sums.lasts / sums.work, 1.0)
                due = end + timedelta(hours=lasts_h + sums.waits / sums.work)
                name, gpus = f"{STANDS_FOR}{pool}-{start:%Y%m%dt%H%M}", max(1, math.ceil(mine / lasts_h))
                found.append(Job(name, pool, curve, gpus, mine, start, due, contract=contract, elastic=True))
        return tuple(found)

    def _learn(self, now: int) -> tuple[Floats, Floats]:
        """By kind of hour, before `now`: the mean of what comes, shape (KINDS,), and P10, P50 and P90 of it, shape (3, KINDS)."""
        begin = max(self._begin, now - MOST_HOURS * HOUR_S)
        self._work = {hour: work for hour, work in self._work.items() if hour >= begin}
        hours = np.arange(begin, now, HOUR_S)
        work = np.array([self._work.get(hour, 0.0) for hour in hours.tolist()])
        weight = 0.5 ** ((now - hours) / (86400 * HALF_LIFE_DAYS))
        kind = _kind(hours, self._zone)
        overall = float(work @ weight / weight.sum())
        seen = np.bincount(kind, weights=weight, minlength=KINDS)
        rate = (np.bincount(kind, weights=weight * work, minlength=KINDS) + PRIOR_HOURS * overall) / (seen + PRIOR_HOURS)
        return rate, np.array([_quantiles(work, weight, kind, each) for each in range(KINDS)]).T


def arrivals(past: Sequence[JobSeen], edges: Edges, zone: ZoneInfo, since: datetime) -> Coming | None:
    """What comes between `edges`, from all jobs that came from `since` on; see `Arrivals.expected`."""
    seen = Arrivals(zone, since)
    for job in past:
        seen.see(job)
    return seen.expected(edges)


def _hours(coming: Coming, edges: Edges) -> list[tuple[datetime, datetime, float]]:
    """Stretches of an hour or a step, whichever is longer, after the first step, and the work that comes in each."""
    found: list[tuple[datetime, datetime, float]] = []
    start, work = edges[1], 0.0
    for t in range(1, len(edges) - 1):
        work += float(coming.mean[t])
        if edges[t + 1] - start >= timedelta(hours=1):
            found.append((start, edges[t + 1], work))
            start, work = edges[t + 1], 0.0
    return found


def _kind(hours: Ints, zone: ZoneInfo) -> Ints:
    """The kind of each hour: 0 to 23 by its local hour on working days, 24 to 47 at weekends."""
    number = number_of(hours, zone, HOUR_S)
    weekday = (number // 24 + 3) % 7
    return np.asarray(number % 24 + 24 * (weekday >= 5))


def _quantiles(work: Floats, weight: Floats, kind: Ints, which: int) -> Floats:
    """P10, P50 and P90 of the work of hours of a kind and of its neighbours; of all hours where there were none."""
    day, hour = which // 24, which % 24
    near = (kind // 24 == day) & np.isin(kind % 24, [(hour + shift) % 24 for shift in (-1, 0, 1)])
    values, weights = (work[near], weight[near]) if near.any() else (work, weight)
    order = np.argsort(values)
    so_far = np.cumsum(weights[order])
    at = np.searchsorted(so_far, np.array([0.1, 0.5, 0.9]) * so_far[-1])
    return np.asarray(values[order][at.clip(max=len(values) - 1)])
