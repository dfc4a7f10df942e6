"""Telling: what a node's GPUs are, as the report of a pool or of one of its nodes. Pure.

`enforced_cap_w` is the highest that is enforced by GPUs that answer; one that cannot be capped enforces what it was last read to, and
without a reading all that a message can say. (epoch, seq) are those of the last order that was taken, whose limits were set and read back
before: a GPU that refused its limit shows by the cap it enforces. A report that names more GPUs than fit into a message counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from facility.agents.gpu.obeying import Card, Obeying
from facility.bus.messages import CapDesired, CapGroup, CapReported
from facility.clock import milliseconds

MOST_SIGNS: Final = 50_000
"""Of all names in a report, which stands in 64 KiB; a name stands there twice, where its GPU's work is known."""


def report(obeying: Obeying, now: datetime, order: CapDesired | None) -> CapReported:
    """Tell how the GPUs are, and confirm an order; None confirms none."""
    cards = list(obeying.cards.values())
    here, gone = [card for card in cards if not card.gone], [card for card in cards if card.gone]
    draws = [None if card.reading is None else card.reading.draw_w for card in here]
    named = 2 * sum(len(card.gpu.name) + len('"",') for card in cards) <= MOST_SIGNS
    return CapReported(
        timestamp=milliseconds(now),
        epoch=None if order is None else order.epoch,
        seq=None if order is None else order.seq,
        enforced_cap_w=max((card.enforced_w for card in here or cards), default=0),
        groups=tuple(_groups(obeying, here)) if named else (),
        draw_kw=None if None in draws else round(sum(draw for draw in draws if draw is not None) / 1000, 4),
        gpus=_names(here) if named else len(here),
        gone=_names(gone) if named else len(gone),
    )


def _groups(obeying: Obeying, cards: Sequence[Card]) -> Iterable[CapGroup]:
    found: dict[tuple[str, int], list[str]] = {}
    for card in cards:
        if (workload := obeying.workload_of(card)) is not None:
            found.setdefault((workload, card.enforced_w), []).append(card.gpu.name)
    return (CapGroup(workload=workload, gpus=tuple(names), cap_w=cap_w) for (workload, cap_w), names in found.items())


def _names(cards: Iterable[Card]) -> tuple[str, ...]:
    return tuple(card.gpu.name for card in cards)
