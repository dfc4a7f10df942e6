"""Ingest: what a reading costs on its way from a broker into the history, beside the library's own loop with a typed decode.

    python -m tests.bench.ingest [--for 20s] [--single 10000] [--batched 100000] [--stores none sqlite postgres]

A real Mosquitto, a sender (`tests.bench.flood`), and one receiver at a time, each a process of its own: the bare loop, and the daemon as
`facility run` starts it, with its history nowhere, in SQLite and in PostgreSQL. Told are the receiver's CPU time per message, its ratio to
the bare loop's, what was lost between sender and table, its resident memory, and how the guard kept its pace beside a meter that speaks
once a second: how long a step that looks at the meter took and how much later than due it came, also without a flood. Exits with 1 where
anything was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from facility.durations import parse_duration
from facility.history.place import open_database
from tests.bench.flood import HALL
from tests.postgres import Server
from tests.processes import Mosquitto, end, until

POINTS = 100
BATCH = 100
ROOT = "facility/v1/bench"
SETTLE_S = 3.0
SHORT_S = 30.0
"""The most that what is only compared with takes."""
TICK = os.sysconf("SC_CLK_TCK")
BROKER = ("allow_anonymous true", "persistence false", "max_queued_messages 1000000", "set_tcp_nodelay true")


def site() -> dict[str, Any]:
    """A site of `POINTS` small pools, so that there are as many sensors."""
    points = [{"cap_w": 100, "draw_w": 100, "speed": 0.2}, {"cap_w": 400, "draw_w": 390, "speed": 1}]
    return {
        "id": "bench", "name": "bench", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 10_000},
        "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [10] * 24},
        "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"t": {"source": "made up", "points": points}}}},
        "feeders": {"main": {"rating_kw": 10_000}}, "halls": {HALL: {"feeder": "main"}},
        "pools": {f"p{i}": {"hall": HALL, "feeder": "main", "gpu_model": "g", "gpus": 100} for i in range(POINTS)},
        "jobs": {"curve": "t"},
    }  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What one receiver took: CPU seconds while the flood lasted, memory in MB at its begin and at most, and what it says of itself."""

    sent: int
    cpu_s: float
    before_mb: float
    most_mb: float
    told: dict[str, Any]


def bare(url: str) -> None:
    """The library's loop with a typed decode, and nothing else, until standard input ends."""
    import msgspec
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    from facility.bus.messages import Batch, Sample

    host, port = url.removeprefix("mqtt://").split(":")
    sample, batch = msgspec.json.Decoder(Sample), msgspec.json.Decoder(Batch)
    values = 0

    def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        nonlocal values
        if "/batch/" in message.topic:
            values += len(batch.decode(message.payload).values)
        elif "/meter/" not in message.topic and sample.decode(message.payload).value is not None:
            values += 1

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda *_: client.subscribe(f"{ROOT}/tele/#")
    client.on_message = on_message
    client.connect(host, int(port))
    client.loop_start()
    sys.stdin.read()
    client.disconnect()
    client.loop_stop()
    print(json.dumps({"rows": values}))


def daemon(folder: str, url: str, place: str) -> None:
    """`facility run`, with a watch on the steps in which the guard looks at the meter."""
    from facility.commands.run import Options, run_daemon
    from facility.daemon.governor import Governor
    from facility.daemon.upkeep import GUARD_S, Upkeep

    look, step, took_s, at_s = Governor.guard, Upkeep.keep, [], []

    def guard(self: Governor, here: Any) -> None:
        at_s.append(time.perf_counter())
        look(self, here)

    def keep(self: Upkeep, now: datetime) -> None:
        began, looks = time.perf_counter(), len(at_s)
        step(self, now)
        if len(at_s) > looks:
            took_s.append(time.perf_counter() - began)

    Governor.guard, Upkeep.keep = guard, keep  # type: ignore[method-assign]
    run_daemon(f"{folder}/site.yaml", (), Options(broker=url, state=Path(folder) / "journal.sqlite", history=place))
    late_s = [later - earlier - GUARD_S for earlier, later in pairwise(at_s)]
    print(json.dumps({"guard_ms": _p99(took_s), "late_ms": _p99(late_s)}))


def _p99(seconds: list[float]) -> float:
    return round(1000 * sorted(seconds)[int(0.99 * len(seconds))], 2) if seconds else 0.0


