"""Options of GPU agents, as the command line or the environment says them. No site file is read: a node has no business with contracts."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from facility.agents.gpu.obeying import Leaving
from facility.bus.topics import ID
from facility.clock import Clock, ScaledClock, SystemClock, parse_epoch
from facility.errors import Fault, InputError

LEAVING: Final[tuple[Leaving, ...]] = ("fallback", "keep", "default")
ABOUT: Final = {
    "nvml": "Set the power limits of this machine's NVIDIA GPUs as a site's daemon orders, as root (pip install 'facility[nvml]').",
    "amd": "Set the power caps of this machine's AMD GPUs as a site's daemon orders, as root (amdsmi of ROCm).",
    "redfish": "Set the power limits of many nodes' GPUs through their management controllers (pip install 'facility[agents]').",
}
HOW: Final = "Limits fall at once and rise some seconds later, never beyond the newest order; when it ends unrenewed, its fallback holds."


@dataclass(frozen=True)
class Login:
    """How the broker is reached (`facility.bus.broker.Access`)."""

    broker: str
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    password_file: str | None = None
    password_env: str = "FACILITY_PASSWORD"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class Options:
    """What is said of any GPU agent. Without `node` its GPUs are the whole pool; `gpus` are some of the machine's, none: all of them."""

    site: str
    hall: str
    pool: str
    login: Login
    root: str
    node: str | None
    workload: str | None
    dry_run: bool
    on_stop: Leaving
    clock: Clock
    speed: float
    gpus: tuple[str, ...] = ()
    nodes: str = ""
    quiet: bool = False
    unit: bool = False


def parse(kind: str, arguments: Sequence[str]) -> Options:
    """Read the options of `facility agent KIND`. Raises InputError with every fault; SystemExit for `--help` and unknown options."""
    said = _parser(kind).parse_args(arguments)
    faults = [
        Fault(f"--{name}", "is not given", f"give it, or set {_variable(name)}") for name in ("site", "pool", "broker") if not getattr(said, name)
    ]
    hall, _, pool = str(said.pool or "h/p").partition("/")
    if not re.fullmatch(f"{ID}/{ID}", f"{hall}/{pool}"):
        faults.append(Fault("--pool", f"{said.pool!r}", "give HALL/POOL, such as h1/h1-b"))
    ids = {name: text for name in ("site", "node", "workload") if (text := getattr(said, name))}
    faults += [Fault(f"--{name}", f"{text!r} is no id", f"use the form {ID}") for name, text in ids.items() if not re.fullmatch(ID, text)]
    if not re.fullmatch(r"[^+#\s]+", said.root):
        faults.append(Fault("--root", f"{said.root!r}", "give the first levels of the site's topics, such as facility/v1"))
    gpus = tuple(filter(None, map(str.strip, (said.gpus or "").split(","))))
    if said.gpus is not None and not gpus:
        faults.append(Fault("--gpus", f"{said.gpus!r}", "give numbers or UUIDs with commas between, or leave it out for all"))
    if kind == "redfish" and not said.nodes:
        faults.append(Fault("--nodes", "is not given", "name the file of management controllers, or set FACILITY_NODES"))
    if faults:
        raise InputError(*faults)
    login = Login(said.broker, said.ca_file, said.cert_file, said.tls_key_file, said.password_file)
    clock, speed = _clock(said.clock)
    return Options(
        said.site, hall, pool, login, said.root, said.node, said.workload, said.dry_run, said.on_stop, clock, speed, gpus,
        said.nodes or "", said.quiet, said.unit,
    )  # fmt: skip


def _parser(kind: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"facility agent {kind}", description=f"{ABOUT[kind]} {HOW}", allow_abbrev=False)

    def option(name: str, metavar: str, about: str, default: str | None = None) -> None:
        variable = _variable(name)
        parser.add_argument(f"--{name}", metavar=metavar, default=os.environ.get(variable, default), help=f"{about} [{variable}]")

    option("site", "ID", "the site's id, as in its topics")
    option("pool", "HALL/POOL", "whose caps to obey")
    option("broker", "URL", "mqtt[s]://[user:password@]host[:port]; a user's password may stand in FACILITY_PASSWORD")
    option("root", "LEVELS", "first levels of the site's topics, facility/v1 unless said", "facility/v1")
    option("node", "ID", "this node's id, or that of a group of nodes; without it these GPUs are the whole pool")
    if kind == "redfish":
        option("nodes", "FILE", "the management controllers, TOML")
        parser.add_argument("--quiet", action="store_true", help="agents on the nodes report: set limits and say nothing on the bus")
        parser.set_defaults(gpus=None)
    else:
        parser.add_argument("--gpus", metavar="N,...|UUID,...", help="some of this machine's GPUs; all unless said")
        parser.set_defaults(nodes=None, quiet=False)
    parser.add_argument("--workload", metavar="ID", help="the contract or job that all these GPUs work for, where that is settled")
    parser.add_argument("--dry-run", action="store_true", help="read, decide and say what would be set; set and report nothing")
    parser.add_argument(
        "--on-stop", choices=LEAVING, default="fallback", help="limits left behind: not above the order's fallback, as they are, or the factory's"
    )
    option("ca-file", "PEM", "CA of the broker, the system's unless said")
    option("cert-file", "PEM", "our certificate")
    option("tls-key-file", "PEM", "its key")
    option("password-file", "F", "file whose first line is the user's password")
    parser.add_argument("--unit", action="store_true", help="print a systemd unit of this agent with these options, and do nothing else")
    parser.add_argument("--clock", help=argparse.SUPPRESS)
    return parser


def _variable(name: str) -> str:
    return f"FACILITY_{name.replace('-', '_').upper()}"


def _clock(told: str | None) -> tuple[Clock, float]:
    """The clock, and how many seconds it counts in a real one; a faster one is for rehearsals."""
    if told is None:
        return SystemClock(), 1.0
    speed, _, epoch = told.partition("@")
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", speed) or not float(speed):
        raise InputError(Fault("--clock", f"{told!r}", "give SPEED@REALSECONDS:ISO"))
    return ScaledClock(*parse_epoch(epoch), float(speed)), float(speed)
