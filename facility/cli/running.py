"""Running: the daemon, for real or to rehearse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facility.cli.options import Broker, Settings, SiteFile
from facility.errors import Fault, InputError


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
    metrics: Annotated[
        str | None,
        typer.Option(metavar="[HOST:]PORT", help="serve /metrics, /healthz and /readyz over HTTP, such as 9464; to this machine alone without HOST"),
    ] = None,
    standby: Annotated[bool, typer.Option("--standby", help="wait beside the daemon that uses the same journal, and take over when it dies")] = False,
    shadow: Annotated[bool, typer.Option("--shadow", help="decide, but say nothing on the bus; report what it would have done")] = False,
    lasts: Annotated[str | None, typer.Option("--for", metavar="TIME", help="with --shadow: stop by itself, such as 2h")] = None,
    settings: Settings = None,
    json: Annotated[bool, typer.Option("--json", help="with --shadow: report as JSON")] = False,
) -> None:
    """Run the daemon: read, decide, verify, act, record, every cycle."""
    from facility.commands.run import Options, run_daemon

    options = Options(broker=broker, state=state, mqtt=mqtt, clock=clock, history=history, standby=standby, metrics=metrics)
    if shadow:
        from facility.commands.shadow import run_shadow

        raise typer.Exit(run_shadow(site, tuple(settings or ()), options, lasts, as_json=json))
    if lasts is not None or json:
        raise InputError(Fault("facility run", "--for or --json without --shadow", "a daemon runs until it is stopped; add --shadow"))
    raise typer.Exit(run_daemon(site, tuple(settings or ()), options))


def demo(
    site: Annotated[str | None, typer.Argument(help="site file, YAML; default: site_configs/demo.yaml", show_default=False)] = None,
    speed: Annotated[float, typer.Option(help="seconds of the site per second of yours", min=1, max=600)] = 60.0,
    duration: Annotated[str | None, typer.Option("--for", metavar="TIME", help="stop by itself, such as 2min")] = None,
    start: Annotated[str | None, typer.Option(help="instant at which the site's clock starts; default: now")] = None,
    building: Annotated[
        str | None,
        typer.Option(help="how its meters speak: telegraf, plain, nested or dsx, read by the rules of site_configs/demo-BUILDING.yaml"),
    ] = None,
    slurm: Annotated[bool, typer.Option("--slurm", help="jobs live in a Slurm of the demonstration's own, as scripts that sleep")] = False,
) -> None:
    """Rehearse: a broker, a simulated site, the daemon and a page that shows them, all on this machine."""
    from facility.commands.demo import run_demo

    raise typer.Exit(run_demo(site, speed, duration, start, building, slurm=slurm))
