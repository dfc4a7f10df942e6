"""Questions: what people ask of the plan is thought over beside the daemon's work, and answered when that is done.

Here it is only read, and given all that it has to be answered from: what the newest plan was made from, and what an override is judged by at
present. It is answered, always, also where that is no: one that arrived retained, from somebody who asks too often, when enough wait. It is noted
nowhere, for nothing changes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from facility.bus.interface import Message
from facility.bus.messages import (
    Rejected,
    WhatIfResult,
    WhatIfSet,
    WhyResult,
    WhySet,
    encode,
)
from facility.bus.topics import Topics
from facility.clock import Clock
from facility.daemon.answering.answers import Answers
from facility.daemon.answering.patience import Patience
from facility.daemon.answering.thinking.inquiry import Answer, Thinker, Unanswered, WhatIf, Why
from facility.daemon.governor import Governor
from facility.daemon.ground import ground
from facility.daemon.knowledge import Knowledge
from facility.daemon.question import Question
from facility.site import Site

log = logging.getLogger(__name__)

MOST_WAITING: Final = 8
"""Questions that are thought over or wait for it."""


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

    def answer(self, name: str, question: str, message: Message, now: datetime) -> None:
        """Refuse a question, `whatif_set` or `why_set`, or have it thought over. An empty payload is none: it deletes a retained one."""
        self._answers.watch(message, now)
        if not message.payload or (name, question) in self._waiting:  # the second is the same one, delivered twice
            return
        try:
            self._let_in(message)
            self._ask(name, question, message, now)
        except Rejected as rejected:
            kind = WhatIfResult if name == "whatif_set" else WhyResult
            self._tell(_Asked(name, message), kind(id=question, status="refused", says=rejected.reason[:1000]))
        else:
            self._waiting[name, question] = _Asked(name, message)

    def keep_up(self, now: datetime) -> None:  # noqa: ARG002 - as every room's
        """Tell what was thought over since the last call."""
        for found in self._thinker.answered():
            sorts = ("whatif_set", "why_set") if isinstance(found, Unanswered) else (_name(found),)
            key = next(((name, question) for name, question in self._waiting if question == found.id and name in sorts), None)
            if key is not None:  # else it was asked before all began anew
                self._tell(self._waiting.pop(key), found)

    def _ask(self, name: str, question: str, message: Message, now: datetime) -> None:
        """Have a question thought over. Raises Rejected."""
        asked: WhatIfSet | WhySet
        if name == "whatif_set":
            asked = self._answers.read(message, WhatIfSet, now)
        else:
            asked = self._answers.read(message, WhySet, now)
        if asked.id != question:
            raise Rejected(f"its id is {asked.id}, and its topic says {question}")
        if not self._patience.with_(asked.by):
            raise Rejected(f"{asked.by} asks too often; ask again in a few seconds")
        if self.newest is None:
            raise Rejected("no plan was made yet; ask again in a few seconds")
        here = ground(self._site, self._known, self._governor, now)
        inquiry = WhatIf(asked, self.newest, here) if isinstance(asked, WhatIfSet) else Why(asked, self.newest, here)
        self._thinker.ask(inquiry, asked.within_s)

    def _let_in(self, message: Message) -> None:
        """Raise Rejected where a question is not even read."""
        if message.retain:
            raise Rejected("a question must not be retained")
        if len(self._waiting) >= MOST_WAITING:
            raise Rejected(f"{MOST_WAITING} questions wait already; ask again in a while")

    def _tell(self, asked: _Asked, found: Answer | Unanswered) -> None:
        if isinstance(found, Unanswered):
            log.info("question %s: %s", found.id, found.reason)
            kind = WhatIfResult if asked.name == "whatif_set" else WhyResult
            says = f"{'too late' if found.late else 'it could not be computed'}: {found.reason}"
            found = kind(id=found.id, status="too-late" if found.late else "failed", says=says[:1000])
        topic = self._topics.of(asked.name.replace("_set", "_result"), question=found.id)
        self._answers.reply(topic, encode(found), to=asked.message)


def _name(found: Answer) -> str:
    return "whatif_set" if isinstance(found, WhatIfResult) else "why_set"
