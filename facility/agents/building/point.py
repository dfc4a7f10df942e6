"""Point: one set-point of the building - when it is written, how fast it moves, and when it is left alone. No bus, no clock.

| state     | what it means                                              | it ends                                               |
|-----------|------------------------------------------------------------|-------------------------------------------------------|
| `local`   | nothing is ordered; the building's own control has it      | with an order                                         |
| `driven`  | it is written, and read back                               | with the order's end, when it is handed back          |
| `yielded` | somebody else has set it while it was ours                 | when they set it back, or after `yields_s`            |

An operator at the chiller wins: what was taken and then is another without our writing is left alone. Where a point may only move slowly
it moves from where it is said to be, and a step further only once the last one was taken. What hands a point back may be lost like anything
else, so it is said again, ever more seldom, until the read-back is another, or it was said `HANDED` times and the gateway still answers.
What the broker has kept of a read-back tells where the point was, and never that something was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

SOONEST: Final = timedelta(seconds=1)
"""Between two writes at least."""
MOST_DOUBLED: Final = 4
"""A write that is not taken is repeated after `answers_s`, then after twice as long, and so on so often."""
HANDED: Final = 5
"""So often a point is handed back, where nothing shows that it was taken; and on, where its gateway tells nothing, which may be away."""
DOUBTED: Final = 3
"""After so many writes that were not taken it is said."""


@dataclass(frozen=True)
class Terms:
    """What holds for a point, in the order's unit. `step` is the least change that the gateway can tell apart."""

    low: float
    high: float
    per_s: float | None = None
    within: float = 0.1
    answers_s: float = 10.0
    yields_s: float = 900.0
    step: float = 0.0
    reads_back: bool = True
    releases: bool = True


@dataclass(frozen=True)
class Write:
    """What to send: a value, in the order's unit, or None: hand the point back."""

    value: float | None


