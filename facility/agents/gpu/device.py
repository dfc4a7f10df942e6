"""Devices: what an agent needs of whatever sets power limits, be it a driver or a management controller. Watts are whole, times seconds.

A limit that somebody else set may hold beside ours, in the firmware or out of band: the lowest of them is what is enforced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

UNLIMITED_W: Final = 10_000
"""What a GPU counts as enforcing whose limit nobody knows: the most that a message can say."""


@dataclass(frozen=True)
class Gpu:
    """One physical GPU: `id` is its own and lasts, `name` is how orders name it, such as `node-17/3`.

    `lowest_w` to `highest_w` is what its limit can be set to, `default_w` what it has from the factory. `cannot` says why it has no limit
    that could be set, and is empty where it has one.
    """

    id: str
    name: str
    lowest_w: int
    highest_w: int
    default_w: int
    cannot: str = ""


@dataclass(frozen=True)
class Reading:
    """What a GPU says of itself: the limit that is set where we set it, the one that is enforced, and what it draws, None where it cannot tell."""

    limit_w: int
    enforced_w: int
    draw_w: float | None = None


class Refused(Exception):
    """A limit that was not set, or a reading that was not given, and why. It may be tried again."""


class Lost(Exception):
    """A GPU that does not answer any more."""


class Devices(Protocol):
    """GPUs that somebody lets us set the limits of."""

    def gpus(self) -> Sequence[Gpu]:
        """List those that are known by now, in their own order."""

    def read(self, gpu: Gpu) -> Reading:
        """Ask one how it is. Raises Refused or Lost."""

    def limit(self, gpu: Gpu, watts: int) -> None:
        """Set the limit of one. Raises Refused or Lost."""

    def close(self) -> None:
        """Let them go."""
