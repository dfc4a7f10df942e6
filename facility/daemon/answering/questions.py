"""Questions: what people ask of the plan is thought over beside the daemon's work, and answered when that is done.

What an override would do is judged here, as the desk judges it, and from then on it is a matter of two plans, which are made elsewhere
(`thinking`) from what the newest plan was made from. A question is answered, always, also where that is no: one that arrived retained, from
somebody who asks too often, when enough wait. It costs the same as a command to read and to judge, and nothing else of the daemon's time; it
is noted nowhere, for nothing changes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, cast

from facility.bus.interface import Message
from facility.bus.messages import (
    Change,
    Judged,
    OverrideResult,
    OverrideSet,
    Rejected,
    WhatIfResult,
    WhatIfSet,
    WhyResult,
    WhySet,
    encode,
)
from facility.bus.topics import Topics
from facility.clock import Clock
from facility.daemon.answering.answers import ACTS, Answers
from facility.daemon.answering.patience import Patience
from facility.daemon.answering.thinking.inquiry import Answer, Thinker, Unanswered, WhatIf, Why
from facility.daemon.governor import Governor
from facility.daemon.knowledge import Knowledge
from facility.daemon.question import Question, under
from facility.overrides.trial import LimitsBeside, Trial
from facility.site import Site

log = logging.getLogger(__name__)

MOST_WAITING: Final = 8
"""Questions that are thought over or wait for it."""
KINDS: Final = {"cap_w": "a cap of", "import_limit_kw": "an import limit of"}
"""Kinds that are told with a value; the others are words already."""


JudgedStatus = Literal["accepted", "clamped", "rejected", "expired", "cleared"]


class _Refused(Rejected):
    """A change would be refused; `judged` is what all of them come to."""

    def __init__(self, reason: str, judged: tuple[Judged, ...]) -> None:
        super().__init__(reason)
        self.judged = judged


@dataclass(frozen=True)
class _Asked:
    """A question that waits for its answer."""

    name: str
    message: Message


class Questions:
    """To be used under the daemon's lock. `newest` is what the newest cycle asked; None before the first."""

    def __init__(self, site: Site, known: Knowledge, governor: Governor, answers: Answers, clock: Clock, thinker: Thinker) -> None:
        self._site, self._known, self._governor, self._answers, self._thinker = site, known, governor, answers, thinker
        self._topics = Topics(site.bus.root, site.id)
        self._patience = Patience(clock.elapsed_s)
        self._waiting: dict[tuple[str, str], _Asked] = {}
        self.newest: Question | None = None

    def answer(self, name: str, question: str, message: Message, now: datetime, limits: LimitsBeside) -> None:
        """Refuse a question, `whatif_set` or `why_set`, or have it thought over. An empty payload is none: it deletes a retained one."""
        self._answers.watch(message, now)
        if not message.payload or (name, question) in self._waiting:  # the second is the same one, delivered twice
            return
        try:
            self._let_in(message)
            if name == "whatif_set":
                self._what_if(question, message, now, limits)
            else:
                self._why(question, message, now)
        except Rejected as rejected:
            judged = rejected.judged if isinstance(rejected, _Refused) else ()
            self._refuse(_Asked(name, message), question, rejected.reason[:1000], judged)
        else:
            self._waiting[name, question] = _Asked(name, message)

    def keep_up(self, now: datetime) -> None:  # noqa: ARG002 - as every room's
        """Tell what was thought over since the last call."""
        for found in self._thinker.answered():
            sorts = ("whatif_set", "why_set") if isinstance(found, Unanswered) else (_name(found),)
            key = next(((name, question) for name, question in self._waiting if question == found.id and name in sorts), None)
            if key is not None:  # else it was asked before all began anew
                self._tell(self._waiting.pop(key), found)

    def _what_if(self, question: str, message: Message, now: datetime, limits: LimitsBeside) -> None:
        asked = self._answers.read(message, WhatIfSet, now)
        newest = self._admitted(question, asked)
        standing = self._known.desk.standing(now)
        trial = Trial(self._site, standing, {job.id: job.pool for job in newest.made.snapshot.jobs}, now, limits)
        results = [_tried(trial, asked, change, i) for i, change in enumerate(asked.changes)]
        judged = tuple(_judged(change, result) for change, result in zip(asked.changes, results, strict=True))
        if (no := next((each for each in judged if each.status not in ACTS), None)) is not None:
            raise _Refused(f"{no.target}: {no.reason}", judged)
        before = under(newest, self._known, self._governor, standing, now)
        after = under(newest, self._known, self._governor, trial.standing, now)
        says = " and ".join(_words(change, each) for change, each in zip(asked.changes, judged, strict=True))
        self._thinker.ask(WhatIf(question, before, after, judged, says), asked.within_s)

    def _why(self, question: str, message: Message, now: datetime) -> None:
        asked = self._answers.read(message, WhySet, now)
        newest = self._admitted(question, asked)
        as_it_is = under(newest, self._known, self._governor, self._known.desk.standing(now), now)
        self._thinker.ask(Why(question, as_it_is, asked.about), asked.within_s)

    def _let_in(self, message: Message) -> None:
        """Raise Rejected where a question is not even read."""
        if message.retain:
            raise Rejected("a question must not be retained")
        if len(self._waiting) >= MOST_WAITING:
            raise Rejected(f"{MOST_WAITING} questions wait already; ask again in a while")

    def _admitted(self, question: str, asked: WhatIfSet | WhySet) -> Question:
        """What the newest cycle asked, where this question may be thought over. Raises Rejected."""
        if asked.id != question:
            raise Rejected(f"its id is {asked.id}, and its topic says {question}")
        if not self._patience.with_(asked.by):
            raise Rejected(f"{asked.by} asks too often; ask again in a few seconds")
        if self.newest is None:
            raise Rejected("no plan was made yet; ask again in a few seconds")
        return self.newest

    def _refuse(self, asked: _Asked, question: str, reason: str, judged: tuple[Judged, ...]) -> None:
        if asked.name == "whatif_set":
            self._tell(asked, WhatIfResult(id=question, status="refused", says=reason, judged=judged))
        else:
            self._tell(asked, WhyResult(id=question, status="refused", says=reason))

    def _tell(self, asked: _Asked, found: Answer | Unanswered) -> None:
        if isinstance(found, Unanswered):
            log.info("question %s: %s", found.id, found.reason)
            kind = WhatIfResult if asked.name == "whatif_set" else WhyResult
            says = f"{'too late' if found.late else 'it could not be computed'}: {found.reason}"
            found = kind(id=found.id, status="too-late" if found.late else "failed", says=says[:1000])
        topic = self._topics.of(asked.name.replace("_set", "_result"), question=found.id)
        self._answers.reply(topic, encode(found), to=asked.message)


