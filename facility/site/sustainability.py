"""Sustainability: what a site's key figures are made of and no other part says. What is absent is not known, and is told as not known."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from facility.site.part import Id, NonNegative, Part, Positive, Share


class WaterMeter(Part):
    """A meter of water at the site's boundary: the point `site/water/ID/flow_m3_per_h`."""

    most_m3_per_h: Positive = Field(description="most that can flow, m3/h")
    flows: Literal["in", "out"] = Field(default="in", description="out: water that leaves to be used again elsewhere, such as for irrigation")
    potable: bool = Field(default=False, description="true: it is drinking water")


class HeatMeter(Part):
    """A meter of heat that is used outside of the data centre: the points `site/heat/ID/reused_kw` and `site/heat/ID/supply_c`."""

    most_kw: Positive = Field(description="most heat that can be taken, kW")


class Renewables(Part):
    """Contracts of renewable electricity, as shares of the energy that is imported."""

    guarantees_of_origin_share: Share | None = Field(default=None, description="covered by guarantees of origin that were bought and cancelled")
    power_purchase_share: Share | None = Field(default=None, description="of power purchase agreements, whose own guarantees count here only")

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Renewables:
        if (self.guarantees_of_origin_share or 0.0) + (self.power_purchase_share or 0.0) > 1 + 1e-9:
            raise ValueError("guarantees_of_origin_share and power_purchase_share together are more than 1; count no kWh twice")
        return self


class Sustainability(Part):
    """What reports of key figures need (ISO/IEC 30134, Delegated Regulation (EU) 2024/1364)."""

    it_metered_at: Literal["ups-output", "pdu-output", "equipment-input"] | None = Field(
        default=None, description="where the meters of pools, it_power_kw, sit: it is the category of the PUE, 1 to 3; absent: a PUE without one"
    )
    design_pue: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = Field(
        default=None, description="the annual PUE that the site was designed for, at its designed load"
    )
    installed_it_kw: Positive | None = Field(
        default=None, description="nominal power of servers, network and storage, kW; absent: that of the pools, every GPU at its highest cap"
    )
    water_meters: dict[Id, WaterMeter] = Field(default={}, description="absent: nobody measures water")
    heat_meters: dict[Id, HeatMeter] = Field(default={}, description="absent: nobody measures heat that is used again")
    renewables: Renewables = Renewables()
    floor_area_m2: Positive | None = Field(default=None, description="of the whole data centre, m2")
    computer_room_m2: Positive | None = Field(default=None, description="of its computer rooms, m2")
    intake_set_point_c: Annotated[float, Field(ge=-20, le=80)] | None = Field(
        default=None, description="mean set-point of the air that the equipment takes in, degC"
    )
    refrigerants: tuple[str, ...] | None = Field(default=None, description="of the chillers, such as R-1234ze; an empty list: none")
    incoming_gbps: NonNegative | None = Field(default=None, description="bandwidth of incoming traffic, Gbit/s")
    outgoing_gbps: NonNegative | None = Field(default=None, description="bandwidth of outgoing traffic, Gbit/s")
    storage_pb: NonNegative | None = Field(default=None, description="installed storage, petabytes")
