"""`facility override`: an operator's command over the bus, and the daemon's answer."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from facility.bus.broker import Broker, reach
from facility.bus.interface import Message
from facility.bus.messages import Change, OverrideClear, OverrideResult, OverrideSet, OverrideState, Rejected, decode, encode
from facility.bus.signing import read_key, signed
from facility.bus.topics import Topics
from facility.commands.client import answer, heard, visit
from facility.commands.preview import run_preview
from facility.commands.targets import complete
from facility.config import load_site
from facility.config.rules import nearest
from facility.durations import parse_duration
from facility.errors import Fault, InputError
from facility.site import Site

LIST_S = 1.0
KINDS = ("cap_w", "import_limit_kw", "hold", "release", "run", "pause", "manual", "freeze", "stop")


@dataclass(frozen=True)
class Command:
    """The words of the command line."""

    action: str
    target: str | None
    kind: str | None
    value: float | None
    ttl: str | None
    priority: int
    by: str
    reason: str
    id: str | None
    key_file: Path | None = None
    preview_s: float | None = None
    """How long to wait to be told what it would do; None: it is commanded."""


def run_override(site_file: str, settings: tuple[str, ...], command: Command, broker: str | None, *, as_json: bool) -> int:
    """Set, clear, list, or ask what that would do; 0 where the daemon does what was asked, 1 where it does not, 3 where it does not answer."""
    site = load_site(site_file, settings)
    at = reach(site.bus, broker)
    match command.action:
        case "list":
            return _list(site, at, as_json=as_json)
        case "set":
            request = _set(command)
            if command.preview_s is not None:
                change = Change(kind=request.kind, value=request.value, priority=request.priority, ttl_s=request.ttl_s, target=_target(site, command))
                return _preview(site, at, command, change, as_json=as_json)
            return _ask(site, at, command, request, as_json=as_json)
        case "clear":
            if command.id is None or command.target is None:
                raise InputError(Fault("override clear", "no target or no --id", "give both; `override SITE list` shows them"))
            if command.preview_s is not None:
                return _preview(site, at, command, Change(target=_target(site, command), clear=command.id), as_json=as_json)
            return _ask(site, at, command, OverrideClear(id=command.id, by=command.by, reason=command.reason), as_json=as_json)
        case other:
            raise InputError(Fault("override", f"{other!r} is not an action", "say set, clear or list"))


def _set(command: Command) -> OverrideSet:
    if command.target is None or command.kind is None:
        raise InputError(Fault("override set", "no target or no kind", "such as: override SITE set pool/h1/h1-a cap_w 250"))
    if command.kind not in KINDS:
        raise InputError(Fault("override set", f"{command.kind!r} is not a kind", nearest(command.kind, KINDS)))
    ttl_s = parse_duration(command.ttl, "--for").total_seconds() if command.ttl is not None else None
    try:
        return OverrideSet(
            id=command.id or uuid.uuid4().hex,
            kind=command.kind,  # type: ignore[arg-type]
            value=command.value,
            priority=command.priority,
            ttl_s=ttl_s,
            by=command.by,
            reason=command.reason,
        )
    except ValueError as error:
        raise InputError(Fault("override set", str(error), "see `facility override --help`")) from None


def _ask(site: Site, at: Broker, command: Command, request: OverrideSet | OverrideClear, *, as_json: bool) -> int:
    topics = Topics(site.bus.root, site.id)
    target = _target(site, command)
    topic = topics.override(target, "set" if isinstance(request, OverrideSet) else "clear")
    if command.key_file is not None:
        request = signed(read_key(command.key_file, "--key-file"), topic, request, datetime.now(UTC))
    message = Message(topic, encode(request), qos=1)
    result = answer(at, site.id, message, topics.override(target, "result"), request.id, OverrideResult)
    return 3 if result is None else _told(result, as_json=as_json)


def _preview(site: Site, at: Broker, command: Command, change: Change, *, as_json: bool) -> int:
    assert command.preview_s is not None
    return run_preview(
        site, at, change, by=command.by, reason=command.reason, within_s=command.preview_s, key_file=command.key_file, as_json=as_json
    )


def _target(site: Site, command: Command) -> str:
    return complete(site, command.target or "", "override")


def _told(result: OverrideResult, *, as_json: bool) -> int:
    if as_json:
        print(
            json.dumps(
                {
                    "id": result.id,
                    "status": result.status,
                    "effective": result.effective,
                    "until": result.until.isoformat() if result.until else None,
                    "reason": result.reason,
                }
            )
        )
    else:
        effective = "" if result.effective is None else f", effective {result.effective:g}"
        until = "" if result.until is None else f", until {result.until:%Y-%m-%d %H:%M:%S} UTC"
        print(f"{result.status}{effective}{until}: {result.reason}\nid {result.id}")
    acted_before = result.status == "duplicate" and result.until is not None
    return 0 if acted_before or result.status in {"accepted", "clamped", "cleared"} else 1


def _list(site: Site, at: Broker, *, as_json: bool) -> int:
    states: dict[str, OverrideState] = {}
    with visit(at) as bus:
        for levels in ("+", "+/+", "+/+/+"):
            bus.subscribe(f"{site.bus.root}/{site.id}/override/{levels}/state", qos=1)
        for message in heard(bus, LIST_S):
            target = message.topic.removeprefix(f"{site.bus.root}/{site.id}/override/").removesuffix("/state")
            states.pop(target, None)
            if message.payload:
                with suppress(Rejected):  # not the daemon's words
                    states[target] = decode(message.payload, OverrideState)
    rows = [(target, o) for target, state in sorted(states.items()) for o in state.overrides]
    if as_json:
        print(
            json.dumps(
                [
                    {
                        "target": t,
                        "id": o.id,
                        "kind": o.kind,
                        "value": o.value,
                        "effective": o.effective,
                        "priority": o.priority,
                        "end": o.end.isoformat(),
                        "by": o.by,
                        "reason": o.reason,
                    }
                    for t, o in rows
                ]
            )
        )
        return 0
    for target, o in rows:
        value = "" if o.effective is None else f" {o.effective:g}"
        print(
            f"{target}: {o.kind}{value} by {o.by} (priority {o.priority}) until {o.end:%Y-%m-%d %H:%M:%S} UTC; id {o.id}; {o.reason}"
        )
    if not rows:
        print("no override is in force")
    return 0
