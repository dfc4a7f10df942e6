"""Integrity: I14-I16, so that nobody obeys what is old, forged, or another's."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from facility.bus.interface import MAX_PAYLOAD_BYTES
from facility.bus.messages import Rejected, decode
from facility.invariants.broken import Broken, above

Stamp = tuple[int, int]
"""(epoch, seq) of an order."""


def increases(asset: str, stamp: Stamp, *before: Stamp | None) -> tuple[Broken, ...]:
    """I14: (epoch, seq) of an order is greater than that of every one before, of the same process and on the same topic."""
    last = max((earlier for earlier in before if earlier is not None), default=None)
    if last is None or stamp > last:
        return ()
    return (Broken(14, asset, f"({stamp[0]}, {stamp[1]}) comes after ({last[0]}, {last[1]})"),)


def small(topic: str, payload: bytes) -> tuple[Broken, ...]:
    """I15: no message is larger than 64 KiB."""
    return above(15, topic, "a message is too large", len(payload), MAX_PAYLOAD_BYTES, "B")


def well_formed(topic: str, payload: bytes, kind: type[Struct]) -> tuple[Broken, ...]:
    """I15: a message is what its topic promises, as whoever reads it would find."""
    try:
        decode(payload, kind)
    except Rejected as rejected:
        return (Broken(15, topic, f"a message is not what its topic promises: {rejected.reason[:200]}"),)
    return ()


def one_writer(site: str, epochs: Iterable[int]) -> tuple[Broken, ...]:
    """I16: the orders that are obeyed in one span of time are of one epoch."""
    found = sorted(set(epochs))
    return () if len(found) <= 1 else (Broken(16, site, f"orders of several processes are obeyed: epochs {', '.join(map(str, found))}"),)
