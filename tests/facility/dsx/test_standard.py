"""With `--dsx-asyncapi DIR`, a folder that holds bms.yaml and dsx-flex.yaml of github NVIDIA/dsx-exchange: all that the site tells is
valid by the standard's own schemas, all that the standard knows is understood, and the facts typed in here are its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from facility.bus.messages import decode
from facility.dsx import facts, flex
from facility.dsx.bms import Metadata, Value
from facility.dsx.cloudevents import CloudEvent
from facility.dsx.signature import Verifier
from tests.facility.dsx.exchange import BREACHES, NOW, STATES, Exchange, limit, lived


@pytest.fixture(scope="module")
def standard(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    folder = request.config.getoption("--dsx-asyncapi")
    if folder is None:
        pytest.skip("needs --dsx-asyncapi DIR, with bms.yaml and dsx-flex.yaml of NVIDIA/dsx-exchange")
    return {name: yaml.safe_load((Path(folder) / f"{name}.yaml").read_text(encoding="utf-8")) for name in ("bms", "dsx-flex")}


def validate(document: dict[str, Any], schema: str, value: Any) -> None:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    Draft202012Validator(whole, format_checker=FormatChecker(["date-time", "uuid"])).validate(value)


def test_every_event_is_valid_by_the_standards_schemas(exchange: Exchange, standard: dict[str, Any], keys: dict[str, str], tmp_path: Path) -> None:
    signed = Exchange(tmp_path / "signed" if (tmp_path / "signed").mkdir() is None else tmp_path, signing_key=keys["ec-private"])
    verifier = Verifier(keys["ec-public"], "there")
    schemas = {STATES: "PowerStateStatus", BREACHES: "PowerBreachAlert"}
    checked = dict.fromkeys(schemas, 0)
    for message in (*lived(exchange), *lived(signed)):
        event, name = json.loads(message.payload), schemas[message.topic]
        validate(standard["dsx-flex"], f"{name}Event", event)
        data = event["data"] if isinstance(event["data"], dict) else json.loads(verifier.verified(event["data"]))
        validate(standard["dsx-flex"], f"{name}Data", data)
        checked[message.topic] += 1
    assert checked[STATES] > 20
    assert checked[BREACHES] >= 6
    signed.kill()


def test_the_orders_of_these_tests_are_the_standards(exchange: Exchange, standard: dict[str, Any]) -> None:
    for targets in ([limit(2.0)], [{"interval": {}, "load_constraint": None}], [limit(2.0, NOW, NOW + timedelta(hours=1), feed_tags=["main-a"])]):
        validate(standard["dsx-flex"], "LoadTargetSetEvent", exchange.order(*targets))


def test_channels_types_and_words_are_the_standards(standard: dict[str, Any]) -> None:
    document = standard["dsx-flex"]
    addresses = {c["address"]: c["bindings"]["mqtt"]["qos"] for c in document["channels"].values()}
    assert addresses == {
        "grid/v1/isv/{identifier}/loadtarget/set": 1,
        "grid/v1/dsx-flex-agent/{identifier}/powerstate/status": 1,
        "grid/v1/dsx-flex-agent/{identifier}/powerbreach": 2,
        "grid/v1/infra/{infraAgentId}/powerbreach/enforcement": 2,
    }
    schemas = document["components"]["schemas"]
    types = {schemas[name]["allOf"][1]["properties"]["type"]["const"] for name in schemas if name.endswith("Event") and "allOf" in schemas[name]}
    assert types == {facts.LOAD_TARGET_SET, facts.POWER_STATE, facts.POWER_BREACH, facts.ENFORCEMENT}
    envelope = schemas["BaseCloudEvent"]["properties"]
    assert envelope["specversion"]["const"] == facts.SPECVERSION
    assert (envelope["source"]["pattern"], envelope["traceparent"]["pattern"]) == (f"^{facts.SOURCE}$", f"^{facts.TRACEPARENT}$")
    assert schemas["JwsCompactSerialization"]["pattern"] == f"^{facts.JWS}$"
    ours = {
        "PowerUnit": flex.Power, "LoadConstraint": flex.Power, "Interval": flex.Interval, "Strategy": flex.Strategy,
        "FeedMetadata": flex.FeedMetadata, "FeedTarget": flex.FeedTarget, "FeedState": flex.FeedState, "BreachDetails": flex.BreachDetails,
        "BreachTarget": flex.BreachTarget, "ShedHint": flex.ShedHint, "EnforcementResult": flex.EnforcementResult,
        "SetLoadTargetData": flex.SetLoadTarget, "PowerStateStatusData": flex.PowerState, "PowerBreachAlertData": flex.PowerBreach,
        "PowerBreachEnforcementData": flex.Enforcement, "BaseCloudEvent": CloudEvent,
    }  # fmt: skip
    for name, kind in ours.items():
        theirs, fields = schemas[name], {field.encode_name: field for field in msgspec.structs.fields(kind)}
        data = {"data"} if name == "BaseCloudEvent" else set()
        assert set(fields) == set(theirs["properties"]) | data, name
        assert {key for key, field in fields.items() if field.required} == set(theirs.get("required", ())) | data, name
        _, (own,) = [], [msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]]
        for key, told in theirs["properties"].items():
            words = told.get("enum") or told.get("items", {}).get("enum")
            if words:
                assert set(own[key].get("enum") or own[key]["items"]["enum"]) == set(words), (name, key)


def test_the_points_are_the_standards(standard: dict[str, Any]) -> None:
    told: dict[str, tuple[str, ...]] = {}
    for channel in standard["bms"]["channels"].values():
        if found := re.fullmatch(r"BMS/v1/PUB/Value/(\w+)/\{pointType\}/\{tagPath\}", channel["address"]):
            told[found[1]] = tuple(channel["parameters"]["pointType"]["enum"])
    assert {kind: set(points) for kind, points in facts.POINTS.items()} == {kind: set(points) for kind, points in told.items()}


def examples(value: Any) -> Iterator[tuple[str, Any]]:
    """Every example in a document, by the name of what it is one of."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        if isinstance(inner, dict):
            yield from ((key, example) for example in inner.get("examples", ()))
        yield from examples(inner)
    for inner in value if isinstance(value, list) else ():
        yield from examples(inner)


