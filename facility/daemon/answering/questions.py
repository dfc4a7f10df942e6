"""Questions: what people ask of the plan is thought over beside the daemon's work, and answered when that is done.

Here it is only read, and given all that it has to be answered from: what the newest plan was made from, and what an override is judged by at
present. It is answered, always, also where that is no: one that arrived retained, from somebody who asks too often, when enough wait. It is noted
nowhere, for nothing changes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from facility.bus.interface import Message
from facility.bus.messages import QuoteRequest, QuoteResult, Rejected, WhatIfResult, WhatIfSet, WhyResult, WhySet, encode
from facility.bus.topics import Topics
from facility.clock import Clock
from facility.daemon.answering.answers import Answers
from facility.daemon.answering.patience import Patience
from facility.daemon.answering.thinking.inquiry import Answer, HowMuch, Inquiry, Thinker, Unanswered, WhatIf, Why
from facility.daemon.governor import Governor
from facility.daemon.ground import ground
from facility.daemon.knowledge import Knowledge
from facility.daemon.question import Question, ask
from facility.quote.steps import LONGEST, days, edges, step_h
from facility.quote.telling import offers_of
from facility.site import Site
from facility.steps import Edges

log = logging.getLogger(__name__)

MOST_WAITING: Final = 8
"""Questions that are thought over or wait for it."""


KINDS: Final[dict[str, tuple[type[WhatIfSet | WhySet | QuoteRequest], type[Answer]]]] = {
    "whatif_set": (WhatIfSet, WhatIfResult),
    "why_set": (WhySet, WhyResult),
    "quote_request": (QuoteRequest, QuoteResult),
}
"""By name of the topic, what asks and what answers."""


@dataclass(frozen=True)
class _Asked:
    """A question that waits for its answer."""

    name: str
    message: Message


class Questions:
    """To be used under the daemon's lock. `newest` is what the newest cycle asked; None before the first. `position_kw` tells what is committed
    in given steps.
    """

    def __init__(
        self,
        site: Site,
        known: Knowledge,
        governor: Governor,
        answers: Answers,
        clock: Clock,
        thinker: Thinker,
        position_kw: Callable[[Edges], tuple[float | None, ...]],
    ) -> None:
        self._site, self._known, self._governor, self._answers, self._thinker = site, known, governor, answers, thinker
        self._position_kw = position_kw
        self._topics = Topics(site.bus.root, site.id)
        self._patience = Patience(clock.elapsed_s)
        self._waiting: dict[tuple[str, str], _Asked] = {}
        self.newest: Question | None = None

    def answer(self, name: str, question: str | None, message: Message, now: datetime) -> None:
        """Refuse a question, a topic's name of `KINDS`, or have it thought over; `question` is its id where the topic tells one. An empty payload
        is none: it deletes a retained one.
        """
        self._answers.watch(message, now)
        if not message.payload or (name, question) in self._waiting:  # the second is the same one, delivered twice
            return
        try:
            self._let_in(message)
            asked = self._answers.read(message, KINDS[name][0], now)
            if question not in (None, asked.id):
                raise Rejected(f"its id is {asked.id}, and its topic says {question}")  # noqa: TRY301 - told like every other refusal
            if (name, asked.id) in self._waiting:
                return
            self._ask(asked, now)
        except Rejected as rejected:
            says = rejected.reason[:1000]
            self._tell(_Asked(name, message), KINDS[name][1](id=question or rejected.id or "", status="refused", says=says))
        else:
            self._waiting[name, asked.id] = _Asked(name, message)

    def keep_up(self, now: datetime) -> None:
        """Tell what was thought over since the last call; what was offered can be accepted from then on."""
        for found in self._thinker.answered():
            kinds = [name for name, (_, kind) in KINDS.items() if isinstance(found, Unanswered | kind)]
            key = next(((name, question) for name, question in self._waiting if question == found.id and name in kinds), None)
            if key is None:  # it was asked before all began anew
                continue
            if isinstance(found, QuoteResult) and found.until is not None:
                self._known.rentals.offers.keep(offers_of(found), found.until, now)
            self._tell(self._waiting.pop(key), found)

    def _ask(self, asked: WhatIfSet | WhySet | QuoteRequest, now: datetime) -> None:
        """Have a question thought over. Raises Rejected."""
        if not self._patience.with_(asked.by):
            raise Rejected(f"{asked.by} asks too often; ask again in a few seconds", asked.id)
        if self.newest is None:
            raise Rejected("no plan was made yet; ask again in a few seconds", asked.id)
        self._thinker.ask(self._inquiry(asked, self.newest, now), asked.within_s)

    def _inquiry(self, asked: WhatIfSet | WhySet | QuoteRequest, newest: Question, now: datetime) -> Inquiry:
        """The question with all that its answer is computed from. Raises Rejected."""
        if isinstance(asked, QuoteRequest):
            return self._how_much(asked, newest, now)
        here = ground(self._site, self._known, self._governor, now)
        return WhatIf(asked, newest, here) if isinstance(asked, WhatIfSet) else Why(asked, newest, here)

    def _how_much(self, asked: QuoteRequest, newest: Question, now: datetime) -> HowMuch:
        hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        first = hour if asked.start is None else max(asked.start, hour)
        latest = (asked.start or hour) + timedelta(hours=asked.within_h)
        if latest < now:
            raise Rejected(f"it was to begin by {latest:%Y-%m-%d %H:%M} UTC, which is past; name a later start, or a longer within_h", asked.id)
        horizon = days(asked.hours, asked.within_h) + (first - hour)
        if horizon > LONGEST:
            raise Rejected(f"it would end more than {LONGEST.days} days from now, for which nothing is planned", asked.id)
        things = len(newest.site.pools) + len(newest.site.contracts) + len(newest.made.snapshot.jobs)
        step = timedelta(hours=step_h(things, asked.hours, horizon, asked.within_s))
        steps = edges(now, hour + (first - hour) % step, hour + horizon, step)
        return HowMuch(asked, first, max(first, latest), ask(self._known, self._governor, self._position_kw(steps), steps, unheard=False))

    def _let_in(self, message: Message) -> None:
        """Raise Rejected where a question is not even read."""
        if message.retain:
            raise Rejected("a question must not be retained")
        if len(self._waiting) >= MOST_WAITING:
            raise Rejected(f"{MOST_WAITING} questions wait already; ask again in a while")

    def _tell(self, asked: _Asked, found: Answer | Unanswered) -> None:
        if isinstance(found, Unanswered):
            log.info("question %s: %s", found.id, found.reason)
            says = f"{'too late' if found.late else 'it could not be computed'}: {found.reason}"
            found = KINDS[asked.name][1](id=found.id, status="too-late" if found.late else "failed", says=says[:1000])
        result = asked.name.rpartition("_")[0] + "_result"
        topic = self._topics.of(result) if isinstance(found, QuoteResult) else self._topics.of(result, question=found.id)
        self._answers.reply(topic, encode(found), to=asked.message)
