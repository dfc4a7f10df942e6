"""`facility status`: what the daemon does now and why - its mode, caps, overrides, rentals, alarms, readings that are stale, and its plan."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from facility.bus.broker import reach
from facility.bus.interface import Message
from facility.bus.messages import (
    Alarm,
    CapDesired,
    ContractState,
    OverrideState,
    PlanCurrent,
    PlanStep,
    Quality,
    Rejected,
    Sample,
    Status,
    decode,
)
from facility.bus.topics import BY_NAME, Topics
from facility.commands.client import heard, visit
from facility.config import load_site
from facility.overrides.arbitrate import limit_at
from facility.report.sentences import SAYS, Place
from facility.report.sentences.readings import quality
from facility.report.sentences.state import plan_end
from facility.site import Site
from facility.windows import minutes

LISTEN_S: Final = 2.5
KEPT: Final = ("plan", "status", "cap_desired", "override_state", "contract_state", "alarm", "quality")
"""Names of the topics of which the newest message is kept."""


def run_status(site_file: str, settings: tuple[str, ...], broker: str | None, *, as_json: bool) -> int:
    """Print it; 0 where a daemon's heart beats, 1 where it stopped, 3 where none was ever heard."""
    site = load_site(site_file, settings)
    topics = Topics(site.bus.root, site.id)
    with visit(reach(site.bus, broker)) as bus:
        for name in KEPT:
            for pattern in topics.patterns(name):
                bus.subscribe(pattern, qos=1)
        bus.subscribe(_meter(site), qos=1)
        seen = gather(site, heard(bus, LISTEN_S))
    daemon = seen.daemon()
    if daemon is None:
        print(f"facility: no daemon of {site.id} was heard", file=sys.stderr)
        return 3
    if as_json:
        print(json.dumps(as_fields(site, daemon, seen)))
    else:
        for line in as_lines(site, daemon, seen):
            print(line)
    return 0 if daemon.instance in seen.beating else 1


@dataclass
class Seen:
    """The newest of what was heard, by what stands in its topic."""

    daemons: dict[str, Status] = field(default_factory=dict)
    beating: set[str] = field(default_factory=set)
    caps: dict[str, CapDesired] = field(default_factory=dict)
    overrides: dict[str, OverrideState] = field(default_factory=dict)
    contracts: dict[str, ContractState] = field(default_factory=dict)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    plan: PlanCurrent | None = None
    quality: Quality | None = None
    metered_kw: float | None = None

    def daemon(self) -> Status | None:
        """The daemon whose heart beats, else the one that did last, else one that waits; None where none was heard."""
        alive = [status for name, status in self.daemons.items() if name in self.beating and status.mode != "standby"]
        rest = [status for status in self.daemons.values() if status.mode != "standby"]
        return max(alive or rest or list(self.daemons.values()), key=lambda status: status.heartbeat or 0, default=None)

    def spares(self) -> tuple[str, ...]:
        """The instances that wait to take over."""
        return tuple(sorted(name for name, status in self.daemons.items() if name in self.beating and status.mode == "standby"))


def gather(site: Site, messages: Iterable[Message]) -> Seen:
    """Sort `messages` by what they tell; what cannot be read tells nothing."""
    topics, meter, seen = Topics(site.bus.root, site.id), _meter(site), Seen()
    for message in messages:
        try:
            if message.topic == meter:
                seen.metered_kw = decode(message.payload, Sample).value
                continue
            name, ids = topics.parse(message.topic) or ("", {})
            told = decode(message.payload, BY_NAME[name].payload) if name in KEPT and message.payload else None
        except Rejected:
            continue
        match name, told:
            case "plan", PlanCurrent() | None:
                seen.plan = told
            case "quality", Quality() | None:
                seen.quality = told
            case "status", Status():
                seen.daemons[told.instance] = told
                if not message.retain:
                    (seen.beating.add if told.mode != "offline" else seen.beating.discard)(told.instance)
            case "cap_desired", CapDesired():
                seen.caps[ids["pool"]] = told
            case "override_state", OverrideState() | None:
                _keep(seen.overrides, ids["target"], told)
            case "contract_state", ContractState() | None:
                _keep(seen.contracts, ids["contract"], told)
            case "alarm", Alarm() | None:
                _keep(seen.alarms, ids["alarm"], told)
            case _:
                continue
    return seen


