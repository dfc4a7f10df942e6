"""Runs: a gang whose pauses cost runs through or stops, all of it.

The program may start or keep a part of a gang, and so bridges a dear hour on half of its GPUs or starts a fifth of them for a
fifth of the work: to it a part of a pause, or none (`models.work.pause`). Sent is all of the gang for a part of the step, which
stops it just as well. So each rigid job that pauses more than the program counted is laid out in other ways (`layouts`), and the
program is solved again: first with the least change of each, all jobs at once, then job by job, the dearest first. Kept is what
costs less with its pauses counted in full and breaks no more. Runs that are too short come before money (`blocks`).
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from models.breach import TINY
from models.horizon import Floats
from models.problem import Problem
from models.solving import blocks
from models.solving.blocks import At, Patch, shares
from models.solving.layouts import layouts
from models.solving.outcome import Solved
from models.solving.relaxation import Relaxation
from models.solving.session import Session
from models.solving.settle import broken
from models.work.job import Job
from models.work.pause import times

TRIES = 20
"""At most this many solves."""


def merge(program: Relaxation, solved: Solved, latest: float) -> Solved | None:
    """Settle the runs of gangs where that pays, until `latest` (s, of `perf_counter`); None where all are whole.

    `program` holds `solved`, and afterwards what is returned: the best point itself, for another of the same cost may run in other pieces.
    """
    session, problem = program.session, program.problem
    patches = _patches(problem, session)
    if not patches:
        return None
    trial = _Trial(program, solved, latest)
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
    return trial.held()


class _Trial:
    """The best solution so far, in the session, and how to better it."""

    def __init__(self, program: Relaxation, solved: Solved, latest: float) -> None:
        self._program, self._session, self._problem, self._latest = program, program.session, program.problem, latest
        self._best, self._told = solved, program.ranked.told
        self._kept: dict[At, tuple[float, float]] = {}
        self._broken, self._worth = broken(self._session), self._judged(solved)
        self._tries = 0

    def held(self) -> Solved:
        """The best solution, which the program holds again."""
        self._session.load(self._best)
        self._program.ranked.told = self._told
        return replace(self._best, row_dual=np.pad(self._best.row_dual, (0, self._session.shape[0] - len(self._best.row_dual))))

    @property
    def goes_on(self) -> bool:
        """Whether there is time for another solve."""
        return self._tries < TRIES and time.perf_counter() < self._latest

    def attempt(self, patch: Patch) -> bool:
        """Solve with `patch` and keep it where that is better; whether it was."""
        if not self.goes_on or not self._fits(patch):
            return False
        self._tries += 1
        model = self._session.model
        variables = [model.job.carried_gpu_h[w] if t is None else model.workload.gpus[w, 0, t] for w, t in patch]
        self._session.fix(variables, list(patch.values()))
        outcome = self._program.solve()
        if isinstance(outcome, Solved):
            state, worth = broken(self._session), self._judged(outcome)
            if all(now <= was + TINY for now, was in zip(state, self._broken, strict=True)) and worth < (self._worth[0], self._worth[1] - TINY):
                self._best, self._broken, self._worth, self._told = outcome, state, worth, self._program.ranked.told
                self._kept |= {cell: (value, value) for cell, value in patch.items()}
                return True
        was = [self._kept.get(at, (0.0, v.ub)) for at, v in zip(patch, variables, strict=True)]
        self._session.bound(variables, [low for low, _ in was], [high for _, high in was])
        self._session.load(self._best)
        return False

    def _judged(self, solved: Solved) -> tuple[float, float]:
        """What runs lack of their minimum, h, and money with all pauses counted, of the solution in the session."""
        lacking_h = blocks.lacking_h(self._problem, self._session)
        return round(lacking_h, 5), solved.objective + _uncounted(self._problem, self._session)

    def _fits(self, patch: Patch) -> bool:
        """Whether all that is kept running leaves its pool's other gangs their GPUs, so that the program stays feasible."""
        asked: dict[tuple[str, int], float] = {}
        for (w, t), gpus in ({cell: low for cell, (low, _) in self._kept.items()} | patch).items():
            if t is not None:
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
        job = problem.workloads[w]
        if money > TINY and w not in found and isinstance(job, Job):
            carries = session.value(session.model.job.carried_gpu_h[w]) > TINY
            if mine := layouts(w, job, share, problem.cells.share[w], h, carries=carries):
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
