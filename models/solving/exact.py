"""Exact: the best plan that can be sent, by mixed-integer programming, with the proof of how good it is in money.

The program of `models.solving.whole` is searched for an optimum; the whole numbers found are then fixed and the linear program that is
left is solved again, for its duals and its certificate. Gensets are on or off. What may go two ways, and plants, get whole
numbers only where a solution is between: at a negative price from the start, elsewhere once it happens, and the search begins
anew.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.breach import TINY
from models.power import genset
from models.problem import Problem
from models.site import build
from models.solving import settle, whole
from models.solving.attempt import SolverOf
from models.solving.outcome import Infeasible, Outcome, Solved, TimedOut
from models.solving.session import Session
from models.solving.solver import Solver
from models.solving.tiers import Ranked
from models.work.job import Job

AMOUNT_GAP = 1e-4
"""The least that a tier of breaches can be is proven to this much of its unit."""


@dataclass(frozen=True)
class Exact:
    """What is asked: a proof to `gap` money, and in how many first steps a gang runs whole or waits."""

    gap: float = 0.01
    whole_steps: int = 1


@dataclass(frozen=True)
class Found:
    """The best point found, written into `model`; nothing that can be sent costs less than `bound`."""

    model: Any
    session: Session
    solved: Solved
    ranked: Ranked
    bound: float

    @property
    def gap(self) -> float:
        """How much cheaper the optimum may be, money."""
        return max(0.0, self.solved.objective - self.bound)


@dataclass(frozen=True)
class Proof:
    """How good a plan is, money. `bound`: nothing that can be sent costs less; `gap`: how far the plan's program is above it.

    Both are None where no point was found in time; `missed` then says why. `rounded` and `exact` are how far the rounded plan and
    the exact one cost more than the linear program's bound, after rounding to watts; a hair less than nothing is possible, the
    curves of cooling plants lying below the program's straight lines.
    """

    rounded: float
    exact: float | None = None
    bound: float | None = None
    gap: float | None = None
    missed: str | None = None


def search(
    problem: Problem, settled: Any, asked: Exact, deadline: float, solver_of: SolverOf = Solver
) -> Found | Infeasible | TimedOut:
    """Search from `settled`, the program of `problem` with a solution that can be sent, until the instant `deadline`."""
    negative = [t for t, price in enumerate(problem.grid.price_per_kwh) if price < 0]
    torn = {(i, t) for i, (_, out) in enumerate(settle.two_ways(problem, settled)) for t in negative if t in out}
    burning = {(c.id, t) for c in problem.cooling_plants for t in negative}
    while True:
        found = _search(problem, settled, asked, deadline, solver_of, torn, burning)
        if not isinstance(found, Found):
            return found
        lesser = {id(v) for v in settle.both_ways(problem, found.model)}
        ways = settle.two_ways(problem, found.model)
        more_torn = {(i, t) for i, (into, out) in enumerate(ways) for t in out if lesser & {id(into[t]), id(out[t])}}
        more_burning = {(plant.id, t) for plant, t, _ in settle.burns(problem, found.model)}
        if more_torn <= torn and more_burning <= burning:
            return found
        torn |= more_torn
        burning |= more_burning


def _search(
    problem: Problem,
    settled: Any,
    asked: Exact,
    deadline: float,
    solver_of: SolverOf,
    torn: set[whole.Torn],
    burning: set[whole.Burning],
) -> Found | Infeasible | TimedOut:
    model = build(problem)
    model.whole = pyo.Block()
    whole.add(model.whole, model, problem, asked.whole_steps, torn, burning)
    session = Session(model, solver_of)
    gpus = model.workload.gpus
    if rungs := [(w, k, t) for w, k, t in gpus if k]:
        session.add_rows([((gpus[w, k - 1, t], 1.0), (gpus[w, k, t], -1.0)) for w, k, t in rungs], [0.0] * len(rungs))
    ordered = [w for w, load in enumerate(problem.workloads) if isinstance(load, Job) and load.order[:1] == ("run",)]
    ordered = [w for w in ordered if (w, 0, 0) in gpus]
    session.fix([gpus[w, 0, 0] for w in ordered], [settled.workload.gpus[w, 0, 0].value for w in ordered])
    switches = [v for g in problem.gensets for v in genset.whole(model.genset[g.id])]
    numbers = [v for v in (*whole.whole(model.whole), *switches) if id(v) in session.columns]
    start = _start(problem, settled, model, numbers)
    money = session.cost
    bound = -np.inf

    def solve(latest: float) -> Outcome:
        nonlocal bound
        session.bound(numbers, [v.lb for v in numbers], [v.ub for v in numbers])
        in_money = np.array_equal(session.cost, money)
        gap = asked.gap if in_money else AMOUNT_GAP
        left_s = latest - time.perf_counter()
        if left_s <= 0:
            return TimedOut(0.0, "no time was left")
        point = session.solve_whole(numbers, start, gap, left_s)
        if isinstance(point, (Infeasible, TimedOut)):
            return point
        bound = point.bound if in_money else bound
        session.fix(numbers, [float(round(point.x[session.columns[id(v)]])) for v in numbers])
        return session.solve(max(deadline - time.perf_counter(), 1.0))

    ranked = Ranked(session, model)
    outcome = ranked.solve(solve, deadline)
    if not isinstance(outcome, Solved):
        return outcome
    session.load(outcome)
    return Found(model, session, outcome, ranked, min(bound, outcome.objective))


def _start(problem: Problem, settled: Any, model: Any, numbers: list[Any]) -> list[float]:
    """Where `settled` has each of `numbers`, the search's whole numbers."""
    block, share = model.whole, problem.cells.share
    begun: dict[int, float] = {}
    for w, t in block.RUNNING:
        full = problem.workloads[w].gpus * share[w, t]
        now = settled.workload.gpus[w, 0, t].value or 0.0
        begun[id(block.running[w, t])] = float(now >= full * (1 - TINY))
        if TINY < now < full * (1 - TINY):
            begun |= {id(block.ended[w, later]): 1.0 for later in block.STEPS if later > t}
    ways = settle.two_ways(problem, settled)
    begun |= {id(block.draws[i, t]): float((ways[i][0][t].value or 0.0) > TINY) for i, t in block.TORN}
    for i, t in block.BURNING:
        ends = [block.to_kw[i, s, t] for s in settled.cooling_plant[i].SEGMENTS]
        segment = int(np.searchsorted(ends[:-1], (settled.cooling_plant[i].heat_kw[t].value or 0.0) - TINY))
        begun[id(block.on[i, segment, t])] = 1.0
    for g in problem.gensets:
        begun |= {id(model.genset[g.id].on[t]): on.value or 0.0 for t, on in settled.genset[g.id].on.items()}
    return [begun.get(id(v), 0.0) for v in numbers]
