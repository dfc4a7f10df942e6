"""The alert rules and the dashboard: promtool takes them and they do what they say; names are held against a real scrape in tests/process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from facility.metrics.dashboard import WIDTH, dashboard
from facility.metrics.shipped import alert_rules
from tests.prometheus import PROMTOOL, needs_promtool

RULES = Path("facility/metrics/alert_rules.yaml")
CASES = Path(__file__).with_name("alert_rules_test.yaml")


def check(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "facility", "check", *options], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("site", [(), ("site_configs/demo.yaml",)])
def test_check_prints_both_with_a_site_file_and_without(site: tuple[str, ...]) -> None:
    told = check(*site, "--alert-rules")
    assert (told.returncode, told.stdout) == (0, RULES.read_text())
    told = check(*site, "--dashboard")
    assert (told.returncode, json.loads(told.stdout)) == (0, dashboard())


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    subprocess.run([PROMTOOL, "check", "rules", RULES], check=True, capture_output=True)


@needs_promtool
def test_every_alert_is_quiet_and_fires_when_it_should() -> None:
    told = subprocess.run([PROMTOOL, "test", "rules", CASES], check=False, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    alerts = {rule["alert"] for group in yaml.safe_load(alert_rules())["groups"] for rule in group["rules"]}
    cases = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts


def test_every_alert_says_how_grave_it_is_what_it_is_and_what_to_do() -> None:
    for group in yaml.safe_load(alert_rules())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"].keys() == {"severity"}
            assert rule["labels"]["severity"] in {"critical", "warning"}
            assert rule["annotations"].keys() == {"summary", "description"}


def test_panels_lie_beside_each_other_and_each_has_its_own_number() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for at in (panel["gridPos"] for panel in panels):
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= WIDTH
        assert taken.isdisjoint(cells)
        taken |= cells
    for panel in panels:
        assert panel["title"]
        assert panel["type"] == "row" or panel["targets"]
