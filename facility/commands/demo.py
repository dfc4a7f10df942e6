"""`facility demo`: a broker, a simulated site, the daemon and a page that shows them, all on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from socket import create_connection, socket
from types import FrameType

from rich.console import Console
from rich.live import Live

from facility.bus.mqtt import MqttBus
from facility.clock import ScaledClock
from facility.commands.demo_slurm import jobs_in_slurm
from facility.commands.page import Page
from facility.config import load_site
from facility.durations import parse_duration, parse_instant
from facility.errors import Fault, InputError
from facility.history import default_place
from facility.simulate.dialects import DIALECTS
from facility.simulate.reference import Reference
from facility.site import Site

REFRESH_S = 0.5
LINE_S = 5.0
READY_S = 20.0


def run_demo(
    site_file: str | None, speed: float, duration: str | None, start: str | None, building: str | None = None, *, slurm: bool = False
) -> int:
    """Run until Ctrl-C, or for `duration` of real time; 0 after a clean stop, 3 where a part of it died.

    `building` names the dialect in which the meters speak; without it they speak in our own tree. With `slurm` jobs live in a Slurm.
    """
    from zoneinfo import ZoneInfo

    if building is not None and building not in DIALECTS:
        raise InputError(Fault("--building", f"{building!r} is none", f"give one of {', '.join(DIALECTS)}"))
    if building is not None and slurm:
        raise InputError(Fault("--slurm", "with --building", "give one of the two"))
    variant = building or ("slurm" if slurm else "")
    site_file = site_file or f"site_configs/demo{f'-{variant}' if variant else ''}.yaml"
    site = load_site(site_file)
    lasts_s = parse_duration(duration, "--for").total_seconds() if duration else None
    begins = parse_instant(start, ZoneInfo(site.timezone), "--start")[0] if start else datetime.now(UTC)
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, ask_to_stop)
    console = Console()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="facility-demo-")))
        url, port = stack.enter_context(_broker(folder))
        epoch = f"{time.time():.3f}:{begins.isoformat()}"
        address, parts = _parts(site, site_file, url, folder, f"{speed:g}", epoch, building)
        jobs = stack.enter_context(jobs_in_slurm(site, folder, begins, speed)) if slurm else None
        if jobs is not None:
            parts["plant"].append("--follow")
            parts["agent"] = [*(sys.executable, "-m", "facility", "agent", "slurm", site_file, "--broker", url), "--clock", f"{speed:g}@{epoch}"]
        environment = {} if jobs is None else jobs.environment
        children = {name: stack.enter_context(_child(name, command, folder, environment)) for name, command in parts.items()}
        clock = ScaledClock(float(epoch.partition(":")[0]), begins, speed)
        page = Page(site, clock, Reference(site, begins))
        bus = MqttBus(url, "facility-demo")
        stack.callback(bus.close)
        page.subscribe(bus)
        for line in (*hints(site, site_file, port, speed, folder, address), *(() if jobs is None else jobs.hints())):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return _show(console, page, bus, children, folder, stop, lasts_s, None if jobs is None else lambda: jobs.look(clock.now()))


def _parts(
    site: Site, site_file: str, url: str, folder: Path, speed: str, epoch: str, building: str | None
) -> tuple[str, dict[str, list[str]]]:
    """The address of the page in the browser, empty where there is none, and the commands of the processes by name."""
    own, common = (sys.executable, "-m"), (site_file, "--broker", url)
    parts = {
        "plant": [*own, "facility.simulate", *common, "--speed", speed, "--epoch", epoch, *(("--building", building) if building else ())],
        "daemon": [*own, "facility", "run", *common, "--state", str(folder / "journal.sqlite"), "--clock", f"{speed}@{epoch}"],
    }
    if find_spec("nicegui") is None:  # the extra `console` is not installed
        return "", parts
    port = str(_free_port())
    log, history = str(folder / "shift.sqlite"), default_place(site.id, folder)
    parts["console"] = [*own, "facility", "console", *common, "--port", port, "--shift-log", log, "--history", history]
    return f"http://127.0.0.1:{port}/", parts


def hints(site: Site, site_file: str, port: int, speed: float, folder: Path, address: str = "") -> Iterator[str]:
    """What to try in a second terminal."""
    pool, hall = next((name, pool.hall) for name, pool in site.pools.items())
    root = f"{site.bus.root}/{site.id}"
    url = f"mqtt://127.0.0.1:{port}"
    model = site.gpu_models[site.pools[pool].gpu_model]
    cap_w = (model.min_cap_w + model.max_cap_w) // 2
    if address:
        yield f"The operators' page, in the browser: {address}"
    yield f"{site.name}. One second here is {speed:g} s there. Try, in a second terminal:"
    yield f"  mosquitto_sub -p {port} -v -t '{root}/cap/#' -t '{root}/svc/#'"
    yield (
        f"  mosquitto_pub -p {port} -q 1 -t '{root}/override/pool/{hall}/{pool}/set' -m "
        f"""'{{"id":"try-1","kind":"cap_w","value":{cap_w},"ttl_s":1800,"by":"me","reason":"trying"}}'"""
    )
    yield f"  .venv/bin/facility override {site_file} set pool/{hall}/{pool} cap_w 50 --broker {url}"
    yield f"  .venv/bin/facility tail {site_file} --broker {url}"
    yield f"  .venv/bin/facility override {site_file} list --broker {url}"
    yield f"  .venv/bin/facility status {site_file} --broker {url}"
    yield f"  .venv/bin/facility history {site_file} --history {default_place(site.id, folder)} --last 6h"
    yield "Ctrl-C ends it."


def _show(
    console: Console,
    page: Page,
    bus: MqttBus,
    children: dict[str, subprocess.Popen[bytes]],
    folder: Path,
    stop: threading.Event,
    lasts_s: float | None,
    besides: Callable[[], None] | None = None,
) -> int:
    """Keep the page up to date, and do what is to be done `besides`, until it is time to stop."""
    began = drawn = time.monotonic()
    with (
        Live(page.render(), console=console, auto_refresh=False, transient=False) if console.is_terminal else ExitStack() as live
    ):
        while not stop.is_set() and (lasts_s is None or time.monotonic() - began < lasts_s):
            message = bus.receive(0.05)
            while message is not None:
                page.take(message)
                message = bus.receive(0.0)
            page.keep_up()
            if besides is not None:
                besides()
            for name, child in children.items():
                if child.poll() is not None:
                    log = (folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
                    console.print(f"facility: the {name} stopped by itself:", *log[-5:], sep="\n", markup=False, highlight=False)
                    return 3
            due = REFRESH_S if console.is_terminal else LINE_S
            if time.monotonic() - drawn >= due:
                drawn = time.monotonic()
                if isinstance(live, Live):
                    live.update(page.render(), refresh=True)
                else:
                    console.print(page.line(), markup=False, highlight=False, soft_wrap=True)
    console.print(page.line(), markup=False, highlight=False, soft_wrap=True)
    console.print("stopped; nothing is left running.")
    return 0


@contextmanager
def _broker(folder: Path) -> Iterator[tuple[str, int]]:
    """A Mosquitto of our own on a free loopback port."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin:/bin:/opt/homebrew/sbin")
    if program is None:
        raise InputError(
            Fault("facility demo", "no mosquitto on this machine", "install it, such as with `apt-get install mosquitto`")
        )
    port = _free_port()
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 100000\n")
    with _child("broker", [program, "-c", str(settings)], folder):
        _wait_for(port, folder / "broker.log")
        yield f"mqtt://127.0.0.1:{port}", port


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, log: Path) -> None:
    """Return as soon as something listens on a loopback port."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        try:
            create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    said = log.read_text(errors="replace").strip()
    raise InputError(Fault("mosquitto", f"does not answer after {READY_S:g} s: {said}", "try it alone: mosquitto -v"))


@contextmanager
def _child(name: str, command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with this one; what it says goes to a log file. Ctrl-C is ours to hand on."""
    with (folder / f"{name}.log").open("wb") as log:
        env = os.environ | dict(environment or {})
        child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, env=env)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