class Point:
    """One set-point. Instants are of a clock that is never set back."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.state: Literal["local", "driven", "yielded"] = "local"
        self.heard: float | None = None
        """What the gateway told last; None where it never did."""
        self._goal: float | None = None
        self._until = datetime.min  # noqa: DTZ901 - of no order
        self._written: float | None = None
        self._at = datetime.min  # noqa: DTZ901 - of no write
        self._still = datetime.min  # noqa: DTZ901 - it never stood where it should
        self._taken = False
        self._tries = 0
        self._strange: datetime | None = None
        self._yielded = datetime.min  # noqa: DTZ901 - it never was
        self._handed: tuple[float | None, int, datetime] | None = None
        """What it was set to as it was handed back (None: nobody knows), how often that was said, and when last."""
        self._told: float | None = None
        """What the gateway told since it was handed back: what it told before, or a broker has kept, shows nothing."""

    @property
    def obeys(self) -> bool:
        """Whether the order in force is carried out, as far as anybody can tell."""
        return self.state == "driven" and self._written == self._goal and (self._taken or not self.terms.reads_back)

    @property
    def doubt(self) -> str:
        """Why it does not do what was ordered; empty where nothing is amiss."""
        if self.state == "yielded":
            return f"somebody else has set it to {self.heard:g}"
        if self.state == "driven" and self._blind:
            return "it may only move slowly, and nobody tells where it is"
        return "" if self._tries < DOUBTED else f"{self._written:g} was written {self._tries + 1} times and is not taken"

    def order(self, value: float, until: datetime) -> None:
        """Do this until then, within what the point may be."""
        self._goal, self._until, self._handed = min(max(value, self.terms.low), self.terms.high), until, None

    def end(self) -> None:
        """Have the order end now, whatever was said of its end."""
        self._goal = None

    @property
    def handing(self) -> bool:
        """Whether it was handed back, and its gateway is still to show that this was taken."""
        return self._handed is not None and self._handed[0] is not None and self.terms.reads_back

    def hear(self, value: float, now: datetime, *, kept: bool = False) -> None:
        """The gateway tells what the point is set to. `kept`: it told so some time ago, and the broker has kept it."""
        self.heard, self._told = value, self._told if kept else value
        if self._written is None:
            return
        if abs(value - self._written) <= self.terms.within:
            if kept:
                return
            self._taken, self._tries, self._strange = True, 0, None
            if self.state == "yielded":
                self.state = "driven"
        elif self._taken and self._strange is None:
            self._strange = now

    def due(self, now: datetime) -> Write | None:
        """What is to be sent now; None: nothing."""
        if self._goal is None or now >= self._until:
            return self.leave(now) or self._again(now)
        if self.state == "yielded" and now - self._yielded < timedelta(seconds=self.terms.yields_s):
            return None
        if self._strange is not None and self.state == "driven" and now - self._strange >= timedelta(seconds=self.terms.answers_s):
            self.state, self._yielded = "yielded", now
            return None
        if self.state != "driven":
            self._begin_anew()
            self.state, self._still = "driven", now
        return None if self._blind else self._next(now)

    def leave(self, now: datetime) -> Write | None:
        """Have nothing ordered any more; what is to be sent for it."""
        had, ours = self._written, self.state == "driven" and self._written is not None
        self._goal, self.state = None, "local"
        self._begin_anew()
        return self._hand(had, now) if ours else None

    def hand_back(self, now: datetime) -> Write | None:
        """What is to be sent where nobody knows whether the point is ours: an order from before this process has ended."""
        return self._hand(None, now) if self.state == "local" else None

    def _hand(self, had: float | None, now: datetime) -> Write | None:
        if not self.terms.releases:
            return None
        self._handed, self._told = (had, 1, now), None
        return Write(None)

    def _again(self, now: datetime) -> Write | None:
        """Hand the point back once more, where nothing shows that it was taken."""
        if self._handed is None:
            return None
        had, times, at = self._handed
        told = self._told
        if had is not None and told is not None and self.terms.reads_back and abs(told - had) > self.terms.within:
            self._handed = None
            return None
        if now - at < timedelta(seconds=self.terms.answers_s * 2 ** min(times - 1, MOST_DOUBLED)):
            return None
        away = had is not None and self.terms.reads_back and told is None
        if times >= HANDED and not away:
            self._handed = None
            return None
        self._handed, self._told = (had, times + 1, now), None
        return Write(None)

    @property
    def _blind(self) -> bool:
        return self.terms.per_s is not None and self.terms.reads_back and self.heard is None

    def _begin_anew(self) -> None:
        self._written, self._taken, self._tries, self._strange = None, False, 0, None

    def _next(self, now: datetime) -> Write | None:
        terms = self.terms
        if self._written is None:
            return self._write(self._moved(now - SOONEST, now), now)
        since = now - self._at
        if since < SOONEST:
            return None
        waits = terms.reads_back and not self._taken
        if waits and (terms.per_s is not None or self._written == self._goal):
            if since < timedelta(seconds=terms.answers_s * 2 ** min(self._tries, MOST_DOUBLED)):
                return None
            self._tries += 1
            return self._write(self._written, now)
        if self._written == self._goal:
            self._still = now
            return None
        value = self._moved(self._still, now)
        if value != self._goal and abs(value - self._written) < terms.step:
            return None
        self._tries = 0
        return self._write(value, now)

    def _moved(self, still: datetime, now: datetime) -> float:
        """Where the point may be by now on its way to the goal, having stood still until then."""
        assert self._goal is not None
        start = self._written if self._written is not None else self.heard
        if self.terms.per_s is None or start is None:
            return self._goal
        start = min(max(start, self.terms.low), self.terms.high)
        way = self.terms.per_s * (now - still).total_seconds()
        return min(max(self._goal, start - way), start + way)

    def _write(self, value: float, now: datetime) -> Write:
        self._written, self._at, self._still, self._taken, self._strange = value, now, now, False, None
        return Write(value)
