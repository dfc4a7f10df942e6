"""Site files: whether one is as it must be, and whether what was recorded agrees with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facility.cli.options import Broker, Json, Settings, SiteFile, Zone


def check(
    site: Annotated[str | None, typer.Argument(help="site file, YAML", show_default=False)] = None,
    schema: Annotated[bool, typer.Option("--schema", help="print the site file's JSON schema for editors")] = False,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="print the bus as an AsyncAPI document")] = False,
    acl: Annotated[bool, typer.Option("--acl", help="print who may do what on the broker, as Mosquitto's acl_file")] = False,
    broker_conf: Annotated[bool, typer.Option("--broker-conf", help="print a mosquitto.conf for the site")] = False,
    unit: Annotated[bool, typer.Option("--unit", help="print a systemd unit that runs the site")] = False,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="print a Grafana dashboard of what `run --metrics` serves")] = False,
    alert_rules: Annotated[bool, typer.Option("--alert-rules", help="print Prometheus alert rules of what `run --metrics` serves")] = False,
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
        dashboard=dashboard,
        alert_rules=alert_rules,
        as_json=json,
        listen=listen,
        broker=broker,
    )
    raise typer.Exit(told)


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
