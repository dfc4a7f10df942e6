"""The queues of a bus: what came in and is not read yet, what goes out with the next connection.

The inbox is bounded and lets commands (QoS 1) overtake telemetry (QoS 0), so that a flood of samples never delays an operator; telemetry
waits some milliseconds for more of it, because to wake a thread costs more than to read a sample. The outbox keeps what cannot be sent
now, only the newest value of each topic.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime

from facility.bus.interface import Message

MAX_INBOX_BYTES = 256 * 1024 * 1024
QUEUE_SIZE = 100_000
LINGER_S = 0.02
"""How long telemetry waits for more of it, at most."""


class Inbox:
    """What came in, bounded in number and bytes. Full, it forgets the oldest telemetry; of commands it refuses the newest."""

    def __init__(self, size: int = QUEUE_SIZE, max_bytes: int = MAX_INBOX_BYTES) -> None:
        self._size, self._max_bytes, self._bytes = size, max_bytes, 0
        self._commands: deque[Message] = deque()
        self._telemetry: deque[Message] = deque()
        self._ready = threading.Condition()
        self._enough = 1
        self.dropped = 0

    def put(self, message: Message) -> None:
        """Take one in."""
        with self._ready:
            (self._commands if message.qos else self._telemetry).append(message)
            self._bytes += len(message.payload)
            while self._telemetry and (len(self._telemetry) > self._size or self._bytes > self._max_bytes):
                self._drop(self._telemetry.popleft())
            while self._commands and (len(self._commands) > self._size or self._bytes > self._max_bytes):
                self._drop(self._commands.pop())
            if message.qos or len(self._telemetry) in {1, self._enough}:
                self._ready.notify()

    def get(self, timeout_s: float) -> Message | None:
        """Take the next one out; return None when none came within `timeout_s`."""
        with self._ready:
            if not self._ready.wait_for(lambda: self._commands or self._telemetry, max(timeout_s, 0.0)):
                return None
            return self._take()

    def drain(self, timeout_s: float, most: int) -> list[Message]:
        """Take up to `most` out, commands first; none when none came within `timeout_s`."""
        with self._ready:
            if not self._ready.wait_for(lambda: self._commands or self._telemetry, max(timeout_s, 0.0)):
                return []
            if timeout_s > 0 and not self._commands:
                self._enough = most
                self._ready.wait_for(lambda: self._commands or len(self._telemetry) >= most, min(timeout_s, LINGER_S))
            return [self._take() for _ in range(min(most, len(self._commands) + len(self._telemetry)))]

    def _take(self) -> Message:
        message = (self._commands or self._telemetry).popleft()
        self._bytes -= len(message.payload)
        return message

    def _drop(self, message: Message) -> None:
        self._bytes -= len(message.payload)
        self.dropped += 1


class Outbox:
    """What waits for the next connection: of each topic the newest, and QoS 1 only, because telemetry is soon worthless."""

    def __init__(self, size: int = QUEUE_SIZE) -> None:
        self._size = size
        self._newest: dict[str, Message] = {}

    def keep(self, message: Message) -> bool:
        """Keep it in place of an older one of its topic; False when it is not kept."""
        if not message.qos or (message.topic not in self._newest and len(self._newest) >= self._size):
            return False
        self._newest.pop(message.topic, None)
        self._newest[message.topic] = message
        return True

    def put_back(self, older: Iterable[Message]) -> None:
        """Keep again what was sent before everything that is kept; not where its topic has a newer one, were it only until the newer has expired."""
        newer, self._newest = self._newest, {}
        for message in (*older, *newer.values()):
            self.keep(message)

    def take(self, now: datetime) -> tuple[Message, ...]:
        """Everything kept that still means something at `now`, oldest first; it keeps nothing."""
        kept, self._newest = self._newest, {}
        return tuple(message for message in kept.values() if not message.expired(now))