def as_fields(site: Site, daemon: Status, seen: Seen) -> dict[str, Any]:
    """What programs read: null where nothing was told, instants in ISO 8601, W, kW, s."""
    now, plan = _now(daemon), seen.plan
    step = _step(plan, now)
    following = next_limit(site, plan, now)
    fields = {
        "instance": daemon.instance,
        "alive": daemon.instance in seen.beating,
        "mode": daemon.mode,
        "standby": list(seen.spares()),
        "cycle": daemon.cycle,
        "reason": daemon.reason,
        "since": daemon.since,
        "version": daemon.version,
        "caps_w": {pool: max([caps.cap_w, *(group.cap_w for group in caps.groups)]) for pool, caps in seen.caps.items()},
        "caps": seen.caps,
        "overrides": {target: state.overrides for target, state in seen.overrides.items()},
        "contracts": seen.contracts,
        "alarms": list(seen.alarms.values()),
        "sensors": seen.quality,
        "metered_kw": seen.metered_kw,
        "plan_id": plan.plan_id if plan else None,
        "plan_age_s": round((now - plan.issued_at).total_seconds(), 1) if plan else None,
        "planned_kw": step.import_kw if step else None,
        "limit_kw": step.import_limit_kw if step else None,
        "kept_back_kw": step.kept_back_kw if step else None,
        "next_limit": {"kw": following[0], "from": following[1]} if following else None,
        "breaches": plan.breaches if plan else [],
    }
    found: dict[str, Any] = msgspec.to_builtins(fields)
    return found


def as_lines(site: Site, daemon: Status, seen: Seen) -> Iterator[str]:
    """What people read, one fact a line, times by the site's local clock."""
    now, zone = _now(daemon), ZoneInfo(site.timezone)
    place = Place("", {}, now, zone)
    since = f" since {place.at(daemon.since)}" if daemon.since else ""
    cycle = "" if daemon.cycle is None else f", cycle {daemon.cycle}"
    yield f"{site.id}: {daemon.mode}{since}{cycle}: {daemon.reason}"
    if daemon.instance not in seen.beating:
        yield f"no heartbeat in {LISTEN_S:g} s: the daemon is gone or hangs; caps fall back when they expire"
    for spare in seen.spares():
        yield f"standby: {spare} waits to take over"
    for others in sorted(seen.beating - {daemon.instance, *seen.spares()}):
        yield f"another daemon runs here: {others}; stop one of the two"
    plan, step, following = seen.plan, _step(seen.plan, now), next_limit(site, seen.plan, now)
    metered = "" if seen.metered_kw is None else f"metered {seen.metered_kw:,.1f} kW"
    planned = "" if step is None else f"planned {step.import_kw:,.1f} kW"
    limit = "" if step is None or step.import_limit_kw is None else f"limit {step.import_limit_kw:,.0f} kW"
    kept_back = "" if step is None or step.kept_back_kw < 0.05 else f"of which plans keep {step.kept_back_kw:,.1f} kW back"
    if told := ", ".join(part for part in (metered, planned, limit, kept_back) if part):
        yield f"import: {told}"
    if following is not None:
        yield f"next limit: {following[0]:,.0f} kW from {place.at(following[1])}"
    if plan is None:
        yield "plan: none yet"
    else:
        until = f", until {place.at(plan_end(plan))}" if plan.steps else ""
        yield f"plan {plan.plan_id}: {_age(now, plan.issued_at)} old{until}"
        yield from (f"plan breaks {b.family} of {b.asset} by {b.amount:g} {b.unit} {place.span(b.start, b.end)}: {b.remedy}" for b in plan.breaches)
    if seen.quality is not None:
        yield quality(seen.quality, place)
    for name, told_by in (("cap_desired", seen.caps), ("contract_state", seen.contracts), ("override_state", seen.overrides), ("alarm", seen.alarms)):
        hole = BY_NAME[name].pattern.split("{")[-1].split("}")[0]
        for key, payload in sorted(told_by.items()):
            yield SAYS[BY_NAME[name].payload](payload, Place(name, {hole: key}, now, zone))


def _keep(kept: dict[str, Any], key: str, told: Any) -> None:
    if told is None:
        kept.pop(key, None)
    else:
        kept[key] = told


def _now(daemon: Status) -> datetime:
    """The daemon's own clock, which in a rehearsal is not the wall's."""
    return datetime.fromtimestamp(daemon.heartbeat / 1000, UTC) if daemon.heartbeat is not None else datetime.now(UTC)


def _step(plan: PlanCurrent | None, now: datetime) -> PlanStep | None:
    """The step that a plan is in; its first where that is still to come."""
    steps = plan.steps if plan else ()
    return next((step for step in reversed(steps) if step.time <= now), next(iter(steps), None))


def next_limit(site: Site, plan: PlanCurrent | None, now: datetime) -> tuple[float, datetime] | None:
    """The next other import limit, kW, and from when: the step that has it, or the minute in it at which the site file's own begins."""
    here = _step(plan, now)
    later = (step for step in plan.steps if here and step.time > here.time) if plan else iter(())
    step = next((step for step in later if here and step.import_limit_kw != here.import_limit_kw), None)
    if step is None or step.import_limit_kw is None:
        return None
    inside = minutes(step.time, step.time + timedelta(hours=step.hours))
    own = (at for at in (step.time, *inside) if limit_at(site, at) == step.import_limit_kw)
    return step.import_limit_kw, next(own, step.time)


def _age(now: datetime, then: datetime) -> str:
    seconds = max((now - then).total_seconds(), 0.0)
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _meter(site: Site) -> str:
    return Topics(site.bus.root, site.id).tele("site", "meter", site.grid.feed, "import_kw")
