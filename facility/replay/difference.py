"""Difference: the first place where what was recorded is not what is computed from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

LONGEST = 200
"""Characters of a value that are told."""


@dataclass(frozen=True)
class Difference:
    """At `where` - a cycle or a sending - the field `field` was recorded as one thing and computed as another."""

    where: str
    field: str
    recorded: str
    computed: str

    def __str__(self) -> str:
        return f"{self.where}: {self.field} was recorded as {self.recorded} and is computed as {self.computed}"


def difference(where: str, field: str, recorded: Any, computed: Any) -> Difference | None:
    """Where two things, as JSON, first differ, named from `field` on; None where they are the same, byte by byte.

    >>> print(difference("cycle 7", "decision", {"pools": [{"cap_w": 300}]}, {"pools": [{"cap_w": 310}]}))
    cycle 7: decision.pools[0].cap_w was recorded as 300 and is computed as 310
    >>> difference("cycle 7", "decision", {"a": 1}, {"a": 1})
    """
    told = [msgspec.json.decode(msgspec.json.encode(thing)) for thing in (recorded, computed)]
    return _first(where, field, *told)


def _first(where: str, field: str, recorded: Any, computed: Any) -> Difference | None:
    if isinstance(recorded, Mapping) and isinstance(computed, Mapping):
        for key in (*recorded, *(key for key in computed if key not in recorded)):
            found = _first(where, f"{field}.{key}", recorded.get(key, "nothing"), computed.get(key, "nothing"))
            if found is not None:
                return found
        return None
    if isinstance(recorded, list) and isinstance(computed, list):
        for i in range(max(len(recorded), len(computed))):
            one, other = (values[i] if i < len(values) else "nothing" for values in (recorded, computed))
            if (found := _first(where, f"{field}[{i}]", one, other)) is not None:
                return found
        return None
    one, other = (msgspec.json.encode(value).decode() for value in (recorded, computed))
    return None if one == other else Difference(where, field, one[:LONGEST], other[:LONGEST])
