"""Sums: a sensor that several points make up, such as the power of a pool by its racks.

A sum is known once every part is, and as old as its oldest part. A part costs a logarithm of their number, so that thousands of racks
may speak: the total goes on from value to value and is added up anew once for every round of them; the oldest stands on a heap on
which what has been spoken since is passed over.
"""

from __future__ import annotations

import heapq
from math import fsum

from facility.dsx import facts
from facility.dsx.bms import Value
from facility.sensors import Sensor
from facility.telemetry.readings import AS_IT_IS, LONGEST_PERIOD_S, Refusal
from facility.telemetry.routes import Told

HOLDS_MS = 1000 * 3 * min(facts.REPUBLISH_S, LONGEST_PERIOD_S)
"""How much older than the newest a part may be."""


class Sum:
    """The sum of `of` points, values in the unit of `sensor`."""

    def __init__(self, sensor: Sensor, of: int) -> None:
        self._sensor, self._of = sensor, of
        self._parts: dict[str, Value] = {}
        self._bad: set[str] = set()
        self._total, self._left, self._newest_ms = 0.0, 0, 0
        self._by_age: list[tuple[int, str]] = []

    def told(self, tag: str, value: Value) -> Told:
        """The sum, with `value` as the newest of the part `tag`. Raises Refusal while it is not known."""
        self._keep(tag, value)
        key = self._sensor.key
        if len(self._parts) != self._of:
            raise Refusal("unknown", f"{key}: {len(self._parts)} of {self._of} points were heard")
        oldest_ms, oldest = self._oldest()
        if self._newest_ms - oldest_ms > HOLDS_MS:
            raise Refusal("old", f"{key}: a point of {self._of} is silent: {oldest}")
        if self._bad:
            raise Refusal("quality", f"{key}: {len(self._bad)} of {self._of} points are not good, such as {min(self._bad)}")
        return Told({key: self._total}, oldest_ms, facts.GOOD, AS_IT_IS)

    def forget(self, tag: str) -> None:
        """Leave a part out; the sum is not known until it is back, or another in its place."""
        self._parts.pop(tag, None)
        self._bad.discard(tag)
        self._left = 0

    def _keep(self, tag: str, value: Value) -> None:
        before = self._parts.get(tag)
        self._parts[tag] = value
        good = value.value is not None and value.quality == facts.GOOD
        (self._bad.discard if good else self._bad.add)(tag)
        self._newest_ms = max(self._newest_ms, value.timestamp)
        if self._left:
            self._left -= 1
            self._total += (value.value or 0.0) - (0.0 if before is None else before.value or 0.0)
        else:
            self._left = len(self._parts)
            self._total = fsum(part.value or 0.0 for part in self._parts.values())
        if before is None or before.timestamp != value.timestamp:
            heapq.heappush(self._by_age, (value.timestamp, tag))
        if len(self._by_age) > 4 * self._of + 16:
            self._by_age = sorted((part.timestamp, name) for name, part in self._parts.items())

    def _oldest(self) -> tuple[int, str]:
        """The timestamp of the oldest part, ms, and its tag."""
        while (part := self._parts.get(self._by_age[0][1])) is None or part.timestamp != self._by_age[0][0]:
            heapq.heappop(self._by_age)
        return self._by_age[0]
