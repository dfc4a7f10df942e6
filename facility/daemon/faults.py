"""Faults: what goes wrong in the program itself stops nothing. It is said once for each place and kind, with its trace, and counted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class Faults(Counter[str]):
    """How often each kind of fault happened, by `KIND in PLACE`."""

    @contextmanager
    def survived(self, place: str, detail: str = "") -> Iterator[None]:
        """Let nothing out."""
        try:
            yield
        except Exception as error:
            self.note(error, place, detail)

    def note(self, error: Exception, place: str, detail: str = "") -> None:
        """Count a fault; `detail` is told with the first of its kind."""
        kind = f"{type(error).__name__} in {place}"
        self[kind] += 1
        if self[kind] == 1:
            log.error("a fault in %s%s; from now on it is only counted", place, detail, exc_info=error)
