"""Judging: what of a verdict must not be sent, what of it is worse than what is in force, and how it is told. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from facility.decide import Decided
from facility.verify import Violation

AMOUNTS_TOLD = 3
"""Violations that a reason spells out."""


def worse_than(broken: Sequence[Violation], before: Sequence[Violation]) -> tuple[Violation, ...]:
    """What is broken that was not broken before, or not as far."""
    was = {(v.rule, v.asset): v.amount for v in before}

    def same(v: Violation) -> bool:
        amount = was.get((v.rule, v.asset))
        return amount is not None and v.amount is not None and v.amount <= amount

    return tuple(v for v in broken if not same(v))


def told(verdict: Sequence[Violation]) -> str:
    """What the verifier found, with its numbers, as far as it fits in a line."""

    def numbers(v: Violation) -> str:
        if v.amount is None:
            return ""
        unit = "" if v.unit == "1" else f" {v.unit}"
        return f" ({v.amount:g}{f' of {v.allowed:g}' if v.allowed is not None else ''}{unit})"

    words = [f"{v.asset}: {v.says}{numbers(v)}" for v in verdict[:AMOUNTS_TOLD]]
    return "; ".join(words) + (f"; and {len(verdict) - AMOUNTS_TOLD} more" if len(verdict) > AMOUNTS_TOLD else "")


def fatal(verdict: tuple[Violation, ...], found: Decided) -> list[Violation]:
    """What must not be sent: anything that endangers the plant, and what the plan breaks and does not own up to of the grid's limits
    and of minimum runs.
    """
    return [
        v
        for v in verdict
        if v.tier == "plant" or (v.tier == "grid" and v.rule not in found.broken) or (v.rule == "job.min_run" and v.asset in found.stopped)
    ]
