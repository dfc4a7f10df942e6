"""Problem: a site, a snapshot and a forecast, turned into the numbers that `models` wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from facility.events import Event, targets_kw
from facility.forecast import Forecast, hours_between
from facility.overrides.arbitrate import Bounds
from facility.site import Site
from facility.snapshot import Job as JobState
from facility.snapshot import Snapshot
from facility.steps import Edges, horizon
from models.account import account
from models.baseline import baseline
from models.battery import Battery
from models.chiller import Chiller
from models.cooling_plant import CoolingPlant
from models.feeder import Feeder
from models.firm import Firm
from models.gpu import Curve, Host, ladder
from models.grid_connection import GridConnection
from models.hall import Hall
from models.horizon import Floats
from models.job import Job
from models.pool import Pool
from models.site import Problem
from models.workload import Order


def problem_of(site: Site, snapshot: Snapshot, forecast: Forecast, bounds: Bounds, edges: Edges) -> Problem:
    """The problem of the steps between `edges`. What the snapshot lacks is taken from the site file's start values."""
    steps = len(edges) - 1
    curves = {(model, kind): curve_of(site, model, kind) for model, m in site.gpu_models.items() for kind in m.curves}
    hosts = {pool: host_of(site, pool) for pool in site.pools}
    overhead = _overhead(site, forecast.outdoor_c)
    price_per_kwh = forecast.price_per_mwh / 1000
    lengths = horizon(edges)
    mean_price = float(price_per_kwh @ lengths.h) / lengths.end_h

    def firm(contract_id: str, pool: str) -> Firm:
        contract = site.contracts[contract_id]
        return Firm(
            id=contract_id,
            pool=pool,
            curve=curves[site.pools[pool].gpu_model, contract.curve or ""],
            gpus=contract.gpus,
            cap_w=_commanded(bounds.pool_cap_w[pool]),
            floor_speed=contract.floor_speed,
            value_per_gpu_h=contract.value_per_gpu_h,
            short_price_per_gpu_h=contract.penalty_per_gpu_h,
            weight=contract.gpus if contract.weight is None else contract.weight,
            pausable=contract.pausable,
        )

    def job(state: JobState) -> Job:
        curve = curves[site.pools[state.pool].gpu_model, state.curve]
        best_kwh = ladder(curve, hosts[state.pool], may_pause=True).best_energy_kwh
        arrival_h = hours_between(edges[0], state.submit)
        waited_h = max(0.0, lengths.end_h - max(arrival_h, 0.0))
        delay = site.jobs.delay_price_per_gpu_h
        return Job(
            id=state.id,
            pool=state.pool,
            curve=curve,
            gpus=state.gpus,
            cap_w=_commanded(bounds.job_cap_w.get(state.id, bounds.pool_cap_w[state.pool])),
            order=_orders(bounds, state, steps),
            work_gpu_h=state.work_gpu_h,
            arrival_h=max(arrival_h, 0.0),
            deadline_h=hours_between(edges[0], state.deadline),
            elastic=state.elastic,
            unfinished_price_per_gpu_h=site.jobs.unfinished_penalty_per_gpu_h,
            delay_price_per_gpu_h=delay,
            carry_price_per_gpu_h=mean_price * best_kwh * overhead[state.pool] + delay * waited_h,
        )

    return Problem(
        horizon=lengths,
        grid=GridConnection(
            limit_kw=bounds.import_limit_kw,
            price_per_kwh=tuple(price_per_kwh.tolist()),
            carbon_g_per_kwh=tuple(forecast.carbon_g_per_kwh.tolist()),
            peak_price_per_kw=site.tariff.peak_price_per_kw,
            peak_so_far_kw=snapshot.peak_so_far_kw,
            event_target_kw=bounds.event_target_kw,
            ramp_kw_per_h=site.grid.ramp_kw_per_h,
        ),
        outdoor_c=forecast.outdoor_c,
        feeders=tuple(Feeder(i, f.parent, f.rating_kw, f.loss_share, f.worst_case_margin) for i, f in site.feeders.items()),
        halls=tuple(_hall(site, i, snapshot) for i in site.halls),
        pools=tuple(
            Pool(
                id=i,
                hall=p.hall,
                feeder=p.feeder,
                host=hosts[i],
                max_cap_w=site.gpu_models[p.gpu_model].max_cap_w,
                available=(float(p.gpus),) * steps,
                idle_cap_w=tuple(hosts[i].min_cap_w if cap is None else cap for cap in bounds.pool_cap_w[i]),
            )
            for i, p in site.pools.items()
        ),
        cooling_plants=tuple(CoolingPlant(i, c.feeder, chiller_of(site, i)) for i, c in site.cooling_plants.items()),
        batteries=tuple(_battery(site, i, snapshot) for i in site.batteries),
        firms=tuple(firm(i, c.pool) for i, c in site.contracts.items() if c.gpus and c.pool),
        jobs=tuple(job(state) for state in snapshot.jobs),
    )


