"""Given: what gave way in one look, place by place, so that it can be computed again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from facility.daemon.guard.giving import because, held
from facility.daemon.guard.places import Place, Reckoned
from facility.daemon.holding.charging import resting
from facility.daemon.holding.overrule import give_way
from facility.daemon.situation import Situation
from facility.decision import Decision

Stages = tuple[frozenset[str], ...]


@dataclass(frozen=True)
class Given:
    """At `place` no more than `target_kw` may be expected: its batteries are charged with no more than `charging`, kW, the pools of each of the
    `stages` gave way in turn, and the jobs in `waiting` wait.
    """

    place: Place
    target_kw: float
    stages: Stages
    waiting: frozenset[str]
    says: str
    charging: Mapping[str, float] = field(default_factory=dict)

    def after(self, less: Decision, before: Decision, here: Situation) -> Decision:
        """`less`, which is `before` with lower caps, with the jobs that wait and the reason."""
        return because(held(less, self.waiting, here.snapshot, self.says), before, self.says)


def lowered(now: Decision, reckoned: Reckoned, target_kw: float, stages: Stages, here: Situation) -> Decision:
    """`now` with lower caps, until what is expected at a place, as it is `reckoned` there, is no more than `target_kw`."""
    return give_way(here.site, now, lambda tried: reckoned(tried) <= target_kw, stages)


def gave(steps: Iterable[Given], first: Decision, here: Situation) -> Decision:
    """`first` after all that gave way."""
    now = first
    for step in steps:
        start, before = (resting(decision, step.place.batteries, step.charging) for decision in (first, now))
        now = step.after(lowered(before, step.place.reckon(here, start), step.target_kw, step.stages, here), before, here)
    return now
