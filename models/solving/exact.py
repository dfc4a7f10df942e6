"""Exact: the best plan that can be sent, by mixed-integer programming, with the proof of how good it is in money.

The program of `models.solving.whole` is searched for an optimum; the whole numbers found are then fixed and the linear program that is
left is solved again, for its duals and its certificate. Gensets are on or off. What may go two ways, plants, and halls that are colder
than their supply get whole numbers only where a solution is between: at a negative price from the start, elsewhere once it happens,
and the search begins anew.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.breach import TINY
from models.power import genset
from models.problem import Problem
from models.solving import blocks, settle, stops, whole
from models.solving.attempt import SolverOf
from models.solving.cold import ColdHalls
from models.solving.ladders import add_all_climbs
from models.solving.outcome import Infeasible, Outcome, Solved, TimedOut
from models.solving.session import Session
from models.solving.solver import Solver
from models.solving.tiers import Ranked
from models.work.job import Job

SEARCHED = 0.85
"""The share of the time left that is searched for whole numbers; the rest is for the linear program that they leave."""
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
    """How good a plan is, money. `bound`: nothing that can be sent costs less; `gap`: how far the plan, or its program, is above it.

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
    problem: Problem, settled: Session, asked: Exact, deadline: float, solver_of: SolverOf = Solver
) -> Found | Infeasible | TimedOut:
    """Search from `settled`, which holds a solution of `problem` that can be sent, until the instant `deadline`."""
    negative = [t for t, price in enumerate(problem.grid.price_per_kwh) if price < 0]
    torn = {(i, t) for i, (_, out) in enumerate(settle.two_ways(problem, settled.model)) for t in negative if t in out.index_set()}
    burning = {(c.id, t) for c in problem.cooling_plants for t in negative}
    chilled: set[whole.Chilled] = set()
    while True:
        found = _search(problem, settled, asked, deadline, solver_of, torn, burning, chilled)
        if not isinstance(found, Found):
            return found
        lesser = {id(v) for v in settle.both_ways(problem, found.session)}
        ways = settle.two_ways(problem, found.model)
        more_torn = {(i, t) for i, (into, out) in enumerate(ways) for t in out.index_set() if lesser & {id(into[t]), id(out[t])}}
        more_burning = {(plant.id, t) for plant, t, _ in settle.burns(problem, found.session)}
        too_cold = ColdHalls(found.session, problem).cooled(problem.supply_c)
        more_chilled = {(each.hall, each.step) for each in too_cold}
        if more_torn <= torn and more_burning <= burning and more_chilled <= chilled:
            return found
        torn |= more_torn
        burning |= more_burning
        chilled |= more_chilled


def _search(
    problem: Problem,
    settled: Session,
    asked: Exact,
    deadline: float,
    solver_of: SolverOf,
    torn: set[whole.Torn],
    burning: set[whole.Burning],
    chilled: set[whole.Chilled],
) -> Found | Infeasible | TimedOut:
    model = whole.declare_whole(problem, asked.whole_steps, torn, burning, chilled)
    session = Session(model, solver_of)
    add_all_climbs(session)
    gpus = model.workload.gpus
    ordered = [w for w, load in enumerate(problem.workloads) if isinstance(load, Job) and load.order[:1] == ("run",)]
    ordered = [w for w in ordered if problem.cells.share[w, 0] > 0]
    session.fix([gpus[w, 0, 0] for w in ordered], settled.values(settled.model.workload.gpus)[ordered, 0, 0].tolist())
    switches = [v for g in problem.gensets for v in genset.whole(model.genset[g.id])]
    numbers = [v for v in (*whole.whole(model), *switches) if session.has(v)]
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
        point = session.solve_whole(numbers, start, gap, SEARCHED * left_s)
        if isinstance(point, (Infeasible, TimedOut)):
            return point
        bound = point.bound if in_money else bound
        session.fix(numbers, [float(round(point.x[session.column(v)])) for v in numbers])
        return session.solve(max(deadline - time.perf_counter(), 1.0))

    ranked = Ranked(session)
    outcome = ranked.solve(solve, deadline)
    if not isinstance(outcome, Solved):
        return outcome
    session.load(outcome)
    return Found(model, session, outcome, ranked, min(bound, outcome.objective))


def _start(problem: Problem, settled: Session, model: Any, numbers: list[Any]) -> list[float]:
    """Where `settled` has each of `numbers`, the search's whole numbers."""
    block, share = model.whole, problem.cells.share
    running = settled.values(settled.model.workload.gpus)[:, 0]
    begun: dict[int, float] = {}
    for w, t in block.RUNNING:
        full = problem.workloads[w].gpus * share[w, t]
        now = float(running[w, t])
        begun[id(block.running[w, t])] = float(now >= full * (1 - TINY))
        if TINY < now < full * (1 - TINY):
            begun |= {id(block.ended[w, later]): 1.0 for later in block.STEPS if later > t}
    carried = settled.model.job.carried_gpu_h
    costly = {w: blocks.shares(problem, settled, w) for w in model.stops.GANGS}
    begun |= stops.start(model.stops, costly, share, {w: settled.value(carried[w]) for w in costly})
    ways = settle.two_ways(problem, settled.model)
    begun |= {id(draws): float(settled.value(ways[i][0][t]) > TINY) for i, flow in model.flow.items() for t, draws in flow.draws.items()}
    for i, plant in model.segment.items():
        ends = list(plant.to_kw.values())
        heat_kw = settled.values(settled.model.cooling_plant[i].heat_kw)
        begun |= {id(plant.on[int(np.searchsorted(ends[:-1], heat_kw[t] - TINY)), t]): 1.0 for t in plant.STEPS}
    for i, hall in model.chill.items():
        removed_kw = settled.values(settled.model.hall[i].removed_kw)
        begun |= {id(chills): float(removed_kw[t] > TINY) for t, chills in hall.chills.items()}
    for g in problem.gensets:
        on = settled.values(settled.model.genset[g.id].on)
        begun |= {id(v): float(on[t]) for t, v in model.genset[g.id].on.items()}
    return [begun.get(id(v), 0.0) for v in numbers]
