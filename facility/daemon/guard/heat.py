"""Heat: where a hall is heading, and how much of its pools' power must go.

    rise  = the steepest from any reading of the last RISE_S that is at least LEAST_S old, none below 0        K/s
    ahead = measured + rise * look-ahead                                                                       degC
    over  = C * (rise + max(measured - recommended maximum, 0) / BACK_S)                                       kW, where ahead > allowable maximum

The air of a hall cannot leap, so what is measured is the settled value, which one odd reading does not move; with readings every 10 s a rise
of 1 K in 10 s is seen 20 s after it began, and 6 K before the end.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from facility.site import Thermal

RISE_S, LEAST_S = timedelta(seconds=60), timedelta(seconds=20)
BACK_S = 300.0
"""The time in which a hall that is too warm is to be back at its recommended maximum, s."""


class Warming:
    """How the air of one hall moved lately."""

    def __init__(self) -> None:
        self._told: deque[tuple[datetime, float]] = deque()

    def rise_k_per_s(self, now: datetime, measured_c: float) -> float:
        """Tell how fast it warms up, K/s, where it has `measured_c` now. What was told by a clock that jumped back counts no more."""
        while self._told and not now - RISE_S <= self._told[0][0] <= now:
            self._told.popleft()
        self._told.append((now, measured_c))
        return max([0.0, *((measured_c - c) / (now - at).total_seconds() for at, c in self._told if now - at >= LEAST_S)])

    def lost(self) -> None:
        """Know that nothing measures it: what was before counts no more."""
        self._told.clear()


def over_kw(thermal: Thermal, measured_c: float, rise_k_per_s: float) -> float:
    """How much less heat takes a hall back to its recommended maximum, kW."""
    above_k = max(measured_c - thermal.recommended_max_c, 0.0)
    return thermal.heat_capacity_kwh_per_k * 3600 * (rise_k_per_s + above_k / BACK_S)
