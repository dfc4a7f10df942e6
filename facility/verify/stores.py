"""Stores and sources: tanks and batteries stay between empty and full, and generation gives what it can.

    min <= stored energy at the end of the first step <= capacity,   power within what it takes in and gives
    solar <= its rating;  min_load <= a genset that runs <= its rating
    what a battery keeps when it discharges >= ride-through * worst case of its feeder

What the sky really gives nobody here knows.
"""

from __future__ import annotations

from collections.abc import Iterator

from facility.decision import BatteryOrder, CoolingOrder, Decision
from facility.site import Battery, Site, ThermalStore
from facility.snapshot import Snapshot
from facility.verify.cooling import drifts, tanks_kw
from facility.verify.draw import expected_it_kw, worst_pool_kw
from facility.verify.loads import feeder_kw
from facility.verify.violation import Violation, over, under


def stores(site: Site, snapshot: Snapshot, decision: Decision) -> Iterator[Violation]:
    """Find tanks and batteries that are ordered more than they take in, give or hold."""
    for chill in decision.cooling:
        yield from _tank(site.cooling_plants[chill.plant].store, chill, snapshot, decision)
    for order in decision.batteries:
        yield from _battery(site.batteries[order.battery], order, snapshot, decision)


def _tank(store: ThermalStore | None, order: CoolingOrder, snapshot: Snapshot, decision: Decision) -> Iterator[Violation]:
    charge_kw, plant = order.store_kw, order.plant
    if store is None or charge_kw is None:
        return
    most_kw = store.charge_kw if charge_kw > 0 else store.discharge_kw
    yield from over(Violation("tank.power", plant, abs(charge_kw), "kW", most_kw, "more than its tank takes in or gives", "plant"))
    stored_kwh = snapshot.thermal_store_kwh.get(plant)
    if stored_kwh is None:
        return
    hours = (decision.first_step_s or (decision.until - decision.at).total_seconds()) / 3600
    after_kwh = stored_kwh * (1 - store.loss_share_per_h) ** hours + hours * charge_kw
    if charge_kw > 0:
        says = "its tank would be charged past its capacity"
        yield from over(Violation("tank.energy", plant, after_kwh, "kWh", store.capacity_kwh, says, "plant"))
    elif charge_kw < 0:
        yield from under(Violation("tank.energy", plant, after_kwh, "kWh", 0.0, "its tank would give more than it holds", "plant"))


def _battery(battery: Battery, order: BatteryOrder, snapshot: Snapshot, decision: Decision) -> Iterator[Violation]:
    power_kw, name = order.power_kw, order.battery
    most_kw = battery.charge_kw if power_kw > 0 else battery.discharge_kw
    yield from over(Violation("battery.power", name, abs(power_kw), "kW", most_kw, "more than it takes in or gives", "plant"))
    if name not in snapshot.battery_kwh:
        return
    after_kwh = _after_kwh(battery, order, snapshot, decision)
    least_kwh = battery.min_share * battery.capacity_kwh
    if power_kw > 0:
        says = "it would be charged past its capacity"
        yield from over(Violation("battery.energy", name, after_kwh, "kWh", battery.capacity_kwh, says, "plant"))
    elif power_kw < 0:
        says = "it would be discharged below its lowest share"
        yield from under(Violation("battery.energy", name, after_kwh, "kWh", least_kwh, says, "plant"))


def _after_kwh(battery: Battery, order: BatteryOrder, snapshot: Snapshot, decision: Decision) -> float:
    """Tell what a battery holds at the end of the first step, kWh, where it was measured."""
    hours = (decision.first_step_s or (decision.until - decision.at).total_seconds()) / 3600
    gained_kw = order.power_kw * battery.efficiency if order.power_kw > 0 else order.power_kw / battery.efficiency
    return snapshot.battery_kwh[order.battery] + hours * gained_kw


def ride_through(site: Site, snapshot: Snapshot, decision: Decision, outdoor_c: float) -> Iterator[Violation]:
    """Find batteries that would be discharged into what must carry the worst case of their feeder for a time.

    One that has less than that already may rest or charge, whatever the caps.
    """
    for order in decision.batteries:
        battery, name = site.batteries[order.battery], order.battery
        if order.power_kw < 0 and battery.ride_through_min and name in snapshot.battery_kwh:
            least_kwh = battery.min_share * battery.capacity_kwh
            kept_kwh = battery.efficiency * (_after_kwh(battery, order, snapshot, decision) - least_kwh)
            says = f"it would be too empty to carry the worst case of its feeder for {battery.ride_through_min:g} min"
            needed_kwh = ride_through_kwh(site, snapshot, decision, outdoor_c)[name]
            yield from under(Violation("battery.ride_through", name, kept_kwh, "kWh", needed_kwh, says, "plant"))


def ride_through_kwh(site: Site, snapshot: Snapshot, decision: Decision, outdoor_c: float) -> dict[str, float]:
    """Tell what each battery must be able to give to carry the worst case of its feeder for its ride-through, kWh; 0 without one."""
    if not any(battery.ride_through_min for battery in site.batteries.values()):
        return dict.fromkeys(site.batteries, 0.0)
    worst_kw = {caps.pool: worst_pool_kw(site.pools[caps.pool], (caps,)) for caps in decision.pools}
    it_kw, moving = expected_it_kw(site, decision, snapshot), drifts(site, decision, snapshot)
    loads_kw = feeder_kw(site, worst_kw, it_kw, {}, outdoor_c, moving, charge_kw=tanks_kw(decision))
    return {i: b.ride_through_min / 60 * loads_kw[b.ride_through_feeder or b.feeder] for i, b in site.batteries.items()}


def sources(site: Site, decision: Decision) -> Iterator[Violation]:
    """Find generation that cannot be."""
    for plane in decision.solar:
        most_kw, says = site.solar[plane.solar].peak_kw, "more than the solar plant is rated"
        expected_kw = plane.power_kw if plane.limit_kw is None else max(plane.power_kw, plane.limit_kw)
        yield from over(Violation("solar.power", plane.solar, expected_kw, "kW", most_kw, says, "plant"))
        says = "a solar plant draws nothing"
        yield from under(Violation("solar.power", plane.solar, plane.power_kw, "kW", 0.0, says, "plant"))
    for engine in decision.gensets:
        genset = site.gensets[engine.genset]
        least_kw = genset.min_load_share * genset.max_kw if engine.power_kw else 0.0
        says = "more than the genset gives"
        yield from over(Violation("genset.power", engine.genset, engine.power_kw, "kW", genset.max_kw, says, "plant"))
        says = "less than the genset gives while it runs"
        yield from under(Violation("genset.power", engine.genset, engine.power_kw, "kW", least_kw, says, "plant"))
