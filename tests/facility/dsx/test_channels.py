"""What `facility check --asyncapi` says of a site in the exchange is what the daemon asks the broker for and publishes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from facility.bus.interface import matches
from facility.bus.roles import User, rules
from facility.commands.check import _foreign
from facility.config import load_site
from facility.dsx import facts
from facility.dsx.channels import Channel, channels, described
from tests.facility.dsx.exchange import BREACHES, STATES, Exchange, lived


def document(*settings: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "facility", "check", "site_configs/dallas.yaml", "--asyncapi"]
    told = subprocess.run([*command, *(part for text in settings for part in ("--set", text))], capture_output=True, check=True)
    return json.loads(told.stdout)


def references(value: Any) -> set[str]:
    found = {value["$ref"]} if isinstance(value, dict) and "$ref" in value else set()
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return found.union(*map(references, inner))


def test_the_document_has_the_channels_beside_the_sites_own_only_with_the_profile() -> None:
    off, on = document(), document("bus.profile=dsx")
    more = on["channels"].keys() - off["channels"].keys()
    assert more == {f"dsx_{name}" for name in ("metadata", "value", "load_target", "enforcement", "power_state", "power_breach", "heartbeat")}
    assert all(on["channels"][name] == off["channels"][name] for name in off["channels"])
    assert on["channels"]["dsx_power_state"]["address"] == "grid/v1/dsx-flex-agent/dallas/powerstate/status"
    assert on["channels"]["dsx_load_target"]["parameters"] == {"identifier": {"enum": ["lone-star-flex"]}}
    for reference in references(on):
        place = on
        for key in reference.removeprefix("#/").split("/"):
            place = place[key]


def test_no_schema_of_the_exchange_has_the_name_of_one_of_ours() -> None:
    site = load_site("site_configs/dallas.yaml", ["bus.profile=dsx"])
    assert site.bus.dsx is not None
    plain: dict[str, Any] = {"channels": {}, "operations": {}, "components": {"messages": {}, "schemas": {}}}
    assert not described(plain, site.bus.dsx)["components"]["schemas"].keys() & document()["components"]["schemas"].keys()


def filled(channel: Channel) -> list[str]:
    """Topics of a channel, with everybody who may stand in it."""
    every = [channel.address.replace("{tagPath}", "a/b")]
    for name, known in channel.parameters.items():
        every = [topic.replace(f"{{{name}}}", text) for topic in every for text in known or ("",)]
    return every


def test_what_is_told_and_asked_for_is_in_the_document(exchange: Exchange) -> None:
    assert exchange.site.bus.dsx is not None
    known = channels(exchange.site.bus.dsx)
    assert {(m.topic, m.qos) for m in lived(exchange)} <= {(channel.address, channel.qos) for channel in known if channel.direction == "out"}
    topics = [topic for channel in known if channel.direction == "in" for topic in filled(channel)]
    asked = [pattern for pattern in exchange.bus._patterns if not pattern.startswith("facility/")]
    for pattern in asked:
        assert any(matches(pattern, topic) for topic in topics), pattern
    for topic in topics:
        ours_alone = topic.startswith("BMS/v1/PUB/Value/System/") and "Integration" in topic
        assert ours_alone or any(matches(pattern, topic) for pattern in asked), topic


def test_the_brokers_access_list_lets_us_and_the_others_do_what_is_told_and_asked_for(exchange: Exchange) -> None:
    foreign = _foreign(exchange.site)
    allowed = {role: set(rules(exchange.site, User(role, role), foreign)) for role in ("daemon", "grid", "building", "dashboard")}
    asked = [pattern for pattern in exchange.bus._patterns if not pattern.startswith("facility/")]
    assert {("read", pattern) for pattern in asked} <= allowed["daemon"]
    assert {("write", m.topic) for m in lived(exchange)} <= allowed["daemon"]
    for pattern in asked:
        writer = "building" if pattern.startswith("BMS/") else "grid"
        assert ("write", pattern) in allowed[writer]
    assert {("read", STATES), ("read", BREACHES)} <= allowed["grid"]
    beats = f"BMS/v1/FACILITY/Value/System/{facts.BEATS[1]}/#"
    assert (("write", beats) in allowed["daemon"], ("read", beats) in allowed["building"]) == (True, True)
    assert all(pattern.startswith("facility/") for _, pattern in allowed["dashboard"])
