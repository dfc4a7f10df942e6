"""The points a site is expected to report: unit, period and the range outside of which a reading is not believed.

Points of the whole site stand in the hall `site`. Ranges are wide enough for every state the ratings allow, faults included,
and narrow enough to show a wrong unit, such as W for kW or Fahrenheit for Celsius.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from facility.site import Site

PERIOD_S = 5.0
TEMPERATURE_PERIOD_S = 10.0
OVERLOAD = 1.5
"""A short overload that electrical gear outlives for seconds, and a meter must still be believed in."""


@dataclass(frozen=True)
class Sensor:
    """One point. A reading is plausible in the closed interval [low, high]."""

    hall: str
    asset_type: str
    asset: str
    point: str
    unit: str
    period_s: float
    low: float
    high: float

    @property
    def key(self) -> str:
        """The levels of its topic below `tele/`: `hall/asset_type/asset/point`."""
        return f"{self.hall}/{self.asset_type}/{self.asset}/{self.point}"


def sensors(site: Site) -> tuple[Sensor, ...]:
    """Return the points of the site: pools, halls, cooling plants, feeders, the grid meter, batteries, the weather.

    Where a rule of `bus.mapping` tells a point, its period holds, and its range as far as that is the narrower one.
    """
    points = (*_pools(site), *_gpus(site), *_halls(site), *_cooling_plants(site), *_feeders(site), _meter(site), *_batteries(site), _weather())
    return tuple(_as_mapped(site, sensor) for sensor in points)


def _as_mapped(site: Site, sensor: Sensor) -> Sensor:
    for rule in site.bus.rules:
        if rule.tells(sensor.asset_type, sensor.asset, sensor.point):
            low, high = (sensor.low if rule.low is None else rule.low), (sensor.high if rule.high is None else rule.high)
            period_s = sensor.period_s if rule.period_s is None else rule.period_s
            return replace(sensor, period_s=period_s, low=max(low, sensor.low), high=min(high, sensor.high))
    return sensor


def _pools(site: Site) -> Iterator[Sensor]:
    for name, pool in site.pools.items():
        model = site.gpu_models[pool.gpu_model]
        busy_w = max(model.max_cap_w, model.idle_w) + max(pool.host_run_w, pool.host_idle_w)
        yield Sensor(pool.hall, "pool", name, "it_power_kw", "kW", PERIOD_S, 0.0, OVERLOAD * pool.gpus * busy_w / 1000)


def _gpus(site: Site) -> Iterator[Sensor]:
    """What the GPUs of a pool say of themselves, where a scrape or a rule of the mapping tells it."""
    scraped = {name: scrape.period_s for scrape in site.scrape.values() for name in scrape.pools}
    for name, pool in site.pools.items():
        if name in scraped or any(rule.tells("pool", name, "gpu_power_kw") for rule in site.bus.mapping):
            most_kw = OVERLOAD * pool.gpus * site.gpu_models[pool.gpu_model].max_cap_w / 1000
            yield Sensor(pool.hall, "pool", name, "gpu_power_kw", "kW", scraped.get(name, PERIOD_S), 0.0, most_kw)


def _halls(site: Site) -> Iterator[Sensor]:
    for name, hall in site.halls.items():
        if hall.thermal is not None:
            hottest_c = hall.thermal.allowable_max_c + 25
            yield Sensor(name, "hall", name, "air_temperature_c", "degC", TEMPERATURE_PERIOD_S, 0.0, hottest_c)


def _cooling_plants(site: Site) -> Iterator[Sensor]:
    for name, plant in site.cooling_plants.items():
        chiller_kw = max(plant.max_heat_kw, plant.design_heat_kw) / plant.cop_min
        most_kw = OVERLOAD * (chiller_kw + plant.pump_kw + plant.fan_kw + plant.misc_kw)
        yield Sensor("site", "cooling", name, "power_kw", "kW", PERIOD_S, 0.0, most_kw)
        if plant.store is not None:
            yield Sensor("site", "cooling", name, "stored_kwh", "kWh", PERIOD_S, 0.0, 1.05 * plant.store.capacity_kwh)


def _feeders(site: Site) -> Iterator[Sensor]:
    for name, feeder in site.feeders.items():
        back_kw = min(_discharge_kw(site), feeder.rating_kw)
        yield Sensor("site", "feeder", name, "power_kw", "kW", PERIOD_S, -OVERLOAD * back_kw, OVERLOAD * feeder.rating_kw)


def _meter(site: Site) -> Sensor:
    roots_kw = sum(feeder.rating_kw for feeder in site.feeders.values() if feeder.parent is None)
    most_kw = OVERLOAD * max(roots_kw, site.grid.import_limit_kw)
    return Sensor("site", "meter", site.grid.feed, "import_kw", "kW", PERIOD_S, -OVERLOAD * _discharge_kw(site), most_kw)


def _batteries(site: Site) -> Iterator[Sensor]:
    for name, battery in site.batteries.items():
        charge_kw, discharge_kw = OVERLOAD * battery.charge_kw, OVERLOAD * battery.discharge_kw
        yield Sensor("site", "battery", name, "energy_kwh", "kWh", PERIOD_S, 0.0, 1.05 * battery.capacity_kwh)
        yield Sensor("site", "battery", name, "power_kw", "kW", PERIOD_S, -discharge_kw, charge_kw)


def _weather() -> Sensor:
    return Sensor("site", "weather", "outdoor", "temperature_c", "degC", TEMPERATURE_PERIOD_S, -50.0, 60.0)


def _discharge_kw(site: Site) -> float:
    given_kw = sum(solar.peak_kw for solar in site.solar.values()) + sum(genset.max_kw for genset in site.gensets.values())
    return given_kw + sum(battery.discharge_kw for battery in site.batteries.values())
