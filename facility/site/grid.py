"""The grid connection: limits, prices, carbon."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from facility.site.part import ByHour, Finite, Id, LocalTime, NonNegative, Part, Positive
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


class Tariff(Part):
    """What energy and peaks cost where no price file says otherwise."""

    energy_price_per_mwh: Finite | None = None
    energy_price_by_hour_per_mwh: ByHour | None = Field(default=None, description="24 values, by the site's local hour")
    export_price_per_mwh: Finite | None = Field(default=None, description="for what is given back; absent: the energy price")
    export_fee_per_mwh: Finite | None = Field(default=None, description="what the energy price is lessened by for what is given back")
    peak_price_per_kw: NonNegative = Field(default=0.0, description="for the highest billing-interval mean of the month")
    imbalance_premium_per_mwh: Annotated[float, Field(ge=0, le=10_000)] | None = Field(
        default=None, description="what a MWh off the committed position costs beyond its price, short or long"
    )
    water_price_per_m3: NonNegative = Field(default=0.0, description="of water that cooling plants evaporate, sewage included")

    @model_validator(mode="after")
    def _one_energy_price(self) -> Tariff:
        if (self.energy_price_per_mwh is None) == (self.energy_price_by_hour_per_mwh is None):
            raise ValueError("give exactly one of energy_price_per_mwh and energy_price_by_hour_per_mwh")
        return self


class Carbon(Part):
    """Carbon intensity of the grid where no file says otherwise."""

    intensity_g_per_kwh: NonNegative = 0.0
