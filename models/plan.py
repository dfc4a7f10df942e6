"""Plan: solve, round to what can be sent, and say what it costs beside doing nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from models import workload
from models.account import Account, account
from models.baseline import baseline
from models.breach import TINY
from models.budget import Budget
from models.carbon import Carbon
from models.cooling_plant import CoolingPlant, secants
from models.exact import Exact, Found, Proof, search
from models.firm import Firm
from models.first_step import fit, fits_at_once, keep
from models.horizon import Floats, Horizon
from models.job import undone_gpu_h
from models.marginal import Marginal, marginal_prices
from models.placement import placed, spread
from models.reserve import Reserve
from models.rounding import Cell, meet_budgets, meet_floors, meet_work, round_down, schedule_of
from models.runs import merge, run_through
from models.schedule import Schedule
from models.settle import settle
from models.site import Problem, build
from models.solve import Certificate, Condition, Infeasible, Outcome, Session, Solved, TimedOut, values
from models.tiers import Ranked, breaks_less
from models.why import Why
from models.windows import find_windows

ROUNDING_RESERVE = 1e-5
"""Share of every electrical limit that the program leaves for rounding."""
ROUNDS_AT_ONCE = 3
"""At most so often the program is solved again around what did not fit at once in the first step."""
ROUNDED_KW_AT_METER = 1.5
"""What a kW that rounding takes may be at the meter, with cooling and losses."""
ROUNDED_WORSE = 0.01
"""Rounding that costs more than this share of the objective is told."""

Status = Literal["optimal", "breached", "rounded_worse"]


@dataclass(frozen=True)
class SolveRecord:
    """How the program was solved. `bound` is the objective before rounding, `gap` what rounding cost relative to it.

    `tiers` holds the least amount that each tier of breaches had to be (`models.tiers`), empty where nothing is broken;
    `tiers_s` is what finding them took. `weights_stand` says why breaches are ordered by their prices only, None otherwise.
    `proof` is there where an exact plan was asked for; then all but `bound` is of its program.
    """

    rows: int
    columns: int
    build_s: float
    solve_s: float
    rounds: int
    bound: float
    gap: float
    certificate: Certificate
    tiers: tuple[tuple[str, float], ...] = ()
    tiers_s: float = 0.0
    weights_stand: str | None = None
    condition: Condition | None = None
    proof: Proof | None = None


@dataclass(frozen=True)
class Plan:
    """A schedule that can be sent, its account, the baseline's account on the same problem, and why.

    `marginal` are the prices of the limits that bind; `why` takes the cost of running a GPU apart. `margin_price` is what holding
    the limits against the pessimistic forecast costs more than against the expected one (money, of the two programs before
    rounding); None where no pessimistic one is told, where a limit is broken, or out of time.
    """

    problem: Problem
    schedule: Schedule
    account: Account
    baseline: Account
    status: Status
    record: SolveRecord
    marginal: tuple[Marginal, ...]
    why: Why
    margin_price: float | None = None

    @property
    def marginal_prices(self) -> dict[str, float]:
        """What one more unit of each binding limit, all through the horizon, would have saved (money), by the limit's name."""
        return {limit.name: limit.total for limit in self.marginal}


def make_plan(problem: Problem, budget_s: float, exact: Exact | None = None) -> Plan | Infeasible | TimedOut:
    """The plan of `problem`, solved within `budget_s` seconds; the rounded one where `exact` asks for more than time allows.

    Maintenance gets its windows first. Where jobs are movable it is planned with each where it is and with each in the pool
    that is chosen for it, in a third of the time each, and the better plan is kept; the baseline is the site with each job
    where it is.
    """
    if problem.maintenances:
        started = time.perf_counter()
        found = _with_windows(problem, started + budget_s / 3)
        if not isinstance(found, Problem):
            return found
        problem, budget_s = found, started + budget_s - time.perf_counter()
    parts = spread(problem)
    if parts is None:
        return _plan(problem, budget_s, exact)
    stay = _plan(problem, budget_s / 3, exact)
    model = build(_reserve(parts))
    chosen = solve_with_ladders(Session(model), model, time.perf_counter() + budget_s / 3)
    if not isinstance(stay, Plan) or not isinstance(chosen, Solved):
        return stay
    move = _plan(placed(problem, model), budget_s / 3, exact)
    if not isinstance(move, Plan):
        return stay
    return replace(move, baseline=stay.baseline) if _is_better(move.account, stay.account) else stay


