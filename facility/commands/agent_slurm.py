"""`facility agent slurm`: jobs of a Slurm cluster told to the daemon, and its deferrals carried out there."""

from __future__ import annotations

import getpass
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

from facility.agents.slurm.agent import Agent
from facility.agents.slurm.arriving import job_submit
from facility.agents.slurm.job import Slurm
from facility.bus.broker import reach
from facility.bus.mqtt import MqttBus
from facility.bus.secrets import first_line, read_private
from facility.clock import parse_clock
from facility.config import load_site
from facility.errors import Fault, InputError
from facility.process.asked import by_signals
from facility.site import Site
from facility.site import Slurm as Terms

log = logging.getLogger("facility")

LOOK_S = 0.1
"""Between two looks at the bus, s."""


def run_slurm(site_file: str, settings: tuple[str, ...], broker: str | None, mqtt: str, clock: str | None, scheduler: str | None) -> int:
    """Run until SIGTERM or SIGINT; 0. InputError for bad input."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if mqtt not in {"3.1.1", "5"}:
        raise InputError(Fault("--mqtt", f"{mqtt!r} is not a version", "give 3.1.1 or 5"))
    site = load_site(site_file, settings)
    name = choose(site, scheduler)
    slurm = connect(site.schedulers.slurm[name])
    asked, (instant, _) = by_signals(), parse_clock(clock)
    bus = MqttBus(reach(site.bus, broker), f"{site.id}-{name}-{os.getpid()}", version=cast("Literal['3.1.1', '5']", mqtt))
    try:
        agent = Agent(site, name, slurm, bus, instant)
        log.info("jobs of %s in %s are told, and deferred as ordered", name, site.id)
        while not asked.stop.wait(LOOK_S):
            agent.look()
        agent.leave()
    finally:
        bus.close()
    return 0


def print_job_submit(site_file: str, settings: tuple[str, ...], scheduler: str | None) -> int:
    """Print what lets jobs wait for their first order; 0."""
    site = load_site(site_file, settings)
    print(job_submit(site.schedulers.slurm[choose(site, scheduler)]), end="")
    return 0


def choose(site: Site, scheduler: str | None) -> str:
    """The name of the cluster that is meant. Raises InputError."""
    known = list(site.schedulers.slurm)
    if not known:
        raise InputError(Fault("schedulers.slurm", "none, so there is nothing to do", "say which partitions are which pools"))
    if scheduler is None and len(known) > 1:
        raise InputError(Fault("--scheduler", f"{len(known)} clusters: {', '.join(known)}", "name one of them; each has an agent of its own"))
    if scheduler is not None and scheduler not in known:
        raise InputError(Fault("--scheduler", f"no `{scheduler}` in schedulers.slurm", f"name one of {', '.join(known)}"))
    return scheduler or known[0]


def connect(terms: Terms) -> Slurm:
    """The way to a cluster that its terms name. Raises InputError where there is none."""
    if terms.url is not None:
        from facility.agents.slurm.rest import Rest

        token = token_of(terms)
        token()  # so that a file which nobody can read is told at once
        return Rest(terms.url, terms.user or getpass.getuser(), token)
    from facility.agents.slurm.commands import Commands

    if missing := [name for name in ("squeue", "scontrol") if shutil.which(name) is None]:
        found = f"no {' and no '.join(missing)} on this machine"
        raise InputError(Fault("facility agent slurm", found, "give schedulers.slurm.X.url, of slurmrestd"))
    return Commands()


def token_of(terms: Terms) -> Callable[[], str | None]:
    """What gives the token for slurmrestd, read anew each time, for tokens end."""
    if terms.token_file is None:
        return lambda: os.environ.get(terms.token_env)
    file, key = Path(terms.token_file), "schedulers.slurm.X.token_file"
    return lambda: first_line(read_private(file, key), key).removeprefix("SLURM_JWT=")
