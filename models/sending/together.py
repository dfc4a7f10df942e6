"""Together: what a rounded gang does apart it does in one go, where room and money allow.

The program counts GPUs in means over a step, so of many gangs that share a limit most run for a part of many steps: to it no pause, for
a gang one each time. So each gang whose pauses cost, or that has a minimum run, is laid out anew, after the first step, which is
what is sent. Tried are

    all of its work from any step on, or up to any step,
    the work of some of its runs from where the first begins, or up to where the last ends,
    both with all that is left for after the horizon, and a run, or all, left for then,

and taken is, again and again, what lacks least of a minimum run, and then what costs least, as long as every limit leaves room.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from models.breach import TINY
from models.horizon import Floats
from models.problem import Problem
from models.sending.cell import SNAP, Cell
from models.sending.room import Room
from models.work.job import Job
from models.work.minimum_run import runs, too_short
from models.work.pause import NEARLY, times_each

PASSES = 5
"""At most so often all gangs are gone through."""
ROUNDS = 10
"""At most so often one gang is laid out anew."""
TRIES = 30
"""At most so many of the best layouts are held against the room that is left."""


def put_together(problem: Problem, cells: dict[int, list[Cell]], room: Room) -> None:
    """Lay out gangs anew, in place, and again where others have made room since; `room` is what is left, and is kept up to date."""
    if len(problem.horizon) == 1:
        return
    for _ in range(PASSES):
        moved = [w for w, mine in cells.items() if _put_together(problem, w, mine, room)]
        if not moved:
            break


def _put_together(problem: Problem, w: int, mine: list[Cell], room: Room) -> bool:
    """Lay out workload `w` anew where it is a gang that is apart; whether it was."""
    job = problem.workloads[w]
    if not (isinstance(job, Job) and job.gang and (job.pause_price_per_gpu > 0 or job.min_run_h > 0)):
        return False
    gang = _Gang(problem, job, w, mine)
    moves = gang.is_apart and gang.settle(room)
    if moves:
        mine[:] = gang.cells()
    return moves


class _Gang:
    """One gang: for what share of each step it runs, and what a whole step of it does and needs, each shape (T,)."""

    def __init__(self, problem: Problem, job: Job, w: int, mine: list[Cell]) -> None:
        self._problem, self._job = problem, job
        self._most = problem.cells.share[w]
        rungs = problem.cells.ladders
        idle = {i: Cell(w, 0, 0.0, [(job.gpus, int(rungs[i].cap_w[0]))], rungs[i]) for i in set(problem.cells.ladder_of[w].tolist())}
        self._cells = [replace(idle[i], t=t) for t, i in enumerate(problem.cells.ladder_of[w].tolist())]
        does = {i: (cell.draw_kw, cell.cap_kw, cell.speed) for i, cell in idle.items()}
        steps = np.array([does[i] for i in problem.cells.ladder_of[w].tolist()], float)
        self._share = np.zeros(len(steps))
        for cell in mine:
            self._cells[cell.t], self._share[cell.t] = cell, cell.share
            steps[cell.t] = cell.draw_kw, cell.cap_kw, cell.speed
        h = problem.horizon.h
        self._draw_kw, self._cap_kw, self._rate = steps[:, 0], steps[:, 1], h * steps[:, 2]
        delay = job.delay_price_per_gpu_h * job.wait_h(problem.horizon)
        per_kwh = np.asarray(problem.grid.price_per_kwh) + np.asarray(job.wish_per_kwh or 0.0)
        self._price = self._draw_kw * h * per_kwh + delay * self._rate
        self._most_carried = job.most_carried_gpu_h(problem.horizon)
        self._full = self._most
        self._undone = max(0.0, self._left(self._share) - self._most_carried)

    @property
    def is_apart(self) -> bool:
        """Whether there is anything to put together: it pauses, or a run is too short."""
        carried = np.array([min(max(0.0, self._left(self._share)), self._most_carried)])
        return bool(times_each(self._job, self._share[None], self._most, carried)[0] > 0) or self._lacking_h(self._share, float(carried[0])) > 0

    def cells(self) -> list[Cell]:
        """Its cells."""
        found = (replace(cell, share=float(share)) for cell, share in zip(self._cells, self._share, strict=True))
        return [cell for cell in found if cell.share > SNAP]

    def settle(self, room: Room) -> bool:
        """Take what is better, again and again, as long as `room` allows; whether anything was."""
        before = self._share
        for _ in range(ROUNDS):
            fits = self._share + room.fits(self._job.pool, self._job.gpus, self._draw_kw, self._cap_kw) * (1 - SNAP)
            self._full = np.where(fits > self._most - NEARLY, self._most, fits)
            self._full[0] = 0.0
            tried = self._others()
            short_h, money = self._worth(np.vstack([self._share, tried]))
            better = (short_h < short_h[0]) | ((short_h == short_h[0]) & (money < money[0] - TINY))
            order = np.array([i for i in np.lexsort((money, short_h)) if better[i]], np.int64)
            found = next((tried[i - 1] for i in order[:TRIES].tolist() if self._take(tried[i - 1], room)), None)
            if found is None:
                break
            self._share = found
        return self._share is not before

    def _worth(self, share: Floats) -> tuple[Floats, Floats]:
        """What runs lack of their minimum, h, and what they cost, money, each shape (N,); infinite where too much is left undone."""
        job, left = self._job, self._left(share)
        carried = np.clip(left, 0.0, self._most_carried)
        money = share @ self._price + job.carry_price_per_gpu_h * carried
        money += job.gpus * job.pause_price_per_gpu * times_each(job, share, self._most, carried)
        fails = left - self._most_carried > self._undone + SNAP * max(1.0, job.work_gpu_h)
        short = [0.0 if bad else self._lacking_h(row, c) for bad, row, c in zip(fails.tolist(), share, carried.tolist(), strict=True)]
        return np.where(fails, np.inf, np.round(short, 6)), np.where(fails, np.inf, money)

    def _others(self) -> Floats:
        """The layouts to try, shape (N, T)."""
        first = self._share * (np.arange(len(self._share)) == 0)
        spare = min(max(0.0, self._left(self._share)), self._most_carried)
        works = [float((self._share - first) @ self._rate)]
        works += [works[0] + spare] if spare > 0 else []
        found = [first[None]]
        for work in works:
            found += [self._onward(first, work), self._backward(first, work)]
        spans = runs(self._job, self._share, self._most)
        end = len(spans) - 1
        pairs = {(i, i) for i in range(end + 1)} | {(i, i + 1) for i in range(end)} | {(i, end) for i in range(end)} | {(0, i) for i in range(1, end)}
        for i, j in sorted(pairs):
            begins, ends = max(spans[i][0], 1), spans[j][1]
            rest = self._share.copy()
            rest[begins : ends + 1] = 0.0
            work = float((self._share - rest) @ self._rate)
            found.append(rest[None])
            for more in (work, work + spare) if spare > 0 else (work,):
                found += [self._onward(rest, more)[begins : begins + 1], self._backward(rest, more)[ends : ends + 1]]
        return np.vstack(found)

    def _onward(self, rest: Floats, work: float) -> Floats:
        """`rest` and `work`, GPU h, done as early as may be from each step on, shape (T, T)."""
        room = self._room(rest)
        before = np.cumsum(room) - room
        done = np.triu(np.clip(work - (before[None, :] - before[:, None]), 0.0, room))
        return np.asarray(rest + done / self._rate)

    def _backward(self, rest: Floats, work: float) -> Floats:
        """`rest` and `work`, GPU h, done as late as may be up to the end of each step, shape (T, T)."""
        room = self._room(rest)
        after = np.cumsum(room)
        done = np.tril(np.clip(work - (after[:, None] - after[None, :]), 0.0, room))
        return np.asarray(rest + done / self._rate)

    def _room(self, rest: Floats) -> Floats:
        """Work that it could do in each step beside `rest`, GPU h, none in the first."""
        return np.asarray(np.maximum(self._full - rest, 0.0) * self._rate)

    def _take(self, share: Floats, room: Room) -> bool:
        """Take what `share` needs more than now from `room`, and give back what it needs less; False, and nothing, if not there."""
        more = share - self._share
        taken: list[int] = []
        for t in [t for t in np.argsort(more).tolist() if more[t]]:
            if not room.take(self._job.pool, t, *self._needs(t, float(more[t]))):
                for s in taken:
                    room.put(self._job.pool, s, *self._needs(s, -float(more[s])))
                return False
            taken.append(t)
        return True

    def _needs(self, t: int, share: float) -> tuple[float, float, float]:
        """GPUs, kW of draw and kW of caps, means over the step."""
        return share * self._job.gpus, share * float(self._draw_kw[t]), share * float(self._cap_kw[t])

    def _left(self, share: Floats) -> Any:
        return self._job.work_gpu_h - share @ self._rate

    def _lacking_h(self, share: Floats, carried_gpu_h: float) -> float:
        return sum(too_short(self._job, share, self._most, self._problem.horizon, carried_gpu_h).values())
