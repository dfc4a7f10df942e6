"""What caps make the site draw, in plain arithmetic: no solver, no arrays, nothing shared with the model.

    draw(cap)     measured points joined by straight lines; above the last point a cap does nothing
    pool          = sum gpus * (draw + host_run) + idle gpus * (idle + host_idle)                   expected, / 1000
    pool at worst = the `gpus` highest caps among all that may be in force + gpus * host_run        / 1000
    heat          = (1 - liquid) * pools + hall base + (outdoor - T) / R - stored                   of the halls of one plant
                  + liquid * pools                                                                  of its liquid loops
                  + charge                                                                          of its tank, negative discharges
    cooling       = s * sum of (its part of max(heat, min_load * design)) / COP + pumps * max(l^2, ..) + fans * max(l^3, ..) + misc
    feeder        = net + loss * |net|,   net = pools + bases + cooling + batteries - generation + feeders below
    group (N-1)   = sum of its feeders, on the ratings of all but the largest, which is lost; the others share it by rating

| symbol | meaning | unit |
|---|---|---|
| liquid | share of a pool's heat that goes into its hall's loop | 1 |
| its part | of each chiller, the best COP filled first | kW |
| s | share of heat that free cooling leaves: 0 below, 1 above its thresholds, linear between | 1 |
| COP | max(cop_min, cop_at_25c - cop_loss_per_k * (outdoor - 25)) | 1 |
| l | heat / design heat | 1 |
| R | thermal resistance of the hall's envelope | K/kW |
| T | the hall's temperature, the mean of the first step | degC |
| stored | C * (temperature ordered - temperature measured) / length of the first step | kW |

Where a decision does not say how long its first step lasts, or a hall's temperature is not measured or not ordered, the hall
is steady at its set-point (`start_c`), and so are all halls at worst. A message to a pool may be lost, or reach some of its nodes only,
so of every cap that may be in force any GPU may have the highest: the sum over GPUs of the maximum is never more than the
highest `gpus` of them all, and some loss attains it.
Source of the plant's shape: Sun et al. 2020, Zhao et al. 2024.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp

from facility.decision import Decision, PoolCaps
from facility.site import CoolingPlant, Curve, Pool, Site
from facility.snapshot import Job, Snapshot
from facility.verify.supply import supplied


@dataclass(frozen=True)
class Carrier:
    """What carries the load of `feeders`: one by itself, or what is left of a group when its largest is lost; kW."""

    name: str
    feeders: tuple[str, ...]
    rating_kw: float
    worst_kw: float
    rule: str = "feeder"

    def load_kw(self, loads: Mapping[str, float]) -> float:
        """What it has to carry where feeders carry `loads`."""
        return sum(loads[feeder] for feeder in self.feeders)


def carriers(site: Site, share: float = 1.0) -> tuple[Carrier, ...]:
    """Every feeder, then every group of feeders that back each other; at worst at most `share` of a rating is used."""
    at_worst = {name: feeder.rating_kw * min(share, feeder.worst_case_margin) for name, feeder in site.feeders.items()}
    found = [Carrier(name, (name,), feeder.rating_kw, at_worst[name]) for name, feeder in site.feeders.items()]
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name, feeder in site.feeders.items():
        if feeder.redundancy_group is not None:
            groups[feeder.redundancy_group].append(name)
    for group, members in groups.items():
        rating = [site.feeders[name].rating_kw for name in members]
        worst = [at_worst[name] for name in members]
        found.append(Carrier(group, tuple(members), sum(rating) - max(rating), sum(worst) - max(worst), "redundancy"))
    return tuple(found)


@dataclass(frozen=True)
class Drift:
    """A hall whose temperature moves: its mean (degC), and the heat that the hall itself takes up, kW (negative: gives back)."""

    mean_c: float
    stored_kw: float


def drifts(site: Site, decision: Decision, snapshot: Snapshot) -> dict[str, Drift]:
    """Tell how the halls move during a decision's first step, as far as that is known."""
    found: dict[str, Drift] = {}
    for order in decision.cooling:
        for hall_id, wanted_c in order.hall_c:
            thermal, now_c = site.halls[hall_id].thermal, snapshot.hall_c.get(hall_id)
            if thermal is not None and now_c is not None and decision.first_step_s:
                hours = decision.first_step_s / 3600
                constant_h = thermal.resistance_k_per_kw * thermal.heat_capacity_kwh_per_k
                left = exp(-hours / constant_h)
                settles_at_c = (wanted_c - left * now_c) / (1 - left)
                mean_c = settles_at_c + (now_c - wanted_c) * constant_h / hours
                found[hall_id] = Drift(mean_c, thermal.heat_capacity_kwh_per_k * (wanted_c - now_c) / hours)
    return found


