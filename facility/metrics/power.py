"""Power: the grid connection, feeders, pools, halls, cooling and batteries - what is measured, what may be at worst, and what is allowed.

What stands as measured is what is believed (`facility.verdict`). At worst every GPU draws the highest cap that may be in force on it, by what
was sent and not yet reported; that is what must stay within a feeder's rating, whatever meters show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import Metric

from facility.decision import PoolCaps
from facility.invariants.ceiling import sum_w, worst_kw
from facility.metrics.family import J_PER_KWH, W_PER_KW, Families, Row
from facility.metrics.figures import Figures
from facility.site import Site
from facility.verify.loads import carriers
from facility.verify.supply import supplied


def power(told: Figures, families: Families) -> Iterator[Metric]:
    """Everything that has a power, a temperature or a store."""
    yield from _grid(told, families)
    yield from _feeders(told, families)
    yield from _pools(told, families)
    yield from _halls(told, families)
    yield from _stores(told, families)


def _grid(told: Figures, families: Families) -> Iterator[Metric]:
    snapshot, asked, summed, currency = told.here.snapshot, told.here.asked, told.summed, (told.here.site.currency,)
    target_kw = next(iter(asked.event_target_kw), None)
    for name, says, kw in (
        ("import_power_watts", "Power drawn through the grid connection, as measured; negative: given back.", snapshot.import_kw),
        ("import_limit_watts", "The most that may be drawn through the grid connection now.", asked.import_limit_kw[0]),
        ("event_target_watts", "The most that a grid event allows while it lasts; absent without one.", target_kw),
        ("import_peak_watts", "Highest billing-interval mean of this month so far.", snapshot.peak_so_far_kw),
    ):
        yield families.one(name, says, _w(kw))
    for name, says, sum_ in (
        ("import_energy_joules", "Energy drawn from the grid since the process began.", J_PER_KWH * summed.drawn_kwh),
        ("export_energy_joules", "Energy given back to the grid since the process began.", J_PER_KWH * summed.given_kwh),
        ("import_unmetered_seconds", "Time in which no grid meter was believed; its energy is not counted.", summed.unmetered_s),
    ):
        yield families.counter(name, says, [((), sum_)])
    price = "The energy price now, without fees and taxes, per MWh: as it is told, else the site file's."
    yield families.gauge("energy_price_per_mwh", price, [(currency, told.price_per_mwh)], ("currency",))
    paid = "Paid for energy since the process began, at the energy price alone, without fees and taxes."
    yield families.counter("energy_cost", paid, [(currency, summed.paid)], ("currency",))
    earned = "Earned with energy since the process began: given back, or drawn at a negative price."
    yield families.counter("energy_income", earned, [(currency, summed.earned)], ("currency",))
    yield families.one("outdoor_temperature_celsius", "Outdoor temperature, as measured.", snapshot.outdoor_c)


def _feeders(told: Figures, families: Families) -> Iterator[Metric]:
    site, measured, groups = told.here.site, told.here.snapshot.feeder_kw, ("group",)
    worst = _worst_kw(told)

    def by_feeder(name: str, says: str, values: Mapping[str, float]) -> Metric:
        return families.gauge(name, says, (((feeder,), _w(values.get(feeder))) for feeder in site.feeders), ("feeder",))

    yield by_feeder("feeder_power_watts", "Power into a feeder, as measured.", measured)
    yield by_feeder("feeder_worst_power_watts", "Power into a feeder where every GPU draws the highest cap that may be in force on it.", worst)
    yield by_feeder("feeder_rating_watts", "Continuous rating of a feeder.", {name: feeder.rating_kw for name, feeder in site.feeders.items()})
    most = {it.name: it.worst_kw for it in carriers(site) if it.rule == "feeder"}
    yield by_feeder("feeder_worst_power_limit_watts", "The most that a feeder may carry at worst.", most)
    backed = [it for it in carriers(site) if it.rule == "redundancy"]
    says = "Power of feeders that back each other where every GPU draws the highest cap that may be in force on it."
    loads: Iterable[Row] = (((it.name,), _w(it.load_kw(worst))) for it in backed if worst)
    yield families.gauge("feeder_group_worst_power_watts", says, loads, groups)
    limit = "The most that feeders that back each other may carry at worst: without the largest of them the others carry it all."
    yield families.gauge("feeder_group_worst_power_limit_watts", limit, (((it.name,), _w(it.worst_kw)) for it in backed), groups)


def _pools(told: Figures, families: Families) -> Iterator[Metric]:
    site, snapshot = told.here.site, told.here.snapshot
    wanted, sent = ({} if it is None else {caps.pool: highest_w(caps) for caps in it.pools} for it in (told.wanted, told.sent))
    in_force = {name: max(cap_w for _, runs in caps for cap_w, _ in runs) for name, caps in told.most.items()}
    at_worst = {name: sum_w(caps) + site.pools[name].gpus * site.pools[name].host_run_w for name, caps in told.most.items()}
    table: tuple[tuple[str, str, Mapping[str, float | None] | Mapping[str, float] | Mapping[str, int]], ...] = (
        ("power_watts", "IT power of a pool, hosts included, as measured.", {name: W_PER_KW * kw for name, kw in snapshot.pool_kw.items()}),
        ("worst_power_watts", "IT power of a pool where every GPU draws the highest cap that may be in force on it.", at_worst),
        ("cap_desired_watts", "Highest cap of a GPU that is wanted in a pool; caps rise to it in steps.", wanted),
        ("cap_sent_watts", "Highest cap of a GPU that was sent to a pool last.", sent),
        ("cap_in_force_watts", "Highest cap of a GPU that may be in force, by all that was sent and not yet reported.", in_force),
        ("cap_reported_watts", "Highest cap of a GPU that a pool's agent reports as enforced.", snapshot.enforced_cap_w),
        ("cap_fallback_watts", "Cap of every GPU of a pool once nothing fresh comes any more.", told.fallback_w),
        ("cap_rising", "1 where caps of a pool are still to rise to what is wanted, else 0.", {p: p in told.rising for p in site.pools}),
        ("gpus", "GPUs of a pool, by the site file.", {name: pool.gpus for name, pool in site.pools.items()}),
        ("gpus_gone", "GPUs that an agent says are gone, beside those in maintenance.", dict.fromkeys(site.pools, 0) | dict(snapshot.gone_gpus)),
    )
    for name, says, values in table:
        rows = (((pool.hall, id_), values.get(id_)) for id_, pool in site.pools.items())
        yield families.gauge(f"pool_{name}", says, rows, ("hall", "pool"))


def _halls(told: Figures, families: Families) -> Iterator[Metric]:
    site, snapshot = told.here.site, told.here.snapshot
    thermal = {name: hall.thermal for name, hall in site.halls.items() if hall.thermal is not None}
    warm = "Air temperature of a hall, as measured, or the worst that it may have become since."
    table: tuple[tuple[str, str, Mapping[str, float | None] | Mapping[str, float]], ...] = (
        ("it_power_watts", "IT power of a hall: of all its pools, where every one is measured.", _by_hall_w(site, snapshot.pool_kw)),
        ("temperature_celsius", warm, snapshot.hall_c),
        ("temperature_recommended_max_celsius", "Upper end of a hall's recommended band.", {h: it.recommended_max_c for h, it in thermal.items()}),
        ("temperature_allowable_max_celsius", "Upper end of a hall's allowable band.", {h: it.allowable_max_c for h, it in thermal.items()}),
    )
    for name, says, values in table:
        yield families.gauge(f"hall_{name}", says, (((hall,), value) for hall, value in values.items()), ("hall",))


def _stores(told: Figures, families: Families) -> Iterator[Metric]:
    site, snapshot = told.here.site, told.here.snapshot
    cooling = (((name,), _w(snapshot.cooling_kw.get(name))) for name in site.cooling_plants)
    yield families.gauge("cooling_power_watts", "Electric power of a cooling plant, as measured.", cooling, ("plant",))
    orders = {} if told.sent is None else {order.battery: order.power_kw for order in told.sent.batteries}
    label = ("battery",)
    energy = (((name,), _j(snapshot.battery_kwh.get(name))) for name in site.batteries)
    yield families.gauge("battery_energy_joules", "Energy stored in a battery, as measured, or the least that may be left since.", energy, label)
    capacity = (((name,), _j(battery.capacity_kwh)) for name, battery in site.batteries.items())
    yield families.gauge("battery_capacity_joules", "Energy that a full battery holds.", capacity, label)
    ordered = (((name,), _w(orders.get(name))) for name in site.batteries)
    yield families.gauge("battery_power_ordered_watts", "Power that a battery is told to take in; negative: to give.", ordered, label)
    stored = (((name,), _j(snapshot.thermal_store_kwh.get(name))) for name, plant in site.cooling_plants.items() if plant.store is not None)
    yield families.gauge("cold_stored_joules", "Cold stored in the tank of a cooling plant.", stored, ("plant",))


def highest_w(caps: PoolCaps) -> int:
    """The highest cap of a GPU under caps of a pool, W."""
    return max([caps.cap_w, *(group.cap_w for group in caps.groups)])


def _worst_kw(told: Figures) -> Mapping[str, float]:
    """The most that feeders may carry by what may be in force, kW; nothing before anything was decided."""
    here, decision = told.here, told.wanted
    if decision is None:
        return {}
    return worst_kw(supplied(here.site, decision), decision, here.snapshot, here.outdoor_c, told.most, told.charging_kw)


def _by_hall_w(site: Site, pool_kw: Mapping[str, float]) -> dict[str, float | None]:
    """IT power by hall, W; None where not every pool is measured."""
    sums: dict[str, float | None] = {}
    for name, pool in site.pools.items():
        so_far, drawn_kw = sums.get(pool.hall, 0.0), pool_kw.get(name)
        sums[pool.hall] = None if so_far is None or drawn_kw is None else so_far + W_PER_KW * drawn_kw
    return sums


def _w(kw: float | None) -> float | None:
    return None if kw is None else W_PER_KW * kw


def _j(kwh: float | None) -> float | None:
    return None if kwh is None else J_PER_KWH * kwh
