"""Problem: a site, a snapshot and a forecast, turned into the numbers that `models` wants.

What the snapshot lacks is taken from the site file's start values. The rooms here are named as those of `facility.site`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from facility.events import Event, targets_kw
from facility.forecast import Forecast
from facility.overrides.arbitrate import Bounds
from facility.problem.draining import drained
from facility.problem.electrical import battery_of, feeder_of, genset_of, redundancies_of, solar_of
from facility.problem.gpus import pool_of
from facility.problem.grid import carbon_of, feeds_of, grid_of, position_of
from facility.problem.maintenance import maintenances_of
from facility.problem.reserve import reserves_of
from facility.problem.tariff import charges_of
from facility.problem.tenancy import firms_of, jobs_of
from facility.problem.thermal import hall_of, plant_of
from facility.site import Site
from facility.snapshot import Snapshot
from facility.steps import Edges, horizon
from models.account import account
from models.baseline import baseline
from models.problem import Problem
from models.solving.stability import Last


def problem_of(
    site: Site, snapshot: Snapshot, forecast: Forecast, bounds: Bounds, edges: Edges, last_kw: Mapping[str, tuple[float, ...]] | None = None
) -> Problem:
    """The problem of the steps between `edges`; `last_kw` is what the last plan had each workload draw in the first of them."""
    problem = Problem(
        horizon=horizon(edges),
        grid=grid_of(site, forecast, bounds, edges),
        outdoor_c=forecast.outdoor_c,
        feeders=tuple(feeder_of(site, i) for i in site.feeders),
        halls=tuple(hall_of(site, i, snapshot, forecast) for i in site.halls),
        pools=tuple(pool_of(site, i, bounds, edges, snapshot.gone_gpus.get(i, 0)) for i in site.pools),
        cooling_plants=tuple(plant_of(site, i, snapshot) for i in site.cooling_plants),
        batteries=tuple(battery_of(site, i, snapshot) for i in site.batteries),
        solar=tuple(solar_of(site, i, forecast) for i in site.solar),
        gensets=tuple(genset_of(site, i, snapshot) for i in site.gensets),
        redundancies=redundancies_of(site),
        feeds=feeds_of(site),
        firms=firms_of(site, snapshot, forecast, bounds, edges),
        jobs=jobs_of(site, snapshot.jobs, forecast, bounds, edges),
        maintenances=maintenances_of(site, edges),
        reserves=reserves_of(site, edges),
        position=position_of(site, bounds),
        outdoor_high_c=None if forecast.outdoor_high_c is None else np.maximum(forecast.outdoor_high_c, forecast.outdoor_c),
        demand_charges=charges_of(site, snapshot, edges),
        carbon=carbon_of(site, forecast, edges),
        last=Last(last_kw or {}, site.control.move_price_per_mwh / 1000),
    )
    return drained(problem, site, snapshot, edges[0])


def called(site: Site, snapshot: Snapshot, forecast: Forecast, bounds: Bounds, events: Sequence[Event], edges: Edges) -> Bounds:
    """`bounds` with what `events` ask of each step, measured against the baseline of the same problem."""
    if not any(event.touches(edges[0], edges[-1]) for event in events):
        return bounds
    free = problem_of(site, snapshot, forecast, bounds, edges)
    return replace(bounds, event_target_kw=targets_kw(events, edges, account(free, baseline(free)).import_kw))
