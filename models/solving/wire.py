"""Wire: Python values with large arrays over a stream socket between two processes of one program.

    [ pickle: length | arrays: count ] [ length of each array ] [ pickle ] [ array ] [ array ] ...       all lengths 8 bytes

Arrays travel beside the pickle (protocol 5, out of band): from their own memory into the socket and from there into the memory they
stay in, two copies each. Both ends are the same program on the same machine, so that a pickle is trusted and a clock is one.
"""

from __future__ import annotations

import pickle
import socket
import struct
import time
from typing import Any

import numpy as np

_HEAD = struct.Struct("<QQ")


def send(to: socket.socket, value: Any, until: float | None = None) -> None:
    """Send `value` by the instant `until` (s, of `monotonic`); TimeoutError after that, OSError where nobody listens any more."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    arrays = [buffer.raw() for buffer in buffers]
    lengths = struct.pack(f"<{len(arrays)}Q", *(array.nbytes for array in arrays))
    for part in (memoryview(_HEAD.pack(len(body), len(arrays)) + lengths + body), *arrays):
        to.settimeout(_left(until))
        to.sendall(part)


def receive(source: socket.socket, until: float | None = None) -> Any:
    """What was sent, complete by the instant `until`; TimeoutError after that, EOFError where the other end is gone."""
    body, count = _HEAD.unpack(_read(source, _HEAD.size, until))
    lengths = struct.unpack(f"<{count}Q", _read(source, 8 * count, until))
    pickled = _read(source, body, until)
    arrays = [_read(source, length, until) for length in lengths]
    return pickle.loads(pickled, buffers=arrays)  # noqa: S301 - from the same program


def _read(source: socket.socket, length: int, until: float | None) -> memoryview:
    into = np.empty(length, np.uint8).data  # not zeroed first, unlike a bytearray
    done = 0
    while done < length:
        source.settimeout(_left(until))
        got = source.recv_into(into[done:])
        if not got:
            raise EOFError("the other end is gone")
        done += got
    return into


def _left(until: float | None) -> float | None:
    """Seconds left, for a socket: never 0, which it would take for "do not wait"."""
    return None if until is None else max(until - time.monotonic(), 1e-6)
