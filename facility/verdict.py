"""Verdict: how far a reading is believed, in the words of the control room, and what stands behind a doubt.

    good < suspect < substituted < bad < missing        each is believed less than the one before

| verdict | what it means | what is used |
|---|---|---|
| good | heard in time, in range, moving as it should, in step with what is beside it | the reading |
| suspect | heard, but it leapt, stands still, or contradicts another sensor | the conservative one of what is known |
| substituted | not heard or not believed; others tell enough | what stands in for it |
| bad | heard, and refused: range, unit, quality | nothing, or what stands in for it |
| missing | not heard in time, or never | nothing, or what stands in for it |

A value that is derived from several has the worst verdict of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    """How far a reading is believed, the best first."""

    GOOD = "good"
    SUSPECT = "suspect"
    SUBSTITUTED = "substituted"
    BAD = "bad"
    MISSING = "missing"


RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}
"""The place of each verdict in their order; a greater one is believed less."""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Tell the worst of several verdicts; of none, good.

    >>> worst([Verdict.SUSPECT, Verdict.GOOD])
    <Verdict.SUSPECT: 'suspect'>
    """
    return max(verdicts, key=RANK.__getitem__, default=Verdict.GOOD)


@dataclass(frozen=True)
class Doubt:
    """Why the sensor `key` is not believed as it is, since when (UTC), and what is used in its place.

    `kind` is one word to count and to group by: awaited, unheard, silent, late, refused, stuck, unconfirmed, leap, drift, disagrees, alone,
    balance. `value` is what is used, in the sensor's unit, None where there is nothing; `measured` says whether sensors that are believed
    tell it, so that nothing is guessed. `about` names what several doubts have in common, such as a balance.
    """

    key: str
    verdict: Verdict
    kind: str
    says: str
    since: datetime
    value: float | None = None
    stands_in: str = ""
    measured: bool = False
    about: str = ""
