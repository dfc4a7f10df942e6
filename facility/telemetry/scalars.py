"""Scalars: a number, a word or an instant as other people's gateways write it. What could be read in two ways is refused.

A decimal comma, a unit behind the number, an instant without its offset from UTC: all of these are refused, because the next message
would be read otherwise by somebody else.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import msgspec

from facility.bus.messages.limits import excess
from facility.telemetry.paths import MISSING
from facility.telemetry.readings import Refusal

LATEST_MS = 4_102_444_800_000  # the year 2100
MS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_DECIMAL = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?\s*")


def scalar(payload: bytes) -> Any:
    """Read a payload as JSON, or as a word without quotes. Raises Refusal."""
    if (why := excess(payload)) is not None:
        raise Refusal("malformed", why)
    try:
        return msgspec.json.decode(payload)
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        if payload[:1] in b'{["' or len(payload) > 64:
            raise Refusal("malformed", str(error)[:200]) from None
        return payload.decode(errors="replace").strip()


def decimal(value: Any) -> float | None:
    """Read a number, or a text that is one as a whole; None for anything else.

    >>> decimal(5), decimal("12.5"), decimal("12,5"), decimal("12.5 kW"), decimal(True)
    (5.0, 12.5, None, None, None)
    """
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, int | float):
            return float(value)
        return float(value) if isinstance(value, str) and len(value) <= 64 and _DECIMAL.fullmatch(value) else None
    except OverflowError:
        return None


def milliseconds(value: Any, unit: str, key: str) -> int:
    """Read when something was measured, in s, ms, us or ns since 1970 or as ISO 8601 with its offset: ms. Raises Refusal.

    >>> milliseconds("2026-07-15T12:00:00+02:00", "iso", "a key"), milliseconds(1784109600, "s", "a key")
    (1784109600000, 1784109600000)
    """
    if unit == "iso":
        try:
            at = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise Refusal("malformed", f"{key}: {_shown(value)} is no time of ISO 8601") from None
        if at.tzinfo is None:
            raise Refusal("malformed", f"{key}: {_shown(value)} has no offset from UTC")
        ms = at.timestamp() * 1000
    else:
        number = decimal(value)
        if number is None:
            raise Refusal("malformed", f"{key}: {_shown(value)} is no time in {unit}")
        ms = number * MS[unit]
    if not 0 <= ms <= LATEST_MS:
        raise Refusal("malformed", f"{key}: {_shown(value)} {unit} is not between 1970 and 2100")
    return round(ms)


def _shown(value: Any) -> str:
    return "nothing" if value is MISSING else f"{str(value)[:60]!r}"
