"""Beat: the site's instant, told by the daemon's heartbeat, which in a rehearsal runs faster than the wall's clock.

now = last heartbeat + rate * seconds since       rate: how fast the heartbeats of the last half minute went, 1 where it is about that
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Final

from facility.clock import Clock

KEPT: Final = 30
"""Heartbeats by which the rate is told."""
SURE_S: Final = 3.0
REAL: Final = (0.9, 1.1)
"""Rates that are the wall clock's, told by heartbeats that waver."""


class Beat:
    """The site's clock, heard and not read. Before any heartbeat it is the clock that was handed in."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beats: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def heard(self, heartbeat_ms: int) -> None:
        """Take one heartbeat, ms since 1970 by the daemon's clock."""
        at_s = heartbeat_ms / 1000
        if self._beats and at_s < self._beats[-1][1]:  # another daemon, or a clock that was set back
            self._beats.clear()
        self._beats.append((self._clock.elapsed_s(), at_s))

    @property
    def rate(self) -> float:
        """How many of the site's seconds pass in one of ours."""
        if len(self._beats) < 2:
            return 1.0
        (first, first_s), (last, last_s) = self._beats[0], self._beats[-1]
        if last - first < SURE_S:
            return 1.0
        rate = (last_s - first_s) / (last - first)
        return 1.0 if REAL[0] < rate < REAL[1] else rate

    def now(self) -> datetime:
        """Tell the site's instant, UTC."""
        if not self._beats:
            return self._clock.now()
        last, at_s = self._beats[-1]
        return datetime.fromtimestamp(at_s, UTC) + timedelta(seconds=self.rate * (self._clock.elapsed_s() - last))

    def silent_s(self) -> float | None:
        """Tell for how long no heart beat, in our seconds; None where none ever did."""
        return self._clock.elapsed_s() - self._beats[-1][0] if self._beats else None
