"""What a building management system publishes: values, and metadata that says what they are. Source: `facility.dsx.facts`.

Only what is needed to make a reading is asked of metadata: types that agree with the topic, an identifier, a unit.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct, field

from facility.bus.messages.codec import Milliseconds
from facility.bus.messages.readings import Quality
from facility.dsx import facts


class Value(Struct, frozen=True):
    """A live value; null where there is no valid reading."""

    value: float | None
    timestamp: Milliseconds
    quality: Quality


class State(Struct, frozen=True):
    """What one value of a state means."""

    value: int
    text: str


class Metadata(Struct, frozen=True):
    """What a point is. It has an engineering unit, or states; it is of a rack, an object, or associated with one."""

    object_type: str = field(name="objectType")
    point_type: str = field(name="pointType")
    unit: str | None = field(name="engUnit", default=None)
    states: tuple[State, ...] | None = field(name="stateText", default=None)
    rack: str | None = field(name="rackLocationId", default=None)
    object: str | None = field(name="objectId", default=None)
    associate: str | None = field(name="associateId", default=None)
    process_area: tuple[str, ...] = field(name="processArea", default=())
    is_setpoint: bool = field(name="isSetpoint", default=False)
    integration: str | None = None

    @property
    def id(self) -> str | None:
        """What the point is of: the rack, else the object, else the one it is associated with."""
        return self.rack or self.object or self.associate


class Point(NamedTuple):
    """A point by the levels of its topics."""

    object_type: str
    point_type: str
    tag: str


def pattern(kind: str, object_type: str, point_type: str) -> str:
    """What to subscribe to for `facts.VALUE` or `facts.METADATA` of all points of two types.

    >>> pattern("Value", "Rack", "RackPower")
    'BMS/v1/PUB/Value/Rack/RackPower/#'
    """
    return f"{facts.BMS}/{kind}/{object_type}/{point_type}/#"


def parse(topic: str) -> tuple[str, Point] | None:
    """Tell the kind and the point of a topic; None where it is none of the building management system's.

    >>> parse("BMS/v1/PUB/Value/Rack/RackPower/site1/row3/r07")
    ('Value', Point(object_type='Rack', point_type='RackPower', tag='site1/row3/r07'))
    """
    prefix = f"{facts.BMS}/"
    levels = topic.removeprefix(prefix).split("/", 3)
    if not topic.startswith(prefix) or len(levels) < 4 or levels[0] not in {facts.METADATA, facts.VALUE} or not all(levels):
        return None
    kind, object_type, point_type, tag = levels
    return kind, Point(object_type, point_type, tag)
