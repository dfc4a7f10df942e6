"""The plant on the bus: it publishes its meters and its jobs, takes orders, and reports what it does.

Each sensor is sampled every period, in the words of a dialect; what obeys orders reports every change of its orders and states at
once, and its power and progress every `REPORT_S`. A fast clock samples less often. After every connection everything retained is
said again. What a foreign dialect tells of batteries and cooling plants they do not report in our tree too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from facility.bus.interface import Bus, Message
from facility.bus.messages import (
    BatteryDesired,
    CapDesired,
    ContractState,
    CoolingDesired,
    JobDesired,
    JobReported,
    JobSpec,
    Payload,
    Rejected,
    decode,
    encode,
)
from facility.bus.messages.codec import Report
from facility.bus.topics import Topics
from facility.clock import Clock
from facility.errors import InputError
from facility.simulate.dialects import Dialect, OwnTree
from facility.simulate.followed import FollowedJobs
from facility.simulate.plant import Plant
from facility.simulate.reports import reports, specify, without_measurements, without_readings
from facility.simulate.trouble import TOPIC, trouble

log = logging.getLogger(__name__)

REPORT_S = 15.0
"""Simulated time between two reports without a change, and the longest time that passes between two looks at the bus, s."""
LEAST_REAL_PERIOD_S = 0.25
"""No sensor is sampled more often than this in real time, s."""
TICK_S = 0.05
ORDERS_PER_TICK = 1000
RETAINED_UNTIL_EMPTY = ("/state", "/spec", "/reported")
"""Topics whose empty messages say something."""
ORDERS = ("cap_desired", "job_desired", "cooling_desired", "battery_desired", "contract_state")
FOLLOWED = ("job_spec", "job_reported")
"""What is heard in place of orders for jobs where they are another scheduler's."""

Desired = TypeVar("Desired", CapDesired, JobDesired, CoolingDesired, BatteryDesired)


