"""Contracts and jobs as the model's firm workloads and jobs."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from facility.forecast import Forecast, hours_between
from facility.overrides.arbitrate import Bounds
from facility.problem.electrical import losses_to_meter
from facility.problem.gpus import curve_of, host_of
from facility.problem.thermal import chiller_of
from facility.rental.spans import gpus_by_step
from facility.site import Contract, Site
from facility.snapshot import Job as JobState
from facility.snapshot import Snapshot
from facility.steps import Edges, horizon
from facility.tariff import fees_per_mwh
from models.horizon import Floats
from models.work.budget import Budget
from models.work.firm import Firm
from models.work.gpu import ladder
from models.work.job import Job
from models.work.workload import Order


def firms_of(site: Site, snapshot: Snapshot, forecast: Forecast, bounds: Bounds, edges: Edges) -> tuple[Firm, ...]:
    """The rentals and services that must run, in the order of the site."""
    found, among = [], gpus_by_step(site, edges)
    for contract_id, contract in site.contracts.items():
        rented = forecast.rented_gpus.get(contract_id, among.get(contract_id, ()))
        if contract.gpus and contract.pool and (any(rented) or not rented):
            firm = Firm(
                id=contract_id,
                pool=contract.pool,
                curve=curve_of(site, site.pools[contract.pool].gpu_model, contract.curve or ""),
                gpus=contract.gpus,
                cap_w=_commanded(bounds.pool_cap_w[contract.pool]),
                wish_per_kwh=_wish_per_kwh(contract, forecast),
                floor_speed=contract.least_speed,
                value_per_gpu_h=contract.value_per_gpu_h,
                short_price_per_gpu_h=contract.penalty_per_gpu_h,
                weight=contract.gpus if contract.weight is None else contract.weight,
                pausable=contract.pausable,
                demand=forecast.demand_gpus.get(contract_id, ()),
                rented=rented,
                releases_idle=contract.releases_idle,
                budget=_budget(site, contract, snapshot.slow_hours_used.get(contract_id, 0.0), edges),
            )
            found.append(firm)
    return tuple(found)


def _wish_per_kwh(contract: Contract, forecast: Forecast) -> tuple[float, ...]:
    """What a contract's tenant would pay for a kWh less in each step, by the carbon of each, money; () where it would not."""
    price = contract.carbon_price_per_tonne
    return tuple((forecast.carbon_g_per_kwh * (price / 1e6)).tolist()) if price else ()


def _budget(site: Site, contract: Contract, used_h: float, edges: Edges) -> Budget | None:
    """The budget of slow hours, `used_h` of its running window gone; a step is of the window in which it begins."""
    granted = contract.flexibility
    if granted is None or granted.greatest_slowdown <= 1:
        return None
    zone = ZoneInfo(site.timezone)
    windows = [window_of(edge.astimezone(zone), granted.slow_window) for edge in edges[:-1]]
    ends = [t for t, (this, after) in enumerate(pairwise((*windows, None))) if this != after]
    most_h = math.inf if granted.slow_hours is None else granted.slow_hours
    return Budget(
        greatest_slowdown=granted.greatest_slowdown,
        ends=tuple(ends),
        left_h=(max(0.0, most_h - used_h), *(most_h for _ in ends[1:])),
        credit_per_gpu_h=granted.credit_per_gpu_h,
        over_price_per_h=contract.penalty_per_gpu_h * contract.gpus * (1 - 1 / granted.greatest_slowdown),
    )


def window_of(local: datetime, window: str) -> tuple[int, ...]:
    """The calendar day, week or month of a local time, as numbers that tell it from its neighbours."""
    if window == "week":
        return tuple(local.isocalendar()[:2])
    return (local.year, local.month) if window == "month" else (local.year, local.month, local.day)


