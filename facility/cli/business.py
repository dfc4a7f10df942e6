"""Business: what a site sells, what it owes, and what it could take on."""

from __future__ import annotations

from typing import Annotated

import typer

from facility.cli.asked import request_of
from facility.cli.options import (
    Broker,
    Budget,
    By,
    Carbon,
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
    files = {"--prices": prices, "--weather": weather, "--carbon": carbon, "--load": load, "--solar": solar, "--jobs": jobs, "--horizon": horizon}
    if live and any(files.values()):
        named = ", ".join(name for name, value in files.items() if value)
        raise InputError(Fault("--live", f"the daemon knows more than {named}", "leave --live out to plan with files, or leave those out"))
    acceptance = None if accept is None or tenant is None else Acceptance(accept, tenant, earliest)
    raise typer.Exit(run_quote(request, asked, Daemon(broker, by, key_file), acceptance, live=live, as_json=json))
