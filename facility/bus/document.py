"""Document: the table of topics as an AsyncAPI document (specification 3.0.0 with the MQTT bindings 0.2.0), with or without a site."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from facility.bus import messages as m
from facility.bus.broker import parse_broker_url
from facility.bus.topics import TABLE, Topic, placeholders, shape
from facility.site import Site

ABOUT = {
    "asset": "what the point belongs to",
    "asset_type": "kind of asset, such as pool, feeder, meter",
    "question": "id of the question, by which the asker knows the answer",
    "target": "site, hall/{id}, pool/{hall}/{id}, job/{id} or grid/{feed}",
}


def asyncapi(site: Site | None) -> dict[str, Any]:
    """Describe every channel, operation, message and schema; with a site, its ids and its broker too."""
    types = tuple(dict.fromkeys(topic.payload for topic in TABLE))
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    root = "facility/v1" if site is None else site.bus.root
    title = "Facility" if site is None else f"Facility {site.name}"
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": "1.0.0",
            "description": "Power of a GPU data centre: readings, signals, caps, jobs, overrides, plans. JSON in UTF-8, at most 64 KiB.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic, f"{root}/{site.id if site else '{site}'}", site) for topic in TABLE},
        "operations": {topic.name: _operation(topic) for topic in TABLE},
        "components": {
            "messages": {
                name: {"name": name, "payload": {"$ref": f"#/components/schemas/{name}"}} for name in (t.__name__ for t in types)
            },
            "schemas": schemas,
        },
    }
    if site is not None:
        broker = parse_broker_url(site.bus.broker)
        protocol = "secure-mqtt" if broker.tls else "mqtt"
        document["servers"] = {"broker": {"host": f"{broker.host}:{broker.port}", "protocol": protocol}}
    return document


def _channel(topic: Topic, prefix: str, site: Site | None) -> dict[str, Any]:
    address = f"{prefix}/{topic.pattern}"
    channel: dict[str, Any] = {
        "address": address,
        "summary": topic.summary,
        "messages": {topic.payload.__name__: {"$ref": f"#/components/messages/{topic.payload.__name__}"}},
    }
    if parameters := {name: _parameter(name, topic, site) for name in placeholders(address)}:
        channel["parameters"] = parameters
    return channel


def _parameter(name: str, topic: Topic, site: Site | None) -> dict[str, Any]:
    parameter: dict[str, Any] = {"description": f"{ABOUT.get(name, f'id of the {name}')}, in the form {shape(name)}"}
    if site is not None and topic.payload not in {m.Sample, m.Batch, m.Meta}:  # those also have the hall `site`
        ids: dict[str, Iterable[str]] = {"hall": site.halls, "pool": site.pools, "feed": [site.grid.feed], "tenant": site.tenants}
        ids |= {"plant": site.cooling_plants, "battery": site.batteries, "genset": site.gensets, "solar": site.solar}
        if known := list(ids.get(name, ())):
            parameter["enum"] = known
    return parameter


def operation(
    name: str, message: str, direction: Literal["in", "out"], summary: str, *, qos: int, retained: bool
) -> dict[str, Any]:
    """Describe what the service does on the channel `name`, which carries `message`, as an AsyncAPI operation."""
    return {
        "action": "receive" if direction == "in" else "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{name}/messages/{message}"}],
        "bindings": {"mqtt": {"qos": qos, "retain": retained, "bindingVersion": "0.2.0"}},
    }


def _operation(topic: Topic) -> dict[str, Any]:
    return operation(
        topic.name, topic.payload.__name__, topic.direction, topic.summary, qos=topic.qos, retained=topic.retained
    )
