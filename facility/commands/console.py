"""`facility console`: the operator's page in the browser, a client of the bus."""

from __future__ import annotations

import getpass
import os
import sys
import threading
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from facility.bus.broker import reach
from facility.bus.mqtt import MqttBus
from facility.bus.signing import read_keys
from facility.clock import SystemClock
from facility.config import load_site
from facility.durations import parse_duration
from facility.errors import Fault, InputError

USERS = "console.users"


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    broker: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    users: Path | None = None
    trust_header: str | None = None
    trust_from: tuple[str, ...] = ()
    session: str = "12h"
    history: str | None = None
    shift_log: Path | None = None
    keys: Path | None = None


def run_console(site_file: str, settings: tuple[str, ...], options: Options) -> int:
    """Serve the page until SIGINT or SIGTERM."""
    try:
        from facility.console.page.screen import Console
        from facility.console.page.server import serve
    except ModuleNotFoundError as error:
        raise InputError(Fault("facility console", f"{error.name} is not installed", "pip install 'facility[console]'")) from error
    from facility.console.access import Users
    from facility.console.acts import Acts
    from facility.console.asking import Asking
    from facility.console.door import Rules, is_loopback
    from facility.console.hub import Hub
    from facility.console.past import Past, tell_today
    from facility.console.post import Post
    from facility.console.shift import ShiftLog

    site = load_site(site_file, settings)
    loopback = is_loopback(options.host)
    users = Users(options.users) if options.users is not None else None
    if not loopback and users is None:
        raise InputError(Fault("--host", f"{options.host} can be reached from elsewhere", "say who may: --users FILE, and --add-user NAME makes it"))
    if options.trust_header is not None and not options.trust_from:
        raise InputError(Fault("--trust-header", "from whom it is believed is not said", "name the proxy's address: --trust-from 10.0.0.5"))
    rules = Rules(
        loopback, users, options.trust_header, frozenset(options.trust_from), parse_duration(options.session, "--session").total_seconds()
    )
    with ExitStack() as stack:
        log = ShiftLog(options.shift_log or Path(f"{site.id}.shift.sqlite"))
        stack.callback(log.close)
        bus = MqttBus(reach(site.bus, options.broker), f"facility-console-{uuid.uuid4().hex[:8]}")
        stack.callback(bus.close)
        hub = Hub(site, bus, SystemClock(), lambda name, _ids, payload: post.answered(name, payload))
        post = Post(site, bus, hub.now, read_keys(options.keys) if options.keys is not None else None)
        stack.callback(hub.close)
        past, over = Past(site, options.history) if options.history is not None else None, threading.Event()
        stack.callback(over.set)
        if past is not None:
            threading.Thread(target=tell_today, args=(past, hub, over), name="today", daemon=True).start()

        def ready(port: int) -> None:
            host = f"[{options.host}]" if ":" in options.host else options.host
            print(f"{site.name}: http://{host}:{port}/", flush=True)

        serve(Console(hub, Acts(site, post, log), Asking(site, post), log, past), rules, options.host, options.port, ready)
    return 0


def run_add_user(name: str, role: str, users: Path | None, *, proxied: bool) -> int:
    """Add a user to a users file; the password is asked for, or is FACILITY_PASSWORD, or a line of standard input."""
    from facility.console.access import add_user

    file = users or Path(USERS)
    password = None if proxied else os.environ.get("FACILITY_PASSWORD")
    if password is None and not proxied:
        password = getpass.getpass(f"password for {name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    add_user(file, name, role, password)
    print(f"{file}: {name} is {'an' if role == 'operator' else 'a'} {role}")
    return 0
