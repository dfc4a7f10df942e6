"""Kill -9, again and again, at instants that a seed decides, while operators send and clear overrides all the time.

    python -m tests.faults.kills 500 [--seed N] [--folder DIR]

goes on where an earlier run in the same folder stopped. What must hold is `Ledger.wrongs`: empty.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facility.bus.interface import Message
from facility.bus.mqtt import MqttBus
from facility.journal.journal import Journal
from tests.processes import ROOT, House, end, until

QUICK = ("control.cycle_s=60", "control.cap_ttl_s=200")
HEARD = [f"{ROOT}/{part}/#" for part in ("cap", "override", "svc")]
TARGETS = ("pool/h1/h1-a", "pool/h1/h1-b", "hall/h2", "site")
EVERY_S = 0.03
LATEST_S = 5.0
"""How long a daemon may take from its start to the first caps it publishes."""


@dataclass
class Ledger:
    """What operators were told, and when each restart published first, s after its start."""

    rng: random.Random
    asked: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    """By id, the target."""
    ended: dict[str, str] = field(default_factory=dict)
    """By id, how."""
    last: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By topic, (epoch, seq)."""
    restarts_s: list[float] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)


class Operators(threading.Thread):
    """Sends overrides that last some seconds, and clears some of them, as fast as people never would."""

    def __init__(self, url: str, ledger: Ledger, name: str) -> None:
        super().__init__(daemon=True)
        self.bus, self.ledger, self.name_, self.over = MqttBus(url, f"operators-{name}"), ledger, name, threading.Event()

    def run(self) -> None:
        rng = random.Random(self.ledger.rng.random())
        sent: list[tuple[str, str]] = []
        while not self.over.wait(rng.uniform(0, 2 * EVERY_S)):
            if sent and rng.random() < 0.3:
                target, name = sent.pop(rng.randrange(len(sent)))
                self._say(target, "clear", {"id": name, "by": "ann"})
                continue
            self.ledger.asked += 1
            target, name = rng.choice(TARGETS), f"{self.name_}-{self.ledger.asked}"
            value, priority, ttl_s = rng.randrange(150, 400), rng.randrange(6, 14), rng.choice([20, 60, 3600])
            wish = {"id": name, "kind": "cap_w", "value": value, "priority": priority, "ttl_s": ttl_s, "by": "ann", "reason": "a test"}
            self._say(target, "set", wish)
            sent.append((target, name))

    def _say(self, target: str, what: str, payload: dict[str, Any]) -> None:
        self.bus.publish(Message(f"{ROOT}/override/{target}/{what}", json.dumps(payload).encode(), qos=1))

    def close(self) -> None:
        self.over.set()
        self.join()
        self.bus.close()


class Listener:
    """Reads what the house's ear heard, once, in the order in which it came."""

    def __init__(self, house: House, ledger: Ledger) -> None:
        self.house, self.ledger, self.read, self.first_s, self.epoch = house, ledger, 0, 0.0, 0

    def follow(self) -> None:
        heard = self.house.ear.heard
        while self.read < len(heard):
            at, message = heard[self.read]
            self.read += 1
            if message.payload:
                self._take(at, message)

    def _take(self, at: float, message: Message) -> None:
        ledger, levels = self.ledger, message.topic.removeprefix(f"{ROOT}/").split("/")
        if levels[0] == "cap" and levels[-1] == "desired":
            told = json.loads(message.payload)
            stamp = (told["epoch"], told["seq"])
            before = ledger.last.get(message.topic, (0, 0))
            if stamp[0] > self.epoch:
                self.epoch, self.first_s = stamp[0], at - self.house.began
            if stamp < before:
                ledger.wrongs.append(f"{message.topic}: {stamp} came after {before}")
            ledger.last[message.topic] = max(before, stamp)
        elif levels[0] == "override" and levels[-1] == "result":
            answer = json.loads(message.payload)
            if answer["status"] in ("accepted", "clamped"):
                ledger.acknowledged[answer["id"]] = "/".join(levels[1:-1])
            elif answer["status"] in ("expired", "superseded", "cleared") and answer["id"] in ledger.acknowledged:
                ledger.ended.setdefault(answer["id"], answer["status"])
        elif levels[0] == "override" and levels[-1] == "state":
            back = [it["id"] for it in json.loads(message.payload)["overrides"] if it["id"] in ledger.ended]
            if back:
                ledger.wrongs.append(f"{message.topic}: {back} ended and are in force again")


