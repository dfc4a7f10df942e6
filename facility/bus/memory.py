"""A bus inside one process, for rehearsals and tests: patterns, retained messages, last wills, and outages on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec.structs import replace

from facility.bus.interface import Message, check_pattern, check_topic, matches, utc_now
from facility.bus.queues import QUEUE_SIZE, Inbox, Outbox

MOST_TOPICS = 10_000
"""Topics of which a client remembers whether it asked for them."""


class MemoryBroker:
    """A broker in this process: patterns, retained messages, last wills, and outages on demand. Safe among threads."""

    def __init__(self, now: Callable[[], datetime] = utc_now, queue_size: int = QUEUE_SIZE) -> None:
        self.now, self.queue_size, self.running = now, queue_size, True
        self.lock = threading.RLock()
        self.buses: list[MemoryBus] = []
        self._retained: dict[str, Message] = {}

    @property
    def retained(self) -> Mapping[str, bytes]:
        """The retained payload of each topic that has one."""
        with self.lock:
            return {topic: message.payload for topic, message in self._retained.items()}

    def connect(self, will: Message | None = None) -> MemoryBus:
        """Connect a new client; the broker publishes `will` when it vanishes without closing."""
        with self.lock:
            bus = MemoryBus(self, will)
            self.buses.append(bus)
            if self.running:
                bus.on_connect()
            return bus

    def stop(self, *, forget: bool = False) -> None:
        """Begin an outage, as every client sees it; with `forget` the retained messages are lost too."""
        with self.lock:
            self.running = False
            if forget:
                self._retained.clear()

    def start(self) -> None:
        """End the outage: every client is connected again."""
        with self.lock:
            if not self.running:
                self.running = True
                for bus in tuple(self.buses):
                    bus.on_connect()

    def route(self, message: Message) -> None:
        """Hand a message to everyone who asked for its topic, and retain it where it says so; empty deletes."""
        with self.lock:
            if message.retain:
                self._retained.pop(message.topic, None)
                if message.payload:
                    self._retained[message.topic] = message
            told = replace(message, retain=False) if message.retain else message
            for bus in tuple(self.buses):
                bus.deliver(told)

    def replay(self, bus: MemoryBus, pattern: str, qos: int) -> None:
        """Hand the retained messages of a pattern to one who has just asked for it."""
        with self.lock:
            for topic, message in self._retained.items():
                if matches(pattern, topic):
                    bus.inbox.put(replace(message, qos=min(qos, message.qos)))


class MemoryBus:
    """A client of the `MemoryBroker`; a `Bus`."""

    def __init__(self, broker: MemoryBroker, will: Message | None) -> None:
        self.inbox = Inbox(broker.queue_size)
        self.connections = 0
        self.taken_over = 0
        self._broker, self._will, self._closed = broker, will, False
        self._outbox = Outbox(broker.queue_size)
        self._patterns: dict[str, int] = {}
        self._asked: dict[str, int | None] = {}

    @property
    def connected(self) -> bool:
        """Whether it is open and the broker runs."""
        return self._broker.running and not self._closed

    @property
    def dropped(self) -> int:
        """Messages lost because the inbox was full."""
        return self.inbox.dropped

    def publish(self, message: Message) -> bool:
        """See `Bus.publish`."""
        check_topic(message.topic)
        with self._broker.lock:
            if self._closed or message.expired(self._broker.now()):
                return False
            if not self._broker.running:
                return self._outbox.keep(message)
            self._broker.route(message)
            return True

    def subscribe(self, pattern: str, qos: int = 0) -> None:
        """See `Bus.subscribe`."""
        check_pattern(pattern)
        with self._broker.lock:
            self._patterns[pattern] = qos
            self._asked.clear()
            if self.connected:
                self._broker.replay(self, pattern, qos)

    def receive(self, timeout_s: float) -> Message | None:
        """See `Bus.receive`."""
        return self.inbox.get(timeout_s)

    def drain(self, timeout_s: float, most: int) -> list[Message]:
        """See `Bus.drain`."""
        return self.inbox.drain(timeout_s, most)

    def reconnect(self) -> None:
        """See `Bus.reconnect`."""
        with self._broker.lock:
            if self.connected:
                self.on_connect()

    def close(self) -> None:
        """Leave cleanly."""
        with self._broker.lock:
            self._closed = True
            if self in self._broker.buses:
                self._broker.buses.remove(self)

    def vanish(self) -> None:
        """Leave as a killed process does: the broker publishes the last will."""
        with self._broker.lock:
            was_connected = self.connected
            self.close()
            if self._will is not None and was_connected:
                self._broker.route(self._will)

    def on_connect(self) -> None:
        """Ask for every pattern again and send what waited; the broker calls it."""
        self.connections += 1
        for pattern, qos in self._patterns.items():
            self._broker.replay(self, pattern, qos)
        for message in self._outbox.take(self._broker.now()):
            self._broker.route(message)

    def deliver(self, message: Message) -> None:
        """Take a message in once, at the highest QoS among the patterns that asked for it."""
        qos = self._asked_for(message.topic)
        if qos is not None:
            self.inbox.put(message if message.qos <= qos else replace(message, qos=qos))

    def _asked_for(self, topic: str) -> int | None:
        """The highest QoS at which a topic was asked for, None where it was not; told once for each of `MOST_TOPICS` topics."""
        if topic not in self._asked:
            if len(self._asked) >= MOST_TOPICS:
                self._asked.clear()
            self._asked[topic] = max((qos for pattern, qos in self._patterns.items() if matches(pattern, topic)), default=None)
        return self._asked[topic]
