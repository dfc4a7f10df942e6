"""What time it is, asked of an object that is handed in: the wall clock, a faster one for rehearsals, one that tests move.

A clock tells two things: the instant, which people and other machines share and which may be set forward or back, and the seconds
that really pass, which only go forward and are nobody's business but this process's.

    simulated = epoch_sim + (real - epoch_real) * speed

Two processes that are given the same epoch and speed agree on the simulated instant, as long as their wall clocks do.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from facility.errors import Fault, InputError


class Clock(Protocol):
    """Something that knows the instant."""

    def now(self) -> datetime:
        """Tell the present instant, UTC and aware."""
        ...

    def elapsed_s(self) -> float:
        """Tell real seconds since some beginning; they never go back, whatever happens to the instant."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Tell the wall clock's instant, UTC."""
        return datetime.now(UTC)

    def elapsed_s(self) -> float:
        """Tell the machine's stopwatch, s."""
        return time.monotonic()


@dataclass(frozen=True)
class ScaledClock:
    """A clock that runs `speed` times as fast as the wall clock since `epoch_real_s` (seconds since 1970)."""

    epoch_real_s: float
    epoch_sim: datetime
    speed: float

    def now(self) -> datetime:
        """Tell the simulated instant, UTC."""
        return self.epoch_sim + timedelta(seconds=(time.time() - self.epoch_real_s) * self.speed)

    def elapsed_s(self) -> float:
        """Tell the machine's stopwatch, s: what really passes is not scaled."""
        return time.monotonic()


class ManualClock:
    """A clock whose instant stands still until it is told to advance; real seconds are the machine's."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def elapsed_s(self) -> float:
        """Tell the machine's stopwatch, s."""
        return time.monotonic()

    def now(self) -> datetime:
        """Tell the instant it was moved to, UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self._now += timedelta(seconds=seconds)


class VirtualClock(ManualClock):
    """A clock in which real seconds pass only by `advance` too; `jump` sets the instant as somebody sets a machine's clock."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self._elapsed_s = 0.0

    def elapsed_s(self) -> float:
        """Tell the seconds that it was advanced by."""
        return self._elapsed_s

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        super().advance(seconds)
        self._elapsed_s += seconds

    def jump(self, seconds: float) -> None:
        """Set the instant forward or back; no time passes."""
        super().advance(seconds)


def milliseconds(instant: datetime) -> int:
    """Tell an instant as whole ms since 1970.

    >>> milliseconds(datetime(2026, 8, 22, 7, 0, 0, 1000, tzinfo=UTC))
    1787382000001
    """
    return round(instant.timestamp() * 1000)


def parse_epoch(text: str) -> tuple[float, datetime]:
    """Read `REALSECONDS:ISO`, such as `1787382000.5:2026-07-15T00:00:00+00:00`, into (seconds since 1970, UTC instant).

    Raises InputError where either half is unreadable or the instant has no offset.
    """
    real, _, instant = text.partition(":")
    try:
        real_s, sim = float(real), datetime.fromisoformat(instant)
    except ValueError:
        real_s, sim = math.nan, datetime.min  # noqa: DTZ901 - the naive value is refused just below
    if not math.isfinite(real_s) or sim.tzinfo is None:
        raise InputError(
            Fault("epoch", f"{text!r}", "give REALSECONDS:ISO with an offset, such as 1787382000:2026-07-15T00:00:00Z")
        )
    return real_s, sim.astimezone(UTC)


def parse_clock(text: str | None) -> tuple[Clock, float]:
    """The wall clock, or `SPEED@REALSECONDS:ISO`, a faster one; and how many seconds it counts in a real one. Raises InputError.

    >>> parse_clock(None)[1], parse_clock("20@1787382000:2026-07-15T00:00:00Z")[1]
    (1.0, 20.0)
    """
    if text is None:
        return SystemClock(), 1.0
    speed_text, _, epoch = text.partition("@")
    try:
        speed = float(speed_text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise InputError(Fault("--clock", f"{text!r}", "give SPEED@REALSECONDS:ISO"))
    real_s, sim = parse_epoch(epoch)
    return ScaledClock(real_s, sim, speed), speed
