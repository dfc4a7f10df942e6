"""Plant: I1-I7, what must hold so that nothing trips, cooks or breaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from facility.decision import PoolCaps
from facility.invariants.broken import Broken, above, outside
from facility.invariants.ceiling import caps_of, ceiling, rises, sum_w
from facility.site import Site
from facility.verify.form import pool_form
from facility.verify.loads import Carrier
from facility.verify.violation import finite


def carried(loads_kw: Mapping[str, float], ratings_kw: Mapping[str, float]) -> tuple[Broken, ...]:
    """I1 on what is really drawn: no feeder carries more than its rating, by feeder, kW."""
    says = "it carries more than its rating"
    return tuple(found for name, kw in loads_kw.items() for found in above(1, name, says, kw, ratings_kw[name], "kW"))


def carried_at_worst(carry: Iterable[Carrier], loads_kw: Mapping[str, float]) -> tuple[Broken, ...]:
    """I1 on what may be drawn: every GPU at the most that may be in force on it leaves each feeder, and each group that loses one, in its margin.

    `loads_kw` is by feeder, as `facility.invariants.ceiling.worst_kw` tells it.
    """
    says = "with every message that may not have arrived, caps may sum up to more than it carries"
    return tuple(found for it in carry for found in above(1, it.name, says, it.load_kw(loads_kw), it.worst_kw, "kW"))


def no_warmer(hall_c: Mapping[str, float], site: Site) -> tuple[Broken, ...]:
    """I2: no hall is above its allowable band, degC by hall."""
    bands = {name: hall.thermal.allowable_max_c for name, hall in site.halls.items() if hall.thermal is not None}
    says = "it is warmer than its equipment allows"
    return tuple(found for name, c in hall_c.items() if name in bands for found in above(2, name, says, c, bands[name], "degC"))


def settable(site: Site, caps: PoolCaps) -> tuple[Broken, ...]:
    """I3: caps are whole watts that its GPUs can be set to, in groups that it holds."""
    if caps.pool not in site.pools:
        return (Broken(3, caps.pool, "the site has no such pool"),)
    return tuple(Broken(3, v.asset, v.says, v.amount, v.allowed, v.unit) for v in pool_form(site, caps))


def battery_takes(site: Site, battery: str, power_kw: float) -> tuple[Broken, ...]:
    """I3: the power ordered of a battery is finite and one that it takes in or gives, kW."""
    it = site.batteries.get(battery)
    if it is None:
        return (Broken(3, battery, "the site has no such battery"),)
    return outside(3, battery, "more than it takes in or gives", power_kw, -it.discharge_kw, it.charge_kw, "kW")


def genset_gives(site: Site, genset: str, power_kw: float) -> tuple[Broken, ...]:
    """I3: the power ordered of a genset is finite, 0 or within what it gives while it runs, kW."""
    it = site.gensets.get(genset)
    if it is None:
        return (Broken(3, genset, "the site has no such genset"),)
    if power_kw == 0:
        return ()
    return outside(3, genset, "it cannot give this while it runs", power_kw, it.min_load_share * it.max_kw, it.max_kw, "kW")


def solar_gives(site: Site, solar: str, limit_kw: float | None) -> tuple[Broken, ...]:
    """I3: the limit of a solar plant is finite and within what it is rated, kW; None: no limit."""
    it = site.solar.get(solar)
    if it is None:
        return (Broken(3, solar, "the site has no such solar plant"),)
    return () if limit_kw is None else outside(3, solar, "not what it can be limited to", limit_kw, 0.0, it.peak_kw, "kW")


def cooling_holds(
    site: Site, plant: str, hall_c: Mapping[str, float], supply_c: float | None, store_kw: float | None
) -> tuple[Broken, ...]:
    """I3: what is ordered of a cooling plant is finite, halls are its own and inside their bands, its supply and tank can do it."""
    it = site.cooling_plants.get(plant)
    if it is None:
        return (Broken(3, plant, "the site has no such cooling plant"),)
    found: list[Broken] = []
    for name, wanted_c in hall_c.items():
        thermal = site.halls[name].thermal if name in site.halls else None
        if thermal is None:
            found.append(Broken(3, name, f"{plant} is told of a hall whose air it does not cool"))
        elif not finite(wanted_c) or wanted_c > thermal.allowable_max_c:
            found += outside(3, name, "ordered to be warmer than its equipment allows", wanted_c, -273.15, thermal.allowable_max_c, "degC")
    if supply_c is not None and (it.set_point is None or supply_c not in it.set_point.levels_c):
        found.append(Broken(3, plant, "it cannot supply at this", supply_c, None, "degC"))
    if store_kw is not None:
        gives_kw, takes_kw = (it.store.discharge_kw, it.store.charge_kw) if it.store is not None else (0.0, 0.0)
        found += outside(3, plant, "more than its tank takes in or gives", store_kw, -gives_kw, takes_kw, "kW")
    return tuple(found)


def no_raise(caps: PoolCaps, had: PoolCaps, why: str) -> tuple[Broken, ...]:
    """I4: where data is bad, stale or missing, no workload has a higher cap than it had, and a new one none above the highest of its pool.

    `why` says what is not measured.
    """
    highest_w = max([had.cap_w, *(group.cap_w for group in had.groups)])
    had_w: dict[str, int] = {}
    for group in had.groups:
        had_w[group.workload] = max(group.cap_w, had_w.get(group.workload, 0))
    pairs = [(caps.pool, caps.cap_w, had.cap_w)]
    pairs += [(f"{caps.pool}/{group.workload}", group.cap_w, had_w.get(group.workload, highest_w)) for group in caps.groups]
    says = f"its cap rises although {why}"
    return tuple(found for place, cap_w, most_w in pairs for found in above(4, place, says, cap_w, most_w, "W"))


def accepted(caps: PoolCaps, verdict_of: PoolCaps | None, gpus: int) -> tuple[Broken, ...]:
    """I5: no GPU of a pool gets more than in the decision that was accepted last; None: none was."""
    if verdict_of is None:
        return (Broken(5, caps.pool, "caps are sent that no verdict was heard of"),)
    sent, most = caps_of(caps, gpus), caps_of(verdict_of, gpus)
    if not rises(sent, most):
        return ()
    says = "caps are higher than those that were accepted"
    return (Broken(5, caps.pool, says, sum_w(ceiling(most, sent)) / 1000, sum_w(most) / 1000, "kW"),)


def expires(asset: str, valid_until: datetime, now: datetime, ttl_s: float) -> tuple[Broken, ...]:
    """I6: an order ends, after now and no later than `ttl_s` from now (and a second, for the time it takes to be sent)."""
    left_s = (valid_until - now).total_seconds()
    if left_s <= 0:
        return (Broken(6, asset, "it has ended already", left_s, 0.0, "s"),)
    return above(6, asset, "it holds for longer than anything may", left_s, ttl_s + 1.0, "s")


def falls_back(site: Site, pool: str, fallback_cap_w: int, fallback_w: Mapping[str, int]) -> tuple[Broken, ...]:
    """I6: what silence falls back to can be set, and is no more than what fits under every feeder whatever runs, W by pool."""
    if fallback_cap_w == fallback_w.get(pool):
        return ()
    found = settable(site, PoolCaps(pool, fallback_cap_w))
    if found:
        return tuple(Broken(6, v.asset, f"its fallback: {v.says}", v.amount, v.allowed, v.unit) for v in found)
    return above(6, pool, "its fallback is above what fits under every feeder", fallback_cap_w, fallback_w[pool], "W")


def prompt(asset: str, wanted: datetime, sent: datetime, most: timedelta) -> tuple[Broken, ...]:
    """I7: an emergency decrease that was wanted at an instant is sent no later than `most` after it."""
    late_s = (sent - wanted).total_seconds()
    return above(7, asset, "a decrease waited", late_s, most.total_seconds(), "s")
