"""What is known of one sensor beyond what every site has: others beside it, and how it moves. In the sensor's own unit."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facility.site.part import NonNegative, Part, Positive

SensorKey = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9_-]*$")]


class SensorRules(Part):
    """One sensor, by its key `hall/asset_type/asset/point`. What is absent is as `facility/sensors.py` says of its quantity."""

    redundant: tuple[SensorKey, ...] = Field(
        default=(), description="keys of sensors of the same quantity: of three the median counts, of two that agree the mean"
    )
    absent: bool = Field(
        default=False, description="true: the building has no such sensor; nobody waits for it, and what stands in for it is no alarm"
    )
    tolerance: Positive | None = Field(default=None, description="how far sensors of one quantity may differ, in its unit")
    step: Positive | None = Field(default=None, description="most that it may leap between two readings unconfirmed, in its unit")
    per_s: NonNegative | None = Field(default=None, description="most that it may move beside for each second between them, in its unit")
    still_after: Annotated[int, Field(ge=2)] | None = Field(
        default=None, description="readings without any change after which it counts as stuck, where it usually moves"
    )
