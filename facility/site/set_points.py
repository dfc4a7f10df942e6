"""Set-points: where a gateway of the building, to BACnet or Modbus, takes what the service orders, and tells what it took.

One rule is one set-point. `{value}` in a payload is the number as the gateway counts it; everything else is sent as it stands.

    gateway's count = (value in `unit`) / scale          rounded where `whole`
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facility.site.part import Finite, NonNegative, Part, Positive

Text = Annotated[str, Field(min_length=1, max_length=1000)]


class ReadBack(Part):
    """Where the gateway tells what a point is set to."""

    topic: Text = Field(description="one topic, without + and #")
    value: Text | None = Field(default=None, description="path of the value; left out: the payload is the value")


class SetPointRule(Part):
    """From an order of the service to a point of the building."""

    order: Text = Field(
        description="cooling/PLANT/HALL/temperature_c, cooling/PLANT/supply_c, cooling/PLANT/store_kw, battery/ID/power_kw, "
        "genset/ID/power_kw or solar/ID/limit_kw"
    )
    topic: Text = Field(description="where the gateway takes it")
    payload: Text = Field(default="{value}", description='what is sent, such as {"value": {value}, "priority": 15}')
    release: Text | None = Field(
        default=None, description='what hands the point back to local control, such as {"value": null}; left out: it stays as it is'
    )
    unit: Text = Field(description="of the gateway: W, kW, MW, degC, degF or K")
    scale: Finite = Field(default=1.0, description="what one of the gateway's counts is in `unit`")
    whole: bool = Field(default=False, description="the gateway takes whole counts, as a register of Modbus does")
    low: Finite = Field(description="least that is ever written, in the order's unit")
    high: Finite = Field(description="most that is ever written, in the order's unit")
    most_per_min: Positive | None = Field(default=None, description="how fast it may move, in the order's unit per minute")
    read_back: ReadBack | None = Field(default=None, description="absent: nobody tells whether it was taken")
    within: NonNegative = Field(default=0.1, description="how far the read-back may be from what was written, in the order's unit")
    answers_s: Positive = Field(default=10.0, description="within so many seconds the read-back follows what was written")
    yields_s: Positive = Field(default=900.0, description="after somebody else has set the point it is left alone for so long, seconds")
