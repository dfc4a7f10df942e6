"""Pulse: the service's own heartbeat, echoed back by the broker; never the client's opinion of its connection.

The broker is silent when the newest beat that came back is older than `DEAD_S`. Time in which the service itself did not listen
is not held against the broker. A silent broker gets a new connection, for the old one may be dead without anybody having been
told; each that brings no echo is given twice the time of the one before, because on a slow wire it takes long to say everything
again. Only an echo ends the silence.
"""

from __future__ import annotations

import logging

from facility.bus.interface import Bus, Message
from facility.bus.messages import Status, encode
from facility.bus.topics import Topics
from facility.clock import Clock
from facility.site import Site

log = logging.getLogger(__name__)

DEAD_S = 5.0
LONGEST_WAIT_S = 60.0
"""How long a new connection is given, at most, before the next is tried."""
MOST_BEATS = 100
"""Beats that are remembered until they come back."""


class Pulse:
    """`instance` names this process; its status is retained, and `last_will` stands there once it is gone."""

    def __init__(self, site: Site, bus: Bus, clock: Clock, instance: str) -> None:
        self._bus, self._clock, self._every_s, self._instance = bus, clock, site.control.heartbeat_s, instance
        self.topic = Topics(site.bus.root, site.id).status(instance)
        self.silent = False
        """Whether nothing shows that the broker hears us: then nobody else may either."""
        self._looked_s = self._beat_s = clock.elapsed_s()
        self._listened_s = 0.0
        self._alive_s, self._wait_s = 0.0, DEAD_S
        self._beats: dict[bytes, float] = {}

    def echo(self, payload: bytes) -> bool:
        """Hear a beat come back; True where that ends a silence."""
        sent_s = self._beats.get(payload)
        if sent_s is None or self._listened_s - sent_s > DEAD_S:
            return False
        self._beats = {beat: at_s for beat, at_s in self._beats.items() if at_s > sent_s}
        self._alive_s, self._wait_s = sent_s, DEAD_S
        was_silent, self.silent = self.silent, False
        if was_silent:
            log.info("the broker answers again")
        return was_silent

    def connected(self) -> None:
        """Give a new connection its time."""
        self._alive_s = self._listened_s

    def due(self) -> bool:
        """Whether it is time for a beat; notices, and logs, that the broker has fallen silent."""
        now_s = self._clock.elapsed_s()
        self._listened_s += min(now_s - self._looked_s, self._every_s)
        self._looked_s = now_s
        if self._listened_s - self._alive_s > self._wait_s:
            if not self.silent:
                log.warning("the broker does not answer: no heartbeat on %s came back for %g s", self.topic, DEAD_S)
                self.silent = True
            self._alive_s, self._wait_s = self._listened_s, min(2 * self._wait_s, LONGEST_WAIT_S)
            self._bus.reconnect()
        if now_s - self._beat_s < self._every_s:
            return False
        self._beat_s = now_s
        return True

    def beat(self, status: Status) -> None:
        """Publish a status."""
        payload = encode(status)
        if len(self._beats) >= MOST_BEATS:
            del self._beats[next(iter(self._beats))]
        self._beats[payload] = self._listened_s
        self._bus.publish(Message(self.topic, payload, qos=1, retain=True))


def last_will(site: Site, instance: str, reason: str = "lost") -> Message:
    """What the broker says of this instance when it goes without a word."""
    status = Status(instance=instance, mode="offline", reason=reason)
    return Message(Topics(site.bus.root, site.id).status(instance), encode(status), qos=1, retain=True)
