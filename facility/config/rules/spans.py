"""Spans of a site file as far as it is valid: from when to when something holds, with open ends."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from facility.config.rules.parts import Known
from facility.site.maintenance import EVER_SINCE, FOR_GOOD

Span = tuple[datetime, datetime]
"""A half-open interval, UTC."""


def span(site: Known, family: str, name: str, keys: tuple[str, str]) -> Span:
    """From when to when a part holds, by the instants under `keys`; one that is missing, or no instant, bounds nothing."""
    first, last = (_instant(site.get(family, name, key)) for key in keys)
    return first or EVER_SINCE, last or FOR_GOOD


def begins(spans: Iterable[Span]) -> set[datetime]:
    """The instants at which any of `spans` begins: what is most at once is so at one of them."""
    return {first for first, _ in spans}


def holds(span: Span, instant: datetime) -> bool:
    """Whether an instant lies in it."""
    return span[0] <= instant < span[1]


def _instant(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else text
    except ValueError:
        return None
    return found.astimezone(UTC) if isinstance(found, datetime) and found.tzinfo is not None else None
