"""A bus over another, for those who look at what passes."""

from __future__ import annotations

from facility.bus.interface import Bus, Message


class Over:
    """Passes everything on to `bus`; what is of interest is overridden. See `Bus`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def publish(self, message: Message) -> bool:
        """See `Bus.publish`."""
        return self._bus.publish(message)

    def subscribe(self, pattern: str, qos: int = 0) -> None:
        """See `Bus.subscribe`."""
        self._bus.subscribe(pattern, qos)

    def receive(self, timeout_s: float) -> Message | None:
        """See `Bus.receive`."""
        return self._bus.receive(timeout_s)

    def drain(self, timeout_s: float, most: int) -> list[Message]:
        """See `Bus.drain`."""
        return self._bus.drain(timeout_s, most)

    @property
    def connections(self) -> int:
        """See `Bus.connections`."""
        return self._bus.connections

    @property
    def connected(self) -> bool:
        """See `Bus.connected`."""
        return self._bus.connected

    @property
    def dropped(self) -> int:
        """See `Bus.dropped`."""
        return self._bus.dropped

    @property
    def taken_over(self) -> int:
        """See `Bus.taken_over`."""
        return self._bus.taken_over

    def reconnect(self) -> None:
        """See `Bus.reconnect`."""
        self._bus.reconnect()

    def close(self) -> None:
        """See `Bus.close`."""
        self._bus.close()
