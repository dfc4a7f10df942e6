"""Pricing: how much a rental would cost, as an answer on the bus."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from facility.bus.messages import QuoteResult
from facility.daemon.answering.thinking.inquiry import HowMuch
from facility.planner import Brief
from facility.problem import called
from facility.quote.quoting import Quoting
from facility.quote.telling import Asking, result
from facility.quote.wishes import wish_of
from models.solving.attempt import SolverOf


def quoted(inquiry: HowMuch, solver_of: SolverOf, within_s: float, took_s: Callable[[], float]) -> QuoteResult:
    """The answer, found within so many seconds. InputError where the site has not what is asked for."""
    asked, now = inquiry.asked, inquiry.now
    made, site = now.made, now.site
    if made.asked.mode != "normal":
        says = f"an operator drives ({made.asked.mode}): nothing is planned, and so nothing quoted"
        return QuoteResult(id=asked.id, status="refused", says=says)
    wish = wish_of(
        site, asked.gpus, timedelta(hours=asked.hours), inquiry.first, inquiry.latest - inquiry.first, asked.curve, asked.gpu_model, asked.pool
    )
    bounds = called(site, made.snapshot, now.forecast, made.asked, now.events, now.edges)
    told = Brief(site, now.edges, made.snapshot, now.forecast, bounds, now.events, rentals=now.rentals)
    found = Quoting(told, within_s, solver_of, within_s=within_s).quote(wish, asked.tier)
    return result(found, Asking(asked.id, asked.price_per_gpu_h), told, now.edges[0], took_s())
