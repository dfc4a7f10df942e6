"""Electrical gear of a site file as the model's feeders and batteries."""

from __future__ import annotations

from facility.forecast import Forecast, hours_between
from facility.site import Site
from facility.snapshot import Snapshot
from models.power.battery import Battery
from models.power.feeder import Feeder
from models.power.genset import Genset
from models.power.redundancy import Redundancy
from models.power.solar import Solar


def feeder_of(site: Site, feeder_id: str) -> Feeder:
    """A feeder of the tree."""
    f = site.feeders[feeder_id]
    return Feeder(feeder_id, f.parent, f.rating_kw, f.loss_share, f.worst_case_margin)


def redundancies_of(site: Site) -> tuple[Redundancy, ...]:
    """The groups of feeders that back each other, in the order of the site file."""
    groups = dict.fromkeys(f.redundancy_group for f in site.feeders.values() if f.redundancy_group)
    return tuple(Redundancy(g, tuple(i for i, f in site.feeders.items() if f.redundancy_group == g)) for g in groups)


def battery_of(site: Site, battery_id: str, snapshot: Snapshot) -> Battery:
    """A battery with the energy that was measured, or the site file's start share."""
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
        ride_through_h=b.ride_through_min / 60,
        carries=b.ride_through_feeder or "",
    )


def solar_of(site: Site, solar_id: str, forecast: Forecast) -> Solar:
    """A solar plant with the output that is expected."""
    return Solar(solar_id, site.solar[solar_id].feeder, tuple(forecast.solar_kw[solar_id].tolist()))


def genset_of(site: Site, genset_id: str, snapshot: Snapshot) -> Genset:
    """A genset as it runs, with what is left of its hours and of the minimum run that it began; off where nobody told."""
    g, since = site.gensets[genset_id], snapshot.genset_on_since.get(genset_id)
    ran_h = snapshot.genset_hours_run.get(genset_id, 0.0)
    return Genset(
        id=genset_id,
        feeder=g.feeder,
        least_kw=g.min_load_share * g.max_kw,
        most_kw=g.max_kw,
        fuel_price_per_kwh=g.fuel_price_per_mwh / 1000,
        start_price=g.start_cost,
        min_run_h=g.min_run_h,
        hours_left=None if g.run_hours_left is None else max(0.0, g.run_hours_left - ran_h),
        carbon_g_per_kwh=g.carbon_g_per_kwh,
        is_on=since is not None,
        still_h=0.0 if since is None else max(0.0, g.min_run_h - hours_between(since, snapshot.at)),
    )


def losses_to_meter(site: Site, feeder_id: str) -> float:
    """What a kWh under a feeder has grown to at the meter, losses on the way included."""
    grown, node = 1.0, site.feeders[feeder_id]
    while True:
        grown *= 1 + node.loss_share
        if node.parent is None:
            return grown
        node = site.feeders[node.parent]
