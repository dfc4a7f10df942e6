"""The points a site is expected to report: unit, period, the range outside of which a reading is not believed, and how it moves.

Points of the whole site stand in the hall `site`. Ranges are wide enough for every state the ratings allow, faults included,
and narrow enough to show a wrong unit, such as W for kW or Fahrenheit for Celsius. What `sensors` of the site file says of a key
comes before what stands here.

| quantity | may leap between two readings | and move | still readings believed | differ from its like | why |
|---|---|---|---|---|---|
| power | 25 % of the rating | - | 60, 5 min | 3 % of the rating | a tenth of a site's GPUs may start at once; a meter's last digit is noise |
| power of a battery | all of it, both ways | - | any | 3 % of the rating | it follows orders within a second, and rests |
| air of a hall | 1 K | 0.1 K/s | 360, 1 h | 2 K | a dense hall without cooling gains up to 5 K/min; aisles differ by some K |
| outdoors | 1 K | 0.02 K/s | 720, 2 h | 3 K | a front brings 10 K in ten minutes; nights are still |
| solar plants, gensets, reused heat | all of it | - | any | - | clouds, starts and valves are quick; at night nothing moves |
| water | all of it | - | any | - | it is drawn as a basin is filled |
| heat's supply | 5 K | 0.1 K/s | any | - | a loop that is switched on is warm within a minute |
| stored energy | 2 % of the capacity | 1.5 x its power | any | 5 % of the capacity | its gauge is coarse, and at rest it is still |

A leap is no fault by itself: it needs the next reading to confirm it (`facility.telemetry.track`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from facility.site import Site

PERIOD_S = 5.0
TEMPERATURE_PERIOD_S = 10.0
OVERLOAD = 1.5
"""A short overload that electrical gear outlives for seconds, and a meter must still be believed in."""
POWER_STEP, POWER_TOLERANCE, POWER_STILL = 0.25, 0.03, 60
IDLE_SHARE = 0.05
"""Below this share of its rating a meter may stand still: nothing runs that would move it."""
HALL_STEP_K, HALL_K_PER_S, HALL_STILL, HALL_TOLERANCE_K = 1.0, 0.1, 360, 2.0
OUTDOOR_STEP_K, OUTDOOR_K_PER_S, OUTDOOR_STILL, OUTDOOR_TOLERANCE_K = 1.0, 0.02, 720, 3.0
STORE_STEP, STORE_TOLERANCE = 0.02, 0.05


@dataclass(frozen=True)
class Sensor:
    """One point. A reading is plausible in the closed interval [low, high].

    Between two readings it moves by `step` and `per_s` for each second beside, at most; one that is `inertial` cannot leap at all.
    `still_after` readings without a change, where they are above `idle` in size, are not believed; None: it may stand still.
    `worse` is the direction that endangers the plant. `tolerance` is how far sensors of one quantity may differ. `redundant_to` is the
    key of the sensor that it stands beside, empty for one by itself. One that is `absent` may be heard, but nobody waits for it.
    """

    hall: str
    asset_type: str
    asset: str
    point: str
    unit: str
    period_s: float
    low: float
    high: float
    step: float = inf
    per_s: float = 0.0
    still_after: int | None = None
    idle: float = 0.0
    tolerance: float = inf
    inertial: bool = False
    worse: Literal["high", "low"] = "high"
    redundant_to: str = ""
    absent: bool = False

    @property
    def key(self) -> str:
        """The levels of its topic below `tele/`: `hall/asset_type/asset/point`."""
        return f"{self.hall}/{self.asset_type}/{self.asset}/{self.point}"

    def conservative(self, *values: float) -> float:
        """Tell which of several values of it is the most dangerous."""
        return max(values) if self.worse == "high" else min(values)


def sensors(site: Site) -> tuple[Sensor, ...]:
    """Return the points of the site: pools, halls, cooling plants, feeders, the grid meter, batteries, generation, water, heat, the weather.

    Each that others are redundant to, by the site file, is followed by them. Where a rule of `bus.mapping` tells a point, its period holds, and
    its range as far as that is the narrower one.
    """
    own = (*_pools(site), *_gpus(site), *_halls(site), *_cooling_plants(site), *_feeders(site), _meter(site), *_batteries(site))
    every = (*own, *_generation(site), *_water(site), *_heat(site), _weather())
    return tuple(_as_mapped(site, sensor) for found in every for sensor in _as_told(site, found))


def _as_mapped(site: Site, sensor: Sensor) -> Sensor:
    for rule in site.bus.rules:
        if rule.tells(sensor.asset_type, sensor.asset, sensor.point):
            low, high = (sensor.low if rule.low is None else rule.low), (sensor.high if rule.high is None else rule.high)
            period_s = sensor.period_s if rule.period_s is None else rule.period_s
            return replace(sensor, period_s=period_s, low=max(low, sensor.low), high=min(high, sensor.high))
    return sensor


def _as_told(site: Site, sensor: Sensor) -> Iterator[Sensor]:
    """The sensor with what the site file says of it, and those that are redundant to it."""
    told = site.sensors.get(sensor.key)
    if told is None:
        yield sensor
        return
    own = replace(sensor, **told.model_dump(exclude={"redundant"}, exclude_none=True))
    yield own
    for key in told.redundant:
        hall, asset_type, asset, point = key.split("/")
        yield replace(own, hall=hall, asset_type=asset_type, asset=asset, point=point, redundant_to=own.key)


def _power(hall: str, asset_type: str, asset: str, point: str, low: float, high: float, rating_kw: float) -> Sensor:
    """A meter of power whose load is rated `rating_kw`."""
    return Sensor(
        hall, asset_type, asset, point, "kW", PERIOD_S, low, high,
        step=POWER_STEP * rating_kw, still_after=POWER_STILL, idle=IDLE_SHARE * rating_kw, tolerance=POWER_TOLERANCE * rating_kw,
    )  # fmt: skip


def _store(asset_type: str, asset: str, point: str, capacity_kwh: float, most_kw: float) -> Sensor:
    """A gauge of stored energy that is charged and discharged by at most `most_kw`."""
    return Sensor(
        "site", asset_type, asset, point, "kWh", PERIOD_S, 0.0, 1.05 * capacity_kwh,
        step=STORE_STEP * capacity_kwh, per_s=OVERLOAD * most_kw / 3600, tolerance=STORE_TOLERANCE * capacity_kwh,
        inertial=True, worse="low",
    )  # fmt: skip


def busy_kw(site: Site, pool_id: str) -> float:
    """Tell the most that a pool draws, every GPU at its highest cap and hosts included, kW."""
    pool = site.pools[pool_id]
    model = site.gpu_models[pool.gpu_model]
    return pool.gpus * (max(model.max_cap_w, model.idle_w) + max(pool.host_run_w, pool.host_idle_w)) / 1000


def _pools(site: Site) -> Iterator[Sensor]:
    for name, pool in site.pools.items():
        most_kw = busy_kw(site, name)
        yield _power(pool.hall, "pool", name, "it_power_kw", 0.0, OVERLOAD * most_kw, most_kw)


def _gpus(site: Site) -> Iterator[Sensor]:
    """What the GPUs of a pool say of themselves, where a scrape or a rule of the mapping tells it."""
    scraped = {name: scrape.period_s for scrape in site.scrape.values() for name in scrape.pools}
    for name, pool in site.pools.items():
        if name in scraped or any(rule.tells("pool", name, "gpu_power_kw") for rule in site.bus.mapping):
            most_kw = pool.gpus * site.gpu_models[pool.gpu_model].max_cap_w / 1000
            own = _power(pool.hall, "pool", name, "gpu_power_kw", 0.0, OVERLOAD * most_kw, most_kw)
            yield replace(own, period_s=scraped.get(name, PERIOD_S))


def _halls(site: Site) -> Iterator[Sensor]:
    for name, hall in site.halls.items():
        if hall.thermal is not None:
            hottest_c = hall.thermal.allowable_max_c + 25
            yield Sensor(
                name, "hall", name, "air_temperature_c", "degC", TEMPERATURE_PERIOD_S, 0.0, hottest_c,
                step=HALL_STEP_K, per_s=HALL_K_PER_S, still_after=HALL_STILL, tolerance=HALL_TOLERANCE_K, inertial=True,
            )  # fmt: skip


def _cooling_plants(site: Site) -> Iterator[Sensor]:
    for name, plant in site.cooling_plants.items():
        chiller_kw = max(plant.max_heat_kw, plant.design_heat_kw) / plant.cop_min
        rated_kw = chiller_kw + plant.pump_kw + plant.fan_kw + plant.misc_kw
        yield _power("site", "cooling", name, "power_kw", 0.0, OVERLOAD * rated_kw, rated_kw)
        if plant.store is not None:
            most_kw = max(plant.store.charge_kw, plant.store.discharge_kw)
            yield _store("cooling", name, "stored_kwh", plant.store.capacity_kwh, most_kw)


def _feeders(site: Site) -> Iterator[Sensor]:
    for name, feeder in site.feeders.items():
        back_kw = min(_discharge_kw(site), feeder.rating_kw)
        rating_kw = feeder.rating_kw
        yield _power("site", "feeder", name, "power_kw", -OVERLOAD * back_kw, OVERLOAD * rating_kw, rating_kw)


def _meter(site: Site) -> Sensor:
    roots_kw = sum(feeder.rating_kw for feeder in site.feeders.values() if feeder.parent is None)
    rated_kw = max(roots_kw, site.grid.import_limit_kw)
    return _power("site", "meter", site.grid.feed, "import_kw", -OVERLOAD * _discharge_kw(site), OVERLOAD * rated_kw, rated_kw)


def _batteries(site: Site) -> Iterator[Sensor]:
    for name, battery in site.batteries.items():
        both_kw = battery.charge_kw + battery.discharge_kw
        yield _store("battery", name, "energy_kwh", battery.capacity_kwh, max(battery.charge_kw, battery.discharge_kw))
        meter = _power("site", "battery", name, "power_kw", -OVERLOAD * battery.discharge_kw, OVERLOAD * battery.charge_kw, both_kw)
        yield replace(meter, step=both_kw, still_after=None)


def _generation(site: Site) -> Iterator[Sensor]:
    rated = {("solar", name): solar.peak_kw for name, solar in site.solar.items() if solar.metered}
    rated |= {("genset", name): genset.max_kw for name, genset in site.gensets.items() if genset.metered}
    for (kind, name), most_kw in rated.items():
        low_kw = -IDLE_SHARE * most_kw  # what inverters and heaters draw at rest
        yield Sensor("site", kind, name, "power_kw", "kW", PERIOD_S, low_kw, OVERLOAD * most_kw, worse="low")


def _water(site: Site) -> Iterator[Sensor]:
    for name, meter in site.sustainability.water_meters.items():
        yield Sensor("site", "water", name, "flow_m3_per_h", "m3/h", TEMPERATURE_PERIOD_S, 0.0, OVERLOAD * meter.most_m3_per_h)


def _heat(site: Site) -> Iterator[Sensor]:
    for name, meter in site.sustainability.heat_meters.items():
        yield Sensor("site", "heat", name, "reused_kw", "kW", TEMPERATURE_PERIOD_S, 0.0, OVERLOAD * meter.most_kw, worse="low")
        yield Sensor("site", "heat", name, "supply_c", "degC", TEMPERATURE_PERIOD_S, 0.0, 100.0, step=5.0, per_s=0.1, inertial=True)


def _weather() -> Sensor:
    return Sensor(
        "site", "weather", "outdoor", "temperature_c", "degC", TEMPERATURE_PERIOD_S, -50.0, 60.0,
        step=OUTDOOR_STEP_K, per_s=OUTDOOR_K_PER_S, still_after=OUTDOOR_STILL, tolerance=OUTDOOR_TOLERANCE_K, inertial=True,
    )  # fmt: skip


def _discharge_kw(site: Site) -> float:
    given_kw = sum(solar.peak_kw for solar in site.solar.values()) + sum(genset.max_kw for genset in site.gensets.values())
    return given_kw + sum(battery.discharge_kw for battery in site.batteries.values())
