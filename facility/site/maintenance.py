"""Maintenance: GPUs that leave and return, at a fixed time or when it costs least; those that leave for good, and those that are still to come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field, model_validator

from facility.site.part import Id, Part, Positive


def _instant(value: object) -> object:
    remedy = "write an instant with an offset, in quotes, such as '2026-07-15T08:00+02:00'"
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(remedy) from None
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise ValueError(remedy)
    return found


Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]

EVER_SINCE, FOR_GOOD = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""What stands for a beginning, and for an end, that nobody names."""


class Maintenance(Part):
    """A repair or a refresh of hardware: at a fixed time, or `hours` somewhere between `earliest` and `latest`.

    At a fixed time GPUs are out from `start` to `end`. Without `end` they leave for good, without `start` they are not there before.
    """

    pool: Id
    gpus: Annotated[int, Field(gt=0)] = Field(description="GPUs that are out, whichever they are")
    start: Instant | None = Field(default=None, description="when they leave; absent, with an end: they are not there before it")
    end: Instant | None = Field(default=None, description="when they are back; absent, with a start: they leave for good")
    hours: Positive | None = Field(default=None, description="how long they are out without a break, h")
    earliest: Instant | None = Field(default=None, description="when they may leave at the earliest")
    latest: Instant | None = Field(default=None, description="when they must be back at the latest")
    penalty_per_gpu_h: Positive = Field(default=50.0, description="for each GPU hour of a window that cannot be had")

    @property
    def fixed(self) -> tuple[datetime, datetime] | None:
        """The half-open interval in which its GPUs are out; None where that is still to be found."""
        return None if self.hours else (self.start or EVER_SINCE, self.end or FOR_GOOD)

    def takes(self, pool: str, at: datetime) -> int:
        """How many GPUs of a pool are out at an instant; 0 where its time is not fixed."""
        fixed = self.fixed
        return self.gpus if pool == self.pool and fixed is not None and fixed[0] <= at < fixed[1] else 0

    @model_validator(mode="after")
    def _fixed_or_free(self) -> Maintenance:
        fixed, free = (self.start, self.end), (self.hours, self.earliest, self.latest)
        if not (any(fixed) and not any(free)) and not (all(free) and not any(fixed)):
            either = "a maintenance has either start and end, or hours, earliest and latest"
            raise ValueError(f"{either}; start alone is for good, end alone is not there before")
        if self.start and self.end and self.end <= self.start:
            raise ValueError("end must come after start")
        if self.hours and self.earliest and self.latest and self.latest - self.earliest < timedelta(hours=self.hours):
            raise ValueError("between earliest and latest there must be room for its hours")
        return self
