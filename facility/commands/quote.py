"""`facility quote`: what a rental would cost, when it could start, what it displaces; and, accepted, its GPUs kept for it."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from facility.bus.broker import reach
from facility.bus.interface import Message
from facility.bus.messages import ContractSet, OverrideResult, encode
from facility.bus.signing import read_key, signed
from facility.bus.topics import Topics
from facility.commands.client import answer
from facility.durations import parse_duration, parse_instant
from facility.errors import Fault, InputError
from facility.ladder import LADDER, Tier
from facility.planner import Request, brief
from facility.quote.places import Wish
from facility.quote.quoting import Offer, Quote, Quoting, Refusal
from facility.site import Site
from models.solving.child import Child

FINE, NO, FAULT = 0, 1, 3
MOST_TOLD = 8
"""Jobs that are named among those that give way."""


@dataclass(frozen=True)
class Asked:
    """What the command line says of the rental."""

    gpus: int
    hours: float
    within: str | None
    tier: str
    model: str | None = None
    pool: str | None = None
    curve: str | None = None
    price_per_gpu_h: float | None = None


@dataclass(frozen=True)
class Acceptance:
    """Who takes the offer: the contract's name, its tenant, who says so, and where the daemon is."""

    contract: str
    tenant: str
    earliest: bool = False
    broker: str | None = None
    by: str | None = None
    key_file: Path | None = None


def run_quote(request: Request, asked: Asked, acceptance: Acceptance | None, *, as_json: bool) -> int:
    """Quote and tell; 0 where there is an offer and, where it is accepted, the daemon took it, 1 where not, 3 where nobody answers."""
    logging.getLogger("pyomo").setLevel(logging.CRITICAL)
    request, wish, tier = _wished(request, asked)
    said = Console(stderr=True)
    with said.status("quoting: reading") as status, Child() as solver:
        told = brief(request)
        wish = _checked(told.site, wish, acceptance)
        found = Quoting(told, request.budget_s, solver, lambda what: status.update(f"quoting: {what}")).quote(wish, tier)
    if as_json:
        print(json.dumps(_as_json(found, asked, told.site), indent=2, allow_nan=False))
    else:
        _print(Console(), found, asked, told.site, told.assumed)
    if isinstance(found, Refusal):
        return NO
    if acceptance is None:
        return FINE
    return _accept(told.site, found.earliest if acceptance.earliest else found.cheapest, wish, acceptance)


def _wished(request: Request, asked: Asked) -> tuple[Request, Wish, Tier]:
    """The request with the steps that a quote needs, and what is wished for."""
    from facility.config import load_site

    faults = []
    if asked.tier not in LADDER:
        faults.append(Fault("--tier", f"{asked.tier!r} is none", f"give one of {', '.join(LADDER)}"))
    if asked.gpus < 1:
        faults.append(Fault("--gpus", f"{asked.gpus}", "give 1 or more"))
    if not (math.isfinite(asked.hours) and asked.hours > 0):
        faults.append(Fault("--hours", f"{asked.hours:g}", "give more than 0, such as 72"))
    if asked.price_per_gpu_h is not None and not (math.isfinite(asked.price_per_gpu_h) and asked.price_per_gpu_h >= 0):
        faults.append(Fault("--price", f"{asked.price_per_gpu_h:g}", "give money per GPU hour"))
    if faults:
        raise InputError(*faults)
    site = load_site(request.site, request.settings)
    zone = ZoneInfo(site.timezone)
    next_hour = datetime.now(zone).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    start = parse_instant(request.start, zone, "--start")[0] if request.start else next_hour.astimezone(UTC)
    lasts, within = timedelta(hours=asked.hours), parse_duration(asked.within, "--within") if asked.within else timedelta(0)
    if request.horizon and parse_duration(request.horizon, "--horizon") < lasts + within:
        raise InputError(Fault("--horizon", f"{request.horizon} does not hold --within and --hours", "give a longer one, or leave it out"))
    days = math.ceil((lasts + within) / timedelta(days=1))
    curve = asked.curve or site.jobs.curve
    wish = Wish(asked.gpus, lasts, start, within, curve, asked.model, asked.pool)
    return replace(request, start=start.isoformat(), horizon=request.horizon or f"{24 * days}h"), wish, asked.tier  # type: ignore[return-value]


def _checked(site: Site, wish: Wish, acceptance: Acceptance | None) -> Wish:
    """The wish, where the site knows what it names. InputError tells all that it does not."""
    from facility.inputs.table import nearest

    curves = {curve for model in site.gpu_models.values() for curve in model.curves}
    named = (("--model", wish.model, site.gpu_models), ("--pool", wish.pool, site.pools), ("--curve", wish.curve, curves))
    faults = [Fault(option, f"the site has no {name!r}", nearest(name, list(known))) for option, name, known in named if name and name not in known]
    if acceptance is not None and acceptance.tenant not in site.tenants:
        faults.append(Fault("--tenant", f"the site has no {acceptance.tenant!r}", nearest(acceptance.tenant, list(site.tenants))))
    if faults:
        raise InputError(*faults)
    return wish


