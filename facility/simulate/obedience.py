"""Which orders a device obeys: only newer ones, by (epoch, seq), and only until their end."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facility.bus.messages.codec import Order


class Obedience:
    """The last order a device took. `epoch` and `seq` are None before the first."""

    def __init__(self) -> None:
        self.epoch: int | None = None
        self.seq: int | None = None
        self.valid_until: datetime | None = None

    def take(self, order: Order, now: datetime) -> str | None:
        """Remember an order as the one in force; return why it is refused, None where it is taken."""
        if self.epoch is not None and self.seq is not None and (order.epoch, order.seq) <= (self.epoch, self.seq):
            return "not newer than the order in force"
        if order.valid_until <= now:
            return "expired"
        self.epoch, self.seq, self.valid_until = order.epoch, order.seq, order.valid_until
        return None

    def silent(self, now: datetime) -> bool:
        """Whether no order is valid at `now`."""
        return self.valid_until is None or now >= self.valid_until
