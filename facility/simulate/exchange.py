"""Exchange: a building whose management system publishes as NVIDIA DSX Exchange has it: metadata once, retained, and values.

| asset | points | identifier |
|---|---|---|
| pool | Rack RackPower, kW, of as many racks as `RACKS`, alike | rackLocationId `POOL-00` ... |
| feeder, meter, cooling, battery | PowerMeter ActivePower, W | objectId `FEEDER:UPS-1` |
| hall, weather | Sensor AirTemperature, C | objectId `HALL:H1` |
| what is stored | GenericObject GenericPoint, kWh | objectId `BATTERY:BESS-1` |

It knows nothing of `facility.telemetry`: what it says is read back by the rules of a site file's `bus.dsx`, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from facility.bus.interface import Message
from facility.dsx.facts import BMS, GOOD, METADATA, VALUE
from facility.sensors import Sensor
from facility.simulate.reports import milliseconds

RACKS = 4

Point = tuple[str, dict[str, Any], float]
"""The levels of a point below `Value` and `Metadata`, what its metadata says, and what one of our units is there."""


class Exchange:
    """A `Dialect`."""

    def describe(self, period_s: Mapping[Sensor, float]) -> Iterator[Message]:
        """See `Dialect.describe`."""
        for sensor in period_s:
            for place, metadata, _ in _points(sensor):
                object_type, point_type, _ = place.split("/", 2)
                told = {"objectType": object_type, "pointType": point_type} | metadata
                yield Message(f"{BMS}/{METADATA}/{place}", json.dumps(told).encode(), qos=1, retain=True)

    def tell(self, readings: Mapping[Sensor, float], at: datetime) -> Iterator[Message]:
        """See `Dialect.tell`."""
        for sensor, value in readings.items():
            for place, _, scale in _points(sensor):
                told = {"value": round(scale * value, 3), "timestamp": milliseconds(at), "quality": GOOD}
                yield Message(f"{BMS}/{VALUE}/{place}", json.dumps(told).encode())


def _points(sensor: Sensor) -> Iterator[Point]:
    """The points that stand for a sensor; none for what GPUs say of themselves."""
    name, tag = f"{sensor.asset_type}:{sensor.asset}".upper(), f"{sensor.hall}/{sensor.asset}"
    named = {"objectName": name, "objectId": name}
    match sensor.asset_type, sensor.point:
        case _, "gpu_power_kw":
            return
        case "pool", _:
            for i in range(RACKS):
                rack = f"{sensor.asset}-{i:02d}".upper()
                yield f"Rack/RackPower/{tag}/{i:02d}", {"rackLocationName": rack, "rackLocationId": rack, "engUnit": "kW"}, 1 / RACKS
        case _ if sensor.unit == "kW":
            yield f"PowerMeter/ActivePower/{tag}", named | {"servesId": [], "engUnit": "W"}, 1000.0
        case _ if sensor.unit == "degC":
            yield f"Sensor/AirTemperature/{tag}", named | {"engUnit": "C"}, 1.0
        case _:
            yield f"GenericObject/GenericPoint/{tag}", named | {"engUnit": sensor.unit}, 1.0
