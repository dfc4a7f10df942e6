"""Glance: the site in one look, as numbers. What nobody tells, or what is too old to be believed, is None."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from facility.bus.messages import Alarm, PlanCurrent, PlanStep, Status
from facility.console.model.heard import Heard
from facility.console.model.spend import Spend
from facility.overrides.arbitrate import limit_at
from facility.site import Site
from facility.steps import rolling
from facility.tariff import energy_price_per_mwh


@dataclass(frozen=True)
class Next:
    """What comes next, and from when on."""

    value: float
    at: datetime


@dataclass(frozen=True)
class HallNow:
    """A hall: its air, and the limits of it, degC."""

    id: str
    air_c: float | None
    recommended_c: float
    allowable_c: float


@dataclass(frozen=True)
class CapNow:
    """A pool: the highest cap sent, W, the share of the highest there is, and what is enforced."""

    id: str
    hall: str
    sent_w: int | None
    share: float | None
    enforced_w: int | None
    overridden: bool


@dataclass(frozen=True)
class StoreNow:
    """All batteries: what they hold and can hold, kWh, and what they take in (negative: give), kW."""

    held_kwh: float | None
    capacity_kwh: float
    charge_kw: float | None


@dataclass(frozen=True)
class Glance:
    """The site now. `age_s` is of the meter, in the site's seconds; `doubted` counts sensors that are not believed, `spares` who waits to take
    over.
    """

    now: datetime
    mode: str
    why: str
    alive: bool
    silent_s: float | None
    import_kw: float | None
    age_s: float | None
    limit_kw: float
    next_limit: Next | None
    price_per_mwh: float | None
    next_price: Next | None
    halls: tuple[HallNow, ...]
    caps: tuple[CapNow, ...]
    running: int
    held: int
    waiting: int
    store: StoreNow | None
    cost: float
    cost_since: datetime | None
    saving_pct: float | None
    planned_cost: float | None
    alarms: tuple[Alarm, ...]
    shelved: int
    broken: int
    spares: int
    doubted: int


def glance(heard: Heard, spend: Spend, counts: tuple[int, int, int]) -> Glance:
    """Look at everything at once; `counts` are the jobs that run, are held, and wait."""
    site, now, plan = heard.site, heard.beat.now(), heard.plan
    daemon, quality = heard.daemon, heard.quality
    meter = f"site/meter/{site.grid.feed}/import_kw"
    step = here(plan, now)
    limit_kw = step.import_limit_kw if step is not None and step.import_limit_kw is not None else limit_at(site, now)
    standing = sorted(heard.alarms.values(), key=lambda a: (RANK.index(a.severity), a.since))
    return Glance(
        now=now,
        mode="starting" if daemon is None else daemon.mode,
        why="no daemon was heard yet" if daemon is None else _why(daemon, plan, site),
        alive=heard.alive,
        silent_s=heard.beat.silent_s(),
        import_kw=heard.value(meter),
        age_s=heard.age_s(meter),
        limit_kw=limit_kw,
        next_limit=following(plan, now, "import_limit_kw"),
        price_per_mwh=price_at(site, plan, now),
        next_price=following(plan, now, "price_per_mwh"),
        halls=tuple(_halls(heard)),
        caps=tuple(_caps(heard)),
        running=counts[0],
        held=counts[1],
        waiting=counts[2],
        store=_store(heard),
        cost=spend.cost,
        cost_since=spend.since,
        saving_pct=plan.saving_pct if plan else None,
        planned_cost=plan.energy_cost if plan else None,
        alarms=tuple(alarm for alarm in standing if alarm.shelved is None),
        shelved=sum(alarm.shelved is not None for alarm in standing),
        broken=len(plan.breaches) if plan else 0,
        spares=len(heard.spares),
        doubted=0 if quality is None else len(quality.not_good) + quality.left_out,
    )


def _why(daemon: Status, plan: PlanCurrent | None, site: Site) -> str:
    """The reason of a mode, with a plan's instant in place of its name."""
    if plan is None or daemon.plan_id != plan.plan_id:
        return daemon.reason
    at = plan.issued_at.astimezone(ZoneInfo(site.timezone))
    return daemon.reason.replace(f"plan {plan.plan_id} verified", f"follows the plan of {at:%H:%M}")


RANK = ("critical", "alarm", "warning")
"""Severities, the worst first."""


def here(plan: PlanCurrent | None, now: datetime) -> PlanStep | None:
    """The step of a plan that `now` lies in; None where it has none."""
    steps = plan.steps if plan else ()
    found = next((step for step in reversed(steps) if step.time <= now), None)
    return found if found is not None and now < found.time + timedelta(hours=found.hours) else None


def following(plan: PlanCurrent | None, now: datetime, field: str) -> Next | None:
    """What a plan's steps say next that is not what holds now."""
    step = here(plan, now)
    if plan is None or step is None:
        return None
    value = getattr(step, field)
    found = next((s for s in plan.steps if s.time > step.time and getattr(s, field) not in (None, value)), None)
    return None if found is None else Next(getattr(found, field), found.time)


def price_at(site: Site, plan: PlanCurrent | None, now: datetime) -> float | None:
    """The price of energy, money/MWh: the plan's, else the site's own."""
    step = here(plan, now)
    if step is not None and step.price_per_mwh is not None:
        return step.price_per_mwh
    return float(energy_price_per_mwh(site, rolling(now)[:2])[0])


def _halls(heard: Heard) -> Sequence[HallNow]:
    return [
        HallNow(name, heard.value(f"{name}/hall/{name}/air_temperature_c"), hall.thermal.recommended_max_c, hall.thermal.allowable_max_c)
        for name, hall in heard.site.halls.items()
        if hall.thermal is not None
    ]


def _caps(heard: Heard) -> Sequence[CapNow]:
    site, found = heard.site, []
    for name, pool in site.pools.items():
        sent, report = heard.caps.get(name), heard.reports.get(name)
        sent_w = None if sent is None else max([sent.cap_w, *(group.cap_w for group in sent.groups)])
        share = None if sent_w is None else sent_w / site.gpu_models[pool.gpu_model].max_cap_w
        overridden = any(target in heard.overrides for target in (f"pool/{pool.hall}/{name}", f"hall/{pool.hall}"))
        found.append(CapNow(name, pool.hall, sent_w, share, report.enforced_cap_w if report else None, overridden))
    return found


def _store(heard: Heard) -> StoreNow | None:
    batteries = heard.site.batteries
    if not batteries:
        return None
    held = [heard.value(f"site/battery/{name}/energy_kwh") for name in batteries]
    power = [heard.value(f"site/battery/{name}/power_kw") for name in batteries]
    return StoreNow(
        held_kwh=None if None in held else sum(kwh for kwh in held if kwh is not None),
        capacity_kwh=sum(battery.capacity_kwh for battery in batteries.values()),
        charge_kw=None if None in power else sum(kw for kw in power if kw is not None),
    )
