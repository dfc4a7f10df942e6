"""Contract: one firm contract over a span - GPU hours and speed that it had against those promised, what lacked and why, what is owed.

    availability   = GPU h that ran / GPU h promised                            by time; the site's own report of it, not the tenant's
    speed          = GPU h at full speed / GPU h that ran                       mean over GPUs and time
    short of floor = sum over quarters of max(least speed * GPU h that ran - GPU h at full speed, 0)
    owed           = missed GPU h * price_per_gpu_h + slow GPU h * credit_per_gpu_h

The least speed is the contract's floor or what its greatest slow-down leaves (`facility.site.Contract.least_speed`). A contract that may pause
misses GPU hours and is owed nothing for them (`facility.rental.losses`). What was not counted, because the record has a gap, is neither promised
nor missed: `counted_h` of `span_h` says how much of the span the figures rest on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from facility.availability.interruptions import Interruption, by_cause, interruptions
from facility.availability.windows import SlowWindow, slow_windows
from facility.site import Contract
from facility.usage.credits import missed_credit, slow_credit
from facility.usage.usage import Usage


@dataclass(frozen=True)
class Availability:
    """One contract. Shares are None where nothing was promised or ran; credits are in the site's currency, None where its terms are not known.

    `by_cause` are GPU hours missed and GPU hours of speed withheld. `floor_speed` is the least mean speed that was promised.
    """

    contract: str
    tenant: str
    pool: str
    span_h: float
    counted_h: float
    promised_gpu_h: float
    gpu_h: float
    speed_gpu_h: float
    missed_gpu_h: float
    by_cause: Mapping[str, tuple[float, float]]
    interruptions: tuple[Interruption, ...]
    floor_speed: float | None
    short_gpu_h: float | None
    windows: tuple[SlowWindow, ...]
    slow_credit: float | None
    missed_credit: float | None

    @property
    def availability(self) -> float | None:
        """Share of the promised GPU hours that ran."""
        return self.gpu_h / self.promised_gpu_h if self.promised_gpu_h else None

    @property
    def speed(self) -> float | None:
        """Mean relative speed of the GPUs that ran."""
        return self.speed_gpu_h / self.gpu_h if self.gpu_h else None

    @property
    def credit(self) -> float | None:
        """All that is owed."""
        return None if self.slow_credit is None or self.missed_credit is None else self.slow_credit + self.missed_credit

    @property
    def over_budget_h(self) -> float:
        """Slow hours beyond what their windows grant."""
        return sum(window.over_h for window in self.windows)

    def told(self) -> dict[str, Any]:
        """The contract as a summary has it."""
        numbers = (
            "contract", "tenant", "pool", "span_h", "counted_h", "promised_gpu_h", "gpu_h", "speed_gpu_h", "missed_gpu_h", "availability", "speed",
            "floor_speed", "short_gpu_h", "over_budget_h", "slow_credit", "missed_credit", "credit",
        )  # fmt: skip
        causes = {cause: {"missed_gpu_h": missed, "withheld_gpu_h": withheld} for cause, (missed, withheld) in self.by_cause.items()}
        return {name: getattr(self, name) for name in numbers} | {
            "by_cause": causes,
            "interruptions": [_instants(asdict(each)) for each in self.interruptions],
            "slow_windows": [asdict(window) | {"over_h": window.over_h} for window in self.windows],
        }


TermsAt = Callable[[str, datetime], Contract | None]
"""The terms of a contract at an instant; None where nobody knows them any more."""


def availabilities(usages: Sequence[Usage], terms_at: TermsAt, start: datetime, end: datetime, zone: ZoneInfo) -> list[Availability]:
    """Every firm contract that was counted in [start, end), UTC, by name.

    Credits go by the terms of the time; the floor and windows that are shown are those at the end.
    """
    own: dict[str, list[Usage]] = {}
    for row in usages:
        if row.kind == "contract":
            own.setdefault(row.workload, []).append(row)
    return [_contract(name, rows, terms_at, start, end, zone) for name, rows in sorted(own.items())]


def _contract(name: str, rows: Sequence[Usage], terms_at: TermsAt, start: datetime, end: datetime, zone: ZoneInfo) -> Availability:
    told = [(row, terms) for row in rows if (terms := terms_at(name, row.start)) is not None]
    known = len(told) == len(rows)
    terms = told[-1][1] if known else None
    granted = None if terms is None else terms.flexibility
    budgeted = granted is not None and granted.greatest_slowdown > 1
    return Availability(
        contract=name,
        tenant=rows[-1].tenant,
        pool=rows[-1].pool,
        span_h=(end - start) / timedelta(hours=1),
        counted_h=sum(row.hours for row in rows),
        promised_gpu_h=sum(row.promised_gpu_h for row in rows),
        gpu_h=sum(row.gpu_h for row in rows),
        speed_gpu_h=sum(row.speed_gpu_h for row in rows),
        missed_gpu_h=sum(row.missed_gpu_h for row in rows),
        by_cause=by_cause(rows),
        interruptions=tuple(interruptions(rows)),
        floor_speed=None if terms is None else terms.least_speed,
        short_gpu_h=sum(_short(*each) for each in told) if known else None,
        windows=slow_windows(rows, granted, start, end, zone) if granted is not None and budgeted else (),
        slow_credit=sum(slow_credit(agreed, row) for row, agreed in told) if known else None,
        missed_credit=sum(missed_credit(agreed, row) for row, agreed in told) if known else None,
    )


def _short(row: Usage, terms: Contract) -> float:
    """GPU hours at full speed that a quarter lacks of the least speed."""
    return max(terms.least_speed * row.gpu_h - row.speed_gpu_h, 0.0)


def _instants(told: dict[str, Any]) -> dict[str, Any]:
    return {key: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value for key, value in told.items()}
