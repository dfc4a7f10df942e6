"""`facility status`: what the daemon says of itself, and the step its plan is in."""

from __future__ import annotations

import json
import sys

from facility.bus.broker import reach
from facility.bus.messages import CapDesired, PlanCurrent, Rejected, Sample, Status, decode
from facility.bus.topics import Topics
from facility.commands.client import heard, visit
from facility.config import load_site

LISTEN_S = 2.5


def run_status(site_file: str, settings: tuple[str, ...], broker: str | None, *, as_json: bool) -> int:
    """Print it; 0 where a daemon's heart beats, 1 where it stopped, 3 where none was ever heard."""
    site = load_site(site_file, settings)
    topics = Topics(site.bus.root, site.id)
    root = f"{site.bus.root}/{site.id}"
    plan: PlanCurrent | None = None
    statuses: dict[str, Status] = {}
    beating: set[str] = set()
    caps: dict[str, int] = {}
    metered_kw: float | None = None
    with visit(reach(site.bus, broker)) as bus:
        meter = topics.tele("site", "meter", site.grid.feed, "import_kw")
        for topic in (topics.of("plan"), f"{root}/svc/+/status", f"{root}/cap/+/+/desired", meter):
            bus.subscribe(topic, qos=1)
        for message in heard(bus, LISTEN_S):
            name, ids = topics.parse(message.topic) or ("", {})
            try:
                match name:
                    case "plan":
                        plan = decode(message.payload, PlanCurrent) if message.payload else None
                    case "status":
                        status = decode(message.payload, Status)
                        statuses[status.instance] = status
                        if not message.retain and status.mode != "offline":
                            beating.add(status.instance)
                    case "cap_desired":
                        order = decode(message.payload, CapDesired)
                        caps[ids["pool"]] = max([order.cap_w, *(group.cap_w for group in order.groups)])
                    case "tele":
                        metered_kw = decode(message.payload, Sample).value
                    case _:
                        pass
            except Rejected:
                continue
    if not statuses:
        print(f"facility: no daemon of {site.id} was heard", file=sys.stderr)
        return 3
    alive = [status for status in statuses.values() if status.instance in beating]
    shown = max(alive or list(statuses.values()), key=lambda status: status.heartbeat or 0)
    if as_json:
        told = {
            "instance": shown.instance,
            "alive": bool(alive),
            "mode": shown.mode,
            "cycle": shown.cycle,
            "reason": shown.reason,
            "since": shown.since.isoformat() if shown.since else None,
            "caps_w": caps,
            "metered_kw": metered_kw,
            "plan_id": plan.plan_id if plan else None,
            "planned_kw": plan.steps[0].import_kw if plan and plan.steps else None,
        }
        print(json.dumps(told))
        return 0 if alive else 1
    since = f" since {shown.since:%Y-%m-%d %H:%M:%S} UTC" if shown.since else ""
    print(f"{site.id}: {shown.mode}{since}, cycle {shown.cycle}: {shown.reason}")
    if not alive:
        print(f"no heartbeat in {LISTEN_S:g} s: the daemon is gone or hangs; caps fall back when they expire")
    metered = "" if metered_kw is None else f"; metered {metered_kw:,.1f} kW"
    print(f"in force: highest caps {caps} W{metered}")
    if plan and plan.steps:
        step = plan.steps[0]
        limit = "" if step.import_limit_kw is None else f" of {step.import_limit_kw:,.0f}"
        print(f"plan {plan.plan_id}: import {step.import_kw:,.1f}{limit} kW")
    return 0 if alive else 1
