"""Command line: options in, exit codes out. Everything heavy is imported inside the command that needs it.

Exit codes: 0 fine, 1 the answer is no, 2 wrong use or bad input, 3 a fault. No traceback reaches a user unless FACILITY_DEBUG is
set.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from facility.errors import Fault, InputError

NO, BAD_INPUT, FAULT = 1, 2, 3

app = typer.Typer(
    name="facility",
    help="Runs the power of a GPU data centre: caps and deferrals that cost the least inside every limit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SiteFile = Annotated[str, typer.Argument(help="site file, YAML", metavar="SITE", show_default=False)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change a key of the site file, such as grid.import_limit_kw=900"),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
By = Annotated[str | None, typer.Option(help="your name; default: the login name")]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", metavar="F", envvar="FACILITY_KEY_FILE", help="your key, to sign with, where the site asks for it")
]
Broker = Annotated[str | None, typer.Option(help="mqtt[s]://[user:password@]host[:port]; default: the site file's")]
Start = Annotated[str | None, typer.Option(help="a bare date (that local calendar day) or an instant; default: tomorrow", show_default=False)]
Horizon = Annotated[str | None, typer.Option(help="elapsed time, such as 36h")]
Step = Annotated[str, typer.Option(help="length of a step")]
Prices = Annotated[str | None, typer.Option(metavar="F[:column]", help="prices, CSV or Parquet")]
Weather = Annotated[str | None, typer.Option(metavar="F[:column]", help="outdoor temperature")]
Carbon = Annotated[str | None, typer.Option(metavar="F[:column]", help="carbon intensity")]
Load = Annotated[str | None, typer.Option(metavar="F[:column]", help="base load in place of the halls' base_kw")]
Solar = Annotated[str | None, typer.Option(metavar="F[:column]", help="output of solar plants, kW per kWp")]
Jobs = Annotated[str | None, typer.Option(metavar="F", help="jobs: submit_time, duration_s, num_gpus and more")]
JobsFrom = Annotated[str | None, typer.Option(metavar="INSTANT", help="instant of the job file that is laid on --start")]
Events = Annotated[str | None, typer.Option(metavar="F", help="grid events: start, end, target_kw or reduction_pct")]
Demand = Annotated[str | None, typer.Option(metavar="F", help="GPUs that services need: columns CONTRACT_gpus")]
Position = Annotated[
    str | None, typer.Option(metavar="F", help="plan.csv of an earlier plan that was committed; leaving it costs the imbalance premium")
]
Zone = Annotated[str | None, typer.Option(metavar="ZONE", help="zone of times that carry none")]
PeakSoFar = Annotated[
    list[str] | None, typer.Option(metavar="[ID=]KW", help="highest mean of the month until --start, for all demand charges or one")
]
Budget = Annotated[float, typer.Option(metavar="SECONDS", help="most time for the solver", min=0.1)]
Exact = Annotated[bool, typer.Option("--exact", help="the best plan that can be sent, with a proof in money")]
Gap = Annotated[float | None, typer.Option(metavar="MONEY", help="how good the proof is to be; default 0.01")]
WholeSteps = Annotated[int | None, typer.Option(metavar="N", help="first steps in which a job runs whole or waits; default 1", min=1)]


@app.command()
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
    from facility.planner import Request

    request = Request(
        site=site,
        start=start,
        horizon=horizon,
        step=step,
        prices=prices,
        weather=weather,
        carbon=carbon,
        load=load,
        solar=solar,
        jobs=jobs,
        jobs_from=jobs_from,
        events=events,
        position=position,
        demand=demand,
        timezone=timezone,
        peaks_so_far=tuple(peak_so_far or ()),
        settings=tuple(settings or ()),
        budget_s=budget,
        exact=exact,
        gap=gap,
        whole_steps=whole_steps,
    )
    told = tuple(explain or ())
    raise typer.Exit(run_plan(request, out, told, as_json=json, opened=opened, commit=commit, broker=broker, by=by, key_file=key_file))


@app.command()
def backtest(
    site: SiteFile,
    start: Annotated[str, typer.Option("--from", metavar="D", help="a bare date or an instant", show_default=False)],
    end: Annotated[str, typer.Option("--to", metavar="D", help="a bare date or an instant, no part of the span", show_default=False)],
    prices: Annotated[str | None, typer.Option(metavar="F[:column]", help="prices, CSV or Parquet")] = None,
    weather: Annotated[str | None, typer.Option(metavar="F[:column]", help="outdoor temperature")] = None,
    carbon: Annotated[str | None, typer.Option(metavar="F[:column]", help="carbon intensity")] = None,
    jobs: Annotated[str | None, typer.Option(metavar="F", help="jobs: submit_time, duration_s, num_gpus and more")] = None,
    jobs_from: Annotated[str | None, typer.Option(metavar="INSTANT", help="instant of the job file that is laid on --from")] = None,
    timezone: Annotated[str | None, typer.Option(metavar="ZONE", help="zone of times that carry none")] = None,
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
    raise typer.Exit(run_backtest(request, out, workers, as_json=json))


@app.command()
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
    from facility.request import Request

    request = Request(
        site=site,
        start=start,
        horizon=horizon,
        step=step,
        prices=prices,
        weather=weather,
        carbon=carbon,
        load=load,
        solar=solar,
        jobs=jobs,
        jobs_from=jobs_from,
        events=events,
        position=position,
        demand=demand,
        timezone=timezone,
        peaks_so_far=tuple(peak_so_far or ()),
        settings=tuple(settings or ()),
        budget_s=budget,
        exact=exact,
        gap=gap,
        whole_steps=whole_steps,
    )
    raise typer.Exit(run_sweep(request, vary, out, processes, cluster, json_=json))


@app.command()
def fit(
    site: SiteFile,
    telemetry: Annotated[
        list[str], typer.Option(metavar="F", help="what was recorded: `facility history --out`, or a column for each quantity; CSV or Parquet")
    ],
    column: Annotated[
        list[str] | None, typer.Option(metavar="OURS=THEIRS", help="what the files call cap_w, power_w, throughput, util_pct, curve, run or a sensor")
    ] = None,
    pool: Annotated[str | None, typer.Option(help="whose GPUs were recorded")] = None,
    curve: Annotated[str | None, typer.Option(help="which kind of work, where no column `curve` says it")] = None,
    every: Annotated[str, typer.Option(metavar="TIME", help="cooling is fitted to means of so long")] = "10min",
    timezone: Zone = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="write fit.yaml to paste, and fit.json")] = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Fit operating points, cooling plants and halls to what was recorded, with error bars; show where the site file is off."""
    from facility.commands.fit import Asked, run_fit

    asked = Asked(tuple(telemetry), tuple(column or ()), pool, curve, every, timezone)
    raise typer.Exit(run_fit(site, tuple(settings or ()), asked, out, as_json_=json))


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="folder of a plan, or its summary.json", metavar="A", show_default=False)],
    b: Annotated[Path, typer.Argument(help="the other one", metavar="B", show_default=False)],
    json: Json = False,
) -> None:
    """Tell two plans apart: costs, jobs that moved, caps, breaches, assumptions."""
    from facility.commands.compare import run_compare

    raise typer.Exit(run_compare(a, b, as_json=json))


