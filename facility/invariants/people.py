"""People: I8-I10, what an operator can rely on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from facility.decision import PoolCaps
from facility.invariants.broken import Broken, above

ACTS_WITHIN = timedelta(seconds=5)
"""The longest that a valid command may take until it is in force; 2 s at the 99th percentile."""
OUTLIVES = timedelta(seconds=2)
"""The longest that it may be in force after its end."""


def acts(command: str, arrived: datetime, seen: datetime, *, in_force: bool) -> tuple[Broken, ...]:
    """I8: a valid command that arrived is in force no later than `ACTS_WITHIN` after; `seen` is when it was looked at."""
    return () if in_force else above(8, command, "it is not in force yet", (seen - arrived).total_seconds(), ACTS_WITHIN.total_seconds(), "s")


def wins(caps: PoolCaps, commanded_w: float) -> tuple[Broken, ...]:
    """I8: while somebody commands the caps of a pool, none is above the command, W; plant limits may clamp it, so it may be below."""
    highest_w = max([caps.cap_w, *(group.cap_w for group in caps.groups)])
    return above(8, caps.pool, "a cap is above what an operator commands", highest_w, round(commanded_w), "W")


def ends(command: str, end: datetime, now: datetime, *, in_force: bool) -> tuple[Broken, ...]:
    """I9: a command is not in force later than `OUTLIVES` after its end."""
    return above(9, command, "it is in force after its end", (now - end).total_seconds(), OUTLIVES.total_seconds(), "s") if in_force else ()


def durable(acknowledged: Iterable[str], kept: Collection[str]) -> tuple[Broken, ...]:
    """I9: every command that was acknowledged and has not ended is in the journal, by id."""
    return tuple(Broken(9, command, "it was acknowledged, and is not in the journal") for command in acknowledged if command not in kept)


def not_again(command: str, *, ended: bool, in_force: bool) -> tuple[Broken, ...]:
    """I9: a command that has ended once does not come back."""
    return (Broken(9, command, "it has ended, and is in force again"),) if ended and in_force else ()


def lower_wins(target: str, commanded_w: Collection[float], in_force_w: float) -> tuple[Broken, ...]:
    """I10: of caps that were commanded with the same authority the lowest is in force, W."""
    return above(10, target, "a higher cap won over a lower one of the same authority", in_force_w, min(commanded_w), "W") if commanded_w else ()