def called(site: Site, snapshot: Snapshot, forecast: Forecast, bounds: Bounds, events: Sequence[Event], edges: Edges) -> Bounds:
    """`bounds` with what `events` ask of each step, measured against the baseline of the same problem."""
    if not any(event.touches(edges[0], edges[-1]) for event in events):
        return bounds
    free = problem_of(site, snapshot, forecast, bounds, edges)
    return replace(bounds, event_target_kw=targets_kw(events, edges, account(free, baseline(free)).import_kw))


def curve_of(site: Site, gpu_model: str, kind: str) -> Curve:
    """The curve of one kind of work on one GPU model."""
    points = site.gpu_models[gpu_model].curves[kind].points
    return Curve(tuple(float(p.cap_w) for p in points), tuple(p.draw_w for p in points), tuple(p.speed for p in points))


def host_of(site: Site, pool_id: str) -> Host:
    """The machine around the GPUs of a pool."""
    pool = site.pools[pool_id]
    model = site.gpu_models[pool.gpu_model]
    return Host(model.idle_w, pool.host_idle_w, pool.host_run_w, float(model.min_cap_w))


def chiller_of(site: Site, plant_id: str) -> Chiller:
    """The figures of a cooling plant."""
    c = site.cooling_plants[plant_id]
    return Chiller(
        design_heat_kw=c.design_heat_kw,
        max_heat_kw=c.max_heat_kw,
        cop_at_25c=c.cop_at_25c,
        cop_loss_per_k=c.cop_loss_per_k,
        cop_min=c.cop_min,
        min_load_share=c.min_load_share,
        free_full_below_c=c.free_cooling_full_below_c,
        free_none_above_c=c.free_cooling_none_above_c,
        pump_kw=c.pump_kw,
        pump_min_share=c.pump_min_share,
        fan_kw=c.fan_kw,
        fan_min_share=c.fan_min_share,
        misc_kw=c.misc_kw,
    )


def _commanded(cap_w: tuple[float | None, ...]) -> tuple[float | None, ...]:
    return cap_w if any(cap is not None for cap in cap_w) else ()


def _orders(bounds: Bounds, job: JobState, steps: int) -> tuple[Order | None, ...]:
    named = bounds.job_orders.get(job.id)
    held = bounds.held_pools.get(job.pool, (False,) * steps)
    if named is None and not any(held):
        return ()
    said = named or tuple("hold" if hold else None for hold in held)
    return tuple("hold" if order == "hold" else "run" if order == "run" else None for order in said)


def _hall(site: Site, hall_id: str, snapshot: Snapshot) -> Hall:
    hall = site.halls[hall_id]
    thermal = hall.thermal
    if thermal is None:
        return Hall(hall_id, hall.feeder, hall.base_kw)
    return Hall(
        id=hall_id,
        feeder=hall.feeder,
        base_kw=hall.base_kw,
        cooling_plant=thermal.cooling_plant,
        start_c=snapshot.hall_c.get(hall_id, thermal.start_c),
        heat_capacity_kwh_per_k=thermal.heat_capacity_kwh_per_k,
        resistance_k_per_kw=thermal.resistance_k_per_kw,
        recommended_min_c=thermal.recommended_min_c,
        recommended_max_c=thermal.recommended_max_c,
        allowable_max_c=thermal.allowable_max_c,
    )


def _battery(site: Site, battery_id: str, snapshot: Snapshot) -> Battery:
    b = site.batteries[battery_id]
    stored = snapshot.battery_kwh.get(battery_id, b.start_share * b.capacity_kwh)
    return Battery(
        id=battery_id,
        feeder=b.feeder,
        capacity_kwh=b.capacity_kwh,
        charge_kw=b.charge_kw,
        discharge_kw=b.discharge_kw,
        efficiency=b.efficiency,
        min_kwh=b.min_share * b.capacity_kwh,
        start_kwh=min(max(stored, 0.0), b.capacity_kwh),
        wear_price_per_kwh=b.wear_price_per_mwh / 1000,
    )


def _overhead(site: Site, outdoor_c: Floats) -> dict[str, float]:
    """What a kWh in each pool takes at the meter on average: losses on the way and the chiller's share."""
    factor: dict[str, float] = {}
    for pool_id, pool in site.pools.items():
        losses, node = 1.0, site.feeders[pool.feeder]
        while True:
            losses *= 1 + node.loss_share
            if node.parent is None:
                break
            node = site.feeders[node.parent]
        thermal = site.halls[pool.hall].thermal
        cooling = 0.0
        if thermal is not None:
            cooling = float(np.mean(chiller_of(site, thermal.cooling_plant).chiller_kw_per_kw(outdoor_c)))
        factor[pool_id] = losses * (1 + cooling)
    return factor
