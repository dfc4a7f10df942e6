"""The bus as the service sees it: messages by topic, whatever carries them.

`Bus` is the interface, `MemoryBroker` carries it inside one process for rehearsals; `facility.bus.mqtt` carries it over MQTT. All
share the two queues of `facility.bus.queues`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from facility.bus.queues import QUEUE_SIZE, Inbox, Outbox

MAX_PAYLOAD_BYTES = 64 * 1024


def utc_now() -> datetime:
    """Return the present, UTC."""
    return datetime.now(UTC)


class Message(Struct, frozen=True, gc=False):
    """One message. `valid_until` (UTC) is when it loses its meaning: from then on it is not sent; MQTT 5 tells the broker so."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    valid_until: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """Whether it has lost its meaning at `now`."""
        return self.valid_until is not None and now >= self.valid_until


class Bus(Protocol):
    """A connection to a broker that mends itself."""

    def publish(self, message: Message) -> bool:
        """Send, or keep for the next connection; False when neither can be done. A bad topic raises ValueError."""

    def subscribe(self, pattern: str, qos: int = 0) -> None:
        """Ask for a pattern with `+` and `#`, now and after every reconnect. A bad pattern raises ValueError."""

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next message that came in, or None when none came within `timeout_s`."""

    def drain(self, timeout_s: float, most: int) -> list[Message]:
        """Return up to `most` messages that came in, commands first; none when none came within `timeout_s`."""

    @property
    def connections(self) -> int:
        """How often it was connected so far; a rise tells the owner to publish its retained truth again."""

    @property
    def connected(self) -> bool:
        """Whether the broker accepted us and no loss was noticed since. Only an echoed heartbeat proves more."""

    @property
    def dropped(self) -> int:
        """Messages that came in and were lost because the inbox was full or they were unreadable."""

    def reconnect(self) -> None:
        """Give this connection up for a new one, with what is still on its way in it; returns at once."""

    def close(self) -> None:
        """Publish nothing more and leave cleanly, so that the broker does not send the last will."""


def check_topic(topic: str) -> None:
    """Raise ValueError unless `topic` can be published on (MQTT 3.1.1, section 4.7)."""
    if not topic or len(topic.encode()) > 65_535 or any(sign in topic for sign in "+#\0"):
        raise ValueError(f"not a topic to publish on: {topic!r}")


def check_pattern(pattern: str) -> None:
    """Raise ValueError unless `pattern` can be subscribed to: `+` is a whole level and `#` the whole last one."""
    levels = pattern.split("/")
    misplaced = "#" in levels[:-1] or any(level not in {"+", "#"} and ("+" in level or "#" in level) for level in levels)
    if not pattern or len(pattern.encode()) > 65_535 or "\0" in pattern or misplaced:
        raise ValueError(f"not a pattern to subscribe to: {pattern!r}")


def matches(pattern: str, topic: str) -> bool:
    """Whether `topic` is one of those that `pattern` asks for.

    >>> matches("a/+/c", "a/b/c"), matches("a/#", "a"), matches("#", "$SYS/uptime")
    (True, True, False)
    """
    wanted, levels = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(want in ("+", level) for want, level in zip(wanted, levels, strict=True))


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
            for bus in tuple(self.buses):
                bus.deliver(replace(message, retain=False))

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
        self._broker, self._will, self._closed = broker, will, False
        self._outbox = Outbox(broker.queue_size)
        self._patterns: dict[str, int] = {}

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
        asked = [qos for pattern, qos in self._patterns.items() if matches(pattern, message.topic)]
        if asked:
            self.inbox.put(replace(message, qos=min(message.qos, max(asked))))
