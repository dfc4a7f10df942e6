"""Obeying: which limits to set, and when. A state machine without clock, bus or device: it is told orders, readings and refusals.

    allowed     an order is in force: its share; none is: min(what was enforced as it ended, fallback), and that only falls;
                none was ever heard of: whatever there is
    lower       at once, where a limit is above what is allowed, whoever set it so
    raise       only under an order, some seconds after it is first wanted: nodes do not rise together

A limit that is refused is tried again after 1 s, then twice as long each time, up to a minute, and at once where something else is allowed.
Until the GPU tells how it is, it counts as having taken it. What somebody else lowered stays so until the next order. So silence, and whatever
is lost, never raises power.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from facility.agents.gpu.device import UNLIMITED_W, Gpu, Reading
from facility.agents.gpu.share import Share, share
from facility.agents.gpu.standing import Moment, Standing
from facility.bus.messages import CapDesired

RAISE_AFTER_S: Final = (0.5, 4.0)
"""Least and most seconds between the wish to raise limits and doing it, drawn by chance."""
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
Leaving = Literal["fallback", "keep", "default"]


@dataclass
class Card:
    """A GPU as it is known: its last reading, the limit that we set last, why it does not do as it is told, and why it does not tell.

    `sent_w` is a limit that was sent since the last reading, of which nobody knows whether it was set.
    """

    gpu: Gpu
    reading: Reading | None = None
    gone: bool = False
    set_w: int | None = None
    sent_w: int | None = None
    ceiling_w: int | None = None
    trouble: str = ""
    silence: str = ""
    tries: int = 0
    retry_s: float = 0.0

    @property
    def enforced_w(self) -> int:
        """What it enforces, as far as anybody knows."""
        return UNLIMITED_W if self.reading is None else max(self.reading.enforced_w, self.sent_w or 0)

    @property
    def limit_w(self) -> int:
        """What its limit is at most, as far as anybody knows."""
        return UNLIMITED_W if self.reading is None else max(self.reading.limit_w, self.sent_w or 0)

    def try_anew(self) -> None:
        """Forget how often a limit was refused, for now another one is to be set."""
        self.tries, self.retry_s = 0, 0.0


@dataclass(frozen=True)
class Write:
    """A limit to set now."""

    gpu: Gpu
    watts: int


class Obeying:
    """The GPUs of one node. `whole`: they are all of the pool. `workload` is what they all work on; None where that varies."""

    def __init__(self, gpus: Sequence[Gpu], *, whole: bool, workload: str | None = None, rng: random.Random | None = None) -> None:
        self.cards: dict[str, Card] = {}
        self.standing = Standing()
        self._names: tuple[str, ...] = ()
        self._whole, self._workload, self._rng = whole, workload, rng or random.Random()
        self._holds: dict[str, tuple[str, ...]] = {}
        self._share: Share | None = None
        self._raise_s: float | None = None
        self.raised: set[str] = set()
        """GPUs whose limit somebody else raised; emptied by whoever has told it."""
        self.welcome(gpus)

    def welcome(self, gpus: Sequence[Gpu]) -> None:
        """Know of GPUs, of which some may be new."""
        new = [gpu for gpu in gpus if gpu.id not in self.cards]
        if not new:
            return
        self.cards |= {gpu.id: Card(gpu) for gpu in new}
        every = [card.gpu for card in self.cards.values()]
        able = [gpu for gpu in every if not gpu.cannot] or every
        self.standing.lowest_w, self.standing.highest_w = min(gpu.lowest_w for gpu in able), max(gpu.highest_w for gpu in able)
        self._names, self._share = tuple(gpu.name for gpu in every), None

    def order(self, order: CapDesired, at: Moment) -> str:
        """Take an order, or say why it is dropped; empty where it is taken."""
        if dropped := self.standing.take(order, at):
            return dropped
        self._share = None
        for card in self.cards.values():
            card.ceiling_w = None
            card.try_anew()
            card.set_w = None if card.reading is None else card.reading.limit_w
        return ""

    def hold(self, job: str, gpus: tuple[str, ...]) -> None:
        """Know which GPUs a job holds; none where it holds none, or does not name them."""
        if self._holds.get(job, ()) != gpus:
            self._holds = {name: held for name, held in self._holds.items() if name != job} | ({job: gpus} if gpus else {})
            self._share = None

    def read(self, gpu: Gpu, reading: Reading) -> str:
        """Take a reading; what is to be said of it, empty where it is nothing."""
        card = self.cards[gpu.id]
        if card.sent_w is not None and card.set_w is not None:
            card.set_w = max(card.set_w, min(card.sent_w, reading.limit_w))
        raised = card.set_w is not None and reading.limit_w > card.set_w
        was_w, card.reading, card.sent_w, card.silence = card.set_w, reading, None, ""
        if card.gone:
            card.gone, card.set_w = False, reading.limit_w
            return f"{gpu.name} is back"
        if raised:
            self.raised.add(gpu.name)
            card.set_w = reading.limit_w
            return f"something else raised the limit of {gpu.name} from {was_w} W to {reading.limit_w} W"
        card.set_w = reading.limit_w if card.set_w is None else card.set_w
        return ""

    def wrote(self, write: Write, reading: Reading, at: Moment) -> str:
        """Take what was read back after a limit was set; what is to be said of it."""
        card = self.cards[write.gpu.id]
        card.reading, card.set_w, card.sent_w = reading, write.watts, None
        if reading.limit_w > write.watts:
            return self.refused(write.gpu, f"{write.watts} W was set, {reading.limit_w} W is read back", at)
        recovered, card.tries, card.retry_s, card.trouble = bool(card.trouble), 0, 0.0, ""
        return f"{write.gpu.name} obeys again" if recovered else ""

    def refused(self, gpu: Gpu, why: str, at: Moment, sent_w: int | None = None) -> str:
        """Know that a limit could not be set; what is to be said of it, once for each cause. `sent_w` may have been set all the same."""
        card = self.cards[gpu.id]
        card.sent_w = card.sent_w if sent_w is None else max(sent_w, card.sent_w or 0)
        card.tries += 1
        card.retry_s = at.elapsed_s + min(FIRST_RETRY_S * 2.0 ** (card.tries - 1), LAST_RETRY_S)
        known, card.trouble = card.trouble == why, why
        return "" if known else f"{gpu.name} does not obey: {why}"

    def unread(self, gpu: Gpu, why: str) -> str:
        """Know that a GPU did not tell how it is; what is to be said of it, once for each cause."""
        card = self.cards[gpu.id]
        known, card.silence = card.silence == why, why
        return "" if known or gpu.cannot else f"{gpu.name} does not tell how it is: {why}"

    def lost(self, gpu: Gpu) -> str:
        """Know that a GPU does not answer; what is to be said of it."""
        card = self.cards[gpu.id]
        known, card.gone = card.gone, True
        return "" if known else f"{gpu.name} is lost"

    def writes(self, at: Moment) -> tuple[Write, ...]:
        """The limits to set now, decreases first."""
        lower, higher = [], []
        for card, allowed_w in self._allowed(at):
            if card.reading is None or card.gone or card.gpu.cannot:
                continue
            if card.limit_w > allowed_w:
                lower.append((card, allowed_w))
            elif card.reading.limit_w < allowed_w and card.set_w != allowed_w and self.standing.in_force(at):
                higher.append((card, allowed_w))
        if not higher:
            self._raise_s = None
        elif self._raise_s is None:
            self._raise_s = at.elapsed_s + self._rng.uniform(*RAISE_AFTER_S)
        if self._raise_s is not None and at.elapsed_s >= self._raise_s:
            lower += higher
        return tuple(Write(card.gpu, watts) for card, watts in lower if at.elapsed_s >= card.retry_s)

    def due_s(self, at: Moment) -> float:
        """How long nothing has to be done unless something is told, s: until an order ends, limits rise or one is tried again."""
        waits = [60.0, *(card.retry_s - at.elapsed_s for card in self.cards.values() if card.retry_s > at.elapsed_s)]
        if self._raise_s is not None and self._raise_s > at.elapsed_s:
            waits.append(self._raise_s - at.elapsed_s)
        if (left_s := self.standing.left_s(at)) is not None:
            waits.append(left_s)
        return max(min(waits), 0.0)

    def leave(self, how: Leaving) -> tuple[Write, ...]:
        """The limits to leave behind: not above the fallback, as they are, or those from the factory."""
        writes = []
        for card in self.cards.values():
            if card.reading is None or card.gone or card.gpu.cannot:
                continue
            limit_w, fallback_w = card.limit_w, self.standing.fallback_w
            if how == "default":
                left_w = card.gpu.default_w
            elif how == "fallback" and fallback_w is not None:
                left_w = _settable(min(limit_w, self._before(card), fallback_w), card.gpu)
            else:
                left_w = limit_w
            if left_w != limit_w:
                writes.append(Write(card.gpu, left_w))
        return tuple(writes)

    @property
    def unknown(self) -> bool:
        """Whether a GPU has not answered yet, be it that it cannot."""
        return any(card.reading is None and not card.gone and not card.silence for card in self.cards.values())

    @property
    def guessed(self) -> tuple[str, ...]:
        """GPUs whose cap is the lowest that the order in force may mean."""
        return () if self._share is None else self._share.guessed

    def workload_of(self, card: Card) -> str | None:
        """What a GPU works on, as the last order says; None where it does not."""
        if self._share is None or (cap := self._share.caps.get(card.gpu.name)) is None:
            return None
        return cap.workload

    def _allowed(self, at: Moment) -> Iterator[tuple[Card, int]]:
        """Each GPU with the limit it must not exceed, W; none without any order."""
        order, fallback_w = self.standing.in_force(at), self.standing.fallback_w
        if order is not None:
            if self._share is None:
                self._share = share(order, self._names, whole=self._whole, workload=self._workload, holds=self._holds)
            for card in self.cards.values():
                yield card, _settable(self._share.caps[card.gpu.name].cap_w, card.gpu)
        elif fallback_w is not None:
            for card in self.cards.values():
                if card.ceiling_w is None:
                    card.try_anew()
                card.ceiling_w = min(self._before(card), fallback_w)
                yield card, _settable(card.ceiling_w, card.gpu)

    def _before(self, card: Card) -> int:
        """The most that a GPU may have had when the order ended, W: what it enforced then, and no more than it was allowed."""
        if card.ceiling_w is not None:
            return card.ceiling_w
        cap = None if self._share is None else self._share.caps.get(card.gpu.name)
        allowed_w = UNLIMITED_W if cap is None else cap.cap_w
        return min(allowed_w, card.limit_w, card.enforced_w)


def _settable(watts: int, gpu: Gpu) -> int:
    return min(max(watts, gpu.lowest_w), gpu.highest_w)
