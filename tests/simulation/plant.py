"""The plant of a simulated day: what the caps that agents really enforce let GPUs draw, and what that does to feeders and halls.

    draw of a GPU  =  busy: load * min(cap, what its curve draws at it);  idle: idle_w          load moves, up to 1
    feeder         =  below + loss_share * |below|
    C dT/dt        =  heat - removed - (T - outdoor) / R        removed: what holds the set-point, at most what the plant can

It has no inertia: a GPU takes what it may at once, which is worse for a feeder than any real one. Everything is the truth, kW and degC, and
changes at events only, so that what is looked at after each event has been looked at in every second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from facility.site import Site
from facility.verify.cooling import steady_cooling_kw
from facility.verify.draw import at_cap


@dataclass(frozen=True)
class Caps:
    """One cap for every GPU that is in no group, W, and (count, W) by workload."""

    cap_w: int
    groups: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)

    def no_higher(self, cap_w: int) -> Caps:
        """All of it at `cap_w` at most."""
        groups = {name: [(count, min(cap, cap_w)) for count, cap in several] for name, several in self.groups.items()}
        return Caps(min(self.cap_w, cap_w), groups)

    def sum_w(self, gpus: int) -> int:
        """The sum of the caps of a pool of `gpus`, where groups that name more have the highest."""
        left, total = gpus, 0
        for count, cap_w in sorted((pair for several in self.groups.values() for pair in several), key=lambda pair: -pair[1]):
            taken = min(count, left)
            total, left = total + taken * cap_w, left - taken
        return total + left * self.cap_w

    def highest_w(self) -> int:
        """The highest cap of any GPU, W."""
        return max([self.cap_w, *(cap_w for several in self.groups.values() for _, cap_w in several)])


class Plant:
    """The truth. `caps` is what each pool enforces, `busy` the GPUs of each workload by pool, `load` how much of its draw work takes."""

    def __init__(self, site: Site, caps: Mapping[str, Caps]) -> None:
        self.site = site
        self.caps = dict(caps)
        self.busy: dict[str, dict[str, int]] = {name: {} for name in site.pools}
        for name, contract in site.contracts.items():
            if contract.pool is not None:
                self.busy[contract.pool][name] = contract.gpus
        self.load = dict.fromkeys(site.pools, 0.8)
        self.dead = dict.fromkeys(site.pools, 0)
        self.battery_kw = dict.fromkeys(site.batteries, 0.0)
        self.battery_kwh = {name: battery.start_share * battery.capacity_kwh for name, battery in site.batteries.items()}
        self.hall_c = {name: hall.thermal.start_c for name, hall in site.halls.items() if hall.thermal is not None}
        self.cooled = dict.fromkeys(site.halls, 1.0)
        """How much of what a hall needs removed can be."""
        self.outdoor_c = site.weather.outdoor_by_hour_c[0]
        self.cooling_kw = 0.0
        self._leaves_first = [name for name in site.feeders if name != "root"] + ["root"]
        self.pool_kw: dict[str, float] = {}
        self.feeder_kw: dict[str, float] = {}
        self.measure()

    def pass_by(self, seconds: float, hour: float) -> None:
        """Let time pass in which nothing changed but heat, weather and what batteries hold; `hour` is the site's, at its end."""
        by_hour = self.site.weather.outdoor_by_hour_c
        low, share = int(hour) % 24, hour % 1.0
        self.outdoor_c = by_hour[low] + share * (by_hour[(low + 1) % 24] - by_hour[low])
        for name, kwh in self.battery_kwh.items():
            battery, kw = self.site.batteries[name], self.battery_kw[name]
            gained = kw * battery.efficiency if kw > 0 else kw / battery.efficiency
            self.battery_kwh[name] = min(max(kwh + gained * seconds / 3600, battery.min_share * battery.capacity_kwh), battery.capacity_kwh)
        removed_kw = 0.0
        for name in self.hall_c:
            removed_kw += self._hall(name, seconds)
        self.cooling_kw = steady_cooling_kw(self.site, "c", removed_kw, self.outdoor_c)

    def measure(self) -> None:
        """Reckon what everything draws now."""
        self.pool_kw = {name: self._draw_kw(name) for name in self.site.pools}
        self.feeder_kw = self.feeders_kw(self.pool_kw, self.battery_kw)

    def worst_kw(self, pool: str, caps: Caps) -> float:
        """What a pool may draw under caps, whatever runs there."""
        it = self.site.pools[pool]
        return (caps.sum_w(it.gpus) + it.gpus * it.host_run_w) / 1000

    def feeders_kw(self, pool_kw: Mapping[str, float], battery_kw: Mapping[str, float]) -> dict[str, float]:
        """The power into every feeder for given draws of pools and batteries."""
        below = dict.fromkeys(self.site.feeders, 0.0)
        for hall in self.site.halls.values():
            below[hall.feeder] += hall.base_kw
        for name, kw in pool_kw.items():
            below[self.site.pools[name].feeder] += kw
        below["root"] += self.cooling_kw
        for name, kw in battery_kw.items():
            below[self.site.batteries[name].feeder] += kw
        loads = {}
        for name in self._leaves_first:
            loads[name] = below[name] + self.site.feeders[name].loss_share * abs(below[name])
            if name != "root":
                below["root"] += loads[name]
        return loads

    def _hall(self, name: str, seconds: float) -> float:
        """Move a hall's air on; the heat that was removed from it, kW."""
        thermal = self.site.halls[name].thermal
        assert thermal is not None
        heat_kw = self.site.halls[name].base_kw + sum(kw for pool, kw in self.pool_kw.items() if self.site.pools[pool].hall == name)
        inflow_kw = (self.outdoor_c - self.hall_c[name]) / thermal.resistance_k_per_kw
        settling_kw = (self.hall_c[name] - thermal.start_c) * thermal.heat_capacity_kwh_per_k / max(seconds / 3600, 0.1)
        removed_kw = min(max(heat_kw + inflow_kw + settling_kw, 0.0), self.cooled[name] * (heat_kw + max(inflow_kw, 0.0)) * 1.2)
        settled_c = self.outdoor_c + thermal.resistance_k_per_kw * (heat_kw - removed_kw)
        kept = math.exp(-seconds / (3600 * thermal.resistance_k_per_kw * thermal.heat_capacity_kwh_per_k))
        self.hall_c[name] = settled_c + (self.hall_c[name] - settled_c) * kept
        return removed_kw

    def _draw_kw(self, pool: str) -> float:
        it, caps = self.site.pools[pool], self.caps[pool]
        model, total_w, idle = self.site.gpu_models[it.gpu_model], 0.0, it.gpus - self.dead[pool]
        for workload, gpus in self.busy[pool].items():
            left = min(gpus, idle)
            idle -= left
            total_w += left * it.host_run_w
            for count, cap_w in (*caps.groups.get(workload, ()), (left, caps.cap_w)):
                taken = min(count, left)
                left -= taken
                total_w += taken * max(self.load[pool] * at_cap(model.curves["train"], cap_w)[0], model.idle_w)
        return (total_w + idle * (model.idle_w + it.host_idle_w)) / 1000
