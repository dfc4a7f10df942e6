"""The daemon and the rehearsed plant in this process, second by second, on a bus that can lose, double, delay and reorder what agents are told.

Under `main` of 8 kW hang pool `p` and feeder `sub` of 5 kW with pools `q` and `r`; 10 GPUs of 100 to 400 W each, all rented, which draw their
caps: all at 400 W are 12 kW, so that what rises must often wait for what gives way. Silence falls back to 150 W.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.clock import VirtualClock
from facility.daemon.loop import Daemon
from facility.daemon.neighbours.pulse import last_will
from facility.daemon.question import Question
from facility.decide import Decided, Undecided
from facility.decision import CapGroup, Decision, PoolCaps
from facility.invariants.plant import carried
from facility.journal.journal import Journal
from facility.simulate.device import Device
from facility.simulate.plant import Plant
from facility.site import Site
from facility.verify import fits

NOW = datetime(2026, 7, 15, 10, tzinfo=UTC)
POINTS = [{"cap_w": 100, "draw_w": 100, "speed": 0.2}, {"cap_w": 400, "draw_w": 400, "speed": 1}]
RENTED = {"tenant": "t", "kind": "spot", "curve": "train", "pausable": True, "value_per_gpu_h": 1}


def site(gpus: int = 10, **control: Any) -> Site:
    """Three pools of so many GPUs each."""
    return Site.model_validate({
        "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 100_000},
        "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [10] * 24},
        "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": {"source": "by hand", "points": POINTS}}}},
        "feeders": {"main": {"rating_kw": 0.8 * gpus}, "sub": {"rating_kw": 0.5 * gpus, "parent": "main"}}, "halls": {"h": {"feeder": "main"}},
        "pools": {
            name: {"hall": "h", "feeder": feeder, "gpu_model": "g", "gpus": gpus, "fallback_cap_w": 150}
            for name, feeder in (("p", "main"), ("q", "sub"), ("r", "sub"))
        },
        "tenants": {"t": {"name": "T"}}, "contracts": {f"c{pool}": RENTED | {"pool": pool, "gpus": gpus} for pool in ("p", "q", "r")},
        "jobs": {"curve": "train"}, "control": control,
    })  # fmt: skip


class CarelessBroker(MemoryBroker):
    """Loses, doubles, delays and so reorders a share of what agents are told and tell, once it is asked to."""

    def __init__(self, now: Callable[[], datetime], random: Random) -> None:
        super().__init__(now)
        self._random, self.share, self.late_s = random, 0.0, 0.0
        self.lost = self.doubled = self.late = 0
        self._held: list[tuple[datetime, Message]] = []

    def route(self, message: Message) -> None:
        if "/cap/" not in message.topic or not (self.share or self.late_s):
            super().route(message)
            return
        if self._random.random() < self.share:
            self.lost += 1
            return
        if self._random.random() < self.share:
            self.doubled += 1
            self.hold(message, self._random.uniform(0, 60))
        if self.late_s and message.topic.endswith("/desired"):
            self.hold(message, self.late_s)
        elif self._random.random() < self.share:
            self.hold(message, self._random.uniform(0, 20))
        else:
            super().route(message)

    def hold(self, message: Message, seconds: float) -> None:
        self.late += 1
        self._held.append((self.now() + timedelta(seconds=seconds), message))

    def deliver(self) -> None:
        """Route what was held until now."""
        due, self._held = [m for at, m in self._held if at <= self.now()], [(at, m) for at, m in self._held if at > self.now()]
        for message in due:
            super().route(message)


class Rehearsal:
    """`plan` is what a cycle comes to; `loads_kw` keeps the truth of every feeder, second by second, and `over` what was above its rating."""

    def __init__(self, folder: Path, site: Site, seed: int = 1) -> None:
        self.site, self.random = site, Random(seed)
        self.clock = VirtualClock(NOW)
        self.broker = CarelessBroker(self.clock.now, Random(seed + 1))
        self.journal = Journal(folder / "journal.sqlite", clock=self.clock)
        self.plant = Plant(site, NOW, seed=None)
        self.device = Device(self.plant, self.broker.connect(), self.clock)
        self.plan: Callable[[Question], Decided | Undecided] = self.by_chance
        self.ear = self.broker.connect()
        self.ear.subscribe("+/+/+/cap/+/+/desired", 1)
        self.loads_kw: list[dict[str, float]] = []
        self.over: list[str] = []
        self.open()

    def open(self) -> None:
        self.bus = self.broker.connect(last_will(self.site, "daemon"))
        self.daemon = Daemon(self.site, self.bus, self.journal, self.clock, planner=self._answer, random=Random(3))
        self.daemon.subscribe()
        self.daemon.start()

    def close(self) -> None:
        self.daemon.close()
        self.journal.close()

    def pass_by(self, seconds: int) -> None:
        """Let seconds pass, one after the other."""
        ratings_kw = {name: feeder.rating_kw for name, feeder in self.site.feeders.items()}
        for _ in range(seconds):
            self.clock.advance(1)
            self.broker.deliver()
            self.device.tick()
            self.daemon.attend(0.0)
            self.daemon.attend(0.0)
            self.loads_kw.append(dict(self.plant.feeder_kw))
            self.over += [f"{self.clock.now():%H:%M:%S} {found}" for found in carried(self.plant.feeder_kw, ratings_kw)]

    def heard(self) -> list[Message]:
        """The caps that got through since the last call."""
        return self.ear.drain(0.0, 100_000)

    def _answer(self, asked: Question) -> Decided | Undecided:
        return self.plan(asked)

    def by_chance(self, asked: Question) -> Decided:
        """Caps by chance, lowered until they fit."""
        caps = {pool: self.random.randrange(100, 401) for pool in self.site.pools}
        while fits(asked.made.site, caps, asked.made.outdoor_c):
            caps = {pool: max(100, cap_w - self.random.randrange(1, 30)) for pool, cap_w in caps.items()}
        return self.decided(asked, caps)

    def decided(self, asked: Question, caps: dict[str, int]) -> Decided:
        """A decision of these caps."""
        pools = tuple(PoolCaps(pool, cap_w, (CapGroup(f"c{pool}", self.site.pools[pool].gpus, cap_w),)) for pool, cap_w in caps.items())
        now = asked.edges[0]
        return Decided(Decision(now, now + timedelta(hours=1), pools), asked.edges)
