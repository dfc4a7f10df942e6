"""`facility quote`: what a rental would cost, when it could start, what it displaces; and, accepted, its GPUs kept for it.

Without a broker it is computed here, from files. With `live` the running daemon is asked, which knows what runs, waits and is rented now.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from rich.console import Console
from rich.table import Table

from facility.bus.broker import reach
from facility.bus.interface import Message
from facility.bus.messages import ContractSet, OverrideResult, QuoteOffer, QuoteRequest, QuoteResult, encode
from facility.bus.signing import read_key, signed
from facility.bus.topics import Topics
from facility.commands.client import answer
from facility.durations import LONGEST, parse_duration, parse_instant
from facility.errors import Fault, InputError
from facility.inputs.table import nearest
from facility.ladder import LADDER
from facility.planner import LONGEST_STEPS, Request, brief
from facility.quote.quoting import Quoting
from facility.quote.steps import days, dividing
from facility.quote.telling import Asking, result
from facility.quote.wishes import unknown, wish_of
from facility.rental.file import ID
from facility.site import Site
from models.solving.child import Child

FINE, NO, FAULT = 0, 1, 3
SLACK_S = 3.0
"""How much longer than the daemon takes at most its answer is waited for."""


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

    @property
    def within_h(self) -> float:
        """How much later it may begin, h."""
        return parse_duration(self.within, "--within") / timedelta(hours=1) if self.within else 0.0


@dataclass(frozen=True)
class Daemon:
    """The daemon that is spoken to: at which broker (None: the site file's), who speaks, and with which key."""

    broker: str | None = None
    by: str | None = None
    key_file: Path | None = None

    @property
    def name(self) -> str:
        """Who speaks."""
        return self.by or os.environ.get("USER") or "desk"


@dataclass(frozen=True)
class Acceptance:
    """Who takes the offer: the contract's name and its tenant; the cheapest, unless the earliest."""

    contract: str
    tenant: str
    earliest: bool = False


def run_quote(request: Request, asked: Asked, daemon: Daemon, acceptance: Acceptance | None, *, live: bool, as_json: bool) -> int:
    """Quote and tell; 0 where there is an offer and, where it is accepted, the daemon took it, 1 where not, 3 where nobody answers."""
    from facility.config import load_site

    logging.getLogger("pyomo").setLevel(logging.CRITICAL)
    _check(asked)
    site = load_site(request.site, request.settings)
    faults = unknown(site, asked.curve, asked.model, asked.pool)
    if acceptance is not None and acceptance.tenant not in site.tenants:
        faults.append(Fault("--tenant", f"the site has no {acceptance.tenant!r}", nearest(acceptance.tenant, list(site.tenants))))
    if acceptance is not None and re.fullmatch(ID, acceptance.contract) is None:
        faults.append(Fault("--accept", f"{acceptance.contract!r} is no name of a contract", f"use the form {ID}"))
    if faults:
        raise InputError(*faults)
    told = _ask(site, request, asked, daemon) if live else _compute(site, request, asked)
    if told is None:
        return FAULT
    if as_json:
        print(json.dumps({"offered": told.status == "ok", **msgspec.to_builtins(told)}, indent=2, allow_nan=False))
    else:
        _print(Console(), told, asked, site)
    if told.status != "ok":
        return NO if told.status == "refused" else FAULT
    if acceptance is None:
        return FINE
    offer = told.earliest if acceptance.earliest else told.cheapest
    assert offer is not None
    return _accept(site, offer, daemon, acceptance, live=live)


def _check(asked: Asked) -> None:
    """Refuse what is no wish. InputError tells all of it."""
    faults = []
    if asked.tier not in LADDER:
        faults.append(Fault("--tier", f"{asked.tier!r} is none", f"give one of {', '.join(LADDER)}"))
    if asked.gpus < 1:
        faults.append(Fault("--gpus", f"{asked.gpus}", "give 1 or more"))
    if not 0 < asked.hours <= LONGEST / timedelta(hours=1):
        faults.append(Fault("--hours", f"{asked.hours:g}", "give more than 0, such as 72"))
    if asked.price_per_gpu_h is not None and not (math.isfinite(asked.price_per_gpu_h) and asked.price_per_gpu_h >= 0):
        faults.append(Fault("--price", f"{asked.price_per_gpu_h:g}", "give money per GPU hour"))
    if faults:
        raise InputError(*faults)


def _compute(site: Site, request: Request, asked: Asked) -> QuoteResult:
    """The answer from files."""
    began_s, now = time.monotonic(), datetime.now(UTC)
    lasts, within = timedelta(hours=asked.hours), timedelta(hours=asked.within_h)
    if request.horizon and parse_duration(request.horizon, "--horizon") < lasts + within:
        raise InputError(Fault("--horizon", f"{request.horizon} does not hold --within and --hours", "give a longer one, or leave it out"))
    start = _start(site, request.start) or now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    horizon = request.horizon or f"{days(asked.hours, asked.within_h) // timedelta(hours=1)}h"
    step = _step(request.step, horizon, lasts)
    wish = wish_of(site, asked.gpus, lasts, start, within, asked.curve, asked.model, asked.pool)
    with Console(stderr=True).status("quoting: reading") as status, Child() as solver:
        told = brief(replace(request, start=start.isoformat(), horizon=horizon, step=step))
        found = Quoting(told, request.budget_s, solver, lambda what: status.update(f"quoting: {what}")).quote(wish, asked.tier)  # type: ignore[arg-type]
    return result(found, Asking(uuid.uuid4().hex, asked.price_per_gpu_h), told, now, round(time.monotonic() - began_s, 3))


def _step(said: str, horizon: str, lasts: timedelta) -> str:
    """The step that is asked for, or a part of it that divides the rental, so that no hour counts which nobody rents."""
    step = parse_duration(said, "--step")
    part = dividing(step, lasts)
    if part == step or parse_duration(horizon, "--horizon") > LONGEST_STEPS * part:
        return said
    return f"{part // timedelta(seconds=1)}s"


def _ask(site: Site, request: Request, asked: Asked, daemon: Daemon) -> QuoteResult | None:
    """The daemon's answer; None, and a sentence, where none comes."""
    topics = Topics(site.bus.root, site.id)
    try:
        told = QuoteRequest(
            id=uuid.uuid4().hex,
            by=daemon.name,
            gpus=asked.gpus,
            hours=asked.hours,
            start=_start(site, request.start),
            within_h=asked.within_h,
            pool=asked.pool,
            gpu_model=asked.model,
            curve=asked.curve,
            tier=asked.tier,  # type: ignore[arg-type]
            price_per_gpu_h=asked.price_per_gpu_h,
            within_s=request.budget_s,
        )
        topic = topics.quote("request")
        if daemon.key_file is not None:
            told = signed(read_key(daemon.key_file, "--key-file"), topic, told, datetime.now(UTC))
        message = Message(topic, encode(told), qos=1)
    except ValueError as error:
        raise InputError(Fault("quote", str(error), "see `facility quote --help`")) from None
    with Console(stderr=True).status("quoting: the daemon plans"):
        return answer(reach(site.bus, daemon.broker), site.id, message, topics.quote("result"), told.id, QuoteResult, told.within_s + SLACK_S)


def _start(site: Site, start: str | None) -> datetime | None:
    return parse_instant(start, ZoneInfo(site.timezone), "--start")[0].astimezone(UTC) if start else None


def _accept(site: Site, offer: QuoteOffer, daemon: Daemon, acceptance: Acceptance, *, live: bool) -> int:
    """Have the daemon keep the GPUs of an offer; one that it made itself is named, so that it holds to it."""
    topics = Topics(site.bus.root, site.id)
    command = ContractSet(
        id=uuid.uuid4().hex,
        by=daemon.name,
        reason=f"quoted at {offer.cost:.2f} {site.currency}",
        start=offer.start,
        end=offer.end,
        tenant=acceptance.tenant,
        kind="reserved",
        pool=offer.pool,
        gpus=offer.gpus,
        curve=offer.curve,
        tier=offer.tier,
        price_per_gpu_h=offer.price_per_gpu_h,
        offer=offer.id if live else None,
    )
    topic = topics.contract(acceptance.contract, "set")
    if daemon.key_file is not None:
        command = signed(read_key(daemon.key_file, "--key-file"), topic, command, datetime.now(UTC))
    result_topic = topics.contract(acceptance.contract, "result")
    message = Message(topic, encode(command), qos=1)
    told = answer(reach(site.bus, daemon.broker), site.id, message, result_topic, command.id, OverrideResult)
    if told is None:
        return FAULT
    print(f"accept: {told.status}: {told.reason}", file=sys.stderr)
    return FINE if told.status == "accepted" else NO


def _print(console: Console, told: QuoteResult, asked: Asked, site: Site) -> None:
    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    best, first = told.cheapest, told.earliest
    if best is None or first is None:
        say(f"no offer: {told.says}" if told.status == "refused" else f"{told.status}: {told.says}")
        for limit in told.limits:
            say(f"  {limit}")
        for remedy in told.remedies:
            say(f"what would help: {remedy}")
        return
    zone = ZoneInfo(site.timezone)
    say(f"{asked.gpus} GPUs for {asked.hours:g} h, tier {best.tier}, begun within {asked.within or '0h'}; {site.timezone}'s time, {site.currency}")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("", "pool", "from", "cost", "kWh", "peak", "CO2 kg", "speed", *(("price",) if best.price is not None else ())):
        table.add_column(name, justify="left" if name in {"", "pool", "from"} else "right", no_wrap=True)
    for name, offer in [("earliest", first), ("cheapest", best), *((f"if {offer.tier}", offer) for offer in told.tiers)]:
        price = () if offer.price is None else (f"{offer.price:,.2f}",)
        table.add_row(
            name, offer.pool, f"{offer.start.astimezone(zone):%d %b %H:%M}", f"{offer.cost:,.2f}", f"{round(offer.energy_kwh):,}",
            f"{round(offer.peak_kw):+,}", f"{round(offer.carbon_kg):,}", f"{offer.speed:.3f}", *price,
        )  # fmt: skip
    console.print(table)
    each = best.cost / (asked.gpus * asked.hours)
    say(f"the cheapest: {', '.join(f'{kind} {money:,.2f}' for kind, money in best.costs.items())} {site.currency}; {each:.4f} a GPU h")
    for way in best.gives_way:
        undone = f", {way.undone_gpu_h:.1f} of them undone when due" if way.undone_gpu_h else ""
        later = "less in this plan" if way.kind == "job" else "less, slower than without it"
        say(f"gives way: {way.kind} {way.id}, {way.less_gpu_h:.1f} GPU h {later}{undone}")
    if best.left_out:
        say(f"... and {best.left_out} more")
    if best.price is not None:
        say(f"offered at {best.price_per_gpu_h:.4g} a GPU h: {best.price:,.2f} {site.currency}, {best.price - best.cost:,.2f} above what it costs")
    for assumption in told.assumed:
        say(f"assumed: {assumption}")
