"""A plant made of Vessim: its grid connection, battery, solar plant and consumers, with GPUs that obey caps as agents on the bus do.

    demand = pools (facility.simulate's GPUs and jobs) + base          one Vessim `Consumer` each
    solar  = what the clouds let through, at most what was ordered     a Vessim `Producer`
    battery                                                            a Vessim `SimpleBattery` that follows its order, and gives
                                                                       no more than the site draws
    grid   = what is left                                              a Vessim `GridConnection` with `max_import` and `max_export`

Vessim ends the run where an interval does not balance exactly within these limits: there is no curtailment and no slack in it. Powers are
in W there, in kW here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from vessim import Consumer, DispatchPolicy, Environment, GridConnection, Microgrid, Producer, Signal, SimpleBattery

from facility.bus.interface import Message
from facility.bus.messages import BatteryDesired, CapDesired, JobDesired, SolarDesired, decode
from facility.bus.topics import Topics
from facility.simulate.gpu import PoolPlant
from facility.simulate.obedience import Obedience
from facility.simulate.scheduler import Scheduler
from facility.site import Site

TICK_S = 60
ZONE = ZoneInfo("Europe/Berlin")
CURVE = {"source": "made up, concave", "points": [
    {"cap_w": 100, "draw_w": 100, "speed": 0.35}, {"cap_w": 200, "draw_w": 196, "speed": 0.72},
    {"cap_w": 300, "draw_w": 288, "speed": 0.9}, {"cap_w": 400, "draw_w": 372, "speed": 1.0}]}  # fmt: skip
SUN = [max(0.0, round(0.8 * math.sin(math.pi * (hour - 5.5) / 14), 3)) for hour in range(24)]
PRICES = [
    {"from_local": "17:00", "to_local": "21:00", "energy_price_per_mwh": 190},
    {"from_local": "00:00", "to_local": "06:00", "energy_price_per_mwh": 40},
]
RENTAL = {"tenant": "t", "kind": "reserved", "pool": "rented", "gpus": 60, "curve": "train", "floor_speed": 0.6, "value_per_gpu_h": 0.5}
DAILY = (("06:00", 3, 32, 6), ("09:00", 2, 24, 8), ("13:00", 4, 40, 8), ("15:00", 3, 32, 10), ("19:00", 3, 48, 9), ("20:00", 3, 32, 10))
"""Jobs of every day: when they come, for how many hours they run on how many GPUs, and how many hours they may wait."""
SITE = Site.model_validate({
    "id": "v", "name": "Vessim's", "timezone": str(ZONE), "currency": "EUR", "grid": {"import_limit_kw": 44},
    "tariff": {"energy_price_per_mwh": 70, "peak_price_per_kw": 8, "windows": PRICES},
    "weather": {"outdoor_by_hour_c": [12] * 24},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": CURVE}}},
    "feeders": {"main": {"rating_kw": 50}}, "halls": {"h": {"feeder": "main", "base_kw": 6}},
    "pools": {name: {"hall": "h", "feeder": "main", "gpu_model": "g", "gpus": gpus, "host_idle_w": 10, "host_run_w": 20}
              for name, gpus in (("rented", 60), ("shared", 80))},
    "batteries": {"b": {"feeder": "main", "capacity_kwh": 30, "charge_kw": 8, "discharge_kw": 8, "wear_price_per_mwh": 5}},
    "solar": {"roof": {"feeder": "main", "peak_kw": 8, "output_by_hour_kw_per_kwp": SUN}},
    "tenants": {"t": {"name": "T"}}, "contracts": {"c": RENTAL},
    "jobs": {"curve": "train"}, "control": {"cycle_s": 900, "cap_ttl_s": 2700},
    "sample_jobs": [{"submit_local": at, "duration_h": hours, "gpus": gpus, "slack_h": slack_h} for at, hours, gpus, slack_h in DAILY],
})  # fmt: skip
"""Caps of all GPUs at their highest are 56 kW, and 6 kW of base: more than the feeder's 50 kW, which is Vessim's limit."""


class Watts(Signal):  # type: ignore[misc]
    """A signal that asks the plant."""

    def __init__(self, tell_kw: Callable[[], float]) -> None:
        self._tell_kw = tell_kw

    def at(self, elapsed: timedelta | float | None = None) -> float:
        return 1000 * self._tell_kw()


class Clouds:
    """How much of the site file's output the sky lets through: another share every quarter of an hour."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def share(self, now: datetime) -> float:
        return random.Random(f"{self._seed}/{now.timestamp() // 900}").uniform(0.2, 1.1)