def _accept(site: Site, offer: Offer, wish: Wish, acceptance: Acceptance) -> int:
    """Have the daemon keep the GPUs of an offer."""
    topics = Topics(site.bus.root, site.id)
    command = ContractSet(
        id=uuid.uuid4().hex,
        by=acceptance.by or os.environ.get("USER") or "desk",
        reason=f"quoted at {offer.cost:.2f} {site.currency}",
        start=offer.start,
        end=offer.end,
        tenant=acceptance.tenant,
        kind="reserved",
        pool=offer.pool,
        gpus=wish.gpus,
        curve=wish.curve,
        tier=offer.tier,
    )
    topic = topics.contract(acceptance.contract, "set")
    if acceptance.key_file is not None:
        command = signed(read_key(acceptance.key_file, "--key-file"), topic, command, datetime.now(UTC))
    result_topic = topics.contract(acceptance.contract, "result")
    message = Message(topic, encode(command), qos=1)
    result = answer(reach(site.bus, acceptance.broker), site.id, message, result_topic, command.id, OverrideResult)
    if result is None:
        return FAULT
    print(f"accept: {result.status}: {result.reason}", file=sys.stderr)
    return FINE if result.status == "accepted" else NO


def _as_json(found: Quote | Refusal, asked: Asked, site: Site) -> dict[str, Any]:
    if isinstance(found, Refusal):
        return {"offered": False, **asdict(found)}
    offers = {"earliest": found.earliest, "cheapest": found.cheapest}
    return {
        "offered": True,
        "currency": site.currency,
        **{name: _offer_json(offer, asked) for name, offer in offers.items()},
        "tiers": [_offer_json(offer, asked) for offer in found.tiers],
        "plans": found.plans,
    }


def _offer_json(offer: Offer, asked: Asked) -> dict[str, Any]:
    told = {**asdict(offer), "start": offer.start.isoformat(), "end": offer.end.isoformat()}
    if asked.price_per_gpu_h is not None:
        told["price"] = asked.price_per_gpu_h * asked.gpus * asked.hours
    return told


def _print(console: Console, found: Quote | Refusal, asked: Asked, site: Site, assumed: tuple[str, ...]) -> None:
    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    if isinstance(found, Refusal):
        say(f"no offer: {found.why}")
        for limit in found.limits:
            say(f"  {limit}")
        for remedy in found.remedies:
            say(f"what would help: {remedy}")
        return
    zone = ZoneInfo(site.timezone)
    say(f"{asked.gpus} GPUs for {asked.hours:g} h, tier {found.cheapest.tier}, begun within {asked.within or '0h'}; times are {site.timezone}'s")
    table = Table(show_edge=False)
    for name in ("", "pool", "from", f"cost, {site.currency}", "kWh", "peak", "kg CO2", "speed"):
        table.add_column(name, justify="left" if name in {"", "pool", "from"} else "right", no_wrap=True)
    rows = [("earliest", found.earliest), ("cheapest", found.cheapest), *((f"if {offer.tier}", offer) for offer in found.tiers)]
    for name, offer in rows:
        table.add_row(
            name, offer.pool, f"{offer.start.astimezone(zone):%d %b %H:%M}", f"{offer.cost:,.2f}", f"{round(offer.energy_kwh):,}",
            f"{round(offer.peak_kw):+,}", f"{round(offer.carbon_kg):,}", f"{offer.speed:.3f}",
        )  # fmt: skip
    console.print(table)
    best = found.cheapest
    each = best.cost / (asked.gpus * asked.hours)
    say(f"the cheapest: {', '.join(f'{kind} {money:,.2f}' for kind, money in best.costs.items())} {site.currency}; {each:.4f} a GPU h")
    for way in best.displaced[:MOST_TOLD]:
        undone = f", {way.undone_gpu_h:.1f} of them undone when due" if way.undone_gpu_h else ""
        later = "less in this plan" if way.kind == "job" else "less, slower than without it"
        say(f"gives way: {way.kind} {way.id}, {way.less_gpu_h:.1f} GPU h {later}{undone}")
    if len(best.displaced) > MOST_TOLD:
        say(f"... and {len(best.displaced) - MOST_TOLD} more (--json lists them all)")
    if asked.price_per_gpu_h is not None:
        price = asked.price_per_gpu_h * asked.gpus * asked.hours
        say(f"offered at {asked.price_per_gpu_h:g} a GPU h: {price:,.2f} {site.currency}, {price - best.cost:,.2f} above what it costs")
    for assumption in assumed:
        say(f"assumed: {assumption}")
