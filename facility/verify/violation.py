"""What the second opinion says when it refuses: a rule, a thing, an amount and what would have been allowed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

Tier = Literal["plant", "grid", "contract"]

SLACK = 1e-6
"""What rounding of floating-point sums may take, in the unit of the rule."""


@dataclass(frozen=True)
class Violation:
    """One broken limit. `amount` is what was found and `allowed` the bound, both in `unit`; None where there is no number.

    `tier` is `plant` where gear could be harmed or the decision cannot be carried out as it is written, `grid` where the
    connection's limit is passed and `contract` where a tenant's promise is broken.
    """

    rule: str
    asset: str
    amount: float | None
    unit: str
    allowed: float | None
    says: str
    tier: Tier


def finite(value: object) -> bool:
    """Tell whether `value` is a number that arithmetic can use."""
    if type(value) is float:  # nearly always
        return math.isfinite(value)
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def whole(value: object) -> bool:
    """Tell whether `value` is an integer, and not a float that looks like one."""
    return isinstance(value, int) and finite(value)


def number(value: float | None) -> float | None:
    """Return `value` as a float; None where it is no finite number."""
    return float(value) if value is not None and finite(value) else None


def over(found: Violation) -> tuple[Violation, ...]:
    """Keep a violation where its amount is not at most what is allowed; what is no number is never at most anything."""
    if found.amount is not None and found.allowed is not None and found.amount <= found.allowed + SLACK:
        return ()
    return (replace(found, amount=number(found.amount), allowed=number(found.allowed)),)


def under(found: Violation) -> tuple[Violation, ...]:
    """Keep a violation where its amount is not at least what is allowed."""
    if found.amount is not None and found.allowed is not None and found.amount >= found.allowed - SLACK:
        return ()
    return (replace(found, amount=number(found.amount), allowed=number(found.allowed)),)
