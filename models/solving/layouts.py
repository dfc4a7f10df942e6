"""Layouts: how else a gang could run whose pauses the program counts in part.

    the steps inside a run that it runs for in part are run through, or left out
    the steps before the last of them are left out, or those after the first
    the gap between two runs is run through
    a run with such steps, two runs and their gap, or all of them are done in one go: on from their first step, or up to their last
    the least of several runs is left out
    where work is left for after the horizon: the gang runs up to its end, or leaves nothing

Done in one go are as many steps, of those that the gang is in, as its time makes whole; one is left to the program, and the others are
left out. In the first step, which is what is sent, the gang runs or waits in each layout, as it did where the layout says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from models.breach import TINY
from models.horizon import Floats
from models.solving.blocks import Patch, change_gpu_h
from models.work.job import Job
from models.work.pause import NEARLY, inside


def layouts(w: int, job: Job, share: Floats, most: Floats, h: Floats, *, carries: bool) -> list[Patch]:
    """The layouts to try of gang `w`, least change first.

    It runs for `share` of each step, of which `most` is in its window, shape (T,); `carries`: work is left for after the horizon.
    """
    found: list[Patch] = []
    for patch in _Gang(w, job, share, most, h).others(carries=carries):
        if (w, 0) not in patch and NEARLY < share[0] < most[0] - NEARLY:
            continue
        whole: Patch = {(w, 0): float(job.gpus * most[0]) if share[0] > NEARLY else 0.0} if most[0] > 0 else {}
        whole |= patch
        changes = any(t is None or abs(gpus - job.gpus * share[t]) > NEARLY for (_, t), gpus in whole.items())
        if changes and whole not in found:
            found.append(whole)
    return sorted(found, key=lambda patch: change_gpu_h(patch, job.gpus * share, h))


class _Gang:
    def __init__(self, w: int, job: Job, share: Floats, most: Floats, h: Floats) -> None:
        self._w, self._share, self._h, self._most = w, share, h, most
        self._full = job.gpus * most
        self._part: list[int] = np.flatnonzero(inside(job, share, most)).tolist()
        on = np.flatnonzero(share)
        self._runs: list[list[int]] = [run.tolist() for run in np.split(on, np.flatnonzero(np.diff(on) > 1) + 1) if len(run)]

    def others(self, *, carries: bool) -> Iterator[Patch]:
        """What may be tried, in no order."""
        runs, end = self._runs, len(self._share)
        if self._part:
            yield self._through(self._part)
            yield self._out(self._part)
        for run in runs:
            if part := [t for t in run if t in self._part]:
                yield self._out(range(run[0], part[-1]))
                yield self._out(range(part[0] + 1, run[-1] + 1))
                yield from self._in_one_go(run[0], run[-1])
        for run, following in pairwise(runs):
            yield self._through(range(run[-1] + 1, following[0]))
            yield from self._in_one_go(run[0], following[-1])
        if len(runs) > 1:
            yield self._out(min(runs, key=self._hours))
            yield from self._in_one_go(runs[0][0], runs[-1][-1])
        if carries and runs:
            none: Patch = {(self._w, None): 0.0}
            if runs[-1][-1] < end - 1:
                yield none
                yield self._through(range(runs[-1][-1] + 1, end))
                yield self._through([end - 1])
            yield self._go(range(runs[0][0], end)) | none

    def _through(self, steps: Iterable[int]) -> Patch:
        return {(self._w, t): float(self._full[t]) for t in steps}

    def _out(self, steps: Iterable[int]) -> Patch:
        return {(self._w, t): 0.0 for t in steps}

    def _in_one_go(self, first: int, last: int) -> Iterator[Patch]:
        yield self._go(range(first, last + 1))
        yield self._go(range(last, first - 1, -1))

    def _go(self, steps: range) -> Patch:
        """All the time that it runs for in `steps`, in their order; a first step that this makes part of is left out."""
        left_h = self._hours(steps)
        found: Patch = {}
        for t in steps:
            room_h = float(self._most[t] * self._h[t])
            if left_h >= room_h - TINY:
                found |= self._through([t])
            elif left_h <= TINY or t == 0:
                found |= self._out([t])
            left_h = max(0.0, left_h - room_h)
        return found

    def _hours(self, steps: Iterable[int]) -> float:
        """How long it runs in `steps`, h."""
        return sum(float(self._share[t] * self._h[t]) for t in steps)
