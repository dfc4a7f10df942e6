"""Planned: the service's own loop - plan, second opinion, hold or fall back, guard - on a plant beside it.

| the service at work                | here                                                                     |
|------------------------------------|--------------------------------------------------------------------------|
| `daemon.governor`, `daemon.guard`  | the same; the guard looks after each sub-step at which a meter is high,  |
|                                    | and as long as it makes anything give way                                |
| a message takes its time           | a decision acts at once, for it holds for minutes                        |

A plan that was answered before is not made again: `answers` knows it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from facility.backtest.answers import Answer, Answers
from facility.backtest.expectation import edges_of, expected
from facility.backtest.hand import Hand
from facility.backtest.remembered import Remembered
from facility.backtest.world import World
from facility.daemon.governor import Governor
from facility.daemon.situation import Situation
from facility.decide import Decided, Optimised, Undecided, decide
from facility.forecast import Forecast
from facility.overrides.arbitrate import Bounds, bounds
from facility.rental.spans import at
from facility.site import Site
from facility.snapshot import Job, Snapshot
from facility.stability import Drawn, drawn
from facility.steps import Edges
from facility.tariff import paced
from models.plan import make_plan

log = logging.getLogger(__name__)

OURS_H = 24.0
"""How far the service plans ahead, h."""


class Planned:
    """Ours, or one that sees the future for `foresight_h`."""

    def __init__(self, world: World, hand: Hand, answers: Answers, foresight_h: float | None = None) -> None:
        self._world, self._answers = world, answers
        self._foresight = foresight_h is not None
        self._hours = OURS_H if foresight_h is None else foresight_h
        self._site = enduring(world.site, world.span.cycle)
        self._governor = Governor(self._site, hand, world.span.start, "no plan yet")
        self._drawn: Drawn | None = None
        self._plan_of = Remembered(make_plan)
        self._count = self._next = 0
        self.planned_kw: float | None = None
        self.reasons: dict[str, int] = {}

    @property
    def mode(self) -> str:
        """NORMAL, HOLD or SAFE."""
        return self._governor.outcome.mode

    @property
    def attends(self) -> bool:
        """Whether something gives way."""
        return self._governor.gives_way

    def cycle(self, seen: Callable[[], Snapshot]) -> None:
        """Plan, and follow what the second opinion lets through."""
        snapshot = self._punctual(seen())
        now = snapshot.at
        edges = edges_of(now, self._world.span.cycle, timedelta(hours=self._hours))
        asked = bounds(self._site, (), now, edges)
        here = self._situation(snapshot, asked)
        made = self._governor.tightened(here)
        self._count += 1
        kept = self._answers.get(now)
        answer = kept or self._answer(made, self._foreseen(made.snapshot, edges), edges)
        if kept is None:
            self._answers.put(answer)
        self._drawn = answer.drawn
        self.planned_kw = answer.found.import_kw if isinstance(answer.found, Decided) else None
        self._governor.conclude(answer.found, str(self._count), made, here)
        if self.mode != "NORMAL":
            self.planned_kw, reason = None, self._governor.outcome.reason
            self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def watch(self, seen: Callable[[], Snapshot]) -> None:
        """Let the guard look."""
        snapshot = seen()  # the guard asks for no deadline
        edges = (snapshot.at, snapshot.at + self._world.span.cycle)
        self._governor.guard(self._situation(snapshot, bounds(self._site, (), snapshot.at, edges)))

    def _situation(self, snapshot: Snapshot, asked: Bounds) -> Situation:
        return Situation(snapshot.at, at(self._site, snapshot.at), snapshot, asked, snapshot.outdoor_c or 0.0)

    def _punctual(self, snapshot: Snapshot) -> Snapshot:
        """`snapshot` with jobs due a cycle early where they can be, so that what a plan ends at the last minute is not late."""
        return replace(snapshot, jobs=tuple(self._early(job, snapshot.at) for job in snapshot.jobs))

    def _early(self, job: Job, now: datetime) -> Job:
        due, needs = job.deadline - self._world.span.cycle, timedelta(hours=job.work_gpu_h / job.gpus)
        return replace(job, deadline=due) if max(now, job.submit) + needs < due else job

    def _foreseen(self, snapshot: Snapshot, edges: Edges) -> Snapshot:
        """With foresight `snapshot` with the jobs that are still to come."""
        if not self._foresight:
            return snapshot
        jobs = self._world.jobs
        while self._next < len(jobs) and jobs[self._next].submit <= snapshot.at:
            self._next += 1
        coming = []
        for job in jobs[self._next :]:
            if job.submit >= edges[-1]:
                break
            coming.append(self._early(job, snapshot.at))
        return replace(snapshot, jobs=(*snapshot.jobs, *coming))

    def _answer(self, made: Situation, snapshot: Snapshot, edges: Edges) -> Answer:
        """Solve; what goes wrong in there is an outcome, as in the daemon."""
        forecast = self._forecast(made, edges)
        near = self._drawn.near(edges) if self._drawn is not None and self.mode in ("NORMAL", "HOLD") else {}
        try:
            site = paced(self._governor.derated(self._site), edges)
            budget_s = self._site.control.solver_budget_s
            found = decide(site, snapshot, forecast, made.asked, edges, budget_s, None, near, reasons=False, plan_of=self._plan_of)
        except Exception as error:
            log.exception("the planner failed")
            found = Undecided(f"the planner failed: {type(error).__name__}: {error}")
        if not isinstance(found, Optimised):
            return Answer(made.now, found, self._drawn)
        plain = Decided(found.decision, found.edges, found.broken, found.stopped, found.import_kw)
        return Answer(made.now, plain, drawn(found))

    def _forecast(self, made: Situation, edges: Edges) -> Forecast:
        forecast = expected(self._world, made.now, edges, foresight=self._foresight)
        outdoor_c = np.array(forecast.outdoor_c)
        outdoor_c[0] = made.outdoor_c
        if not self._site.cooling_plants:
            outdoor_c[:] = 0.0  # nothing depends on it, and what is the same is remembered
        return replace(forecast, outdoor_c=outdoor_c)


def enduring(site: Site, cycle: timedelta) -> Site:
    """`site` with orders that outlive two missed cycles."""
    seconds = cycle.total_seconds()
    control = site.control.model_copy(update={"cycle_s": seconds, "cap_ttl_s": max(site.control.cap_ttl_s, 3 * seconds)})
    return site.model_copy(update={"control": control})
