"""What is kept of the readings, and for how long."""

from __future__ import annotations

from pydantic import Field

from facility.site.part import Part, Positive


class Retention(Part):
    """How long the history keeps readings, and means in place of them."""

    raw_days: Positive = Field(default=7.0, description="how long every reading is kept")
    minute_days: Positive = Field(default=90.0, description="age up to which there are means of a minute; older ones are of 15 minutes")
    quarter_days: Positive = Field(default=1826.0, description="age beyond which nothing is kept")
