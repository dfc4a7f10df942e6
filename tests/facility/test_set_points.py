"""Set-points in a site file: what cannot be carried out is refused with its place, and counts are those of the gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest

from facility.agents.building.wire import Wire
from facility.config import load_site
from facility.errors import InputError
from facility.site.set_points import SetPointRule

DEMO = "site_configs/demo.yaml"
BATTERY: dict[str, Any] = {"order": "battery/bess-1/power_kw", "topic": "gw/b/set", "unit": "W", "low": -200, "high": 200}
HALL: dict[str, Any] = {"order": "cooling/chiller/h1/temperature_c", "topic": "gw/h1/set", "unit": "degF", "low": 18, "high": 27}


def refused(*rules: dict[str, Any]) -> str:
    with pytest.raises(InputError) as found:
        load_site(DEMO, [f"bus.set_points={json.dumps(rules)}"])
    return "\n".join(map(str, found.value.faults))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"order": "battery/bess-2/power_kw"}, "bus.set_points.0.order (--set): `battery/bess-2/power_kw` is nothing that is ordered"),
        ({"order": "cooling/chiller/h3/temperature_c"}, "did you mean `cooling/chiller/h"),
        ({"topic": "gw/+/set"}, "one topic, levels by /, without + and #"),
        ({"topic": "facility/v1/demo/battery/bess-1/desired"}, "below our own root"),
        ({"payload": '{"value": 5}'}, "write {value} once"),
        ({"release": "{value}"}, "leave {value} out"),
        ({"unit": "degC"}, "use one of W, kW, MW"),
        ({"scale": 0}, "what one of the gateway's counts is"),
        ({"low": 300}, "bus.set_points.0.high"),
        ({"read_back": {"topic": "gw/b/set"}}, "is where it is written too"),
        ({"read_back": {"topic": "gw/b", "value": "values.*"}}, "leads to several places"),
        ({"read_back": {"topic": "gw/b", "value": "a..b"}}, "bus.set_points.0.read_back.value"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_with_its_place_and_a_remedy(change: dict[str, Any], said: str) -> None:
    assert said in refused(BATTERY | change)


def test_one_rule_is_for_one_point() -> None:
    assert "in 2 rules" in refused(BATTERY, BATTERY | {"topic": "gw/other/set"})
    assert "in 2 rules" in refused(BATTERY, HALL | {"topic": "gw/b/set"})


@pytest.mark.parametrize(
    ("rule", "value", "sent"),
    [
        (BATTERY, -73.25, b"-73250"),
        (BATTERY | {"scale": 100, "whole": True}, -73.25, b"-732"),
        (BATTERY | {"scale": 100, "whole": True}, -0.01, b"0"),
        (BATTERY | {"unit": "MW"}, 0.5, b"0.0005"),
        (HALL, 25.0, b"77"),
        (HALL | {"scale": 0.1, "whole": True, "payload": '{"v": {value}}'}, 24.6, b'{"v": 763}'),
    ],
)
def test_a_value_is_counted_as_the_gateway_counts_and_read_back_the_same(rule: dict[str, Any], value: float, sent: bytes) -> None:
    path = {"value": "v"} if b"{" in sent else {}
    wire = Wire(SetPointRule(**rule, read_back={"topic": "gw/back", **path}))
    assert wire.payload(value) == sent
    assert wire.read(sent) == pytest.approx(value, abs=max(wire.terms.step / 2, 1e-9))


@pytest.mark.parametrize("payload", [b"", b"null", b"on", b'{"other": 5}', b"[" * 100, b"\xff", b"12,5", b"true"])
def test_a_read_back_that_is_no_number_says_nothing(payload: bytes) -> None:
    assert Wire(SetPointRule(**BATTERY, read_back={"topic": "gw/back"})).read(payload) is None


def test_what_hands_a_point_back_is_sent_as_it_stands() -> None:
    assert Wire(SetPointRule(**HALL, release='{"value": null}')).payload(None) == b'{"value": null}'
