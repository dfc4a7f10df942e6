"""Standing: which order of caps holds, and what holds when none does. Pure: the instant is an argument.

    taken      newer by (epoch, seq) than the last one that was, not past its end, every cap in the range of these GPUs
    in force   the last one taken, until its end by the wall clock, and no longer than it was to last by the stopwatch
    otherwise  its fallback, and before the first that of an order that came too late

A wall clock that is set back therefore makes no order last longer, and one that is late makes it last as long as it was made for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from facility.agents.gpu.device import UNLIMITED_W
from facility.bus.messages import CapDesired


@dataclass(frozen=True)
class Moment:
    """The instant by the wall clock, UTC, and the seconds of a stopwatch that nobody sets."""

    now: datetime
    elapsed_s: float


class Standing:
    """The orders of one pool. `lowest_w` to `highest_w` is what some GPU here can be set to, W."""

    def __init__(self, lowest_w: int = 0, highest_w: int = UNLIMITED_W) -> None:
        self.lowest_w, self.highest_w = lowest_w, highest_w
        self.order: CapDesired | None = None
        """The last that was taken, in force or not."""
        self.fallback_w: int | None = None
        """What holds when no order does, W; None where no order was ever heard of."""
        self._ends_s = 0.0

    def take(self, order: CapDesired, at: Moment) -> str:
        """Take an order, or say why it is dropped; empty where it is taken."""
        if self.order is not None and (order.epoch, order.seq) <= (self.order.epoch, self.order.seq):
            return "not newer than the last one"
        if wrong := self._out_of_range(order):
            return wrong
        if order.valid_until <= at.now:
            if self.order is None:
                self.fallback_w = order.fallback_cap_w if self.fallback_w is None else min(self.fallback_w, order.fallback_cap_w)
            return "past its end"
        left_s = min((order.valid_until - at.now).total_seconds(), (order.valid_until - order.issued_at).total_seconds())
        self.order, self.fallback_w, self._ends_s = order, order.fallback_cap_w, at.elapsed_s + left_s
        return ""

    def in_force(self, at: Moment) -> CapDesired | None:
        """The order that holds at a moment; None where none does."""
        if self.order is None or at.elapsed_s >= self._ends_s or at.now >= self.order.valid_until:
            return None
        return self.order

    def left_s(self, at: Moment) -> float | None:
        """How long the order in force still lasts, s; None where none is."""
        order = self.in_force(at)
        return None if order is None else min(self._ends_s - at.elapsed_s, (order.valid_until - at.now).total_seconds())

    def _out_of_range(self, order: CapDesired) -> str:
        for cap_w in (order.cap_w, order.fallback_cap_w, *(group.cap_w for group in order.groups)):
            if not self.lowest_w <= cap_w <= self.highest_w:
                return f"{cap_w} W is not in {self.lowest_w} to {self.highest_w} W, which these GPUs can be set to"
        return ""
