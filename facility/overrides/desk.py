"""The overrides' desk: every command of an operator is answered, and what is accepted is on the disk before the answer.

The answer is one of: accepted; clamped (it acts, with another value or an earlier end than asked); rejected; expired (its end
has passed, it never acts); duplicate (the id was answered before, it does not act again). An override ends once and for all:
at its end, by a clear or a release, or superseded when a newer one of the same person, target, kind and priority starts and overlaps it.
What two people command of one target stands side by side: arbitration says whose counts, and whoever is outranked is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from math import inf
from typing import Final

from facility.bus.messages import Override, OverrideClear, OverrideResult, OverrideSet, OverrideState
from facility.clock import SystemClock
from facility.journal.journal import How, Journal
from facility.journal.store import StoreFault
from facility.overrides.arbitrate import describe, rank
from facility.overrides.judgement import MAX_STANDING, accepted, cleared, key, released, reply
from facility.overrides.proposal import Proposal
from facility.overrides.rules import Limits, Refused, Rules
from facility.site import Site

MACHINE: Final = SystemClock()
GRACE_S: Final = 1.0
"""By how much clock and stopwatch may differ before the stopwatch ends what the clock does not."""

TOLD_AGAIN: Final = timedelta(hours=24)
"""How long after its end somebody may still wait to be told of it: as long as any override lasts."""


class OverrideDesk:
    """Takes commands and keeps them in the journal; to be used by one thread.

    `jobs` tells the jobs that are known, each with its pool; without it any well-formed job id is taken. Instants are UTC. `elapsed_s` tells
    the seconds that really pass: by them an override that has begun acts on, and ends, also where somebody sets the clock back meanwhile.
    """

    def __init__(
        self,
        site: Site,
        journal: Journal,
        *,
        jobs: Callable[[], Mapping[str, str]] | None = None,
        elapsed_s: Callable[[], float] = MACHINE.elapsed_s,
    ) -> None:
        self._site, self._journal, self._jobs, self._elapsed_s = site, journal, jobs, elapsed_s
        self._over_s: dict[str, float] = {}
        self._standing = {proposal.id: proposal for proposal in journal.overrides()}  # in the order they were accepted
        self._swept = False
        self._unstored: dict[str, tuple[datetime, How]] = {}
        self._expired: list[Proposal] = []
        self._notices: deque[tuple[str, OverrideResult]] = deque(maxlen=MAX_STANDING)

    def set(
        self, target: str, request: OverrideSet, *, now: datetime, retained: bool = False, limits: Limits | None = None
    ) -> OverrideResult:
        """Answer a command; where it acts, it is stored and in force when this returns.

        `retained` says that the broker had kept the message, so that nobody knows how old it is: it is refused, and the
        caller raises a security alarm. `limits` clamps further, such as to what a feeder carries.
        """
        if retained:
            return reply(request.id, "rejected", "it arrived retained, so it may be old; send it not retained")
        if not request.id:
            return reply(None, "rejected", "it has no id; give each command an id of its own")
        self._sweep(now)
        try:
            if (first := self._journal.seen(request.id)) is not None:
                told = f"this id was answered before ({first.status}); give a new command a new id. {first.reason}"
                return reply(request.id, "duplicate", told, first.effective, first.until)
            try:
                rules = Rules(self._site, self._jobs() if self._jobs else None)
                asked, shorter = rules.asked(target, request, now)
                if asked.kind == "release":
                    answer = self._release(rules, asked, now)
                else:
                    answer = self._accept(rules, asked, shorter, now, limits)
            except Refused as refused:
                answer = reply(request.id, refused.status, str(refused))
                self._journal.save_answer(answer, at=now)
        except StoreFault as fault:
            return reply(request.id, "rejected", f"it could not be stored, so it does not act: {fault}")
        self._sweep(now)
        self.store_ends()
        return answer

    def clear(self, target: str, request: OverrideClear, now: datetime, *, retained: bool = False) -> OverrideResult:
        """End the override with the request's id, in force or still to come, and answer."""
        if retained:
            return reply(request.id, "rejected", "it arrived retained, so it may be old; send it not retained")
        self._sweep(now)
        try:
            if not request.by.strip():
                return reply(request.id, "rejected", "nobody signed it; say in `by` who clears it")
            if request.id not in self._standing and self._journal.seen(request.id) is not None:
                return reply(request.id, "cleared", "it does not act any more, or never did")
            ended, result = cleared(tuple(self._standing.values()), target, request.id, request.by)
            if ended is None:
                return result
            self._journal.end_override(ended.id, now, "cleared")
        except StoreFault as fault:
            return reply(request.id, "rejected", f"that could not be stored, so it still acts: {fault}")
        del self._standing[ended.id]
        return result

    def expire(self, now: datetime) -> list[Proposal]:
        """List what came to its end since the last call, and store that it did; a failing disk is tried again next time."""
        self._sweep(now)
        self.store_ends()
        ended, self._expired = self._expired, []
        return ended

    def store_ends(self) -> None:
        """Store the ends that a failing disk has not taken yet."""
        with suppress(StoreFault):  # ended is ended, stored or not; what is left is tried again
            for override, (at, how) in list(self._unstored.items()):
                self._journal.end_override(override, at, how)
                del self._unstored[override]

    def recall(self, now: datetime) -> None:
        """Tell again what an earlier process ended and may have told nobody, for it died in between."""
        with suppress(StoreFault):
            for proposal, how in self._journal.untold_ends(now - TOLD_AGAIN):
                self._notices.append((proposal.target, reply(proposal.id, how, f"ended before a restart: {describe(proposal)}")))

    def notices(self) -> list[tuple[str, OverrideResult]]:
        """Take what became of earlier overrides since the last call: (target, result) of each that ended without a clear."""
        taken = list(self._notices)
        self._notices.clear()
        return taken

    def active(self, now: datetime) -> tuple[Proposal, ...]:
        """List what is in force, oldest first."""
        return tuple(proposal for proposal in self.standing(now) if proposal.active(now))

    def standing(self, now: datetime) -> tuple[Proposal, ...]:
        """List what is in force and what will be, for plans; oldest first."""
        self._sweep(now)
        return tuple(self._as_begun(proposal, now) for proposal in self._standing.values())

    def knows(self, override: str) -> bool:
        """Whether a command of this id was ever answered; also where that cannot be read."""
        try:
            return self._journal.seen(override) is not None
        except StoreFault:
            return True

    def state(self, target: str, now: datetime) -> OverrideState | None:
        """Tell what is in force on a target, the strongest first; None where nothing is."""
        here = sorted((p for p in self.active(now) if p.target == target), key=rank)
        return OverrideState(overrides=tuple(_shown(p) for p in here)) if here else None

    def _sweep(self, now: datetime) -> None:
        """Take out what ended. It never comes back, even when the clock does."""
        if not self._standing and not self._over_s:
            self._swept = True
            return
        started: dict[tuple[str, str, str, int], list[Proposal]] = {}
        before = set(self._over_s)
        if len(self._over_s) > len(self._standing):
            self._over_s = {name: over_s for name, over_s in self._over_s.items() if name in self._standing}
        for proposal in reversed(list(self._standing.values())):
            alike = started.setdefault(key(proposal), [])
            newer = next((p for p in alike if p.start < proposal.end and proposal.start < p.end), None)
            if proposal.start <= now:
                self._over_s.setdefault(proposal.id, self._elapsed_s() + (proposal.end - now).total_seconds())
            if proposal.id in self._over_s:
                alike.append(proposal)
            if newer is not None:
                self._end(proposal, now, "superseded", f"replaced by {newer.id}: {describe(newer)}")
            elif proposal.end <= now or self._left_s(proposal) < -GRACE_S:
                self._end(proposal, now, "expired", f"its end came: {describe(proposal)}")
                self._expired.append(proposal)
        new = [self._standing[name] for name in self._over_s.keys() - before if name in self._standing]
        if new and self._swept:
            self._tell_outranked(new)
        self._swept = True

    def _tell_outranked(self, new: list[Proposal]) -> None:
        """Tell others who now give way, everywhere they reach, to one of those that have just begun."""
        rules = Rules(self._site, self._jobs() if self._jobs else None)
        for winner in new:
            for loser in [p for name, p in self._standing.items() if name in self._over_s]:
                if loser.by != winner.by and rules.rivals(winner, loser) and rank(loser)[:2] > rank(winner)[:2]:
                    told = f"it stands and gives way to {describe(winner)}: {describe(loser)}"
                    self._notices.append((loser.target, reply(loser.id, "outranked", told, loser.value, loser.end)))

    def _left_s(self, proposal: Proposal) -> float:
        """How long one that has begun still acts, s, by the seconds that really pass."""
        return self._over_s.get(proposal.id, inf) - self._elapsed_s()

    def _as_begun(self, proposal: Proposal, now: datetime) -> Proposal:
        """A proposal as it acts: where the clock was set back since it began, it has begun all the same and ends no later."""
        if proposal.start <= now or proposal.id not in self._over_s:
            return proposal
        return replace(proposal, start=now, end=min(proposal.end, now + timedelta(seconds=self._left_s(proposal) + GRACE_S)))

    def _end(self, proposal: Proposal, now: datetime, how: How, reason: str) -> None:
        del self._standing[proposal.id]
        self._unstored[proposal.id] = (now, how)
        self._notices.append((proposal.target, reply(proposal.id, how, reason)))

    def _accept(self, rules: Rules, asked: Proposal, shorter: list[str], now: datetime, limits: Limits | None) -> OverrideResult:
        proposal, answer = accepted(rules, self.standing(now), asked, shorter, now, limits)
        self._journal.save_override(proposal, answer, at=now)
        self._standing[proposal.id] = proposal
        return answer

    def _release(self, rules: Rules, asked: Proposal, now: datetime) -> OverrideResult:
        """Let go what is held, paused or made to run on a target, as far as the sender's priority reaches."""
        mine, result = released(rules, tuple(self._standing.values()), asked, now)
        self._journal.save_answer(result, at=now, cleared=[p.id for p in mine])
        for proposal in mine:
            del self._standing[proposal.id]
            self._notices.append((asked.target, reply(proposal.id, "cleared", f"released by {asked.by}: {describe(proposal)}")))
        return result


def _shown(proposal: Proposal) -> Override:
    return Override(
        id=proposal.id,
        kind=proposal.kind,
        value=proposal.value if proposal.asked is None else proposal.asked,
        effective=proposal.value,
        priority=proposal.priority,
        start=proposal.start,
        end=proposal.end,
        by=proposal.by,
        reason=proposal.reason,
    )
