"""Process: the loop of an agent - orders from the bus, limits to the devices, readings back, reports to the bus. It decides nothing.

Every limit that was set is read back before anything is reported, and all are read again every few seconds. A report goes out when
anything but the draw has changed, every `REPORT_S`, and after every connection. Sets and readings may run side by side (`workers`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from facility.agents.gpu.device import Devices, Gpu, Lost, Reading, Refused
from facility.agents.gpu.obeying import Leaving, Obeying, Write
from facility.agents.gpu.standing import Moment
from facility.agents.gpu.telling import report
from facility.bus.interface import Bus, Message
from facility.bus.messages import CapDesired, CapReported, JobReported, Rejected, decode, encode
from facility.bus.topics import Topics
from facility.clock import Clock

log = logging.getLogger(__name__)

READ_S: Final = 2.0
REPORT_S: Final = 5.0
LOOK_S: Final = 0.25
"""The longest wait for a message, so that a stop is noticed."""
MOST_AT_ONCE: Final = 1000
T = TypeVar("T")


@dataclass(frozen=True)
class Post:
    """What an agent has been set to do: `node` is None where it is the whole pool; `speed` is how many seconds the clock counts in a real one."""

    topics: Topics
    hall: str
    pool: str
    node: str | None
    on_stop: Leaving = "fallback"
    dry_run: bool = False
    workers: int = 1
    read_s: float = READ_S
    speed: float = 1.0

    @property
    def desired(self) -> str:
        """The topic of its orders."""
        return self.topics.cap_desired(self.hall, self.pool)

    @property
    def reported(self) -> str:
        """The topic of its reports."""
        if self.node is None:
            return self.topics.cap_reported(self.hall, self.pool)
        return self.topics.cap_node_reported(self.hall, self.pool, self.node)


class Agent:
    """Everything an agent does but begin."""

    def __init__(self, post: Post, obeying: Obeying, devices: Devices, bus: Bus, clock: Clock) -> None:
        self._post, self.obeying, self._devices, self._bus, self._clock = post, obeying, devices, bus, clock
        self._workers = ThreadPoolExecutor(post.workers, "device") if post.workers > 1 else None
        self._read_due_s = self._report_due_s = float("-inf")
        self._told: CapReported | None = None
        self._would: dict[str, int] = {}
        self._connections, self._guessed = 0, False
        for card in obeying.cards.values():
            if card.gpu.cannot:
                log.warning("%s does not obey: %s", card.gpu.name, card.gpu.cannot)
        bus.subscribe(post.desired, 1)
        for pattern in post.topics.patterns("job_reported"):
            bus.subscribe(pattern, 1)

    def run(self, stop: threading.Event) -> None:
        """Carry orders out until `stop` is set, then leave the limits as `on_stop` says and say so."""
        self._look()
        while not stop.is_set():
            self.step(LOOK_S)
        if not self._post.dry_run:
            self._carry_out(self.obeying.leave(self._post.on_stop))
        self._report(force=True)
        self._devices.close()
        self._bus.close()
        if self._workers is not None:
            self._workers.shutdown()

    def step(self, wait_s: float) -> None:
        """Take what came within `wait_s`, or less where something is due before, and do what is to be done."""
        real_s = self._clock.elapsed_s()
        due_s = min(self._read_due_s - real_s, self.obeying.due_s(self._moment()) / self._post.speed, wait_s)
        for message in self._bus.drain(max(due_s, 0.001), MOST_AT_ONCE):
            self._take(message)
        if self._clock.elapsed_s() >= self._read_due_s:
            self._look()
        self._carry_out(self.obeying.writes(self._moment()))
        self._report()

    def _moment(self) -> Moment:
        return Moment(self._clock.now(), self._clock.elapsed_s() * self._post.speed)

    def _take(self, message: Message) -> None:
        if not message.payload:
            if (job := self._job(message.topic)) is not None:
                self.obeying.hold(job, ())
            return
        try:
            if message.topic == self._post.desired:
                order = decode(message.payload, CapDesired)
                if dropped := self.obeying.order(order, self._moment()):
                    log.log(logging.DEBUG if dropped.startswith("not newer") else logging.WARNING, "order %s-%s: %s", order.epoch, order.seq, dropped)
            elif (job := self._job(message.topic)) is not None:
                told = decode(message.payload, JobReported)
                self.obeying.hold(job, told.gpus if isinstance(told.gpus, tuple) and told.state == "running" else ())
        except Rejected as rejected:
            log.warning("%s: %s", message.topic, rejected.reason)

    def _job(self, topic: str) -> str | None:
        found = self._post.topics.parse(topic)
        return found[1]["job"] if found is not None and found[0] == "job_reported" else None

    def _look(self) -> None:
        """Read every GPU."""
        self._read_due_s = self._clock.elapsed_s() + self._post.read_s
        gpus = [card.gpu for card in self.obeying.cards.values()]
        for gpu, found in zip(gpus, self._each(lambda gpu: _tried(lambda: self._devices.read(gpu)), gpus), strict=True):
            if isinstance(found, Lost):
                self._say(self.obeying.lost(gpu))
            elif isinstance(found, Reading):
                self._say(self.obeying.read(gpu, found))

    def _carry_out(self, writes: Iterable[Write]) -> None:
        """Set limits, read each back, and know what became of it; in a dry run only say what would be set."""
        writes = tuple(writes)
        if self._post.dry_run:
            for write in writes:
                if self._would.get(write.gpu.id) != write.watts:
                    self._would[write.gpu.id] = write.watts
                    log.info("would set the limit of %s to %d W", write.gpu.name, write.watts)
            return
        for write, found in zip(writes, self._each(lambda write: _tried(lambda: self._set(write)), writes), strict=True):
            match found:
                case Lost():
                    self._say(self.obeying.lost(write.gpu))
                case Refused():
                    self._say(self.obeying.refused(write.gpu, str(found), self._moment()))
                case Reading():
                    self._say(self.obeying.wrote(write, found, self._moment()))

    def _set(self, write: Write) -> Reading:
        self._devices.limit(write.gpu, write.watts)
        return self._devices.read(write.gpu)

    def _each(self, do: Callable[[T], Reading | Lost | Refused], those: Iterable[T]) -> list[Reading | Lost | Refused]:
        return list(map(do, those) if self._workers is None else self._workers.map(do, those))

    def _report(self, *, force: bool = False) -> None:
        real_s, now = self._clock.elapsed_s(), self._clock.now()
        told = report(self.obeying, now, obeys=not self._post.dry_run)
        connections = self._bus.connections
        still = self._told is not None and _lasting(told) == _lasting(self._told) and connections == self._connections
        if still and real_s < self._report_due_s and not force:
            return
        if self.obeying.guessed and not self._guessed:
            log.warning("the order counts GPUs and does not name them, so %d here have the lowest cap that may be meant", len(self.obeying.guessed))
        self._guessed = bool(self.obeying.guessed)
        if self._post.dry_run:
            if not still:
                log.info("enforced %d W, draw %s kW, gone %s", told.enforced_cap_w, told.draw_kw, told.gone)
        else:
            self._bus.publish(Message(self._post.reported, encode(told), 1, retain=True))
        self._told, self._connections, self._report_due_s = told, connections, real_s + REPORT_S / self._post.speed

    @staticmethod
    def _say(what: str) -> None:
        if what:
            log.warning("%s", what)


def _tried(do: Callable[[], Reading]) -> Reading | Lost | Refused:
    try:
        return do()
    except (Lost, Refused) as error:
        return error


def _lasting(told: CapReported) -> CapReported:
    return msgspec.structs.replace(told, timestamp=0, draw_kw=None)


def say_gpus(gpus: Iterable[Gpu], readings: Callable[[Gpu], Reading]) -> None:
    """Log what there is, GPU by GPU."""
    for gpu in gpus:
        try:
            now = readings(gpu)
        except (Lost, Refused) as error:
            log.info("%s %s: %s", gpu.name, gpu.id, gpu.cannot or error)
            continue
        draw = "unknown" if now.draw_w is None else f"{now.draw_w:.0f} W"
        log.info("%s %s: %d to %d W, enforced %d W, draws %s", gpu.name, gpu.id, gpu.lowest_w, gpu.highest_w, now.enforced_w, draw)
