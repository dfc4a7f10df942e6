"""Planner: a plan offline, by the same `decide` as the daemon, without a broker."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from facility.config import assumed_curves, load_site
from facility.config.rules import nearest
from facility.decide import Optimised, Undecided, decide
from facility.durations import parse_duration, parse_instant
from facility.errors import Fault, InputError
from facility.events import Event
from facility.forecast import Forecast, demand_of, expect
from facility.inputs.band import read_band
from facility.inputs.demand import read_demand
from facility.inputs.events import read_events
from facility.inputs.jobfile import LeftOut, read_jobs
from facility.inputs.position import read_position
from facility.inputs.series import CARBON, LOAD, OUTDOOR, PRICE, SOLAR, Series, read_series
from facility.overrides.arbitrate import Bounds, bounds
from facility.position import committed_kw
from facility.problem import called
from facility.rental.file import read_contracts
from facility.rental.rental import Rental, leased, rented_gpus
from facility.request import Request
from facility.site import Site
from facility.snapshot import Job, Snapshot
from facility.steps import Edges, local_day, uniform
from facility.tariff import charges
from models.solving.attempt import SolverOf
from models.solving.exact import Exact
from models.solving.solver import Solver
from models.telling.margin import margin_price

__all__ = ["Planned", "Request", "plan"]

LONGEST_STEPS = 3000


@dataclass(frozen=True)
class Planned:
    """A plan with everything needed to tell of it."""

    site: Site
    decided: Optimised
    forecast: Forecast
    jobs: tuple[Job, ...]
    left_out: tuple[LeftOut, ...]
    assumed: tuple[str, ...]
    events: tuple[Event, ...] = ()
    """Those that ask anything of the plan's steps."""
    commanded: Bounds | None = None
    """What people command in them; None: nobody commands anything."""
    margin_price: float | None = None
    """What the pessimistic forecast costs, money (`models.telling.margin`); None where nobody told one."""

    @property
    def edges(self) -> Edges:
        """The steps' instants, UTC."""
        return self.decided.edges


