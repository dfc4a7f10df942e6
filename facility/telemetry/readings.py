"""The latest reading of each sensor: what is believed, in which unit, and for how long.

    believed: quality 1, a known unit, low <= value <= high, at most 60 s ahead of the clock, not older than the last one
    stale     after max(3 * period, 15 s)

A reading that is refused leaves the one before it to grow old; one that is too old is missing, never repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from facility.bus.messages import Meta
from facility.sensors import Sensor
from facility.telemetry.units import Conversion, conversion

AHEAD = timedelta(seconds=60)
"""How far a sender's clock may run ahead; what is within it counts as of now."""

LONGEST_PERIOD_S = 300.0
"""No sender can ask for more patience than this."""

AS_IT_IS = Conversion(1.0, 0.0)


class Refusal(Exception):
    """Why something is not used: a kind to count by, and words."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(f"{kind}: {words}")
        self.kind, self.words = kind, words


@dataclass(frozen=True, slots=True)
class Reading:
    """A value in its sensor's unit, when it was measured (UTC), and its quality (1 is good)."""

    value: float
    at: datetime
    quality: int = 1


def instant(timestamp_ms: int | None, now: datetime) -> datetime:
    """Tell when something was measured: as it says (ms since 1970), else now. Raises Refusal for the future."""
    if timestamp_ms is None:
        return now
    at = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    if at > now + AHEAD:
        raise Refusal("future", f"{at.isoformat()} is more than {AHEAD.seconds} s ahead")
    return min(at, now)


class Readings:
    """What a set of sensors said last."""

    def __init__(self, sensors: Iterable[Sensor]) -> None:
        self.sensors = {sensor.key: sensor for sensor in sensors}
        self._readings: dict[str, Reading] = {}
        self._units: dict[str, Conversion | None] = {}
        self._period_s: dict[str, float] = {}

    def take(self, key: str, value: float | None, at: datetime, quality: int = 1, convert: Conversion | None = None) -> Reading:
        """Keep a reading; `convert` where its unit is known from elsewhere than the sensor's meta. Raises Refusal."""
        sensor = self._sensor(key)
        if value is None or quality != 1:
            raise Refusal("quality", f"{key}: value {value}, quality {quality}")
        into = convert or self._units.get(key, AS_IT_IS)
        if into is None:
            raise Refusal("unit", f"{key}: its unit is unknown or contradictory")
        converted = into(value)
        if not sensor.low <= converted <= sensor.high:
            raise Refusal("range", f"{key}: {converted:g} {sensor.unit} is not in {sensor.low:g} to {sensor.high:g}")
        last = self._readings.get(key)
        if last is not None and at < last.at:
            raise Refusal("old", f"{key}: older than the latest reading")
        self._readings[key] = Reading(converted, at, quality)
        return self._readings[key]

    def describe(self, key: str, meta: Meta | None) -> None:
        """Learn a sensor's unit and period. Raises Refusal for a unit that is unknown or contradicts the one told before.

        Such a sensor is not used until its meta is withdrawn (None), when its own unit holds again. A reading that was taken in
        another unit than the one that now holds is forgotten.
        """
        sensor, before = self._sensor(key), self._units.get(key, AS_IT_IS)
        self._period_s.pop(key, None)
        if meta is None:
            self._units.pop(key, None)
        else:
            told = conversion(meta.unit, sensor.unit)
            self._units[key] = told if self._units.get(key, told) == told else None
            self._period_s[key] = min(meta.period_s or sensor.period_s, LONGEST_PERIOD_S)
        holds = self._units.get(key, AS_IT_IS)
        if holds != before:
            self._readings.pop(key, None)
        if holds is None and meta is not None:
            raise Refusal("unit", f"{key}: {meta.unit!r} for {sensor.unit} is unknown or contradicts what was told before")

    def fresh(self, key: str, now: datetime) -> Reading | None:
        """Return the latest reading; None where it is stale or there never was one."""
        found = self._readings.get(key)
        return found if found is not None and now - found.at <= self.patience(key) else None

    def age_s(self, key: str, now: datetime) -> float | None:
        """Tell how old the latest reading is, s; None where there never was one."""
        found = self._readings.get(key)
        return None if found is None else (now - found.at).total_seconds()

    def patience(self, key: str) -> timedelta:
        """Tell how long a reading stays fresh."""
        return timedelta(seconds=max(3 * self._period_s.get(key, self.sensors[key].period_s), 15.0))

    def _sensor(self, key: str) -> Sensor:
        if key not in self.sensors:
            raise Refusal("unknown", f"the site has no sensor {key}")
        return self.sensors[key]
