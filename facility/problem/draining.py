"""Draining: GPUs that are to leave run empty by starting nothing on them that would not be done; work that runs on them goes on. Pure.

    done by(j)  = hours after which all GPUs of gang j at full speed are through with its work
    room(b)     = GPUs left at a begin b of fixed maintenance - those that contracts keep - those of gangs that run and are not done by b
    through(b)  = gangs that run, then those that wait, by their latest start, as far as `room(b)` lasts

| a gang that                            | and is not through(b)                                                          |
|----------------------------------------|--------------------------------------------------------------------------------|
| waits                                  | does not start from LEAD times `done by` and a cycle before b until b          |
| runs, and is done by b                 | is due at b                                                                    |
| runs, and is not                       | its GPUs leave when it is done, and have power until then                      |

A gang that runs at b goes on in the cycle after it, through(b) or not, so that none is changed for another as GPUs leave.

Only gangs of which their scheduler told whether they run; an elastic job gives its GPUs back one by one. Maintenance that is still to find its
window finds none before the gangs that run leave it its GPUs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from facility.forecast import hours_between
from facility.site import Site
from facility.snapshot import Snapshot
from models.horizon import Floats
from models.problem import Problem
from models.work.job import Job
from models.work.maintenance import Maintenance
from models.work.minimum_run import quickest_h
from models.work.pool import Pool
from models.work.workload import Order

LEAD = 1.1
"""How many times the least time that its work takes a gang is given before GPUs leave."""


def drained(problem: Problem, site: Site, snapshot: Snapshot, now: datetime) -> Problem:
    """The problem in which nothing starts that would have to stop as GPUs leave, and what runs there goes on; steps begin at `now`."""
    if not site.maintenance:
        return problem
    cycle_h = site.control.cycle_s / 3600
    told = {job.id for job in snapshot.jobs if job.running is not None}
    jobs, pools = {job.id: job for job in problem.jobs}, {pool.id: pool for pool in problem.pools}
    for name, pool in pools.items():
        gangs = [job for job in jobs.values() if job.pool == name and job.gang and job.id in told]
        kept = np.asarray(pool.available) - problem.free_gpus(name)
        begins_h = sorted(begin_h for begin_h in _begins_h(site, name, now) if -cycle_h < begin_h < problem.horizon.end_h)
        for begin_h in begins_h:
            if begin_h > 0:
                jobs |= _before(problem, pool, kept, gangs, begin_h, cycle_h)
                gangs = [jobs[job.id] for job in gangs]
        running = [job for job in gangs if job.running and job.commanded_window(problem.horizon)[0] > 0]
        pools[name], late = _late(problem, pool, kept, running, site.pools[name].gpus - snapshot.gone_gpus.get(name, 0))
        late |= {job.id for job in running if any(begin_h <= 0 for begin_h in begins_h)}
        jobs |= {job.id: _goes_on(job, len(problem.horizon)) for job in running if job.id in late}
    maintenances = tuple(_after_gangs(problem, m, [job for job in jobs.values() if job.id in told]) for m in problem.maintenances)
    return replace(problem, jobs=tuple(jobs.values()), pools=tuple(pools.values()), maintenances=maintenances)


def _begins_h(site: Site, pool: str, now: datetime) -> set[float]:
    """When fixed maintenance of a pool begins, hours after `now`."""
    return {hours_between(now, m.start) for m in site.maintenance.values() if m.pool == pool and m.start is not None}


def _before(problem: Problem, pool: Pool, kept: Floats, gangs: Collection[Job], begin_h: float, cycle_h: float) -> dict[str, Job]:
    """The gangs that are held, or due, before GPUs leave."""
    horizon = problem.horizon
    at = int(np.searchsorted(horizon.starts, begin_h + 1e-9, side="right")) - 1
    room = pool.available[at] - float(kept[at])
    room -= sum(job.gpus for job in gangs if job.running and quickest_h(job) > begin_h)
    changed: dict[str, Job] = {}
    for job in sorted((job for job in gangs if job.running and quickest_h(job) <= begin_h), key=lambda job: -quickest_h(job)):
        if job.gpus <= room:
            room -= job.gpus
        else:
            changed[job.id] = replace(job, deadline_h=min(job.deadline_h, begin_h))
    waiting = [job for job in gangs if not job.running and job.arrival_h < begin_h < job.deadline_h]
    for job in sorted(waiting, key=lambda job: job.deadline_h - quickest_h(job)):
        if job.gpus <= room:
            room -= job.gpus
        else:
            first_h = begin_h - LEAD * quickest_h(job) - cycle_h
            held = (horizon.ends > first_h) & (horizon.starts < begin_h)
            changed[job.id] = replace(job, order=_held(job, held))
    return changed


def _held(job: Job, held: NDArray[np.bool_]) -> tuple[Order | None, ...]:
    """Its orders, with a hold in the steps that are `held` where nobody orders otherwise."""
    orders: tuple[Order | None, ...] = job.order or (None,) * len(held)
    return tuple("hold" if hold and order is None else order for order, hold in zip(orders, held, strict=True))


def _goes_on(job: Job, steps: int) -> Job:
    """It runs in the first step, unless somebody orders otherwise, and then until it is done; a limit of the plant or of the grid may stop it."""
    first, *others = job.order or (None,) * steps
    return replace(job, order=(first or "run", *others), still_h=quickest_h(job), elsewhere=())


def _late(problem: Problem, pool: Pool, kept: Floats, running: Collection[Job], most: int) -> tuple[Pool, set[str]]:
    """The pool with the GPUs on which gangs run that are not done as they are to leave, at most `most`; and those gangs."""
    starts = problem.horizon.starts
    available, powered = np.asarray(pool.available), np.asarray(pool.powered or pool.available)
    on = np.array([job.gpus * (quickest_h(job) > starts) for job in running]).reshape(len(running), len(starts))
    lacks = np.minimum(kept + on.sum(axis=0), most) > available
    if not lacks.any():
        return pool, set()
    needed = np.where(lacks, np.minimum(kept + on.sum(axis=0), most), available)
    late = {job.id for job, mine in zip(running, on, strict=True) if (lacks & (mine > 0)).any()}
    powered = np.maximum(powered, np.where(lacks, needed, 0.0))
    return replace(pool, available=tuple(needed.tolist()), powered=tuple(powered.tolist())), late


def _after_gangs(problem: Problem, maintenance: Maintenance, jobs: Collection[Job]) -> Maintenance:
    """A maintenance that does not begin before the gangs that run leave it its GPUs."""
    running = sorted((quickest_h(job), job.gpus) for job in jobs if job.running and job.gang and job.pool == maintenance.pool)
    room = float(problem.free_gpus(maintenance.pool)[0]) - sum(gpus for _, gpus in running)
    earliest_h = maintenance.earliest_h
    for done_h, gpus in running:
        if room >= maintenance.gpus:
            break
        room, earliest_h = room + gpus, max(earliest_h, done_h)
    return replace(maintenance, earliest_h=earliest_h)