class Device:
    """The plant's only hand on the bus. `speed` is how many simulated seconds the clock counts in a real one; with `rehearse` things
    can be told to go wrong (`facility.simulate.trouble`).
    """

    def __init__(
        self, plant: Plant, bus: Bus, clock: Clock, speed: float = 1.0, dialect: Dialect | None = None, *, rehearse: bool = False
    ) -> None:
        self.plant, self._bus, self._clock = plant, bus, clock
        self._foreign, self._dialect = dialect is not None, dialect or OwnTree(plant.site)
        self._topics = Topics(plant.site.bus.root, plant.site.id)
        self._period_s = {sensor: max(sensor.period_s, LEAST_REAL_PERIOD_S * speed) for sensor in plant.sensors}
        self._sample_due = dict.fromkeys(plant.sensors, plant.now)
        self._report_due = plant.now
        self._reported: dict[str, Report] = {}
        self._known_jobs: set[str] = set()
        self._connections = 0
        self._follows = isinstance(plant.scheduler, FollowedJobs)
        for name in (*ORDERS, *FOLLOWED) if self._follows else ORDERS:
            for pattern in self._topics.patterns(name):
                bus.subscribe(pattern, 1)
        self._trouble_topic = f"{plant.site.bus.root}/{plant.site.id}/{TOPIC}" if rehearse else None
        if self._trouble_topic is not None:
            bus.subscribe(self._trouble_topic, 1)

    def run(self, stop: threading.Event) -> None:
        """Keep up with the clock until `stop` is set, then take the jobs off the bus and close it."""
        while not stop.is_set():
            self.tick(TICK_S)
        for job in sorted(self._known_jobs):
            self._forget(job)
        self._bus.close()

    def tick(self, wait_s: float = 0.0) -> None:
        """Take orders, follow the clock by at most `REPORT_S`, publish what is due; wait only when the clock is not far ahead."""
        self._take_orders(wait_s if self._behind_s() <= REPORT_S else 0.0)
        if (behind_s := self._behind_s()) > 0:
            self.plant.step(min(behind_s, REPORT_S))
        self._publish()

    def _behind_s(self) -> float:
        return (self._clock.now() - self.plant.now).total_seconds()

    def _take_orders(self, wait_s: float) -> None:
        for _ in range(ORDERS_PER_TICK):
            message = self._bus.receive(wait_s)
            if message is None:
                return
            if message.topic == self._trouble_topic:
                self._suffer(message)
            elif message.payload or message.topic.endswith(RETAINED_UNTIL_EMPTY):
                self._take_order(message)
            wait_s = 0.0

    def _take_order(self, message: Message) -> None:
        plant, parsed = self.plant, self._topics.parse(message.topic)
        match parsed:
            case "cap_desired", {"pool": pool} if pool in plant.pools:
                self._obey(message, CapDesired, lambda order: plant.pools[pool].obey(order, plant.now))
            case ("job_spec" | "job_reported") as what, {"job": job}:
                self._follow(job, what, message)
            case "job_desired", {"job": job} if self._follows:
                pass
            case "job_desired", {"job": job}:
                self._obey(message, JobDesired, lambda order: plant.scheduler.obey(job, order, plant.now))
            case "cooling_desired", {"plant": name} if name in plant.cooling:
                self._obey(message, CoolingDesired, lambda order: plant.obey_cooling(name, order))
            case "battery_desired", {"battery": battery} if battery in plant.batteries:
                self._obey(message, BatteryDesired, lambda order: plant.batteries[battery].obey(order, plant.now))
            case "contract_state", {"contract": contract}:
                self._hear(contract, message)
            case _:
                log.warning("%s: there is no such thing here", message.topic)

    def _suffer(self, message: Message) -> None:
        try:
            self.plant.suffer(trouble(message.payload, self.plant.site))
        except InputError as error:
            log.warning("%s", error)

    def _hear(self, contract: str, message: Message) -> None:
        try:
            self.plant.tenants.hear(contract, decode(message.payload, ContractState) if message.payload else None)
        except Rejected as rejected:
            log.info("%s: not understood, %s", message.topic, rejected.reason)

    def _follow(self, job: str, what: str, message: Message) -> None:
        scheduler = self.plant.scheduler
        if not isinstance(scheduler, FollowedJobs):
            return
        try:
            if what == "job_spec":
                scheduler.hear_spec(job, decode(message.payload, JobSpec) if message.payload else None)
            else:
                scheduler.hear_report(job, decode(message.payload, JobReported) if message.payload else None)
        except Rejected as rejected:
            log.info("%s: not understood, %s", message.topic, rejected.reason)

    def _obey(self, message: Message, kind: type[Desired], take: Callable[[Desired], str | None]) -> None:
        try:
            refusal = take(decode(message.payload, kind))
        except Rejected as rejected:
            refusal = rejected.reason
        if refusal is not None:
            log.info("%s: refused, %s", message.topic, refusal)

    def _publish(self) -> None:
        if not self._bus.connections:
            return
        if self._bus.connections != self._connections:
            self._connections = self._bus.connections
            self._reported, self._known_jobs = {}, set()
            for message in self._dialect.describe(self._period_s):
                self._bus.publish(message)
        self._publish_jobs()
        timed = self.plant.now >= self._report_due
        for topic, report in reports(self.plant, self._topics):
            lasting = without_readings(report)
            if timed or lasting != self._reported.get(topic):
                self._reported[topic] = lasting
                self._retain(topic, without_measurements(report) if self._foreign else report)
        if timed:
            self._report_due = self.plant.now + timedelta(seconds=REPORT_S)
        due = [sensor for sensor, at in self._sample_due.items() if self.plant.now >= at]
        self._sample_due |= {sensor: self.plant.now + timedelta(seconds=self._period_s[sensor]) for sensor in due}
        for message in self._dialect.tell({sensor: self.plant.read(sensor) for sensor in due}, self.plant.now):
            self._bus.publish(message)

    def _publish_jobs(self) -> None:
        jobs = self.plant.scheduler.jobs
        for job in jobs:
            if job not in self._known_jobs:
                self._retain(self._topics.job(job, "spec"), specify(jobs[job], self.plant.site))
        for job in sorted(self._known_jobs - jobs.keys()):
            self._forget(job)
        self._known_jobs = set(jobs)

    def _retain(self, topic: str, payload: Payload) -> None:
        self._bus.publish(Message(topic, encode(payload), qos=1, retain=True))

    def _forget(self, job: str) -> None:
        for topic in (self._topics.job(job, "spec"), self._topics.job(job, "desired"), self._topics.job(job, "reported")):
            self._reported.pop(topic, None)
            self._bus.publish(Message(topic, b"", qos=1, retain=True))
