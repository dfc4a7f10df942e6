"""Sent: the schedule to send, and the optimum that it was rounded from.

Gangs may be merged into whole runs in the program (`models.solving.runs`) or only in rounding, whichever comes out better. Where what is
sent would not fit at once the program is solved again with less in the first step; and where that breaks more, or does not fit either,
what gave way is kept out of the first step, and the program solved again around that.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from models.account import Account, account
from models.breach import TINY
from models.schedule import Schedule
from models.sending.first_step import GaveWay, flows_back, hold_back, keep, lower
from models.sending.sendable import sendable
from models.solving.outcome import Infeasible, Solved, TimedOut
from models.solving.relaxation import Relaxation
from models.solving.runs import merge
from models.solving.session import Session
from models.solving.tiers import Ranked, is_better

ROUNDS_AT_ONCE = 3
"""At most so often the program is solved again around what did not fit at once in the first step."""


@dataclass(frozen=True)
class Sent:
    """A schedule and its account; `session` holds `solved`, which it was rounded from, and `ranked` how that was found."""

    schedule: Schedule
    account: Account
    solved: Solved
    session: Session
    ranked: Ranked


def send(program: Relaxation, solved: Solved) -> Sent | Infeasible | TimedOut:
    """The schedule nearest to `solved`, the optimum that `program` holds; `program` then holds what it was rounded from."""
    problem, session = program.problem, program.session
    settled = program.settle(solved)
    if not isinstance(settled, Solved):
        return settled
    rounded = apart, gave = sendable(problem, session)
    lower, upper, told = session.lower.copy(), session.upper.copy(), program.ranked.told
    now = time.perf_counter()
    merged = merge(program, settled, now + (program.deadline - now) / 2)
    if merged is None:
        return _fitted(program, settled, *rounded)
    outcome = program.settle(merged)
    if not isinstance(outcome, Solved):
        return outcome
    sent = _fitted(program, outcome, *sendable(problem, session))
    if gave or flows_back(problem, apart) or not is_better(account(problem, apart), sent.account):
        return sent
    changed = np.flatnonzero((session.lower != lower) | (session.upper != upper))
    session.bound_columns(changed, lower[changed], upper[changed])
    session.load(settled)
    program.ranked.told = told
    return _sent(program, _padded(session, settled), apart)


def _fitted(program: Relaxation, solved: Solved, schedule: Schedule, gave: GaveWay) -> Sent:
    """What is sent, solved again around what `gave` way at once in the first step."""
    problem, session = program.problem, program.session
    if gave.too_much and not flows_back(problem, schedule) and (sent := _lowered(program, solved, gave)) is not None:
        return sent
    solved = _padded(session, solved)
    for _ in range(ROUNDS_AT_ONCE):
        back = flows_back(problem, schedule)
        if not gave and not back:
            break
        keep(session, problem, gave)
        if back:
            hold_back(session, back)
        again = program.solve()
        if isinstance(again, Solved):
            again = program.settle(again)
        if not isinstance(again, Solved):
            break
        solved = again
        schedule, gave = sendable(problem, session)
    return _sent(program, solved, schedule)


def _lowered(program: Relaxation, solved: Solved, gave: GaveWay) -> Sent | None:
    """What is sent where less is drawn in the first step; None where that breaks more or does not fit at once, and `program` is as it was."""
    problem, session, told = program.problem, program.session, program.ranked.told
    was = dict(program.ranked.amounts)
    rows = lower(session, gave.too_much)
    again = program.solve()
    if isinstance(again, Solved):
        again = program.settle(again)
    if isinstance(again, Solved) and all(amount <= was.get(tier, 0.0) + TINY for tier, amount in program.ranked.amounts):
        schedule, still = sendable(problem, session)
        if not still and not flows_back(problem, schedule):
            return _sent(program, again, schedule)
    for row in rows:
        session.at_least(row, -np.inf)
    session.load(solved)
    program.ranked.told = told
    return None


def _padded(session: Session, solved: Solved) -> Solved:
    """`solved` with duals of the rows that were added since, which bind nothing."""
    return replace(solved, row_dual=np.pad(solved.row_dual, (0, session.shape[0] - len(solved.row_dual))))


def _sent(program: Relaxation, solved: Solved, schedule: Schedule) -> Sent:
    return Sent(schedule, account(program.problem, schedule), solved, program.session, program.ranked)
