"""NVIDIA DSX Exchange: who we are there, whose orders count, and which points of the building are our sensors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from facility.site.part import Part, Positive

Level = Annotated[str, Field(pattern=r"^[^/+#\s]+$", max_length=128)]
"""One level of a topic, in the exchange's own spelling."""
Pattern = Annotated[str, Field(pattern=r"^\S+$", max_length=256)]


class Peer(Part):
    """Another party of the exchange."""

    keys: str | None = Field(
        default=None, description="file of its public keys, a JWK set: what it sends must be signed; absent: it must not be"
    )


class BmsPoint(Part):
    """Points of the building management system that are one of our sensors, or several with the same shape."""

    object_type: Level = Field(description="object type, such as PowerMeter")
    point_type: Level = Field(description="point type, such as ActivePower")
    id: Pattern = Field(
        description="the metadata's rackLocationId, objectId or associateId; `*` is any text, `{name}` an id of ours to use in sensor"
    )
    process_area: tuple[str, ...] = Field(default=(), description="process areas that the metadata must name, such as Secondary")
    sensor: Pattern = Field(description="the sensor, as hall/asset_type/asset/point; `{name}` is what id found there")
    sum_of: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1, description="how many points make up the sensor, such as the racks of a pool; it is unknown while one is missing"
    )


class Dsx(Part):
    """The site's part in NVIDIA DSX Exchange."""

    agent: Level = Field(description="our identifier as a flex agent, as registered with the exchange")
    feed_tag: Level | None = Field(default=None, description="what the exchange calls the grid connection; absent: grid.feed")
    signing_key: str | None = Field(default=None, description="file of our private key, a JWK: what we send is signed; absent: it is not")
    isvs: dict[Level, Peer] = Field(default={}, description="who may set load targets, by identifier")
    infra_agents: dict[Level, Peer] = Field(default={}, description="who tells of enforcement on the hardware, by identifier")
    status_every_s: Positive = Field(default=60.0, description="how often the power state is told where nothing changes, s")
    breach_after_s: Positive = Field(default=60.0, description="how long the meter must be above a target, or within it again, s")
    breach_escalates_after_s: Positive = Field(default=300.0, description="how long a breach lasts before it is escalated, s")
    infrastructure_actions: tuple[Literal["SHUTDOWN_NODES", "SHUTDOWN_RACKS", "CUT_DATA_FEEDS", "TRIP_BREAKERS"], ...] = Field(
        default=(), description="what we recommend in a breach, mildest first: the first of them, and all once it is escalated"
    )
    points: tuple[BmsPoint, ...] = Field(default=(), description="which points are our sensors; the first rule that fits counts")
