"""Track: what one sensor said lately, and whether it moves as its quantity can.

    leaps    |newest - last| > step + per_s * dt. One period later it was a spike (the reading is back where it was), or it stands.
             What cannot leap (`Sensor.inertial`) and stands is believed when it may have moved so far, after LEAP_S at the latest; until
             then the conservative one of before and after counts.
    stuck    the same value to the last digit for max(still_after, LONGER * longest run) readings, of a sensor that has changed LEARNT times,
             by FINE digits at a time on average, and is not at rest (`Sensor.idle`)
    settled  the median of the last three readings: one outlier among two like readings is never in it
    high     the more dangerous of settled and newest: an upward jump that may be real is seen at once

A sensor's digit is the least change that it ever made, a run is how often it showed one value in a row. One that moves by single digits only
(half degrees, whole kilowatts) may rightly stand still for hours and is never called stuck; one that moves by 1.5 of them or more shows
the same value twice with a chance of 0.3, sixty times in a row with less than 10^-30. What could deceive is a load that in truth does not
move: so its longest run counts too, and at rest nothing is said.

| figure | value | why |
|---|---|---|
| LEAP_S | 120 s | a hall cannot move 10 K in 10 s, but a thermometer may be put elsewhere; two minutes of like readings are its new place |
| FINE | 1.5 | see above |
| LONGER | 3 | the longest of a thousand runs that end by chance is seven usual ones: 21 of them in a row have a chance of 10^-9 |
| LEARNT | 16 | changes before a sensor is judged |
| FADES | 4096 | changes in which a longest run is forgotten to a third, 6 h at one in 5 s |
| MEMORY | 64 | changes over which their size is averaged, none counted more than CLIP times the average: a step of the load is no noise |
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import inf, nan

from facility.sensors import Sensor

LEAP_S = 120.0
FINE, LONGER, LEARNT, FADES, MEMORY, CLIP = 1.5, 3, 16, 4096, 64, 4
LONGEST_LEAP = timedelta(seconds=LEAP_S)


class Track:
    """The last three readings of a sensor, in its unit. Instants are UTC; `newest_at` is by the sender's clock, `heard` by ours."""

    __slots__ = (
        "_change", "_changes", "_digit", "_longest", "_still", "_still_after", "before", "earlier", "heard", "leapt_at", "leapt_from",
        "moved_at", "newest", "newest_at", "refused", "sensor", "spikes",
    )  # fmt: skip

    def __init__(self, sensor: Sensor) -> None:
        self.sensor = sensor
        self.newest_at: datetime | None = None
        self.newest = self.before = self.earlier = nan
        self.leapt_from: float | None = None
        self.leapt_at: datetime | None = None
        self.moved_at: datetime | None = None
        self.heard: datetime | None = None
        self.refused: tuple[str, datetime] | None = None
        self.spikes = self._still = self._changes = 0
        self._still_after = inf if sensor.still_after is None else sensor.still_after
        self._digit, self._change, self._longest = inf, 0.0, 0.0

    def take(self, value: float, at: datetime, patience: timedelta) -> None:
        """Add a reading that is not older than the newest; after a silence of more than `patience` the past counts no more.

        One that comes twice confirms nothing: the same value of the same instant is the same reading.
        """
        last, last_at = self.newest, self.newest_at
        if last_at is None or at - last_at > patience:
            self.newest = self.before = self.earlier = value
            self.newest_at = self.moved_at = at
            self._still, self.leapt_from = 0, None
            return
        change = abs(value - last)
        if not change and at == last_at:
            return
        if not change:
            self._still += 1
        else:
            self._learn(change)
            self.moved_at = at
        if self.leapt_from is not None:
            self._after_leap(value, at)
        elif change > self.sensor.step and self._leaps(value, last, at - last_at):
            self.leapt_from, self.leapt_at = last, at
        self.newest, self.before, self.earlier, self.newest_at = value, last, self.before, at

    def recall(self, value: float, at: datetime) -> None:
        """Know what an earlier process heard last; a reading that is newer counts alone."""
        if self.newest_at is None:
            self.newest = self.before = self.earlier = value
            self.newest_at = self.moved_at = at

    @property
    def settled(self) -> float:
        """The median of the last three readings."""
        a, b, c = self.newest, self.before, self.earlier
        return max(min(a, b), min(max(a, b), c))

    @property
    def used(self) -> float:
        """What a plan may use: the median, and what stood before a leap where that is more dangerous."""
        return self.settled if self.leapt_from is None else self.sensor.conservative(self.settled, self.leapt_from)

    @property
    def high(self) -> float:
        """What a guard must reckon with."""
        return self.sensor.conservative(self.newest, self.used)

    @property
    def stuck(self) -> bool:
        """Whether it stands still though it should move."""
        return (
            self._still >= self._still_after
            and self._still >= LONGER * self._longest
            and self._changes >= LEARNT
            and self._change >= FINE * self._digit
            and abs(self.newest) > self.sensor.idle
        )

    @property
    def doubtful(self) -> bool:
        """Whether the newest reading is not believed as it is."""
        return self.leapt_from is not None or (self._still >= self._still_after and self.stuck)

    def _learn(self, change: float) -> None:
        """Take a change of the value, and the run that it ends."""
        self._changes += 1
        self._digit = min(self._digit, change)
        usual = self._change or change
        self._change = usual + (min(change, CLIP * usual) - usual) / min(self._changes, MEMORY)
        if self._still > self._longest:
            self._longest = min(self._still, max(self._still_after, LONGER * self._longest))
        else:
            self._longest -= self._longest / FADES
        self._still = 0

    def _leaps(self, value: float, last: float, after: timedelta) -> bool:
        return abs(value - last) > self.sensor.step + self.sensor.per_s * after.total_seconds()

    def _after_leap(self, value: float, at: datetime) -> None:
        """Tell a spike from what stands."""
        assert self.leapt_from is not None
        assert self.leapt_at is not None
        since = at - self.leapt_at
        if abs(value - self.leapt_from) <= self.sensor.step:
            self.leapt_from, self.spikes = None, self.spikes + 1
        elif not self.sensor.inertial or since >= LONGEST_LEAP or not self._leaps(value, self.leapt_from, since):
            self.leapt_from = None
