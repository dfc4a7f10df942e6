"""Record: one cycle as the journal keeps it, everything that went in and came out as JSON; and what was sent as points of the history."""

from __future__ import annotations

import msgspec

from facility.daemon.governor import Outcome
from facility.daemon.recording.kept import KeptCycle
from facility.decision import Decision
from facility.history import GOOD, Note
from facility.journal.journal import CycleRecord
from facility.site import Site
from facility.verify import Violation
from models.plan import Plan


def cycle_record(cycle: int, outcome: Outcome, kept: KeptCycle, decision: Decision | None, verdict: tuple[Violation, ...]) -> CycleRecord:
    """The record of a cycle: what it asked and was answered, what was in force after it, and what the second opinion said of that."""
    return CycleRecord(
        at=kept.snapshot.at,
        cycle=cycle,
        mode=outcome.mode,
        outcome=outcome.outcome,
        reason=outcome.reason,
        inputs=msgspec.json.encode(kept),
        decision=msgspec.json.encode(decision),
        verdict=msgspec.json.encode(verdict),
    )


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
