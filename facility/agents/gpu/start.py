"""Start: from options to an agent that runs until it is stopped."""

from __future__ import annotations

import logging
import os
import platform
import random
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from facility.agents.gpu.device import Devices
from facility.agents.gpu.obeying import Obeying
from facility.agents.gpu.options import Options, parse
from facility.agents.gpu.process import READ_S, Agent, Post
from facility.agents.unit import unit
from facility.bus.broker import reach
from facility.bus.mqtt import MqttBus
from facility.bus.topics import Topics
from facility.errors import Fault, InputError

MOST_WORKERS: Final = 64
OUT_OF_BAND_S: Final = 10.0
"""How often management controllers are asked, s: they are slow, and have other work."""
LIBRARIES: Final = {
    "nvml": ("NVIDIA's library for Python", "pip install 'facility[nvml]'"),
    "redfish": ("the HTTP client", "pip install 'facility[agents]'"),
    "amd": ("AMD's library for Python", "install ROCm, and its amdsmi into this environment"),
}


def start(kind: str, arguments: Sequence[str]) -> int:
    """Run `facility agent KIND` until SIGTERM or SIGINT; 0 then. With `--unit` its systemd unit is printed instead. Raises InputError."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    options = parse(kind, arguments)
    if options.unit:
        print(unit(kind, options.site, arguments))
        return 0
    slow = kind == "redfish"
    devices = _fleet(options) if slow else opened(kind, place_of(options), options.gpus)
    post = Post(
        Topics(options.root, options.site), options.hall, options.pool, options.node, options.on_stop, options.dry_run,
        workers=MOST_WORKERS if slow else 0, read_s=OUT_OF_BAND_S if slow else READ_S, speed=options.speed, quiet=options.quiet,
    )  # fmt: skip
    return run(options, post, devices)


def run(options: Options, post: Post, devices: Devices) -> int:
    """Carry orders out until a signal; 0 then. Raises InputError."""
    rng = random.Random(f"{post.reported} {os.getpid()}")  # no two nodes rise together
    obeying = Obeying(devices.gpus(), whole=post.node is None, workload=options.workload, rng=rng)
    bus = MqttBus(reach(options.login), f"{options.site}-agent-{place_of(options)[:30]}-{os.getpid()}", now=options.clock.now)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    Agent(post, obeying, devices, bus, options.clock).run(stop)
    return 0


def place_of(options: Options) -> str:
    """What the names of this node's GPUs begin with."""
    return options.node or platform.node() or "node"


def opened(kind: str, place: str, gpus: tuple[str, ...]) -> Devices:
    """Open this machine's GPUs of a kind. Raises InputError."""
    what, remedy = LIBRARIES[kind]
    try:
        if kind == "nvml":
            from facility.agents.gpu.nvml import Nvml

            return Nvml(place, gpus)
        from facility.agents.gpu.amd import Amd

        return Amd(place, gpus)
    except (ImportError, OSError, LookupError, AttributeError) as error:  # a library that does not find its driver fails in its own ways
        raise InputError(Fault(f"facility agent {kind}", f"{what} cannot be used: {error}", remedy)) from error


def _fleet(options: Options) -> Devices:
    try:
        from facility.agents.gpu.redfish.fleet import Fleet
    except ImportError as error:
        what, remedy = LIBRARIES["redfish"]
        raise InputError(Fault("facility agent redfish", f"{what} is missing", remedy)) from error
    from facility.agents.gpu.redfish.nodes import read_nodes

    logging.getLogger("httpx").setLevel(logging.WARNING)
    return Fleet(read_nodes(Path(options.nodes)))
