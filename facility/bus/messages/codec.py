"""From bytes to types and back, and what all payloads have in common.

`decode` turns bytes into a type or raises `Rejected`, whatever the bytes are. Unknown fields are ignored, so that older readers
understand newer writers, except in a person's command, where a misspelt field must not pass for an absent one. What no parser
should see is refused before (`limits`); a repeated field everywhere but in readings, where the last one counts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Annotated, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta as Rule
from msgspec import Struct

from facility.bus.messages.limits import excess

T = TypeVar("T", bound=Struct)

Instant = Annotated[datetime, Rule(tz=True)]
Milliseconds = Annotated[int, Rule(ge=0, le=4_102_444_800_000)]
Count = Annotated[int, Rule(ge=0, le=10_000_000)]
Serial = Annotated[int, Rule(ge=0, le=2**63 - 1)]
Watts = Annotated[int, Rule(ge=0, le=10_000)]
NonNegative = Annotated[float, Rule(ge=0)]
Positive = Annotated[float, Rule(gt=0)]
Share = Annotated[float, Rule(ge=0, le=1)]
Name = Annotated[str, Rule(min_length=1, max_length=128)]
Text = Annotated[str, Rule(max_length=1000)]
END = r"(?!\n)$"  # in Python `$` alone lets a line feed follow
Id = Annotated[str, Rule(pattern=rf"^[a-z0-9][a-z0-9-]*{END}", max_length=64)]
Currency = Annotated[str, Rule(pattern=rf"^[A-Z]{{3}}{END}")]
Gpus = Count | tuple[Name, ...]
"""How many GPUs, or which: `node-17/3`."""


class Rejected(Exception):
    """A payload that is not what its topic promises. `id` is its own id, where one could be read, for the answer."""

    def __init__(self, reason: str, command_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.id = reason, command_id


class Payload(Struct, frozen=True, kw_only=True):
    """What all others have in common: every instant is held in UTC."""

    def __post_init__(self) -> None:
        for name in _instants(type(self)):
            instant = getattr(self, name)
            if instant is not None and instant.tzinfo is not UTC:
                if instant.tzinfo is None:
                    raise ValueError(f"{name} has no offset from UTC")
                msgspec.structs.force_setattr(self, name, instant.astimezone(UTC))


@cache
def _instants(kind: type[Payload]) -> tuple[str, ...]:
    """Name the fields of a payload that hold one instant."""
    hints = get_type_hints(kind).items()
    return tuple(name for name, of in hints if of is datetime or (get_origin(of) is not tuple and datetime in get_args(of)))


class Command(Payload, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person orders: the id that makes it idempotent, who and why; and who proves it, and when, where that is asked for."""

    id: Annotated[str, Rule(min_length=1, max_length=64)]
    by: Name
    reason: Text = ""
    signed_at: Instant | None = None
    signature: Name | None = None


class Order(Payload, frozen=True, kw_only=True):
    """What the service orders. Of two orders the one with the greater (epoch, seq) holds, until `valid_until`."""

    epoch: Serial
    seq: Serial
    issued_at: Instant
    valid_until: Instant
    plan_id: Name | None = None
    reason: Text = ""


class Report(Payload, frozen=True, kw_only=True):
    """What a device says of itself; (epoch, seq) are those of the last order it obeyed."""

    timestamp: Milliseconds
    epoch: Serial | None = None
    seq: Serial | None = None


def encode(payload: Struct) -> bytes:
    """Return JSON bytes; not-a-number and infinity become null.

    >>> from facility.bus.messages import Sample
    >>> encode(Sample(412.5, 1_787_382_000_000))
    b'{"value":412.5,"timestamp":1787382000000,"quality":1}'
    """
    return msgspec.json.encode(payload)


def decode(payload: bytes, kind: type[T]) -> T:
    """Return the payload as a `kind`; raise `Rejected`, and nothing else, for what is not one.

    >>> from facility.bus.messages import Sample
    >>> decode(b"412.5", Sample).value
    412.5
    """
    strict, decoder = _way(kind)
    if (why := excess(payload, strict=strict)) is not None:
        raise Rejected(why)
    try:
        if strict or payload.lstrip()[:1] == b"{":
            found: T = decoder.decode(payload)
            return found
        return msgspec.convert({"value": msgspec.json.decode(payload, type=float | None)}, kind)
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise Rejected(str(error)[:500], _id_in(payload)) from error


@cache
def _way(kind: type[T]) -> tuple[bool, msgspec.json.Decoder[T]]:
    """Whether a type's payloads are looked at strictly, and what decodes them."""
    return issubclass(kind, Payload), msgspec.json.Decoder(kind)


class _Identified(Struct):
    id: Annotated[str, Rule(max_length=64)]


def _id_in(payload: bytes) -> str | None:
    """Read the id of what is otherwise no command."""
    try:
        return msgspec.json.decode(payload, type=_Identified).id
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return None
