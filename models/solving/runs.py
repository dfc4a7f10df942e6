"""Runs: a gang whose pauses cost runs through or stops, all of it.

The program may start or keep a part of a gang, and so bridges a dear hour on half of its GPUs or starts a fifth of them for a
fifth of the work: to it a part of a pause, or none (`models.work.pause`). Sent is all of the gang for a part of the step, which
stops it just as well. So for each rigid job that pauses more than the program counted,

    the steps inside a run that it runs for in part are run through, or left out;
    the steps before the last of them are left out, or those after the first;
    the least of its runs after the first step is left out,

and the program is solved again: first with the least change of each, all jobs at once, then job by job, the dearest first. Kept is
what costs less with its pauses counted in full and breaks no more. Runs that are too short come before money (`blocks`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from models.breach import TINY
from models.horizon import Floats
from models.problem import Problem
from models.solving import blocks
from models.solving.blocks import At, Patch, shares
from models.solving.outcome import Outcome, Solved
from models.solving.session import Session
from models.solving.settle import broken
from models.work.job import Job
from models.work.pause import inside, times

TRIES = 20
"""At most this many solves."""


def merge(
    session: Session, problem: Problem, solve: Callable[[], Outcome], solved: Solved, latest: float
) -> Solved | None:
    """Settle the runs of gangs where that pays, until `latest` (s, of `perf_counter`); None where all are whole.

    `session` holds `solved`, and afterwards what is returned.
    """
    patches = _patches(problem, session)
    if not patches:
        return None
    trial = _Trial(session, problem, solve, solved, latest)
    if len(patches) > 1:
        trial.attempt({cell: gpus for mine in patches.values() for cell, gpus in mine[0].items()})
        patches = _patches(problem, session)
    while patches:
        w, mine = next(iter(patches.items()))
        gained = [trial.attempt(patch) for patch in mine]
        left = _patches(problem, session)
        patches = {v: left[v] for v in patches if v in left and (v != w or any(gained))}
        if not trial.goes_on:
            break
    if trial.is_stale and isinstance(again := solve(), Solved):
        return again
    return replace(trial.best, row_dual=np.pad(trial.best.row_dual, (0, session.shape[0] - len(trial.best.row_dual))))


class _Trial:
    """The best solution so far, in the session, and how to better it."""

    def __init__(
        self, session: Session, problem: Problem, solve: Callable[[], Outcome], solved: Solved, latest: float
    ) -> None:
        self.best = solved
        self._session, self._problem, self._solve, self._latest = session, problem, solve, latest
        self._kept: dict[At, tuple[float, float]] = {}
        self._broken, self._worth = broken(session), self._judged(solved)
        self._tries = 0
        self.is_stale = False
        """The session solved something else after the best solution."""

    @property
    def goes_on(self) -> bool:
        """Whether there is time for another solve."""
        return self._tries < TRIES and time.perf_counter() < self._latest

    def attempt(self, patch: Patch) -> bool:
        """Solve with `patch` and keep it where that is better; whether it was."""
        if not self.goes_on or not self._fits(patch):
            return False
        self._tries += 1
        gpus = self._session.model.workload.gpus
        variables = [gpus[w, 0, t] for w, t in patch]
        self._session.fix(variables, list(patch.values()))
        outcome = self._solve()
        if isinstance(outcome, Solved):
            state, worth = broken(self._session), self._judged(outcome)
            if all(now <= was + TINY for now, was in zip(state, self._broken, strict=True)) and worth < (self._worth[0], self._worth[1] - TINY):
                self.best, self._broken, self._worth, self.is_stale = outcome, state, worth, False
                self._kept |= {cell: (value, value) for cell, value in patch.items()}
                return True
        was = [self._kept.get((w, t), (0.0, gpus[w, 0, t].ub)) for w, t in patch]
        self._session.bound(variables, [low for low, _ in was], [high for _, high in was])
        self._session.load(self.best)
        self.is_stale = True
        return False

    def _judged(self, solved: Solved) -> tuple[float, float]:
        """What runs lack of their minimum, h, and money with all pauses counted, of the solution in the session."""
        lacking_h = blocks.lacking_h(self._problem, self._session)
        return round(lacking_h, 5), solved.objective + _uncounted(self._problem, self._session)

    def _fits(self, patch: Patch) -> bool:
        """Whether all that is kept running leaves its pool's other gangs their GPUs, so that the program stays feasible."""
        asked: dict[tuple[str, int], float] = {}
        for (w, t), gpus in ({cell: low for cell, (low, _) in self._kept.items()} | patch).items():
            place = self._problem.workloads[w].pool, t
            asked[place] = asked.get(place, 0.0) + gpus
        return all(gpus <= self._problem.free_gpus(pool)[t] + TINY for (pool, t), gpus in asked.items())


def _uncounted(problem: Problem, session: Session) -> float:
    """Money for the pauses of rigid jobs that the program counted in part."""
    return sum(money for _, money in _pauses(problem, session).values())


def _patches(problem: Problem, session: Session) -> dict[int, list[Patch]]:
    """What may be tried by workload: for gangs that run too short, then for those whose pauses are counted in part, the dearest first."""
    h = problem.horizon.h
    found = blocks.patches(problem, session)
    for w, (share, money) in sorted(_pauses(problem, session).items(), key=lambda item: -item[1][1]):
        job, most = problem.workloads[w], problem.cells.share[w]
        if money <= TINY or w in found or not isinstance(job, Job):
            continue
        mine: list[Patch] = []
        part = [t for t in np.flatnonzero(inside(job, share, most)).tolist() if t > 0]
        if part:
            mine += [{(w, t): float(job.gpus * most[t]) for t in part}, {(w, t): 0.0 for t in part}]
            begins = next(t for t in range(part[-1], -1, -1) if t == 0 or share[t - 1] == 0)
            ends = next(t for t in range(part[0], len(share)) if t + 1 == len(share) or share[t + 1] == 0)
            mine += [{(w, t): 0.0 for t in range(begins, part[-1])}] if begins else []
            mine += [{(w, t): 0.0 for t in range(part[0] + 1, ends + 1)}]
            mine.sort(key=lambda patch: sum(abs(gpus - job.gpus * share[t]) * h[t] for (_, t), gpus in patch.items()))
        ran = np.flatnonzero(share)
        runs = [run for run in np.split(ran, np.flatnonzero(np.diff(ran) > 1) + 1) if len(run) and run[0] > 0]
        if len(runs) > (1 if len(ran) and ran[0] > 0 else 0):
            mine.append({(w, t): 0.0 for t in min(runs, key=lambda run: float(share[run] @ h[run])).tolist()})
        if mine:
            found[w] = mine
    return found


def _pauses(problem: Problem, session: Session) -> dict[int, tuple[Floats, float]]:
    """For each rigid job whose pauses cost: the share of each step it runs for, and money for what the program did not count."""
    model = session.model
    found: dict[int, tuple[Floats, float]] = {}
    for w in model.pause.JOBS:
        job = problem.workloads[w]
        if not isinstance(job, Job) or job.elastic:
            continue
        share = shares(problem, session, w)
        happen = job.gpus * times(job, share, problem.cells.share[w], session.value(model.job.carried_gpu_h[w]))
        found[w] = share, job.pause_price_per_gpu * (happen - session.value(model.pause.paused_gpus[w]))
    return found
