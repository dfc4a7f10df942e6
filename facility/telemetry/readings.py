"""The latest reading of each sensor: what is taken, in which unit, and for how long.

    taken     quality 1, a known unit, low <= value <= high, at most 60 s ahead of the clock, not older than the last one
    stale     after max(3 * period, 15 s)

A reading that is refused leaves the one before it to grow old; one that is too old is missing, never repeated. One out of range that would
be in range in another unit is told so: W for kW, F for C. Whether what is taken is believed as it is says `track`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from facility.bus.messages import Meta
from facility.sensors import Sensor
from facility.telemetry.track import Track
from facility.telemetry.units import Conversion, conversion, fitting
from facility.verdict import Verdict

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


class Reading(msgspec.Struct, frozen=True, gc=False):
    """A value in its sensor's unit, when it was measured (UTC), and whether it is believed as it is: good or suspect."""

    value: float
    at: datetime
    verdict: Verdict = Verdict.GOOD


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
        self.tracks = {key: Track(sensor) for key, sensor in self.sensors.items()}
        self._units: dict[str, Conversion | None] = {}
        self.period_s: dict[str, float] = {}
        """Time between two readings that is expected of each, s."""
        self._patience: dict[str, timedelta] = {}
        for key, sensor in self.sensors.items():
            self._expect(key, sensor.period_s)

    def take(
        self,
        key: str,
        value: float | None,
        at: datetime,
        quality: int = 1,
        convert: Conversion | None = None,
        heard: datetime | None = None,
    ) -> Reading:
        """Keep a reading that was `heard` now, where that is told; `convert` where its unit is known from elsewhere than the sensor's meta.

        Raises Refusal.
        """
        track = self.tracks.get(key)
        if track is None:
            raise _unknown(key)
        if heard is not None:
            track.heard = heard
        if value is None or quality != 1:
            raise self._refused(track, at, "quality", f"value {value}, quality {quality}")
        into = convert or self._units.get(key, AS_IT_IS)
        if into is None:
            raise self._refused(track, at, "unit", "its unit is unknown or contradictory")
        converted, sensor = into(value), track.sensor
        if not sensor.low <= converted <= sensor.high:
            raise self._refused(track, at, "range", _out_of_range(sensor, converted, value))
        if track.newest_at is not None and at < track.newest_at:
            raise Refusal("old", f"{key}: older than the latest reading")
        track.take(converted, at, self._patience[key])
        return Reading(converted, at, Verdict.SUSPECT if track.doubtful else Verdict.GOOD)

    def describe(self, key: str, meta: Meta | None) -> None:
        """Learn a sensor's unit and period. Raises Refusal for a unit that is unknown or contradicts the one told before.

        Such a sensor is not used until its meta is withdrawn (None), when its own unit holds again. A reading that was taken in
        another unit than the one that now holds is forgotten.
        """
        if key not in self.sensors:
            raise _unknown(key)
        sensor, before = self.sensors[key], self._units.get(key, AS_IT_IS)
        period_s = sensor.period_s
        if meta is None:
            self._units.pop(key, None)
        else:
            told = conversion(meta.unit, sensor.unit)
            self._units[key] = told if self._units.get(key, told) == told else None
            period_s = min(meta.period_s or sensor.period_s, LONGEST_PERIOD_S)
        self._expect(key, period_s)
        holds = self._units.get(key, AS_IT_IS)
        if holds != before:
            self.tracks[key] = Track(sensor)
        if holds is None and meta is not None:
            raise Refusal("unit", f"{key}: {meta.unit!r} for {sensor.unit} is unknown or contradicts what was told before")

    def fresh(self, key: str, now: datetime) -> Reading | None:
        """Return the latest reading; None where it is stale or there never was one."""
        track = self.tracks.get(key)
        if track is None or track.newest_at is None or now - track.newest_at > self._patience[key]:
            return None
        return Reading(track.newest, track.newest_at, Verdict.SUSPECT if track.doubtful else Verdict.GOOD)

    def age_s(self, key: str, now: datetime) -> float | None:
        """Tell how old the latest reading is, s; None where there never was one."""
        track = self.tracks.get(key)
        return None if track is None or track.newest_at is None else (now - track.newest_at).total_seconds()

    def patience(self, key: str) -> timedelta:
        """Tell how long a reading stays fresh."""
        return self._patience[key]

    def _expect(self, key: str, period_s: float) -> None:
        """Expect a reading in each `period_s`."""
        self.period_s[key], self._patience[key] = period_s, timedelta(seconds=max(3 * period_s, 15.0))

    @staticmethod
    def _refused(track: Track, at: datetime, kind: str, words: str) -> Refusal:
        """Remember why a sensor that speaks is not heard."""
        track.refused = (f"{kind}: {words}", at)
        return Refusal(kind, f"{track.sensor.key}: {words}")


def _unknown(key: str) -> Refusal:
    return Refusal("unknown", f"the site has no sensor {key}")


def _out_of_range(sensor: Sensor, converted: float, told: float) -> str:
    words = f"{converted:g} {sensor.unit} is not in {sensor.low:g} to {sensor.high:g}"
    units = [unit for unit, value in fitting(told, sensor.unit) if sensor.low <= value <= sensor.high]
    return f"{words}; {told:g} would fit in {' or '.join(units)}" if units else words