def _plan(problem: Problem, budget_s: float, exact: Exact | None) -> Plan | Infeasible | TimedOut:
    """The plan of `problem` with every job in its own pool."""
    started = time.perf_counter()
    reserved = _reserve(problem)
    model = build(reserved)
    session = Session(model)
    build_s = time.perf_counter() - started
    deadline = time.perf_counter() + budget_s

    ranked = Ranked(session, model)

    def solve() -> Outcome:
        return ranked.solve(lambda latest: solve_with_ladders(session, model, latest), deadline)

    solved = solve()
    if not isinstance(solved, Solved):
        return solved
    bound = solved.objective
    solved = settle(session, model, problem, solve) or solved
    if not isinstance(solved, Solved):
        return solved
    now = time.perf_counter()
    if merged := merge(session, model, problem, solve, solved, now + (deadline - now) / 2):
        solved = settle(session, model, problem, solve) or merged
        if not isinstance(solved, Solved):
            return solved

    schedule, gave = _round(problem, model)
    for _ in range(ROUNDS_AT_ONCE):
        if not gave:
            break
        keep(session, model, gave)
        again = solve()
        if isinstance(again, Solved):
            again = settle(session, model, problem, solve) or again
        if not isinstance(again, Solved):
            break
        solved = again
        schedule, gave = _round(problem, model)
    reference = baseline(problem)
    reference_account = account(problem, reference)
    result = account(problem, schedule)
    commanded = any(w.cap_w or w.order for w in problem.workloads)
    if _is_better(reference_account, result) and not commanded and fits_at_once(problem, reference):
        schedule, result = reference, reference_account
    rows, columns = session.shape
    gap = _share(result.objective - bound, bound)
    record = SolveRecord(
        rows,
        columns,
        build_s,
        session.run_seconds,
        session.runs,
        bound,
        gap,
        solved.certificate,
        ranked.amounts,
        ranked.seconds,
        ranked.weights_stand,
        session.condition,
    )
    prices = ranked.priced or solved
    rounded = Plan(
        problem,
        schedule,
        result,
        reference_account,
        _status(result, gap),
        record,
        marginal_prices(problem, session, prices),
        Why(problem, model, session, prices),
        None if result.is_breached or not problem.is_uncertain else _margin_price(problem, bound, deadline),
    )
    return rounded if exact is None else _exactly(rounded, reserved, model, exact, deadline)


def _exactly(rounded: Plan, reserved: Problem, settled: Any, asked: Exact, deadline: float) -> Plan:
    """The exact plan and its proof, or `rounded` and why; `settled` is the program that `rounded` was rounded from."""
    bound, problem = rounded.record.bound, rounded.problem
    from_bound = rounded.account.objective - bound
    found = search(reserved, settled, asked, deadline)
    if not isinstance(found, Found):
        return replace(rounded, record=replace(rounded.record, proof=Proof(from_bound, missed=found.reason)))
    schedule, _ = _round(problem, found.model)
    result = account(problem, schedule)
    if asked.whole_steps == 1 and _is_better(rounded.account, result):
        schedule, result = rounded.schedule, rounded.account
    gap = _share(result.objective - found.solved.objective, found.solved.objective)
    rows, columns = found.session.shape
    record = replace(
        rounded.record,
        rows=rows,
        columns=columns,
        solve_s=rounded.record.solve_s + found.session.run_seconds,
        rounds=rounded.record.rounds + found.session.runs,
        gap=gap,
        certificate=found.solved.certificate,
        tiers=found.ranked.amounts,
        tiers_s=rounded.record.tiers_s + found.ranked.seconds,
        weights_stand=found.ranked.weights_stand,
        condition=found.session.condition,
        proof=Proof(from_bound, result.objective - bound, found.bound, found.gap),
    )
    prices = found.ranked.priced or found.solved
    return replace(
        rounded,
        schedule=schedule,
        account=result,
        status=_status(result, gap),
        record=record,
        marginal=marginal_prices(problem, found.session, prices),
        why=Why(problem, found.model, found.session, prices),
    )


