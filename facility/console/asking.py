"""Asking: what an override would do, and why something is as it is. The daemon answers over the bus, beside its work, or it does not."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from facility.bus.messages import Breach, Change, Figures, PoolCaps, WhatIfResult, WhatIfSet, WhyResult, WhySet
from facility.bus.topics import Topics
from facility.console.acts import Wish
from facility.console.model.words import NOTHING, number
from facility.console.post import Post, Refused, Unanswered
from facility.report.broken import in_words
from facility.site import Site

WITHIN_S: Final = 20.0
ANSWER_S: Final = 25.0
"""The daemon says itself that it is too late; after so long nobody answers."""
MOST_LINES: Final = 8
NOBODY: Final = "console"
"""Who asks where nobody is logged in: asking changes nothing."""


@dataclass(frozen=True)
class Told:
    """An answer in words: a sentence, numbers before and after, and more lines; `ok` where it could be answered."""

    ok: bool
    sentence: str
    numbers: tuple[tuple[str, str, str], ...] = ()
    lines: tuple[str, ...] = ()


class Asking:
    """Questions of people who look."""

    def __init__(self, site: Site, post: Post) -> None:
        self._currency, self._topics, self._post = site.currency, Topics(site.bus.root, site.id), post

    async def preview(self, wish: Wish) -> Told:
        """What an override would do, were it set now."""
        change = Change(target=wish.target, kind=wish.kind, value=wish.value, priority=wish.priority, ttl_s=wish.for_s)
        asked = WhatIfSet(id=uuid.uuid4().hex, by=wish.by, reason=wish.reason, changes=(change,), within_s=WITHIN_S)
        topic = self._topics.whatif(asked.id, "set")
        try:
            answer = await self._post.ask(topic, self._post.sealed(topic, asked), WhatIfResult, ANSWER_S)
        except Refused as refused:
            return Told(ok=False, sentence=f"No preview: {refused}.")
        except Unanswered:
            return Told(ok=False, sentence=f"No preview: the daemon did not say within {ANSWER_S:g} s what it would do. It can be set all the same.")
        return previewed(answer, self._currency)

    async def why(self, about: str, by: str) -> Told:
        """Why something is as it is: `job/ID`, `pool/HALL/ID`, `contract/ID`, `limit` or an instant."""
        asked = WhySet(id=uuid.uuid4().hex, by=by or NOBODY, about=about, within_s=WITHIN_S)
        topic = self._topics.why(asked.id, "set")
        try:
            answer = await self._post.ask(topic, self._post.sealed(topic, asked), WhyResult, ANSWER_S)
        except Refused as refused:
            return Told(ok=False, sentence=f"No answer: {refused}.")
        except Unanswered:
            return Told(ok=False, sentence=f"The daemon did not say why within {ANSWER_S:g} s.")
        lines = (*answer.lines, *(limit.says for limit in answer.limits), *(remedy.says for remedy in answer.remedies))
        more = tuple(line for line in dict.fromkeys(lines) if line and line not in answer.says)
        return Told(answer.status == "ok", answer.says, lines=more[:MOST_LINES])


def previewed(answer: WhatIfResult, currency: str) -> Told:
    """The daemon's answer in words and numbers."""
    clamped = [f"{it.target}: {it.status}: {it.reason}" for it in answer.judged if it.status not in {"accepted", "cleared"}]
    lines = [
        *clamped, *(_broken(breach) for breach in answer.broken), *(job.says for job in answer.jobs),
        *(contract.says for contract in answer.contracts),
    ]  # fmt: skip
    lines = [line for line in lines if line not in answer.says]
    left = answer.left_out + max(len(lines) - MOST_LINES, 0)
    rest = [f"and {left} more"] if left else []
    before, after = answer.before, answer.after
    numbers = (*_figures(before, after, currency), *_caps(answer.caps)) if before and after else ()
    return Told(answer.status == "ok", answer.says, numbers, (*lines[:MOST_LINES], *rest))


def _figures(before: Figures, after: Figures, currency: str) -> tuple[tuple[str, str, str], ...]:
    rows = (
        (f"cost of the plan, {currency}", before.cost, after.cost, 2),
        ("energy, kWh", before.energy_kwh, after.energy_kwh, 0),
        ("peak, kW", before.peak_kw, after.peak_kw, 1),
        ("least left below the limit, kW", before.margin_kw, after.margin_kw, 1),
        ("jobs late", before.jobs_late, after.jobs_late, 0),
    )
    return tuple((name, number(a, digits), number(b, digits)) for name, a, b, digits in rows)


def _caps(caps: tuple[PoolCaps, ...]) -> tuple[tuple[str, str, str], ...]:
    def highest(watts: tuple[int | None, ...]) -> str:
        known = [each for each in watts if each is not None]
        return f"{max(known)}" if known else NOTHING

    rows = [(f"highest cap of {each.pool} in the next hour, W", highest(each.before_w), highest(each.after_w)) for each in caps]
    return tuple(row for row in rows if row[1] != row[2])[:MOST_LINES]


def _broken(breach: Breach) -> str:
    return f"{in_words(breach)}: {number(breach.amount, 1)} {breach.unit}"
