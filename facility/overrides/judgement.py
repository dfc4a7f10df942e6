"""Judgement: what a command comes to beside those that stand. Pure: who asks stores it, or only wanted to know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from facility.bus.messages import OverrideResult
from facility.overrides.arbitrate import describe, rank
from facility.overrides.proposal import Proposal
from facility.overrides.rules import Limits, Refused, Rules

MAX_STANDING: Final = 10_000
"""Overrides that may stand at once."""

Status = Literal["accepted", "clamped", "rejected", "duplicate", "expired", "superseded", "outranked", "cleared"]

_LONGEST_REASON: Final = 1000


def accepted(
    rules: Rules, standing: Sequence[Proposal], asked: Proposal, shorter: list[str], now: datetime, limits: Limits | None
) -> tuple[Proposal, OverrideResult]:
    """What acts, and the answer; `shorter` says why it ends earlier than was asked. Raises Refused."""
    if len(standing) >= MAX_STANDING:
        raise Refused(f"{MAX_STANDING} overrides stand already; clear some first")
    proposal, lower = rules.clamped(asked, limits)
    rivals = (p for p in standing if p.active(now) and rules.rivals(p, proposal) and key(p) != key(proposal))
    stronger = sorted((p for p in rivals if rank(p)[:2] < rank(proposal)[:2]), key=rank)
    words = "; ".join([describe(proposal), *shorter, *lower, *(f"weaker than {describe(p)}" for p in stronger[:3])])
    return proposal, reply(proposal.id, "clamped" if shorter or lower else "accepted", words, proposal.value, proposal.end)


def released(rules: Rules, standing: Sequence[Proposal], asked: Proposal, now: datetime) -> tuple[list[Proposal], OverrideResult]:
    """Those that are held, paused or made to run on a target and let go, as far as the sender's priority reaches. Raises Refused."""
    if asked.start > now:
        raise Refused("a release acts at once; leave its start out")
    orders = [p for p in standing if rules.rivals(p, asked)]
    mine = [p for p in orders if p.target == asked.target and p.priority >= asked.priority]
    left = "; ".join(describe(p) for p in orders if p not in mine)
    if not mine:
        raise Refused(f"nothing to release on {asked.target} at priority {asked.priority}; {left or 'nothing is held there'}")
    told = "; ".join(f"released: {describe(p)}" for p in mine) + (f"; still there: {left}" if left else "")
    return mine, reply(asked.id, "cleared", told)


def cleared(standing: Sequence[Proposal], target: str, override: str, by: str) -> tuple[Proposal | None, OverrideResult]:
    """The override that ends, None where none of that id stands on the target, and the answer."""
    found = next((p for p in standing if p.id == override), None)
    if found is None or found.target != target:
        here = ", ".join(p.id for p in standing if p.target == target) or "none"
        return None, reply(override, "rejected", f"no override of this id stands on {target}; there: {here}")
    return found, reply(override, "cleared", f"{by} cleared: {describe(found)}")


def key(proposal: Proposal) -> tuple[str, str, str, int]:
    """Tell what a newer override must share to replace an older one."""
    return proposal.by, proposal.target, proposal.kind, proposal.priority


def reply(
    override: str | None, status: Status, reason: str, effective: float | None = None, until: datetime | None = None
) -> OverrideResult:
    """The answer to a command, its reason no longer than a message may have it."""
    return OverrideResult(id=override, status=status, effective=effective, until=until, reason=reason[:_LONGEST_REASON])
