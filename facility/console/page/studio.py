"""Studio: what is drawn of a frame, once for all browsers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from facility.bus.messages import Breach
from facility.console.hub import Frame, Hub
from facility.console.model.rows import Row
from facility.console.model.words import clock, number
from facility.console.page import charts
from facility.console.page.tiles import old, tiles
from facility.report.broken import in_words

CHARTS: Final = {"power_ahead": "The plan ahead: power, kW", "price_ahead": "Price and battery", "caps_ahead": "Highest cap of each pool, W"}
DRAW: Final[Mapping[str, Callable[..., dict[str, Any]]]] = {
    "power_ahead": charts.power_ahead,
    "price_ahead": charts.price_ahead,
    "caps_ahead": charts.caps_ahead,
}
MOVES_S: Final = 5.0
"""How often `now` moves on in charts, at most: in a rehearsal minutes are short."""


class Studio:
    """Keeps what it drew for as long as the frame, or the plan and the minute, are the same."""

    def __init__(self, hub: Hub) -> None:
        self._site, self._zone = hub.site, hub.zone
        self._tiles: tuple[int, Mapping[str, str]] = (-1, {})
        self._charts: dict[tuple[str, bool], tuple[str, dict[str, Any]]] = {}
        self._minute, self._moved_s = datetime.min, -MOVES_S  # noqa: DTZ901 - older than any
        self._breaches: tuple[str, Sequence[Row]] = ("", ())

    def tiles(self, frame: Frame) -> Mapping[str, str]:
        """The tiles of a frame."""
        if self._tiles[0] != frame.number:
            self._tiles = frame.number, tiles(self._site, frame, self._zone)
        return self._tiles[1]

    @staticmethod
    def old(frame: Frame) -> bool:
        """Whether it is to be seen as old."""
        return old(frame)

    def chart(self, name: str, frame: Frame, *, dark: bool) -> tuple[str, dict[str, Any]]:
        """A chart's options, and a key that is another where they are."""
        minute = frame.glance.now.replace(second=0, microsecond=0, tzinfo=None)
        if minute != self._minute and time.monotonic() - self._moved_s >= MOVES_S:
            self._minute, self._moved_s = minute, time.monotonic()
        plan = frame.plan
        key = f"{plan.plan_id if plan else ''} {plan.issued_at if plan else ''} {self._minute} {dark}"
        kept = self._charts.get((name, dark))
        if kept is None or kept[0] != key:
            kept = self._charts[name, dark] = key, DRAW[name](plan, frame.glance.now, self._zone, dark=dark)
        return kept

    def breaches(self, frame: Frame) -> Sequence[Row]:
        """The limits that the plan breaks, as rows."""
        plan = frame.plan
        key = plan.plan_id if plan else ""
        if self._breaches[0] != key:
            self._breaches = key, tuple(_breach_rows(frame, self._zone))
        return self._breaches[1]


def _about(breach: Breach, now: datetime) -> str:
    """What to ask about, to be told why a limit is broken."""
    sort = {"unfinished_gpu_h": "job", "cut_short_gpu_h": "job", "short_gpu_h": "contract", "over_budget_h": "contract"}.get(breach.family)
    return f"{sort}/{breach.asset}" if sort else max(breach.start, now).isoformat(timespec="seconds")


def _breach_rows(frame: Frame, zone: ZoneInfo) -> list[Row]:
    now = frame.glance.now
    return [
        Row(
            f"{breach.family} {breach.asset} {i}",
            _about(breach, now),
            {
                "name": in_words(breach),
                "when": f"{clock(breach.start, zone, now)} to {clock(breach.end, zone, now)}",
                "amount": f"{number(breach.amount, 1)} {breach.unit}",
                "remedy": breach.remedy,
            },
            {"when": breach.start, "amount": breach.amount},
        )
        for i, breach in enumerate(frame.plan.breaches if frame.plan else ())
    ]