def _tried(trial: Trial, asked: WhatIfSet, change: Change, number: int) -> OverrideResult:
    if change.clear is not None:
        return trial.clear(change.target, change.clear, asked.by)
    assert change.kind is not None
    request = OverrideSet(
        id=f"{asked.id[:60]}-{number}",
        kind=change.kind,
        value=change.value,
        priority=change.priority,
        start=change.start,
        end=change.end,
        ttl_s=change.ttl_s,
        by=asked.by,
        reason=asked.reason,
    )
    return trial.set(change.target, request)


def _judged(change: Change, result: OverrideResult) -> Judged:
    status = cast("JudgedStatus", result.status)  # a trial says nothing else
    return Judged(target=change.target, status=status, effective=result.effective, until=result.until, reason=result.reason)


def _words(change: Change, judged: Judged) -> str:
    """A change in words, as it would act."""
    if change.clear is not None:
        return f"clearing {change.clear} on {change.target}"
    until = "" if judged.until is None else f" until {judged.until:%Y-%m-%dT%H:%MZ}"
    value = "" if judged.effective is None else f" {judged.effective:g} {'W' if change.kind == 'cap_w' else 'kW'}"
    clamped = f" (asked {change.value:g})" if judged.status == "clamped" and judged.effective != change.value and change.value is not None else ""
    return f"{KINDS.get(change.kind or '', change.kind)}{value}{clamped} on {change.target}{until}"


def _name(found: Answer) -> str:
    return "whatif_set" if isinstance(found, WhatIfResult) else "why_set"
