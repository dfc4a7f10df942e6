"""Tally: what happened so far, counted where it happens, for whoever asks how the service does. It outlives a reload.

What can be told from how things are at an instant is not counted here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, inf)
"""Upper ends of the buckets that times are counted in, s; 2 s and 5 s are how soon a command must act, 20 s the usual budget of a solve."""


@dataclass(frozen=True)
class Distribution:
    """How often a time was at most each of `SECONDS`, and the sum of all, s."""

    at_most: tuple[int, ...] = (0,) * len(SECONDS)
    sum_s: float = 0.0


class Times:
    """Times so far, by bucket."""

    def __init__(self) -> None:
        self._counts, self._sum_s = [0] * len(SECONDS), 0.0

    def note(self, seconds: float) -> None:
        """One more; what is below nought, by a clock that is not exact, counts as nought.

        >>> times = Times()
        >>> times.note(0.3)
        >>> times.told.at_most[5:8], times.told.sum_s
        ((0, 1, 1), 0.3)
        """
        seconds = max(seconds, 0.0)
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._sum_s += seconds

    @property
    def told(self) -> Distribution:
        """As they are now."""
        sums, total = [], 0
        for count in self._counts:
            total += count
            sums.append(total)
        return Distribution(tuple(sums), self._sum_s)


@dataclass(frozen=True)
class Counted:
    """A `Tally` as it was at an instant."""

    cycles: Mapping[str, int]
    concluded_s: float | None
    cycle: Distribution
    build: Distribution
    solve: Distribution
    entered: Mapping[str, int]
    guard_steps: int
    sent_after: Distribution
    enforced_after: Distribution
    answered: Mapping[tuple[str, str], int]
    raised: Mapping[str, int]
    received: Mapping[str, int]
    published: Mapping[str, int]
    kept_back: Mapping[int, int]
    let_through: Mapping[int, int]


@dataclass
class Tally:
    """To be used under the daemon's lock. Instants are of the clock's stopwatch, s."""

    cycles: Counter[str] = field(default_factory=Counter)
    """By how they ended: published, held, safe."""
    concluded_s: float | None = None
    """When the last one ended; None: none has."""
    cycle: Times = field(default_factory=Times)
    build: Times = field(default_factory=Times)
    solve: Times = field(default_factory=Times)
    entered: Counter[str] = field(default_factory=Counter)
    """Changes of mode, by the mode that was entered."""
    guard_steps: int = 0
    """How often the guard made caps give way."""
    sent_after: Times = field(default_factory=Times)
    """From an operator's command until its orders were sent."""
    enforced_after: Times = field(default_factory=Times)
    """From an operator's command until every pool that it reaches reported what was sent."""
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Commands, by what they are about and the status of the answer."""
    raised: Counter[str] = field(default_factory=Counter)
    """Alarms that were told, by severity."""
    received: Counter[str] = field(default_factory=Counter)
    """Messages that were taken in, by the name of their topic."""
    published: Counter[str] = field(default_factory=Counter)
    """Messages that the bus took, by the name of their topic."""
    kept_back: Counter[int] = field(default_factory=Counter)
    """Findings of the gate whose message was not sent, by the number of the invariant."""
    let_through: Counter[int] = field(default_factory=Counter)
    """Findings of the gate whose message was sent all the same, for it only lowers."""

    def concludes(self, how: str, now_s: float, took_s: float) -> None:
        """A cycle has ended."""
        self.cycles[how] += 1
        self.concluded_s = now_s
        self.cycle.note(took_s)

    @property
    def told(self) -> Counted:
        """As it is now."""
        return Counted(
            dict(self.cycles), self.concluded_s, self.cycle.told, self.build.told, self.solve.told, dict(self.entered), self.guard_steps,
            self.sent_after.told, self.enforced_after.told, dict(self.answered), dict(self.raised), dict(self.received),
            dict(self.published), dict(self.kept_back), dict(self.let_through),
        )  # fmt: skip
