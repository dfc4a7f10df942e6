"""What the site tells in NVIDIA DSX Exchange has the fields and words of the standard.

The tables are typed in by hand from github NVIDIA/dsx-exchange (Apache-2.0), `DSX Flex` 1.7.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from facility.dsx import facts, flex
from facility.dsx.cloudevents import Trace, data_of, read, write
from tests.facility.dsx.exchange import BREACHES, NOW, STATES, Exchange, lived

POWER = {"value", "unit"}
REQUIRED: dict[str, set[str]] = {
    "": {"specversion", "id", "source", "type", "time", "datacontenttype", "subject", "traceparent", "data"},
    "powerstate": {"snapshot_time", "feeds"},
    "powerstate.feeds.*": {"metadata", "targets", "calculated_load", "in_flight", "event", "compliant"},
    "powerstate.feeds.*.metadata": {"power_minimum", "power_maximum", "default_constraint"},
    "powerstate.feeds.*.metadata.*": POWER,
    "powerstate.feeds.*.calculated_load": POWER,
    "powerstate.feeds.*.targets.*": {"active", "load_constraint", "interval", "strategy", "correlation_id"},
    "powerstate.feeds.*.targets.*.load_constraint": POWER,
    "powerbreach": {"feed_tag", "status", "severity", "breach", "target", "measured_load", "infrastructure_actions"},
    "powerbreach.breach": {"breach_id", "detected_at"},
    "powerbreach.target": {"correlation_id", "load_constraint"},
    "powerbreach.target.load_constraint": POWER,
    "powerbreach.measured_load": POWER,
    "powerbreach.shed_hints.*": {"resource_id", "resource_type", "action", "priority"},
    "powerbreach.shed_hints.*.target_power": POWER,
}
"""The fields that must be there, by place in the data of a subject; `*` is any key or index."""
ALLOWED: dict[str, set[str]] = {
    "": {"tracestate", "correlationid"},
    "powerstate.feeds.*": {"power_event_start_time"},
    "powerbreach": {"shed_hints"},
    "powerbreach.shed_hints.*": {"target_power"},
    "powerbreach.breach": {"resolved_at"},
    "powerstate.feeds.*.targets.*.interval": {"start_time", "end_time"},
    "powerstate.feeds.*.targets.*.strategy": {"best_effort"},
}
"""The fields that may be there besides."""
ENUMERATED: dict[str, set[str]] = {
    "unit": {"watt", "kilowatt", "megawatt"},
    "event": {"target_set", "start_ramp_down", "end_ramp_down", "start_ramp_up", "end_ramp_up", "periodic"},
    "status": {"active", "escalated", "resolved"},
    "severity": {"warning", "critical"},
    "resource_type": {"node", "gpu", "chassis"},
    "action": {"power_cap", "throttle", "suspend"},
    "infrastructure_actions": {"SHUTDOWN_NODES", "SHUTDOWN_RACKS", "CUT_DATA_FEEDS", "TRIP_BREAKERS"},
}
ENVELOPE = {"powerstate": (facts.POWER_STATE, STATES, 1), "powerbreach": (facts.POWER_BREACH, BREACHES, 2)}


def places(place: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object below `value` by its place in the tables."""
    known = {*REQUIRED, *ALLOWED}
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        named = any(f"{path}.".startswith(f"{place}.{key}.") for path in known)
        yield from places(f"{place}.{key}" if named else f"{place}.*", inner)
    if isinstance(value, dict):
        yield place, value


def enumerated(value: Any) -> Iterator[tuple[str, str]]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        if key in ENUMERATED:
            yield from ((key, word) for word in ([inner] if isinstance(inner, str) else inner))
        yield from enumerated(inner)
    for inner in value if isinstance(value, list) else ():
        yield from enumerated(inner)


def test_every_event_has_the_fields_and_words_of_the_standard_and_no_others(exchange: Exchange) -> None:
    ids, told = set(), lived(exchange)
    assert {m.topic for m in told} == {STATES, BREACHES}
    seen = set()
    for message in told:
        event = json.loads(message.payload)
        kind, topic, qos = ENVELOPE[event["subject"]]
        assert (event["type"], message.topic, message.qos, message.retain) == (kind, topic, qos, False)
        assert (event["specversion"], event["datacontenttype"]) == ("1.0.2", "application/json")
        assert event["source"] == "//grid/v1/dsx-flex-agent/here"
        assert UUID(event["id"]).version == 4
        assert re.fullmatch(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", event["traceparent"])
        assert datetime.fromisoformat(event["time"]).tzinfo is not None
        ids.add(event["id"])
        assert REQUIRED[""] <= set(event) <= REQUIRED[""] | ALLOWED[""]
        for place, fields in places(event["subject"], event["data"]):
            if place == "powerstate.feeds":
                assert set(fields) == {"main-a"}
                continue
            needed = REQUIRED.get(place, set())
            assert needed <= set(fields) <= needed | ALLOWED.get(place, set()), place
            seen.add(place)
        for key, word in enumerated(event["data"]):
            assert word in ENUMERATED[key], key
    assert len(ids) == len(told)
    assert set(REQUIRED) - {"", "powerstate.feeds.*.metadata.*"} <= seen


def test_an_event_comes_out_as_it_went_in() -> None:
    trace, correlation = Trace("0" * 31 + "1", "vendor=1"), uuid4()
    data = msgspec.json.encode(flex.SetLoadTarget(targets=(flex.Request(interval=flex.Interval(), load_constraint=None),)))
    told = write(
        data, kind=facts.LOAD_TARGET_SET, subject="loadtarget", source="//grid/v1/isv/a", at=NOW, event_id=uuid4(), span=uuid4(),
        trace=trace, correlation=correlation,
    )  # fmt: skip
    event = read(told, facts.LOAD_TARGET_SET)
    assert (Trace.of(event), event.correlationid, event.time, event.signed) == (trace, correlation, NOW, None)
    assert data_of(event, bytes(event.data), flex.SetLoadTarget).targets[0].load_constraint is None
