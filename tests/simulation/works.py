"""The works: what goes on outside the service - meters tell, agents obey and report, jobs run, people speak - over a wire that may be bad."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from facility.bus.interface import Message
from facility.bus.messages import BatteryDesired, JobDesired, JobReported, JobSpec, Meta, decode, encode
from facility.clock import milliseconds
from facility.sensors import Sensor, sensors
from facility.verify import fallback_caps
from tests.simulation.plant import Caps, Plant
from tests.simulation.sites import ROOT
from tests.simulation.wire import Agent, order_in

if TYPE_CHECKING:
    from tests.simulation.day import Day
    from tests.simulation.schedule import Said

NOISE_SHARE = 0.001
PERIOD_S = 240.0
"""How often meters tell when nothing happens; nearer to an event they tell more often."""
REPORT_S = 600.0
"""How often agents report when nothing changes."""
AGAIN_S = 300.0
"""When people look whether what they deleted is gone."""


@dataclass
class Work:
    """A job: its specification, what of it is done (GPU hours), the number of the order that holds, and whether it runs."""

    spec: JobSpec
    done_gpu_h: float = 0.0
    number: tuple[int, int] = (0, 0)
    running: bool = False


class Works:
    """Everything outside; `spoilt` tells what is made of a reading that a fault is on, by its sensor's key."""

    def __init__(self, day: Day) -> None:
        self._day, self._site = day, day.site
        fallback_w = fallback_caps(day.site)
        self.plant = Plant(day.site, {pool: Caps(cap_w) for pool, cap_w in fallback_w.items()})
        self.agents = {
            name: Agent(day.site.gpu_models[pool.gpu_model], Caps(fallback_w[name]), pool.gpus) for name, pool in day.site.pools.items()
        }
        self.jobs: dict[str, Work] = {}
        self._ordered_until: dict[str, datetime] = {}
        """When the order ends that each battery obeys."""
        self.sensors = {sensor.key: sensor for sensor in sensors(day.site)}
        self.spoilt: dict[str, Callable[[float], float | None]] = {}
        self.rubbish: set[str] = set()
        """Topics on which somebody published what he should not have."""
        self._rng = Random(f"{day.seed}/works")
        self.bus = day.broker.connect()
        self._gateway = day.broker.connect()
        for pattern in ("cap/+/+/desired", "job/+/desired", "battery/+/desired"):
            self._gateway.subscribe(f"{ROOT}/{pattern}", 1)
        self._told_s = -math.inf

    def begin(self) -> None:
        """Say what is retained, as after every start of the broker."""
        for key, sensor in self.sensors.items():
            self._publish(f"meta/{key}", encode(Meta(unit=sensor.unit, period_s=PERIOD_S)), retain=True)
        for job in self.jobs:
            self._publish(f"job/{job}/spec", encode(self.jobs[job].spec), retain=True)
            self._say_how_far(job)
        self.report_all()
        self._told_s = -math.inf
        self.tell()

    # time and what is heard

    def pass_by(self, seconds: float, hour: float) -> None:
        """Let time pass: heat, batteries, work, and caps and charging that lapse."""
        for job, work in self.jobs.items():
            if work.running:
                work.done_gpu_h += work.spec.gpus * 0.7 * seconds / 3600
                if work.done_gpu_h >= work.spec.work_gpu_h:
                    self._run(job, runs=False)
        self.plant.pass_by(seconds, hour)
        for battery, until in list(self._ordered_until.items()):
            if until <= self._day.true_now:
                self.plant.battery_kw[battery] = 0.0
                del self._ordered_until[battery]
        for pool, agent in self.agents.items():
            if agent.keep_time(self._day.true_now):
                self._enforced(pool)
        self.plant.measure()

    def hear(self) -> bool:
        """Take what the service sent; whether there was anything."""
        messages = self._gateway.drain(0.0, 1000)
        for message in messages:
            if message.payload:
                self._day.wire.carry(partial(self._arrive, message))
        return bool(messages)

    def _arrive(self, message: Message) -> None:
        _, name, _ = message.topic.removeprefix(f"{ROOT}/").rsplit("/", 2)
        if "/cap/" in message.topic:
            agent = self.agents[name]
            if agent.slow_s:
                self._day.later(agent.slow_s, lambda: self._obey(name, message))
            else:
                self._obey(name, message)
        elif "/job/" in message.topic and name in self.jobs:
            self._order(name, decode(message.payload, JobDesired))
            self.plant.measure()
        elif "/battery/" in message.topic:
            battery, order = self._site.batteries[name], decode(message.payload, BatteryDesired)
            if order.valid_until > (now := self._day.true_now):
                self.plant.battery_kw[name] = min(max(order.power_kw, -battery.discharge_kw), battery.charge_kw)
                self._ordered_until[name] = order.valid_until
                self._day.later((order.valid_until - now).total_seconds(), lambda: None)
                self.plant.measure()

    def _obey(self, pool: str, message: Message) -> None:
        order, now = order_in(message.payload), self._day.true_now
        if self.agents[pool].take(order, now):
            self._day.later((order.until - now).total_seconds(), lambda: None)
            self._enforced(pool)

    def _enforced(self, pool: str) -> None:
        self.plant.caps[pool] = self.agents[pool].caps
        self.plant.measure()
        self.report(pool)

    def restart(self, pool: str) -> None:
        """Let an agent begin anew: it asks the broker for what is retained."""
        agent, hall = self.agents[pool], self._site.pools[pool].hall
        agent.restart()
        kept = self._day.broker.retained.get(topic := f"{ROOT}/cap/{hall}/{pool}/desired")
        if kept and self._day.broker.running:
            self._obey(pool, Message(topic, kept))
        self.report(pool)

    def _order(self, job: str, order: JobDesired) -> None:
        work = self.jobs[job]
        if (order.epoch, order.seq) > work.number and order.valid_until > self._day.true_now:
            work.number = (order.epoch, order.seq)
            self._run(job, runs=order.action == "run")

    def _run(self, job: str, *, runs: bool) -> None:
        work = self.jobs[job]
        busy = self.plant.busy[work.spec.pool]
        free = self._site.pools[work.spec.pool].gpus - sum(gpus for name, gpus in busy.items() if name != job)
        work.running = runs and work.done_gpu_h < work.spec.work_gpu_h and work.spec.gpus <= free
        busy.pop(job, None)
        if work.running:
            busy[job] = work.spec.gpus
        self._say_how_far(job)

    def _say_how_far(self, job: str) -> None:
        work = self.jobs[job]
        done = work.done_gpu_h >= work.spec.work_gpu_h
        state = "running" if work.running else "done" if done else "waiting"
        report = JobReported(timestamp=self._now_ms(), epoch=work.number[0], seq=work.number[1], state=state, done_gpu_h=work.done_gpu_h,
                             gpus=work.spec.gpus if work.running else 0)  # fmt: skip
        self._publish(f"job/{job}/reported", encode(report), retain=True)

    # what is said

    def report(self, pool: str) -> None:
        """Let an agent say what it enforces."""
        self._publish(f"cap/{self._site.pools[pool].hall}/{pool}/reported", self.agents[pool].report(self._now_ms()), retain=True)

    def report_all(self) -> None:
        """Let every agent report."""
        for pool in self.agents:
            self.report(pool)

    def tell(self) -> None:
        """Let every meter tell."""
        if self._day.t - self._told_s < 1.0:
            return
        self._told_s = self._day.t
        for message in self.readings():
            self._day.wire.carry(partial(self.publish, message))

    def readings(self) -> list[Message]:
        """One reading of every meter that speaks, as gateways tell them."""
        told: defaultdict[str, dict[str, float | None]] = defaultdict(dict)
        for key, sensor in self.sensors.items():
            value: float | None = self._read(sensor)
            if key in self.spoilt and value is not None:
                value = self.spoilt[key](value)
                if value is None:
                    continue
            hall, _, point = key.partition("/")
            told[hall][point] = value
        now_ms = self._now_ms()
        batches = {hall: msgspec.json.encode({"values": values, "timestamp": now_ms}) for hall, values in told.items()}
        return [Message(f"{ROOT}/tele/{hall}/batch/gw", payload) for hall, payload in batches.items()]

    def say(self, said: Said) -> None:
        """Let somebody say something."""
        payload = b"" if said.payload is None else msgspec.json.encode(self._dated(said.payload))
        if said.topic.startswith("job/") and said.payload is not None:
            self.jobs.setdefault(said.topic.split("/")[1], Work(decode(payload, JobSpec)))
        message = Message(f"{ROOT}/{said.topic}", payload, qos=1, retain=said.retain)
        if said.topic.startswith("override/") and payload:
            self._day.people.know(message)
        self._day.wire.carry(lambda: self._speak(message))
        self._day.soon()
        if said.payload is None:
            self._day.later(AGAIN_S, lambda: self._delete(said))

    def _delete(self, said: Said) -> None:
        """Say once more that what is retained be deleted, where the wire lost that."""
        if f"{ROOT}/{said.topic}" in self._day.broker.retained:
            self.say(said)

    def _speak(self, message: Message) -> None:
        self.bus.publish(message)
        if "/override/" in message.topic and self._day.broker.running and self._day.daemon is not None:
            self._day.people.reached(message, self._day.t)

    def _dated(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Seconds of the day, written `@s`, as instants."""
        def dated(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: dated(each) for key, each in value.items()}
            if isinstance(value, list):
                return [dated(each) for each in value]
            return (self._day.start + timedelta(seconds=float(value[1:]))).isoformat() if isinstance(value, str) and value.startswith("@") else value

        return {key: dated(value) for key, value in payload.items()}

    def _read(self, sensor: Sensor) -> float:
        plant = self.plant
        match sensor.asset_type:
            case "pool":
                truth = plant.pool_kw[sensor.asset]
            case "hall":
                return plant.hall_c[sensor.asset] + self._rng.gauss(0.0, 0.02)
            case "cooling":
                truth = plant.cooling_kw
            case "feeder":
                truth = plant.feeder_kw[sensor.asset]
            case "meter":
                truth = plant.feeder_kw["root"]
            case "battery" if sensor.point == "energy_kwh":
                return plant.battery_kwh[sensor.asset]
            case "battery":
                return plant.battery_kw[sensor.asset]
            case _:
                return plant.outdoor_c + self._rng.gauss(0.0, 0.02)
        return truth * (1 + max(-3.0, min(3.0, self._rng.gauss(0.0, 1.0))) * NOISE_SHARE)

    def publish(self, message: Message) -> None:
        """Let a message come to the broker without any wire between."""
        self.bus.publish(message)

    def _publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._day.wire.carry(partial(self.publish, Message(f"{ROOT}/{topic}", payload, qos=1, retain=retain)))

    def _now_ms(self) -> int:
        return milliseconds(self._day.true_now)
