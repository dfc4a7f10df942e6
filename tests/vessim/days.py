"""Days of the daemon against a plant made of Vessim, with faults: does Vessim ever end the run?

    python -m tests.vessim.days [--days 30] [--seed 1]

Daemon, bus and plant are in one process and share a virtual clock: of every minute, Vessim balances the power first; then sensors and agents
tell, the daemon attends, plans where a plan is due, with the real solver, and the agents obey. What the plant then draws is the next
minute's. Vessim ends the run where import is above the main feeder's rating or anything is given back. Its ramp limits, which hold
between two ticks, are not set: nothing is promised from minute to minute, so how steeply import rose is a figure. The figures of the run,
and of the same days with nobody in charge, are printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from vessim import Controller, Environment

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.bus.messages import Batch, encode
from facility.clock import VirtualClock
from facility.daemon.governor import Outcome
from facility.daemon.loop import Daemon
from facility.daemon.neighbours.pulse import last_will
from facility.daemon.question import Question, answer
from facility.decide import Decided, Undecided
from facility.journal.journal import Journal
from facility.sensors import sensors
from facility.simulate.reports import describe, reports, specify
from models.solving.solver import Solver
from tests.in_memory import in_memory
from tests.vessim.faults import Fault, drawn
from tests.vessim.plant import SITE, TICK_S, ZONE, Plant

START = datetime(2026, 9, 29, 22, tzinfo=UTC)
"""Midnight in Berlin; the clocks go back on day 26."""
CLEARLY = 1.01
"""Times what the contract or an operator allows: GPUs that do the same work differ by a percent."""


@dataclass
class Figures:
    """What a run came to. `above` are minutes in which import was more than `CLEARLY` above what was allowed then, by whether the bus was there."""

    days: float = 0.0
    ticks: int = 0
    cycles: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    lies: Counter[str] = field(default_factory=Counter)
    highest_kw: float = 0.0
    steepest_kw: float = 0.0
    above: Counter[str] = field(default_factory=Counter)
    energy_kwh: float = 0.0
    energy_cost: float = 0.0
    peak_kw: float = 0.0
    jobs_done: int = 0
    jobs_late: int = 0
    speed_hours: float = 0.0
    wall_s: float = 0.0

    @property
    def cost(self) -> float:
        """Of energy and of the highest quarter of an hour, EUR."""
        return self.energy_cost + SITE.tariff.peak_price_per_kw * self.peak_kw

    def lines(self) -> list[str]:
        """Say it."""

        def shares(counted: Counter[str]) -> str:
            return ", ".join(f"{name} {count}" for name, count in counted.most_common()) or "none"

        return [
            f"{self.days:g} days, {self.ticks} intervals balanced by Vessim, in {self.wall_s:.0f} s",
            f"faults: {shares(self.faults)}; plans that lied: {shares(self.lies)}",
            f"cycles: {shares(self.cycles)}; minutes in each mode: {shares(self.modes)}",
            f"import at most {self.highest_kw:.1f} kW; it rose by at most {self.steepest_kw:.1f} kW in a minute",
            f"minutes more than 1 % above what contract, grid or operator allowed: {shares(self.above)}",
            f"{self.energy_kwh:.0f} kWh, {self.energy_cost:.2f} EUR, highest quarter {self.peak_kw:.1f} kW: {self.cost:.2f} EUR in all",
            f"{self.jobs_done} jobs done, {self.jobs_late} of them late; {self.speed_hours:.0f} GPU hours at full speed",
        ]


def price_per_mwh(now: datetime) -> float:
    """What energy costs, EUR/MWh."""
    local, tariff = f"{now.astimezone(ZONE):%H:%M}", SITE.tariff
    held = (window.energy_price_per_mwh for window in tariff.windows if window.from_local <= local < window.to_local)
    return next(held, tariff.energy_price_per_mwh or 0.0)


class Account(Controller):  # type: ignore[misc]
    """Counts what Vessim balanced, and what work was done by it. To be the first controller."""

    def __init__(self, plant: Plant, figures: Figures) -> None:
        self._plant, self._figures = plant, figures
        self._quarter: list[float] = []
        self._last_kw: float | None = None
        self._finished: set[str] = set()

    def step(self, now: datetime, microgrid_states: dict[str, Any]) -> None:
        plant, figures, kw = self._plant, self._figures, -microgrid_states["site"]["p_grid"] / 1000
        figures.ticks += 1
        figures.highest_kw = max(figures.highest_kw, kw)
        if self._last_kw is not None:
            figures.steepest_kw = max(figures.steepest_kw, kw - self._last_kw)
        self._last_kw = kw
        figures.energy_kwh += kw * TICK_S / 3600
        figures.energy_cost += kw * TICK_S / 3600 * price_per_mwh(plant.now) / 1000
        self._quarter.append(kw)
        if len(self._quarter) * TICK_S == 900:
            figures.peak_kw = max(figures.peak_kw, sum(self._quarter) / len(self._quarter))
            self._quarter.clear()
        for pool in plant.pools.values():
            figures.speed_hours += sum(pool.speed_gpus(name) for name in pool.running) * TICK_S / 3600
        for job in plant.scheduler.jobs.values():
            if job.finished is not None and job.id not in self._finished:
                self._finished.add(job.id)
                figures.jobs_done += 1
                figures.jobs_late += job.finished > job.deadline + timedelta(seconds=TICK_S)


class Nobody(Controller):  # type: ignore[misc]
    """Nobody in charge: every GPU has its highest cap, and every job runs when it comes."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        for pool in plant.pools.values():
            pool.cap_w, pool.fallback_cap_w = pool.model.max_cap_w, pool.model.max_cap_w

    def step(self, now: datetime, microgrid_states: dict[str, Any]) -> None:
        plant = self._plant
        for job in plant.scheduler.jobs.values():
            if job.order is None:
                job.may_use = lambda _now, gpus=job.gpus: gpus  # type: ignore[method-assign, misc]
        plant.pass_by(TICK_S)


