"""What events of flexible load hold, by the standard's own names. Source: `facility.dsx.facts`.

An instant that is absent is absent on the wire too: the standard knows no null, except for a constraint that is taken away.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta as Rule

from facility.bus.messages.codec import Instant, Name, NonNegative, Payload, Text

MOST_TARGETS = 200
"""Requests that one order may hold, and targets that one orderer may have standing."""

UNIT_KW = {"watt": 1e-3, "kilowatt": 1.0, "megawatt": 1e3}


class Power(Payload, frozen=True, kw_only=True):
    """A power with its unit."""

    value: NonNegative
    unit: Literal["watt", "kilowatt", "megawatt"]

    @property
    def kw(self) -> float:
        """The power, kW."""
        return self.value * UNIT_KW[self.unit]


def power(kw: float) -> Power:
    """A power that we tell; what flows back counts as nothing."""
    return Power(value=round(max(kw, 0.0), 3), unit="kilowatt")


class Interval(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """[start, end); without a start from now on, without an end until replaced."""

    start_time: Instant | None = None
    end_time: Instant | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start_time is not None and self.end_time is not None and self.end_time <= self.start_time:
            raise ValueError("end_time must be after start_time")


class Strategy(Payload, frozen=True, kw_only=True):
    """With best effort nothing is done that disturbs what runs, and the target may be missed."""

    best_effort: bool = False


class Request(Payload, frozen=True, kw_only=True):
    """A target for some feeds, or for all where none is named; a null constraint takes away what stood there."""

    interval: Interval
    load_constraint: Power | None
    feed_tags: tuple[Name, ...] = ()
    strategy: Strategy = Strategy()


class SetLoadTarget(Payload, frozen=True, kw_only=True):
    """The data of an order."""

    targets: Annotated[tuple[Request, ...], Rule(min_length=1, max_length=MOST_TARGETS)]


class FeedMetadata(Payload, frozen=True, kw_only=True):
    """What a feed can draw at least and at most, and what holds where nobody orders anything."""

    power_minimum: Power
    power_maximum: Power
    default_constraint: Power


class FeedTarget(Payload, frozen=True, kw_only=True):
    """A target that stands, now or later, by the correlation id of its order."""

    active: bool
    load_constraint: Power
    interval: Interval
    strategy: Strategy
    correlation_id: UUID


StateEvent = Literal["target_set", "start_ramp_down", "end_ramp_down", "start_ramp_up", "end_ramp_up", "periodic"]


class FeedState(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """How a feed stands, and what made us tell."""

    metadata: FeedMetadata
    targets: tuple[FeedTarget, ...]
    calculated_load: Power
    in_flight: bool
    event: StateEvent
    compliant: bool
    power_event_start_time: Instant | None = None


class PowerState(Payload, frozen=True, kw_only=True):
    """The data of a power state, by feed tag."""

    snapshot_time: Instant
    feeds: dict[Name, FeedState]


BreachStatus = Literal["active", "escalated", "resolved"]
Severity = Literal["warning", "critical"]
Action = Literal["SHUTDOWN_NODES", "SHUTDOWN_RACKS", "CUT_DATA_FEEDS", "TRIP_BREAKERS"]


class BreachDetails(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Which breach, and from when to when."""

    breach_id: UUID
    detected_at: Instant
    resolved_at: datetime | None = None


class BreachTarget(Payload, frozen=True, kw_only=True):
    """The target that is not kept."""

    correlation_id: UUID
    load_constraint: Power


class ShedHint(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """What could be throttled; advice, no order."""

    resource_id: Name
    resource_type: Literal["node", "gpu", "chassis"]
    action: Literal["power_cap", "throttle", "suspend"]
    priority: Annotated[int, Rule(ge=1)]
    target_power: Power | None = None


class PowerBreach(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The data of a breach; `shed_hints` are absent once it is resolved."""

    feed_tag: Name
    status: BreachStatus
    severity: Severity
    breach: BreachDetails
    target: BreachTarget
    measured_load: Power
    infrastructure_actions: tuple[Action, ...]
    shed_hints: tuple[ShedHint, ...] | None = None


class EnforcementResult(Payload, frozen=True, kw_only=True):
    """What became of one hint."""

    resource_id: Name
    resource_type: Literal["node", "gpu", "chassis"]
    requested_action: Literal["power_cap", "throttle", "suspend"]
    code: Literal["applied", "failed", "skipped"]
    message: Text = ""
    applied_power: Power | None = None


class Enforcement(Payload, frozen=True, kw_only=True):
    """The data of an enforcement: what who acts on the hardware did, or undid."""

    breach_id: UUID
    feed_tag: Name
    action: Literal["applied", "reverted"]
    code: Literal["success", "partial", "error"]
    results: tuple[EnforcementResult, ...]
    timestamp: Instant
    diag_msg: Text = ""