def _is_better(one: Account, other: Account) -> bool:
    breaks = breaks_less(one, other)
    return one.objective < other.objective if breaks is None else breaks


def _share(cost: float, objective: float) -> float:
    return cost / max(1.0, abs(objective))


def _status(result: Account, gap: float) -> Status:
    return "breached" if result.is_breached else "rounded_worse" if gap > ROUNDED_WORSE else "optimal"


def _margin_price(problem: Problem, bound: float, deadline: float) -> float | None:
    """How much dearer `bound` is than the optimum of the same program held to its limits at the expected forecast only, money."""
    model = build(_reserve(problem.certain))
    session = Session(model)
    outcome = Ranked(session, model).solve(lambda latest: solve_with_ladders(session, model, latest), deadline)
    return bound - outcome.objective if isinstance(outcome, Solved) else None


def _with_windows(problem: Problem, deadline: float) -> Problem | Infeasible | TimedOut:
    """The problem with every maintenance in its window, or why none was found by `deadline`."""
    model = build(_reserve(problem))
    session = Session(model)
    return find_windows(session, model, problem, lambda: solve_with_ladders(session, model, deadline))


def _reserve(problem: Problem) -> Problem:
    """The problem with a hair less of every electrical limit and of what cools chips, so that rounding has room.

    Rounding lowers loads, so where power flows back what it takes comes off the export limit and the ratings.
    """
    keep = 1 - ROUNDING_RESERVE
    rounded_kw = _rounded_kw(problem) if problem.grid.may_export or problem.sources else 0.0
    return replace(
        problem,
        grid=replace(
            problem.grid,
            limit_kw=tuple(limit * keep for limit in problem.grid.limit_kw),
            event_target_kw=tuple(None if kw is None else kw * keep for kw in problem.grid.event_target_kw),
            ramp_kw_per_h=_reserved_ramp(problem),
            export_limit_kw=_less(problem.grid.export_limit_kw, rounded_kw),
        ),
        carbon=_reserved_carbon(problem.carbon, keep),
        feeders=tuple(
            replace(f, rating_kw=_less(f.rating_kw * keep, rounded_kw if problem.may_return(f) else 0.0)) for f in problem.feeders
        ),
        feeds=tuple(replace(f, limit_kw=f.limit_kw * keep) for f in problem.feeds),
        batteries=tuple(replace(b, ride_through_h=b.ride_through_h / keep) for b in problem.batteries),
        firms=tuple(f if f.budget is None else replace(f, budget=_reserved_budget(f, f.budget, problem.horizon)) for f in problem.firms),
        reserves=tuple(_reserved(r, 0.001 * ROUNDED_KW_AT_METER * len(problem.workloads)) for r in problem.reserves),
        cooling_plants=tuple(_reserved_plant(c, keep) if problem.plant_loops(c) else c for c in problem.cooling_plants),
    )


def _reserved_budget(firm: Firm, budget: Budget, horizon: Horizon) -> Budget:
    """A budget less what a watt of one GPU takes in the step in which that is most; what other steps lose they can give back."""
    cap_w, speed = np.asarray(firm.curve.cap_w), np.asarray(firm.curve.speed)
    used = speed[1:] > 1 / budget.greatest_slowdown
    per_w = float((np.diff(speed) / np.diff(cap_w))[used].max(initial=0.0))
    lost_h = per_w * horizon.h / (budget.withheld * np.maximum(firm.demanded(len(horizon)), 1.0))
    most_h = [float(lost_h[steps.start : steps.stop].max()) for steps in budget.windows()]
    return replace(budget, left_h=tuple(max(0.0, left - lost) for left, lost in zip(budget.left_h, most_h, strict=True)))


