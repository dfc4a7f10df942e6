"""`facility agent kubernetes`: jobs of a cluster of Kubernetes, told to the service, held and released as it orders."""

from __future__ import annotations

import logging
import os
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from facility.agents.kubernetes.agent import Agent
from facility.agents.kubernetes.api import Api, Away, Refused
from facility.agents.kubernetes.kubeconfig import read_kubeconfig
from facility.agents.kubernetes.login import Login, by_options, in_cluster
from facility.agents.kubernetes.manifest import manifest
from facility.agents.kubernetes.marks import Marks
from facility.agents.kubernetes.releasing import kinds_of, sweep
from facility.bus.broker import reach
from facility.bus.mqtt import MqttBus
from facility.clock import parse_clock
from facility.config import load_site
from facility.errors import Fault, InputError
from facility.process.asked import by_signals
from facility.site import Site

log = logging.getLogger("facility")

LOOK_S: Final = 0.05
"""Between two looks at bus and cluster, s."""
TRIES: Final = 5
WRONG: Final = 1


@dataclass(frozen=True)
class Options:
    """What the command line says beside the site file."""

    scheduler: str | None = None
    broker: str | None = None
    mqtt: str = "3.1.1"
    clock: str | None = None
    api: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()


def run_kubernetes(site_file: str, settings: tuple[str, ...], options: Options) -> int:
    """Run until SIGTERM or SIGINT; 0. InputError for bad input."""
    site, name = prepared(site_file, settings, options)
    if options.mqtt not in {"3.1.1", "5"}:
        raise InputError(Fault("--mqtt", f"{options.mqtt!r} is not a version", "give 3.1.1 or 5"))
    asked, login = by_signals(), login_of(options)
    bus = MqttBus(reach(site.bus, options.broker), f"{site.id}-{name}-{os.getpid()}", version=cast("Literal['3.1.1', '5']", options.mqtt))
    with closing(bus), closing(Api(login)) as api, closing(Agent(site, name, api, bus, parse_clock(options.clock)[0], options.namespaces)) as agent:
        log.info("carrying orders to jobs of %s at %s", name, login.url)
        while not asked.stop.wait(LOOK_S):
            agent.look()
    log.info("stopped; what is held stays so until its instant")
    return 0


def release_expired(site_file: str, settings: tuple[str, ...], options: Options) -> int:
    """Start what was held and whose instant is past, once; 0, or 1 where the server did not answer. InputError for bad input."""
    site, name = prepared(site_file, settings, options)
    here, clock = site.schedulers.kubernetes[name], parse_clock(options.clock)[0]
    with closing(Api(login_of(options))) as api:
        for attempt in range(TRIES):
            try:
                swept = sweep(api, Marks(here.prefix), kinds_of(api), options.namespaces, clock.now(), here.first_wait_s)
            except Away as away:
                log.warning("the API server: %s", away)
                time.sleep(min(2.0**attempt / 2, 8.0) if away.wait_s is None else away.wait_s)
            except Refused as refused:
                log.warning("the API server refuses: %s", refused)
                return WRONG
            else:
                log.info("%d started, %d held for now", len(swept.released), len(swept.later))
                refusals = swept.refusals(queues=here.queues)
                for each in refusals:
                    log.warning("refused: %s", each)
                return WRONG if refusals else 0
    return WRONG


def print_manifest(site_file: str, settings: tuple[str, ...], options: Options) -> int:
    """Print what is to be applied to the cluster; 0."""
    site, name = prepared(site_file, settings, options)
    print(manifest(site, name, options.namespaces))
    return 0


def prepared(site_file: str, settings: tuple[str, ...], options: Options) -> tuple[Site, str]:
    """The site, and which of its clusters is meant. Raises InputError."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    site = load_site(site_file, settings)
    known, scheduler = list(site.schedulers.kubernetes), options.scheduler
    if not known:
        raise InputError(Fault("schedulers.kubernetes", "none, so there is nothing to do", "say which labels of nodes are which pools"))
    if scheduler is None and len(known) > 1:
        raise InputError(Fault("--scheduler", f"{len(known)} clusters: {', '.join(known)}", "name one of them; each has an agent of its own"))
    if scheduler is not None and scheduler not in known:
        raise InputError(Fault("--scheduler", f"no `{scheduler}` in schedulers.kubernetes", f"name one of {', '.join(known)}"))
    return site, scheduler or known[0]


def login_of(options: Options) -> Login:
    """The API server that the options name, or that of the pod. Raises InputError."""
    if options.api is not None and options.kubeconfig is not None:
        raise InputError(Fault("--api", "given with --kubeconfig", "give one of them"))
    if options.api is not None:
        return by_options(options.api, options.token_file, options.ca_file)
    if options.kubeconfig is not None:
        return read_kubeconfig(options.kubeconfig, options.context)
    return in_cluster()
