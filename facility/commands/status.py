"""`facility status`: what the daemon says of itself, and the step its plan is in."""

from __future__ import annotations

import json
import sys

from facility.bus.messages import PlanCurrent, Rejected, Status, decode
from facility.bus.topics import Topics
from facility.commands.client import heard, visit
from facility.config import load_site

LISTEN_S = 2.5


def run_status(site_file: str, settings: tuple[str, ...], broker: str | None, *, as_json: bool) -> int:
    """Print it; 0 where a daemon runs, 1 where it went, 3 where none was ever heard."""
    site = load_site(site_file, settings)
    topics = Topics(site.bus.root, site.id)
    plan: PlanCurrent | None = None
    statuses: dict[str, Status] = {}
    with visit(broker or site.bus.broker) as bus:
        bus.subscribe(topics.of("plan"), qos=1)
        bus.subscribe(f"{site.bus.root}/{site.id}/svc/+/status", qos=1)
        for message in heard(bus, LISTEN_S):
            try:
                if message.topic == topics.of("plan"):
                    plan = decode(message.payload, PlanCurrent) if message.payload else None
                else:
                    status = decode(message.payload, Status)
                    statuses[status.instance] = status
            except Rejected:
                continue
    alive = [status for status in statuses.values() if status.mode != "offline"]
    if not statuses:
        print(f"facility: no daemon of {site.id} was heard", file=sys.stderr)
        return 3
    shown = max(alive or list(statuses.values()), key=lambda status: status.heartbeat or 0)
    if as_json:
        step = plan.steps[0] if plan and plan.steps else None
        print(
            json.dumps(
                {
                    "instance": shown.instance,
                    "mode": shown.mode,
                    "cycle": shown.cycle,
                    "reason": shown.reason,
                    "plan_id": shown.plan_id,
                    "since": shown.since.isoformat() if shown.since else None,
                    "import_kw": step.import_kw if step else None,
                    "import_limit_kw": step.import_limit_kw if step else None,
                    "caps_w": step.caps_w if step else None,
                }
            )
        )
    else:
        since = f" since {shown.since:%Y-%m-%d %H:%M:%S} UTC" if shown.since else ""
        print(f"{site.id}: {shown.mode}{since}, cycle {shown.cycle}: {shown.reason}")
        if plan and plan.steps:
            step = plan.steps[0]
            limit = "" if step.import_limit_kw is None else f" of {step.import_limit_kw:,.0f}"
            print(f"plan {plan.plan_id}: import {step.import_kw:,.1f}{limit} kW, highest caps {step.caps_w} W")
    return 0 if alive else 1
