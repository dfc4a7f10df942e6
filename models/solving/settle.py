"""Settle: what the program leaves between and reality does not.

The program lets a genset run for a share of a step, a battery charge and discharge at once, a grid connection import and
export, a feeder draw and return, a cooling plant burn up to its chord at a negative price or cool a hall that is colder than its
supply (`models.solving.cold`), and a gang run on part of its GPUs.
A plan's genset is on or off all through, in the best of a few patterns; its power goes one way; a plant that burnt keeps to
the segment of its curve it was on; and in the first step, which is what is sent, a rigid job runs, waits, or finishes inside
it. Each is fixed to the side its solution leans to and the program is solved again, until nothing is left between. Where that
breaks a limit or a promise, the other side is tried, least sure job first, and kept where it breaks less of a limit, or no
more and costs less. What an operator orders to run is fixed the same way, and a gang in its minimum run; only a limit of the
plant or of the grid makes it wait.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from models.breach import CONTRACT, TIERS, TINY
from models.heat.cooling_plant import CoolingPlant, secants
from models.horizon import Floats
from models.power.genset import committed, whole
from models.problem import Problem
from models.solving.cold import ColdHalls
from models.solving.outcome import Outcome, Solved, TimedOut
from models.solving.session import Session
from models.solving.tiers import breach_columns
from models.sparse import sp
from models.work.job import Job, left_gpu_h
from models.work.minimum_run import owed_h
from models.work.pause import times

TRIES = 10
"""At most this many jobs are tried the other way round."""


def settle(session: Session, problem: Problem, solve: Callable[[], Outcome]) -> Outcome | None:
    """Fix what is between and `solve` again until nothing is; None where nothing was. `session` holds the solution."""
    model = session.model
    outcome = _switch(session, problem, solve)
    if outcome is not None and not isinstance(outcome, Solved):
        return outcome
    settled: dict[int, float] = {}
    halls = ColdHalls(session, problem)
    while True:
        torn, burning = both_ways(problem, session), burns(problem, session)
        too_cold = halls.cooled(problem.supply_c)
        gangs = {} if torn or burning or too_cold else _gangs(session, problem, settled)
        if not torn and not burning and not too_cold and not gangs:
            return outcome
        before = broken(session)
        settled |= gangs
        session.fix(torn, [0.0] * len(torn))
        _keep_to_the_curve(session, model, burning)
        _fix(session, gangs)
        outcome = halls.solve(too_cold, solve)
        if isinstance(outcome, Solved) and gangs:
            outcome = _turn(session, problem, solve, outcome, list(gangs), settled, before)
        if not isinstance(outcome, Solved):
            return outcome


def _switch(session: Session, problem: Problem, solve: Callable[[], Outcome]) -> Outcome | None:
    """Fix when each genset runs, whichever breaks less and then costs less: wherever it does and the site can take its least, or
    where it gives that already, or never.
    """
    model = session.model
    if not problem.gensets:
        return None
    room_kw = sum(session.values(model.feeder[f.id].load_kw) for f in problem.roots) + problem.grid.export_limit_kw
    patterns: list[dict[str, list[bool]]] = [{}, {}, {}]
    for engine in problem.gensets:
        block = model.genset[engine.id]
        on, power_kw = session.values(block.on), session.values(block.power_kw)
        likely = (on > TINY) & (power_kw + room_kw >= engine.least_kw - TINY)
        for pattern, runs in zip(patterns, (likely, power_kw >= engine.least_kw - TINY, np.zeros_like(likely)), strict=True):
            pattern[engine.id] = committed(engine, runs, on, problem.horizon).tolist()
    best: tuple[tuple[tuple[float, ...], float], dict[str, list[bool]]] | None = None
    outcome: Outcome | None = None
    tried: list[dict[str, list[bool]]] = []
    for pattern in patterns:
        if pattern not in tried:
            tried.append(pattern)
            outcome = _run_one_way(session, problem, pattern, solve)
            if isinstance(outcome, TimedOut):
                return outcome
            rank = (_over_by_tier(session), outcome.objective) if isinstance(outcome, Solved) else ((np.inf,), np.inf)
            if best is None or rank < best[0]:
                best = rank, pattern
    return outcome if best is None else _run(session, best[1], solve)


def _run_one_way(session: Session, problem: Problem, pattern: dict[str, list[bool]], solve: Callable[[], Outcome]) -> Outcome:
    """Solve as `_run` does, with power that goes one way only: what a site cannot take must not be lost by sending it to and fro."""
    outcome = _run(session, pattern, solve)
    torn = both_ways(problem, session) if isinstance(outcome, Solved) else []
    if torn:
        at = [session.column(way) for way in torn]
        lower, upper = session.lower[at].tolist(), session.upper[at].tolist()
        session.fix(torn, [0.0] * len(torn))
        outcome = solve()
        session.bound(torn, lower, upper)
    return outcome


def _run(session: Session, pattern: dict[str, list[bool]], solve: Callable[[], Outcome]) -> Outcome:
    """Solve where each genset is on in the steps of `pattern` and off in the others."""
    model = session.model
    for engine, runs in pattern.items():
        session.fix(whole(model.genset[engine]), [float(on) for on in runs])
    return solve()


def _turn(
    session: Session,
    problem: Problem,
    solve: Callable[[], Outcome],
    best: Solved,
    gangs: list[int],
    settled: dict[int, float],
    before: tuple[float, float],
) -> Outcome:
    """Try `gangs` (surest first) the other way round while more is broken than `before`; `settled` is kept up to date."""
    over, owed = broken(session)
    shown = best
    for w in gangs[: -TRIES - 1 : -1]:
        if over <= before[0] + TINY and owed <= before[1] + TINY:
            break
        job = problem.jobs[w - len(problem.firms)]
        other = 0.0 if settled[w] else _most(session, problem, w)
        must_run = _is_ordered(job) or (settled[w] and is_owed(problem, w))
        if (must_run and over <= before[0] + TINY) or other > _free(problem, job.pool, settled) + settled[w]:
            continue
        outcome = _solve_at(session, {w: other}, solve)
        if not isinstance(outcome, Solved):
            return outcome
        shown = outcome
        if (round(broken(session)[0] - over, 5), outcome.objective) < (0.0, best.objective - TINY):
            best, settled[w] = outcome, other
            over, owed = broken(session)
        else:
            _fix(session, {w: settled[w]})
    return best if shown is best else solve()


def _solve_at(session: Session, gangs: dict[int, float], solve: Callable[[], Outcome]) -> Outcome:
    _fix(session, gangs)
    return solve()


def _fix(session: Session, gangs: dict[int, float]) -> None:
    """Fix on how many GPUs each of `gangs` runs in the first step."""
    model = session.model
    session.fix([model.workload.gpus[w, 0, 0] for w in gangs], list(gangs.values()))


def broken(session: Session) -> tuple[float, float]:
    """How much the solution in `session` is above limits, and how much it owes: kW and K, GPU h."""
    over = _sum(session, [family for tier in TIERS if tier is not CONTRACT for family in tier.families])
    return over, _sum(session, CONTRACT.families)


def _over_by_tier(session: Session) -> tuple[float, ...]:
    """What is above limits tier by tier, the highest first, as far as differences count."""
    return tuple(round(_sum(session, tier.families), 5) for tier in TIERS if tier is not CONTRACT)


def _sum(session: Session, families: Collection[str]) -> float:
    return float(session.x[breach_columns(session, families)].sum())


def two_ways(problem: Problem, model: Any) -> list[tuple[Any, Any]]:
    """The two ways, by step, of whatever power may go either way through: batteries, the grid connection, feeders with losses."""
    ways = [(model.battery[b.id].charge_kw, model.battery[b.id].discharge_kw) for b in problem.batteries]
    ways += [(model.feeder[f.id].drawn_kw, model.feeder[f.id].returned_kw) for f in problem.feeders]
    return [*ways, (model.grid.import_kw, model.grid.export_kw)]


def both_ways(problem: Problem, session: Session) -> list[Any]:
    """The lesser of the two ways wherever power goes both."""
    lesser = []
    for one, other in two_ways(problem, session.model):
        out_kw = session.values(other)
        in_kw = session.values(one)[: len(out_kw)]
        lesser += [(one if in_kw[t] <= out_kw[t] else other)[t] for t in np.flatnonzero(np.minimum(in_kw, out_kw) > TINY).tolist()]
    return lesser


def burns(problem: Problem, session: Session) -> list[tuple[CoolingPlant, int, int]]:
    """Plants that draw more than their curve's segments say: (plant, step, segment they are on)."""
    burning = []
    for plant in problem.cooling_plants:
        slope, intercept, _ = secants(plant.chiller, problem.outdoor_c)
        block = session.model.cooling_plant[plant.id]
        heat, power = session.values(block.heat_kw), session.values(block.power_kw)
        least = (intercept + slope * heat).max(axis=0)
        segment = np.clip(np.searchsorted(plant.chiller.breakpoints_kw(), heat) - 1, 0, len(slope) - 1)
        burning += [(plant, int(t), int(segment[t])) for t in np.flatnonzero(power > least * (1 + TINY) + TINY)]
    return burning