def _reserved(product: Reserve, lost_kw: float) -> Reserve:
    """A reserve of which a little more is to be held than is sold: rounding takes up to a watt of each workload."""
    committed = tuple(kw + lost_kw if kw else 0.0 for kw in product.committed_kw)
    most = tuple(max(kw, sold) for kw, sold in zip(product.most_kw, committed, strict=True))
    return replace(product, committed_kw=committed, most_kw=most)


def _reserved_plant(plant: CoolingPlant, keep: float) -> CoolingPlant:
    capacity = tuple((outdoor_c, share * keep) for outdoor_c, share in plant.chiller.capacity or ((0.0, 1.0),))
    return replace(plant, chiller=replace(plant.chiller, capacity=capacity))


def _reserved_carbon(carbon: Carbon | None, keep: float) -> Carbon | None:
    return carbon if carbon is None or carbon.cap_kg is None else replace(carbon, cap_kg=carbon.cap_kg * keep)


def _reserved_ramp(problem: Problem) -> float | None:
    """The ramp less what rounding may take from the import of one step and not of the next, kW/h."""
    ramp = problem.grid.ramp_kw_per_h
    if ramp is None or len(problem.horizon) == 1:
        return ramp
    return max(0.0, ramp - _rounded_kw(problem) / float((problem.horizon.h[1:] + problem.horizon.h[:-1]).min() / 2))


def _rounded_kw(problem: Problem) -> float:
    """What rounding may take from the import of a step, kW.

    That is two watts of a workload, and what the plants' straight lines lie above their curves, with losses.
    """
    lost_kw = 0.002 * len(problem.workloads)
    for plant in problem.cooling_plants:
        slope, intercept, _ = secants(plant.chiller, problem.outdoor_c)
        points = plant.chiller.breakpoints_kw()
        middle = (points[1:, None] + points[:-1, None]) / 2
        lost_kw += float((intercept + slope * middle - plant.chiller.power_kw(middle, problem.outdoor_c)).max())
    return ROUNDED_KW_AT_METER * lost_kw


def _less(limit_kw: float, rounded_kw: float) -> float:
    """A limit less what rounding may add to what flows back, and never nothing of it, kW."""
    return max(limit_kw - rounded_kw, limit_kw * ROUNDING_RESERVE)


def solve_with_ladders(session: Session, model: Any, deadline: float) -> Outcome:
    """Solve, adding the ladder rows a solution breaks until none is broken; `model` then holds the solution."""
    added: set[workload.Rung] = set()
    for _ in range(100):
        outcome = session.solve(max(deadline - time.perf_counter(), 0.1))
        if not isinstance(outcome, Solved):
            return outcome
        session.load(outcome)
        block = model.workload
        rungs = workload.broken_rungs({index: v.value or 0.0 for index, v in block.gpus.items()}) - added
        if not rungs:
            return outcome
        added |= rungs
        climbs = [((block.gpus[w, k - 1, t], 1.0), (block.gpus[w, k, t], -1.0)) for w, k, t in sorted(rungs)]
        session.add_rows(climbs, [0.0] * len(climbs))
    return TimedOut(0.0, "the ladder rows did not settle in 100 rounds")


