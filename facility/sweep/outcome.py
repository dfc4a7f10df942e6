"""Outcome: what became of one case of a sweep. Light, for the process that only hands out cases and hears what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from facility.errors import Fault

MADE = ("optimal", "breached", "rounded_worse")
"""Statuses of a plan; whatever else a status says, there is none."""
FIGURES = ("objective", "energy_kwh", "energy_cost", "peak_kw", "peak_cost", "carbon_kg", "weighted_throughput", "job_work_gpu_h", "carried_cost")
"""What is taken from the summary as it is."""


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
