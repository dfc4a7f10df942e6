"""Pulse: the service's own heartbeat, echoed back by the broker; never the client's opinion of its connection."""

from __future__ import annotations

import logging
import time

from facility.bus.interface import Bus, Message
from facility.bus.messages import Status, encode
from facility.bus.topics import Topics
from facility.site import Site

log = logging.getLogger(__name__)

DEAD_S = 5.0


class Pulse:
    """`instance` names this process; its status is retained, and `last_will` stands there once it is gone."""

    def __init__(self, site: Site, bus: Bus, instance: str) -> None:
        self._bus, self._every_s, self._instance = bus, site.control.heartbeat_s, instance
        self.topic = Topics(site.bus.root, site.id).status(instance)
        self._beat_s = self._echo_s = time.monotonic()
        self._silent = False

    def echo(self) -> None:
        """Hear the broker: an echo of the last beat, or a new connection."""
        self._echo_s = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for a beat; logs when the broker falls silent and when it answers again."""
        now_s = time.monotonic()
        silent = now_s - self._echo_s > DEAD_S
        if silent != self._silent:
            self._silent = silent
            log.log(
                logging.WARNING if silent else logging.INFO, "the broker %s", "does not answer" if silent else "answers again"
            )
        if now_s - self._beat_s < self._every_s:
            return False
        self._beat_s = now_s
        return True

    def beat(self, status: Status) -> None:
        """Publish a status."""
        self._bus.publish(Message(self.topic, encode(status), qos=1, retain=True))


def last_will(site: Site, instance: str, reason: str = "lost") -> Message:
    """What the broker says of this instance when it goes without a word."""
    status = Status(instance=instance, mode="offline", reason=reason)
    return Message(Topics(site.bus.root, site.id).status(instance), encode(status), qos=1, retain=True)
