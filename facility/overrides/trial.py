"""Trial: what commands would come to, one after the other, as the desk judges them. Nothing is stored and nothing acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from facility.bus.messages import OverrideResult, OverrideSet
from facility.overrides.judgement import accepted, cleared, key, released, reply
from facility.overrides.proposal import Proposal
from facility.overrides.rules import Refused, Rules
from facility.site import Site

LimitsBeside = Callable[[Proposal, tuple[Proposal, ...]], tuple[float | None, str]]
"""The most that a proposal may ask for beside those that stand, and why; None where nothing limits it further."""


class Trial:
    """`standing` are those that stand before; `jobs` tells the pool of each job that is known."""

    def __init__(
        self, site: Site, standing: Sequence[Proposal], jobs: Mapping[str, str], now: datetime, limits: LimitsBeside | None = None
    ) -> None:
        self._rules, self._now, self._limits = Rules(site, jobs), now, limits
        self._standing = list(standing)

    @property
    def standing(self) -> tuple[Proposal, ...]:
        """The overrides that would stand after all that was tried, each until a newer one takes its place."""
        return tuple(self._until_replaced(i) for i in range(len(self._standing)))

    def set(self, target: str, request: OverrideSet) -> OverrideResult:
        """What would be answered to a command."""
        try:
            asked, shorter = self._rules.asked(target, request, self._now)
            if asked.kind == "release":
                gone, result = released(self._rules, self._standing, asked, self._now)
                self._standing = [p for p in self._standing if p not in gone]
                return result
            proposal, result = accepted(self._rules, self._standing, asked, shorter, self._now, self._beside)
        except Refused as refused:
            return reply(request.id, refused.status, str(refused))
        if proposal.start <= self._now:
            self._standing = [p for p in self._standing if not _replaces(proposal, p)]
        self._standing.append(proposal)
        return result

    def clear(self, target: str, override: str, by: str) -> OverrideResult:
        """What would be answered to a clear."""
        found, result = cleared(self._standing, target, override, by)
        self._standing = [p for p in self._standing if p is not found]
        return result

    def _beside(self, proposal: Proposal) -> tuple[float | None, str]:
        return (None, "") if self._limits is None else self._limits(proposal, self.standing)

    def _until_replaced(self, i: int) -> Proposal:
        older = self._standing[i]
        newer = [p.start for p in self._standing[i + 1 :] if _replaces(p, older)]
        return replace(older, end=max(older.start, min(newer))) if newer else older


def _replaces(newer: Proposal, older: Proposal) -> bool:
    """Whether a newer override takes the place of an older one once it begins."""
    return key(newer) == key(older) and newer.start < older.end and older.start < newer.end
