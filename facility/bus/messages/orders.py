"""What the service orders from pools, jobs, cooling plants and batteries, and what they report."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta as Rule
from msgspec import field

from facility.bus.messages.codec import Count, Gpus, Id, Instant, Name, NonNegative, Order, Payload, Report, Watts


class CapGroup(Payload, frozen=True, kw_only=True):
    """GPUs of one workload that share one cap."""

    workload: Name
    gpus: Gpus
    cap_w: Watts


class CapDesired(Order, frozen=True, kw_only=True):
    """Caps of a pool: groups, and `cap_w` for every GPU in no group; after `valid_until` min(enforced, fallback)."""

    cap_w: Watts
    fallback_cap_w: Watts
    groups: tuple[CapGroup, ...] = ()


class CapReported(Report, frozen=True, kw_only=True):
    """Caps that an agent read back from its GPUs; `enforced_cap_w` is the highest.

    `gpus` are all that work, `gone` those that should and do not; a number of `gpus` below the site file's tells as much.
    """

    enforced_cap_w: Watts
    groups: tuple[CapGroup, ...] = ()
    draw_kw: NonNegative | None = None
    gpus: Gpus | None = None
    gone: Gpus = 0


class JobSpec(Payload, frozen=True, kw_only=True):
    """A job that its scheduler knows; where a field is null the site's `jobs` says what holds."""

    submit: Instant
    gpus: Annotated[int, Rule(ge=1, le=10_000_000)]
    work_gpu_h: NonNegative
    pool: Id
    deadline: Instant | None = None
    tenant: Id | None = None
    contract: Id | None = None
    curve: Id | None = None
    elastic: bool = False
    min_run_h: NonNegative | None = None


class JobDesired(Order, frozen=True, kw_only=True):
    """Run a job on `gpus` GPUs, or hold it until an instant (null: until told otherwise)."""

    action: Literal["run", "hold"]
    gpus: Count
    until: Instant | None = None


class JobReported(Report, frozen=True, kw_only=True):
    """Where a job stands and which GPUs it holds."""

    state: Literal["waiting", "running", "done"]
    done_gpu_h: NonNegative | None = None
    gpus: Gpus = 0


class HallSetpoint(Payload, frozen=True, kw_only=True):
    """Temperature to hold in a hall."""

    temperature_c: float


class CoolingDesired(Order, frozen=True, kw_only=True):
    """Temperatures that a plant is asked to hold, by hall, what it is to charge its tank with (negative discharges), and its supply."""

    halls: dict[Id, HallSetpoint]
    store_kw: float | None = None
    supply_c: float | None = None


class CoolingReported(Report, frozen=True, kw_only=True):
    """What a plant holds and draws, and the cold in its tank."""

    halls: dict[Id, HallSetpoint] = field(default_factory=dict)
    power_kw: NonNegative | None = None
    stored_kwh: NonNegative | None = None
    stage: Count | None = None


class BatteryDesired(Order, frozen=True, kw_only=True):
    """Power of a battery; positive charges."""

    power_kw: float


class GensetDesired(Order, frozen=True, kw_only=True):
    """Power of a genset; 0 is off. It stops when the order ends and no other has come."""

    power_kw: NonNegative


class SolarDesired(Order, frozen=True, kw_only=True):
    """The most a solar plant may give; null, and when the order ends: all that the sky gives."""

    limit_kw: NonNegative | None = None


class BatteryReported(Report, frozen=True, kw_only=True):
    """What a battery does and holds; positive charges."""

    power_kw: float | None = None
    energy_kwh: NonNegative | None = None
