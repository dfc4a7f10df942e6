"""Dialects: how a building says what its meters read - in our own tree, or as one of four kinds of gateway that are found in halls.

| dialect | topics | payload |
|---|---|---|
| telegraf | `telegraf/GATEWAY/MEASUREMENT` | Telegraf's JSON batches: fields in base units, tags, seconds |
| plain | `bms/HALL/SYSTEM/ASSET/QUANTITY` | one number and nothing else, in W, degF, or kWh; no time |
| nested | `iot/HALL` | an object for each device with its quality, and ISO 8601 |
| dsx | `BMS/v1/PUB/...` | NVIDIA DSX Exchange: `facility.simulate.exchange` |

The foreign ones leave to an exporter what GPUs say of themselves, and know nothing of `facility.telemetry`:
what they say is read back by the mapping of a site file, or not at all.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

from facility.bus.interface import Message
from facility.bus.messages import Sample, encode
from facility.bus.topics import Topics
from facility.sensors import Sensor
from facility.simulate.exchange import Exchange
from facility.simulate.reports import describe, milliseconds
from facility.site import Site

Readings = Mapping[Sensor, float]

INPUTS = {"pool": "pdu", "feeder": "modbus", "cooling": "chiller", "meter": "grid", "battery": "bess", "hall": "air"}
INPUTS |= {"weather": "weather", "solar": "pv", "genset": "genset", "water": "water", "heat": "heat"}
FIELDS = {
    "it_power_kw": ("load", 1000.0),
    "power_kw": ("power", 1000.0),
    "import_kw": ("active_power", 1000.0),
    "energy_kwh": ("energy", 1000.0),
    "stored_kwh": ("stored", 1000.0),
    "air_temperature_c": ("temperature", 1.0),
    "temperature_c": ("temperature", 1.0),
    "supply_c": ("temperature", 1.0),
    "reused_kw": ("power", 1000.0),
    "flow_m3_per_h": ("flow", 1000.0),
}
"""Of Telegraf: which of its inputs reads a type of asset; what it calls a point, and how many of its units ours is."""

SYSTEMS = {"pool": "IT", "feeder": "ELEC", "cooling": "HVAC", "meter": "ELEC", "battery": "BESS", "hall": "HVAC", "weather": "ROOF"}
SYSTEMS |= {"solar": "PV", "genset": "ELEC", "water": "HVAC", "heat": "HVAC"}
QUANTITIES = {"kW": ("P", 1000.0, 0.0), "kWh": ("E", 1.0, 0.0), "degC": ("T", 1.8, 32.0), "m3/h": ("V", 1000.0, 0.0)}
"""Of the plain numbers: the system that an asset belongs to; the letter of a quantity, and its unit as scale and offset of ours."""


class Dialect(Protocol):
    """One way to speak."""

    def describe(self, period_s: Mapping[Sensor, float]) -> Iterator[Message]:
        """Say what is said once, after each connection: what the points measure, and how often."""

    def tell(self, readings: Readings, at: datetime) -> Iterator[Message]:
        """Say what the meters read at one instant, each in its sensor's unit."""


class OwnTree:
    """Our own tree: each point described once and sampled alone."""

    def __init__(self, site: Site) -> None:
        self._site, self._topics = site, Topics(site.bus.root, site.id)

    def describe(self, period_s: Mapping[Sensor, float]) -> Iterator[Message]:
        """See `Dialect.describe`."""
        for sensor, period in period_s.items():
            topic = self._topics.meta(sensor.hall, sensor.asset_type, sensor.asset, sensor.point)
            yield Message(topic, encode(describe(sensor, self._site, period)), qos=1, retain=True)

    def tell(self, readings: Readings, at: datetime) -> Iterator[Message]:
        """See `Dialect.tell`."""
        for sensor, value in readings.items():
            topic = self._topics.tele(sensor.hall, sensor.asset_type, sensor.asset, sensor.point)
            yield Message(topic, encode(Sample(value, milliseconds(at))))


class Foreign:
    """What describes nothing: people know what its points are."""

    def describe(self, _period_s: Mapping[Sensor, float]) -> Iterator[Message]:
        """See `Dialect.describe`."""
        return iter(())

    def meters(self, readings: Readings) -> Iterator[tuple[Sensor, float]]:
        """The readings without those of GPUs."""
        return ((sensor, value) for sensor, value in readings.items() if sensor.point != "gpu_power_kw")


class Telegraf(Foreign):
    """A Telegraf agent in each hall, with `data_format = "json"` and a batch for each of its inputs."""

    def tell(self, readings: Readings, at: datetime) -> Iterator[Message]:
        """See `Dialect.tell`."""
        batches: dict[tuple[str, str], dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        for sensor, value in self.meters(readings):
            field, scale = FIELDS[sensor.point]
            batches[sensor.hall, INPUTS[sensor.asset_type]][sensor.asset][field] = scale * value
        for (hall, measured), devices in batches.items():
            gateway = f"gw-{hall}"
            metrics = [
                {"fields": fields, "name": measured, "tags": {"device": device, "host": gateway}, "timestamp": int(at.timestamp())}
                for device, fields in devices.items()
            ]
            yield _message(f"telegraf/{gateway}/{measured}", {"metrics": metrics})


class Plain(Foreign):
    """A building management system that sends each value alone, under names in capitals, in what its designers were used to."""

    def tell(self, readings: Readings, _at: datetime) -> Iterator[Message]:
        """See `Dialect.tell`."""
        for sensor, value in self.meters(readings):
            quantity, scale, offset = QUANTITIES[sensor.unit]
            names = (sensor.hall, SYSTEMS[sensor.asset_type], sensor.asset)
            place = "/".join(name.upper().replace("-", "_") for name in names)
            yield Message(f"bms/{place}/{quantity}", f"{scale * value + offset:.3f}".encode())


class Nested(Foreign):
    """A platform that sends what changed in a hall as one object, device by device."""

    def tell(self, readings: Readings, at: datetime) -> Iterator[Message]:
        """See `Dialect.tell`."""
        halls: dict[str, dict[tuple[str, str], dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
        for sensor, value in self.meters(readings):
            quantity = {"kW": "power", "kWh": "energy", "degC": "temperature", "m3/h": "flow"}[sensor.unit]
            halls[sensor.hall][sensor.asset_type, sensor.asset][quantity] = {"value": round(value, 4), "unit": sensor.unit}
        for hall, devices in halls.items():
            told = [
                {"device": {"type": kind, "id": device}, "quality": "GOOD", "data": data} for (kind, device), data in devices.items()
            ]
            yield _message(f"iot/{hall}", {"sent": at.isoformat(timespec="milliseconds"), "devices": told})


DIALECTS: Mapping[str, Callable[[], Dialect]] = {"telegraf": Telegraf, "plain": Plain, "nested": Nested, "dsx": Exchange}


def _message(topic: str, payload: Any) -> Message:
    return Message(topic, json.dumps(payload).encode())
