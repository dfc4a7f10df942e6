"""Our own tree as a source: samples, batches and descriptions of points, and what batteries and cooling plants report of themselves.

A reading that arrives retained counts only with its timestamp: without one nobody knows since when it is true.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from msgspec import Struct

from facility.bus import messages as m
from facility.bus.topics import Topics
from facility.site import Site
from facility.telemetry.readings import AS_IT_IS, Refusal
from facility.telemetry.routes import Described, Route, Told

T = TypeVar("T", bound=Struct)
MOST_KEYS = 10_000
NAMES = ("tele", "batch", "meta", "battery_reported", "cooling_reported")


class OwnTree:
    """A `Source`: the rows of the topic table that carry readings."""

    def __init__(self, site: Site) -> None:
        self._topics = Topics(site.bus.root, site.id)
        self.patterns = tuple(dict.fromkeys(pattern for name in NAMES for pattern in self._topics.patterns(name)))

    def route(self, topic: str) -> Route | None:
        """See `Source.route`."""
        match self._topics.parse(topic):
            case "tele", {"hall": hall, "asset_type": kind, "asset": asset, "point": point}:
                return _sample(f"{hall}/{kind}/{asset}/{point}")
            case "batch", {"hall": hall}:
                return _batch(hall)
            case "meta", {"hall": hall, "asset_type": kind, "asset": asset, "point": point}:
                return _description(f"{hall}/{kind}/{asset}/{point}")
            case "battery_reported", {"battery": battery}:
                return _battery(f"site/battery/{battery}")
            case "cooling_reported", {"plant": plant}:
                return _cooling(f"site/cooling/{plant}")
        return None


def decoded(payload: bytes, kind: type[T]) -> T:
    """Decode a payload, or raise `Refusal` for a malformed one."""
    try:
        return m.decode(payload, kind)
    except m.Rejected as rejected:
        raise Refusal("malformed", rejected.reason) from None


def _sample(key: str) -> Route:
    def told(payload: bytes, retained: bool) -> Iterable[Told]:
        sample = decoded(payload, m.Sample)
        _of_known_age(sample.timestamp, retained)
        return (Told({key: sample.value}, sample.timestamp, sample.quality),)

    return told


class _Keys(dict[str, str]):
    """The keys of a hall's points, made once as far as memory goes."""

    def __init__(self, hall: str) -> None:
        super().__init__()
        self._hall = hall

    def __missing__(self, point: str) -> str:
        key = f"{self._hall}/{point}"
        if len(self) < MOST_KEYS:
            self[point] = key
        return key


def _batch(hall: str) -> Route:
    keys = _Keys(hall)

    def told(payload: bytes, retained: bool) -> Iterable[Told]:
        batch = decoded(payload, m.Batch)
        _of_known_age(batch.timestamp, retained)
        return (Told({keys[point]: value for point, value in batch.values.items()}, batch.timestamp, batch.quality),)

    return told


def _description(key: str) -> Route:
    def told(payload: bytes, _retained: bool) -> Iterable[Described]:
        return (Described(key, decoded(payload, m.Meta) if payload else None),)

    return told


def _battery(place: str) -> Route:
    def told(payload: bytes, _retained: bool) -> Iterable[Told]:
        if not payload:
            return ()
        report = decoded(payload, m.BatteryReported)
        return (_device(place, report.timestamp, energy_kwh=report.energy_kwh, power_kw=report.power_kw),)

    return told


def _cooling(place: str) -> Route:
    def told(payload: bytes, _retained: bool) -> Iterable[Told]:
        if not payload:
            return ()
        report = decoded(payload, m.CoolingReported)
        return (_device(place, report.timestamp, power_kw=report.power_kw, stored_kwh=report.stored_kwh),)

    return told


def _device(place: str, at_ms: int, **values: float | None) -> Told:
    """What a device reported under names that carry their unit; what it left out is nothing amiss."""
    return Told({f"{place}/{point}": value for point, value in values.items() if value is not None}, at_ms, convert=AS_IT_IS)


def _of_known_age(timestamp_ms: int | None, retained: bool) -> None:
    if retained and timestamp_ms is None:
        raise Refusal("old", "retained, and without a timestamp nobody knows since when")
