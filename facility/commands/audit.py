"""`facility audit`: who changed what, when, why and what came of it, from the journal, beside a running daemon, and whether it is as written."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from facility.config import load_site
from facility.durations import parse_duration, parse_instant
from facility.errors import InputError
from facility.journal.entry import Entry
from facility.journal.journal import Journal

ENDS = frozenset({"expired", "superseded", "cleared"})


def run_audit(
    site_file: str, settings: tuple[str, ...], state: Path | None, since: str, by: str | None, target: str | None, *, as_json: bool
) -> int:
    """Print the account, oldest first; 0 also where it has nothing, 1 where a chain is broken. InputError for a store that cannot be read."""
    site = load_site(site_file, settings)
    with Journal(state or Path(f"{site.id}.sqlite"), read_only=True) as journal:
        start = beginning(journal, since, ZoneInfo(site.timezone))
        entries = journal.account(start, by=by, target=target)
        ended = ends(journal.account(start))
        chains = journal.check()
    if as_json:
        print(json.dumps([_shown(entry, ended) for entry in entries]))
    else:
        for entry in entries:
            print(f"{entry.at:%Y-%m-%d %H:%M:%S} UTC  {said(entry, ended)}")
        if not entries:
            print(f"nothing since {start:%Y-%m-%d %H:%M:%S} UTC")
    for checked in chains:
        if checked.broken is not None or not as_json:
            print(checked, file=sys.stderr if as_json else sys.stdout)
    return int(any(checked.broken is not None for checked in chains))


def ends(entries: Sequence[Entry]) -> dict[str, Entry]:
    """How and when each override and contract ended, by the id of the command that set it."""
    return {e.id: e for e in entries if e.id and (e.action in ENDS or (e.action == "clear" and e.result == "cleared"))}


def said(entry: Entry, ended: dict[str, Entry]) -> str:
    """One entry in a sentence.

    >>> at = datetime(2026, 7, 1, 12, tzinfo=UTC)
    >>> said(Entry(at, "mode", "HOLD", "site", "no plan in time", result="NORMAL"), {})
    'mode NORMAL -> HOLD: no plan in time'
    >>> said(Entry(at, "override", "set", "job/a", "hold on job/a by ann", "ann", "a test", "accepted", "x-1"), {})
    'ann set an override on job/a: accepted: hold on job/a by ann [x-1]'
    """
    key, signer = f" [{entry.id}]" if entry.id else "", f" (signed by {entry.signer})" if entry.signer else ""
    match entry.sort, entry.action:
        case "mode", mode:
            return f"mode {entry.result or 'unknown'} -> {mode}: {entry.says}"
        case "alarm", ("shelve" | "unshelve") as action:
            verb = "shelved" if action == "shelve" else "unshelved"
            return f"{entry.actor or 'somebody'}{signer} {verb} the alarm {entry.target}: {entry.result}: {entry.says}{key}"
        case "alarm", action:
            return f"alarm {entry.target} {action}: {entry.says}"
        case "service", action:
            return f"daemon {entry.target} {action}: {entry.says}"
        case sort, ("set" | "clear") as action:
            things = {"override": "an override on ", "contract": "contract ", "position": "the position of ", "target": "a load target of "}
            what = things.get(sort, "something")
            end = ended.get(entry.id or "") if action == "set" else None
            over = f"; {end.action if end.action in ENDS else 'cleared'} {end.at:%Y-%m-%d %H:%M:%S} UTC" if end else ""
            verb = "set" if action == "set" else "cleared"
            return f"{entry.actor or 'somebody'}{signer} {verb} {what}{entry.target}: {entry.result}: {entry.says}{key}{over}"
        case sort, action:
            return f"{sort} {entry.target} {action}: {entry.says}{key}"


def _shown(entry: Entry, ended: dict[str, Entry]) -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(entry)
    end = ended.get(entry.id or "") if entry.action == "set" else None
    return told | ({"ended": {"how": end.action if end.action in ENDS else "cleared", "at": end.at.isoformat()}} if end else {})


def beginning(journal: Journal, since: str, zone: ZoneInfo) -> datetime:
    """An instant, or so long before the newest entry: a rehearsal's clock is not the wall's."""
    try:
        back = parse_duration(since, "--since")
    except InputError:
        return parse_instant(since, zone, "--since")[0]
    newest = journal.newest()
    return datetime.now(UTC) if newest is None else newest - min(back, newest - datetime(1970, 1, 1, tzinfo=UTC))