def _keep_to_the_curve(session: Session, model: Any, burning: list[tuple[CoolingPlant, int, int]]) -> None:
    """Let each of `burning` draw no more than its segment, and its heat stay on it."""
    heats, lower, upper, rows, least = [], [], [], [], []
    for plant, t, segment in burning:
        block, points = model.cooling_plant[plant.id], plant.chiller.breakpoints_kw()
        heats.append(block.heat_kw[t])
        lower.append(float(points[segment]))
        upper.append(min(float(points[segment + 1]), block.most_heat_kw[t]))
        rows.append(session.row([(block.heat_kw[t], block.slope[segment, t]), (block.power_kw[t], -1.0)]))
        least.append(-block.intercept_kw[segment, t])
    if burning:
        session.bound(heats, lower, upper)
        session.add_rows(sp.vstack(rows, format="csr"), least)


def _gangs(session: Session, problem: Problem, settled: dict[int, float]) -> dict[int, float]:
    """On how many GPUs, mean over the first step, each job left between is to run there (zero: wait), the surest first."""
    model = session.model
    free = {p.id: p.available[0] - problem.idle_kept(p.id)[0] for p in problem.pools}
    between: list[tuple[float, int, float]] = []
    sure: list[tuple[float, int, float]] = []  # of what must run, and does: where another one is turned it must not give way
    running = session.values(model.workload.gpus)[:, 0]
    for w, load in enumerate(problem.workloads):
        now = float(running[w, 0])
        if isinstance(load, Job) and w not in settled and (_is_ordered(load) or (now > TINY and not load.elastic)):
            most = _most(session, problem, w)
            if now < most - TINY and _has_more(session, running[w], load, w):
                must = 2.0 if _is_ordered(load) else 1.0 if _must(session, problem, load, w) else None
                lean = _lean(session, problem, load, w, running[w], now / most) if must is None else must
                between.append((lean, w, most))
                continue
            if now > TINY and not load.elastic and (_is_ordered(load) or is_owed(problem, w)):
                sure.append((2.0, w, now))
                continue
        free[load.pool] -= now
    if between:
        between += sure
    gangs: dict[int, float] = {}
    for lean, w, most in sorted(between, key=lambda item: (-item[0], item[1])):
        job = problem.jobs[w - len(problem.firms)]
        left = _free(problem, job.pool, settled | gangs) if _is_ordered(job) else free[job.pool]
        fits = job.elastic or (lean >= 0.5 and most <= left + TINY)
        gangs[w] = max(0.0, min(most, left)) if fits else 0.0
        free[job.pool] -= gangs[w]
    return gangs