class Bench:
    """A broker, and one receiver after another."""

    def __init__(self, folder: Path, seconds: float, stack: ExitStack) -> None:
        self.folder, self.seconds = folder, seconds
        (folder / "site.yaml").write_text(yaml.safe_dump(site()), encoding="utf-8")
        self.broker = Mosquitto(folder, *BROKER)
        stack.callback(self.broker.stop)

    def measure(self, words: tuple[str, ...], rate: float, readings: int, seconds: float, ready: Callable[[str], bool]) -> Measured:
        """Let a receiver take a flood of `rate` readings a second, `readings` in a message."""
        with tempfile.TemporaryFile("w+") as said, (self.folder / f"{words[0]}.log").open("w") as log:
            command = [sys.executable, "-m", "tests.bench.ingest", *words]
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=log, text=True)
            try:
                assert until(lambda: child.poll() is None and ready((self.folder / f"{words[0]}.log").read_text()), 30), "no receiver"
                time.sleep(SETTLE_S)
                before_s, before_mb = _cpu_s(child.pid), _resident_mb(child.pid, "VmRSS")
                flood = ("tests.bench.flood", str(self.broker.port), ROOT, str(POINTS), str(rate / readings), str(readings), str(seconds))
                sent = int(subprocess.run([sys.executable, "-m", *flood], check=True, capture_output=True, text=True).stdout)
                _quiet(child.pid)
                cpu_s, most_mb = _cpu_s(child.pid) - before_s, _resident_mb(child.pid, "VmHWM")
                assert child.stdin is not None
                child.stdin.close()
                child.terminate() if words[0] == "daemon" else None
                child.wait(60)
            finally:
                end(child)  # type: ignore[arg-type]
            said.seek(0)
            return Measured(sent, cpu_s, before_mb, most_mb, json.loads(said.read().splitlines()[-1]))

    def of_bare(self, rate: float, readings: int) -> Measured:
        """Measure the library's own loop."""
        return self.measure(("bare", self.broker.url), rate, readings, min(self.seconds, SHORT_S), lambda _: True)

    def of_daemon(self, place: str, rate: float, readings: int) -> Measured:
        """Measure the daemon with a new history."""
        seconds = self.seconds if rate else min(self.seconds, SHORT_S)
        found = self.measure(("daemon", str(self.folder), self.broker.url, place), rate, readings, seconds, lambda log: "NORMAL" in log)
        if place == "none":
            return found
        with closing(open_database(place, "bench", read_only=True)) as database:
            query = "SELECT count(*) FROM raw WHERE point IN (SELECT n FROM point WHERE name LIKE ?)"
            rows = database.read(query, "%/it_power_kw")[0][0]
        return Measured(found.sent, found.cpu_s, found.before_mb, found.most_mb, found.told | {"rows": int(rows)})


def _cpu_s(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICK


def _resident_mb(pid: int, which: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024


def _quiet(pid: int) -> None:
    """Wait until a process has no backlog any more: it idles for a second."""
    last_s = _cpu_s(pid)
    for _ in range(120):
        time.sleep(1)
        now_s = _cpu_s(pid)
        if now_s - last_s < 0.15:
            return
        last_s = now_s


def main() -> int:
    """0: nothing was lost; 1: something was."""
    parser = argparse.ArgumentParser(prog="ingest", description="What a reading costs from the broker into the history.")
    parser.add_argument("--for", dest="time", default="20s", metavar="TIME", help="how long each flood lasts, such as 5min")
    parser.add_argument("--single", type=float, default=10_000, metavar="N", help="readings a second, one a message; 0: none")
    parser.add_argument("--batched", type=float, default=100_000, metavar="N", help=f"readings a second, {BATCH} a message; 0: none")
    parser.add_argument("--stores", nargs="+", default=["none", "sqlite", "postgres"], choices=["none", "sqlite", "postgres"])
    asked = parser.parse_args()
    lost = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(folder, parse_duration(asked.time, "--for").total_seconds(), stack)
        print(f"{'':<24}{'us/message':>11}{'ratio':>7}{'sent':>12}{'lost':>8}{'MB before':>11}{'MB at most':>11}{'guard p99':>11}{'late p99':>11}")
        idle = bench.of_daemon("none", 0, 1)
        _row("no flood", idle, None, 1)
        for rate, readings in ((asked.single, 1), (asked.batched, BATCH)):
            if rate:
                what = "single" if readings == 1 else "batched"
                floor = bench.of_bare(rate, readings)
                lost += _row(f"{what}, bare loop", floor, floor, readings)
                for store in asked.stores:
                    with ExitStack() as server:
                        found = bench.of_daemon(_place(store, folder, what, server), rate, readings)
                    lost += _row(f"{what}, {store}", found, floor, readings)
        print(f"load average at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 1 if lost else 0


def _place(store: str, folder: Path, what: str, stack: ExitStack) -> str:
    if store == "postgres":
        return stack.enter_context(closing(Server())).url
    return "none" if store == "none" else str(folder / f"{what}.sqlite")


def _row(name: str, found: Measured, floor: Measured | None, readings: int) -> int:
    cost = f"{'':>18}"
    if floor is not None:
        us, floor_us = (1e6 * one.cpu_s / one.sent for one in (found, floor))
        cost = f"{us:>11.1f}{us / floor_us:>7.2f}"
    rows = found.told.get("rows")
    lost = 0 if rows is None else found.sent * readings - rows
    guard = "".join(f"{found.told[key]:>8} ms" if key in found.told else f"{'':>11}" for key in ("guard_ms", "late_ms"))
    memory = f"{found.before_mb:>11.0f}{found.most_mb:>11.0f}"
    print(f"{name:<24}{cost}{found.sent * readings:>12,}{'-' if rows is None else lost:>8}{memory}{guard}", flush=True)
    return lost


if __name__ == "__main__":
    if sys.argv[1:2] in (["bare"], ["daemon"]):
        {"bare": bare, "daemon": daemon}[sys.argv[1]](*sys.argv[2:])
    else:
        sys.exit(main())
