"""Caps that hold whatever runs: the highest that fit, and those that silence falls back to.

Every GPU draws its cap here, and not only for a moment: cooling removes all of that heat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from facility.decision import Decision, PoolCaps
from facility.site import Site
from facility.verify.draw import worst_pool_kw
from facility.verify.form import pool_form
from facility.verify.loads import carriers, feeder_kw
from facility.verify.supply import supplied
from facility.verify.violation import Violation, finite, over

FALLBACK_SHARE = 0.8
"""Share of every feeder's rating that the fallback caps may fill."""

FINENESS = 1_000_000
"""Steps of the share of the settable range that are told apart: far finer than one watt."""


def fits(site: Site, caps: Mapping[str, int], outdoor_c: float) -> tuple[Violation, ...]:
    """Tell which feeders, or groups that lose one, break where every GPU draws its pool's cap (W) at `outdoor_c` (degC); empty means it fits."""
    says = "caps are given for exactly the pools of the site"
    found = [Violation("pool.once", pool, None, "", None, says, "plant") for pool in sorted(caps.keys() ^ site.pools.keys())]
    found += [v for pool, cap_w in caps.items() if pool in site.pools for v in pool_form(site, PoolCaps(pool, cap_w))]
    if not finite(outdoor_c):
        found.append(Violation("number.finite", "outdoor_c", None, "degC", None, "not a finite number", "plant"))
    return tuple(found) or _overloads(supplied(site), _whole_pools(caps), {}, outdoor_c)


def fallback_caps(site: Site) -> dict[str, int]:
    """Tell the cap of every pool after silence, W: the site's own, else the highest that leaves a fifth of every feeder free.

    Pools without a value of their own get the same share of their settable range, and never less than its lower end: where
    even that does not fit, `fits` says so. The hour is the hottest of the design day.
    """
    site, hottest_c = supplied(site), max(site.weather.outdoor_by_hour_c)

    def caps(step: int) -> dict[str, int]:
        found = {}
        for name, pool in site.pools.items():
            model = site.gpu_models[pool.gpu_model]
            raised_w = model.min_cap_w + step * (model.max_cap_w - model.min_cap_w) // FINENESS
            raised_w -= raised_w % model.power_step_w
            found[name] = raised_w if pool.fallback_cap_w is None else pool.fallback_cap_w
        return found

    def holds(step: int) -> bool:
        return not _overloads(site, _whole_pools(caps(step)), {}, hottest_c, FALLBACK_SHARE)

    return caps(_highest(0, FINENESS, holds))


def highest_cap(site: Site, decision: Decision, pool_id: str, outdoor_c: float) -> int:
    """Find the highest cap (W) for all GPUs of a pool, the others as decided, that keeps every feeder within its margin.

    It is the lowest settable cap where none does, also where a feeder elsewhere is over its margin.
    """
    model = site.gpu_models[site.pools[pool_id].gpu_model]
    site = supplied(site, decision)
    others = [caps for caps in decision.pools if caps.pool != pool_id]
    charge_kw = {order.battery: max(order.power_kw, 0.0) for order in decision.batteries}

    def holds(steps: int) -> bool:
        return not _overloads(site, [*others, PoolCaps(pool_id, steps * model.power_step_w)], charge_kw, outdoor_c)

    return _highest(model.min_cap_w // model.power_step_w, model.max_cap_w // model.power_step_w, holds) * model.power_step_w


def _whole_pools(caps: Mapping[str, int]) -> list[PoolCaps]:
    return [PoolCaps(pool, cap_w) for pool, cap_w in caps.items()]


def _overloads(
    site: Site, pools: Sequence[PoolCaps], charge_kw: Mapping[str, float], outdoor_c: float, share: float = 1.0
) -> tuple[Violation, ...]:
    it_kw = {caps.pool: worst_pool_kw(site.pools[caps.pool], (caps,)) for caps in pools}
    loads = feeder_kw(site, it_kw, it_kw, charge_kw, outdoor_c)
    says = "every GPU at its cap, with base, cooling and losses, is more than this may carry"
    found = [
        Violation(f"{it.rule}.worst_case", it.name, it.load_kw(loads), "kW", it.worst_kw, says, "plant")
        for it in carriers(site, share)
    ]
    return tuple(kept for violation in found for kept in over(violation))


def _highest(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Find the highest of low..high that `holds`, where all below one that holds do too; `low` where none does."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