@app.command()
def check(
    site: Annotated[str | None, typer.Argument(help="site file, YAML", show_default=False)] = None,
    schema: Annotated[bool, typer.Option("--schema", help="print the site file's JSON schema for editors")] = False,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="print the bus as an AsyncAPI document")] = False,
    acl: Annotated[bool, typer.Option("--acl", help="print who may do what on the broker, as Mosquitto's acl_file")] = False,
    broker_conf: Annotated[bool, typer.Option("--broker-conf", help="print a mosquitto.conf for the site")] = False,
    unit: Annotated[bool, typer.Option("--unit", help="print a systemd unit that runs the site")] = False,
    listen: Annotated[
        str | None, typer.Option(metavar="TIME", help="hold what the broker says for so long against the file, such as 60s")
    ] = None,
    broker: Broker = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Check a site file and tell every fault at once; with --listen, also whether its sensors speak."""
    from facility.commands.check import run_check

    told = run_check(
        site,
        tuple(settings or ()),
        schema=schema,
        asyncapi=asyncapi,
        acl=acl,
        broker_conf=broker_conf,
        unit=unit,
        as_json=json,
        listen=listen,
        broker=broker,
    )
    raise typer.Exit(told)


@app.command()
def run(
    site: SiteFile,
    broker: Broker = None,
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="the journal; default: SITE_ID.sqlite here")] = None,
    history: Annotated[
        str | None, typer.Option(metavar="FILE|URL|none", help="every reading: a file or postgresql://...; default: SITE_ID.history.sqlite")
    ] = None,
    mqtt: Annotated[str, typer.Option(help="3.1.1 or 5")] = "3.1.1",
    clock: Annotated[
        str | None, typer.Option(metavar="SPEED@REAL:ISO", help="a faster clock, for rehearsals", hidden=True)
    ] = None,
    standby: Annotated[bool, typer.Option("--standby", help="wait beside the daemon that uses the same journal, and take over when it dies")] = False,
    shadow: Annotated[bool, typer.Option("--shadow", help="decide, but say nothing on the bus; report what it would have done")] = False,
    lasts: Annotated[str | None, typer.Option("--for", metavar="TIME", help="with --shadow: stop by itself, such as 2h")] = None,
    settings: Settings = None,
    json: Annotated[bool, typer.Option("--json", help="with --shadow: report as JSON")] = False,
) -> None:
    """Run the daemon: read, decide, verify, act, record, every cycle."""
    from facility.commands.run import Options, run_daemon

    options = Options(broker=broker, state=state, mqtt=mqtt, clock=clock, history=history, standby=standby)
    if shadow:
        from facility.commands.shadow import run_shadow

        raise typer.Exit(run_shadow(site, tuple(settings or ()), options, lasts, as_json=json))
    if lasts is not None or json:
        raise InputError(Fault("facility run", "--for or --json without --shadow", "a daemon runs until it is stopped; add --shadow"))
    raise typer.Exit(run_daemon(site, tuple(settings or ()), options))


@app.command()
def demo(
    site: Annotated[str | None, typer.Argument(help="site file, YAML; default: site_configs/demo.yaml", show_default=False)] = None,
    speed: Annotated[float, typer.Option(help="seconds of the site per second of yours", min=1, max=600)] = 60.0,
    duration: Annotated[str | None, typer.Option("--for", metavar="TIME", help="stop by itself, such as 2min")] = None,
    start: Annotated[str | None, typer.Option(help="instant at which the site's clock starts; default: now")] = None,
    building: Annotated[
        str | None,
        typer.Option(help="how its meters speak: telegraf, plain, nested or dsx, read by the rules of site_configs/demo-BUILDING.yaml"),
    ] = None,
) -> None:
    """Rehearse: a broker, a simulated site, the daemon and a page that shows them, all on this machine."""
    from facility.commands.demo import run_demo

    raise typer.Exit(run_demo(site, speed, duration, start, building))


@app.command()
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
    broker: Broker = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Overrule the daemon, take it back, or list what is in force."""
    from facility.commands.override import Command, run_override

    command = Command(action, target, kind, value, ttl, priority, by or os.environ.get("USER") or "operator", reason, id_, key_file)
    raise typer.Exit(run_override(site, tuple(settings or ()), command, broker, as_json=json))