class InCharge(Controller):  # type: ignore[misc]
    """The daemon in charge, with what goes wrong around it."""

    def __init__(self, plant: Plant, faults: Sequence[Fault], folder: Path, figures: Figures) -> None:
        self.plant, self._figures, self._cycle_s = plant, figures, round(SITE.control.cycle_s)
        self._path = folder / "journal.sqlite"
        self._faults = sorted(faults, key=lambda fault: fault.start_s)
        self.clock = VirtualClock(plant.now)
        self.broker = MemoryBroker(self.clock.now)
        self._agents = self.broker.connect()
        for name in ("cap_desired", "job_desired", "battery_desired", "solar_desired"):
            for pattern in plant.topics.patterns(name):
                self._agents.subscribe(pattern, 1)
        self._connections = 0
        self._specified: set[str] = set()
        self._now: list[Fault] = []
        self._began_s = 0
        self._shown_kw: float | None = None
        self.daemon: Daemon | None = None
        self._wanted = self._lied = False
        self._start()

    def step(self, now: datetime, microgrid_states: dict[str, Any]) -> None:
        at_s = round((self.clock.now() - START).total_seconds())
        before, self._now = self._now, [fault for fault in self._faults if fault.start_s <= at_s < fault.end_s]
        for fault in self._now:
            if fault not in before:
                self._figures.faults[fault.kind] += 1
                self._begin(fault)
        for fault in before:
            if fault not in self._now:
                self._end(fault)
        self._tell()
        self._settle()
        if self.daemon is not None and (at_s % self._cycle_s == 0 or self._wanted):
            self._wanted = self._lied = False
            ended = self.daemon.cycle()
            self._figures.cycles[ended.outcome] += 1
            if self._lied:
                self._figures.lies[self._became(ended)] += 1
            self._settle()
        self._count()
        self.plant.pass_by(TICK_S)
        self.clock.advance(TICK_S)

    def close(self) -> None:
        """End the daemon."""
        if self.daemon is not None:
            self._stop()

    def _has(self, kind: str) -> Fault | None:
        return next((fault for fault in self._now if fault.kind == kind), None)

    def _start(self) -> None:
        self.journal = Journal(self._path, clock=self.clock)
        self._bus = self.broker.connect(last_will(SITE, "daemon"))
        self.daemon = Daemon(SITE, self._bus, self.journal, self.clock, planner=self._plan)
        self.daemon.wake = self._want
        self.daemon.subscribe()
        self.daemon.start()
        self._wanted = True

    def _want(self) -> None:
        self._wanted = True

    def _stop(self) -> None:
        self._bus.vanish()
        self.journal.close()
        self.daemon = None

    def _plan(self, asked: Question) -> Decided | Undecided:
        if self._has("raises"):
            raise RuntimeError("the planner is out of order")
        if self._has("no plan"):
            return Undecided("the solver found no plan in its time")
        found = answer(asked, Solver)
        if self._has("lies") and not isinstance(found, Undecided):
            high = tuple(
                replace(pool, cap_w=400, groups=tuple(replace(group, cap_w=400) for group in pool.groups)) for pool in found.decision.pools
            )
            found, self._lied = replace(found, decision=replace(found.decision, pools=high)), True
        return found

    def _became(self, ended: Outcome) -> str:
        """What became of a plan that lied: where caps may not rise, or gave way, it is bounded before it is judged."""
        assert self.daemon is not None
        sent = self.daemon.rooms.governor.in_force
        if sent is None or ended.mode != "NORMAL" or ended.outcome != "published":
            return "refused"
        return "sent as they were" if all(pool.cap_w == 400 for pool in sent.pools) else "made to fit"

    def _begin(self, fault: Fault) -> None:
        if fault.kind == "away":
            self.broker.stop(forget=fault.dice < 0.3)
        if fault.kind == "killed" and self.daemon is not None:
            self._stop()
        if fault.kind == "limit":
            start, lasts = self.clock.now(), timedelta(seconds=fault.end_s - fault.start_s)
            self._say("grid/main/limit", {"unit": "kW", "points": [{"start": start, "end": start + lasts, "value": 26 + 16 * fault.dice}]})
        if fault.kind == "people":
            self._command(fault)

    def _end(self, fault: Fault) -> None:
        if fault.kind == "away" and not self._has("away"):
            self.broker.start()
        if fault.kind == "killed" and not self._has("killed"):
            self._start()

    def _command(self, fault: Fault) -> None:
        target, kind, value = (
            ("site", "cap_w", 160), ("pool/h/shared", "cap_w", 400), ("pool/h/rented", "cap_w", 380), ("site", "manual", None),
            ("site", "stop", None), ("grid/main", "import_limit_kw", 48),
        )[int(6 * fault.dice)]  # fmt: skip
        told = {"id": f"{kind}-{fault.start_s}", "kind": kind, "value": value, "by": "ann", "ttl_s": fault.end_s - fault.start_s, "priority": 5}
        self._say(f"override/{target}/set", told, retain=False)

    def _say(self, topic: str, told: dict[str, Any], *, retain: bool = True) -> None:
        root = f"{SITE.bus.root}/{SITE.id}"
        self._agents.publish(Message(f"{root}/{topic}", msgspec.json.encode(told), qos=1, retain=retain))

    def _tell(self) -> None:
        """Say what instruments show, what jobs there are and what agents do."""
        plant, topics, bus = self.plant, self.plant.topics, self._agents
        if bus.connections != self._connections:
            self._connections, self._specified = bus.connections, set()
            for sensor in sensors(SITE):
                payload = encode(describe(sensor, SITE, TICK_S))
                bus.publish(Message(f"{SITE.bus.root}/{SITE.id}/meta/{sensor.key}", payload, qos=1, retain=True))
        told: dict[str, dict[str, float | None]] = {}
        for hall, key, value in plant.readings():
            shown = self._shown(f"{hall}/{key}", value)
            if shown is not ...:
                told.setdefault(hall, {})[key] = shown
        now_ms = round(self.clock.now().timestamp() * 1000)
        for hall, values in told.items():
            bus.publish(Message(topics.batch(hall, "gateway"), encode(Batch(values=values, timestamp=now_ms))))
        for job in plant.scheduler.jobs.values():
            if job.id not in self._specified:
                self._specified.add(job.id)
                bus.publish(Message(topics.job(job.id, "spec"), encode(specify(job, SITE)), qos=1, retain=True))
        self._report()

    def _report(self) -> None:
        for topic, report in reports(self.plant, self.plant.topics):  # type: ignore[arg-type]
            self._agents.publish(Message(topic, encode(report), qos=1, retain=True))

    def _shown(self, key: str, value: float) -> Any:
        """What an instrument shows; `...` where it says nothing."""
        if self._has("dark"):
            return ...
        if (fault := self._has("silent")) is not None:
            every = [sensor.key for sensor in sensors(SITE)]
            if key == every[int(fault.dice * len(every))]:
                return ...
        if key == f"site/meter/{SITE.grid.feed}/import_kw":
            if (fault := self._has("wrong")) is not None:
                return (1000 * value, None, -value, 1e300)[int(4 * fault.dice)]
            if self._has("stuck"):
                return self._shown_kw
            self._shown_kw = value
        return value

    def _settle(self) -> None:
        """Let the daemon and the agents hear each other until nobody has anything to say."""
        while True:
            if self.daemon is not None:
                self.daemon.attend(0.0)
                while self._bus.inbox._commands or self._bus.inbox._telemetry:
                    self.daemon.attend(0.0)
            orders = self._agents.drain(0.0, 10_000)
            for message in orders:
                self.plant.obey(message)
            if not orders:
                return
            self._report()

    def _count(self) -> None:
        figures, daemon = self._figures, self.daemon
        figures.modes["away" if daemon is None else daemon.outcome.mode] += 1
        limit_kw = SITE.grid.import_limit_kw
        if daemon is not None:
            limit_kw = daemon.rooms.known.situation(self.clock.now()).asked.import_limit_kw[0]
        if self.plant.import_kw > CLEARLY * limit_kw:
            figures.above["with the bus" if daemon is not None and self.broker.running else "without it"] += 1


