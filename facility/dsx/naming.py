"""Naming: the pattern by which a rule of the site file knows the points of a building, and what it finds there."""

from __future__ import annotations

import re

from facility.site.mapping import HOLE


def expression(text: str) -> re.Pattern[str]:
    """The regular expression of a rule's id: `*` is any text, `{name}` one that is captured. ValueError where it is none.

    >>> expression("PM-{asset}").fullmatch("PM-ups-1")["asset"]
    'ups-1'
    """
    parts = re.split(rf"(\*|{HOLE.pattern.replace('(', '(?:')})", text)
    names = [part for part in parts[1::2] if part != "*"]
    if any(sign in part for part in parts[0::2] for sign in "{}"):
        raise ValueError("a brace that is not part of {name}")
    if len(set(names)) != len(names):
        raise ValueError("a name given twice")
    holes = {"*": ".*"} | {name: f"(?P<{name[1:-1]}>.+)" for name in names}
    return re.compile("".join(holes[part] if i % 2 else re.escape(part) for i, part in enumerate(parts)))
