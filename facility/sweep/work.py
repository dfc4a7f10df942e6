"""Work: one case of a sweep, from what is asked to its figures. The plan is the one that `facility plan` makes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from facility.decide import Undecided
from facility.errors import Fault, InputError
from facility.planner import Request, plan
from facility.report.summary import summary

MADE = ("optimal", "breached", "rounded_worse")
"""Statuses of a plan; whatever else a status says, there is none."""
FIGURES = ("objective", "energy_kwh", "energy_cost", "peak_kw", "peak_cost", "carbon_kg", "weighted_throughput", "job_work_gpu_h", "carried_cost")
"""What is taken from the summary as it is."""
LIMIT = "grid.limits"


@dataclass(frozen=True)
class Outcome:
    """What became of a case. `why` says it where there is no plan; `faults` are those of the input.

    `figures` are the summary's, with `baseline_energy_cost`, the number of `breaches` and the money that one kW more of the import limit
    would have saved, `limit_price_per_kw`; `prices` those of every limit that binds; `broken` the families of breaches; `seconds` how
    long it took.
    """

    status: str
    figures: dict[str, float | None] = field(default_factory=dict)
    prices: dict[str, float] = field(default_factory=dict)
    broken: str = ""
    why: str = ""
    faults: tuple[Fault, ...] = ()
    seconds: float = 0.0

    @property
    def made(self) -> bool:
        """Whether there is a plan."""
        return self.status in MADE


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
