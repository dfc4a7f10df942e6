"""Record: one cycle as the journal keeps it, everything that went in and came out as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from facility.daemon.governor import Outcome
from facility.decision import Decision
from facility.events import Event
from facility.forecast import Forecast
from facility.journal.journal import CycleRecord
from facility.overrides.arbitrate import Bounds
from facility.overrides.proposal import Proposal
from facility.rental.rental import Rental
from facility.snapshot import Snapshot
from facility.verify import Violation


def cycle_record(
    cycle: int,
    outcome: Outcome,
    snapshot: Snapshot,
    proposals: tuple[Proposal, ...],
    rentals: tuple[Rental, ...],
    forecast: Forecast,
    asked: Bounds,
    events: tuple[Event, ...],
    near_kw: Mapping[str, tuple[float, ...]],
    decision: Decision | None,
    verdict: tuple[Violation, ...],
) -> CycleRecord:
    """The record of a cycle that began at the snapshot's instant; `forecast` for `facility.steps.rolling` of that instant."""
    arrays = ("price_per_mwh", "outdoor_c", "carbon_g_per_kwh", "load_kw", "load_high_kw")
    expected = {name: None if (told := getattr(forecast, name)) is None else told.tolist() for name in arrays}
    inputs = {
        "snapshot": snapshot,
        "proposals": proposals,
        "rentals": [_told(rental) for rental in rentals],
        "forecast": expected | {"demand_gpus": forecast.demand_gpus, "rented_gpus": forecast.rented_gpus},
        "import_limit_kw": asked.import_limit_kw,
        "position_kw": asked.position_kw,
        "events": events,
        "near_kw": near_kw,
    }
    return CycleRecord(
        at=snapshot.at,
        cycle=cycle,
        mode=outcome.mode,
        outcome=outcome.outcome,
        reason=outcome.reason,
        inputs=msgspec.json.encode(inputs),
        decision=msgspec.json.encode(decision),
        verdict=msgspec.json.encode(verdict),
    )


def _told(rental: Rental) -> dict[str, Any]:
    terms = rental.terms.model_dump(mode="json", exclude_unset=True)
    return {"id": rental.id, "contract": rental.contract, "start": rental.start, "end": rental.end, "terms": terms}


def decision_in(record: CycleRecord) -> Decision | None:
    """The decision of a record; None where there is none, or none that this version can read."""
    try:
        return msgspec.json.decode(record.decision, type=Decision | None)
    except (msgspec.MsgspecError, ValueError):
        return None
