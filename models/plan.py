"""Plan: solve, round to what can be sent, and say what it costs beside doing nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from models.account import Account, account
from models.baseline import baseline
from models.heat.supply import find_supply
from models.problem import Problem
from models.schedule import Schedule
from models.sending.cell import Cell
from models.sending.first_step import fits_at_once, flows_back, hold_back, keep
from models.sending.sendable import sendable
from models.sending.tightened import tightened
from models.site import declare
from models.solving.attempt import SolverOf
from models.solving.exact import Exact, Found, Proof, search
from models.solving.ladders import solve_with_ladders
from models.solving.outcome import Certificate, Condition, Infeasible, Outcome, Solved, TimedOut
from models.solving.runs import merge
from models.solving.session import Session
from models.solving.settle import settle
from models.solving.solver import Solver
from models.solving.tiers import Ranked, is_better
from models.telling.marginal import Marginal, marginal_prices
from models.telling.why import Why
from models.work.placement import placed, spread
from models.work.windows import find_windows

ROUNDS_AT_ONCE = 3
"""At most so often the program is solved again around what did not fit at once in the first step."""
ROUNDED_WORSE = 0.01
"""Rounding that costs more than this share of the objective is told."""

Status = Literal["optimal", "breached", "rounded_worse"]


@dataclass(frozen=True)
class SolveRecord:
    """How the program was solved. `bound` is the objective before rounding, `gap` what rounding cost relative to it.

    `tiers` holds the least amount that each tier of breaches had to be (`models.solving.tiers`), empty where nothing is broken;
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


def make_plan(
    problem: Problem, budget_s: float, exact: Exact | None = None, solver_of: SolverOf = Solver
) -> Plan | Infeasible | TimedOut:
    """The plan of `problem`, solved within `budget_s` seconds; the rounded one where `exact` asks for more than time allows.

    Maintenance gets its windows first, then each set-point its levels. Where jobs are movable it is planned with each where it is
    and with each in the pool that is chosen for it, in a third of the time each, and the better plan is kept; the baseline is the
    site with each job where it is. `solver_of` says where programs are solved: in this process, or in a `models.solving.child`.
    """
    deadline = time.perf_counter() + budget_s
    for choose in (_with_windows, _with_supply):
        now = time.perf_counter()
        found = choose(problem, now + (deadline - now) / 3, solver_of)
        if not isinstance(found, Problem):
            return found
        problem = found
    budget_s = deadline - time.perf_counter()
    parts = spread(problem)
    if parts is None:
        return _plan(problem, budget_s, exact, solver_of)
    stay = _plan(problem, budget_s / 3, exact, solver_of)
    session = Session(declare(tightened(parts)), solver_of)
    chosen = solve_with_ladders(session, time.perf_counter() + budget_s / 3)
    if not isinstance(stay, Plan) or not isinstance(chosen, Solved):
        return stay
    move = _plan(placed(problem, parts, session), budget_s / 3, exact, solver_of)
    if not isinstance(move, Plan):
        return stay
    return replace(move, baseline=stay.baseline) if is_better(move.account, stay.account) else stay


def _plan(problem: Problem, budget_s: float, exact: Exact | None, solver_of: SolverOf) -> Plan | Infeasible | TimedOut:
    """The plan of `problem` with every job in its own pool."""
    started = time.perf_counter()
    reserved = tightened(problem)
    session = Session(declare(reserved), solver_of)
    build_s = time.perf_counter() - started
    deadline = time.perf_counter() + budget_s

    ranked = Ranked(session)

    def solve() -> Outcome:
        return ranked.solve(lambda latest: solve_with_ladders(session, latest), deadline)

    solved = solve()
    if not isinstance(solved, Solved):
        return solved
    bound = solved.objective
    solved = _or(settle(session, problem, solve), solved)
    if not isinstance(solved, Solved):
        return solved
    sent = _sent(ranked, session, problem, solve, solved, deadline)
    if not isinstance(sent, tuple):
        return sent
    solved, schedule = sent
    reference = baseline(problem)
    reference_account = account(problem, reference)
    result = account(problem, schedule)
    commanded = any(w.cap_w or w.order for w in problem.workloads)
    if is_better(reference_account, result) and not commanded and fits_at_once(problem, reference):
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
        Why(problem, session, prices),
        None if result.is_breached or not problem.is_uncertain else _margin_price(problem, bound, deadline, solver_of),
    )
    return rounded if exact is None else _exactly(rounded, reserved, session, exact, deadline, solver_of)


