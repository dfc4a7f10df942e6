"""What is kept of the readings, and for how long."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facility.site.part import Part, Positive


class Retention(Part):
    """How long the history keeps readings, and means in place of them."""

    raw_days: Positive = Field(default=7.0, description="how long every reading is kept")
    minute_days: Positive = Field(default=90.0, description="age up to which there are means of a minute; older ones are of 15 minutes")
    quarter_days: Positive = Field(default=1826.0, description="age beyond which nothing is kept")
    usage_days: Annotated[float, Field(ge=397, allow_inf_nan=False)] = Field(
        default=800.0, description="how long the journal keeps who had what, by quarter of an hour; at least 13 months"
    )
