"""Flood: publishes readings at a rate, as MQTT 3.1.1 packets made by hand, so that the sender costs little beside who receives.

    python -m tests.bench.flood PORT ROOT POINTS MESSAGES_PER_S READINGS_PER_MESSAGE SECONDS

Prints how many messages of pools it sent; the meter speaks besides, once a second.
"""

from __future__ import annotations

import json
import socket
import sys
import time

HALL = "h1"
TICK_S = 0.01


def packet(kind: int, body: bytes) -> bytes:
    """One packet: its kind, the length of its body in groups of seven bits, its body."""
    length, left = bytearray(), len(body)
    while True:
        left, low = divmod(left, 128)
        length.append(low | (128 if left else 0))
        if not left:
            return bytes([kind]) + bytes(length) + body


def text(of: str) -> bytes:
    return len(of.encode()).to_bytes(2, "big") + of.encode()


def connected(port: int) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", port))
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text("flood")))
    assert wire.recv(4) == b"\x20\x02\x00\x00"
    return wire


def main(port: int, root: str, points: int, rate: float, readings: int, seconds: float) -> int:
    wire = connected(port)
    single = [text(f"{root}/tele/{HALL}/pool/p{i}/it_power_kw") for i in range(points)]
    batch, names = text(f"{root}/tele/{HALL}/batch/flood"), [f"pool/p{i}/it_power_kw" for i in range(points)]
    meter = text(f"{root}/tele/site/meter/main/import_kw")
    began, sent, metered = time.time(), 0, 0
    while True:
        now = time.time()
        due = int(min(now - began, seconds) * rate)
        out = bytearray()
        if now - began >= metered:
            metered += 1
            out += packet(0x30, meter + b'{"value":%d}' % (50 + metered % 7))
        for n in range(sent, due):
            at_ms = int((began + n / rate) * 1000)
            if readings == 1:
                value = b'{"value":%.3f,"timestamp":%d}' % (10 + n % 97 / 100, at_ms)
                out += packet(0x30, single[n % points] + value)
            else:
                values = {names[(n * readings + i) % points]: 10 + (n + i) % 97 / 100 for i in range(readings)}
                out += packet(0x30, batch + json.dumps({"timestamp": at_ms, "values": values}, separators=(",", ":")).encode())
        wire.sendall(out)
        sent = due
        if now - began >= seconds:
            break
        time.sleep(max(0.0, TICK_S - (time.time() - now)))
    wire.sendall(packet(0xE0, b""))
    wire.close()
    print(sent)
    return 0


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(main(int(words[0]), words[1], int(words[2]), float(words[3]), int(words[4]), float(words[5])))
