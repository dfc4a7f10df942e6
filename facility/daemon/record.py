"""Record: one cycle as the journal keeps it, everything that went in and came out as JSON; and what was sent as points of the history."""

from __future__ import annotations

from typing import Any

import msgspec

from facility.daemon.governor import Outcome
from facility.daemon.question import Question
from facility.decision import Decision
from facility.history import GOOD, Note
from facility.journal.journal import CycleRecord
from facility.rental.rental import Rental
from facility.site import Site
from facility.verify import Violation
from models.plan import Plan


def cycle_record(
    cycle: int, outcome: Outcome, asked: Question, decision: Decision | None, verdict: tuple[Violation, ...]
) -> CycleRecord:
    """The record of a cycle: what it asked, what was in force after it, and what the second opinion said of that."""
    arrays = ("price_per_mwh", "outdoor_c", "carbon_g_per_kwh", "load_kw", "load_high_kw")
    forecast, made = asked.forecast, asked.made
    expected = {name: None if (told := getattr(forecast, name)) is None else told.tolist() for name in arrays}
    inputs = {
        "snapshot": made.snapshot,
        "proposals": asked.proposals,
        "rentals": [_told(rental) for rental in asked.rentals],
        "forecast": expected | {"demand_gpus": forecast.demand_gpus, "rented_gpus": forecast.rented_gpus},
        "import_limit_kw": made.asked.import_limit_kw,
        "position_kw": made.asked.position_kw,
        "events": asked.events,
        "near_kw": asked.near_kw,
    }
    return CycleRecord(
        at=made.snapshot.at,
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


def note_decision(site: Site, decision: Decision | None, at_ms: int, note: Note) -> None:
    """Note what was sent at an instant beside what is measured: the highest cap of each pool, the power of batteries and gensets."""
    if decision is None:
        return
    for caps in decision.pools:
        highest_w = max([caps.cap_w, *(group.cap_w for group in caps.groups)])
        note(f"{site.pools[caps.pool].hall}/pool/{caps.pool}/sent_cap_w", at_ms, float(highest_w), GOOD)
    for battery in decision.batteries:
        note(f"site/battery/{battery.battery}/sent_power_kw", at_ms, battery.power_kw, GOOD)
    for genset in decision.gensets:
        note(f"site/genset/{genset.genset}/sent_power_kw", at_ms, genset.power_kw, GOOD)


def note_plan(site: Site, plan: Plan, at_ms: int, note: Note) -> None:
    """Note what a plan that is followed from an instant expects to import first."""
    note(f"site/meter/{site.grid.feed}/planned_import_kw", at_ms, float(plan.account.import_kw[0]), GOOD)