def jobs_of(site: Site, states: tuple[JobState, ...], forecast: Forecast, bounds: Bounds, edges: Edges) -> tuple[Job, ...]:
    """The jobs of a snapshot, in its order; those that are late, and still told of, are due as soon as they can be done. Work after the horizon
    costs what it would at the mean price and the best point.

    A pause costs the GPU hours that it loses, each at the energy to do it again and its value by the job's contract.
    """
    lengths = horizon(edges)
    paid_per_mwh = forecast.price_per_mwh + fees_per_mwh(site, edges, forecast.price_per_mwh)
    paid_per_mwh = paid_per_mwh + forecast.carbon_g_per_kwh * site.carbon.price_per_tonne / 1000
    mean_price_per_kwh = float(paid_per_mwh @ lengths.h) / 1000 / lengths.end_h
    delay = site.jobs.delay_price_per_gpu_h
    kwh_price = {pool: _price_per_kwh(site, pool, mean_price_per_kwh, forecast.outdoor_c) for pool in site.pools}
    kinds = {(pool, state.curve) for state in states for pool in (state.pool, *state.other_pools)}
    curves = {(pool, kind): curve_of(site, site.pools[pool].gpu_model, kind) for pool, kind in kinds}
    best_kwh = {
        (pool, kind): ladder(curve, host_of(site, pool), may_pause=True).best_energy_kwh for (pool, kind), curve in curves.items()
    }

    def gpu_h_price(state: JobState) -> float:
        """What a GPU hour of a job is worth: its energy again, and its value by the contract."""
        value = site.contracts[state.contract].value_per_gpu_h if state.contract else 0.0
        return kwh_price[state.pool] * best_kwh[state.pool, state.curve] + value

    def wish_per_kwh(state: JobState) -> tuple[float, ...]:
        return _wish_per_kwh(site.contracts[state.contract], forecast) if state.contract else ()

    def mean_wish(state: JobState) -> float:
        return float(np.mean(wish_per_kwh(state) or (0.0,)))

    def job(state: JobState) -> Job:
        arrival_h = max(hours_between(edges[0], state.submit), 0.0)
        kind = (state.pool, state.curve)
        waited_h = max(0.0, lengths.end_h - arrival_h)
        still_h = still_to_run_h(site, state, edges[0])
        lost_gpu_h = site.jobs.pause_cost_gpu_h if state.pause_cost_gpu_h is None else state.pause_cost_gpu_h
        return Job(
            id=state.id,
            pool=state.pool,
            curve=curves[kind],
            gpus=state.gpus,
            cap_w=_commanded(bounds.job_cap_w.get(state.id, bounds.pool_cap_w[state.pool])),
            order=_orders(bounds, state, len(lengths)),
            wish_per_kwh=wish_per_kwh(state),
            work_gpu_h=state.work_gpu_h,
            arrival_h=arrival_h,
            deadline_h=hours_between(edges[0], state.due(edges[0])),
            elastic=state.elastic,
            unfinished_price_per_gpu_h=_penalty_per_gpu_h(site, state),
            delay_price_per_gpu_h=delay,
            carry_price_per_gpu_h=(kwh_price[state.pool] + mean_wish(state)) * best_kwh[kind] + delay * waited_h,
            pause_price_per_gpu=max(0.0, lost_gpu_h * gpu_h_price(state)) if lost_gpu_h else 0.0,
            spot_value_per_gpu_h=_spot_value_per_gpu_h(site, state),
            running=bool(state.running) and arrival_h == 0,
            min_run_h=min_run_h(site, state),
            still_h=still_h,
            elsewhere=() if still_h else tuple(job(replace(state, pool=pool, other_pools=())) for pool in state.other_pools),
        )

    return tuple(job(state) for state in states)


def min_run_h(site: Site, job: JobState) -> float:
    """How long a job runs at least once it does, h; 0 of an elastic one, which gives GPUs back one by one."""
    return 0.0 if job.elastic else site.jobs.min_run_h if job.min_run_h is None else job.min_run_h


def still_to_run_h(site: Site, job: JobState, at: datetime) -> float:
    """What is left at `at` of the minimum run of a job, h; 0 where it does not run, or nobody knows since when."""
    if not job.running or job.running_since is None:
        return 0.0
    return max(0.0, min_run_h(site, job) - hours_between(min(job.running_since, at), at))


def _penalty_per_gpu_h(site: Site, job: JobState) -> float:
    """The penalty of a job's contract, or the site's where the contract names none."""
    contract = site.contracts[job.contract] if job.contract else None
    named = contract is not None and "penalty_per_gpu_h" in contract.model_fields_set
    return contract.penalty_per_gpu_h if contract is not None and named else site.jobs.unfinished_penalty_per_gpu_h


def _spot_value_per_gpu_h(site: Site, job: JobState) -> float:
    """What an hour of spot work is worth; 0 for work that is owed, as all is under a contract that states no value."""
    contract = site.contracts[job.contract] if job.contract else None
    return contract.value_per_gpu_h if contract is not None and contract.kind == "spot" else 0.0


def _commanded(cap_w: tuple[float | None, ...]) -> tuple[float | None, ...]:
    return cap_w if any(cap is not None for cap in cap_w) else ()


def _orders(bounds: Bounds, job: JobState, steps: int) -> tuple[Order | None, ...]:
    named = bounds.job_orders.get(job.id)
    held = bounds.held_pools.get(job.pool, (False,) * steps)
    if named is None and not any(held):
        return ()
    said = named or tuple("hold" if hold else None for hold in held)
    return tuple("hold" if order == "hold" else "run" if order == "run" else None for order in said)


def _price_per_kwh(site: Site, pool_id: str, energy_price_per_kwh: float, outdoor_c: Floats) -> float:
    """What a kWh in a pool costs on average: energy with its losses on the way and the chillers' share, and water."""
    pool = site.pools[pool_id]
    thermal, cooling, water = site.halls[pool.hall].thermal, 0.0, 0.0
    if thermal is not None:
        for plant_id, share in ((thermal.cooling_plant, 1 - pool.liquid_share), (thermal.liquid_plant, pool.liquid_share)):
            if plant_id is not None:
                chiller, m3_per_kwh = chiller_of(site, plant_id), site.cooling_plants[plant_id].water_l_per_kwh / 1000
                cooling += share * float(np.mean(chiller.chiller_kw_per_kw(outdoor_c)))
                water += share * site.tariff.water_price_per_m3 * m3_per_kwh * float(np.mean(chiller.chilled_share(outdoor_c)))
    return losses_to_meter(site, pool.feeder) * (1 + cooling) * energy_price_per_kwh + water
