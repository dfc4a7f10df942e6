"""The grid connection: limits and carbon."""

from __future__ import annotations

from pydantic import Field

from facility.site.part import Id, LocalTime, NonNegative, Part, Positive
from facility.site.reserve import Reserve


class LimitWindow(Part):
    """A daily window with a limit of its own, by the site's local clock; half-open."""

    from_local: LocalTime
    to_local: LocalTime
    import_limit_kw: Positive


class Feed(Part):
    """One of several connections to the grid."""

    feeder: Id = Field(description="the root of the feeders that hang on it")
    import_limit_kw: Positive = Field(description="most that may be drawn through it, kW")


class Grid(Part):
    """The grid connection."""

    feed: Id = Field(default="main", description="name of the meter; of the sum where there are several feeds")
    import_limit_kw: Positive = Field(description="most that may be drawn, kW; the sum where there are several feeds")
    feeds: dict[Id, Feed] = Field(default={}, description="where there are several connections: each with a root of its own")
    limit_windows: tuple[LimitWindow, ...] = Field(
        default=(), description="daily windows with a limit of their own; the lower of the two counts"
    )
    export_limit_kw: NonNegative = Field(default=0.0, description="most that may be given back, kW; 0: nothing")
    ramp_kw_per_h: Positive | None = Field(default=None, description="fastest change of the import, kW/h; absent: any")
    reserves: dict[Id, Reserve] = Field(default={}, description="products that the site sells to the grid's operator")


class Carbon(Part):
    """Carbon: intensity of the grid where no file says otherwise, what emitting costs, and how much is promised at most."""

    intensity_g_per_kwh: NonNegative = 0.0
    price_per_tonne: NonNegative = Field(default=0.0, description="for each tonne that the energy drawn and the gensets' fuel emit")
    cap_kg_per_day: NonNegative | None = Field(default=None, description="most that a day may emit, kg; a plan has its share by the hour")
