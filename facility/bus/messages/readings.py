"""What is measured and what comes from outside the fence: samples, their units, step series and grid events."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from msgspec import Meta as Rule
from msgspec import Struct

from facility.bus.messages.codec import END, Id, Instant, Milliseconds, Name, NonNegative, Payload, Positive

Quality = Annotated[int, Rule(ge=-(2**31), lt=2**31)]


class Sample(Struct, frozen=True):
    """One reading; `{"value": 1.5}` or the plain number. A `null`, or a quality other than 1, is not used."""

    value: float | None
    timestamp: Milliseconds | None = None
    quality: Quality = 1


class Batch(Struct, frozen=True):
    """Many readings of one instant, by `asset_type/asset/point`."""

    values: dict[Name, float | None]
    timestamp: Milliseconds | None = None
    quality: Quality = 1


class Meta(Payload, frozen=True, kw_only=True):
    """What a point measures."""

    unit: Name
    period_s: Positive | None = None
    low: float | None = None
    high: float | None = None
    feeder: Id | None = None


class Step(Payload, frozen=True, kw_only=True):
    """One value during the half-open interval [start, end)."""

    start: Instant
    end: Instant
    value: float


def refuse_disorder(points: tuple[Step, ...]) -> None:
    """Raise ValueError unless `points` are by rising time, without overlap."""
    backward = any(step.end <= step.start for step in points)
    if backward or any(later.start < step.end for step, later in pairwise(points)):
        raise ValueError("points must be by rising time, without overlap")


class Series(Payload, frozen=True, kw_only=True):
    """A step series: by rising time, without overlap; a gap is a gap."""

    unit: Name
    points: tuple[Step, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_disorder(self.points)


class GridLimit(Series, frozen=True, kw_only=True):
    """Most that may be imported."""

    unit: Literal["kW"] = "kW"


class GridPrice(Series, frozen=True, kw_only=True):
    """Price of energy, in the site's currency per MWh."""

    unit: Annotated[str, Rule(pattern=rf"^[A-Z]{{3}}/MWh{END}")]


class GridCarbon(Series, frozen=True, kw_only=True):
    """Carbon intensity of the grid."""

    unit: Literal["g/kWh"] = "g/kWh"


class WeatherSignal(Series, frozen=True, kw_only=True):
    """Outdoor temperature, as forecast."""

    unit: Literal["degC"] = "degC"


class LoadSignal(Series, frozen=True, kw_only=True):
    """Power of what the service does not control, as forecast."""

    unit: Literal["kW"] = "kW"


class GridEvent(Payload, frozen=True, kw_only=True):
    """A called reduction: a target, or a percentage of the baseline, with its ramp in and out."""

    start: Instant
    end: Instant
    target_kw: NonNegative | None = None
    reduction_pct: Annotated[float, Rule(ge=0, le=100)] | None = None
    ramp_min: NonNegative = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.end <= self.start:
            raise ValueError("end must be after start")
        if (self.target_kw is None) == (self.reduction_pct is None):
            raise ValueError("give exactly one of target_kw and reduction_pct")
