"""The tariff: what energy, what is given back, peaks and the connection cost, by windows of the site's local clock."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from facility.site.part import ByHour, Finite, Id, NonNegative, Part, Share

QuarterTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):(00|15|30|45)$|^24:00$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Month = Annotated[int, Field(ge=1, le=12)]
Date = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]


class Window(Part):
    """A part of the local calendar, half-open on every day: where nothing is said, all of it."""

    from_local: QuarterTime = "00:00"
    to_local: QuarterTime = "24:00"
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1)] | None = Field(default=None, description="absent: every day")
    months: Annotated[tuple[Month, ...], Field(min_length=1)] | None = Field(default=None, description="1 to 12; absent: every month")
    dates: Annotated[tuple[Date, ...], Field(min_length=1)] | None = Field(default=None, description="local dates; absent: every date")


class EnergyWindow(Window):
    """A window with an energy price of its own."""

    energy_price_per_mwh: Finite


class FeeWindow(Window):
    """A window with a network fee, on top of `fees_per_mwh`."""

    fee_per_mwh: Finite


class DemandCharge(Window):
    """Money per kW of the month's highest billing-interval mean in a window; for a coincident peak, the price that is expected."""

    price_per_kw: NonNegative
    ratchet_share: Share = Field(default=0.0, description="share of highest_of_year_kw that is charged at least")
    highest_of_year_kw: NonNegative = Field(default=0.0, description="highest mean of the past months, kW")


class Tariff(Part):
    """What energy and peaks cost; a price file stands in place of the energy price. Paid is (energy + fees) * (1 + tax)."""

    energy_price_per_mwh: Finite | None = None
    energy_price_by_hour_per_mwh: ByHour | None = Field(default=None, description="24 values, by the site's local hour")
    windows: tuple[EnergyWindow, ...] = Field(default=(), description="where the energy price is another; the first that holds counts")
    fees_per_mwh: Finite = Field(default=0.0, description="levies and the like on top of the energy price")
    network_fee_windows: tuple[FeeWindow, ...] = Field(default=(), description="network fees by time; the first that holds counts")
    tax_share: NonNegative = Field(default=0.0, description="of energy price and fees together")
    export_price_per_mwh: Finite | None = Field(default=None, description="for what is given back; absent: the energy price")
    export_fee_per_mwh: Finite | None = Field(default=None, description="what the energy price is lessened by for what is given back")
    peak_price_per_kw: NonNegative = Field(default=0.0, description="for the highest billing-interval mean of the month")
    demand_charges: dict[Id, DemandCharge] = Field(default={}, description="peaks by window, in place of peak_price_per_kw")
    billing_interval_min: Literal[5, 15, 30, 60] = Field(default=15, description="length of a billing interval, by the wall clock")
    coarse_step_margin_share: Share = Field(
        default=0.02, description="what a step longer than a billing interval is taken to hide of a peak inside it"
    )
    imbalance_premium_per_mwh: Annotated[float, Field(ge=0, le=10_000)] | None = Field(
        default=None, description="what a MWh off the committed position costs beyond its price, short or long"
    )
    water_price_per_m3: NonNegative = Field(default=0.0, description="of water that cooling plants evaporate, sewage included")
    standing_charge_per_month: NonNegative = Field(default=0.0, description="paid whatever is drawn; reported, not optimised")

    @model_validator(mode="after")
    def _one_energy_price(self) -> Tariff:
        if (self.energy_price_per_mwh is None) == (self.energy_price_by_hour_per_mwh is None):
            raise ValueError("give exactly one of energy_price_per_mwh and energy_price_by_hour_per_mwh")
        return self
