"""Every payload on the bus, one type each: JSON, UTF-8, at most 64 KiB, decoded and validated in one pass.

Instants are ISO 8601 with an offset and come out in UTC; `timestamp` and `heartbeat` are milliseconds since 1970, as in NVIDIA
DSX Exchange. Numbers are finite and integers fit into 64 bits.
"""

from __future__ import annotations

from facility.bus.messages.codec import Payload, Rejected, decode, encode
from facility.bus.messages.orders import (
    BatteryDesired,
    BatteryReported,
    CapDesired,
    CapGroup,
    CapReported,
    CoolingDesired,
    CoolingReported,
    GensetDesired,
    HallSetpoint,
    JobDesired,
    JobReported,
    JobSpec,
    SolarDesired,
)
from facility.bus.messages.people import (
    ContractClear,
    ContractSet,
    ContractState,
    Override,
    OverrideClear,
    OverrideResult,
    OverrideSet,
    OverrideState,
    PositionSet,
    PositionState,
    QuoteRequest,
    QuoteResult,
)
from facility.bus.messages.quality import Doubted, Quality
from facility.bus.messages.readings import (
    Batch,
    GridCarbon,
    GridEvent,
    GridLimit,
    GridPrice,
    LoadSignal,
    Meta,
    Sample,
    Series,
    Step,
    WeatherSignal,
)
from facility.bus.messages.state import Alarm, Breach, PlanCurrent, PlanStep, Status
from facility.bus.messages.tenants import TenantCap, TenantJob, TenantRefusal, TenantRental, TenantView

__all__ = [
    "Alarm",
    "Batch",
    "BatteryDesired",
    "BatteryReported",
    "Breach",
    "CapDesired",
    "CapGroup",
    "CapReported",
    "ContractClear",
    "ContractSet",
    "ContractState",
    "CoolingDesired",
    "CoolingReported",
    "Doubted",
    "GensetDesired",
    "GridCarbon",
    "GridEvent",
    "GridLimit",
    "GridPrice",
    "HallSetpoint",
    "JobDesired",
    "JobReported",
    "JobSpec",
    "LoadSignal",
    "Meta",
    "Override",
    "OverrideClear",
    "OverrideResult",
    "OverrideSet",
    "OverrideState",
    "Payload",
    "PlanCurrent",
    "PlanStep",
    "PositionSet",
    "PositionState",
    "Quality",
    "QuoteRequest",
    "QuoteResult",
    "Rejected",
    "Sample",
    "Series",
    "SolarDesired",
    "Status",
    "Step",
    "TenantCap",
    "TenantJob",
    "TenantRefusal",
    "TenantRental",
    "TenantView",
    "WeatherSignal",
    "decode",
    "encode",
]
