"""Business: what a site sells, what it owes, and what it could take on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facility.cli.asked import request_of
from facility.cli.options import (
    Broker,
    Budget,
    By,
    Carbon,
    Contracts,
    Demand,
    Events,
    Jobs,
    JobsFrom,
    Json,
    KeyFile,
    Load,
    PeakSoFar,
    Prices,
    Settings,
    SiteFile,
    Solar,
    Step,
    Weather,
    Zone,
)


def quote(
    site: SiteFile,
    gpus: Annotated[int, typer.Option(help="how many are wanted", show_default=False)],
    hours: Annotated[float, typer.Option(help="for how long", show_default=False)],
    within: Annotated[str | None, typer.Option(metavar="TIME", help="how much later than --start it may begin, such as 96h")] = None,
    tier: Annotated[str, typer.Option(help="flexibility that the tenant grants, T0 (none) to T5")] = "T0",
    model: Annotated[str | None, typer.Option(help="GPU model; default: any")] = None,
    pool: Annotated[str | None, typer.Option(help="pool; default: any")] = None,
    curve: Annotated[str | None, typer.Option(help="kind of work; default: the site's jobs.curve")] = None,
    start: Annotated[str | None, typer.Option(help="a bare date or an instant; default: the next full hour", show_default=False)] = None,
    step: Step = "1h",
    horizon: Annotated[str | None, typer.Option(help="how far to plan; default: whole days that hold --within and --hours")] = None,
    prices: Prices = None,
    weather: Weather = None,
    carbon: Carbon = None,
    load: Load = None,
    solar: Solar = None,
    jobs: Jobs = None,
    jobs_from: JobsFrom = None,
    contracts: Contracts = None,
    timezone: Zone = None,
    peak_so_far: PeakSoFar = None,
    budget: Budget = 60.0,
    price: Annotated[float | None, typer.Option(metavar="MONEY", help="per GPU hour, offered beside what it costs")] = None,
    live: Annotated[bool, typer.Option("--live", help="ask the running daemon, which knows what runs and is rented now")] = False,
    accept: Annotated[str | None, typer.Option(metavar="CONTRACT", help="have the daemon keep the cheapest offer's GPUs under this name")] = None,
    tenant: Annotated[str | None, typer.Option(help="whose contract, with --accept")] = None,
    earliest: Annotated[bool, typer.Option("--earliest", help="accept the earliest offer, not the cheapest")] = False,
    broker: Broker = None,
    by: By = None,
    key_file: KeyFile = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Say what a rental would cost, when it could start and what it displaces; accept it."""
    from facility.commands.quote import Acceptance, Asked, Daemon, run_quote
    from facility.errors import Fault, InputError

    request = request_of(locals())
    if (accept is None) != (tenant is None):
        raise InputError(Fault("--accept", "a contract has a name and a tenant", "give --accept and --tenant, or neither"))
    asked = Asked(gpus, hours, within, tier, model, pool, curve, price)
    given = {"prices": prices, "weather": weather, "carbon": carbon, "load": load, "solar": solar, "jobs": jobs, "contracts": contracts}
    given |= {"jobs-from": jobs_from, "horizon": horizon}
    if live and any(given.values()):
        named = ", ".join(f"--{name}" for name, value in given.items() if value)
        raise InputError(Fault("--live", f"the daemon knows more than {named}", "leave --live out to plan with files, or leave those out"))
    acceptance = None if accept is None or tenant is None else Acceptance(accept, tenant, earliest)
    raise typer.Exit(run_quote(request, asked, Daemon(broker, by, key_file), acceptance, live=live, as_json=json))


def contract(
    site: SiteFile,
    action: Annotated[str, typer.Argument(help="list, import, set, clear or history")],
    name: Annotated[str | None, typer.Argument(help="the contract, or the file to import", show_default=False)] = None,
    terms: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="to set one: keys of the site file's contracts, start and end", show_default=False)
    ] = None,
    timezone: Zone = None,
    complete: Annotated[bool, typer.Option("--complete", help="end rentals that the file does not name")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would change; nothing is sent")] = False,
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="the daemon's journal, for the history; default: SITE_ID.sqlite")] = None,
    reason: Annotated[str, typer.Option(help="why")] = "",
    by: By = None,
    key_file: KeyFile = None,
    broker: Broker = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """List rentals, bring them from a file or by hand, end them, or tell every version there was."""
    from facility.commands.contract import Asked, run_contract

    asked = Asked(action, name, tuple(terms or ()), timezone, complete, dry_run, by, reason, key_file, state)
    raise typer.Exit(run_contract(site, tuple(settings or ()), asked, broker, as_json=json))


def report(
    site: SiteFile,
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="a calendar month of the site's zone", show_default=False)] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="D", help="a bare date or an instant, in place of a month")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="D", help="a bare date or an instant, no part of the span")] = None,
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="the journal; default: SITE_ID.sqlite here, where there is one")] = None,
    history: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="a file or postgresql://...; default: SITE_ID.history.sqlite beside the journal")
    ] = None,
    prices: Prices = None,
    carbon: Carbon = None,
    events: Events = None,
    timezone: Zone = None,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="write summary.json and report.html, a page to look at and print")] = None,
    json: Json = False,
) -> None:
    """Report a month: key figures (PUE, WUE, CUE, ERF, REF), contracts, work per kWh, and what was delivered to the grid."""
    from facility.commands.report import Asked, run_report
    from facility.report.month.signals import Files

    asked = Asked(month, start, end, state, history, Files(prices, carbon, timezone), events)
    raise typer.Exit(run_report(site, tuple(settings or ()), asked, out, as_json=json))


