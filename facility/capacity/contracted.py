"""Contracted: the site as it is rented out, every hour by itself.

What holds only for a while is left out, for it may be used up when it is needed: what batteries and tanks store, what halls store as heat,
gensets, slow hours of which a contract grants so many a day, week or month. So is what is sold or planned for a time: reserves, maintenance,
ramps, the carbon cap. GPUs that leave for good are gone from then on, and those to come are not there before. A battery that must ride through
is full and rests. Halls stay in their recommended band. GPUs that no rental holds do jobs: so many of them, at full speed, always, which no plan
slows and none defers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from facility.capacity.gear import ADDED, built
from facility.capacity.place import Place, usual_curve
from facility.problem.maintenance import gpus_left
from facility.rental.spans import gpus_by_step
from facility.site import Battery, Contract, CoolingPlant, Hall, Maintenance, Site
from facility.steps import Edges

STEADY_H = 0.05
"""Time constant of a hall that forgets in an hour what it was before, h."""
AT_REST_KW = 1e-6


def rented(site: Site, busy_gpus: Mapping[str, int], curves: Mapping[str, str]) -> Site:
    """The site with its jobs as rentals: `busy_gpus` by pool run at most, at work of the kind in `curves`."""
    tenant = next(iter(site.tenants), "present")
    contracts = {name: _without_budget(contract) for name, contract in site.contracts.items()}
    for pool, gpus in busy_gpus.items():
        if gpus:
            kind = curves.get(pool) or usual_curve(site, site.pools[pool].gpu_model)
            terms = {"tenant": tenant, "kind": "on-demand", "pool": pool, "gpus": gpus, "curve": kind, "floor_speed": 1.0, "releases_idle": True}
            contracts[jobs_of(pool)] = Contract.model_validate(terms)
    jobs = site.jobs.model_copy(update={"contract": None})
    return site.model_copy(update={"contracts": contracts, "maintenance": _for_good(site), "jobs": jobs})


def steady(site: Site) -> Site:
    """The site without all that holds only for a while."""
    return site.model_copy(
        update={
            "grid": site.grid.model_copy(update={"reserves": {}, "ramp_kw_per_h": None}),
            "carbon": site.carbon.model_copy(update={"cap_kg_per_day": None}),
            "gensets": {},
            "batteries": {name: _resting(battery) for name, battery in site.batteries.items() if battery.ride_through_min},
            "cooling_plants": {name: _without_tank(plant) for name, plant in site.cooling_plants.items()},
            "halls": {name: _forgetful(hall) for name, hall in site.halls.items()},
        }
    )


def with_added(site: Site, place: Place, gpus: int, floor_speed: float) -> Site:
    """The site with a pool of GPUs more at a place, rented as a whole to somebody who is promised `floor_speed`."""
    pool = site.pools[place.pool].model_copy(update={"gpu_model": place.gpu_model, "gpus": gpus, "fallback_cap_w": None, "spare_gpus": 0})
    if place.new_hall:
        site, pool = built(site, place, gpus), pool.model_copy(update={"hall": ADDED, "feeder": ADDED})
    tenant = next(iter(site.tenants), "present")
    terms = Contract(tenant=tenant, kind="reserved", pool=place.pool, gpus=gpus, curve=place.curve, floor_speed=floor_speed)
    contracts = {**site.contracts, ADDED: terms.model_copy(update={"pool": ADDED})}
    return site.model_copy(update={"pools": {**site.pools, ADDED: pool}, "contracts": contracts})


def free_gpus(site: Site, edges: Edges) -> dict[str, tuple[int, ...]]:
    """GPUs of each pool that are there and that no rental holds, by hour: the fewest at any instant of it."""
    there = site.model_copy(update={"maintenance": _for_good(site)})
    free = {name: np.array(gpus_left(there, name, edges)[0]) for name in site.pools}
    timed = gpus_by_step(site, edges)
    for name, contract in site.contracts.items():
        if contract.gpus and contract.pool:
            free[contract.pool] = free[contract.pool] - np.array(timed.get(name, contract.gpus))
    return {name: tuple(np.maximum(gpus, 0).astype(int).tolist()) for name, gpus in free.items()}


def jobs_of(pool: str) -> str:
    """The name of the rental that stands for the jobs of a pool; no site file can have it."""
    return f"jobs in {pool}"


def left_out(site: Site) -> Iterator[str]:
    """What of the site is not counted on, in words."""
    lasting = {
        "batteries": [name for name, battery in site.batteries.items() if not battery.ride_through_min],
        "tanks": [name for name, plant in site.cooling_plants.items() if plant.store],
        "gensets": list(site.gensets),
    }
    for what, names in lasting.items():
        if names:
            yield f"{what}: not counted, for what they hold may be used up when it is needed ({', '.join(names)})"
    riding = [name for name, battery in site.batteries.items() if battery.ride_through_min]
    if riding:
        yield f"batteries: full, and kept to ride through ({', '.join(riding)})"
    if any(hall.thermal for hall in site.halls.values()):
        yield "halls: steady at their recommended maximum in every hour; what they store as heat is not counted"
    rationed = [name for name, contract in site.contracts.items() if _without_budget(contract) is not contract]
    if rationed:
        yield f"slow hours: rentals that grant so many a day, week or month are taken at full speed ({', '.join(rationed)})"
    more = {
        "grid.reserves": site.grid.reserves, "grid.ramp_kw_per_h": site.grid.ramp_kw_per_h, "maintenance": site.maintenance.keys() - _for_good(site),
        "carbon.cap_kg_per_day": site.carbon.cap_kg_per_day,
    }  # fmt: skip
    if kept := [key for key, value in more.items() if value]:
        yield f"not looked at: {', '.join(kept)}"


def _for_good(site: Site) -> dict[str, Maintenance]:
    """GPUs that leave for good, and those that are still to come."""
    return {name: m for name, m in site.maintenance.items() if m.fixed and not (m.start and m.end)}


def _without_budget(contract: Contract) -> Contract:
    """A contract that grants so many slow hours is taken as one that grants none; one that grants any, or a floor, stays."""
    granted = contract.flexibility
    if granted is None or granted.greatest_slowdown <= 1 or granted.slow_hours is None:
        return contract
    off = {"tier": None, "greatest_slowdown": None, "slow_hours": None, "slow_window": None, "credit_per_gpu_h": None}
    return contract.model_copy(update={**off, "floor_speed": 1.0})


def _resting(battery: Battery) -> Battery:
    return battery.model_copy(update={"start_share": 1.0, "charge_kw": AT_REST_KW, "discharge_kw": AT_REST_KW})


def _without_tank(plant: CoolingPlant) -> CoolingPlant:
    return plant.model_copy(update={"store": None})


def _forgetful(hall: Hall) -> Hall:
    thermal = hall.thermal
    if thermal is None:
        return hall
    forgets = {"heat_capacity_kwh_per_k": STEADY_H / thermal.resistance_k_per_kw, "allowable_max_c": thermal.recommended_max_c}
    return hall.model_copy(update={"thermal": thermal.model_copy(update=forgets)})
