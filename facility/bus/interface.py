"""The bus as the service sees it: messages by topic, whatever carries them.

`Bus` is the interface; `facility.bus.mqtt` carries it over MQTT, `facility.bus.memory` inside one process for rehearsals. Both share the
two queues of `facility.bus.queues`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

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

    @property
    def taken_over(self) -> int:
        """How often somebody else seems to have connected with our client id, and thrown us out."""

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
