"""Heap: pages are put out of the sight of the collector of cycles once they are built.

A page is some twenty thousand objects. Whenever enough new ones have come the collector looks through all there are, with fifty browsers a million,
and for half a second nobody is shown anything. What `gc.freeze` sets aside it does not look through; what people who left have left
behind is collected now and then.
"""

from __future__ import annotations

import gc
from typing import Final

TIDY_S: Final = 600.0
"""How often what is left behind is collected at most, s."""


class Heap:
    """`built` is told of each page that is built, `left` of each that is gone. Instants are of a stopwatch, s."""

    def __init__(self, now_s: float) -> None:
        self._tidied_s, self._left = now_s, 0

    def built(self) -> None:
        """A page is built: look at it no more."""
        gc.freeze()

    def left(self) -> None:
        """A page is gone."""
        self._left += 1

    def tidy(self, now_s: float) -> bool:
        """Collect what is left behind where it is time; whether it was."""
        if not self._left or now_s - self._tidied_s < TIDY_S:
            return False
        self._tidied_s, self._left = now_s, 0
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        return True
