"""NVIDIA DSX Exchange: who we are there, whose orders count, and which points of the building are our sensors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from facility.site.access import File
from facility.site.part import Part, Positive

Level = Annotated[str, Field(pattern=r"^[^/+#\s]+$", max_length=128)]
"""One level of a topic, in the exchange's own spelling."""
Pattern = Annotated[str, Field(pattern=r"^\S+$", max_length=256)]


class Peer(Part):
    """Another party of the exchange."""

    keys_file: File | None = Field(
        default=None, description="file of its public keys, a JWK set: what it sends must be signed; absent: it must not be"
    )


class BmsPoint(Part):
    """Points of the building management system that are one of our sensors, or several with the same shape."""

    object_type: Level = Field(description="object type, such as PowerMeter")
    point_type: Level = Field(description="point type, such as ActivePower")
    id: Pattern = Field(
        description="the metadata's rackLocationId, objectId or associateId; `*` is any text, `{name}` one that is captured for sensor"
    )
    process_area: tuple[str, ...] = Field(default=(), description="process areas that the metadata must name, such as Secondary")
    sensor: Pattern = Field(description="type/asset/point, such as feeder/{asset}/power_kw; `{name}` is what id captured")
    names: dict[str, str] = Field(default={}, description="what the building calls an asset: its id here; with it, others are not read")
    sum_of: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1, description="how many points make up the sensor, such as the racks of a pool; it is unknown while one is missing"
    )


class Dsx(Part):
    """The site's part in NVIDIA DSX Exchange."""

    agent: Level = Field(description="our identifier as a flex agent, as registered with the exchange")
    feed_tag: Level | None = Field(default=None, description="what the exchange calls the grid connection, all feeds together; absent: grid.feed")
    signing_key_file: File | None = Field(
        default=None, description="file of our private key, a JWK, for nobody but us to read: what we send is signed; absent: it is not"
    )
    isvs: dict[Level, Peer] = Field(default={}, description="who may set load targets, by identifier")
    infra_agents: dict[Level, Peer] = Field(default={}, description="who tells of enforcement on the hardware, by identifier")
    integration: Level | None = Field(
        default=None, description="our name as an integration of the building management system, for heartbeats; absent: it has none"
    )
    status_every_s: Positive = Field(default=60.0, description="how often the power state is told where nothing changes, s")
    breach_after_s: Positive = Field(default=60.0, description="how long the meter must be above a target, or within it again, s")
    breach_escalates_after_s: Positive = Field(default=300.0, description="how long a breach lasts before it is escalated, s")
    infrastructure_actions: tuple[Literal["SHUTDOWN_NODES", "SHUTDOWN_RACKS", "CUT_DATA_FEEDS", "TRIP_BREAKERS"], ...] = Field(
        default=(), description="what we recommend in a breach, mildest first: the first of them, and all once it is escalated"
    )
    points: tuple[BmsPoint, ...] = Field(default=(), description="which points are our sensors; the first rule that fits counts")

    def at_home(self, home: Path) -> Dsx:
        """The same with its files named from the folder `home`."""

        def whole(file: str | None) -> str | None:
            return None if file is None else str(home / Path(file).expanduser())

        def peers(every: dict[Level, Peer]) -> dict[Level, Peer]:
            return {name: peer.model_copy(update={"keys_file": whole(peer.keys_file)}) for name, peer in every.items()}

        files = {"signing_key_file": whole(self.signing_key_file), "isvs": peers(self.isvs), "infra_agents": peers(self.infra_agents)}
        return self.model_copy(update=files)
