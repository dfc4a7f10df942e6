"""Work: one case of a sweep, from what is asked to its figures. The plan is the one that `facility plan` makes."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

from facility.decide import Undecided
from facility.errors import InputError
from facility.planner import plan
from facility.report.summary import summary
from facility.request import Request
from facility.sweep.outcome import FIGURES, Outcome

LIMIT = "grid.limits"


def outcome(request: Request) -> Outcome:
    """Plan, and tell what came of it; nothing is raised, so that other cases go on."""
    logging.getLogger("pyomo").setLevel(logging.CRITICAL)
    started = perf_counter()

    def took() -> float:
        return perf_counter() - started

    try:
        planned = plan(request)
        if isinstance(planned, Undecided):
            return Outcome("no_plan", why=planned.reason, seconds=took())
        numbers = summary(planned)
    except InputError as error:
        return Outcome("bad_input", why=str(error), faults=error.faults, seconds=took())
    except Exception as error:
        return Outcome("fault", why=f"{type(error).__name__}: {error}", seconds=took())
    return Outcome(numbers["status"], *_told(numbers), seconds=took())


def _told(numbers: dict[str, Any]) -> tuple[dict[str, float | None], dict[str, float], str]:
    """The figures, the prices of limits and the families of limits that are broken."""
    breaches, prices = numbers["breaches"], numbers["marginal_prices"]
    figures = {key: numbers[key] for key in FIGURES} | {
        "baseline_energy_cost": numbers["baseline"]["energy_cost"],
        "saving_pct": numbers["saving_pct"],
        "breaches": len(breaches),
        "limit_price_per_kw": prices.get(LIMIT, 0.0),
    }
    return figures, dict(prices), " ".join(sorted({breach["family"] for breach in breaches}))
