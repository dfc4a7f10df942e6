"""The site file's schema: every key a site file may have, with its unit, range and meaning.

`facility.config.load_site` reads a YAML file into these frozen types. A unit stands at the end of every key that has one;
money is in the site's `currency`. Ids match `[a-z0-9][a-z0-9-]*`, because they become MQTT topic levels.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facility.site.dsx import BmsPoint, Dsx, Peer
from facility.site.electrical import Battery, Feeder, Genset, Solar
from facility.site.gpus import Curve, GpuModel, OperatingPoint, Pool
from facility.site.grid import Carbon, Feed, Grid, LimitWindow
from facility.site.maintenance import Maintenance
from facility.site.mapping import Format, MappingRule, Quality, Timestamp
from facility.site.part import Id, Part
from facility.site.reserve import Reserve, ReserveWindow
from facility.site.retention import Retention
from facility.site.schedulers import Account, Kubernetes, Schedulers, Slurm
from facility.site.scrape import Scrape
from facility.site.sensors import SensorKey, SensorRules
from facility.site.service import Bus, Control, GuardBands
from facility.site.sustainability import HeatMeter, Renewables, Sustainability, WaterMeter
from facility.site.tariff import DemandCharge, EnergyWindow, FeeWindow, Tariff, Window
from facility.site.tenancy import Contract, Jobs, Quotes, SampleJob, Tenant
from facility.site.thermal import CapacityPoint, CoolingPlant, Hall, SetPoint, Stage, Thermal, ThermalStore, Weather

__all__ = [
    "Account",
    "Battery",
    "BmsPoint",
    "Bus",
    "CapacityPoint",
    "Carbon",
    "Contract",
    "Control",
    "CoolingPlant",
    "Curve",
    "DemandCharge",
    "Dsx",
    "EnergyWindow",
    "FeeWindow",
    "Feed",
    "Feeder",
    "Format",
    "Genset",
    "GpuModel",
    "Grid",
    "GuardBands",
    "Hall",
    "HeatMeter",
    "Jobs",
    "Kubernetes",
    "LimitWindow",
    "Maintenance",
    "MappingRule",
    "OperatingPoint",
    "Part",
    "Peer",
    "Pool",
    "Quality",
    "Quotes",
    "Renewables",
    "Reserve",
    "ReserveWindow",
    "Retention",
    "SampleJob",
    "Schedulers",
    "Scrape",
    "SensorRules",
    "SetPoint",
    "Site",
    "Slurm",
    "Solar",
    "Stage",
    "Sustainability",
    "Tariff",
    "Tenant",
    "Thermal",
    "ThermalStore",
    "Timestamp",
    "WaterMeter",
    "Weather",
    "Window",
]


class Site(Part):
    """One facility behind one grid connection."""

    id: Id
    name: str
    based_on: str | None = Field(default=None, description="another site file, complete by itself, of which this one says what is different")
    timezone: str = Field(description="IANA zone, such as Europe/Berlin")
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = Field(description="ISO 4217 code")
    grid: Grid
    tariff: Tariff
    weather: Weather
    carbon: Carbon = Carbon()
    gpu_models: Annotated[dict[Id, GpuModel], Field(min_length=1)]
    feeders: Annotated[dict[Id, Feeder], Field(min_length=1)]
    halls: Annotated[dict[Id, Hall], Field(min_length=1)]
    cooling_plants: dict[Id, CoolingPlant] = Field(default={})
    pools: Annotated[dict[Id, Pool], Field(min_length=1)]
    batteries: dict[Id, Battery] = Field(default={})
    solar: dict[Id, Solar] = Field(default={})
    gensets: dict[Id, Genset] = Field(default={})
    tenants: dict[Id, Tenant] = Field(default={})
    contracts: dict[Id, Contract] = Field(default={})
    jobs: Jobs
    quotes: Quotes = Quotes()
    maintenance: dict[Id, Maintenance] = Field(default={}, description="GPUs that are out for a while")
    sample_jobs: tuple[SampleJob, ...] = Field(default=(), description="jobs of the demonstration only")
    schedulers: Schedulers = Schedulers()
    scrape: dict[Id, Scrape] = Field(default={}, description="exporters that tell the power of each GPU")
    sensors: dict[SensorKey, SensorRules] = Field(default={}, description="what is known of single sensors, by `hall/asset_type/asset/point`")
    control: Control = Control()
    bus: Bus = Bus()
    history: Retention = Retention()
    sustainability: Sustainability = Sustainability()
