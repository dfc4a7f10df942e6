"""Agents: processes that carry orders out, beside what they drive.

Those of GPUs read their options themselves and are begun straight away: what reads the options of other commands needs more memory than all
the rest of such an agent.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from facility.cli.options import Broker, Settings, SiteFile
from facility.errors import Fault, InputError

agent = typer.Typer(name="agent", help="Carry orders out: a process beside what it drives.", no_args_is_help=True)

Unit = Annotated[bool, typer.Option("--unit", help="print a systemd unit of this agent with these options, and do nothing else")]
ITS_OWN: Final = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""Leaves every option to the command."""
STRAIGHT: Final = ("nvml", "amd", "redfish")


def straight(arguments: Sequence[str]) -> int | None:
    """Run the agent that the command line names and return its exit code; None where it names none that reads its own options."""
    if len(arguments) < 2 or arguments[0] != "agent" or arguments[1] not in STRAIGHT:
        return None
    from facility.agents.gpu.start import start

    return start(arguments[1], arguments[2:])


@agent.command()
def building(
    site: SiteFile,
    broker: Broker = None,
    mqtt: Annotated[str, typer.Option(help="3.1.1 or 5")] = "3.1.1",
    clock: Annotated[str | None, typer.Option(metavar="SPEED@REAL:ISO", help="a faster clock, for rehearsals", hidden=True)] = None,
    unit: Unit = False,
    settings: Settings = None,
) -> None:
    """Carry set-points of cooling, batteries, gensets and solar plants to gateways of BACnet or Modbus (`bus.set_points`)."""
    from facility.commands.agent_building import run_building

    if unit:
        raise typer.Exit(_unit("building", site, settings))
    raise typer.Exit(run_building(site, tuple(settings or ()), broker, mqtt, clock))


@agent.command(context_settings=ITS_OWN)
def nvml(context: typer.Context) -> None:
    """Set power limits of this machine's NVIDIA GPUs."""
    raise typer.Exit(straight(["agent", "nvml", *context.args]) or 0)


@agent.command(context_settings=ITS_OWN)
def amd(context: typer.Context) -> None:
    """Set power caps of this machine's AMD GPUs."""
    raise typer.Exit(straight(["agent", "amd", *context.args]) or 0)


@agent.command(context_settings=ITS_OWN)
def redfish(context: typer.Context) -> None:
    """Set power limits of many nodes' GPUs through their management controllers."""
    raise typer.Exit(straight(["agent", "redfish", *context.args]) or 0)


@agent.command()
def slurm(
    site: SiteFile,
    broker: Broker = None,
    scheduler: Annotated[str | None, typer.Option(metavar="NAME", help="of schedulers.slurm, where there are several")] = None,
    job_submit: Annotated[
        bool, typer.Option("--job-submit", help="print job_submit.lua, with which new jobs wait for their first order, and do nothing else")
    ] = False,
    mqtt: Annotated[str, typer.Option(help="3.1.1 or 5")] = "3.1.1",
    clock: Annotated[str | None, typer.Option(metavar="SPEED@REAL:ISO", help="a faster clock, for rehearsals", hidden=True)] = None,
    unit: Unit = False,
    settings: Settings = None,
) -> None:
    """Tell of the jobs of a Slurm cluster that may be deferred, and defer them by their begin time (`schedulers.slurm`)."""
    from facility.commands.agent_slurm import print_job_submit, run_slurm

    if unit:
        raise typer.Exit(_unit("slurm", site, settings))
    if job_submit:
        raise typer.Exit(print_job_submit(site, tuple(settings or ()), scheduler))
    raise typer.Exit(run_slurm(site, tuple(settings or ()), broker, mqtt, clock, scheduler))


@agent.command()
def kubernetes(
    site: SiteFile,
    broker: Broker = None,
    scheduler: Annotated[str | None, typer.Option(metavar="NAME", help="of schedulers.kubernetes, where there are several")] = None,
    api: Annotated[str | None, typer.Option(metavar="URL", help="the API server; its token in FACILITY_KUBERNETES_TOKEN or --token-file")] = None,
    token_file: Annotated[Path | None, typer.Option("--token-file", metavar="F", help="file of the token, read again when it is refused")] = None,
    ca_file: Annotated[Path | None, typer.Option("--ca-file", metavar="PEM", help="CA of the API server; default: the system's")] = None,
    kubeconfig: Annotated[Path | None, typer.Option(metavar="F", help="as kubectl has it; default: that of the pod")] = None,
    context: Annotated[str | None, typer.Option(help="context of the kubeconfig; default: its current one", show_default=False)] = None,
    namespace: Annotated[list[str] | None, typer.Option(metavar="NS", help="look at this namespace; default: at all")] = None,
    release_expired: Annotated[bool, typer.Option("--release-expired", help="start what was held too long, once, and end; needs no broker")] = False,
    manifest: Annotated[bool, typer.Option("--manifest", help="print what is to be applied to the cluster")] = False,
    mqtt: Annotated[str, typer.Option(help="3.1.1 or 5")] = "3.1.1",
    clock: Annotated[str | None, typer.Option(metavar="SPEED@REAL:ISO", help="a faster clock, for rehearsals", hidden=True)] = None,
    unit: Unit = False,
    settings: Settings = None,
) -> None:
    """Tell of the jobs of a Kubernetes cluster that may be deferred, and hold and release them (`schedulers.kubernetes`)."""
    if unit:
        raise typer.Exit(_unit("kubernetes", site, settings))
    try:
        from facility.commands import agent_kubernetes as command
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise InputError(Fault("facility agent kubernetes", "httpx is missing", "pip install 'facility[agents]'")) from error
    options = command.Options(scheduler, broker, mqtt, clock, api, token_file, ca_file, kubeconfig, context, tuple(namespace or ()))
    run = command.print_manifest if manifest else command.release_expired if release_expired else command.run_kubernetes
    raise typer.Exit(run(site, tuple(settings or ()), options))


def _unit(kind: str, site_file: str, settings: Sequence[str] | None) -> int:
    """Print the unit of an agent that reads a site file, with the words that this process was started with."""
    from facility.agents.unit import unit
    from facility.config import load_site

    site = load_site(site_file, tuple(settings or ()))
    words = [str(Path(word).absolute()) if word == site_file else word for word in sys.argv[sys.argv.index(kind) + 1 :]]
    print(unit(kind, site.id, words))
    return 0
