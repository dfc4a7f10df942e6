"""Blocks: what mends a run of a gang that is shorter than its minimum, after the program and before anything is sent.

The program may run a part of a gang, or stop it early where its work might be done (`models.work.minimum_run`). For each gang with
a run that is too short,

    it runs through from the first step of the run until its minimum is over,
    or from as much earlier up to the last,
    or the run is left out,

least change first; `models.solving.runs` tries these and keeps what breaks no more and leaves less too short.
"""

from __future__ import annotations

import numpy as np

from models.breach import TINY
from models.horizon import Floats
from models.problem import Problem
from models.solving.session import Session
from models.work.job import Job
from models.work.minimum_run import too_short
from models.work.pause import NEARLY

At = tuple[int, int | None]
"""A workload and a step, or None: its work that is left for after the horizon."""
Patch = dict[At, float]
"""On how many GPUs, mean over the step, a job is to run in a cell, or how much work it is to leave, GPU h."""


def change_gpu_h(patch: Patch, gpus: Floats, h: Floats) -> float:
    """How much `patch` changes of a job that runs on `gpus`, shape (T,), GPU h."""
    return sum(abs(float(to - gpus[t]) * float(h[t])) for (_, t), to in patch.items() if t is not None)


def shares(problem: Problem, session: Session, w: int) -> Floats:
    """For what share of each step the gang `w` runs in the solution that `session` holds, shape (T,)."""
    share = np.asarray(session.values(session.model.workload.gpus)[w, 0] / problem.workloads[w].gpus)
    share[share < NEARLY] = 0.0
    return share


def lacking_h(problem: Problem, session: Session) -> float:
    """How much all runs together lack of their minimum, h."""
    return sum(sum(found.values()) for _, _, found in _short(problem, session))


def patches(problem: Problem, session: Session) -> dict[int, list[Patch]]:
    """What may be tried for the first run of each gang that is too short, by workload, the least change first."""
    found: dict[int, list[Patch]] = {}
    horizon = problem.horizon
    for w, share, lacking in _short(problem, session):
        job, most = problem.workloads[w], problem.cells.share[w]
        assert isinstance(job, Job)
        first, last = min(lacking)
        ahead = np.flatnonzero(horizon.ends[first:] - horizon.starts[first] > job.min_run_h - TINY)
        behind = np.flatnonzero(horizon.ends[last] - horizon.starts[: first + 1] > job.min_run_h - TINY)
        spans = [range(first, first + int(ahead[0]) + 1 if len(ahead) else len(share))]
        spans += [range(int(behind[-1]), last + 1)] if len(behind) else []
        mine: list[Patch] = [{(w, t): float(job.gpus * most[t]) for t in span} for span in spans if (most[span.start : span.stop] > TINY).all()]
        mine.append({(w, t): 0.0 for t in range(first, last + 1)})
        found[w] = sorted(mine, key=lambda patch: change_gpu_h(patch, job.gpus * share, horizon.h))
    return found


def _short(problem: Problem, session: Session) -> list[tuple[int, Floats, dict[tuple[int, int], float]]]:
    """The gangs with runs that are too short: workload, the share of each step it runs for, and what each such run lacks, h."""
    found = []
    for w, job in enumerate(problem.workloads):
        if isinstance(job, Job) and job.gang and job.min_run_h > 0:
            share = shares(problem, session, w)
            carried_gpu_h = session.value(session.model.job.carried_gpu_h[w])
            if lacking := too_short(job, share, problem.cells.share[w], problem.horizon, carried_gpu_h):
                found.append((w, share, lacking))
    return found
