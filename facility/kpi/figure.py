"""Figure: one key figure of a span, with what it is made of; or why it is not known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """`name` is as a reader knows it, `value` in `unit` (empty: a ratio), None where it is not known; `unknown` says why then.

    `source` is the standard and clause; `says` what it is made of. `covered` is the share of the span's time that it rests on: what meters did
    not tell is left out of both sides of a ratio and of a sum, and is never filled in.
    """

    key: str
    name: str
    value: float | None
    unit: str
    source: str
    says: str = ""
    unknown: str = ""
    covered: float = 1.0

    def told(self) -> dict[str, Any]:
        """The figure as a summary has it."""
        return {
            "key": self.key, "name": self.name, "value": self.value, "unit": self.unit, "source": self.source, "says": self.says,
            "unknown": self.unknown or None, "covered": self.covered,
        }  # fmt: skip
