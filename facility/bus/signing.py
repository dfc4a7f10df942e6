r"""Signatures: a person's command, signed with a key that only that person and the service have.

    signature = base64(HMAC-SHA256(key, text))                              RFC 2104, RFC 4648 section 4, with padding
    text      = "facility command 1" LF topic LF canonical                  in UTF-8, LF is the byte 0x0a, none at the end
    canonical = the command without its field `signature`, as RFC 8785 writes JSON

`topic` is the whole topic on which the command is published. RFC 8785 (JCS) has fields sorted by name, no blanks, strings with no
more escapes than they need and numbers as ECMAScript prints them: 250, never 250.0. Whatever is sent is signed, also fields that are
null. A command that is to be signed has `by`, whose key is used, and `signed_at` (ISO 8601 with an offset). For the key of 32 bytes
that is all 0x01, on `facility/v1/demo/override/site/set`:

>>> command = {"id": "a-1", "kind": "hold", "by": "ann", "signed_at": "2026-07-15T10:00:00Z"}
>>> signature(bytes([1] * 32), "facility/v1/demo/override/site/set", command)
'4zXFsDh4AMQH/8QV1d4Ft1luV/6aE+bce6FZH8epD+M='

and in a shell, $KEY in hexadecimal:

    printf 'facility command 1\n%s\n%s' "$TOPIC" "$CANONICAL" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY" -binary | base64

A signature proves who sent what and when, to whom has the same key. It hides nothing, and it does not say that a command arrives once:
that is what its id is for, and why it is of no use a minute later.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from facility.bus.messages import Rejected, encode
from facility.bus.messages.codec import Command
from facility.bus.secrets import first_line, read_private
from facility.errors import Fault, InputError

C = TypeVar("C", bound=Command)

PREFIX: Final = "facility command 1"
OLD: Final = timedelta(seconds=60)
AHEAD: Final = timedelta(seconds=10)
"""How far the clock of who signs may run ahead of ours."""
SHORTEST_KEY: Final = 32


def signature(key: bytes, topic: str, command: Mapping[str, Any]) -> str:
    """Sign the fields of a command. Raises ValueError for what JSON in UTF-8 cannot hold."""
    fields = {name: value for name, value in command.items() if name != "signature"}
    text = f"{PREFIX}\n{topic}\n{canonical(fields)}"
    return base64.b64encode(hmac.digest(key, text.encode(), "sha256")).decode()


def signed(key: bytes, topic: str, command: C, at: datetime) -> C:
    """Return a command of ours signed at an instant."""
    dated = msgspec.structs.replace(command, signed_at=at)
    return msgspec.structs.replace(dated, signature=signature(key, topic, json.loads(encode(dated))))


def check(keys: Mapping[str, bytes], topic: str, payload: bytes, command: Command, now: datetime) -> None:
    """Raise Rejected unless `payload`, which was decoded to `command`, is signed by whom it names, for this topic, just now."""
    if command.signature is None or command.signed_at is None:
        raise Rejected("it is not signed, and here commands must be: `signed_at` and `signature` say when and by whom", command.id)
    if command.by not in keys:
        raise Rejected(f"nobody of the name {command.by!r} has a key here", command.id)
    try:
        fields = json.loads(payload)
        fits = [name for name, key in keys.items() if hmac.compare_digest(signature(key, topic, fields), command.signature)]
    except (ValueError, TypeError):  # half a surrogate, or a signature that is not ASCII
        fits = []
    if not fits:
        raise Rejected("its signature does not fit: it was altered, signed for another topic, or with a key we do not have", command.id)
    if command.by not in fits:
        raise Rejected(f"it was not {command.by} who signed it", command.id)
    if command.signed_at < now - OLD:
        raise Rejected(f"it was signed {_seconds(now - command.signed_at)} s ago, more than {OLD.seconds}; sign it again", command.id)
    if command.signed_at > now + AHEAD:
        raise Rejected(f"it was signed {_seconds(command.signed_at - now)} s from now; set the clock there", command.id)


def read_key(file: Path, place: str) -> bytes:
    """Read one's own key: base64 on the first line, as `openssl rand -base64 32` makes one. Raises InputError."""
    return _key(first_line(read_private(file, place), place), place)


def read_keys(file: Path) -> Mapping[str, bytes]:
    """Read everybody's keys: a line for each, name, blank, base64; blank lines and those that begin with # say nothing. Raises InputError."""
    place = "bus.operator_keys_file"
    keys: dict[str, bytes] = {}
    faults: list[Fault] = []
    for number, line in enumerate(read_private(file, place).decode(errors="replace").splitlines(), 1):
        name, _, text = line.strip().partition(" ")
        if not name or name.startswith("#"):
            continue
        try:
            key = _key(text.strip(), f"{place}: {file} (line {number})")
        except InputError as error:
            faults += error.faults
            continue
        if name in keys or key in keys.values():
            found = f"a second key of {name}" if name in keys else f"the key of {name} is somebody else's too"
            faults.append(Fault(f"{place}: {file} (line {number})", found, "give each person one key of their own"))
        keys[name] = key
    if not keys and not faults:
        faults.append(Fault(place, f"{file} has no keys", "write a line for each operator: name, blank, base64"))
    if faults:
        raise InputError(*faults)
    return keys


def _key(text: str, place: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(Fault(place, "no key in base64", "make one: openssl rand -base64 32")) from None
    if len(key) < SHORTEST_KEY:
        raise InputError(Fault(place, f"a key of {len(key)} bytes", f"at least {SHORTEST_KEY}: openssl rand -base64 32"))
    return key


def canonical(value: Any) -> str:
    r"""Write JSON as RFC 8785 does. Raises ValueError for numbers that are not finite and fields whose name is no text.

    >>> print(canonical({"b": [333333333.33333329, 1e30, 4.50, 250.0, -0.0], "a": "\u20ac$\u000f\n"}))
    {"a":"€$\u000f\n","b":[333333333.3333333,1e+30,4.5,250,0]}
    """
    match value:
        case bool() | None:
            return json.dumps(value)
        case int() | float():
            return _number(float(value))
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Mapping():
            names = sorted(value, key=lambda name: name.encode("utf-16-be"))
            return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in names) + "}"
        case _:
            return "[" + ",".join(canonical(item) for item in value) + "]"


def _number(value: float) -> str:
    """Print a number as ECMAScript does (Number::toString): the shortest digits that give it back, `n` of them before the point."""
    sign, every, exponent = Decimal(repr(value)).as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("a number that is not finite")  # noqa: TRY004 - of the value, not of its type
    digits = "".join(map(str, every)).strip("0") or "0"
    if digits == "0":
        return "0"
    n = len("".join(map(str, every)).lstrip("0")) + exponent
    minus, count = "-" * sign, len(digits)
    if count <= n <= 21:
        return minus + digits + "0" * (n - count)
    if 0 < n <= 21:
        return f"{minus}{digits[:n]}.{digits[n:]}"
    if -6 < n <= 0:
        return f"{minus}0.{'0' * -n}{digits}"
    return f"{minus}{digits[0]}{'.' * (count > 1)}{digits[1:]}e{n - 1:+d}"


def _seconds(span: timedelta) -> int:
    return round(span.total_seconds())
