"""Changes: what is thought of, judged one after the other as the desk would judge each if it were commanded now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from facility.bus.messages import Change, Judged, OverrideResult, OverrideSet, WhatIfSet
from facility.daemon.ground import Ground
from facility.overrides.proposal import Proposal
from facility.overrides.trial import Trial

ACTS: Final = frozenset({"accepted", "clamped", "cleared"})
KINDS: Final = {"cap_w": "a cap of", "import_limit_kw": "an import limit of"}
"""Kinds that are told with a value; the others are words already."""

Status = Literal["accepted", "clamped", "rejected", "expired", "cleared"]


@dataclass(frozen=True)
class Tried:
    """What the changes come to, and the overrides that stand after them. `refused` is why one of them would not act, None where all would."""

    judged: tuple[Judged, ...]
    standing: tuple[Proposal, ...]
    refused: str | None


def tried(asked: WhatIfSet, ground: Ground) -> Tried:
    """Judge what somebody thinks of."""
    trial = Trial(ground.site, ground.standing, ground.jobs, ground.here.now, ground.limits)
    judged = tuple(_judged(change, _result(trial, asked, change, i)) for i, change in enumerate(asked.changes))
    refused = next((f"{each.target}: {each.reason}" for each in judged if each.status not in ACTS), None)
    return Tried(judged, trial.standing, refused)


def words(changes: Sequence[Change], judged: Sequence[Judged]) -> str:
    """Changes in words, as they would act."""
    return " and ".join(_words(change, each) for change, each in zip(changes, judged, strict=True))


def _result(trial: Trial, asked: WhatIfSet, change: Change, number: int) -> OverrideResult:
    if change.clear is not None:
        return trial.clear(change.target, change.clear, asked.by)
    assert change.kind is not None
    request = OverrideSet(
        id=f"{asked.id[:60]}-{number}",
        kind=change.kind,
        value=change.value,
        priority=change.priority,
        start=change.start,
        end=change.end,
        ttl_s=change.ttl_s,
        by=asked.by,
        reason=asked.reason,
    )
    return trial.set(change.target, request)


def _judged(change: Change, result: OverrideResult) -> Judged:
    status = cast("Status", result.status)  # a trial says nothing else
    return Judged(target=change.target, status=status, effective=result.effective, until=result.until, reason=result.reason)


def _words(change: Change, judged: Judged) -> str:
    if change.clear is not None:
        return f"clearing {change.clear} on {change.target}"
    until = "" if judged.until is None else f" until {judged.until:%Y-%m-%dT%H:%MZ}"
    value = "" if judged.effective is None else f" {judged.effective:g} {'W' if change.kind == 'cap_w' else 'kW'}"
    clamped = f" (asked {change.value:g})" if change.value is not None and judged.effective != change.value else ""
    return f"{KINDS.get(change.kind or '', change.kind)}{value}{clamped} on {change.target}{until}"
