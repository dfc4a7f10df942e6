"""Heat: plants remove what halls and loops give off, and a hall that is too hot gets no more power.

    heat of a plant <= what it removes, and what its halls may take up beyond what was ordered
    temperature ordered of a hall >= what its supply allows
    expected power of a hall above its allowable band <= what it draws now

What halls and plants are is said in `cooling` and `supply`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from facility.decision import Decision
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify.cooling import Drift, most_heat_kw, plant_heat_kw, removed_heat_kw, tanks_kw
from facility.verify.draw import idle_kw
from facility.verify.supply import cold
from facility.verify.violation import SLACK, Violation, over

WARMER_K = 0.5
"""A hall may end the first step this much warmer than ordered: work that ends inside it, or starts, heats more than its mean."""


def halls(
    site: Site, snapshot: Snapshot, decision: Decision, it_kw: Mapping[str, float], moving: Mapping[str, Drift], outdoor_c: float
) -> Iterator[Violation]:
    """Find plants that would have to remove more than they can, and halls too cold for their supply or too hot for more power."""
    for plant_id, heat_kw in plant_heat_kw(site, it_kw, outdoor_c, moving, tanks_kw(decision)).items():
        most_kw = most_heat_kw(site.cooling_plants[plant_id], outdoor_c) + _warms_kw(site, plant_id, decision)
        says = "its halls and loops give off more heat than the plant removes"
        yield from over(Violation("cooling.removes_heat", plant_id, heat_kw, "kW", most_kw, says, "plant"))
    yield from cold(site, decision, removed_heat_kw(site, it_kw, outdoor_c, moving), WARMER_K)
    for hall_id, hall in site.halls.items():
        hall_c = snapshot.hall_c.get(hall_id)
        if hall.thermal is None or hall_c is None or hall_c <= hall.thermal.allowable_max_c:
            continue
        pools = [pool for pool in it_kw if site.pools[pool].hall == hall_id]
        was_kw = sum(snapshot.pool_kw.get(pool, idle_kw(site, pool)) for pool in pools)
        if sum(it_kw[pool] for pool in pools) > was_kw + SLACK:
            says = "the hall is above its allowable band and would be given more power"
            yield Violation("hall.temperature", hall_id, hall_c, "degC", hall.thermal.allowable_max_c, says, "plant")


def _warms_kw(site: Site, plant_id: str, decision: Decision) -> float:
    """Tell the heat that halls may take up beyond what was ordered: a little, and not up to the end of an allowable band, kW."""
    room: list[tuple[float, float]] = []
    for order in decision.cooling:
        for hall_id, wanted_c in order.hall_c:
            thermal = site.halls[hall_id].thermal
            if thermal is not None and thermal.cooling_plant == plant_id:
                room.append((thermal.heat_capacity_kwh_per_k, max(thermal.allowable_max_c - wanted_c, 0.0)))
    if not room or not decision.first_step_s:
        return 0.0
    return sum(capacity for capacity, _ in room) * min(WARMER_K, *(kelvin for _, kelvin in room)) * 3600 / decision.first_step_s