def tanks_kw(decision: Decision) -> dict[str, float]:
    """Tell what each cooling plant is ordered to charge its tank with, kW of heat; negative discharges."""
    return {order.plant: order.store_kw for order in decision.cooling if order.store_kw is not None}


def at_rest_kw(site: Site) -> float:
    """What the site draws when all GPUs are idle, without cooling and losses, kW."""
    idle_w = sum(pool.gpus * (site.gpu_models[pool.gpu_model].idle_w + pool.host_idle_w) for pool in site.pools.values())
    return sum(hall.base_kw for hall in site.halls.values()) + idle_w / 1000


def at_cap(curve: Curve, cap_w: float) -> tuple[float, float]:
    """Tell the draw (W) and relative speed of a GPU under `cap_w`.

    Below the lowest measured cap the draw is that point's, a bound from above, and the speed 0, one from below.
    """
    points = sorted(curve.points, key=lambda point: point.cap_w)
    low = points[0]
    if cap_w < low.cap_w:
        return low.draw_w, 0.0
    for high in points[1:]:
        if cap_w < high.cap_w:
            share = (cap_w - low.cap_w) / (high.cap_w - low.cap_w)
            return low.draw_w + share * (high.draw_w - low.draw_w), low.speed + share * (high.speed - low.speed)
        low = high
    return low.draw_w, low.speed


def work_of(site: Site, pool_id: str, workload: str, jobs: Mapping[str, Job]) -> str | None:
    """Tell the kind of work (a curve's name) that `workload` does in this pool; None where it does not belong there."""
    contract, job = site.contracts.get(workload), jobs.get(workload)
    if contract is not None and contract.gpus and contract.pool == pool_id:
        return contract.curve
    return job.curve if job is not None and pool_id in (job.pool, *job.other_pools) else None


def pool_kw(site: Site, caps: PoolCaps, jobs: Mapping[str, Job]) -> float:
    """Sum the IT power expected of one pool under `caps`, kW, hosts included. Work without a curve is taken to draw its cap."""
    pool = site.pools[caps.pool]
    model = site.gpu_models[pool.gpu_model]
    total_w, idle = 0.0, pool.gpus
    for group in caps.groups:
        curve = model.curves.get(work_of(site, caps.pool, group.workload, jobs) or "")
        draw_w = group.cap_w if curve is None else at_cap(curve, group.cap_w)[0]
        total_w += group.gpus * (draw_w + pool.host_run_w)
        idle -= group.gpus
    return (total_w + idle * (model.idle_w + pool.host_idle_w)) / 1000


def worst_pool_kw(pool: Pool, in_force: Sequence[PoolCaps]) -> float:
    """Sum the IT power of one pool at worst, kW, where each of `in_force` may hold for any of its GPUs."""
    caps = [(group.cap_w, group.gpus) for sent in in_force for group in sent.groups]
    caps += [(sent.cap_w, max(pool.gpus - sum(group.gpus for group in sent.groups), 0)) for sent in in_force]
    total_w, left = pool.gpus * pool.host_run_w, pool.gpus
    for cap_w, gpus in sorted(caps, reverse=True):
        taken = min(gpus, left)
        total_w += taken * cap_w
        left -= taken
    return total_w / 1000


