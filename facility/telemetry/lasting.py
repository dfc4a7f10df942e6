"""Lasting: whether something has been so for a while without a break."""

from __future__ import annotations

from datetime import datetime, timedelta


class Lasting:
    """Since when each thing, by its name, has been so."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}

    def since(self, name: str, now: datetime, *, holds: bool = True) -> datetime | None:
        """Tell since when it has been so, now included; None where it is not."""
        if not holds:
            self._since.pop(name, None)
            return None
        return self._since.setdefault(name, now)

    def lasts(self, name: str, now: datetime, seconds: float, *, holds: bool) -> bool:
        """Whether it has been so for `seconds`, now included."""
        since = self.since(name, now, holds=holds)
        return since is not None and now - since >= timedelta(seconds=seconds)
