"""Retention: raw readings become means of a minute, those means of 15 minutes, and the oldest go.

It works in slices: each takes the oldest rows of one level, as many as are expected to take `SLICE_S`, so that readings that come in
meanwhile wait no longer than that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from facility.history.store import History
from facility.site import Retention as Kept

DAY_MS: Final = 86_400_000
SLICE_S: Final = 0.02
FEWEST: Final = 100
MOST: Final = 20_000


class Retention:
    """Ages a history. `seconds` tells elapsed time."""

    def __init__(self, history: History, kept: Kept, seconds: Callable[[], float] = time.monotonic) -> None:
        self._history, self._seconds = history, seconds
        self._days = (kept.raw_days, kept.minute_days, kept.quarter_days)
        self._rows = 1000.0

    def slice(self, now_ms: int) -> bool:
        """Do the next slice at an instant; False where nothing is old. Raises StoreFault."""
        began_s, most = self._seconds(), int(self._rows)
        done = any(
            (self._history.condense if level < 2 else self._history.forget)(level, now_ms - int(days * DAY_MS), most)
            for level, days in enumerate(self._days)
        )
        if done:
            took_s = max(self._seconds() - began_s, 1e-6)
            self._rows = min(max(self._rows * min(max(SLICE_S / took_s, 0.25), 2.0), FEWEST), MOST)
        return done