def run(days: float, seed: int, folder: Path) -> Figures:
    """The daemon in charge for some days. Whatever Vessim raises where it cannot balance is let out."""
    figures = Figures(days=days)
    plant = Plant(SITE, START, seed, SITE.feeders["main"].rating_kw)
    charge = InCharge(plant, tuple(drawn(max(int(days), 1), seed)), folder, figures)
    return _balanced(plant, charge, figures)


def unattended(days: float, seed: int, *, max_import_kw: float | None) -> Figures:
    """The same days with nobody in charge."""
    figures = Figures(days=days)
    plant = Plant(SITE, START, seed, max_import_kw)
    return _balanced(plant, Nobody(plant), figures)


def _balanced(plant: Plant, charge: Controller, figures: Figures) -> Figures:
    began = time.monotonic()
    environment = Environment(sim_start=START, step_size=TICK_S)
    plant.connect(environment)
    environment.add_controller(Account(plant, figures))
    environment.add_controller(charge)
    try:
        environment.run(until=timedelta(days=figures.days))
    finally:
        if isinstance(charge, InCharge):
            charge.close()
    figures.wall_s = time.monotonic() - began
    return figures


def main(argv: Sequence[str]) -> int:
    """Print the figures."""
    asked = argparse.ArgumentParser(prog="python -m tests.vessim.days")
    asked.add_argument("--days", type=float, default=30)
    asked.add_argument("--seed", type=int, default=1)
    given = asked.parse_args(argv)
    with TemporaryDirectory(dir=in_memory()) as folder:  # power does not fail here, and a journal in memory waits for no disk
        found = run(given.days, given.seed, Path(folder))
    print("\n".join(found.lines()))
    free = unattended(given.days, given.seed, max_import_kw=None)
    print(f"nobody in charge, where the connection carries anything: at most {free.highest_kw:.1f} kW")
    print("\n".join(free.lines()[-2:]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
