"""Limits of a payload, looked at before any parser sees it: what is refused here costs next to nothing, whatever it is.

    always     at most 64 KiB, UTF-8, nested at most 32 deep, no number with more than 32 digits in a row
    strictly   besides: no field twice in an object, no escape in a field's name, no NaN or Infinity, no number that a
               double does not hold (1e999), at most 6000 strings

Readings, of which there are tens of thousands a second, are looked at with a few scans in C; their strings are taken out only where
a bracket or a digit in one could be what was counted. What passes is not JSON yet: that is for the parser, which it cannot hurt.
"""

from __future__ import annotations

import json
import re
from typing import Final

from facility.bus.interface import MAX_PAYLOAD_BYTES

MAX_DEPTH: Final = 32
MAX_DIGITS: Final = 32
MAX_STRINGS: Final = 6000

_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)
_ESCAPED: Final = b"\0"  # stands in no string of a valid payload
_TOO_LONG: Final = b"0" * (MAX_DIGITS + 1)
_AS_ZERO: Final = bytes(ord("0") if sign in b"0123456789" else 0 for sign in range(256))
_HUGE: Final = re.compile(rb"[0-9][eE]\+?(?:[0-9]{4}|[4-9][0-9]{2}|3[1-9][0-9])")
_AS_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))


def excess(payload: bytes, *, strict: bool = False) -> str | None:
    """Say which limit a payload breaks; None where it keeps all.

    >>> excess(b'{"value": 412.5}'), excess(b"[" * 60_000)
    (None, 'nested more than 32 deep')
    >>> excess(b'{"cap_w": 100, "cap_w": 700}', strict=True)
    "field 'cap_w' is repeated"
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        return "more than 64 KiB"
    if not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            return "not UTF-8"
    if strict:
        return _beyond_strict(payload)
    if payload.count(b"[") + payload.count(b"{") > MAX_DEPTH or _TOO_LONG in payload.translate(_AS_ZERO):  # no regular expression is as fast
        return _beyond(b"".join(_parts(payload)[::2]))
    return None


def _beyond_strict(payload: bytes) -> str | None:
    parts = _parts(payload)
    if len(parts) > 2 * MAX_STRINGS + 1:
        return f"more than {MAX_STRINGS} strings"
    bare = b"".join(parts[::2])
    if b"N" in bare or b"I" in bare:
        return "a number that is not finite"
    if _HUGE.search(bare):
        return "a number that no double holds"
    return _beyond(bare) or _ambiguous(payload, parts[1::2], parts[2::2])


def _parts(payload: bytes) -> list[bytes]:
    """Cut a payload at its quotes: what stands outside of strings, a string, outside again, and so on."""
    return (_ESCAPE.sub(_ESCAPED, payload) if b"\\" in payload else payload).split(b'"')


def _beyond(bare: bytes) -> str | None:
    """Judge the numbers and brackets of a payload without its strings."""
    if _TOO_LONG in bare.translate(_AS_ZERO):
        return f"a number of more than {MAX_DIGITS} digits"
    left = _peeled(bare.translate(_AS_SQUARE, _NO_BRACKET))
    if b"[]" in left or left.count(b"[") > MAX_DEPTH:
        return f"nested more than {MAX_DEPTH} deep"
    return "brackets without their other half" if left else None


def _peeled(nested: bytes) -> bytes:
    """What is left of brackets without their innermost pairs, as often as they have any, at most `MAX_DEPTH` times."""
    for _ in range(MAX_DEPTH):
        if b"[]" not in nested:
            break
        nested = nested.replace(b"[]", b"")
    return nested


def _names(after: bytes) -> bool:
    """Whether the string before this was a field's name."""
    return after.startswith(b":") or after.lstrip().startswith(b":")


def _ambiguous(payload: bytes, strings: list[bytes], after: list[bytes]) -> str | None:
    """Find a field that a parser could take for another: one that stands twice, or one with an escape in its name."""
    if _ESCAPED in b"".join(strings) and any(_ESCAPED in text and _names(behind) for text, behind in zip(strings, after, strict=False)):
        return "a field's name has an escape in it"
    if len(set(strings)) == len(strings):
        return None  # no string stands twice, so no name does
    try:
        json.loads(payload.decode(), object_pairs_hook=_once)
    except ValueError as error:
        return str(error)
    return None


def _once(fields: list[tuple[str, object]]) -> None:
    """Refuse an object that has a field twice: ValueError."""
    if len(dict(fields)) == len(fields):
        return
    seen: set[str] = set()
    for name, _ in fields:
        if name in seen:
            raise ValueError(f"field {name[:64]!r} is repeated")
        seen.add(name)
