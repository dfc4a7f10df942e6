"""Reserve: power sold to the grid's operator, to be taken off the grid or put on it when it calls."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from facility.site.part import LocalTime, NonNegative, Part, Positive


class ReserveWindow(Part):
    """What was sold for a daily window of the site's local clock; half-open."""

    from_local: LocalTime
    to_local: LocalTime
    committed_kw: Positive


class Reserve(Part):
    """A product of the grid's operator."""

    direction: Literal["up", "down"] = Field(description="up: the site draws less when called; down: it draws more")
    duration_min: Positive = Field(description="longest call, min")
    price_per_mw_h: NonNegative = Field(default=0.0, description="paid for holding, per MW and hour")
    most_kw: NonNegative = Field(default=0.0, description="most that can be sold in all, kW; what is committed can always be")
    committed: tuple[ReserveWindow, ...] = Field(default=(), description="what is sold already; of windows that meet, the highest")
