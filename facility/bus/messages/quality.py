"""What the service believes of its sensors: how many are good, and of each other one since when it is not, why, and what is used."""

from __future__ import annotations

from facility.bus.messages.codec import Count, Instant, Name, Payload, Text
from facility.verdict import Verdict


class Doubted(Payload, frozen=True, kw_only=True):
    """A sensor that is not good, by its key `hall/asset_type/asset/point`.

    `value` is what is used, in the sensor's unit; `stands_in` says what that is where it is not the reading, `measured` whether sensors that are
    believed tell it.
    """

    key: Name
    verdict: Verdict
    kind: Name
    reason: Text
    since: Instant
    value: float | None = None
    stands_in: Text = ""
    measured: bool = False


class Quality(Payload, frozen=True, kw_only=True):
    """How sensors are believed: counts by verdict, and those that are not good, the worst and oldest first; the rest is left out."""

    at: Instant
    counts: dict[Verdict, Count]
    not_good: tuple[Doubted, ...] = ()
    left_out: Count = 0