def _is_ordered(job: Job) -> bool:
    return bool(job.order) and job.order[0] == "run"


def is_owed(problem: Problem, w: int) -> bool:
    """Whether workload `w` is in its minimum run when the first step begins."""
    job = problem.workloads[w]
    return isinstance(job, Job) and bool(owed_h(job, problem.cells.share[w], problem.horizon)[0] > TINY)


def _free(problem: Problem, pool: str, settled: dict[int, float]) -> float:
    """GPUs of a pool that nothing must have in the first step."""
    return float(problem.free_gpus(pool)[0]) - sum(gpus for w, gpus in settled.items() if problem.workloads[w].pool == pool)


def _most(session: Session, problem: Problem, w: int) -> float:
    """The GPUs job `w` can run on in the first step, mean over it: all in its window, less where it finishes inside.

    What it is already fixed to do in later steps is not left to be done in the first.
    """
    model = session.model
    job, h = problem.jobs[w - len(problem.firms)], problem.horizon.hours
    columns = session.columns(model.workload.gpus)[w, 0]
    later = [t for t in np.flatnonzero(columns >= 0).tolist() if t]
    later_gpu_h = sum(h[t] * problem.cells.ladder(w, t).speed[0] * float(session.lower[columns[t]]) for t in later)
    until_done = max(0.0, job.work_gpu_h - later_gpu_h) / (h[0] * problem.cells.ladder(w, 0).speed[0])
    return float(min(job.gpus * problem.cells.share[w, 0], until_done))


def _lean(session: Session, problem: Problem, job: Job, w: int, running: Floats, ran: float) -> float:
    """How surely `job` is to run in the first step where it runs for `ran` of what it could there: from half on it is.

    Where its pauses cost, it leans to the side on which it pauses less often, for the other steps as they are.
    """
    if not job.pause_price_per_gpu:
        return ran
    share, most, carried = running / job.gpus, problem.cells.share[w], session.value(session.model.job.carried_gpu_h[w])
    waits, runs = (times(job, np.r_[first, share[1:]], most, carried) for first in (0.0, most[0]))
    return ran if runs == waits else (ran + float(runs < waits)) / 2


def _must(session: Session, problem: Problem, job: Job, w: int) -> bool:
    """Whether `job` may not wait: the rest of its window is too short for it, or the program keeps it in its minimum run."""
    owed = session.model.minimum_run
    goes_on = (w, 0) in owed.OWED and session.value(owed.cut_short_gpu_h[w, 0]) <= TINY
    return goes_on or not _can_wait(problem, job, w)


def _can_wait(problem: Problem, job: Job, w: int) -> bool:
    """Whether the rest of its window is long enough for `job`, whatever else is there, or its work is owed to nobody."""
    index, h = problem.cells, problem.horizon.h
    later = sum(float(h[t] * index.share[w, t]) * index.ladder(w, t).speed[-1] for t in range(1, len(h)))
    return job.spot_value_per_gpu_h > 0 or job.work_gpu_h <= job.gpus * later + job.most_carried_gpu_h(problem.horizon) + TINY


def _has_more(session: Session, running: Floats, job: Job, w: int) -> bool:
    """Whether work of `job` is left after the first step; `running` are its GPUs, shape (T,)."""
    undone = sum(left_gpu_h(session.model.job, session.value, w))
    return bool((running[1:] > TINY).any()) or undone > TINY * max(1.0, job.work_gpu_h)
