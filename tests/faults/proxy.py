"""A wire between a client and a broker that can be made bad: it holds back, forgets, crawls, loses, or breaks.

`up` is the way from the client to the broker, `down` the way back. Every wire that is made through one proxy is as good or bad as
its ways are; what a way counts says what it did.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import suppress

BUFFER_BYTES = 16 * 1024
"""What the proxy itself takes in ahead, so that a sender soon feels a wire that is held back."""
PIECE_BYTES = 64 * 1024
SEGMENT_BYTES = 1460
RETRY_S = 0.2
"""How long TCP waits before it sends a lost segment again; each further time for the same one twice as long."""


class Way:
    """One direction. `carried` and `forgotten` are bytes, `stalls` how often a segment had to be sent again."""

    def __init__(self, seed: int) -> None:
        self.carried = self.forgotten = self.stalls = 0
        self.bytes_per_s: float | None = None
        self.loss = 0.0
        self._random = random.Random(seed)
        self._flows = threading.Event()
        self._flows.set()

    @property
    def held(self) -> bool:
        return not self._flows.is_set()

    def hold(self) -> None:
        """Carry nothing until it is mended; the sender is not told."""
        self._flows.clear()

    def mend(self) -> None:
        self.bytes_per_s, self.loss = None, 0.0
        self._flows.set()

    def piece(self) -> int:
        """How much to carry at once."""
        return SEGMENT_BYTES if self.loss else max(1, int(self.bytes_per_s / 10)) if self.bytes_per_s else PIECE_BYTES

    def wait(self, size: int) -> None:
        """Take as long as it takes to carry `size` bytes."""
        self._flows.wait()
        if self.bytes_per_s:
            time.sleep(size / self.bytes_per_s)
        retry_s = RETRY_S
        while self._random.random() < self.loss:
            self.stalls += 1
            time.sleep(min(retry_s, 1.0))
            retry_s *= 2
            self._flows.wait()


class Proxy:
    """Listens on a port of its own and carries every connection to the broker's."""

    def __init__(self, port: int, seed: int = 0) -> None:
        self.up, self.down, self.broken = Way(seed), Way(seed + 1), False
        self._port = port
        self._wires: list[tuple[socket.socket, socket.socket]] = []
        self._door = socket.socket()
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._door.bind(("127.0.0.1", 0))
        self._door.listen()
        self.url = f"mqtt://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def half_open(self) -> None:
        """The broker loses every wire; the clients are not told, and what they send is forgotten."""
        self.down.hold()
        for _, far in self._wires:
            with suppress(OSError):
                far.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Both sides lose every wire, and no new one is made until it is mended."""
        self.broken = True
        for wire in self._wires:
            for side in wire:
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
        self._wires.clear()

    def mend(self) -> None:
        self.broken = False
        self.up.mend()
        self.down.mend()

    def close(self) -> None:
        self._door.close()
        self.cut()
        self.mend()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._door.accept()
                try:
                    if self.broken:
                        raise ConnectionRefusedError
                    far = socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    near.close()
                    continue
                self._wires.append((near, far))
                for source, target, way in ((near, far, self.up), (far, near, self.down)):
                    threading.Thread(target=self._carry, args=(source, target, way), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, way: Way) -> None:
        lost = False
        with suppress(OSError):
            while data := source.recv(way.piece()):
                way.wait(len(data))
                try:
                    target.sendall(data)
                    way.carried += len(data)
                except OSError:
                    if not self.down.held:
                        break
                    lost = True  # half-open: the sender goes on believing
                    way.forgotten += len(data)
        way.wait(0)
        if not lost:
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)
        source.close()
