"""A client that minds no manners: raw MQTT 3.1.1 packets, as many, as long and as often the same as a test wants.

As a program it floods: `python -m tests.faults.sender PORT TOPIC PAYLOAD PER_SECOND SECONDS` prints how many messages a second the
broker took.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from typing import Self

MOST_BYTES = 268_435_455
"""The longest that MQTT lets a packet be, after its first bytes."""
BLOCK = bytes(1024 * 1024)


class Sender:
    """Connects at once; a context manager."""

    def __init__(self, port: int, name: str = "sender") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._send(0x10, _text("MQTT") + bytes([4, 2, 0, 0]) + _text(name))
        assert self._receive(4)[0] == 0x20

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def publish(self, topic: str, payload: bytes, *, ticket: int = 0, again: bool = False) -> None:
        """Send a message, at QoS 1 where it has a ticket; `again` as one that may have been sent before."""
        self._send(*publish(topic, payload, ticket, again=again))

    def publish_zeros(self, topic: str, size: int = MOST_BYTES) -> None:
        """Send one message of nothing but zeros, in a packet of `size` bytes."""
        head = _text(topic)
        self._socket.sendall(b"\x30" + _length(size) + head)
        left = size - len(head)
        while left:
            left -= self._socket.send(BLOCK[: min(left, len(BLOCK))])

    def settle(self) -> None:
        """Wait until the broker has taken all that was sent. Raises ConnectionError where it hung up instead."""
        self._send(0xC0, b"")
        while self._receive(1) != b"\xd0":
            pass
        self._receive(1)

    def _send(self, kind: int, body: bytes) -> None:
        self._socket.sendall(bytes([kind]) + _length(len(body)) + body)

    def _receive(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            if not (more := self._socket.recv(size - len(found))):
                raise ConnectionResetError("the broker hung up")
            found += more
        return found


def publish(topic: str, payload: bytes, ticket: int = 0, *, again: bool = False) -> tuple[int, bytes]:
    """The first byte and the body of a PUBLISH packet."""
    return 0x30 | (0x02 if ticket else 0) | (0x08 if again else 0), _text(topic) + (ticket.to_bytes(2, "big") if ticket else b"") + payload


def _text(text: str) -> bytes:
    told = text.encode()
    return len(told).to_bytes(2, "big") + told


def _length(size: int) -> bytes:
    def digits() -> Iterator[int]:
        left = size
        while left > 127:
            yield left % 128 + 128
            left //= 128
        yield left

    return bytes(digits())


def flood(port: int, topic: str, payload: bytes, per_s: int, seconds: float) -> float:
    """Send `per_s` messages a second; how many a second the broker took."""
    kind, body = publish(topic, payload)
    burst = (bytes([kind]) + _length(len(body)) + body) * (per_s // 100)
    with Sender(port, "flood") as sender:
        began, bursts = time.monotonic(), round(seconds * 100)
        for number in range(bursts):
            time.sleep(max(began + number / 100 - time.monotonic(), 0))
            sender._socket.sendall(burst)
        sender.settle()
        return bursts * (per_s // 100) / (time.monotonic() - began)


if __name__ == "__main__":
    port, topic, payload, per_s, seconds = sys.argv[1:]
    print(flood(int(port), topic, payload.encode(), int(per_s), float(seconds)))