def maintain(
    site: SiteFile,
    pool: Annotated[str, typer.Option(help="whose GPUs leave", show_default=False)],
    gpus: Annotated[int, typer.Option(help="how many, in all steps together", show_default=False)],
    hours: Annotated[float, typer.Option(help="how long they are out", show_default=False)],
    within: Annotated[str, typer.Option(metavar="TIME", help="how long after --start all is done, such as 14d", show_default=False)],
    steps: Annotated[int, typer.Option(metavar="N", help="one part of them after another")] = 1,
    to_model: Annotated[str | None, typer.Option(metavar="MODEL", help="they leave for good, and as many of this GPU model come")] = None,
    to_pool: Annotated[str | None, typer.Option(metavar="NAME", help="the new GPUs' pool; default: POOL-MODEL")] = None,
    start: Annotated[str | None, typer.Option(help="a bare date or an instant; default: the next full hour", show_default=False)] = None,
    step: Step = "1h",
    prices: Prices = None,
    weather: Weather = None,
    carbon: Carbon = None,
    load: Load = None,
    solar: Solar = None,
    jobs: Jobs = None,
    jobs_from: JobsFrom = None,
    events: Events = None,
    demand: Demand = None,
    contracts: Contracts = None,
    timezone: Zone = None,
    peak_so_far: PeakSoFar = None,
    budget: Budget = 60.0,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="write a site file that is based on SITE, with the best windows in it")] = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Find the cheapest windows in which GPUs leave and no contract is interrupted; old ones for new, step by step."""
    from facility.commands.maintain import Asked, run_maintain

    asked = Asked(pool, gpus, hours, within, steps, to_model, to_pool)
    raise typer.Exit(run_maintain(request_of(locals()), asked, out, as_json=json))


def bill(
    site: SiteFile,
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="a local month of the site", show_default=False)] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="D", help="in place of --month: a bare date or an instant")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="D", help="a bare date or an instant, no part of the span")] = None,
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="the daemon's journal, also while it runs; default: SITE_ID.sqlite here")] = None,
    history: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="a file or postgresql://...; default: SITE_ID.history.sqlite beside the journal")
    ] = None,
    prices: Prices = None,
    carbon: Carbon = None,
    timezone: Zone = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="write the bill as its next version there")] = None,
    correct: Annotated[str | None, typer.Option(metavar="REASON", help="why there is another version, with --by and --out")] = None,
    by: By = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Say what each tenant used and owes, from what was measured."""
    from facility.bill.making import Request
    from facility.commands.bill import run_bill

    request = Request(site, month, start, end, state, history, prices, carbon, timezone, tuple(settings or ()))
    raise typer.Exit(run_bill(request, out, correct, by, as_json=json))


def capacity(
    site: SiteFile,
    model: Annotated[str | None, typer.Option(help="GPU model of those that are added; default: each place's own")] = None,
    pool: Annotated[str | None, typer.Option(help="beside this pool: its hall, feeder and machines; default: each by itself")] = None,
    hall: Annotated[str | None, typer.Option(help="beside the pools of this hall")] = None,
    flexible: Annotated[str, typer.Option(metavar="PCT,...", help="how much slower than at full speed they may run where the site is short")] = (
        "0,10,25,50"
    ),
    hours_share: Annotated[str, typer.Option(metavar="PCT,...", help="shares of all hours in which they may be paused")] = "0.25,0.5,1",
    start: Annotated[str | None, typer.Option("--from", metavar="D", help="a bare date or an instant; default: this year's first day")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="D", help="no part of the span; default: a year later", show_default=False)] = None,
    curve: Annotated[str | None, typer.Option(help="kind of work; default: the site's jobs.curve")] = None,
    busy: Annotated[
        float, typer.Option(metavar="PCT", help="without --jobs: how many of the GPUs that no rental holds do jobs, always and at full speed")
    ] = 100.0,
    prices: Prices = None,
    weather: Weather = None,
    carbon: Carbon = None,
    jobs: Jobs = None,
    jobs_from: Annotated[str | None, typer.Option(metavar="INSTANT", help="instant of the job file that is laid on --from")] = None,
    timezone: Zone = None,
    settings: Settings = None,
    budget: Budget = 120.0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="write capacity.csv, hours.csv, summary.json, capacity.html")] = None,
    json: Json = False,
) -> None:
    """Say how many more GPUs fit under the connection, hour by hour through a year, if they may be slowed where the site is short."""
    from facility.capacity.question import Asked
    from facility.commands.capacity import run_capacity

    asked = Asked(
        site=site,
        start=start,
        end=end,
        model=model,
        pool=pool,
        hall=hall,
        curve=curve,
        flexible=flexible,
        hours_share=hours_share,
        busy_pct=busy,
        prices=prices,
        weather=weather,
        carbon=carbon,
        jobs=jobs,
        jobs_from=jobs_from,
        timezone=timezone,
        settings=tuple(settings or ()),
        budget_s=budget,
    )
    raise typer.Exit(run_capacity(asked, out, json_=json))
