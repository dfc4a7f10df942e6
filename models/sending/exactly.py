"""Exactly: a plan from a mixed-integer program instead of by rounding, with the proof of how good it is."""

from __future__ import annotations

from dataclasses import replace

from models.account import account
from models.sending.sendable import sendable
from models.sending.sent import Sent
from models.solving.attempt import SolverOf
from models.solving.exact import Exact, Found, Proof, search
from models.solving.relaxation import Relaxation
from models.solving.tiers import is_better


def send_exactly(program: Relaxation, rounded: Sent, bound: float, asked: Exact, solver_of: SolverOf) -> tuple[Sent, Proof]:
    """The best schedule found in the time that `program` has left and its proof, or `rounded` and why none was.

    `bound` is the optimum of `program` before it was settled. In one whole step `rounded` is a point of what is searched, and is
    sent where it is no worse.
    """
    from_bound = rounded.account.objective - bound
    found = search(program.reserved, program.session, asked, program.deadline, solver_of)
    if not isinstance(found, Found):
        return rounded, Proof(from_bound, missed=found.reason)
    schedule, _ = sendable(program.problem, found.session)
    sent = Sent(schedule, account(program.problem, schedule), found.solved, found.session, found.ranked)
    if asked.whole_steps == 1 and is_better(rounded.account, sent.account):
        sent = replace(sent, schedule=rounded.schedule, account=rounded.account)
    gap = max(0.0, min(found.gap, sent.account.objective - found.bound))
    return sent, Proof(from_bound, sent.account.objective - bound, found.bound, gap)