def _round(problem: Problem, model: Any) -> tuple[Schedule, dict[int, Cell | None]]:
    """The sendable schedule nearest to the solution in `model`, and what gave way for it in the first step."""
    steps = len(problem.horizon)
    rungs = max((len(r) for r in problem.cells.ladders), default=1)
    gpus = np.zeros((len(problem.workloads), rungs, steps))
    for (w, k, t), variable in model.workload.gpus.items():
        gpus[w, k, t] = variable.value or 0.0
    battery_kw = {
        b.id: values(model.battery[b.id].charge_kw[t] for t in range(steps))
        - values(model.battery[b.id].discharge_kw[t] for t in range(steps))
        for b in problem.batteries
    }
    hall_c: dict[str, Floats] = {
        z.id: values(model.hall[z.id].temperature_c[t] for t in range(steps)) if z.cooling_plant is not None else np.full(steps, z.start_c)
        for z in problem.halls
    }
    cells = round_down(problem, gpus)
    given_kw = {s.id: values(model.solar[s.id].power_kw.values()) for s in problem.solar}
    given_kw |= {g.id: values(model.genset[g.id].power_kw.values()) for g in problem.gensets}
    held_kw = _held_kw(problem, model)
    tanks = {c: values(model.thermal_store[c].charge_kw[t] for t in range(steps)) for c in problem.thermal_stores}
    beside: dict[str, Any] = {"given_kw": given_kw, "held_kw": held_kw, "thermal_store_kw": tanks}
    room, gave = fit(problem, cells, lambda now: replace(schedule_of(now, battery_kw, hall_c), **beside))
    meet_floors(problem, cells, _target_speed(problem, gpus), room)
    meet_budgets(problem, cells, _slow_h(problem, model), room)
    meet_work(problem, cells, _target_gpu_h(problem, model), room)
    schedule = replace(schedule_of(cells, battery_kw, hall_c), **beside)
    if not any(job.pause_price_per_gpu for job in problem.jobs):
        return schedule, gave
    run_through(problem, cells, room)
    through = replace(schedule_of(cells, battery_kw, hall_c), **beside)
    as_planned, after = account(problem, schedule), account(problem, through)
    breaks = breaks_less(as_planned, after)
    is_worse = breaks or (breaks is None and as_planned.objective < after.objective)
    return schedule if is_worse else through, gave


def _held_kw(problem: Problem, model: Any) -> dict[tuple[str, str], Floats]:
    """What each pool and battery holds for each reserve, kW by step."""
    held: dict[tuple[str, str], Floats] = {}
    for product in problem.reserves:
        block = model.reserve_up if product.direction == "up" else model.reserve_down
        for kind, assets in ((block.pool_kw, problem.pools), (block.battery_kw, problem.batteries)):
            for asset in (a for a in assets if (product.id, a.id, 0) in kind):
                kw = values(kind[product.id, asset.id, t] for t in range(len(problem.horizon)))
                if (kw > TINY).any():
                    held[product.id, asset.id] = kw
    return held


def _target_speed(problem: Problem, gpus: Floats) -> Floats:
    """Sum of GPU speeds each firm workload is to reach: its floor, or what the program reached of it, shape (F, T).

    Under a budget of slow hours that is full speed.
    """
    target = np.zeros((len(problem.firms), len(problem.horizon)))
    for w, firm in enumerate(problem.firms):
        for t in range(len(problem.horizon)):
            step = problem.cells.ladder(w, t).speed_step
            promised = firm.demanded(len(problem.horizon))[t] * (firm.floor_speed if firm.budget is None else 1.0)
            target[w, t] = min(promised, float(step @ gpus[w, : len(step), t]))
    return target


def _slow_h(problem: Problem, model: Any) -> Floats:
    """Hours of each firm workload's budget that the program used in each step, shape (F, T)."""
    used = np.zeros((len(problem.firms), len(problem.horizon)))
    for (w, t), variable in model.budget.slow_h.items():
        used[w, t] = variable.value or 0.0
    return used


def _target_gpu_h(problem: Problem, model: Any) -> Floats:
    """Work each job is to do inside the horizon, GPU h, shape (J,)."""
    first = len(problem.firms)
    target = np.zeros(len(problem.jobs))
    for i, job in enumerate(problem.jobs):
        unfinished, carried, forgone = undone_gpu_h(model.job, first + i)
        carried = min(carried, job.most_carried_gpu_h(problem.horizon))
        small = TINY * max(1.0, job.work_gpu_h)
        target[i] = job.work_gpu_h - sum(left for left in (unfinished, carried, forgone) if left > small)
    return target
