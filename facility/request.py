"""Request: what a planner asks for, before any of it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """What `facility plan` was asked: the options of the command line, as written."""

    site: str
    start: str | None = None
    """None: the site's tomorrow."""
    horizon: str | None = None
    step: str = "15min"
    prices: str | None = None
    weather: str | None = None
    carbon: str | None = None
    load: str | None = None
    solar: str | None = None
    jobs: str | None = None
    jobs_from: str | None = None
    events: str | None = None
    position: str | None = None
    demand: str | None = None
    contracts: str | None = None
    timezone: str | None = None
    peak_so_far_kw: float = 0.0
    peaks_so_far: Sequence[str] = ()
    """`KW` for all demand charges, `ID=KW` for one."""
    settings: Sequence[str] = ()
    budget_s: float = 120.0
    exact: bool = False
    gap: float | None = None
    whole_steps: int | None = None