def removed_heat_kw(
    site: Site, it_kw: Mapping[str, float], outdoor_c: float, moving: Mapping[str, Drift] | None = None
) -> dict[str, float]:
    """Tell the heat that must leave the air of each hall so that it moves as told, kW, for IT power by pool, kW."""
    removed: dict[str, float] = {}
    for hall_id, hall in site.halls.items():
        if hall.thermal is not None:
            drift = (moving or {}).get(hall_id, Drift(hall.thermal.start_c, 0.0))
            inflow_kw = (outdoor_c - drift.mean_c) / hall.thermal.resistance_k_per_kw
            air_kw = sum(kw * (1 - site.pools[pool].liquid_share) for pool, kw in it_kw.items() if site.pools[pool].hall == hall_id)
            removed[hall_id] = max(air_kw + hall.base_kw + inflow_kw - drift.stored_kw, 0.0)
    return removed


def plant_heat_kw(
    site: Site,
    it_kw: Mapping[str, float],
    outdoor_c: float,
    moving: Mapping[str, Drift] | None = None,
    charge_kw: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Sum the heat that each cooling plant must remove so that its halls move as told and its loops stay as warm, kW, for IT power by pool, kW.

    `charge_kw` is what the plants charge their tanks with.
    """
    heat = dict.fromkeys(site.cooling_plants, 0.0)
    for hall_id, removed_kw in removed_heat_kw(site, it_kw, outdoor_c, moving).items():
        heat[site.halls[hall_id].thermal.cooling_plant] += removed_kw  # type: ignore[union-attr]
    for pool, kw in it_kw.items():
        thermal = site.halls[site.pools[pool].hall].thermal
        if thermal is not None and thermal.liquid_plant is not None:
            heat[thermal.liquid_plant] += kw * site.pools[pool].liquid_share
    return {plant: max(kw + (charge_kw or {}).get(plant, 0.0), 0.0) for plant, kw in heat.items()}


def most_heat_kw(plant: CoolingPlant, outdoor_c: float) -> float:
    """Tell the most heat that a plant removes at `outdoor_c`, kW."""
    points = plant.capacity_by_outdoor
    if not points or outdoor_c <= points[0].outdoor_c:
        return plant.max_heat_kw * (points[0].share if points else 1.0)
    for low, high in pairwise(points):
        if outdoor_c < high.outdoor_c:
            way = (outdoor_c - low.outdoor_c) / (high.outdoor_c - low.outdoor_c)
            return plant.max_heat_kw * (low.share + way * (high.share - low.share))
    return plant.max_heat_kw * points[-1].share


def steady_cooling_kw(site: Site, plant_id: str, heat_kw: float, outdoor_c: float) -> float:
    """Tell the electric power of a cooling plant that removes `heat_kw` without end, kW."""
    plant = site.cooling_plants[plant_id]
    full_c, none_c = plant.free_cooling_full_below_c, plant.free_cooling_none_above_c
    if outdoor_c <= full_c:
        chilled_share = 0.0
    elif outdoor_c >= none_c:
        chilled_share = 1.0
    else:
        chilled_share = (outdoor_c - full_c) / (none_c - full_c)
    left_kw = max(heat_kw, plant.min_load_share * plant.design_heat_kw)
    chiller_kw, cop_at_25c = 0.0, plant.cop_at_25c
    for stage in sorted(plant.stages, key=lambda stage: stage.cop_at_25c, reverse=True):
        cop_at_25c, taken_kw = stage.cop_at_25c, min(left_kw, stage.max_heat_kw)
        chiller_kw += taken_kw / _cop(plant, cop_at_25c, outdoor_c)
        left_kw -= taken_kw
    chiller_kw = chilled_share * (chiller_kw + left_kw / _cop(plant, cop_at_25c, outdoor_c))
    load = heat_kw / plant.design_heat_kw
    pumps_kw = plant.pump_kw * max(load**2, plant.pump_min_share)
    return chiller_kw + pumps_kw + plant.fan_kw * max(load**3, plant.fan_min_share) + plant.misc_kw


def _cop(plant: CoolingPlant, at_25c: float, outdoor_c: float) -> float:
    return max(plant.cop_min, at_25c - plant.cop_loss_per_k * (outdoor_c - 25.0))


def feeder_kw(
    site: Site,
    it_kw: Mapping[str, float],
    heat_it_kw: Mapping[str, float],
    battery_kw: Mapping[str, float],
    outdoor_c: float,
    moving: Mapping[str, Drift] | None = None,
    given_kw: Mapping[str, float] | None = None,
    charge_kw: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Sum the power into every feeder, kW, its own losses included.

    `it_kw` is the IT power by pool, `heat_it_kw` the one whose heat the plants remove (the same, unless a surge is quicker
    than they are), `battery_kw` the batteries' power, charging positive, `moving` the halls that are not steady, `given_kw` what is
    generated under each feeder, `charge_kw` the heat that plants take out of their tanks. A plant removes at most what it can in
    that weather. Losses go with the size of what passes, also when it flows back.
    """
    net = dict.fromkeys(site.feeders, 0.0)
    for pool, kw in it_kw.items():
        net[site.pools[pool].feeder] += kw
    for hall in site.halls.values():
        net[hall.feeder] += hall.base_kw
    for plant_id, heat_kw in plant_heat_kw(site, heat_it_kw, outdoor_c, moving, charge_kw).items():
        plant = site.cooling_plants[plant_id]
        net[plant.feeder] += steady_cooling_kw(site, plant_id, min(heat_kw, most_heat_kw(plant, outdoor_c)), outdoor_c)
    for feeder_id, kw in (given_kw or {}).items():
        net[feeder_id] -= kw
    for battery, kw in battery_kw.items():
        net[site.batteries[battery].feeder] += kw

    below: defaultdict[str | None, list[str]] = defaultdict(list)
    for feeder_id, feeder in site.feeders.items():
        below[feeder.parent].append(feeder_id)
    loads: dict[str, float] = {}

    def into(feeder_id: str) -> float:
        passes_kw = net[feeder_id] + sum(into(child) for child in below[feeder_id])
        loads[feeder_id] = passes_kw + site.feeders[feeder_id].loss_share * abs(passes_kw)
        return loads[feeder_id]

    for root in below[None]:
        into(root)
    return loads


def expected_it_kw(site: Site, decision: Decision, snapshot: Snapshot) -> dict[str, float]:
    """Sum the IT power expected of each pool under a decision, kW, hosts included."""
    jobs = {job.id: job for job in snapshot.jobs}
    return {caps.pool: pool_kw(site, caps, jobs) for caps in decision.pools}


def expected_kw(site: Site, decision: Decision, snapshot: Snapshot, outdoor_c: float) -> dict[str, float]:
    """Sum the power expected into every feeder under a decision, kW, losses included; a discharging battery and generation lower it."""
    site = supplied(site, decision)
    battery_kw = {order.battery: order.power_kw for order in decision.batteries}
    it_kw = expected_it_kw(site, decision, snapshot)
    given_kw: defaultdict[str, float] = defaultdict(float)
    for plant in decision.solar:
        given_kw[site.solar[plant.solar].feeder] += plant.power_kw
    for genset in decision.gensets:
        given_kw[site.gensets[genset.genset].feeder] += genset.power_kw
    return feeder_kw(site, it_kw, it_kw, battery_kw, outdoor_c, drifts(site, decision, snapshot), given_kw, tanks_kw(decision))
