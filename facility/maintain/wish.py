"""What is wished for: GPUs of a pool that are to be out for a while, in steps one after another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Wish:
    """`gpus` of `pool` in `steps`, each out for `lasts` without a break and after the one before, in [earliest, earliest + within), UTC.

    With `to_model` the old GPUs leave for good at the beginning of a step and as many new ones of that model arrive at its end, in the pool
    `to_pool`.
    """

    pool: str
    gpus: int
    lasts: timedelta
    earliest: datetime
    within: timedelta
    steps: int = 1
    to_model: str | None = None
    to_pool: str | None = None

    @property
    def latest(self) -> datetime:
        """When all is to be done."""
        return self.earliest + self.within

    @property
    def counts(self) -> tuple[int, ...]:
        """The GPUs of each step; the first ones have one more where they cannot be equal.

        >>> Wish("p", 10, timedelta(hours=1), datetime(2026, 7, 1), timedelta(days=1), 3).counts
        (4, 3, 3)
        """
        each, more = divmod(self.gpus, self.steps)
        return tuple(each + (k < more) for k in range(self.steps))


@dataclass(frozen=True)
class Refusal:
    """Why it cannot be, which limits bind, and what would make it fit."""

    why: str
    limits: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
