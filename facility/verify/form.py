"""Whether a decision is well formed: finite numbers, whole settable steps in the settable range, every pool exactly once.

What fails here is refused before any power is computed, so the arithmetic behind it never meets what is not a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from facility.decision import Decision, PoolCaps
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verify.violation import Violation, finite, number, whole


def form(site: Site, snapshot: Snapshot, decision: Decision, outdoor_c: float) -> Iterator[Violation]:
    """Find everything in a decision, and in what it is judged by, that cannot be used as it stands."""
    yield from _numbers(snapshot, decision, outdoor_c)
    yield from _interval(decision)
    yield from _names(site, decision)
    for caps in decision.pools:
        if caps.pool in site.pools:
            yield from pool_form(site, caps)
    for order in decision.jobs:
        if not whole(order.gpus) or order.gpus < 0:
            yield _malformed("job.size", order.job, order.gpus, "GPU", allowed=0.0, says="an order is for a whole number of GPUs")
    for job in snapshot.jobs:
        if not whole(job.gpus) or any(instant.tzinfo is None for instant in (job.submit, job.deadline)):
            yield _malformed("job.form", job.id, job.gpus, "GPU", says="a job has a whole number of GPUs and aware instants")


def pool_form(site: Site, caps: PoolCaps) -> Iterator[Violation]:
    """Find the caps and counts of one pool of the site that cannot be sent."""
    pool = site.pools[caps.pool]
    model = site.gpu_models[pool.gpu_model]
    for place, cap_w in ((caps.pool, caps.cap_w), *((f"{caps.pool}/{g.workload}", g.cap_w) for g in caps.groups)):
        if not whole(cap_w):
            yield _malformed("cap.whole", place, cap_w, "W", says="a cap is a whole number of watts")
        elif not model.min_cap_w <= cap_w <= model.max_cap_w:
            bound_w = model.min_cap_w if cap_w < model.min_cap_w else model.max_cap_w
            yield _malformed(
                "cap.range", place, cap_w, "W", allowed=bound_w, says=f"settable is {model.min_cap_w} to {model.max_cap_w} W"
            )
        elif cap_w % model.power_step_w:
            below_w = cap_w - cap_w % model.power_step_w
            says = f"settable are multiples of {model.power_step_w} W"
            yield _malformed("cap.step", place, cap_w, "W", allowed=below_w, says=says)
    for group in caps.groups:
        if not whole(group.gpus) or group.gpus < 0:
            yield _malformed(
                "group.size",
                f"{caps.pool}/{group.workload}",
                group.gpus,
                "GPU",
                allowed=0.0,
                says="a group is a whole number of GPUs",
            )
    counted = [group.gpus for group in caps.groups if whole(group.gpus)]
    if sum(counted) > pool.gpus:
        yield _malformed(
            "pool.holds", caps.pool, sum(counted), "GPU", allowed=pool.gpus, says="the groups name more GPUs than the pool has"
        )


def _malformed(rule: str, asset: str, amount: float | None, unit: str, *, says: str, allowed: float | None = None) -> Violation:
    return Violation(rule, asset, number(amount), unit, number(allowed), says, "plant")


def _numbers(snapshot: Snapshot, decision: Decision, outdoor_c: float) -> Iterator[Violation]:
    found: list[tuple[str, float | None, str]] = [
        ("outdoor_c", outdoor_c, "degC"),
        *((f"hall/{hall}", value, "degC") for hall, value in snapshot.hall_c.items()),
        *((f"battery/{battery}", value, "kWh") for battery, value in snapshot.battery_kwh.items()),
        *((f"pool/{pool}", value, "kW") for pool, value in snapshot.pool_kw.items()),
        *((f"cooling/{plant}", value, "kW") for plant, value in snapshot.cooling_kw.items()),
        *((f"feeder/{feeder}", value, "kW") for feeder, value in snapshot.feeder_kw.items()),
        *((f"job/{job.id}", job.work_gpu_h, "GPUh") for job in snapshot.jobs),
        *((f"contract/{contract}", value, "h") for contract, value in snapshot.slow_hours_used.items()),
        *((f"genset/{genset}", value, "h") for genset, value in snapshot.genset_hours_run.items()),
        ("peak_so_far_kw", snapshot.peak_so_far_kw, "kW"),
        *((f"peak/{charge}", value, "kW") for charge, value in snapshot.peaks_so_far_kw.items()),
        *((f"battery/{order.battery}", order.power_kw, "kW") for order in decision.batteries),
        *((f"solar/{order.solar}", order.power_kw, "kW") for order in decision.solar),
        *((f"genset/{order.genset}", order.power_kw, "kW") for order in decision.gensets),
        *((f"cooling/{order.plant}/{hall}", value, "degC") for order in decision.cooling for hall, value in order.hall_c),
        *((f"tank/{order.plant}", order.store_kw, "kW") for order in decision.cooling if order.store_kw is not None),
        *((f"supply/{order.plant}", order.supply_c, "degC") for order in decision.cooling if order.supply_c is not None),
        *((f"tank/{plant}", value, "kWh") for plant, value in snapshot.thermal_store_kwh.items()),
    ]
    optional = (
        *((f"solar/{order.solar}", order.limit_kw, "kW") for order in decision.solar),
        ("import_limit_kw", decision.import_limit_kw, "kW"),
        ("event_target_kw", decision.event_target_kw, "kW"),
        ("first_step_s", decision.first_step_s, "s"),
        ("import_kw", snapshot.import_kw, "kW"),
        ("snapshot.outdoor_c", snapshot.outdoor_c, "degC"),
    )
    found += [told for told in optional if told[1] is not None]
    for place, value, unit in found:
        if not finite(value):
            yield _malformed("number.finite", place, value, unit, says="not a finite number")


def _interval(decision: Decision) -> Iterator[Violation]:
    aware = decision.at.tzinfo is not None and decision.until.tzinfo is not None
    if not aware or not decision.at < decision.until:
        seconds = (decision.until - decision.at).total_seconds() if aware else None
        yield _malformed(
            "decision.interval", "site", seconds, "s", allowed=0.0, says="a decision ends after it starts, at aware instants"
        )
    if finite(decision.first_step_s) and decision.first_step_s is not None and decision.first_step_s <= 0:
        yield _malformed(
            "decision.interval", "first_step_s", decision.first_step_s, "s", allowed=0.0, says="a step lasts some time"
        )


def _names(site: Site, decision: Decision) -> Iterator[Violation]:
    sent = Counter(caps.pool for caps in decision.pools)
    for pool in sorted({*site.pools, *sent}):
        expected = int(pool in site.pools)
        if sent[pool] != expected:
            yield _malformed(
                "pool.once", pool, sent[pool], "", allowed=expected, says="every pool of the site is sent exactly one message"
            )
    twice = Counter(
        [f"battery/{order.battery}" for order in decision.batteries]
        + [f"job/{order.job}" for order in decision.jobs]
        + [f"solar/{order.solar}" for order in decision.solar]
        + [f"genset/{order.genset}" for order in decision.gensets]
    )
    for place, count in sorted(twice.items()):
        if count > 1:
            yield _malformed("order.once", place, count, "", allowed=1.0, says="more than one order for the same thing")
    for plant in decision.cooling:
        known = site.cooling_plants.get(plant.plant)
        if known is None:
            yield _malformed("plant.known", plant.plant, plant.store_kw, "kW", says="the site has no such cooling plant")
        elif known.store is None and plant.store_kw is not None:
            yield _malformed("tank.known", plant.plant, plant.store_kw, "kW", says="this cooling plant has no tank")
        if known is not None and plant.supply_c is not None:
            levels_c = known.set_point.levels_c if known.set_point else ()
            if plant.supply_c not in levels_c:
                says = f"can be set to {', '.join(f'{c:g}' for c in levels_c)}" if levels_c else "this cooling plant has no set-point"
                yield _malformed("supply.level", plant.plant, plant.supply_c, "degC", says=says)
        for hall, value in plant.hall_c:
            if hall not in site.halls:
                yield _malformed("hall.known", hall, value, "degC", says="the site has no such hall")
    for order in decision.batteries:
        if order.battery not in site.batteries:
            yield _malformed("battery.known", order.battery, order.power_kw, "kW", says="the site has no such battery")
    for plane in decision.solar:
        if plane.solar not in site.solar:
            yield _malformed("solar.known", plane.solar, plane.power_kw, "kW", says="the site has no such solar plant")
    for engine in decision.gensets:
        if engine.genset not in site.gensets:
            yield _malformed("genset.known", engine.genset, engine.power_kw, "kW", says="the site has no such genset")
