"""Channels: a site's part in NVIDIA DSX Exchange, as AsyncAPI beside its own tree. Directions are ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from facility.bus.document import operation
from facility.dsx import facts
from facility.dsx.bms import Metadata, Value, pattern
from facility.dsx.cloudevents import CloudEvent
from facility.dsx.flex import Enforcement, PowerBreach, PowerState, SetLoadTarget
from facility.site.dsx import Dsx

REF = "#/components/schemas/"


@dataclass(frozen=True)
class Channel:
    """One channel: its address, who may stand where in it, and what it carries; `event` is the type of a CloudEvent."""

    name: str
    address: str
    direction: Literal["in", "out"]
    qos: int
    retained: bool
    payload: type
    summary: str
    parameters: dict[str, tuple[str, ...]]
    event: str | None = None


def channels(dsx: Dsx) -> tuple[Channel, ...]:
    """The channels that a site with this part uses; those without anybody to speak on them are left out."""
    beats = facts.BEATS if dsx.integration is not None else facts.BEATS[:1]
    types = [("System", beat) for beat in beats] + [(point.object_type, point.point_type) for point in dsx.points]
    points = {"objectType": _each(kind for kind, _ in types), "pointType": _each(kind for _, kind in types), "tagPath": ()}
    ours, own = {"pointType": facts.BEATS[1:], "tagPath": ()}, f"BMS/v1/{dsx.integration}/{facts.VALUE}/System/{{pointType}}/{{tagPath}}"
    rest, agent = "{objectType}/{pointType}/{tagPath}", f"grid/v1/dsx-flex-agent/{dsx.agent}"
    isvs, infra = {"identifier": tuple(dsx.isvs)}, {"infraAgentId": tuple(dsx.infra_agents)}
    order, done = "grid/v1/isv/{identifier}/loadtarget/set", "grid/v1/infra/{infraAgentId}/powerbreach/enforcement"
    every: tuple[Channel, ...] = (
        Channel("dsx_metadata", f"{facts.BMS}/{facts.METADATA}/{rest}", "in", 1, True, Metadata, "what a point of the building is", points),
        Channel("dsx_value", f"{facts.BMS}/{facts.VALUE}/{rest}", "in", 0, False, Value, "a reading of it", points),
        Channel("dsx_load_target", order, "in", 1, False, SetLoadTarget, "an order to draw less", isvs, facts.LOAD_TARGET_SET),
        Channel("dsx_enforcement", done, "in", 2, False, Enforcement, "what was done on the hardware", infra, facts.ENFORCEMENT),
        Channel("dsx_power_state", f"{agent}/powerstate/status", "out", 1, False, PowerState, "how the feed stands", {}, facts.POWER_STATE),
        Channel("dsx_power_breach", f"{agent}/powerbreach", "out", 2, False, PowerBreach, "a target is not kept", {}, facts.POWER_BREACH),
    )
    if dsx.integration is not None:
        every += (Channel("dsx_heartbeat", own, "out", 0, False, Value, "that we are there", ours),)
    return tuple(channel for channel in every if all(known or name == "tagPath" for name, known in channel.parameters.items()))


def accesses(dsx: Dsx) -> Iterator[tuple[Literal["in", "out"], Literal["grid", "building"], str]]:
    """What the service reads and publishes beside readings, as patterns of topics, and the role of who is at the other end.

    Those who order and enforce share the role of the grid: signatures tell them apart.
    """
    agent = f"grid/v1/dsx-flex-agent/{dsx.agent}"
    yield from (("in", "grid", f"grid/v1/isv/{isv}/loadtarget/set") for isv in dsx.isvs)
    yield from (("in", "grid", f"grid/v1/infra/{infra}/powerbreach/enforcement") for infra in dsx.infra_agents)
    yield from (("out", "grid", f"{agent}/{below}") for below in ("powerstate/status", "powerbreach"))
    theirs, *ours = facts.BEATS
    yield "in", "building", pattern(facts.VALUE, "System", theirs)
    for beat in facts.BEATS if dsx.integration is not None else (theirs,):
        yield "in", "building", pattern(facts.METADATA, "System", beat)
    if dsx.integration is not None:
        yield from (("out", "building", f"BMS/v1/{dsx.integration}/{facts.VALUE}/System/{beat}/#") for beat in ours)


def described(document: dict[str, Any], dsx: Dsx) -> dict[str, Any]:
    """An AsyncAPI document with these channels beside its own."""
    used = channels(dsx)
    kinds = (*dict.fromkeys(channel.payload for channel in used), CloudEvent)
    _, schemas = msgspec.json.schema_components(kinds, ref_template=f"{REF}{{name}}")
    parts = document["components"]
    return document | {
        "channels": document["channels"] | {channel.name: _channel(channel) for channel in used},
        "operations": document["operations"] | {channel.name: _operation(channel) for channel in used},
        "components": parts
        | {
            "messages": parts["messages"] | {channel.name: _message(channel) for channel in used},
            "schemas": parts["schemas"] | schemas,
        },
    }


def _each(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _channel(channel: Channel) -> dict[str, Any]:
    told: dict[str, Any] = {
        "address": channel.address,
        "summary": channel.summary,
        "messages": {channel.name: {"$ref": f"#/components/messages/{channel.name}"}},
    }
    if channel.parameters:
        about = {"tagPath": {"description": "levels of the building's own, one or more; the same for a point's value and metadata"}}
        told["parameters"] = {name: {"enum": list(known)} if known else about[name] for name, known in channel.parameters.items()}
    return told


def _operation(channel: Channel) -> dict[str, Any]:
    return operation(
        channel.name, channel.name, channel.direction, channel.summary, qos=channel.qos, retained=channel.retained
    )


def _message(channel: Channel) -> dict[str, Any]:
    plain = {"$ref": f"{REF}{channel.payload.__name__}"}
    if channel.event is None:
        return {"name": channel.name, "payload": plain}
    signed = {"type": "string", "pattern": f"^{facts.JWS}$", "description": "a JWS of the same"}
    data = {"properties": {"type": {"const": channel.event}, "data": {"oneOf": [plain, signed]}}}
    return {
        "name": channel.name,
        "contentType": "application/cloudevents+json",
        "payload": {"allOf": [{"$ref": f"{REF}{CloudEvent.__name__}"}, data]},
    }