@dataclass(frozen=True)
class Brief:
    """What a request comes to: the site, the steps between `edges`, and all that its files tell of them.

    `asked` is what the grid, its events and a committed position ask for in each step.
    """

    site: Site
    edges: Edges
    snapshot: Snapshot
    forecast: Forecast
    asked: Bounds
    events: tuple[Event, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    assumed: tuple[str, ...] = ()
    rentals: tuple[Rental, ...] = ()
    """Those that come and go beside the site file's contracts; `site` has them, and `forecast` their GPUs in each step."""


def plan(request: Request, solver_of: SolverOf = Solver) -> Planned | Undecided:
    """Read the files of `request`, plan, and return it; InputError names every fault of the input.

    `solver_of` says in which process programs are solved.
    """
    told = brief(request)
    began = time.perf_counter()
    outcome = decide(
        told.site, told.snapshot, told.forecast, told.asked, told.edges, request.budget_s, _exact(request), solver_of=solver_of
    )
    if isinstance(outcome, Undecided):
        return outcome
    margin = margin_price(outcome.plan, request.budget_s - (time.perf_counter() - began), solver_of)
    return Planned(told.site, outcome, told.forecast, told.snapshot.jobs, told.left_out, told.assumed, told.events, margin_price=margin)


def brief(request: Request) -> Brief:
    """Read the files of `request`. InputError names every fault of them."""
    site = load_site(request.site, request.settings)
    _check_options(request, site)
    start, end, step = _span(site, request)
    edges = uniform(start, end, step)
    if len(edges) > LONGEST_STEPS + 1:
        raise InputError(
            Fault(
                "--horizon and --step",
                f"they make {len(edges) - 1} steps",
                f"ask for at most {LONGEST_STEPS}: a longer --step or a shorter --horizon",
            )
        )
    rentals = () if request.contracts is None else read_contracts(request.contracts, site, request.timezone)
    site = leased(site, rentals, (rental for rental in rentals if rental.touches(start, end)))
    forecast = replace(_forecast(site, request, edges), rented_gpus=rented_gpus(rentals, edges))
    assumed = [*forecast.assumed, *(f"curve {name}: nobody measured it on this GPU model" for name in assumed_curves(site))]
    jobs: tuple[Job, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    if request.jobs is None:
        assumed.append("jobs: none given, firm load only")
    else:
        table = read_jobs(request.jobs, site, start=start, end=end, timezone=request.timezone, jobs_from=request.jobs_from)
        jobs, left_out = table.jobs, table.left_out
        assumed += table.notes
    starts_c = sorted({h.thermal.start_c for h in site.halls.values() if h.thermal})
    if starts_c:
        assumed.append(f"halls: start at their thermal.start_c, {' or '.join(f'{c:g}' for c in starts_c)} degC")
    charged = sorted({b.start_share for b in site.batteries.values()})
    if charged:
        assumed.append(f"batteries: start at their start_share, {' or '.join(f'{100 * share:g} %' for share in charged)}")
    filled = sorted({plant.store.start_share for plant in site.cooling_plants.values() if plant.store})
    if filled:
        assumed.append(f"tanks: start at their store.start_share, {' or '.join(f'{100 * share:g} %' for share in filled)}")
    snapshot = Snapshot(at=start, jobs=jobs, **_peaks(site, request))
    events: tuple[Event, ...] = ()
    if request.events is not None:
        called_for = read_events(request.events, site, timezone=request.timezone)
        events = tuple(event for event in called_for if event.touches(start, end))
        if len(events) < len(called_for):
            assumed.append(f"events: {len(called_for) - len(events)} of {len(called_for)} are at another time than this plan")
    free, said = _committed(site, request, bounds(site, (), start, edges), edges)
    assumed += said
    asked = called(site, snapshot, forecast, free, events, edges)
    return Brief(site, edges, snapshot, forecast, asked, events, left_out, tuple(assumed), rentals)


def _forecast(site: Site, request: Request, edges: Edges) -> Forecast:
    """What the files of `request` say for the steps between `edges`."""
    signals: dict[str, Series] = {}
    high: dict[str, Series] = {}
    files = ((PRICE, request.prices), (OUTDOOR, request.weather), (CARBON, request.carbon), (LOAD, request.load))
    for quantity, argument in files:
        if argument is not None:
            span = {"start": edges[0], "end": edges[-1]}
            band = read_band(argument, quantity, **span, timezone=request.timezone, currency=site.currency)
            signals[quantity.name] = band.expected
            if band.high is not None:
                high[quantity.name] = band.high
    if request.solar is not None:
        span = {"start": edges[0], "end": edges[-1]}
        signals[SOLAR.name] = read_series(request.solar, SOLAR, **span, timezone=request.timezone, currency=site.currency)
    if request.demand is not None:
        told = read_demand(request.demand, site, start=edges[0], end=edges[-1], timezone=request.timezone)
        signals |= {demand_of(contract): series for contract, series in told.items()}
    return expect(site, edges, signals, high)


def _committed(site: Site, request: Request, asked: Bounds, edges: Edges) -> tuple[Bounds, list[str]]:
    """`asked` with what the position file of `request` commits, and what to tell of it."""
    if request.position is None:
        return asked, []
    if site.tariff.imbalance_premium_per_mwh is None:
        remedy = "say what a MWh off the position costs beyond its price, such as --set tariff.imbalance_premium_per_mwh=100"
        raise InputError(Fault("tariff.imbalance_premium_per_mwh", "not given, and a position is", remedy))
    position = read_position(request.position, site, start=edges[0], end=edges[-1], timezone=request.timezone)
    kw = committed_kw(position, edges)
    whole = sum(each is not None for each in kw)
    steps = len(edges) - 1
    said = [] if whole == steps else [f"position: {whole} of {steps} steps are committed, the others are free"]
    return replace(asked, position_kw=kw), said


def _check_options(request: Request, site: Site) -> None:
    """Refuse options that contradict each other or mean nothing; InputError tells all at once."""
    faults = []
    if request.timezone is not None and request.timezone not in available_timezones():
        faults.append(Fault("--timezone", f"{request.timezone!r} is no IANA zone", "give one such as Europe/Berlin"))
    if request.jobs_from is not None and request.jobs is None:
        faults.append(Fault("--jobs-from", "there is no --jobs", "give the job file it is an instant of, or leave it out"))
    if request.solar is not None and not site.solar:
        faults.append(Fault("--solar", "the site has no solar plant", "describe one under `solar`, or leave it out"))
    if not math.isfinite(request.peak_so_far_kw):
        faults.append(Fault("--peak-so-far", f"{request.peak_so_far_kw} is no power", "give kW"))
    if request.gap is not None and not (math.isfinite(request.gap) and request.gap >= 0):
        faults.append(Fault("--gap", f"{request.gap} is no amount of money", "give 0 or more, such as 0.01"))
    faults += [
        Fault(option, "there is no --exact", "ask for an exact plan, or leave it out")
        for option, value in (("--gap", request.gap), ("--whole-steps", request.whole_steps))
        if value is not None and not request.exact
    ]
    if faults:
        raise InputError(*faults)


def _peaks(site: Site, request: Request) -> dict[str, Any]:
    """The month's peaks so far, as fields of a snapshot."""
    all_kw, by_id, known = request.peak_so_far_kw, dict[str, float](), charges(site)
    for said in request.peaks_so_far:
        name, equals, number = said.rpartition("=")
        try:
            kw = float(number)
        except ValueError:
            kw = math.nan
        if not (math.isfinite(kw) and kw >= 0):
            raise InputError(Fault("--peak-so-far", f"{said!r} is no power", "give kW, or ID=KW of one demand charge"))
        if not equals:
            all_kw = kw
        elif name in known:
            by_id[name] = kw
        else:
            raise InputError(Fault("--peak-so-far", f"the tariff has no demand charge `{name}`", nearest(name, known)))
    return {"peak_so_far_kw": all_kw, "peaks_so_far_kw": by_id}


def _exact(request: Request) -> Exact | None:
    """What `request` asks of an exact plan, None where it asks for none."""
    usual = Exact()
    gap = usual.gap if request.gap is None else request.gap
    steps = usual.whole_steps if request.whole_steps is None else request.whole_steps
    return Exact(gap, steps) if request.exact else None


def _span(site: Site, request: Request) -> tuple[datetime, datetime, timedelta]:
    """Start, end and step. A bare date without a horizon is that local calendar day; no start is tomorrow."""
    zone = ZoneInfo(site.timezone)
    asked = request.start or f"{datetime.now(zone) + timedelta(days=1):%Y-%m-%d}"
    start, bare = parse_instant(asked, zone, "--start")
    step = parse_duration(request.step, "--step")
    if step % timedelta(seconds=1):
        raise InputError(Fault("--step", f"{request.step!r} is no whole number of seconds", "give one, such as 15min"))
    if request.horizon is None:
        if not bare:
            raise InputError(Fault("--horizon", "not given, and --start is not a bare date", "give --horizon, such as 24h"))
        day = local_day(datetime.fromisoformat(asked), zone)
        return day[0], day[1], step
    if bare:
        start = local_day(datetime.fromisoformat(asked), zone)[0]
    return start, start + parse_duration(request.horizon, "--horizon"), step
