"""Dashboard: what operators watch, as Grafana imports it. Rows go from now to why: power, caps, heat, work, money, plans, what is wrong.

A query is PromQL in which `@` stands for the site that is chosen above, and `~` for the time that a rate needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

SCHEMA = 39
"""The version of Grafana's dashboard schema that this is written in: Grafana 10.4 and later read it."""
WIDTH = 24
HEIGHT = {"row": 1, "stat": 4, "timeseries": 8, "state-timeline": 4, "table": 8}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
MODES = {"NORMAL": "green", "HOLD": "yellow", "SAFE": "red", "MANUAL": "purple"}


@dataclass(frozen=True)
class Panel:
    """One picture: each query with the legend of its lines; `above` turns it red."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: Literal["stat", "timeseries", "state-timeline", "table"] = "timeseries"
    width: int = 8
    above: float | None = None


def _stat(title: str, unit: str, query: str, above: float | None = None, legend: str = "") -> Panel:
    return Panel(title, unit, ((query, legend),), "stat", 4, above)


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    ("Now", (
        _stat("Mode", "none", "facility_mode{@} == 1", legend="{{facility_mode}}"),
        _stat("Power of the limit", "percentunit", "facility_import_power_watts{@} / facility_import_limit_watts{@}", 1.0),
        _stat("Price per MWh", "none", "facility_energy_price_per_mwh{@}", legend="{{currency}}"),
        _stat("Alarms", "none", "sum(facility_alarms_standing{@})", 1.0),
        _stat("Jobs held", "none", 'sum(facility_pool_jobs{@,state="held"})'),
        _stat("Since the last cycle", "s", "facility_cycle_age_seconds{@}"),
        Panel("Mode over time", "none", (("facility_mode{@} == 1", "{{facility_mode}}"),), "state-timeline", WIDTH),
    )),
    ("Power", (
        Panel("Grid connection", "watt", (
            ("facility_import_power_watts{@}", "measured"), ("facility_import_limit_watts{@}", "limit"),
            ("facility_event_target_watts{@}", "event"), ("facility_import_peak_watts{@}", "peak of the month"),
        )),
        Panel("Feeders, of their rating", "percentunit", (
            ("facility_feeder_power_watts{@} / facility_feeder_rating_watts{@}", "{{feeder}}"),
        ), above=0.98),
        Panel("Feeders at worst, of what they may carry", "percentunit", (
            ("facility_feeder_worst_power_watts{@} / facility_feeder_worst_power_limit_watts{@}", "{{feeder}}"),
            ("facility_feeder_group_worst_power_watts{@} / facility_feeder_group_worst_power_limit_watts{@}", "group {{group}}"),
        ), above=1.0),
        Panel("Pools", "watt", (("facility_pool_power_watts{@}", "{{pool}}"),)),
        Panel("Pools at worst", "watt", (("facility_pool_worst_power_watts{@}", "{{pool}}"),)),
        Panel("Halls", "watt", (("facility_hall_it_power_watts{@}", "{{hall}}"),)),
    )),
    ("Caps", (
        Panel("Wanted", "watt", (("facility_pool_cap_desired_watts{@}", "{{pool}}"), ("facility_pool_cap_fallback_watts{@}", "{{pool}} fallback"))),
        Panel("In force, by what was sent", "watt", (
            ("facility_pool_cap_in_force_watts{@}", "{{pool}}"), ("facility_pool_cap_sent_watts{@}", "{{pool}} sent"),
        )),
        Panel("Reported by agents", "watt", (("facility_pool_cap_reported_watts{@}", "{{pool}}"),)),
    )),
    ("Heat and stores", (
        Panel("Halls", "celsius", (
            ("facility_hall_temperature_celsius{@}", "{{hall}}"), ("facility_hall_temperature_recommended_max_celsius{@}", "{{hall}} recommended"),
            ("facility_hall_temperature_allowable_max_celsius{@}", "{{hall}} allowable"), ("facility_outdoor_temperature_celsius{@}", "outdoors"),
        )),
        Panel("Cooling", "watt", (("facility_cooling_power_watts{@}", "{{plant}}"),)),
        Panel("Batteries and tanks", "joule", (
            ("facility_battery_energy_joules{@}", "{{battery}}"), ("facility_battery_capacity_joules{@}", "{{battery}} full"),
            ("facility_cold_stored_joules{@}", "cold of {{plant}}"),
        )),
    )),
    ("Work", (
        Panel("Jobs", "none", (("sum by (state) (facility_pool_jobs{@})", "{{state}}"),)),
        Panel("GPUs that jobs ask for", "none", (
            ("sum by (state) (facility_pool_job_gpus{@})", "{{state}}"), ("sum(facility_pool_gpus{@})", "there are"),
        )),
        Panel("GPUs told to wait", "none", (("rate(facility_pool_deferred_gpu_seconds_total{@}[~])", "{{pool}}"),)),
        Panel("GPUs gone", "none", (("facility_pool_gpus_gone{@}", "{{pool}}"), ("facility_contract_gpus_missing{@}", "missed by contracts"))),
        Panel("Overrides in force", "none", (("facility_overrides_active{@}", "{{kind}}"),)),
        Panel("How soon 99 % of commands act", "s", (
            ("histogram_quantile(0.99, sum by (le, stage) (rate(facility_override_effect_seconds_bucket{@}[1h])))", "{{stage}}"),
        ), above=2.0),
    )),
    ("Money", (
        Panel("Price per MWh", "none", (("facility_energy_price_per_mwh{@}", "{{currency}}"),)),
        Panel("Energy cost per hour", "none", (
            ("rate(facility_energy_cost_total{@}[~]) * 3600", "paid, {{currency}}"),
            ("rate(facility_energy_income_total{@}[~]) * 3600", "earned, {{currency}}"),
        )),
        Panel("Energy cost of the plan's horizon", "none", (
            ("facility_plan_energy_cost{@}", "plan, {{currency}}"), ("facility_plan_baseline_energy_cost{@}", "without control, {{currency}}"),
        )),
        Panel("Energy of the last day", "joule", (
            ("increase(facility_import_energy_joules_total{@}[1d])", "drawn"), ("increase(facility_export_energy_joules_total{@}[1d])", "given back"),
        )),
    )),
    ("Cycles and plans", (
        Panel("Cycles in an hour", "none", (("increase(facility_cycles_total{@}[1h])", "{{outcome}}"),)),
        Panel("Time of a plan, 95 %", "s", (
            ("histogram_quantile(0.95, sum by (le) (rate(facility_plan_build_seconds_bucket{@}[1h])))", "written down"),
            ("histogram_quantile(0.95, sum by (le) (rate(facility_plan_solve_seconds_bucket{@}[1h])))", "solved"),
            ("histogram_quantile(0.95, sum by (le) (rate(facility_cycle_duration_seconds_bucket{@}[1h])))", "the whole cycle"),
            ("facility_solver_budget_seconds{@}", "budget"),
        )),
        Panel("Age", "s", (("facility_cycle_age_seconds{@}", "of the last cycle"), ("facility_cycle_interval_seconds{@}", "a cycle is due every"))),
    )),
    ("What is wrong", (
        Panel("Alarms that stand", "none", (("facility_alarms_standing{@}", "{{severity}}"), ("facility_alarms_shelved{@}", "put aside"))),
        Panel("Alarms told in 10 minutes", "none", (("sum(increase(facility_alarms_raised_total{@}[10m]))", "alarms"),), above=10.0),
        Panel("Sensors that are not good", "none", (('facility_sensors{@,verdict!="good"}', "{{verdict}}"),)),
        Panel("Which sensors", "none", (("facility_sensor_doubted{@}", "{{sensor}} {{verdict}}"),), "table", 8),
        Panel("Guard", "none", (("increase(facility_guard_steps_total{@}[~])", "steps"), ("facility_guard_cuts{@}", "holds down: {{place}}"))),
        Panel("Kept back at the gate", "none", (
            ("increase(facility_gate_kept_back_total{@}[1h])", "{{invariant}}"),
            ("increase(facility_gate_let_through_total{@}[1h])", "{{invariant}} sent"),
        )),
        Panel("Commands answered in an hour", "none", (("sum by (status) (increase(facility_commands_total{@}[1h]))", "{{status}}"),)),
        Panel("Readings refused", "short", (("rate(facility_readings_refused_total{@}[~])", "{{reason}}"),)),
        Panel("Faults of the program in an hour", "none", (("increase(facility_faults_total{@}[1h])", "faults"),)),
    )),
    ("The service itself", (
        Panel("Bus", "none", (
            ("facility_bus_connected{@}", "connected"), ("facility_bus_answers{@}", "answers"),
            ("increase(facility_bus_connections_total{@}[1h])", "connections in an hour"),
        )),
        Panel("Messages a second", "short", (
            ("sum(rate(facility_messages_received_total{@}[~]))", "in"), ("sum(rate(facility_messages_published_total{@}[~]))", "out"),
            ("rate(facility_messages_dropped_total{@}[~])", "lost"),
        )),
        Panel("Memory and processor", "short", (
            ("process_resident_memory_bytes and on (instance) facility_build_info{@}", "bytes"),
            ("rate(process_cpu_seconds_total[~]) and on (instance) facility_build_info{@}", "processors"),
        )),
    )),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it: it asks for the data source, and offers every site that is scraped."""
    return {
        "title": "facility",
        "uid": "facility",
        "tags": ["facility"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": list(_variables())},
        "panels": list(_laid_out()),
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    query = "label_values(facility_build_info, site)"
    yield {"name": "site", "label": "Site", "type": "query", "datasource": SOURCE, "query": query, "definition": query, "refresh": 2, "sort": 1}


def _laid_out() -> Iterator[dict[str, Any]]:
    """Panels from left to right, a new line where one does not fit any more."""
    number = y = 0
    for title, panels in ROWS:
        number += 1
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y}}
        y, x, high = y + 1, 0, 0
        for panel in panels:
            if x + panel.width > WIDTH:
                y, x, high = y + high, 0, 0
            number, height = number + 1, HEIGHT[panel.kind]
            yield _drawn(panel, number, {"h": height, "w": panel.width, "x": x, "y": y})
            x, high = x + panel.width, max(high, height)
        y += high


def _drawn(panel: Panel, number: int, at: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.above is not None:
        steps.append({"color": "red", "value": panel.above})
    instant = panel.kind in {"stat", "table"}
    targets = [
        {"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expression(query), "legendFormat": legend or "__auto", "instant": instant}
        for i, (query, legend) in enumerate(panel.queries)
    ]
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries" and panel.above is not None:
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    overrides = [
        {"matcher": {"id": "byName", "options": mode}, "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}]}
        for mode, color in MODES.items()
        if panel.title.startswith("Mode")
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": at,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": {"textMode": "name" if panel.title == "Mode" else "auto", "colorMode": "background"} if panel.kind == "stat" else {},
    }


def expression(query: str, site: str = "$site", rate: str = "$__rate_interval") -> str:
    """A query for a site, with the time that a rate needs."""
    return query.replace("@", f'site="{site}"').replace("~", rate)
