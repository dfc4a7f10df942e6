"""Facts of NVIDIA DSX Exchange, typed in by hand: topics, names, enumerations.

Source: github NVIDIA/dsx-exchange (Apache-2.0), the AsyncAPI 3.1.0 files `BMS Event Bus` 1.0.0 and `DSX Flex` 1.7.0.

    BMS/v1/PUB/Metadata/{objectType}/{pointType}/{tagPath}    retained, and again every 100 s
    BMS/v1/PUB/Value/{objectType}/{pointType}/{tagPath}       on change, and again every 100 s
    BMS/v1/{integration}/Value/{objectType}/{pointType}/{tagPath}    what metadata with this `integration` asks of us
    grid/v1/isv/{identifier}/loadtarget/set                   QoS 1   an ISV orders
    grid/v1/dsx-flex-agent/{identifier}/powerstate/status     QoS 1   we tell
    grid/v1/dsx-flex-agent/{identifier}/powerbreach           QoS 2   we tell
    grid/v1/infra/{infraAgentId}/powerbreach/enforcement      QoS 2   who acts on the hardware tells

The tag path has any number of levels and is the same in a point's two topics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BMS: Final = "BMS/v1/PUB"
METADATA, VALUE = "Metadata", "Value"
REPUBLISH_S: Final = 100.0
"""How often a value that does not change is published again."""

GOOD: Final = 1
"""The quality of a value that can be trusted; every other one says that it cannot."""

_LIQUID = ("LiquidTemperature", "LiquidDifferentialPressure", "LiquidFlow", "LiquidPressure")
_AIR = ("AirTemperature", "AirDifferentialPressure", "AirRelativeHumidity", "AirFlow", "AirPressure")
_PLANT = (*_LIQUID, "Status", "Available", "ValvePosition", "PumpSpeed", "FanSpeed", "DamperPosition", *_AIR, "LeakDetect", "GenericPoint")
_GEAR = ("Status", "Available", "GenericPoint")

POINTS: Final[Mapping[str, tuple[str, ...]]] = {
    "Rack": (
        "RackLiquidSupplyTemperature", "RackLiquidReturnTemperature", "RackLiquidFlow", "RackLiquidDifferentialPressure",
        "RackLiquidDifferentialPressureSp", "RackControlValvePosition", "RackPower", "RackLeakDetect", "RackLeakSensorFault",
        "RackLiquidIsolationStatus", "RackElectricalIsolationStatus",
    ),
    "PowerMeter": (
        "Voltage", "PowerFactor", "Frequency", "ApparentPower", "ActivePower", "Current", "CurrentLimit", "PhaseCurrent", "GenericPoint",
    ),
    **dict.fromkeys(("BESS", "UPS", "ATS", "Generator", "Shunt", "Breaker"), _GEAR),
    **dict.fromkeys(("CDU", "CoolingTower", "HX", "CRAH", "CRAC", "AHU", "Chiller", "Tank"), _PLANT),
    "Valve": ("ValvePosition", "Available", "GenericPoint"),
    "Pump": ("PumpSpeed", "Available", "GenericPoint"),
    "Fan": ("FanSpeed", "Available", "GenericPoint"),
    "Damper": ("DamperPosition", "Available", "GenericPoint"),
    "Sensor": (*_LIQUID, *_AIR, "LeakDetect", "Sound", "Available", "GenericPoint"),
    "GenericObject": (*_PLANT, "Sound"),
    "System": ("HeartbeatTimestampBms", "HeartbeatEchoBms", "Status", "Available", "GenericPoint"),
}  # fmt: skip
"""By object type, the point types whose values the building management system publishes itself."""

BEATS: Final = ("HeartbeatTimestampBms", "HeartbeatTimestampIntegration", "HeartbeatEchoIntegration")
"""Point types of a System by which both sides tell every 10 s that they are there: the first is theirs, the others ours."""

SPECVERSION: Final = "1.0.2"
SOURCE: Final = r"//grid/v1/(isv|dsx-flex-agent|infra)/[^/]+"
TRACEPARENT: Final = r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
JWS: Final = r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"
ALGORITHMS: Final = ("ES256", "RS256")

LOAD_TARGET_SET: Final = "grid.loadtarget.set.v1"
POWER_STATE: Final = "grid.powerstate.status.v1"
POWER_BREACH: Final = "grid.powerbreach.alert.v1"
ENFORCEMENT: Final = "grid.powerbreach.enforcement.v1"

CRITICAL_EXCESS: Final = 0.2
"""The share of its target above which a breach is critical; below, it is a warning."""
