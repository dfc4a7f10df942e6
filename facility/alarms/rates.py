"""Rates: how many alarms there were, beside how many a person can bear. Pure, from the entries of the account.

What is counted are alarms that were told, each time anew; what came back while it was held counts once (`facility.daemon.telling.alarms`).

| figure                                | goal         | at most |
|---------------------------------------|--------------|---------|
| alarms a day                          | 150          | 300     |
| alarms in 10 minutes, on average      | 1            | 2       |
| most alarms in any 10 minutes         | 10           | 10      |
| share of 10 minutes with more than 10 | below 1 %    |         |
| share of the ten most frequent        | 1 %          | 5 %     |
| stale: standing longer than 24 h      | fewer than 5 |         |
| chattering                            | 0            |         |
| warnings, alarms, critical            | 80, 15, 5 %  |         |

Source: ANSI/ISA-18.2-2016, clause 16 (monitoring and assessment), for one operator; IEC 62682 has 144 and 288 a day, EEMUA 191 the same mean
and ten in ten minutes after an upset. Shares of few alarms say little, so that of the most frequent is held against its goal from a hundred on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from facility.journal.entry import Entry

TEN_MINUTES: Final = timedelta(minutes=10)
STALE: Final = timedelta(hours=24)
FREQUENT: Final = 10
GOAL_A_DAY: Final = 150.0
GOAL_MEAN: Final = 1.0
MOST_IN_TEN_MINUTES: Final = 10
GOAL_FLOODED: Final = 0.01
MOST_FREQUENT: Final = 0.05
FEWEST_SHARED: Final = 100
"""Alarms below which the share of the ten most frequent is not held against its goal."""
MOST_STALE: Final = 5


@dataclass(frozen=True)
class Rates:
    """The figures of an interval; shares are of 1, `standing` tells since when each alarm stands at the end."""

    start: datetime
    end: datetime
    told: int
    a_day: float
    mean_in_ten_minutes: float
    most_in_ten_minutes: int
    most_at: datetime | None
    flooded_share: float
    standing: Mapping[str, datetime]
    stale: tuple[str, ...]
    frequent: tuple[tuple[str, int], ...]
    frequent_share: float
    chattering: Mapping[str, int]
    severities: Mapping[str, int] = field(default_factory=dict)
    shelved: int = 0

    def missed(self) -> tuple[str, ...]:
        """Say which goals are not met, and by how much."""
        found = []
        if self.a_day > GOAL_A_DAY:
            found.append(f"{self.a_day:.0f} alarms a day, the goal is {GOAL_A_DAY:.0f}")
        if self.mean_in_ten_minutes > GOAL_MEAN:
            found.append(f"{self.mean_in_ten_minutes:.2f} alarms in 10 min on average, the goal is {GOAL_MEAN:g}")
        if self.most_in_ten_minutes > MOST_IN_TEN_MINUTES:
            found.append(f"{self.most_in_ten_minutes} alarms in the worst 10 min, at most {MOST_IN_TEN_MINUTES} can be read")
        if self.flooded_share > GOAL_FLOODED:
            found.append(f"{self.flooded_share:.1%} of all 10 min have more than {MOST_IN_TEN_MINUTES} alarms, the goal is {GOAL_FLOODED:.0%}")
        if self.told >= FEWEST_SHARED and self.frequent_share > MOST_FREQUENT:
            found.append(f"{self.frequent_share:.0%} of all alarms are the ten most frequent, at most {MOST_FREQUENT:.0%} is the goal")
        if len(self.stale) >= MOST_STALE:
            found.append(f"{len(self.stale)} alarms stand longer than 24 h, fewer than {MOST_STALE} is the goal")
        if self.chattering:
            found.append(f"{len(self.chattering)} chatter, none is the goal")
        return tuple(found)


def rates(entries: Iterable[Entry], start: datetime, end: datetime) -> Rates:
    """Count the entries of the account in [start, end], oldest first, UTC. An alarm ends with the process that raised it.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    >>> raised = [Entry(noon + timedelta(minutes=m), "alarm", "raised", "a", "x: y", result="warning") for m in (0, 1, 30)]
    >>> found = rates(raised, noon, noon + timedelta(hours=1))
    >>> found.told, found.most_in_ten_minutes, found.frequent
    (3, 2, (('a', 3),))
    """
    told: list[Entry] = []
    standing: dict[str, datetime] = {}
    chattering: Counter[str] = Counter()
    shelved = 0
    for entry in entries:
        match entry.sort, entry.action:
            case "alarm", "raised":
                told.append(entry)
                standing[entry.target] = entry.at
            case "alarm", "over":
                standing.pop(entry.target, None)
            case "alarm", "chatters":
                chattering[entry.target] += 1
            case "alarm", "shelve":
                shelved += entry.result in {"accepted", "clamped"}
            case "service", "started":
                standing.clear()
    days = max((end - start) / timedelta(days=1), TEN_MINUTES / timedelta(days=1))
    periods = days * (timedelta(days=1) / TEN_MINUTES)
    buckets = Counter((entry.at - start) // TEN_MINUTES for entry in told)
    frequent = Counter(entry.target for entry in told).most_common(FREQUENT)
    most, most_at = _worst(told)
    return Rates(
        start=start,
        end=end,
        told=len(told),
        a_day=len(told) / max(days, 1.0),
        mean_in_ten_minutes=len(told) / periods,
        most_in_ten_minutes=most,
        most_at=most_at,
        flooded_share=sum(count > MOST_IN_TEN_MINUTES for count in buckets.values()) / max(periods, 1.0),
        standing=standing,
        stale=tuple(alarm for alarm, since in standing.items() if end - since > STALE),
        frequent=tuple(frequent),
        frequent_share=sum(count for _, count in frequent) / len(told) if told else 0.0,
        chattering=dict(chattering),
        severities=dict(Counter(entry.result for entry in told)),
        shelved=shelved,
    )


def _worst(told: Iterable[Entry]) -> tuple[int, datetime | None]:
    """The most alarms in any ten minutes, and when those began."""
    window: deque[datetime] = deque()
    most, at = 0, None
    for entry in told:
        window.append(entry.at)
        while not timedelta(0) <= entry.at - window[0] < TEN_MINUTES:
            window.popleft()
        if len(window) > most:
            most, at = len(window), window[0]
    return most, at
