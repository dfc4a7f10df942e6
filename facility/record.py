"""Record: one cycle as the journal keeps it, everything that went in and came out as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, cast

import msgspec

from facility.decision import Decision
from facility.journal import CycleRecord
from facility.proposal import Proposal
from facility.snapshot import Snapshot
from facility.verify import Violation


def cycle_record(
    cycle: int,
    at: datetime,
    mode: str,
    outcome: str,
    reason: str,
    snapshot: Snapshot,
    proposals: tuple[Proposal, ...],
    decision: Decision,
    verdict: tuple[Violation, ...],
) -> CycleRecord:
    """The record of a cycle that began at `at`."""
    return CycleRecord(
        at=at,
        cycle=cycle,
        mode=mode,
        outcome=cast("Literal['published', 'held', 'safe']", outcome),
        reason=reason,
        inputs=msgspec.json.encode({"snapshot": snapshot, "proposals": proposals}),
        decision=msgspec.json.encode(decision),
        verdict=msgspec.json.encode(verdict),
    )
