"""What people ask for and are answered: overrides, alarms put aside, positions."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta as Rule

from facility.bus.messages.codec import Command, Instant, Name, NonNegative, Payload, Text
from facility.bus.messages.readings import Step, refuse_disorder
from facility.overrides.proposal import Kind


class OverrideSet(Command, frozen=True, kw_only=True):
    """An operator's command for a target. It lasts until `end`, or `ttl_s` from its start; neither: the site's default."""

    kind: Kind
    value: NonNegative | None = None
    priority: Annotated[int, Rule(ge=1, le=16)] = 8
    start: Instant | None = None
    end: Instant | None = None
    ttl_s: Annotated[float, Rule(gt=0, le=31_536_000)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.kind in {"cap_w", "import_limit_kw"}) != (self.value is not None):
            raise ValueError("cap_w and import_limit_kw need a value, the other kinds have none")
        if self.end is not None and self.ttl_s is not None:
            raise ValueError("give end or ttl_s, not both")


class OverrideClear(Command, frozen=True, kw_only=True):
    """The end of an override; `id` is that of the override."""


class OverrideResult(Payload, frozen=True, kw_only=True):
    """The answer to a command, always; and what becomes of it later: expired, superseded, or outranked by somebody whom it then gives way to."""

    id: str | None
    status: Literal["accepted", "clamped", "rejected", "duplicate", "expired", "superseded", "outranked", "cleared"]
    effective: float | None = None
    until: Instant | None = None
    reason: Text = ""


class AlarmShelve(Command, frozen=True, kw_only=True):
    """An alarm is put aside until `end`, or for `ttl_s`; neither: for an hour. `reason` must say why."""

    end: Instant | None = None
    ttl_s: Annotated[float, Rule(gt=0, le=31_536_000)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.end is not None and self.ttl_s is not None:
            raise ValueError("give end or ttl_s, not both")


class AlarmUnshelve(Command, frozen=True, kw_only=True):
    """An alarm is taken off its shelf; `id` is the command's own."""


class Override(Payload, frozen=True, kw_only=True):
    """One override in force; `effective` is its value after clamping."""

    id: Name
    kind: Kind
    value: float | None
    effective: float | None
    priority: int
    start: Instant
    end: Instant
    by: Name
    reason: Text = ""


class OverrideState(Payload, frozen=True, kw_only=True):
    """What is in force for a target now, the strongest first; an empty payload where nothing is."""

    overrides: tuple[Override, ...]


class PositionSet(Command, frozen=True, kw_only=True):
    """What is committed a day ahead: the mean power of each step, import less export. Without points, all is withdrawn."""

    unit: Literal["kW"] = "kW"
    points: tuple[Step, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_disorder(self.points)


class PositionState(Payload, frozen=True, kw_only=True):
    """What is committed now; an empty payload where nothing is. `by` and `reason` are of the last command."""

    unit: Literal["kW"] = "kW"
    points: tuple[Step, ...]
    by: Name
    reason: Text = ""
