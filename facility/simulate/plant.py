"""The whole rehearsed site: pools, halls, cooling plants, batteries and the feeders above them, under one sky.

    feeder = below + loss_share * |below|,  below = what hangs on it and the feeders under it       import = the root feeders

Every attribute is the truth (kW, kWh, degC, W); `readings()` is what instruments make of it. Integrated in
sub-steps of at most a second, unless longer ones are allowed; the same site, start, seed and calls give the same history to the last bit.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from facility.sensors import Sensor, sensors
from facility.simulate.battery import BatteryPlant
from facility.simulate.cooling import HallAir, PlantRoom
from facility.simulate.followed import FollowedJobs
from facility.simulate.gpu import PoolPlant
from facility.simulate.scheduler import Scheduler
from facility.simulate.sky import DesignDay, Sky
from facility.simulate.tenants import Tenants
from facility.simulate.trouble import Trouble
from facility.site import Site

if TYPE_CHECKING:
    from facility.bus.messages import CoolingDesired
    from facility.snapshot import Job

METER_NOISE_SHARE = 0.003
THERMOMETER_NOISE_K = 0.1
"""Standard deviations; no instrument errs by more than three of them."""


class Plant:
    """A site from `start` (UTC) on. `seed=None` switches every noise off.

    It is under `sky`, by default the site's design day, and its jobs are those of `jobs`, by default the site's sample jobs every day; with
    `follows` they are another scheduler's.
    `longest_s` is the longest sub-step. What goes wrong is its `trouble`.
    Truth: `now`, `outdoor_c`, `import_kw`, `import_kwh`, `feeder_kw` by feeder, and the parts themselves in `pools`,
    `halls` (those with a thermal zone), `cooling`, `batteries`, `tenants` and `scheduler`, by id.
    """

    def __init__(
        self,
        site: Site,
        start: datetime,
        seed: int | None = 0,
        *,
        sky: Sky | None = None,
        jobs: Sequence[Job] | None = None,
        longest_s: float = 1.0,
        follows: bool = False,
    ) -> None:
        self.site, self.now, self._longest_s = site, start.astimezone(UTC), longest_s
        self.sensors = sensors(site)
        self._by_key = {sensor.key: sensor for sensor in self.sensors}
        self._sky: Sky = DesignDay(site) if sky is None else sky
        self.outdoor_c = self._sky.outdoor_c(self.now)
        self._instruments = None if seed is None else random.Random(f"{seed}/instruments")
        self.pools = {
            name: PoolPlant(
                name, pool, site.gpu_models[pool.gpu_model], None if seed is None else random.Random(f"{seed}/pool/{name}")
            )
            for name, pool in site.pools.items()
        }
        self._pausable: dict[str, dict[str, int]] = {name: {} for name in site.pools}
        for name, contract in site.contracts.items():
            if contract.pool is not None and contract.pausable:
                self._pausable[contract.pool][name] = contract.gpus
        self._wants_gpus()
        self.tenants = Tenants(self.pools, site.contracts)
        self.tenants.step(self.now)
        self.scheduler = FollowedJobs(site, self.pools, self.now) if follows else Scheduler(site, self.pools, self.now, jobs)
        for pool in self.pools.values():
            pool.step(math.inf)
        self.halls = {
            name: HallAir(hall.thermal, self._heat_kw(name)) for name, hall in site.halls.items() if hall.thermal is not None
        }
        self.cooling = {name: PlantRoom(plant, self.outdoor_c) for name, plant in site.cooling_plants.items()}
        self.batteries = {name: BatteryPlant(battery) for name, battery in site.batteries.items()}
        self.trouble = Trouble()
        self.feeder_kw: dict[str, float] = {}
        self._leaves_first = sorted(site.feeders, key=self._depth, reverse=True)
        self.import_kw = self.import_kwh = 0.0
        self._remove_heat(0.0)
        self._meter()

    def suffer(self, trouble: Trouble) -> None:
        """Have something go wrong from now on, in place of what did before."""
        self.trouble = trouble
        for name, pool in self.pools.items():
            pool.ignores = trouble.ignores.get(name)
        self._leaves_first.sort(key=lambda name: (-self._depth(name), name not in trouble.gone))  # what is gone passes its load on first

    def step(self, seconds: float) -> None:
        """Let `seconds` (above 0) pass."""
        substeps = math.ceil(seconds / self._longest_s)
        for _ in range(substeps):
            self._substep(seconds / substeps)

    def halls_of(self, plant: str) -> dict[str, HallAir]:
        """Return the halls whose heat a cooling plant removes."""
        return {name: air for name, air in self.halls.items() if air.thermal.cooling_plant == plant}

    def obey_cooling(self, plant: str, order: CoolingDesired) -> str | None:
        """Take set-points for a plant's halls; return why they were refused, None where they were taken."""
        halls = self.halls_of(plant)
        for name, wish in order.halls.items():
            if name not in halls:
                return f"no hall {name}"
            if not halls[name].thermal.recommended_min_c <= wish.temperature_c <= halls[name].thermal.allowable_max_c:
                return "out of range"
        refusal = self.cooling[plant].orders.take(order, self.now)
        if refusal is None:
            for name, wish in order.halls.items():
                halls[name].setpoint_c = wish.temperature_c
            if (tank := self.cooling[plant].tank) is not None:
                tank.wanted_kw = order.store_kw or 0.0
        return refusal

    def readings(self) -> dict[str, float]:
        """Read every instrument of `facility.sensors` once, noise included, by the sensor's key."""
        return {sensor.key: self.read(sensor) for sensor in self.sensors}

    def read(self, sensor: Sensor) -> float:
        """Read one instrument, noise included, in the sensor's unit."""
        truth = self.truth(self._by_key[sensor.redundant_to] if sensor.redundant_to else sensor)
        if self._instruments is None:
            return truth
        noise = max(-3.0, min(3.0, self._instruments.gauss(0.0, 1.0)))
        return truth + noise * (THERMOMETER_NOISE_K if sensor.unit == "degC" else METER_NOISE_SHARE * truth)

    def truth(self, sensor: Sensor) -> float:
        """What one instrument would read without noise, in the sensor's unit."""
        match sensor.asset_type, sensor.point:
            case "pool", "it_power_kw":
                return self.pools[sensor.asset].power_kw
            case "pool", "gpu_power_kw":
                return self.pools[sensor.asset].gpu_kw
            case "hall", "air_temperature_c":
                return self.halls[sensor.asset].temperature_c
            case "cooling", "power_kw":
                return self.cooling[sensor.asset].power_kw
            case "cooling", "stored_kwh" if (tank := self.cooling[sensor.asset].tank) is not None:
                return tank.stored_kwh
            case "feeder", "power_kw":
                return self.feeder_kw[sensor.asset]
            case "meter", "import_kw":
                return self.import_kw
            case "battery", "energy_kwh":
                return self.batteries[sensor.asset].energy_kwh
            case "battery", "power_kw":
                return self.batteries[sensor.asset].power_kw
            case "weather", "temperature_c":
                return self.outdoor_c
            case "water", "flow_m3_per_h":
                return self._water_m3_per_h(sensor.asset)
            case ("solar" | "genset", "power_kw") | ("heat", "reused_kw"):
                return 0.0  # the rehearsed site has no panels, its gensets rest, and nobody takes its heat
            case "heat", "supply_c":
                return self.outdoor_c
            case _:
                raise ValueError(f"the plant has no instrument {sensor.key}")

    def _substep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.outdoor_c = self._sky.outdoor_c(self.now)
        for pool in self.pools.values():
            pool.fall_back_if_silent(self.now)
        self._wants_gpus()
        self.tenants.step(self.now)
        self.scheduler.step(seconds, self.now)
        for pool in self.pools.values():
            pool.step(seconds)
        self._remove_heat(seconds)
        for battery in self.batteries.values():
            battery.step(seconds, self.now)
        self._meter()
        self.import_kwh += self.import_kw * seconds / 3600

    def _wants_gpus(self) -> None:
        """Let fixed maintenance have its GPUs."""
        for name, pool in self.pools.items():
            pool.lack(sum(m.takes(name, self.now) for m in self.site.maintenance.values()), self._pausable[name])

    def _heat_kw(self, hall: str) -> float:
        inside = [pool for pool in self.pools.values() if pool.pool.hall == hall]
        return self.site.halls[hall].base_kw + sum((1 - pool.pool.liquid_share) * pool.power_kw for pool in inside)

    def _liquid_kw(self, plant: str) -> float:
        """Sum the heat that cold plates give to the loops of one plant; their water holds none of it."""
        looped = {name for name, air in self.halls.items() if air.thermal.liquid_plant == plant}
        return sum(pool.pool.liquid_share * pool.power_kw for pool in self.pools.values() if pool.pool.hall in looped)

    def _water_m3_per_h(self, meter: str) -> float:
        """What flows through a meter: those of incoming water share what the chillers evaporate, nothing leaves to be used again."""
        coming = [name for name, each in self.site.sustainability.water_meters.items() if each.flows == "in"]
        evaporated_l = sum(room.chilled_kw * room.plant.water_l_per_kwh for room in self.cooling.values())
        return evaporated_l / 1000 / len(coming) if meter in coming else 0.0

    def _remove_heat(self, seconds: float) -> None:
        """Share each plant's capacity among its halls, and move their air on."""
        for name, room in self.cooling.items():
            halls = self.halls_of(name)
            if room.orders.silent(self.now):
                for air in halls.values():
                    air.setpoint_c = air.thermal.start_c
            wanted_kw = {hall: air.wants_kw() for hall, air in halls.items()}
            liquid_kw, charge_kw = self._liquid_kw(name), 0.0
            if (tank := room.tank) is not None:
                tank.wanted_kw = 0.0 if room.orders.silent(self.now) else tank.wanted_kw
                heat_kw = sum(wanted_kw.values()) + liquid_kw
                tank.step(seconds, heat_kw, room.plant.max_heat_kw - heat_kw)
                charge_kw = tank.charge_kw
            share = min(1.0, (room.plant.max_heat_kw - charge_kw) / max(sum(wanted_kw.values()), 1e-9))
            for hall, air in halls.items():
                removed_kw = share * wanted_kw[hall] * self.trouble.cooling_share.get(hall, 1.0)
                air.step(seconds, self._heat_kw(hall), removed_kw, self.outdoor_c)
            room.step(sum(air.removed_kw for air in halls.values()) + liquid_kw + charge_kw, self.outdoor_c)

    def _meter(self) -> None:
        """Add every load up the tree; leaves first, so that a feeder is complete before it is passed on."""
        below_kw = dict.fromkeys(self.site.feeders, 0.0)
        for hall in self.site.halls.values():
            below_kw[hall.feeder] += hall.base_kw
        for pool in self.pools.values():
            below_kw[pool.pool.feeder] += pool.power_kw
        for room in self.cooling.values():
            below_kw[room.plant.feeder] += room.power_kw
        for battery in self.batteries.values():
            below_kw[battery.battery.feeder] += battery.power_kw
        for name, kw in self.trouble.extra_kw.items():
            below_kw[name] += kw
        self.import_kw = 0.0
        for name in self._leaves_first:
            feeder = self.site.feeders[name]
            if name in self.trouble.gone:
                self._carried_by_others(name, below_kw)
            self.feeder_kw[name] = below_kw[name] + feeder.loss_share * abs(below_kw[name])
            if feeder.parent is None:
                self.import_kw += self.feeder_kw[name]
            else:
                below_kw[feeder.parent] += self.feeder_kw[name]

    def _carried_by_others(self, name: str, below_kw: dict[str, float]) -> None:
        """Move the load of a feeder that is gone to those of its group that are not; where there is none, it is off."""
        group, gone = self.site.feeders[name].redundancy_group, self.trouble.gone
        left = {other: f.rating_kw for other, f in self.site.feeders.items() if group and f.redundancy_group == group and other not in gone}
        for other, rating_kw in left.items():
            below_kw[other] += below_kw[name] * rating_kw / sum(left.values())
        below_kw[name] = 0.0

    def _depth(self, feeder: str) -> int:
        parent = self.site.feeders[feeder].parent
        return 0 if parent is None else 1 + self._depth(parent)
