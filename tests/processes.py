"""The real parts, each a process of its own: a Mosquitto, a rehearsed plant, the daemon; and an ear that hears everything.

Times are real seconds. The clock of plant and daemon runs `speed` times as fast.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from facility.bus.interface import Message
from facility.bus.mqtt import MqttBus
from facility.clock import ScaledClock, parse_epoch

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_mosquitto = pytest.mark.skipif(not MOSQUITTO or not shutil.which("mosquitto_pub"), reason="needs the Mosquitto broker")

SITE = "site_configs/demo.yaml"
ROOT = "facility/v1/demo"
SPEED = 20
POOL = "pool/h1/h1-b"
DAEMONS = f"{ROOT}/svc/facility-"
"""How the topics of daemons' statuses begin; tests speak below `svc` too."""
CAPS = f"{ROOT}/cap/h1/h1-b/desired"
METER = f"{ROOT}/tele/site/meter/main/import_kw"


def until(true: Callable[[], Any], timeout_s: float = 10.0) -> bool:
    """Wait until something holds; whether it did. Once it did it is not asked again: asking may be what ends it."""
    began = time.monotonic()
    while not (holds := true()) and time.monotonic() - began < timeout_s * patience():
        time.sleep(0.01)
    return bool(holds)


def patience() -> float:
    """How many times longer what is waited for may take: on a machine with more to do than it can, as many as there is work for each processor."""
    return min(max(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0), 4.0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def highest_w(sent: dict[str, Any]) -> int:
    """The highest cap that a message for a pool has, W."""
    return max([sent["cap_w"], *(group["cap_w"] for group in sent["groups"])])


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a process, stopped or not, and wait for its end."""
    if child.poll() is None:
        child.kill()
    child.wait(5)


class Mosquitto:
    """A broker in a child process; it remembers nothing from one start to the next."""

    def __init__(self, folder: Path, *lines: str) -> None:
        lines = lines or ("allow_anonymous true",)
        self.port = free_port()
        self.config = folder / f"mosquitto-{self.port}.conf"
        self.config.write_text("\n".join((f"listener {self.port} 127.0.0.1", *lines, "")))
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        assert MOSQUITTO is not None
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.config)], stderr=subprocess.DEVNULL)
        assert until(self.listens)

    def listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def state(self) -> str:
        """What the kernel says of the process: S sleeps, T is stopped; empty where there is none."""
        with suppress(OSError):
            return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return ""

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        end(self.process)


class Ear(threading.Thread):
    """Hears everything: the newest message of each topic, and all of them with the instant they came."""

    def __init__(self, url: str, *patterns: str) -> None:
        super().__init__(daemon=True)
        self.bus = MqttBus(url, "ear", version="5")
        for pattern in patterns or (f"{ROOT}/#", "ops/#"):
            self.bus.subscribe(pattern, 1)
        self.heard: list[tuple[float, Message]] = []
        self.newest: dict[str, bytes] = {}
        self.over = False
        self.start()

    def run(self) -> None:
        while not self.over:
            if (message := self.bus.receive(0.1)) is not None:
                self.newest[message.topic] = message.payload
                self.heard.append((time.monotonic(), message))

    def close(self) -> None:
        self.over = True
        self.join()
        self.bus.close()

    def told(self, topic: str) -> Any:
        """The newest message on a topic; None where there is none, an empty one, or what a test put there that is no JSON."""
        try:
            return json.loads(self.newest.get(topic) or b"null")
        except ValueError:
            return None

    def messages(self, instant: float, topic: str) -> list[Message]:
        return [m for at, m in list(self.heard) if at >= instant and m.topic == topic]

    def since(self, instant: float, topic: str) -> list[Any]:
        return [json.loads(m.payload) for m in self.messages(instant, topic) if m.payload[-1:] == b"}"]


class House:
    """The processes. `lines` are of the broker's configuration, `settings` of the site file, `patterns` are what the ear hears.

    `env` is added to the daemon's environment.
    """

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        *,
        speed: float = SPEED,
        version: str = "5",
        lines: Sequence[str] = (),
        settings: Sequence[str] = (),
        patterns: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        site: str = SITE,
    ) -> None:
        self.site = site
        self.env = env or {}
        self.folder, self.stack, self.speed, self.version, self.settings = folder, stack, speed, version, settings
        self.epoch = f"{time.time():.3f}:2026-07-15T10:00:00+00:00"
        self.broker = Mosquitto(folder, "allow_anonymous true", "persistence false", *lines)
        stack.callback(self.broker.stop)
        self.url, self.port = self.broker.url, self.broker.port
        self.way = self.reach()
        self.ear = Ear(self.url, *patterns)
        stack.callback(self.ear.close)
        plant = ("facility.simulate", self.site, "--broker", self.url, "--speed", f"{speed:g}", "--epoch", self.epoch, "--rehearse")
        self.plant = self.child("plant", sys.executable, "-m", *plant)
        self.start_daemon()
        self.until(lambda: self.mode() == "NORMAL", 60, "a plan")

    def reach(self) -> str:
        """How the daemon reaches the broker."""
        return self.url

    def child(self, name: str, *command: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | (env or {}))
        self.stack.callback(end, child)
        return child

    def start_daemon(self) -> None:
        self.began = time.monotonic()
        self.daemon = self.another("daemon")

    def another(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        """A daemon of the same site, clock and journal; what it logs is `name`.log."""
        settings = [part for setting in self.settings for part in ("--set", setting)]
        return self.child(
            name, sys.executable, "-m", "facility", "run", self.site, "--broker", self.way, "--mqtt", self.version,
            "--state", str(self.folder / "journal.sqlite"), "--clock", f"{self.speed:g}@{self.epoch}", *settings, *options,
            env=self.env,
        )  # fmt: skip

    def now(self) -> datetime:
        """The instant by the plant's and the daemon's clock."""
        return ScaledClock(*parse_epoch(self.epoch), self.speed).now()

    def solver(self) -> int:
        """The process in which the daemon solves its plans."""
        (solver,) = self._serving("models.solving.serve")
        return solver

    def thinker(self) -> int | None:
        """The process in which the daemon thinks over what people ask; None where there is none at present."""
        return next(iter(self._serving("facility.daemon.answering.thinking.serve")), None)

    def _serving(self, module: str) -> list[int]:
        """The daemon's children that live and serve so."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                state, of = stat.read_text().rpartition(")")[2].split()[:2]
                if int(of) == self.daemon.pid and state != "Z" and module in (stat.parent / "cmdline").read_text():
                    found.append(int(stat.parent.name))
        return found

    def resident_kb(self) -> int:
        """The most memory that the daemon has had so far, kB; its solver's not counted."""
        lines = Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

    def said(self) -> str:
        """What the daemon logged."""
        log = self.folder / "daemon.log"
        return log.read_text() if log.exists() else ""

    def statuses(self) -> list[Any]:
        return [json.loads(payload) for topic, payload in self.ear.newest.items() if topic.startswith(DAEMONS) and payload]

    def status(self) -> dict[str, Any]:
        """What the living daemon says of itself; nothing until it has said anything since it was started."""
        last = [m for at, m in list(self.ear.heard) if at >= self.began and m.topic.startswith(DAEMONS) and m.payload]
        return dict(json.loads(last[-1].payload)) if last else {}

    def mode(self) -> str | None:
        """The mode that it says it is in."""
        return self.status().get("mode")

    def calm(self) -> None:
        """Wait until a plan is followed and nothing that was before keeps caps down.

        Where a plant draws more than was planned that may take half an hour of its time.
        """
        kept_down = ("caps give way", "caps do not rise")
        self.until(lambda: self.mode() == "NORMAL" and not any(words in self.status()["reason"] for words in kept_down), 90, "a calm house")

    def until(self, holds: Callable[[], Any], seconds: float, what: str) -> float:
        """Wait until something holds; tells how long it took."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > seconds * patience():
                pytest.fail(f"{what} did not come within {seconds} s; the daemon said:\n{self.said()[-3000:]}")
            time.sleep(0.02)
        return time.monotonic() - began

    def publish(self, topic: str, payload: str | bytes, *options: str) -> float:
        """Publish with mosquitto_pub; tells the instant before."""
        began = time.monotonic()
        told = payload.encode() if isinstance(payload, str) else payload
        command = ["mosquitto_pub", "-p", str(self.port), "-q", "1", "-t", topic, "-s", *options]
        subprocess.run(command, input=told, check=True, timeout=5)
        return began

    def answer(self, target: str, name: str, since: float, within_s: float = 2.0) -> Any:
        """The answer to the command `name`, which must come in time."""
        topic = f"{ROOT}/override/{target}/result"
        self.until(lambda: any(r["id"] == name for r in self.ear.since(since, topic)), within_s, f"an answer to {name}")
        return next(r for r in self.ear.since(since, topic) if r["id"] == name)

    def order(self, target: str, name: str, kind: str, value: float | None = None, ttl_s: float | None = 3600, **more: Any) -> Any:
        """Send an override; its answer, which must come within 2 s."""
        request = {"id": name, "kind": kind, "value": value, "ttl_s": ttl_s, "by": "ann", "reason": "a test"} | more
        told = json.dumps({k: v for k, v in request.items() if v is not None})
        return self.answer(target, name, self.publish(f"{ROOT}/override/{target}/set", told))

    def clear(self, target: str, name: str) -> None:
        began = self.publish(f"{ROOT}/override/{target}/clear", json.dumps({"id": name, "by": "ann"}))
        topic = f"{ROOT}/override/{target}/result"
        self.until(lambda: any(r["status"] == "cleared" for r in self.ear.since(began, topic)), 2, f"the end of {name}")

    def highest_cap(self) -> int:
        return highest_w(self.ear.told(CAPS))

    def trouble(self, **what: Any) -> float:
        """Have something go wrong in the plant (`facility.simulate.trouble`), nothing without arguments; tells the instant before."""
        return self.publish(f"{ROOT}/rehearsal/trouble", json.dumps(what))

    def metered(self, since: float) -> list[float]:
        return [sample["value"] for sample in self.ear.since(since, METER)]