def kill_often(house: House, ledger: Ledger, times: int, tell: Any = lambda _n: None) -> int:
    """Kill the daemon `times` times, restarting it each time; how many of them were kills indeed, as the kernel says."""
    listener, killed = Listener(house, ledger), 0
    listener.follow()
    with closing(Operators(house.url, ledger, f"k{ledger.rng.randrange(10**9)}")) as operators:
        operators.start()
        for n in range(times):
            early = ledger.rng.random() < 0.2  # amid the start, before anything was published
            wait_s = ledger.rng.uniform(0.3, 2.0) if early else ledger.rng.uniform(0.0, 0.7)
            time.sleep(wait_s)
            house.daemon.kill()
            killed += house.daemon.wait(5) == -9
            time.sleep(0.05)
            listener.follow()
            look(house.folder / "journal.sqlite", ledger)
            house.start_daemon()
            listener.first_s = 0.0
            if not early or n == times - 1:
                publishes(listener, ledger)
            tell(n + 1)
    time.sleep(0.3)
    listener.follow()
    look(house.folder / "journal.sqlite", ledger)
    return killed


def publishes(listener: Listener, ledger: Ledger) -> None:
    """Wait for the first caps of a daemon that was started."""

    def published() -> bool:
        listener.follow()
        return listener.first_s > 0

    if until(published, 4 * LATEST_S):
        ledger.restarts_s.append(listener.first_s)
    else:
        ledger.wrongs.append(f"a restart published nothing in {4 * LATEST_S} s")


def look(journal: Path, ledger: Ledger) -> None:
    """What was acknowledged is on the disk, and what was told to have ended has ended there."""
    with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as db:
        kept = dict(db.execute("SELECT id, ended_ms FROM override"))
    if lost := ledger.acknowledged.keys() - kept.keys():
        ledger.wrongs.append(f"{sorted(lost)} were acknowledged and are lost")
    cleared = {name for name, how in ledger.ended.items() if how == "cleared"}
    if back := [name for name in cleared if kept.get(name, 1) is None]:
        ledger.wrongs.append(f"{back} were told to be cleared and stand")


def chains(journal: Path) -> list[str]:
    """Where the chains of a journal break."""
    with Journal(journal, read_only=True) as read:
        return [str(checked) for checked in read.check() if checked.broken is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("times", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("kills"))
    wanted = parser.parse_args()
    folder = wanted.folder.resolve()
    folder.mkdir(exist_ok=True)
    progress = folder / "progress.json"
    state = json.loads(progress.read_text()) if progress.exists() else {"done": 0, "restarts_s": [], "wrongs": []}
    while state["done"] < wanted.times and not state["wrongs"]:
        ledger, part = Ledger(random.Random(wanted.seed + state["done"])), min(50, wanted.times - state["done"])
        place = folder / f"from-{state['done']}"
        place.mkdir(exist_ok=True)
        with ExitStack() as stack:
            house = House(place, stack, version="3.1.1", settings=QUICK, patterns=HEARD)
            done = state["done"]
            killed = kill_often(house, ledger, part, lambda n, done=done: print(f"\r{done + n} of {wanted.times} kills", end="", flush=True))
            end(house.daemon)
        state["wrongs"] += [*ledger.wrongs, *chains(place / "journal.sqlite"), *([] if killed == part else ["a daemon died by itself"])]
        state["restarts_s"] += ledger.restarts_s
        state["done"] += part
        progress.write_text(json.dumps(state))
        acknowledged = len(ledger.acknowledged)
        print(f", {acknowledged} overrides acknowledged, {len(ledger.ended)} of them ended, {len(state['wrongs'])} wrongs")
    restarts_s = sorted(state["restarts_s"])
    print(f"restart to first publish: median {statistics.median(restarts_s):.2f} s, longest {restarts_s[-1]:.2f} s, of {len(restarts_s)}")
    print("\n".join(state["wrongs"]) or "nothing was lost, nothing came back, no number went back, the chains hold")
    raise SystemExit(bool(state["wrongs"]))


if __name__ == "__main__":
    main()
