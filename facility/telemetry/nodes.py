"""Nodes: a pool of many machines, each with an agent of its own, as one report. Pure: the instant is an argument.

    speaks     told something within `PATIENCE_S`, by its own timestamp
    enforced   the highest of all nodes, also of those that fell silent: what they enforced last is the worst that may be
    groups     those of nodes that speak
    gpus       all of nodes that speak;  gone: what these miss, and every GPU of those that fell silent
    draw       the sum of those that speak; nothing where one of them does not tell
    order      the lowest (epoch, seq) of those that speak; none where one obeys none
    timestamp  the oldest of those that speak; where none does the newest there is

So a pool confirms an order when its last node does. Pools of many nodes are put together anew twice a second at most: hundreds of reports
come in one, and each put-together goes through all nodes. A node that nobody heard of since the start is not known: that its GPUs are missing shows
by the number that the site file has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from facility.bus.messages import CapReported
from facility.bus.messages.codec import Gpus
from facility.clock import milliseconds

PATIENCE_S: Final = 30.0
"""Agents report every 5 s. Long enough for a connection that is lost and found, short against the life of an order."""
FEW: Final = 32
"""Up to so many nodes a pool is put together with every report."""
APART_S: Final = 0.5
"""Of more nodes it is as old as this at most, s."""
MOST_NODES: Final = 10_000
"""Of one pool; more are somebody who fills our memory."""


@dataclass(frozen=True)
class Together:
    """A pool's report, when it was put together and until when nobody falls silent, both ms since 1970."""

    report: CapReported
    at_ms: int
    until_ms: float


class Nodes:
    """What the nodes of each pool told last."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, CapReported]] = {}
        self._together: dict[str, Together] = {}
        self._news: set[str] = set()

    def take(self, pool: str, node: str, report: CapReported | None) -> str:
        """Take a report, None withdraws the node; say why it is not taken, empty where it is."""
        known = self._told.setdefault(pool, {})
        if report is not None and node in known and report.timestamp < known[node].timestamp:
            return "older than the latest report"
        if report is not None and node not in known and len(known) >= MOST_NODES:
            return f"it has more than {MOST_NODES} nodes"
        if report is not None:
            known[node] = report
            self._news.add(pool)
            return ""
        known.pop(node, None)
        self._together.pop(pool, None)
        if not known:
            del self._told[pool]
        return ""

    def pools(self) -> tuple[str, ...]:
        """The pools of which a node told anything."""
        return tuple(self._told)

    def of(self, pool: str, now: datetime) -> CapReported | None:
        """A pool as one report; None where none of its nodes told anything."""
        told, now_ms = self._told.get(pool), milliseconds(now)
        if not told:
            return None
        known = self._together.get(pool)
        if known is not None and known.at_ms <= now_ms <= known.until_ms:
            patient = pool not in self._news or (len(told) > FEW and now_ms - known.at_ms < APART_S * 1000)
            if patient:
                return known.report
        report = merged(told, now)
        speaks = [each.timestamp for each in told.values() if _speaks(each, now)]
        self._together[pool] = Together(report, now_ms, min(speaks, default=now_ms) + PATIENCE_S * 1000)
        self._news.discard(pool)
        return report


def merged(reports: Mapping[str, CapReported], now: datetime) -> CapReported:
    """The reports of a pool's nodes, at least one, as the pool's."""
    every = list(reports.values())
    speaking = [report for report in every if _speaks(report, now)]
    silent = [report for report in every if not _speaks(report, now)]
    orders = [(report.epoch, report.seq) for report in speaking if report.epoch is not None and report.seq is not None]
    epoch, seq = min(orders) if orders and len(orders) == len(speaking) else (None, None)
    draws = [report.draw_kw for report in speaking if report.draw_kw is not None]
    return CapReported(
        timestamp=min((report.timestamp for report in speaking), default=max(report.timestamp for report in every)),
        epoch=epoch,
        seq=seq,
        enforced_cap_w=max(max([report.enforced_cap_w, *(group.cap_w for group in report.groups)]) for report in every),
        groups=tuple(group for report in speaking for group in report.groups),
        draw_kw=sum(draws) if draws and len(draws) == len(speaking) else None,
        gpus=_together(report.gpus for report in speaking),
        gone=_together([*(report.gone for report in speaking), *(told for report in silent for told in (report.gpus or 0, report.gone))]) or 0,
    )


def _speaks(report: CapReported, now: datetime) -> bool:
    return milliseconds(now) - report.timestamp <= PATIENCE_S * 1000


def _together(several: Iterable[Gpus | None]) -> Gpus | None:
    """All names, where all are named; else how many there are. None where one does not tell."""
    every = list(several)
    if None in every:
        return None
    named = [each for each in every if isinstance(each, tuple)]
    counted = sum(each for each in every if isinstance(each, int))
    if counted:
        return counted + sum(len(each) for each in named)
    return tuple(dict.fromkeys(name for each in named for name in each))
