"""Planning: what a site should do, or should have done, offline."""

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
    Exact,
    Gap,
    Horizon,
    Jobs,
    JobsFrom,
    Json,
    KeyFile,
    Load,
    PeakSoFar,
    Position,
    Prices,
    Settings,
    SiteFile,
    Solar,
    Start,
    Step,
    Weather,
    WholeSteps,
    Zone,
)


def plan(
    site: SiteFile,
    start: Start = None,
    horizon: Horizon = None,
    step: Step = "15min",
    prices: Prices = None,
    weather: Weather = None,
    carbon: Carbon = None,
    load: Load = None,
    solar: Solar = None,
    jobs: Jobs = None,
    jobs_from: JobsFrom = None,
    contracts: Contracts = None,
    events: Events = None,
    demand: Demand = None,
    position: Position = None,
    timezone: Zone = None,
    peak_so_far: PeakSoFar = None,
    settings: Settings = None,
    explain: Annotated[
        list[str] | None, typer.Option(metavar="JOB|POOL|CONTRACT|TIME", help="say why, which limits bind, and the cheapest remedy")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write plan.csv, caps.csv, jobs.csv, summary.json, report.html")
    ] = None,
    opened: Annotated[bool, typer.Option("--open", help="show the report in the browser")] = False,
    budget: Budget = 120.0,
    commit: Annotated[bool, typer.Option("--commit", help="hand the plan's import to the daemon as the position of its time")] = False,
    broker: Broker = None,
    by: By = None,
    key_file: KeyFile = None,
    exact: Exact = False,
    gap: Gap = None,
    whole_steps: WholeSteps = None,
    json: Json = False,
) -> None:
    """Plan a day, or any span, offline, and say what it saves."""
    from facility.commands.plan import run_plan

    request = request_of(locals())
    told = tuple(explain or ())
    raise typer.Exit(run_plan(request, out, told, as_json=json, opened=opened, commit=commit, broker=broker, by=by, key_file=key_file))


def backtest(
    site: SiteFile,
    start: Annotated[str, typer.Option("--from", metavar="D", help="a bare date or an instant", show_default=False)],
    end: Annotated[str, typer.Option("--to", metavar="D", help="a bare date or an instant, no part of the span", show_default=False)],
    prices: Prices = None,
    weather: Weather = None,
    carbon: Carbon = None,
    jobs: Jobs = None,
    jobs_from: Annotated[str | None, typer.Option(metavar="INSTANT", help="instant of the job file that is laid on --from")] = None,
    timezone: Zone = None,
    cycle: Annotated[str | None, typer.Option(metavar="TIME", help="how often a decision is made; default: the site's control.cycle_s")] = None,
    foresight: Annotated[float, typer.Option(metavar="HOURS", help="how far perfect foresight looks ahead")] = 48.0,
    published: Annotated[str, typer.Option(metavar="HH:MM", help="local time at which the next day's prices are known")] = "12:45",
    seed: Annotated[int, typer.Option(help="of every noise")] = 0,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="only these of foresight, ours, rules and none", show_default=False)
    ] = None,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write summary.json and intervals.parquet; the same command goes on there")
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="processes at once; default: one for each processor", min=1)] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write ours as a journal and a history there, as the daemon would, for facility bill")
    ] = None,
    json: Json = False,
) -> None:
    """Live through days of the past: ours, beside nobody, an operator's rules and perfect foresight."""
    from facility.backtest.request import CONTROLLERS, Request
    from facility.commands.backtest import run_backtest

    request = Request(
        site=site,
        start=start,
        end=end,
        prices=prices,
        weather=weather,
        carbon=carbon,
        jobs=jobs,
        jobs_from=jobs_from,
        timezone=timezone,
        cycle=cycle,
        foresight_h=foresight,
        published=published,
        seed=seed,
        controllers=tuple(dict.fromkeys(only or CONTROLLERS)),
        settings=tuple(settings or ()),
    )
    raise typer.Exit(run_backtest(request, out, workers, record, as_json=json))


def sweep(
    site: SiteFile,
    vary: Annotated[
        list[str], typer.Option(metavar="KEY=VALUES", help="values of a key: A,B,C or FIRST..LAST:COUNT; several keys: every combination")
    ],
    start: Start = None,
    horizon: Horizon = None,
    step: Step = "15min",
    prices: Prices = None,
    weather: Weather = None,
    carbon: Carbon = None,
    load: Load = None,
    solar: Solar = None,
    jobs: Jobs = None,
    jobs_from: JobsFrom = None,
    contracts: Contracts = None,
    events: Events = None,
    demand: Demand = None,
    position: Position = None,
    timezone: Zone = None,
    peak_so_far: PeakSoFar = None,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write sweep.csv, summary.json, sweep.html; what is there already is not made again")
    ] = None,
    budget: Budget = 120.0,
    exact: Exact = False,
    gap: Gap = None,
    whole_steps: WholeSteps = None,
    processes: Annotated[int | None, typer.Option(metavar="N", help="plans at a time; default: as many as processors", min=1)] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="URL|local", help="plan on the workers of a dask scheduler, such as tcp://host:8786", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Plan for every combination of values of some keys of the site file, on all processors, and compare."""
    from facility.commands.sweep import run_sweep

    request = request_of(locals())
    raise typer.Exit(run_sweep(request, vary, out, processes, cluster, json_=json))


def compare(
    a: Annotated[Path, typer.Argument(help="folder of a plan, or its summary.json", metavar="A", show_default=False)],
    b: Annotated[Path, typer.Argument(help="the other one", metavar="B", show_default=False)],
    json: Json = False,
) -> None:
    """Tell two plans apart: costs, jobs that moved, caps, breaches, assumptions."""
    from facility.commands.compare import run_compare

    raise typer.Exit(run_compare(a, b, as_json=json))
