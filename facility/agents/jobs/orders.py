"""Orders: what the service wants of each job, as long as that holds. No bus, no clock.

| an order            | becomes of it                                                                      |
|---------------------|------------------------------------------------------------------------------------|
| newer, not expired  | is in force until its `valid_until`                                                |
| no newer than last  | is dropped: of two orders the one with the greater (epoch, seq) holds              |
| expired             | is dropped, retained or not; the last one stays in force until its own end         |
| empty               | nothing is ordered any more                                                        |
"""

from __future__ import annotations

from datetime import datetime

from facility.bus.messages import JobDesired, Rejected, decode

MOST_JOBS = 100_000
"""Jobs about which orders are kept; the service knows no more either."""


class Orders:
    """The newest order for each job."""

    def __init__(self) -> None:
        self._newest: dict[str, JobDesired] = {}

    def take(self, job: str, payload: bytes, now: datetime) -> str | None:
        """Take what came for a job; why it was dropped, None where it was taken."""
        if not payload:
            self._newest.pop(job, None)
            return None
        try:
            order = decode(payload, JobDesired)
        except Rejected as refusal:
            return refusal.reason
        last = self._newest.get(job)
        if last is not None and (order.epoch, order.seq) <= (last.epoch, last.seq):
            return f"({order.epoch}, {order.seq}) is no newer than ({last.epoch}, {last.seq})"
        if order.valid_until <= now:
            return f"it ended at {order.valid_until:%Y-%m-%dT%H:%M:%SZ}"
        if last is None and len(self._newest) >= MOST_JOBS:
            return f"more than {MOST_JOBS} jobs"
        self._newest[job] = order
        return None

    def of(self, job: str, now: datetime) -> JobDesired | None:
        """The order in force for a job; None where there is none, or it has ended."""
        order = self._newest.get(job)
        return None if order is None or order.valid_until <= now else order

    def drop(self, job: str) -> None:
        """Forget a job that is gone."""
        self._newest.pop(job, None)


def held_until(order: JobDesired) -> datetime | None:
    """Until when an order holds its job: its `until`, at the latest its end; None where it lets the job run."""
    if order.action == "run" and order.gpus > 0:
        return None
    return order.valid_until if order.until is None else min(order.until, order.valid_until)
