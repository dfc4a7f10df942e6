"""`facility maintain`: when GPUs of a pool leave for a repair or for new ones, what that costs, and the site file that says so."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from facility.durations import parse_duration, parse_instant
from facility.errors import Fault, InputError
from facility.maintain.layout import moves, unused
from facility.maintain.search import Choice, Found, Search
from facility.maintain.stages import paused
from facility.maintain.wish import Refusal, Wish
from facility.maintain.written import write
from facility.planner import Request, brief
from facility.rental.rental import unleased
from facility.site import Site
from facility.site.part import Id
from models.solving.child import Child

FINE, NO = 0, 1
LEAST_HOURS, MOST_HOURS = 1 / 3600, 8784
"""How long GPUs are out, h: a second at least, a leap year at most."""
MOST_TOLD = 5
"""Jobs that are named among those that give way, and among those whose work is later."""
SMALL = 0.005
"""Money that is told as nothing."""
NAMES = ("best", "second", "third")


@dataclass(frozen=True)
class Asked:
    """What the command line says of the refresh."""

    pool: str
    gpus: int
    hours: float
    within: str
    steps: int = 1
    to_model: str | None = None
    to_pool: str | None = None


def run_maintain(request: Request, asked: Asked, out: Path | None, *, as_json: bool) -> int:
    """Search and tell; 0 where there are windows, 1 where not. InputError for bad input."""
    logging.getLogger("pyomo").setLevel(logging.CRITICAL)
    request, wish = _wished(request, asked)
    if out is not None and request.settings:
        raise InputError(Fault("--out", "with --set, which is in no site file", "change the site file, or leave one of the two out"))
    said = Console(stderr=True)
    with said.status("maintenance: reading") as status, Child() as solver:
        told = brief(request)
        found = Search(told, request.budget_s, solver, lambda what: status.update(f"maintenance: {what}")).find(wish)
    if as_json:
        print(json.dumps(_as_json(found, wish, told.site), indent=2, allow_nan=False))
    else:
        _print(Console(), found, wish, told.site, told.assumed)
    if isinstance(found, Refusal):
        return NO
    if out is not None:
        write(out, request.site, unleased(told.site, told.rentals), unleased(found.site, told.rentals), _in_words(wish))
        said.print(f"written: {out}", highlight=False, markup=False, soft_wrap=True)
    return FINE


def _wished(request: Request, asked: Asked) -> tuple[Request, Wish]:
    """The request with the steps that the search needs, and what is wished for. InputError tells all that it does not know."""
    from facility.config import load_site
    from facility.inputs.table import nearest

    site = load_site(request.site, request.settings)
    named = (("--pool", asked.pool, site.pools), ("--to-model", asked.to_model, site.gpu_models))
    faults = [Fault(option, f"the site has no {name!r}", nearest(name, list(known))) for option, name, known in named if name and name not in known]
    has = site.pools[asked.pool].gpus if asked.pool in site.pools else math.inf
    if not 1 <= asked.gpus <= has:
        faults.append(Fault("--gpus", f"{asked.gpus}", f"give from 1 to {has}, the GPUs of {asked.pool}"))
    if not 1 <= asked.steps <= max(asked.gpus, 1):
        faults.append(Fault("--steps", f"{asked.steps}", "give 1 or more, and no more than --gpus"))
    if not LEAST_HOURS <= asked.hours <= MOST_HOURS:
        faults.append(Fault("--hours", f"{asked.hours:g}", f"give more than 0, such as 8, and {MOST_HOURS} at most"))
    if asked.to_pool is not None and (asked.to_model is None or asked.to_pool in site.pools):
        found = "there is no --to-model" if asked.to_model is None else f"the site has a pool {asked.to_pool}"
        faults.append(Fault("--to-pool", found, "name a new pool, with the --to-model of its GPUs"))
    if faults:
        raise InputError(*faults)
    wished = _wish(site, request, asked)
    return replace(request, start=wished.earliest.isoformat(), horizon=f"{math.ceil(wished.within / timedelta(hours=1))}h"), wished


def _wish(site: Site, request: Request, asked: Asked) -> Wish:
    """What is wished for, of a site that knows all that it names."""
    zone = ZoneInfo(site.timezone)
    next_hour = datetime.now(zone).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    start = parse_instant(request.start, zone, "--start")[0] if request.start else next_hour.astimezone(UTC)
    within = parse_duration(asked.within, "--within")
    return Wish(asked.pool, asked.gpus, timedelta(hours=asked.hours), start, within, asked.steps, asked.to_model, _to_pool(site, asked))


def _to_pool(site: Site, asked: Asked) -> str | None:
    """The pool of the new GPUs, None where none come. InputError for a name that no pool can have."""
    if asked.to_model is None:
        return None
    name = asked.to_pool or unused(f"{asked.pool}-{asked.to_model}", site.pools)
    names: TypeAdapter[str] = TypeAdapter(Id)
    try:
        return names.validate_python(name)
    except ValidationError:
        found, remedy = f"{name!r} is no name of a pool", "give one of at most 64 lower-case letters, digits and hyphens"
        raise InputError(Fault("--to-pool", found, remedy)) from None


def _in_words(wish: Wish) -> str:
    many = f", in {wish.steps} steps" if wish.steps > 1 else ""
    new = f", for as many {wish.to_model} in {wish.to_pool}" if wish.to_model else ""
    return f"{wish.gpus} GPUs of {wish.pool}, each out for {wish.lasts.total_seconds() / 3600:g} h{many}{new}"


def _as_json(found: Found | Refusal, wish: Wish, site: Site) -> dict[str, Any]:
    if isinstance(found, Refusal):
        return {"found": False, "why": found.why, "limits": list(found.limits), "remedies": list(found.remedies)}
    return {
        "found": True,
        "currency": site.currency,
        "choices": [_choice_json(choice, wish, found) for choice in (found.best, *found.others)],
        "least_cost": found.least,
        "moves": [{"contract": old, "to": new, "pool": wish.to_pool, "at": _iso(at)} for old, new, at in moves(site, found.site)],
        "pauses": list(paused(site, wish, found.stages)),
        "plans": found.plans,
    }


def _choice_json(choice: Choice, wish: Wish, found: Found) -> dict[str, Any]:
    more = choice.more
    windows = [
        {"gpus": stage.gpus, "start": _iso(start), "end": _iso(start + wish.lasts)} for stage, start in zip(found.stages, choice.starts, strict=True)
    ]
    return {
        "windows": windows,
        "cost": more.cost,
        "costs": {kind: money for kind, money in more.costs.items() if abs(money) > SMALL},
        "than_best": choice.than_best,
        "energy_kwh": more.energy_kwh,
        "peak_kw": more.peak_kw,
        "carbon_kg": more.carbon_kg,
        "displaced": [{"kind": d.kind, "id": d.id, "less_gpu_h": d.less_gpu_h, "undone_gpu_h": d.undone_gpu_h} for d in more.displaced],
        "later_h": dict(more.later_h),
    }


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print(console: Console, found: Found | Refusal, wish: Wish, site: Site, assumed: tuple[str, ...]) -> None:
    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    if isinstance(found, Refusal):
        say(f"no window: {found.why}")
        for limit in found.limits:
            say(f"  {limit}")
        for remedy in found.remedies:
            say(f"what would help: {remedy}")
        return
    zone = ZoneInfo(site.timezone)
    say(f"{_in_words(wish)}; times are {site.timezone}'s")
    console.print(_table(found, wish, site.currency, zone))
    _windows(say, found, wish, site, zone)
    more = found.best.more
    if costs := [f"{kind} {money:+,.2f}" for kind, money in more.costs.items() if abs(money) > SMALL]:
        say(f"the best, beside no maintenance: {', '.join(costs)} {site.currency}")
    for name, choice in zip(NAMES[1:], found.others, strict=False):
        dearer = ", ".join(f"{kind} {money:+,.2f}" for kind, money in sorted(choice.than_best.items(), key=lambda each: -each[1]))
        say(f"{name}, beside the best: {dearer or 'the same'}")
    if found.least is not None:
        say(f"no windows can cost less than {found.least:,.2f} {site.currency}; {found.plans} plans")
    _who(say, found)
    for assumption in assumed:
        say(f"assumed: {assumption}")


def _table(found: Found, wish: Wish, currency: str, zone: ZoneInfo) -> Table:
    table = Table(show_edge=False)
    for name in ("", "from", "until", f"cost, {currency}", "kWh", "peak", "kg CO2"):
        table.add_column(name, justify="left" if name in {"", "from", "until"} else "right", no_wrap=True)
    for name, choice in zip(NAMES, (found.best, *found.others), strict=False):
        more, first, last = choice.more, choice.starts[0], choice.starts[-1] + wish.lasts
        table.add_row(
            name, f"{first.astimezone(zone):%d %b %H:%M}", f"{last.astimezone(zone):%d %b %H:%M}", f"{more.cost:,.2f}",
            f"{round(more.energy_kwh):,}", f"{round(more.peak_kw):+,}", f"{round(more.carbon_kg):,}",
        )  # fmt: skip
    return table


def _windows(say: Callable[[str], None], found: Found, wish: Wish, site: Site, zone: ZoneInfo) -> None:
    """Tell each step of the best, and which contracts move."""
    for k, (stage, start) in enumerate(zip(found.stages, found.best.starts, strict=True)):
        end = (start + wish.lasts).astimezone(zone)
        back = f"they are back {end:%d %b %H:%M}" if wish.to_pool is None else f"{stage.gpus} {wish.to_model} are there {end:%d %b %H:%M}"
        say(f"step {k + 1}: {stage.gpus} GPUs leave {start.astimezone(zone):%d %b %H:%M}, {back}")
    for old, new, at in moves(site, found.site):
        say(f"moves: contract {old} has its GPUs in {wish.to_pool} from {at.astimezone(zone):%d %b %H:%M} on, as {new}")
    for name in paused(site, wish, found.stages):
        say(f"pauses: contract {name}, for which too few of the old GPUs are left")


def _who(say: Callable[[str], None], found: Found) -> None:
    """Tell who gives way for the best, and whose work is later."""
    more = found.best.more
    for way in more.displaced[:MOST_TOLD]:
        undone = f", {way.undone_gpu_h:.1f} of them undone when due" if way.undone_gpu_h else ""
        say(f"gives way: {way.kind} {way.id}, {way.less_gpu_h:.1f} GPU h less{undone}")
    later = list(more.later_h.items())
    for job, hours in later[:MOST_TOLD]:
        say(f"later: job {job}, its work {hours:.1f} h in the mean")
    left = max(len(more.displaced) - MOST_TOLD, 0) + max(len(later) - MOST_TOLD, 0)
    if left:
        say(f"... and {left} more (--json lists them all)")
