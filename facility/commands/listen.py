"""`facility check SITE --listen 60s`: what the broker says, held against the site file before a daemon relies on it, and the checklist.

Nothing is published but one status of our own, as long as a message may be, that says that we are not there: whether it comes back.
"""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from facility.bus.broker import reach
from facility.bus.caution import cautions
from facility.bus.interface import MAX_PAYLOAD_BYTES, Message, utc_now
from facility.bus.topics import Topics
from facility.commands.checklist import DROPPED, Checklist, Item, Machine
from facility.commands.client import heard, interruptible, visit
from facility.daemon.neighbours.pulse import last_will
from facility.durations import parse_duration
from facility.site import Site
from facility.telemetry.strays import Stray
from facility.telemetry.survey import Finding, Survey

MOST_RULES = 20
"""Rules for unmapped values that are printed; --json has them all."""


def run_listen(site: Site, lasts: str, broker: str | None, *, as_json: bool) -> int:
    """Listen and tell; 0 where every sensor told something usable and nothing failed, else 1. Raises InputError."""
    seconds = parse_duration(lasts, "--listen").total_seconds()
    survey, checklist, instance, echoed = Survey(site), Checklist(site), f"check-{uuid.uuid4().hex[:8]}", None
    with interruptible() as stop, visit(reach(site.bus, broker)) as bus:
        for pattern in (*survey.patterns, DROPPED):
            bus.subscribe(pattern, qos=1)
        probe = last_will(site, instance, "a check").payload.ljust(MAX_PAYLOAD_BYTES)
        ours = Topics(site.bus.root, site.id).status(instance)
        bus.publish(Message(ours, probe, qos=1))
        if not as_json and sys.stderr.isatty():
            print(f"listening for {lasts}", file=sys.stderr)
        for message in heard(bus, seconds, stop):
            if message.topic == ours:
                echoed = len(message.payload)
                continue
            if not checklist.hear(message, utc_now()):
                survey.hear(message, utc_now())
        refused = tuple(bus.refused)
    if stop.is_set():
        raise KeyboardInterrupt
    findings, strays = survey.findings(seconds), survey.strays()
    room = shutil.disk_usage(Path()).free
    items = checklist.items(findings, Machine(room, tuple(cautions(site.bus, utc_now())), refused, echoed))
    if as_json:
        told = _facts(site, seconds, findings, strays, dict(survey.refused))
        print(json.dumps(told | {"checklist": [asdict(item) for item in items]}, indent=2))
    else:
        _print(findings, strays, survey)
        _print_items(items)
    return 0 if all(finding.heard.used for finding in findings) and all(item.result != "fail" for item in items) else 1


def _facts(
    site: Site, seconds: float, findings: tuple[Finding, ...], strays: tuple[Stray, ...], refused: dict[str, int]
) -> dict[str, Any]:
    return {
        "site": site.id,
        "listened_s": seconds,
        "sensors": [
            {
                "sensor": found.sensor.key,
                "verdict": found.verdict,
                "reason": found.words,
                "heard": found.heard.told,
                "used": found.heard.used,
                "every_s": found.heard.every_s,
                "period_s": found.sensor.period_s,
                "least": found.heard.low,
                "last": found.heard.last,
                "most": found.heard.high,
                "unit": found.sensor.unit,
                "topics": sorted(found.heard.topics),
            }
            for found in findings
        ],
        "refused": refused,
        "unmapped": [{"topic": stray.topic, "heard": stray.heard, "rules": list(stray.rules)} for stray in strays],
    }


def _print_items(items: tuple[Item, ...]) -> None:
    table = Table(show_edge=False)
    for column in ("before it is left alone", "", "found", "remedy"):
        table.add_column(column, overflow="fold")
    for item in items:
        table.add_row(item.name, item.result, item.found, item.remedy)
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table)
    counts = Counter(item.result for item in items)
    print(f"checklist: {counts['pass']} pass, {counts['fail']} fail, {counts['not seen']} not seen")


def rule_line(rule: dict[str, Any]) -> str:
    """Write a rule as one line of YAML, for pasting under `bus.mapping`."""
    return f"- {{{', '.join(f'{key}: {json.dumps(value)}' for key, value in rule.items())}}}"


def _print(findings: tuple[Finding, ...], strays: tuple[Stray, ...], survey: Survey) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=160)
    table = Table(show_edge=False)
    for column in ("sensor", "verdict", "heard", "every, s", "period, s", "least", "last", "most", "unit"):
        table.add_column(column, justify="left" if column in {"sensor", "verdict", "unit"} else "right", no_wrap=True)
    for found in findings:
        heard_of = found.heard
        values = ("-" if value is None else f"{value:,.4g}" for value in (heard_of.low, heard_of.last, heard_of.high))
        every = "-" if heard_of.every_s is None else f"{heard_of.every_s:.3g}"
        table.add_row(
            found.sensor.key, found.verdict, str(heard_of.told), every, f"{found.sensor.period_s:g}", *values, found.sensor.unit
        )
    console.print(table)
    if silent := [found.sensor.key for found in findings if found.verdict == "missing"]:
        print(f"missing: {', '.join(silent)}: nothing was heard; write a rule under bus.mapping, or ask why nobody sends")
    said: dict[str, list[str]] = {}
    for found in findings:
        if found.verdict not in {"missing", "fine"}:
            said.setdefault(f"{found.verdict}: {found.words}", []).append(found.sensor.key)
    for words, keys in said.items():
        print(f"{', '.join(keys) if len(keys) < len(findings) else 'every sensor'}: {words}")
    for words, times in survey.refused.most_common(5):
        print(f"refused {times} times: {words}")
    rules = [(stray, rule) for stray in strays for rule in stray.rules]
    if rules:
        print(f"mapped to nothing: {len(rules)} values on {len(strays)} topics; rules one could write, `?` is for you to say:")
    for _, rule in rules[:MOST_RULES]:
        print(f"  {rule_line(rule)}")
    if len(rules) > MOST_RULES:
        print(f"  and {len(rules) - MOST_RULES} more; --json has them all")
    mute = sum(not found.heard.used for found in findings)
    print(f"{len(findings)} sensors expected, {len(findings) - mute} told something usable, {mute} did not")
