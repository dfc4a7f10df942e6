"""Mapping: how topics that are not ours become readings. A rule is one kind of value in one kind of message.

A rule says which topics, where in their messages the values stand, what they measure, and of which sensor. Names in braces are
captured, from levels of the topic, names in the message or fields beside the value, and name the sensor. Paths are those of
`facility.telemetry.paths`; they begin at one item of `each`, or with `$.` at the message. What several rules have in common stands
once, in a format that they name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from facility.site.part import Finite, Part, Positive

Text = Annotated[str, Field(min_length=1, max_length=1000)]
HOLE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class Timestamp(Part):
    """When a value was measured; without it: when the message arrived."""

    path: Text = Field(description="where it stands")
    unit: Literal["s", "ms", "us", "ns", "iso"] = Field(description="since 1970, or iso: a text of ISO 8601 with its offset from UTC")


class Quality(Part):
    """What the sender thinks of a value."""

    path: Text = Field(description="where it stands")
    good: Annotated[tuple[Text, ...], Field(min_length=1)] = Field(
        description='texts that mean good, such as ["GOOD", "192", "true"]; "null": nothing stands there'
    )


class Format(Part):
    """What messages of one kind have in common, whatever they measure."""

    each: Text | None = Field(default=None, description="where the items stand, for messages with several; paths then begin at an item")
    captures: dict[Text, Text] = Field(default={}, description="name: path of a text beside the value that is captured")
    timestamp: Timestamp | None = Field(default=None, description="when it was measured; left out: when it arrives")
    quality: Quality | None = Field(default=None, description="what the sender thinks of it; left out: every value is used")
    unit: Text | None = Field(default=None, description="W, kW, MW, Wh, kWh, MWh, degC, degF or K; needed unless states are given")
    period_s: Positive | None = Field(default=None, description="expected time between two readings; stale after three, at least 15 s")


class MappingRule(Format):
    """From topics of a building to readings of sensors."""

    format: Text | None = Field(default=None, description="the one of bus.formats that says what this rule leaves out")
    topic: Text = Field(description="levels by /; + is any level, {name} one that is captured, # at the end all that follow")
    sensor: Text = Field(description="type/asset/point, such as pool/{asset}/it_power_kw")
    value: Text | None = Field(default=None, description="where the value stands; left out: the payload is the value")
    where: dict[Text, str] = Field(default={}, description="path: text; only items in which all of them hold")
    names: dict[Text, Text] = Field(
        default={}, description="what the building calls an asset: its id here; with it, others are not read"
    )
    scale: Finite = Field(default=1.0, description="what one of the sender's counts is in `unit`")
    states: dict[str, Finite] = Field(default={}, description="text: number in the sensor's unit, for what is told in words")
    low: Finite | None = Field(default=None, description="least that is believed, in the sensor's unit; narrows the sensor's own range")
    high: Finite | None = Field(default=None, description="most that is believed, in the sensor's unit")
    redundant: bool = Field(default=False, description="another rule tells the same sensor too; the newest reading counts")

    def in_full(self, formats: Mapping[str, Format]) -> MappingRule:
        """Return it with what its format says of what it leaves out."""
        if self.format is None:
            return self
        form = formats[self.format]
        given = {name: getattr(form, name) for name in Format.model_fields if name not in self.model_fields_set}
        return self.model_copy(update=given | {"captures": form.captures | self.captures})

    def tells(self, asset_type: str, asset: str, point: str) -> bool:
        """Whether a sensor may be told by it."""
        return reaches(self.sensor, self.names, (asset_type, asset, point))


def reaches(template: str, names: Mapping[str, str], sensor: tuple[str, str, str]) -> bool:
    """Whether a template of a rule with these `names` may become `sensor`, its type, asset and point.

    >>> reaches("pool/{asset}/it_power_kw", {}, ("pool", "h1-a", "it_power_kw"))
    True
    """
    levels = template.split("/")
    return len(levels) == 3 and all(
        (not names or level in names.values()) if HOLE.fullmatch(part) else part == level
        for part, level in zip(levels, sensor, strict=True)
    )
