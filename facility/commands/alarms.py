"""`facility alarms`: what stands, from the bus; what stood and how many there were, from the journal; and putting one aside for a while."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from facility.alarms.rates import GOAL_A_DAY, GOAL_MEAN, MOST_IN_TEN_MINUTES, Rates, rates
from facility.bus.broker import Broker, reach
from facility.bus.interface import Message
from facility.bus.messages import Alarm, AlarmShelve, AlarmUnshelve, OverrideResult, Rejected, decode, encode
from facility.bus.signing import read_key, signed
from facility.bus.topics import Topics
from facility.commands.audit import beginning, said
from facility.commands.client import answer, heard, visit
from facility.config import load_site
from facility.durations import parse_duration
from facility.errors import Fault, InputError
from facility.journal.entry import Entry
from facility.journal.journal import Journal
from facility.report.sentences import SAYS, Place
from facility.site import Site

LIST_S: Final = 1.0
ACTIONS: Final = ("list", "history", "rates", "shelve", "unshelve")
GRAVEST_FIRST: Final = ("critical", "alarm", "warning")


@dataclass(frozen=True)
class Request:
    """The words of the command line."""

    action: str
    alarm: str | None
    since: str
    state: Path | None
    ttl: str | None
    by: str
    reason: str
    key_file: Path | None = None


def run_alarms(site_file: str, settings: tuple[str, ...], request: Request, broker: str | None, *, as_json: bool) -> int:
    """Do what `request` says; 0 where it could be done and no goal is missed, 1 where not, 3 where the daemon does not answer."""
    site = load_site(site_file, settings)
    match request.action:
        case "list":
            return _list(site, reach(site.bus, broker), as_json=as_json)
        case "history" | "rates":
            return _past(site, request, as_json=as_json)
        case "shelve" | "unshelve":
            return _ask(site, reach(site.bus, broker), request, as_json=as_json)
        case other:
            raise InputError(Fault("alarms", f"{other!r} is not an action", f"say one of {', '.join(ACTIONS)}"))


def standing(messages: Iterator[Message], topics: Topics) -> list[Alarm]:
    """The alarms that stand after `messages`: those that are not shelved first, then the gravest, then the oldest."""
    found: dict[str, Alarm] = {}
    for message in messages:
        name, ids = topics.parse(message.topic) or ("", {})
        if name == "alarm":
            found.pop(ids["alarm"], None)
            if message.payload:
                try:
                    found[ids["alarm"]] = decode(message.payload, Alarm)
                except Rejected:
                    continue  # not the daemon's words
    return sorted(found.values(), key=lambda alarm: (alarm.shelved is not None, GRAVEST_FIRST.index(alarm.severity), alarm.since, alarm.id))


def _list(site: Site, at: Broker, *, as_json: bool) -> int:
    topics = Topics(site.bus.root, site.id)
    with visit(at) as bus:
        for pattern in topics.patterns("alarm"):
            bus.subscribe(pattern, qos=1)
        alarms = standing(heard(bus, LIST_S), topics)
    if as_json:
        print(json.dumps(msgspec.to_builtins(alarms)))
        return 0
    zone, now = ZoneInfo(site.timezone), datetime.now(UTC)
    for alarm in alarms:
        print(SAYS[Alarm](alarm, Place("alarm", {"alarm": alarm.id}, now, zone)))
    if not alarms:
        print("no alarm stands")
    return 0


def _past(site: Site, request: Request, *, as_json: bool) -> int:
    with Journal(request.state or Path(f"{site.id}.sqlite"), read_only=True) as journal:
        start = beginning(journal, request.since, ZoneInfo(site.timezone))
        entries = [entry for entry in journal.account(start) if entry.sort in {"alarm", "service"}]
        end = max(journal.newest() or start, start)
    if request.action == "rates":
        return _rates(rates(entries, start, end), as_json=as_json)
    alarms = [entry for entry in entries if entry.sort == "alarm" and request.alarm in {None, entry.target}]
    if as_json:
        print(json.dumps(msgspec.to_builtins(alarms)))
        return 0
    for entry in alarms:
        print(f"{entry.at:%Y-%m-%d %H:%M:%S} UTC  {line(entry)}")
    if not alarms:
        print(f"no alarm since {start:%Y-%m-%d %H:%M:%S} UTC")
    return 0


def line(entry: Entry) -> str:
    """One entry of an alarm in a sentence, its severity first.

    >>> line(Entry(datetime(2026, 7, 1, 12, tzinfo=UTC), "alarm", "raised", "history", "history: disk full", result="alarm"))
    'alarm history raised: history: disk full'
    >>> line(Entry(datetime(2026, 7, 1, 12, tzinfo=UTC), "alarm", "over", "signal-load", "it has gaps", result="warning"))
    'warning signal-load over: it has gaps'
    """
    if entry.result in GRAVEST_FIRST:
        return f"{entry.result} {entry.target} {entry.action}: {entry.says}"
    return said(entry, {})


def _rates(found: Rates, *, as_json: bool) -> int:
    missed = found.missed()
    if as_json:
        fields: dict[str, Any] = msgspec.to_builtins(found)
        print(json.dumps(fields | {"missed": missed}))
        return 1 if missed else 0
    hours = (found.end - found.start).total_seconds() / 3600
    print(f"{found.told} alarms in {hours:.1f} h, {found.a_day:.0f} a day (goal {GOAL_A_DAY:.0f})")
    mean, most = found.mean_in_ten_minutes, found.most_in_ten_minutes
    print(f"in 10 min: {mean:.2f} on average (goal {GOAL_MEAN:g}), {most} at most (goal {MOST_IN_TEN_MINUTES})")
    shares = ", ".join(f"{found.severities.get(name, 0)} {name}" for name in reversed(GRAVEST_FIRST))
    print(f"by severity: {shares}; shelved: {found.shelved}")
    print(f"standing: {', '.join(sorted(found.standing)) or 'none'}; longer than 24 h: {', '.join(sorted(found.stale)) or 'none'}")
    if found.frequent:
        often = ", ".join(f"{alarm} {count}" for alarm, count in found.frequent)
        print(f"most frequent: {often} ({found.frequent_share:.0%} of all)")
    print(f"chattering: {', '.join(f'{alarm} {count}' for alarm, count in found.chattering.items()) or 'none'}")
    for goal in missed:
        print(f"missed: {goal}")
    return 1 if missed else 0


def _ask(site: Site, at: Broker, request: Request, *, as_json: bool) -> int:
    if request.alarm is None:
        raise InputError(Fault(f"alarms {request.action}", "no alarm", "name one; `facility alarms SITE list` shows them"))
    shelve = request.action == "shelve"
    topics = Topics(site.bus.root, site.id)
    topic = topics.alarm(request.alarm, "shelve" if shelve else "unshelve")
    ttl_s = parse_duration(request.ttl, "--for").total_seconds() if request.ttl is not None else None
    told: AlarmShelve | AlarmUnshelve
    try:
        if shelve:
            told = AlarmShelve(id=uuid.uuid4().hex, by=request.by, reason=request.reason, ttl_s=ttl_s)
        else:
            told = AlarmUnshelve(id=uuid.uuid4().hex, by=request.by, reason=request.reason)
    except ValueError as error:
        raise InputError(Fault(f"alarms {request.action}", str(error), "see `facility alarms --help`")) from None
    if request.key_file is not None:
        told = signed(read_key(request.key_file, "--key-file"), topic, told, datetime.now(UTC))
    result = answer(at, site.id, Message(topic, encode(told), qos=1), topics.alarm(request.alarm, "result"), told.id, OverrideResult)
    if result is None:
        return 3
    if as_json:
        print(json.dumps(msgspec.to_builtins(result)))
    else:
        print(f"{result.status}: {result.reason}")
    return 0 if result.status in {"accepted", "clamped", "cleared"} else 1
