"""Availability and account: I17-I22, that it goes on, and that what it did can be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from facility.invariants.broken import Broken, above

OUTCOMES = frozenset({"published", "held", "safe"})
RECOVERS_IN = 2
"""Cycles after the last fault by which the mode is NORMAL."""
ALARMS = 10
"""Alarms that are raised in `ALARMS_IN`, at most: more than that nobody reads."""
ALARMS_IN = timedelta(minutes=10)
WORSE_THAN_BEST = 0.01


def concludes(cycle: int, outcome: str, reason: str, seconds: float, most_s: float) -> tuple[Broken, ...]:
    """I17: a cycle ends in exactly one of published, held, safe, with a reason, in time."""
    found = list(above(17, f"cycle {cycle}", "it ended late", seconds, most_s, "s"))
    if outcome not in OUTCOMES or not reason:
        found.append(Broken(17, f"cycle {cycle}", f"it ended as {outcome!r}, because of {reason!r}"))
    return tuple(found)


def recovers(modes: Sequence[str]) -> tuple[Broken, ...]:
    """I18: the modes after each cycle since the last fault ended: from the second on they are NORMAL."""
    late = [mode for mode in modes[RECOVERS_IN - 1 :] if mode != "NORMAL"]
    return (Broken(18, "site", f"{late[0]} although nothing is wrong any more", len(modes), RECOVERS_IN, "cycles"),) if late else ()


def bounded(sizes: Mapping[str, int], most: Mapping[str, int]) -> tuple[Broken, ...]:
    """I19: memory, queues, threads and files stay below their bounds, by name."""
    return tuple(found for name, size in sizes.items() for found in above(19, name, "it grew past its bound", size, most[name], ""))


def same_bytes(topic: str, published: bytes, recomputed: bytes) -> tuple[Broken, ...]:
    """I20: what was published is what comes out of the journal, to the byte."""
    return () if published == recomputed else (Broken(20, topic, "the journal gives other bytes than were published"),)


def few_alarms(raised: Iterable[datetime], now: datetime) -> tuple[Broken, ...]:
    """I21: at most `ALARMS` alarms are raised in the `ALARMS_IN` up to `now`."""
    recent = sum(1 for at in raised if now - ALARMS_IN < at <= now)
    return above(21, "alarms", "more are raised than anybody reads", recent, ALARMS, "in 10 min")


def one_per_cause(standing: Iterable[str]) -> tuple[Broken, ...]:
    """I21: no two alarms that stand have the same cause."""
    causes = sorted(standing)
    return tuple(Broken(21, one, "two alarms of one cause") for one, other in pairwise(causes) if one == other)


def near_best(objective: float, best: float) -> tuple[Broken, ...]:
    """I22: a plan costs at most 1 % more than the one of a cold, independent solve, in money."""
    return above(22, "plan", "it costs more than a cold solve's", objective, best + WORSE_THAN_BEST * max(abs(best), 1.0), "")
