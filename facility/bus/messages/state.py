"""What the service tells of itself: its mode, its alarms, its plan."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta as Rule
from msgspec import field

from facility.bus.messages.codec import Currency, Id, Instant, Milliseconds, Name, Payload, Positive, Serial, Text, Watts


class Status(Payload, frozen=True, kw_only=True):
    """How an instance of the service is; `standby` waits to take over, `offline` is its last will."""

    instance: Name
    mode: Literal["NORMAL", "HOLD", "SAFE", "MANUAL", "standby", "offline"]
    cycle: Serial | None = None
    heartbeat: Milliseconds | None = None
    since: Instant | None = None
    reason: Text = ""
    version: Name | None = None
    epoch: Serial | None = None
    seq: Serial | None = None
    plan_id: Name | None = None
    alarms: tuple[Name, ...] = ()
    shelved: tuple[Name, ...] = ()


class Shelved(Payload, frozen=True, kw_only=True):
    """Until when an alarm is put aside, by whom and why."""

    until: Instant
    by: Name
    reason: Text


class Alarm(Payload, frozen=True, kw_only=True):
    """Something a person must know; an empty payload clears it.

    `severity` is its priority: `critical` asks for somebody now, `alarm` within minutes, `warning` within the day. It stands since `since`
    and came `count` times since then, last at `last_at`.
    """

    id: Id
    severity: Literal["warning", "alarm", "critical"]
    cause: Text
    since: Instant
    place: Name | None = None
    remedy: Text = ""
    last_at: Instant | None = None
    count: Annotated[int, Rule(ge=1)] = 1
    shelved: Shelved | None = None


class Breach(Payload, frozen=True, kw_only=True):
    """A limit that the plan could not keep: what, when, how much, and what would have had to be different."""

    family: Name
    asset: Name
    start: Instant
    end: Instant
    amount: float
    unit: Name
    remedy: Text = ""


class PlanStep(Payload, frozen=True, kw_only=True):
    """One step of a plan; `caps_w` is the highest cap of each pool, `kept_back_kw` how far below the import limit the plan stays."""

    time: Instant
    hours: Positive
    import_kw: float
    import_limit_kw: float | None = None
    kept_back_kw: float = 0.0
    price_per_mwh: float | None = None
    it_kw: float
    cooling_kw: float = 0.0
    battery_kw: float = 0.0
    outdoor_c: float | None = None
    gpus_running: float | None = None
    caps_w: dict[Id, Watts] = field(default_factory=dict)


class PlanCurrent(Payload, frozen=True, kw_only=True):
    """The plan in force, for people and dashboards. Money is in `currency`."""

    plan_id: Name
    issued_at: Instant
    site: Id
    currency: Currency
    mode: Literal["NORMAL", "HOLD", "SAFE", "MANUAL"]
    steps: tuple[PlanStep, ...]
    energy_kwh: float | None = None
    energy_cost: float | None = None
    saving_pct: float | None = None
    peak_kw: float | None = None
    carbon_kg: float | None = None
    weighted_throughput: float | None = None
    breaches: tuple[Breach, ...] = ()
    reason: Text = ""