def test_every_example_of_the_standard_is_understood(standard: dict[str, Any]) -> None:
    sample = {"value": 1.0, "timestamp": 1_743_620_423_000, "quality": 1}
    understood = 0
    for name, example in [*examples(standard["bms"]), *examples(standard["dsx-flex"])]:
        if name in sample:
            assert getattr(decode(json.dumps(sample | {name: example}).encode(), Value), name) == example
        elif name == "stateText":
            metadata = {"objectType": "Rack", "pointType": "RackLeakDetect", "stateText": example}
            states = decode(json.dumps(metadata).encode(), Metadata).states
            assert states is not None
            assert [{"value": state.value, "text": state.text} for state in states] == example
        else:
            assert name == "FeedTags"
            request = {"targets": [limit(1.0, feed_tags=example)]}
            assert list(decode(json.dumps(request).encode(), flex.SetLoadTarget).targets[0].feed_tags) == example
        understood += 1
    assert understood == 18


def made_up(document: dict[str, Any], schema: dict[str, Any], branch: int) -> Any:
    """A value that a schema of the standard allows; `branch` chooses where it gives a choice."""
    if "$ref" in schema:
        return made_up(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], branch)
    if "enum" in schema:
        return schema["enum"][branch % len(schema["enum"])]
    parts = [*schema.get("allOf", ()), *([schema["oneOf"][branch % len(schema["oneOf"])]] if "oneOf" in schema else ())]
    if parts or "properties" in schema:
        made = {}
        for part in parts:
            made |= {key: value for key, value in made_up(document, part, branch).items() if key not in made or value not in ("text", [])}
        return made | {key: made_up(document, told, branch) for key, told in schema.get("properties", {}).items()}
    return {"string": "text", "integer": 1, "boolean": False, "number": 1.5, "array": []}[schema["type"]]


def test_metadata_of_every_kind_that_the_standard_allows_is_understood(standard: dict[str, Any]) -> None:
    document, understood = standard["bms"], 0
    for name, message in document["components"]["messages"].items():
        if name == "ValueMessage":
            continue
        for branch in range(2):
            told = made_up(document, message["payload"], branch)
            whole = {**message["payload"], "components": document["components"]}
            if not Draft202012Validator(whole).is_valid(told):
                continue
            found = decode(json.dumps(told).encode(), Metadata)
            assert (found.object_type, found.point_type, found.unit) == (told["objectType"], told["pointType"], told.get("engUnit"))
            assert found.id == told.get("rackLocationId", told.get("objectId", told.get("associateId")))
            understood += 1
    assert understood >= 224
