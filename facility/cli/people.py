"""People: what the daemon does, what it said and read; overruling it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from facility.cli.options import Broker, By, Json, KeyFile, Settings, SiteFile

Within = Annotated[str, typer.Option(metavar="TIME", help="how long to wait for the answer to a question")]


def override(
    site: SiteFile,
    action: Annotated[str, typer.Argument(help="set, clear or list")],
    target: Annotated[
        str | None, typer.Argument(help="site, hall/ID, pool/HALL/ID, job/ID or grid/FEED; an ID alone where it is the only one", show_default=False)
    ] = None,
    kind: Annotated[
        str | None,
        typer.Argument(help="cap_w, import_limit_kw, hold, release, run, pause, manual, freeze or stop", show_default=False),
    ] = None,
    value: Annotated[float | None, typer.Argument(help="W for cap_w, kW for import_limit_kw", show_default=False)] = None,
    ttl: Annotated[str | None, typer.Option("--for", metavar="TIME", help="how long, such as 30min; default 1h")] = None,
    priority: Annotated[int, typer.Option(help="1 life safety, 5 critical equipment, 8 manual operator", min=1, max=16)] = 8,
    by: By = None,
    key_file: KeyFile = None,
    reason: Annotated[str, typer.Option(help="why")] = "",
    id_: Annotated[str | None, typer.Option("--id", help="the override to clear")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="say what it would do: costs, caps, jobs, contracts; nothing is commanded")] = False,
    within: Within = "10s",
    broker: Broker = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Overrule the daemon, take it back, list what is in force, or see before what it would do."""
    from facility.commands.override import Command, run_override

    name, preview_s = by or os.environ.get("USER") or "operator", _within_s(within) if preview else None
    command = Command(action, target, kind, value, ttl, priority, name, reason, id_, key_file, preview_s)
    raise typer.Exit(run_override(site, tuple(settings or ()), command, broker, as_json=json))


def why(
    site: SiteFile,
    about: Annotated[str, typer.Argument(help="job/ID, pool/HALL/ID, contract/ID, limit (of import) or an instant", show_default=False)],
    within: Within = "10s",
    by: By = None,
    key_file: KeyFile = None,
    broker: Broker = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Ask the daemon why its plan is so: what binds, what that costs, and the cheapest remedy."""
    from facility.commands.why import Asked, run_why

    asked = Asked(about, _within_s(within), by or os.environ.get("USER") or "operator", key_file)
    raise typer.Exit(run_why(site, tuple(settings or ()), asked, broker, as_json=json))


def status(site: SiteFile, broker: Broker = None, settings: Settings = None, json: Json = False) -> None:
    """Say what the daemon does now and why."""
    from facility.commands.status import run_status

    raise typer.Exit(run_status(site, tuple(settings or ()), broker, as_json=json))


def tail(
    site: SiteFile,
    broker: Broker = None,
    duration: Annotated[str | None, typer.Option("--for", metavar="TIME", help="stop by itself, such as 10s")] = None,
    topic: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="only these topics below the site's, such as override/#", show_default=False)
    ] = None,
    readings: Annotated[bool, typer.Option("--readings", help="say each reading, not one line for all of them every 2 s")] = False,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Say what happens on the bus, in words, as it comes."""
    from facility.commands.tail import run_tail

    raise typer.Exit(run_tail(site, tuple(settings or ()), broker, duration, topic, readings=readings, as_json=json))


def alarms(
    site: SiteFile,
    action: Annotated[str, typer.Argument(help="list, history, rates, shelve or unshelve")] = "list",
    alarm: Annotated[str | None, typer.Argument(help="its id, to shelve or unshelve it, or for its history alone", show_default=False)] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="history, rates: the last so long, such as 7d, or an instant")] = "24h",
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="the daemon's journal; default: SITE_ID.sqlite here")] = None,
    ttl: Annotated[str | None, typer.Option("--for", metavar="TIME", help="shelve: how long, such as 30min; default 1h")] = None,
    by: By = None,
    reason: Annotated[str, typer.Option(help="why")] = "",
    key_file: KeyFile = None,
    broker: Broker = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Say which alarms stand, which stood and how many there were; or put one aside for a while."""
    from facility.commands.alarms import Request, run_alarms

    request = Request(action, alarm, since, state, ttl, by or os.environ.get("USER") or "operator", reason, key_file)
    raise typer.Exit(run_alarms(site, tuple(settings or ()), request, broker, as_json=json))


def audit(
    site: SiteFile,
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="the daemon's journal; default: SITE_ID.sqlite here")] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="the last so long, such as 24h, or an instant")] = "24h",
    by: Annotated[str | None, typer.Option(help="only what this person did")] = None,
    target: Annotated[str | None, typer.Option(help="only what was done to this, such as pool/h1/h1-a")] = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Say who changed what, when, why and what came of it."""
    from facility.commands.audit import run_audit

    raise typer.Exit(run_audit(site, tuple(settings or ()), state, since, by, target, as_json=json))


def history(
    site: SiteFile,
    place: Annotated[
        str | None, typer.Option("--history", metavar="FILE|URL", help="a file or postgresql://...; default: SITE_ID.history.sqlite here")
    ] = None,
    points: Annotated[str, typer.Option(metavar="PATTERN", help="points, such as 'h1/*/*/it_power_kw'")] = "*",
    start: Annotated[str | None, typer.Option("--from", metavar="I", help="a bare date or an instant")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="I", help="a bare date or an instant; default: now")] = None,
    last: Annotated[str | None, typer.Option(metavar="TIME", help="the last of it, such as 6h; default 1h")] = None,
    every: Annotated[str | None, typer.Option(metavar="TIME", help="means of intervals, such as 1min; one without a reading is a gap")] = None,
    out: Annotated[Path | None, typer.Option(metavar="F.parquet|F.csv", help="write point, time, value, quality")] = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Say what each point read, beside the running daemon; or write it into a file."""
    from facility.commands.history import Span, run_history

    raise typer.Exit(run_history(site, tuple(settings or ()), place, points, Span(start, end, last, every), out, as_json=json))


def _within_s(told: str) -> float:
    """How long an answer is waited for, s. Raises InputError."""
    from facility.durations import parse_duration
    from facility.errors import Fault, InputError

    seconds = parse_duration(told, "--within").total_seconds()
    if not 0 < seconds <= 120:
        raise InputError(Fault("--within", f"{told!r}", "give up to 2 min, such as 10s"))
    return seconds
