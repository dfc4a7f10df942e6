"""Shipped: the dashboard and the alert rules, as files that Grafana and Prometheus read."""

from __future__ import annotations

import json
from importlib.resources import files

from facility.metrics.dashboard import dashboard


def dashboard_json() -> str:
    """The dashboard, to be imported into Grafana."""
    return json.dumps(dashboard(), indent=2)


def alert_rules() -> str:
    """The alert rules, to be named under `rule_files` of Prometheus."""
    return files("facility.metrics").joinpath("alert_rules.yaml").read_text(encoding="utf-8").rstrip("\n")
