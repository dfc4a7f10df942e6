"""Margin: how far plans stay below the import limit, learnt from the meter.

A plan may fill the limit with the mean of a step. What is drawn moves about that, what begins and what settles comes on top, and a meter errs: at
the limit the guard would make caps give way now and then.

    margin = the most of the last day of  (reading - planned)      where planned >= NEAR_SHARE of the limit
             at least LEAST_SHARE and at most MOST_SHARE of the limit

What is planned is what the plan that is followed draws in its first step, or the one before it where that is more: it takes time to end. Nothing
is learnt where people command. A target of a grid event has no margin: its ramps and its rebound are measured against it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec

from facility.overrides.arbitrate import Bounds

log = logging.getLogger(__name__)

LEAST_SHARE: Final = 0.01
MOST_SHARE: Final = 0.08
NEAR_SHARE: Final = 0.85
SPIKE_SHARE: Final = 0.02
"""By how much the newest reading counts at most above what has settled: meters err by less, and spikes teach nothing."""
MEMORY_H: Final = 24


class Margin:
    """`kept` is what an earlier process had from `kept`; an hour's most counts for a day, and none that is still to come."""

    def __init__(self, kept: bytes | None = None) -> None:
        self._above_kw: dict[int, float] = {}
        self._planned_kw: float | None = None
        self._before_kw: float | None = None
        if kept is not None:
            try:
                self._above_kw = msgspec.json.decode(kept, type=dict[int, float])
            except (msgspec.MsgspecError, ValueError) as error:
                log.warning("the margin that was learnt cannot be read, it is learnt anew: %s", error)

    @property
    def kept(self) -> bytes:
        """What was learnt: the hours since 1970, and by how much the meter was above plans in each of them at most, kW."""
        return msgspec.json.encode(self._above_kw)

    def follow(self, planned_kw: float | None) -> None:
        """Know what the plan that is followed from now on draws from the grid; None: none is followed."""
        self._planned_kw, self._before_kw = planned_kw, self._planned_kw

    def read(self, now: datetime, high_kw: float | None, settled_kw: float | None, limit_kw: float) -> None:
        """Know what the meter shows, the newest reading where it is higher and what has settled, kW."""
        planned_kw = self._planned_kw
        if planned_kw is None or high_kw is None or settled_kw is None or planned_kw < NEAR_SHARE * limit_kw:
            return
        hour = _hour(now)
        above_kw = min(high_kw, (1 + SPIKE_SHARE) * settled_kw) - max(planned_kw, self._before_kw or 0.0)
        if above_kw > self._above_kw.get(hour, 0.0):
            self._above_kw[hour] = above_kw
        self._above_kw = {at: kw for at, kw in self._above_kw.items() if hour - MEMORY_H < at <= hour}

    def kw(self, now: datetime, limit_kw: float) -> float:
        """The margin below a limit."""
        hour = _hour(now)
        learnt_kw = max((kw for at, kw in self._above_kw.items() if hour - MEMORY_H < at <= hour), default=0.0)
        return min(max(learnt_kw, LEAST_SHARE * limit_kw), MOST_SHARE * limit_kw)

    def below(self, now: datetime, asked: Bounds, limits_kw: Sequence[float]) -> Bounds:
        """`asked` with the margin below `limits_kw`, what may be drawn in each step, where it does not ask for less already."""
        kept_to = tuple(min(least_kw, kw - self.kw(now, kw)) for least_kw, kw in zip(asked.import_limit_kw, limits_kw, strict=True))
        kept_back = tuple(kw - least_kw for kw, least_kw in zip(limits_kw, kept_to, strict=True))
        return replace(asked, import_limit_kw=kept_to, kept_back_kw=kept_back)


def _hour(now: datetime) -> int:
    return int(now.timestamp() // 3600)
