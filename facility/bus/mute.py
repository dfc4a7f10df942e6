"""Mute: a bus that hears everything and says nothing, for a daemon that only shadows the one that runs.

Nothing that is published leaves this process, whatever asks for it; who made the bus is told of it instead. The heartbeat, by whose echo a
daemon knows that the broker hears it, comes back with the next message that the broker sends. Other daemons are not heard.
"""

from __future__ import annotations

from collections.abc import Callable

from facility.bus.broker import Broker
from facility.bus.interface import Message, check_topic
from facility.bus.mqtt import MqttBus


class Mute:
    """A `Bus` over `ears`, which must have been made without a last will; `kept` is told what would have been said.

    `svc` begins the topics of daemons' statuses, `own` is ours among them.
    """

    def __init__(self, ears: MqttBus, kept: Callable[[Message], None], *, svc: str, own: str) -> None:
        self._ears, self._kept, self._svc, self._own = ears, kept, svc, own
        self._beat: Message | None = None

    @property
    def connections(self) -> int:
        """See `Bus.connections`."""
        return self._ears.connections

    @property
    def connected(self) -> bool:
        """See `Bus.connected`."""
        return self._ears.connected

    @property
    def dropped(self) -> int:
        """See `Bus.dropped`."""
        return self._ears.dropped

    @property
    def taken_over(self) -> int:
        """See `Bus.taken_over`."""
        return self._ears.taken_over

    def publish(self, message: Message) -> bool:
        """Say nothing."""
        check_topic(message.topic)
        if message.topic == self._own:
            self._beat = message
        self._kept(message)
        return True

    def subscribe(self, pattern: str, qos: int = 0) -> None:
        """See `Bus.subscribe`."""
        self._ears.subscribe(pattern, qos)

    def receive(self, timeout_s: float) -> Message | None:
        """See `Bus.receive`."""
        return next(iter(self.drain(timeout_s, 1)), None)

    def drain(self, timeout_s: float, most: int) -> list[Message]:
        """See `Bus.drain`."""
        heard = self._ears.drain(timeout_s, most)
        found = [message for message in heard if not message.topic.startswith(self._svc)]
        if heard and self._beat is not None:
            found.append(Message(self._own, self._beat.payload, qos=1))
            self._beat = None
        return found

    def reconnect(self) -> None:
        """See `Bus.reconnect`."""
        self._ears.reconnect()

    def renew(self, broker: Broker) -> None:
        """See `MqttBus.renew`."""
        self._ears.renew(broker)

    def close(self) -> None:
        """See `Bus.close`."""
        self._ears.close()
