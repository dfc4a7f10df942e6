"""Part: what every part of a site file has in common, and the kinds of value that its keys take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Watts = Annotated[int, Field(ge=0, le=10_000)]
LocalTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
GpusByHour = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=24, max_length=24)]
ByHour = Annotated[tuple[Finite, ...], Field(min_length=24, max_length=24)]


class Part(BaseModel):
    """What every part of a site file has in common: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
