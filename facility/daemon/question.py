"""Question: all that a cycle's plan is made from, and what it comes to. The solve itself needs no lock and no bus."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from facility.daemon.governor import Governor
from facility.daemon.ground import Ground
from facility.daemon.knowledge import Knowledge
from facility.daemon.situation import Situation
from facility.decide import Decided, Optimised, Undecided, decide
from facility.events import Event
from facility.forecast import Forecast
from facility.overrides.proposal import Proposal
from facility.problem import called
from facility.rental.rental import Rental
from facility.site import Site
from facility.steps import Edges
from facility.tariff import paced
from models.solving.attempt import SolverOf

log = logging.getLogger(__name__)

UNHEARD = "the broker does not answer: what is sent may reach nobody"


@dataclass(frozen=True)
class Question:
    """The steps between `edges`, the situation at their beginning, and what is foreseen, ordered, commanded and rented in them.

    `site` is the one foreseen, with every rental of those steps and their share of demand charges; `near_kw` is what the last plan has each
    workload draw.
    """

    edges: Edges
    made: Situation
    site: Site
    forecast: Forecast
    events: tuple[Event, ...]
    proposals: tuple[Proposal, ...]
    rentals: tuple[Rental, ...]
    near_kw: Mapping[str, tuple[float, ...]]
    unheard: bool


def ask(known: Knowledge, governor: Governor, position_kw: tuple[float | None, ...], edges: Edges, *, unheard: bool) -> Question:
    """Gather what is known for the steps between `edges`; under the daemon's lock. `unheard`: the broker does not answer."""
    now = edges[0]
    proposals = known.desk.standing(now)
    here = known.situation(now, proposals, edges)
    known.learn(here)
    made = governor.tightened(here)
    made = replace(made, asked=replace(made.asked, position_kw=position_kw))
    site, forecast = known.foreseen(edges)
    site = paced(governor.derated(site), edges)
    forecast.outdoor_c[0] = made.outdoor_c
    rentals, near_kw = known.rentals.standing(now), governor.near_kw(edges)
    return Question(edges, made, site, forecast, known.events, proposals, rentals, near_kw, unheard)


def under(asked: Question, ground: Ground, proposals: Sequence[Proposal]) -> Question:
    """The same question where these proposals stand now: those that have begun since it was asked count from its beginning."""
    at, now = asked.edges[0], ground.here.now
    begun = tuple(replace(p, start=min(p.start, at)) if p.active(now) else p for p in proposals)
    made = replace(asked.made, asked=ground.commanded(begun, at, asked.edges, asked.made.snapshot))
    made = ground.bearing.tightened(made)
    made = replace(made, asked=replace(made.asked, position_kw=asked.made.asked.position_kw))
    return replace(asked, made=made, proposals=begun, unheard=False)


def answer(asked: Question, solver_of: SolverOf) -> Decided | Undecided:
    """Solve; what goes wrong in there is an outcome, not the end."""
    found = solve(asked, solver_of, asked.site.control.solver_budget_s)
    if isinstance(found, Optimised):  # the decision has its reasons by now
        found.plan.why.forget()
    return found


def solve(asked: Question, solver_of: SolverOf, budget_s: float) -> Optimised | Undecided:
    """As `answer`, within `budget_s` seconds; the plan can still be asked why."""
    made, site = asked.made, asked.site
    if made.asked.mode != "normal":
        return Undecided(f"an operator drives: {made.asked.mode}")
    if asked.unheard:
        return Undecided(UNHEARD)
    if not all(math.isfinite(kw) for kw in made.asked.kept_back_kw):
        return Undecided("what plans are to keep below the import limit is no number")
    try:
        bounds = called(site, made.snapshot, asked.forecast, made.asked, asked.events, asked.edges)
        return decide(site, made.snapshot, asked.forecast, bounds, asked.edges, budget_s, None, asked.near_kw, solver_of)
    except Exception as error:
        log.exception("the planner failed")
        return Undecided(f"the planner failed: {type(error).__name__}: {error}")
