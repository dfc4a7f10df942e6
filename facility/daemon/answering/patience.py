"""Patience: how often each person may ask. A few questions at once, then one every few seconds; who asks more is told so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 5
EVERY_S: Final = 2.0
"""How long it takes until one more may be asked."""
SMALL_S: Final = 1e-3
MOST_PEOPLE: Final = 1_000
"""Of whom it is remembered; the one who asked the longest ago is forgotten first."""


class Patience:
    """By the seconds that `elapsed_s` tells."""

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        self._elapsed_s = elapsed_s
        self._free_s: dict[str, float] = {}

    def with_(self, person: str) -> bool:
        """Whether a person may ask one more question now, which counts then."""
        now_s = self._elapsed_s()
        free_s = max(self._free_s.pop(person, now_s), now_s)
        may = free_s - now_s < (AT_ONCE - 1) * EVERY_S + SMALL_S
        self._free_s[person] = free_s + EVERY_S if may else free_s
        if len(self._free_s) > MOST_PEOPLE:
            del self._free_s[next(iter(self._free_s))]
        return may
