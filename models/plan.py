"""Plan: solve, round to what can be sent, and say what it costs beside doing nothing.

Chosen first are windows for maintenance, levels for set-points, and pools for jobs that may have one of several (`models.choosing`). Then

    solved      the linear program's optimum, the bound                                       models.solving.relaxation
    sent        the nearest schedule that can be sent, or the site without control             models.sending.sent
    exactly     where it is asked for, the best there is instead, with its proof               models.sending.exactly
    told        its account beside that of the site without control, prices of limits, why     models.telling
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Literal

from models.account import Account, account
from models.baseline import baseline
from models.choosing.pools import with_pools
from models.choosing.supply import with_supply
from models.choosing.windows import with_windows
from models.problem import Problem
from models.schedule import Schedule
from models.sending.exactly import send_exactly
from models.sending.first_step import fits_at_once
from models.sending.sent import Sent, send
from models.solving.attempt import SolverOf
from models.solving.exact import Exact, Proof
from models.solving.outcome import Certificate, Condition, Infeasible, Solved, TimedOut
from models.solving.relaxation import Relaxation
from models.solving.solver import Solver
from models.solving.tiers import is_better
from models.telling.marginal import Marginal
from models.telling.why import Why

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

    `why` takes the cost of running a GPU apart.
    """

    problem: Problem
    schedule: Schedule
    account: Account
    baseline: Account
    status: Status
    record: SolveRecord
    why: Why

    @property
    def marginal(self) -> tuple[Marginal, ...]:
        """The prices of the limits that bind, reckoned when they are first asked for: before `why` forgets."""
        return self.why.marginal

    @property
    def marginal_prices(self) -> dict[str, float]:
        """What one more unit of each binding limit, all through the horizon, would have saved (money), by the limit's name."""
        return {limit.name: limit.total for limit in self.marginal}


def make_plan(
    problem: Problem, budget_s: float, exact: Exact | None = None, solver_of: SolverOf = Solver
) -> Plan | Infeasible | TimedOut:
    """The plan of `problem`, solved within `budget_s` seconds; the rounded one where `exact` asks for more than time allows.

    Where jobs are movable it is planned with each where it is, in a third of the time, and with each in the pool that is chosen for
    it, and the better plan is kept; the baseline is the site with each job where it is. `solver_of` says where programs are solved:
    in this process, or in a `models.solving.child`.
    """
    deadline = time.perf_counter() + budget_s
    for choose in (with_windows, with_supply):
        chosen = choose(problem, _part(deadline, 1 / 3), solver_of)
        if not isinstance(chosen, Problem):
            return chosen
        problem = chosen
    if not any(job.elsewhere for job in problem.jobs):
        return _plan(problem, deadline, exact, solver_of)
    stay = _plan(problem, _part(deadline, 1 / 3), exact, solver_of)
    if not isinstance(stay, Plan):
        return stay
    moved = with_pools(problem, _part(deadline, 1 / 2), solver_of)
    move = None if moved is None else _plan(moved, deadline, exact, solver_of)
    if not isinstance(move, Plan) or not is_better(move.account, stay.account):
        return stay
    return replace(move, baseline=stay.baseline)


def _part(deadline: float, share: float) -> float:
    """The instant at which `share` of the time until `deadline` is over."""
    now = time.perf_counter()
    return now + share * (deadline - now)


def _plan(problem: Problem, deadline: float, exact: Exact | None, solver_of: SolverOf) -> Plan | Infeasible | TimedOut:
    """The plan of `problem` with every job in its own pool."""
    program = Relaxation(problem, deadline, solver_of)
    solved = program.solve()
    if not isinstance(solved, Solved):
        return solved
    sent = send(program, solved)
    if not isinstance(sent, Sent):
        return sent
    bound, reference = solved.objective, baseline(problem)
    doing_nothing = account(problem, reference)
    commanded = any(w.cap_w or w.order for w in problem.workloads)
    if is_better(doing_nothing, sent.account) and not commanded and fits_at_once(problem, reference):
        sent = replace(sent, schedule=reference, account=doing_nothing)
    sent, proof = (sent, None) if exact is None else send_exactly(program, sent, bound, exact, solver_of)
    record, prices = _record(program, sent, bound, proof), sent.ranked.priced or sent.solved
    return Plan(
        problem,
        sent.schedule,
        sent.account,
        doing_nothing,
        "breached" if sent.account.is_breached else "rounded_worse" if record.gap > ROUNDED_WORSE else "optimal",
        record,
        Why(problem, sent.session, prices),
    )


def _record(program: Relaxation, sent: Sent, bound: float, proof: Proof | None) -> SolveRecord:
    """How `sent` came about: from `program`, or from a search after it."""
    searched = sent.session is not program.session
    optimum = sent.solved.objective if searched else bound
    sessions = [program.session, sent.session][: 1 + searched]
    rows, columns = sent.session.shape
    return SolveRecord(
        rows,
        columns,
        program.build_s,
        sum(session.run_seconds for session in sessions),
        sum(session.runs for session in sessions),
        bound,
        (sent.account.objective - optimum) / max(1.0, abs(optimum)),
        sent.solved.certificate,
        sent.ranked.amounts,
        program.ranked.seconds + (sent.ranked.seconds if searched else 0.0),
        sent.ranked.weights_stand,
        sent.session.condition,
        proof,
    )
