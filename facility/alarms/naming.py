"""Naming: the id of an alarm, from what it is about."""

from __future__ import annotations

import re
import zlib


def slug(name: str) -> str:
    """An alarm's id for a name: at most 64 letters, digits and hyphens, and still its own where the name is longer.

    >>> slug("lost h1/hall/h1/air_temperature_c")
    'lost-h1-hall-h1-air-temperature-c'
    """
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return plain if len(plain) <= 64 else f"{plain[:55].rstrip('-')}-{zlib.crc32(name.encode()):08x}"
