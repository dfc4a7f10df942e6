"""Agents: processes that carry orders out, beside what they drive."""

from __future__ import annotations

from typing import Annotated

import typer

from facility.cli.options import Broker, Settings, SiteFile

agent = typer.Typer(name="agent", help="Carry orders out: a process beside what it drives.", no_args_is_help=True)


@agent.command()
def building(
    site: SiteFile,
    broker: Broker = None,
    mqtt: Annotated[str, typer.Option(help="3.1.1 or 5")] = "3.1.1",
    clock: Annotated[str | None, typer.Option(metavar="SPEED@REAL:ISO", help="a faster clock, for rehearsals", hidden=True)] = None,
    settings: Settings = None,
) -> None:
    """Carry set-points of cooling, batteries, gensets and solar plants to gateways of BACnet or Modbus (`bus.set_points`)."""
    from facility.commands.agent_building import run_building

    raise typer.Exit(run_building(site, tuple(settings or ()), broker, mqtt, clock))