class Plant(DispatchPolicy):  # type: ignore[misc]
    """The truth of the site, and what its battery does. `max_import_kw` None lets anything be drawn."""

    def __init__(self, site: Site, start: datetime, seed: int, max_import_kw: float | None) -> None:
        self.site, self.now, self.topics = site, start, Topics(site.bus.root, site.id)
        self.pools = {
            name: PoolPlant(name, pool, site.gpu_models[pool.gpu_model], random.Random(f"{seed}/pool/{name}"))
            for name, pool in site.pools.items()
        }
        for name, contract in site.contracts.items():
            assert contract.pool is not None
            assert contract.curve is not None
            self.pools[contract.pool].give(name, contract.gpus, contract.curve)
        self.scheduler = Scheduler(site, self.pools, start)
        self._clouds, self._roof, self._limit_kw = Clouds(seed), Obedience(), math.inf
        self._battery, self._wanted_kw = Obedience(), 0.0
        (battery,), (solar,) = site.batteries.values(), site.solar.values()
        self._solar = solar
        rate = battery.charge_kw / battery.capacity_kwh
        self.battery = SimpleBattery("battery", 1000 * battery.capacity_kwh, battery.start_share, battery.min_share, rate)
        most_w = None if max_import_kw is None else 1000 * max_import_kw
        self.grid = GridConnection("grid", max_import=most_w, max_export=0.0)
        self.cooling: dict[str, Any] = {}
        self.batteries: dict[str, Any] = {}
        self.pass_by(0.0)

    def connect(self, environment: Environment) -> Microgrid:
        """Put the plant into a Vessim environment."""
        actors = [
            *(Consumer(name, Watts(lambda pool=pool: pool.power_kw)) for name, pool in self.pools.items()),
            Consumer("base", 1000 * sum(hall.base_kw for hall in self.site.halls.values())),
            Producer("roof", Watts(lambda: self.solar_kw)),
        ]
        return environment.add_microgrid(actors, [self.battery, self.grid], self, name="site")

    def apply(self, p_delta: float, duration: float, dispatchables: list[Any], grid_signals: dict[str, float] | None = None) -> None:
        """Let the battery follow its order, as far as it can and without giving anything back to the grid."""
        low_w, high_w = self.battery.feasible_range(duration)
        power_w = min(max(1000 * self._wanted_kw, low_w), high_w)
        power_w = max(power_w, min(p_delta, 0.0)) if power_w < 0 else power_w
        self.battery.set_power(power_w, duration)
        self.grid.set_power(p_delta - power_w, duration)

    @property
    def solar_kw(self) -> float:
        """What the roof gives now, kW."""
        hour = self.now.astimezone(ZONE).hour
        most_kw = self._solar.peak_kw * self._solar.output_by_hour_kw_per_kwp[hour] * self._clouds.share(self.now)
        return min(most_kw, math.inf if self._roof.silent(self.now) else self._limit_kw)

    @property
    def import_kw(self) -> float:
        """What the grid gives now, kW."""
        return float(-self.grid.current_power / 1000)

    def pass_by(self, seconds: float) -> None:
        """Let time pass for everything that is not Vessim's."""
        self.now += timedelta(seconds=seconds)
        for pool in self.pools.values():
            pool.fall_back_if_silent(self.now)
        if self._battery.silent(self.now):
            self._wanted_kw = 0.0
        if seconds:
            self.scheduler.step(seconds, self.now)
        for pool in self.pools.values():
            pool.step(seconds or math.inf)

    def obey(self, message: Message) -> None:
        """Take an order, as an agent does: what is old, expired or out of range is dropped."""
        match self.topics.parse(message.topic):
            case "cap_desired", {"pool": name}:
                self.pools[name].obey(decode(message.payload, CapDesired), self.now)
                for pool in self.pools.values():
                    pool.step(math.inf)
            case "job_desired", {"job": job} if message.payload:
                self.scheduler.obey(job, decode(message.payload, JobDesired), self.now)
            case "battery_desired", _:
                order = decode(message.payload, BatteryDesired)
                if self._battery.take(order, self.now) is None:
                    self._wanted_kw = order.power_kw
            case "solar_desired", _:
                limit = decode(message.payload, SolarDesired)
                if self._roof.take(limit, self.now) is None:
                    self._limit_kw = math.inf if limit.limit_kw is None else limit.limit_kw

    def readings(self) -> Iterator[tuple[str, str, float]]:
        """What instruments show of the interval that has just passed: (hall, the rest of the sensor's key, value)."""
        for name, pool in self.pools.items():
            yield pool.pool.hall, f"pool/{name}/it_power_kw", pool.power_kw
        yield "site", "feeder/main/power_kw", self.import_kw
        yield "site", f"meter/{self.site.grid.feed}/import_kw", self.import_kw
        yield "site", "battery/b/energy_kwh", self.battery.charge_level / 1000
        yield "site", "battery/b/power_kw", self.battery.current_power / 1000
        yield "site", "weather/outdoor/temperature_c", 12.0
