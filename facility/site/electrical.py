"""Electrical gear: the feeder tree and batteries."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facility.site.part import Id, NonNegative, Part, Positive, Share


class Feeder(Part):
    """A node of the electrical tree: utility feed, transformer, UPS, busway or PDU."""

    rating_kw: Positive = Field(description="continuous rating, kW")
    parent: Id | None = Field(default=None, description="the feeder this one hangs under; none for the root")
    loss_share: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        default=0.0, description="losses as a share of what passes to its load side"
    )
    worst_case_margin: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="share of the rating that the worst case (every GPU at its cap) may reach"
    )
    redundancy_group: Id | None = Field(
        default=None,
        description="feeders of one group back each other: without any one of them the others carry the whole group's load (N-1)",
    )


class Battery(Part):
    """A battery beside the load."""

    feeder: Id
    capacity_kwh: Positive
    charge_kw: Positive = Field(description="most it takes in, kW")
    discharge_kw: Positive = Field(description="most it gives, kW")
    efficiency: Annotated[float, Field(gt=0, le=1)] = Field(default=0.96, description="one way")
    min_share: Share = Field(default=0.1, description="share of capacity that is never used")
    start_share: Share = Field(default=0.5, description="share of capacity assumed where none was measured")
    wear_price_per_mwh: NonNegative = Field(default=0.0, description="per MWh discharged")
    ride_through_min: NonNegative = Field(
        default=0.0, description="minutes for which what is stored must carry the worst case of its feeder, min"
    )
    ride_through_feeder: Id | None = Field(default=None, description="the feeder it is to carry; absent: its own")


class Solar(Part):
    """A photovoltaic plant beside the load."""

    feeder: Id
    peak_kw: Positive = Field(description="rated output, kW (kWp)")
    output_by_hour_kw_per_kwp: Annotated[
        tuple[Annotated[float, Field(ge=0, le=1.5)], ...], Field(min_length=24, max_length=24)
    ] = Field(description="24 values by the site's local hour, kW per kWp, used where no --solar file is given")
    metered: bool = Field(default=False, description="true: a meter tells what it gives, the point `site/solar/ID/power_kw`")


class Genset(Part):
    """A generator that burns fuel, beside the load."""

    feeder: Id
    max_kw: Positive = Field(description="most it gives, kW")
    min_load_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.3, description="least it gives while it runs, of max_kw"
    )
    fuel_price_per_mwh: NonNegative = Field(description="fuel and upkeep per MWh given")
    start_cost: NonNegative = Field(default=0.0, description="per start")
    min_run_h: NonNegative = Field(default=0.0, description="hours that it runs at least once it has started, h")
    run_hours_left: NonNegative | None = Field(
        default=None,
        description="hours that its permit leaves it this calendar year, h, less what the daemon counts; one plan may use all; absent: any",
    )
    carbon_g_per_kwh: NonNegative = Field(default=0.0, description="CO2 per kWh given, g/kWh")
    metered: bool = Field(default=False, description="true: a meter tells what it gives, the point `site/genset/ID/power_kw`")
