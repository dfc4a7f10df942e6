"""Process: the loop of an agent - orders from the bus, limits to the devices, readings back, reports to the bus. It decides nothing.

Every limit that was set is read back before the order is confirmed, and all are read again every few seconds. A driver is asked in the loop
itself; management controllers are slow, so `workers` ask them side by side, and no order waits for one that does not answer. What a GPU was
asked before a limit was sent tells nothing after it. A report goes out when anything but the draw has changed, every `REPORT_S`, and after
every connection.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final

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
LOOK_S, BUSY_LOOK_S = 0.25, 0.02
"""The longest wait for a message, so that a stop is noticed, and an answer of a device."""
LEAVING_S: Final = 30.0
"""The longest that is waited for limits that are left behind, s."""
LEAVING_TRIES: Final = 3
"""So often one of them is set that is refused."""
MOST_AT_ONCE: Final = 1000

Answer = Reading | Lost | Refused


@dataclass(frozen=True)
class Post:
    """What an agent has been set to do: `node` is None where it is the whole pool; `speed` is how many seconds the clock counts in a real one.

    `quiet`: others report these GPUs.
    """

    topics: Topics
    hall: str
    pool: str
    node: str | None
    on_stop: Leaving = "fallback"
    dry_run: bool = False
    workers: int = 0
    read_s: float = READ_S
    speed: float = 1.0
    quiet: bool = False

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
        self._workers = ThreadPoolExecutor(post.workers, "device") if post.workers else None
        self._answers: SimpleQueue[tuple[Gpu, Write | None, Answer]] = SimpleQueue()
        self._writing: set[str] = set()
        self._reading: set[str] = set()
        self._outdated: set[str] = set()
        """GPUs that were asked how they are before a limit was sent, and have not answered that yet."""
        self._read_due_s = self._report_due_s = float("-inf")
        self._told: CapReported | None = None
        self._confirmed: CapDesired | None = None
        self._would: dict[str, int] = {}
        self._connections, self._guessed = 0, False
        bus.subscribe(post.desired, 1)
        for pattern in post.topics.patterns("job_reported"):
            bus.subscribe(pattern, 1)

    def run(self, stop: threading.Event) -> None:
        """Carry orders out until `stop` is set, then leave the limits as `on_stop` says and say so."""
        self._look()
        while not stop.is_set():
            self.step(LOOK_S)
        if not self._post.dry_run:
            self._leave()
        self._report(force=True)
        if self._workers is not None:
            self._workers.shutdown(wait=False, cancel_futures=True)
        self._devices.close()
        self._bus.close()

    def _leave(self) -> None:
        """Set the limits that are to be left behind, also of GPUs that are still at another one, or refuse at first."""
        until_s, tries = self._clock.elapsed_s() + LEAVING_S, Counter[str]()
        while self._clock.elapsed_s() < until_s:
            wanted = [write for write in self.obeying.leave(self._post.on_stop) if tries[write.gpu.id] < LEAVING_TRIES]
            if not wanted and not self._writing:
                return
            now_s = self._moment().elapsed_s
            free = [write for write in wanted if write.gpu.id not in self._writing]
            due = [write for write in free if not tries[write.gpu.id] or self.obeying.cards[write.gpu.id].retry_s <= now_s]
            tries.update(write.gpu.id for write in due)
            self._carry_out(due)
            self._hear(BUSY_LOOK_S)

    def step(self, wait_s: float) -> None:
        """Take what came within `wait_s`, or less where something is due before, and do what is to be done."""
        real_s, busy = self._clock.elapsed_s(), self._writing or self._reading
        due_s = min(self._read_due_s - real_s, self.obeying.due_s(self._moment()) / self._post.speed, BUSY_LOOK_S if busy else wait_s)
        for message in self._bus.drain(max(due_s, 0.001), MOST_AT_ONCE):
            self._take(message)
        self._hear()
        if self._clock.elapsed_s() >= self._read_due_s:
            self._look()
        if self.obeying.raised:
            self._report(force=True)  # before it is lowered again: the daemon is to know that somebody else is at work
            self.obeying.raised.clear()
        self._carry_out(self.obeying.writes(self._moment()))
        if not self._writing and not self.obeying.unknown:
            self._confirmed = self.obeying.standing.order
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
        """Ask every GPU how it is, and know of those that are new."""
        self._read_due_s = self._clock.elapsed_s() + self._post.read_s
        self.obeying.welcome(self._devices.gpus())
        for gpu in [card.gpu for card in self.obeying.cards.values()]:
            if gpu.id not in self._reading | self._writing:
                self._reading.add(gpu.id)
                self._ask(gpu, None)
        self._hear()

    def _carry_out(self, writes: Iterable[Write]) -> None:
        """Have limits set, each read back; in a dry run only say what would be set."""
        for write in writes:
            if self._post.dry_run:
                if self._would.get(write.gpu.id) != write.watts:
                    self._would[write.gpu.id] = write.watts
                    log.info("would set the limit of %s to %d W", write.gpu.name, write.watts)
            elif write.gpu.id not in self._writing:
                self._writing.add(write.gpu.id)
                self._outdated |= self._reading & {write.gpu.id}
                self._ask(write.gpu, write)
        self._hear()

    def _ask(self, gpu: Gpu, write: Write | None) -> None:
        def answer() -> Answer:
            try:
                if write is not None:
                    self._devices.limit(gpu, write.watts)
                return self._devices.read(gpu)
            except (Lost, Refused) as error:
                return error

        if self._workers is None:
            self._answers.put((gpu, write, answer()))
            return

        def over(future: Future[Answer]) -> None:
            if not future.cancelled():
                fault = future.exception()
                self._answers.put((gpu, write, future.result() if fault is None else Refused(f"{type(fault).__name__}: {fault}")))

        self._workers.submit(answer).add_done_callback(over)

    def _hear(self, wait_s: float = 0.0) -> None:
        """Take the answers that came, after a wait."""
        if wait_s:
            threading.Event().wait(wait_s)
        while not self._answers.empty():
            gpu, write, found = self._answers.get()
            (self._reading if write is None else self._writing).discard(gpu.id)
            if write is None and gpu.id in self._outdated:
                self._outdated.discard(gpu.id)
                continue
            if said := self._learn(gpu, write, found):
                log.warning("%s", said)
            if write is not None and isinstance(found, Refused) and gpu.id not in self._reading:
                self._reading.add(gpu.id)
                self._ask(gpu, None)  # it may have been set all the same

    def _learn(self, gpu: Gpu, write: Write | None, found: Answer) -> str:
        if self.obeying.cards[gpu.id].reading is None:
            _introduce(gpu, found)
        match found:
            case Lost():
                return self.obeying.lost(gpu)
            case Refused() if write is None:
                return self.obeying.unread(gpu, str(found))
            case Refused():
                return self.obeying.refused(gpu, str(found), self._moment(), None if write is None else write.watts)
            case Reading():
                return self.obeying.read(gpu, found) if write is None else self.obeying.wrote(write, found, self._moment())

    def _report(self, *, force: bool = False) -> None:
        if self.obeying.unknown and not force:
            return
        real_s, now = self._clock.elapsed_s(), self._clock.now()
        told = report(self.obeying, now, None if self._post.dry_run else self._confirmed)
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
        elif not self._post.quiet and (told.gpus or told.gone):
            self._bus.publish(Message(self._post.reported, encode(told), 1, retain=True))
        self._told, self._connections, self._report_due_s = told, connections, real_s + REPORT_S / self._post.speed


def _lasting(told: CapReported) -> CapReported:
    return msgspec.structs.replace(told, timestamp=0, draw_kw=None)


def _introduce(gpu: Gpu, found: Answer) -> None:
    if gpu.cannot:
        log.warning("%s %s does not obey: %s", gpu.name, gpu.id, gpu.cannot)
    elif isinstance(found, Reading):
        draw = "unknown" if found.draw_w is None else f"{found.draw_w:.0f} W"
        log.info("%s %s: %d to %d W, enforced %d W, draws %s", gpu.name, gpu.id, gpu.lowest_w, gpu.highest_w, found.enforced_w, draw)
