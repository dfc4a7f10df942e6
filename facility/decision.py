"""A decision: what is sent now. The plan behind it covers the whole horizon; a decision is only its first step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class CapGroup:
    """`gpus` GPUs of one workload that share one cap, W."""

    workload: str
    gpus: int
    cap_w: int


@dataclass(frozen=True)
class PoolCaps:
    """The caps of one pool: groups, and `cap_w` for every GPU in no group."""

    pool: str
    cap_w: int
    groups: tuple[CapGroup, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class JobOrder:
    """Run a job now, or hold it until an instant (None: until told otherwise). `gpus` is how many it may use."""

    job: str
    action: Literal["run", "hold"]
    gpus: int
    until: datetime | None = None
    reason: str = ""


@dataclass(frozen=True)
class BatteryOrder:
    """Power of one battery, kW; positive charges."""

    battery: str
    power_kw: float


@dataclass(frozen=True)
class SolarOrder:
    """What a solar plant is expected to give, kW, and the most it may; None: all that the sky gives."""

    solar: str
    power_kw: float
    limit_kw: float | None = None


@dataclass(frozen=True)
class GensetOrder:
    """Power of one genset, kW; 0 is off."""

    genset: str
    power_kw: float


@dataclass(frozen=True)
class CoolingOrder:
    """Hall temperatures that one cooling plant is asked to hold, degC, and what it is to charge its tank with, kW of heat;
    negative discharges, None: it has no tank. `supply_c` is at what it is to supply, degC, None: it has no choice.
    """

    plant: str
    hall_c: tuple[tuple[str, float], ...]
    store_kw: float | None = None
    supply_c: float | None = None


@dataclass(frozen=True)
class Decision:
    """Everything that is sent in one cycle, valid in the half-open interval [at, until), UTC."""

    at: datetime
    until: datetime
    pools: tuple[PoolCaps, ...]
    jobs: tuple[JobOrder, ...] = ()
    batteries: tuple[BatteryOrder, ...] = ()
    cooling: tuple[CoolingOrder, ...] = ()
    solar: tuple[SolarOrder, ...] = ()
    gensets: tuple[GensetOrder, ...] = ()
    import_limit_kw: float | None = None
    """The grid limit this decision was made for, kW."""
    event_target_kw: float | None = None
    """Most that a grid event allows in the first step, kW; None where none calls it."""
    reserve_up_kw: float = 0.0
    """What is sold to the grid's operator for the first step: power that can be taken off the grid, kW."""
    reserve_down_kw: float = 0.0
    """As `reserve_up_kw`: power that can be drawn more, kW."""
    maintenance: tuple[str, ...] = ()
    """The maintenances whose window the plan began with this decision, by the site file's ids."""
    first_step_s: float | None = None
    """How long the plan's first step lasts, s: at its end the halls have the temperatures of `cooling`. None: not told."""
