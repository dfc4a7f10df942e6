"""Stand-ins: what a quantity may be at worst where no sensor tells it. Conservative, and said wherever it is shown.

| not measured | stands in | why |
|---|---|---|
| pool | every GPU at the highest cap that its agent reports, the highest settable where none does, and the hosts at work | no more can be drawn |
| | what its GPUs say of themselves, where all do and it is less, and the hosts at work | they measure their own power |
| cooling plant | its steady power for the worst heat of its halls, at its coldest supply | |
| battery | it charges as fast as it can | |
| feeder, grid meter | what hangs on it, with losses, each part as believed | where all parts are measured nothing is guessed |
| air of a hall | the last value, rising as if every GPU drew its most and nothing cooled; unknown from the allowable maximum on | |
| stored energy | the last value, falling as fast as the gear discharges, down to what is never used | only what is surely there counts |
| outdoors | the last value; who uses it takes the design day's where that is warmer | |
| what was never heard | nothing | no value is made up; a battery or tank counts as empty |

A thermometer that is stuck is believed at the moment it is found out, and rises from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from facility.sensors import busy_kw
from facility.site import Site
from facility.telemetry.balance import Balance
from facility.telemetry.belief import Belief
from facility.verdict import Verdict, worst
from facility.verify.cooling import most_heat_kw, plant_heat_kw, steady_cooling_kw
from facility.verify.supply import supplied


class StandIns:
    """What stands in on one site."""

    def __init__(self, site: Site) -> None:
        self._site, self._coldest = site, supplied(site)
        self._hottest_outdoors_c = max(site.weather.outdoor_by_hour_c)
        self._rise_k_per_h = {name: self._rise(name) for name, hall in site.halls.items() if hall.thermal is not None}

    def worst_kw(self, pool_id: str, caps_w: Mapping[str, int]) -> float:
        """Tell the most that a pool draws under the highest cap its agent reports, kW."""
        pool = self._site.pools[pool_id]
        if pool_id not in caps_w:
            return busy_kw(self._site, pool_id)
        model = self._site.gpu_models[pool.gpu_model]
        return pool.gpus * (max(caps_w[pool_id], model.idle_w) + max(pool.host_run_w, pool.host_idle_w)) / 1000

    def pool(self, told: Belief, pool_id: str, caps_w: Mapping[str, int], gpus: Belief | None = None) -> Belief:
        """What a pool may draw; `gpus` is what its GPUs tell of their own power."""
        worst_kw, pool = self.worst_kw(pool_id, caps_w), self._site.pools[pool_id]
        if gpus is not None and gpus.measured and gpus.high is not None and gpus.verdict == Verdict.GOOD:
            told_kw = gpus.high + pool.gpus * max(pool.host_run_w, pool.host_idle_w) / 1000
            if told_kw < worst_kw:
                return _at_worst(told, told_kw, "what its GPUs tell, and its hosts at work")
        return _at_worst(told, worst_kw, "the sum of its caps, and its hosts")

    def cooling(self, told: Belief, plant_id: str, pools_kw: Mapping[str, float], outdoor_c: float | None) -> Belief:
        """What a cooling plant may draw while its halls' pools draw `pools_kw`."""
        outdoor_c = self._hottest_outdoors_c if outdoor_c is None else outdoor_c
        plant = self._site.cooling_plants[plant_id]
        heat_kw = min(plant_heat_kw(self._site, pools_kw, outdoor_c)[plant_id], most_heat_kw(plant, outdoor_c))
        return _at_worst(told, steady_cooling_kw(self._coldest, plant_id, heat_kw, outdoor_c), "its steady power for that heat")

    def battery(self, told: Belief, battery_id: str) -> Belief:
        """What a battery may draw."""
        return _at_worst(told, self._site.batteries[battery_id].charge_kw, "it charges as fast as it can")

    def feeder(self, told: Belief, balance: Balance, beliefs: Mapping[str, Belief]) -> Belief:
        """What flows into a feeder, or through the grid meter, by what hangs on it."""
        parts = [beliefs[part] for part in balance.parts]
        values_kw = [part.value for part in parts if part.value is not None]
        highs_kw = [part.high for part in parts if part.high is not None]
        if not parts or len(values_kw) < len(parts) or len(highs_kw) < len(parts):
            return told
        return told._replace(
            value=balance.through_kw(sum(values_kw)),
            high=balance.through_kw(sum(highs_kw)),
            verdict=worst([Verdict.SUBSTITUTED, *(part.verdict for part in parts)]),
            measured=balance.whole and all(part.measured for part in parts),
            stands_in="what hangs on it",
        )

    def hall(self, told: Belief, hall_id: str, last_c: float, since: datetime, now: datetime) -> Belief:
        """What a hall may have reached that had `last_c` at the instant `since`."""
        thermal = self._site.halls[hall_id].thermal
        assert thermal is not None
        rise = self._rise_k_per_h[hall_id]
        most_c = last_c + rise * _hours(since, now)
        if most_c >= thermal.allowable_max_c:
            value_c = max(last_c, thermal.allowable_max_c)
            says = f"{told.says}; unknown: it may have reached {value_c:g} degC"
            return told._replace(value=value_c, high=value_c, verdict=Verdict.MISSING, says=says, measured=False)
        stands_in = f"{last_c:.4g} degC, rising {rise / 60:.2g} K/min since {since:%H:%M:%S}"
        return _standing(told, most_c, stands_in)

    def battery_energy(self, told: Belief, battery_id: str, last_kwh: float | None, since: datetime, now: datetime) -> Belief:
        """What is still in a battery for certain that held `last_kwh` at the instant `since`; None: never heard."""
        battery = self._site.batteries[battery_id]
        least_kwh = battery.min_share * battery.capacity_kwh
        if last_kwh is None:
            return told._replace(value=least_kwh, high=least_kwh, stands_in="empty")
        left_kwh = last_kwh - battery.discharge_kw / battery.efficiency * _hours(since, now)
        return _standing(told, max(left_kwh, least_kwh), f"{last_kwh:.4g} kWh, discharged since {since:%H:%M:%S}")

    def tank(self, told: Belief, plant_id: str, last_kwh: float | None, since: datetime, now: datetime) -> Belief:
        """What is still in a plant's tank for certain."""
        store = self._site.cooling_plants[plant_id].store
        assert store is not None
        if last_kwh is None:
            return told._replace(value=0.0, high=0.0, stands_in="empty")
        hours = _hours(since, now)
        left_kwh = last_kwh * (1 - store.loss_share_per_h) ** hours - store.discharge_kw * hours
        return _standing(told, max(left_kwh, 0.0), f"{last_kwh:.4g} kWh, discharged since {since:%H:%M:%S}")

    def outdoors(self, told: Belief, last_c: float, since: datetime) -> Belief:
        """What it was outdoors."""
        return _standing(told, last_c, f"{last_c:.4g} degC at {since:%H:%M:%S}, the design day's where that is warmer")

    def _rise(self, hall_id: str) -> float:
        """How fast a hall can warm up at worst, K/h: C dT/dt = heat + (outdoors - T) / R."""
        site, hall = self._site, self._site.halls[hall_id]
        assert hall.thermal is not None
        pools_kw = (busy_kw(site, name) * (1 - pool.liquid_share) for name, pool in site.pools.items() if pool.hall == hall_id)
        inflow_kw = max(self._hottest_outdoors_c - hall.thermal.recommended_min_c, 0.0) / hall.thermal.resistance_k_per_kw
        return (sum(pools_kw) + hall.base_kw + inflow_kw) / hall.thermal.heat_capacity_kwh_per_k


def _hours(since: datetime, now: datetime) -> float:
    return max((now - since).total_seconds(), 0.0) / 3600


def _standing(told: Belief, value: float, stands_in: str) -> Belief:
    return told._replace(value=value, high=value, verdict=Verdict.SUBSTITUTED, measured=False, stands_in=stands_in)


def _at_worst(told: Belief, worst_kw: float, stands_in: str) -> Belief:
    """The worst, or what a sensor that is not believed shows above it."""
    return _standing(told, max(worst_kw, told.high or worst_kw), stands_in)
