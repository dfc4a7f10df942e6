"""Pools: in which of its pools each movable job runs.

The program of `spread` gives a job a part in every pool it may have (`models.work.movable`) and so says how much work of such jobs is
best done in which pool. Each job then gets one pool, once: of those that do any of its work the one with most of that amount not
yet taken by other jobs, those with fewest pools to choose from first, then the largest. Pauses cost nothing while choosing, and no run
is too short. Gangs do not split as the program does, so the choice is kept only where its plan is better than with every job where
it is (`models.plan`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.breach import TINY
from models.horizon import Floats
from models.problem import Problem
from models.solving.attempt import SolverOf
from models.solving.ladders import solve_with_ladders
from models.solving.outcome import Solved
from models.solving.relaxation import program_of
from models.solving.session import Session
from models.work.job import Job


def with_pools(problem: Problem, deadline: float, solver_of: SolverOf) -> Problem | None:
    """The problem with one pool for each movable job; None where none was chosen by `deadline`."""
    parts = spread(problem)
    session = program_of(parts, solver_of)
    outcome = solve_with_ladders(session, deadline)
    return placed(problem, parts, session) if isinstance(outcome, Solved) else None


def spread(problem: Problem) -> Problem:
    """The problem in which each movable job has a part in each of its pools, behind the jobs."""
    jobs = [_free_to_stop(job) if job.elsewhere else job for job in problem.jobs]
    parts = [replace(_free_to_stop(part), part_of=i) for i, job in enumerate(problem.jobs) for part in job.elsewhere]
    return replace(problem, jobs=(*jobs, *parts))


def _free_to_stop(job: Job) -> Job:
    return replace(job, pause_price_per_gpu=0.0, min_run_h=0.0)


def placed(problem: Problem, parts: Problem, session: Session) -> Problem:
    """The problem with one pool for each movable job, chosen by the solution in `session` of `parts`, which `spread` made of it."""
    pools, first = {p.id: i for i, p in enumerate(problem.pools)}, len(problem.firms)
    done_gpu_h = parts.cells.work_gpu_h(session.values(session.model.workload.gpus), problem.horizon.h)
    wanted: dict[int, Floats] = {}
    for i, job in enumerate(problem.jobs):
        if job.elsewhere:
            wanted[i] = np.zeros(len(pools))
            for part, v in zip((job, *job.elsewhere), (first + i, *session.model.job.PARTS[first + i]), strict=True):
                wanted[i][pools[part.pool]] += done_gpu_h[v].sum()
    left = sum(wanted.values(), np.zeros(len(pools)))
    jobs = list(problem.jobs)
    for i in sorted(wanted, key=lambda i: (int((wanted[i] > TINY).sum()), -jobs[i].work_gpu_h)):
        job, done = jobs[i], wanted[i]
        choices = [part for part in (job, *job.elsewhere) if done[pools[part.pool]] > TINY] or [job]
        chosen = max(choices, key=lambda part: left[pools[part.pool]])
        left[pools[chosen.pool]] -= done.sum()
        jobs[i] = replace(chosen, elsewhere=())
    return replace(problem, jobs=tuple(jobs))
