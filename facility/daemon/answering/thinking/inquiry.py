"""Inquiry: a person's question with all that its answer is computed from, so that it can be thought over elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from facility.bus.messages import QuoteRequest, QuoteResult, WhatIfResult, WhatIfSet, WhyResult, WhySet
from facility.daemon.ground import Ground
from facility.daemon.question import Question


@dataclass(frozen=True)
class WhatIf:
    """What would become of the plan that `newest` makes if somebody changed this; judged by `ground`."""

    asked: WhatIfSet
    newest: Question
    ground: Ground

    @property
    def id(self) -> str:
        """Of the question."""
        return self.asked.id


@dataclass(frozen=True)
class Why:
    """Why is it so in the plan that `newest` makes with the overrides that stand on `ground`?"""

    asked: WhySet
    newest: Question
    ground: Ground

    @property
    def id(self) -> str:
        """Of the question."""
        return self.asked.id


@dataclass(frozen=True)
class HowMuch:
    """How much would a rental cost that begins between `first` and `latest`, UTC? `now` is what is known, in the steps of a quote."""

    asked: QuoteRequest
    first: datetime
    latest: datetime
    now: Question

    @property
    def id(self) -> str:
        """Of the question."""
        return self.asked.id


Inquiry = WhatIf | Why | HowMuch
Answer = WhatIfResult | WhyResult | QuoteResult


@dataclass(frozen=True)
class Unanswered:
    """Nobody knows the answer; `late`: it was not found in time."""

    id: str
    reason: str
    late: bool = False


class Thinker(Protocol):
    """Whoever thinks questions over beside the daemon's work, one after the other."""

    def ask(self, inquiry: Inquiry, within_s: float) -> None:
        """Take a question that is to be answered within so many real seconds. Returns at once."""

    def answered(self) -> Sequence[Answer | Unanswered]:
        """Take what was answered since the last call. Returns at once."""


class Nobody:
    """Where nothing was set up to think: each question is answered so."""

    def __init__(self) -> None:
        self._asked: list[str] = []

    def ask(self, inquiry: Inquiry, within_s: float) -> None:  # noqa: ARG002 - nobody takes any time
        """Know that it cannot be answered."""
        self._asked.append(inquiry.id)

    def answered(self) -> Sequence[Answer | Unanswered]:
        """Say so."""
        asked, self._asked = self._asked, []
        return [Unanswered(name, "this daemon has no process that answers questions") for name in asked]