@app.command()
def status(site: SiteFile, broker: Broker = None, settings: Settings = None, json: Json = False) -> None:
    """Say what the daemon does now and why."""
    from facility.commands.status import run_status

    raise typer.Exit(run_status(site, tuple(settings or ()), broker, as_json=json))


@app.command()
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


@app.command()
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


@app.command()
def replay(
    state: Annotated[Path, typer.Argument(help="the daemon's journal, also while it runs", metavar="JOURNAL", show_default=False)],
    cycles: Annotated[int | None, typer.Option(metavar="N", help="only the newest N cycles and what was sent since", min=1)] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="I", help="a bare date or an instant, UTC unless it says otherwise")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="I", help="a bare date or an instant, UTC unless it says otherwise")] = None,
    solve: Annotated[
        bool | None, typer.Option("--solve/--no-solve", help="solve every plan again, or none; default: those that this version made")
    ] = None,
    json: Json = False,
) -> None:
    """Compute again, from the journal, all that was decided and sent; say where it is not what was recorded."""
    from facility.commands.replay import run_replay

    raise typer.Exit(run_replay(state, cycles, start, end, solve, as_json=json))


@app.command()
def backup(
    state: Annotated[Path, typer.Argument(help="the daemon's journal, also while it runs", metavar="JOURNAL", show_default=False)],
    file: Annotated[Path, typer.Argument(help="the copy; an earlier one is replaced once the new one is whole", metavar="FILE", show_default=False)],
) -> None:
    """Copy the journal while the daemon runs, and check the copy.

    The history of readings is not in it. Keep copies elsewhere, with the heads that are printed: they prove later that nothing was changed.
    """
    from facility.commands.backup import run_backup

    raise typer.Exit(run_backup(state, file))


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="a copy that `facility backup` made", metavar="FILE", show_default=False)],
    state: Annotated[Path, typer.Argument(help="the journal in whose place it is put, with no daemon on it", metavar="JOURNAL", show_default=False)],
    by: By = None,
) -> None:
    """Put a copy in the place of a journal that was lost or damaged; the old one is put aside.

    Numbers of orders go on above all that was ever sent. An override of which nobody knows any more whether it still stands ends, and is
    named: set again what should stand. Then start the daemon.
    """
    from facility.commands.backup import run_restore

    raise typer.Exit(run_restore(file, state, by or os.environ.get("USER") or "operator"))


@app.command()
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


@app.command()
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


def main() -> None:
    """Run the command line; every outcome is an exit code and, where it is bad, a sentence."""
    try:
        app(standalone_mode=True)
    except InputError as error:
        for fault in error.faults:
            print(f"facility: {fault}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("facility: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get("FACILITY_DEBUG"):
            raise
        print(
            f"facility: a fault of the program, not of your input: {type(error).__name__}: {error}; "
            "set FACILITY_DEBUG=1 to see where, and report it",
            file=sys.stderr,
        )
        sys.exit(FAULT)