def _sent(
    ranked: Ranked, session: Session, problem: Problem, solve: Callable[[], Outcome], solved: Solved, deadline: float
) -> tuple[Solved, Schedule] | Infeasible | TimedOut:
    """The schedule to send and the optimum it was rounded from: with runs merged in the program, or only in rounding, whichever is better."""
    rounded = apart, gave = sendable(problem, session)
    lower, upper, told = session.lower.copy(), session.upper.copy(), (ranked.priced, ranked.amounts)
    now = time.perf_counter()
    merged = merge(session, problem, solve, solved, now + (deadline - now) / 2)
    if merged is None:
        return _at_once(session, problem, solve, solved, *rounded)
    outcome = _or(settle(session, problem, solve), merged)
    if not isinstance(outcome, Solved):
        return outcome
    sent = _at_once(session, problem, solve, outcome, *sendable(problem, session))
    if gave or flows_back(problem, apart) or not is_better(account(problem, apart), account(problem, sent[1])):
        return sent
    changed = np.flatnonzero((session.lower != lower) | (session.upper != upper))
    session.bound_columns(changed, lower[changed], upper[changed])
    session.load(solved)
    ranked.priced, ranked.amounts = told
    return replace(solved, row_dual=np.pad(solved.row_dual, (0, session.shape[0] - len(solved.row_dual)))), apart


def _at_once(
    session: Session,
    problem: Problem,
    solve: Callable[[], Outcome],
    solved: Solved,
    schedule: Schedule,
    gave: Mapping[int, Cell | None],
) -> tuple[Solved, Schedule]:
    """The schedule to send, solved again around what `gave` way at once in the first step, and the optimum it was rounded from."""
    for _ in range(ROUNDS_AT_ONCE):
        back = flows_back(problem, schedule)
        if not gave and not back:
            break
        keep(session, problem, gave)
        if back:
            hold_back(session, back)
        again = solve()
        if isinstance(again, Solved):
            again = _or(settle(session, problem, solve), again)
        if not isinstance(again, Solved):
            break
        solved = again
        schedule, gave = sendable(problem, session)
    return solved, schedule


def _exactly(rounded: Plan, reserved: Problem, settled: Session, asked: Exact, deadline: float, solver_of: SolverOf) -> Plan:
    """The exact plan and its proof, or `rounded` and why; `settled` is the program, solved, that `rounded` was rounded from."""
    bound, problem = rounded.record.bound, rounded.problem
    from_bound = rounded.account.objective - bound
    found = search(reserved, settled, asked, deadline, solver_of)
    if not isinstance(found, Found):
        return replace(rounded, record=replace(rounded.record, proof=Proof(from_bound, missed=found.reason)))
    schedule, _ = sendable(problem, found.session)
    result = account(problem, schedule)
    if asked.whole_steps == 1 and is_better(rounded.account, result):
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
        why=Why(problem, found.session, prices),
    )


def _or(settled: Outcome | None, solved: Solved) -> Outcome:
    """What settling came to; `solved`, which the model still holds or nearly so, where nothing was settled or all of it cannot be."""
    return solved if settled is None or isinstance(settled, Infeasible) else settled


def _share(cost: float, objective: float) -> float:
    return cost / max(1.0, abs(objective))


def _status(result: Account, gap: float) -> Status:
    return "breached" if result.is_breached else "rounded_worse" if gap > ROUNDED_WORSE else "optimal"


def _margin_price(problem: Problem, bound: float, deadline: float, solver_of: SolverOf) -> float | None:
    """How much dearer `bound` is than the optimum of the same program held to its limits at the expected forecast only, money."""
    session = Session(declare(tightened(problem.certain)), solver_of)
    outcome = Ranked(session).solve(lambda latest: solve_with_ladders(session, latest), deadline)
    return bound - outcome.objective if isinstance(outcome, Solved) else None


def _with_windows(problem: Problem, deadline: float, solver_of: SolverOf) -> Problem | Infeasible | TimedOut:
    """The problem with every maintenance in its window, or why none was found by `deadline`."""
    if not problem.maintenances:
        return problem
    session = Session(declare(tightened(problem)), solver_of)
    return find_windows(session, problem, lambda: solve_with_ladders(session, deadline))


def _with_supply(problem: Problem, deadline: float, solver_of: SolverOf) -> Problem | Infeasible | TimedOut:
    """The problem with every set-point at one level in each step, the best that were found by `deadline`."""
    if not problem.open_set_points:
        return problem
    session = Session(declare(tightened(problem)), solver_of)
    return find_supply(session, problem, lambda: solve_with_ladders(session, deadline))
