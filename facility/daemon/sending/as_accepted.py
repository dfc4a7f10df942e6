"""As accepted: whether an order that is not of caps is in range, and what was accepted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from facility.bus.messages import BatteryDesired, CoolingDesired, GensetDesired, JobDesired, SolarDesired
from facility.bus.messages.codec import Order
from facility.decision import CoolingOrder, Decision, GensetOrder
from facility.invariants import contracts, plant
from facility.invariants.broken import Broken
from facility.site import Site
from facility.snapshot import Job


@dataclass(frozen=True)
class Accepted:
    """The decision that was accepted last, for the site with the rentals and the jobs of that instant."""

    decision: Decision
    site: Site
    jobs: Mapping[str, Job]


def job_as_accepted(accepted: Accepted | None, job: str, order: JobDesired) -> tuple[Broken, ...]:
    """I5, and I12: it may wait where it is held."""
    ordered = accepted is not None and any((it.job, it.action, it.gpus) == (job, order.action, order.gpus) for it in accepted.decision.jobs)
    if accepted is None or not ordered:
        return (Broken(5, job, f"to {order.action} was not accepted"),)
    return contracts.may_wait(accepted.site, [job], accepted.jobs) if order.action == "hold" else ()


def set_point_as_accepted(site: Site, accepted: Accepted | None, asset: str, order: Order) -> tuple[Broken, ...]:
    """I3 and I5 of a battery, a genset, a solar plant or a cooling plant."""
    decided = accepted.decision if accepted is not None else None
    match order:
        case BatteryDesired():
            found = plant.battery_takes(site, asset, order.power_kw)
            same = decided is not None and any(it.battery == asset and _on_the_way(order.power_kw, it.power_kw) for it in decided.batteries)
        case GensetDesired():
            found = plant.genset_gives(site, asset, order.power_kw)
            same = decided is not None and GensetOrder(asset, order.power_kw) in decided.gensets
        case SolarDesired():
            found = plant.solar_gives(site, asset, order.limit_kw)
            same = decided is not None and any((it.solar, it.limit_kw) == (asset, order.limit_kw) for it in decided.solar)
        case _:
            assert isinstance(order, CoolingDesired)
            hall_c = {hall: wish.temperature_c for hall, wish in order.halls.items()}
            found = plant.cooling_holds(site, asset, hall_c, order.supply_c, order.store_kw)
            wanted = CoolingOrder(asset, tuple(hall_c.items()), order.store_kw, order.supply_c)
            same = decided is not None and wanted in decided.cooling
    return found if same else (*found, Broken(5, asset, "it was not accepted"))


def _on_the_way(power_kw: float, accepted_kw: float) -> bool:
    """A battery does what was accepted, or charges less until there is room for all of it."""
    return power_kw == accepted_kw or 0 <= power_kw < accepted_kw
