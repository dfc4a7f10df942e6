"""A gateway from MQTT to the points of a building, as those to BACnet and Modbus behave.

A BACnet point has sixteen priorities: the value at the smallest number that is set is in force, null takes one away, and without any the
point's own control decides (ASHRAE 135, clause 19.2). A Modbus register is a whole number of 16 bits, read back as it stands; a restart
of its controller forgets what was written (Modbus Application Protocol V1.1b3, clause 6).
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field

from facility.bus.interface import Message
from facility.bus.mqtt import MqttBus


@dataclass
class Bacnet:
    """One analog value; `own` is what its own control has it at."""

    name: str
    own: float
    array: dict[int, float] = field(default_factory=dict)

    def write(self, payload: bytes) -> None:
        told = json.loads(payload)
        if told["value"] is None:
            self.array.pop(told["priority"], None)
        else:
            self.array[told["priority"]] = float(told["value"])

    def read(self) -> bytes:
        value = self.array[min(self.array)] if self.array else self.own
        return json.dumps({"object": self.name, "presentValue": value, "statusFlags": [0, 0, 0, 0]}).encode()

    def restart(self) -> None:
        """Its controller comes back: what was commanded is kept, as the standard wants it of commandable points."""


@dataclass
class Modbus:
    """One holding register of 16 bits with a sign."""

    name: str
    own: int
    count: int | None = None

    def write(self, payload: bytes) -> None:
        count = int(payload)  # a register takes nothing else
        if -32768 <= count <= 32767:
            self.count = count

    def read(self) -> bytes:
        return str(self.own if self.count is None else self.count).encode()

    def restart(self) -> None:
        self.count = None


class Gateway(threading.Thread):
    """Takes `gw/NAME/set`, and tells `gw/NAME` every `every_s` and `late_s` after each write. `deaf` points take nothing."""

    def __init__(self, url: str, *points: Bacnet | Modbus, every_s: float = 0.5, late_s: float = 0.1) -> None:
        super().__init__(daemon=True)
        self.points = {point.name: point for point in points}
        self.deaf: set[str] = set()
        self.heard: list[tuple[float, str, bytes]] = []
        self.over = False
        self._every_s, self._late_s = every_s, late_s
        self._bus = MqttBus(url, "gateway")
        self._bus.subscribe("gw/+/set", 1)
        self._lock = threading.Lock()
        self.start()

    def run(self) -> None:
        told = 0.0
        while not self.over:
            message = self._bus.receive(0.05)
            if message is not None:
                name = message.topic.split("/")[1]
                self.heard.append((time.monotonic(), name, message.payload))
                if name not in self.deaf:
                    with self._lock:
                        self.points[name].write(message.payload)
                    told = min(told, time.monotonic() - self._every_s + self._late_s)
            if time.monotonic() - told >= self._every_s:
                told = time.monotonic()
                for point in self.points.values():
                    with self._lock:
                        self._bus.publish(Message(f"gw/{point.name}", point.read(), 0))

    def at_the_machine(self, name: str, value: float | None, priority: int = 8) -> None:
        """Somebody sets a BACnet point where it stands, or lets go of it."""
        with self._lock:
            self.points[name].write(json.dumps({"value": value, "priority": priority}).encode())

    def writes(self, name: str, since: float = 0.0) -> list[bytes]:
        return [payload for at, of, payload in self.heard if of == name and at >= since]

    def close(self) -> None:
        self.over = True
        self.join()
        self._bus.close()
