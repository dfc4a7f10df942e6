"""Question: what `facility capacity` was asked, read and checked as a whole before anything is reckoned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from facility.capacity.contracted import free_gpus, left_out, rented
from facility.capacity.place import Place, place_of
from facility.capacity.span import HOUR, Span
from facility.config import assumed_curves, load_site
from facility.durations import parse_instant
from facility.errors import Fault, InputError
from facility.inputs.jobfile import read_jobs
from facility.inputs.series import CARBON, OUTDOOR, PRICE, Series, read_series
from facility.inputs.table import nearest
from facility.site import Site
from facility.snapshot import Job
from facility.steps import uniform

LONGEST = timedelta(days=1100)


@dataclass(frozen=True)
class Asked:
    """The options of the command line, as written. Without `start` the year begins with this calendar year, without `end` it is one."""

    site: str
    start: str | None = None
    end: str | None = None
    model: str | None = None
    pool: str | None = None
    hall: str | None = None
    curve: str | None = None
    flexible: str = "0,10,25,50"
    hours_share: str = "0.25,0.5,1"
    busy_pct: float = 100.0
    prices: str | None = None
    weather: str | None = None
    carbon: str | None = None
    jobs: str | None = None
    jobs_from: str | None = None
    timezone: str | None = None
    settings: tuple[str, ...] = ()
    budget_s: float = 120.0


@dataclass(frozen=True)
class Question:
    """The span, the places where GPUs could stand, how many per cent slower they may run, shares of hours in per cent, what is assumed.

    `site` is the one that was asked about, `jobs` are those of a file.
    """

    span: Span
    places: tuple[Place, ...]
    slower_pct: tuple[float, ...]
    hours_pct: tuple[float, ...]
    assumed: tuple[str, ...]
    budget_s: float
    site: Site
    jobs: tuple[Job, ...] = ()


def question(asked: Asked) -> Question:
    """Read the files that are named; InputError tells every fault of the options, or of the first file that has any."""
    site = load_site(asked.site, asked.settings)
    start, end = _span(asked, site)
    faults = [*_unknown(asked, site)]
    slower, shares = _numbers("--flexible", asked.flexible, faults), _numbers("--hours-share", asked.hours_share, faults)
    if not 0 <= asked.busy_pct <= 100:
        faults.append(Fault("--busy", f"{asked.busy_pct:g}", "give per cent, from 0 to 100"))
    if faults:
        raise InputError(*faults)
    signals: dict[str, Series] = {}
    for quantity, argument in ((PRICE, asked.prices), (OUTDOOR, asked.weather), (CARBON, asked.carbon)):
        if argument is not None:
            signals[quantity.name] = read_series(argument, quantity, start=start, end=end, timezone=asked.timezone, currency=site.currency)
    assumed = [f"curve {name}: nobody measured it on this GPU model" for name in assumed_curves(site)]
    jobs: tuple[Job, ...] = ()
    free, kinds = free_gpus(site, uniform(start, end, HOUR)), dict[str, str]()
    if asked.jobs is not None:
        table = read_jobs(asked.jobs, site, start=start, end=end, timezone=asked.timezone, jobs_from=asked.jobs_from)
        jobs = table.jobs
        busy, kinds = _needed(site, jobs, free, start)
        assumed += [note.replace("the plan's start", "--from").replace("the plan starts", "--from") for note in table.notes]
        assumed.append("jobs: each runs at full speed when it is submitted, and waits for nothing but GPUs, where not said otherwise")
    else:
        busy = {pool: tuple(round(each * asked.busy_pct / 100) for each in gpus) for pool, gpus in free.items()}
        most, of = (max(map(sum, zip(*gpus.values(), strict=True))) for gpus in (busy, free))
        said = f"{asked.busy_pct:g} % of the GPUs that no rental holds, {most:,} of {of:,}"
        assumed.append(f"jobs: none given; {said}, do them at full speed in every hour, and none waits")
    standing = rented(site, {pool: max(gpus) for pool, gpus in busy.items()}, kinds)
    span = Span(standing, start, end, signals, busy)
    assumed += [each.replace("weather: ", "weather: every day as ") for each in span.day(start).forecast.assumed]
    assumed += left_out(site)
    pools = _pools(asked, site)
    places = tuple(place_of(standing, pool, asked.model, asked.curve) for pool in pools)
    if asked.pool is None and asked.hall is None:
        like = {asked.model or site.pools[pool].gpu_model: pool for pool in reversed(pools)}
        places = (*(place_of(standing, pool, model, asked.curve, new_hall=True) for model, pool in like.items()), *places)
    return Question(span, places, slower, shares, tuple(dict.fromkeys(assumed)), asked.budget_s, site, jobs)


def _span(asked: Asked, site: Site) -> tuple[datetime, datetime]:
    """Start and end, UTC, whole hours apart."""
    zone = ZoneInfo(site.timezone)
    start, _ = parse_instant(asked.start or f"{datetime.now(zone).year}-01-01", zone, "--from")
    if asked.end is None:
        local = start.astimezone(zone).replace(tzinfo=None)
        year, day = local.year + 1, 28 if (local.month, local.day) == (2, 29) else local.day
        end = local.replace(year=year, day=day, tzinfo=zone).astimezone(UTC)
    else:
        end, _ = parse_instant(asked.end, zone, "--to")
    if not start < end <= start + LONGEST:
        found = f"{end:%Y-%m-%d} is not within {LONGEST.days} days after --from"
        raise InputError(Fault("--to", found, "give a day after --from; it is no part of the span"))
    if (end - start) % HOUR:
        raise InputError(Fault("--to", "it is not whole hours after --from", "give bare dates, or instants on the hour"))
    return start, end


def _unknown(asked: Asked, site: Site) -> Iterator[Fault]:
    """Names that the site does not have, and options that contradict each other."""
    named = (("--model", asked.model, site.gpu_models), ("--pool", asked.pool, site.pools), ("--hall", asked.hall, site.halls))
    unknown = [Fault(option, f"the site has no {name!r}", nearest(name, list(known))) for option, name, known in named if name and name not in known]
    yield from unknown
    if asked.timezone is not None and asked.timezone not in available_timezones():
        yield Fault("--timezone", f"{asked.timezone!r} is no IANA zone", "give one such as Europe/Berlin")
    if asked.jobs_from is not None and asked.jobs is None:
        yield Fault("--jobs-from", "there is no --jobs", "give the job file it is an instant of, or leave it out")
    if unknown:
        return
    pools = _pools(asked, site)
    if not pools:
        yield Fault("--model, --pool and --hall", "no pool is all of these", "leave one of them out")
    models = {asked.model or site.pools[pool].gpu_model for pool in pools}
    for model in sorted(models) if asked.curve is not None else ():
        if asked.curve not in (curves := site.gpu_models[model].curves):
            yield Fault("--curve", f"{model} has no {asked.curve!r}", nearest(str(asked.curve), list(curves)))


def _pools(asked: Asked, site: Site) -> list[str]:
    """The pools beside which GPUs are to stand: all of the model, or of a place that is named."""
    if asked.pool is not None:
        return [asked.pool] if asked.hall in {None, site.pools[asked.pool].hall} else []
    inside = [name for name, pool in site.pools.items() if asked.hall in {None, pool.hall}]
    if asked.model is None or asked.hall is not None:
        return inside
    return [name for name in inside if site.pools[name].gpu_model == asked.model]


def _numbers(option: str, text: str, faults: list[Fault]) -> tuple[float, ...]:
    """Per cents from 0 to below 100, each once."""
    try:
        found = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        found = ()
    if not found or not all(math.isfinite(each) and 0 <= each < 100 for each in found):
        faults.append(Fault(option, f"{text!r} is no list of per cents", "give some from 0 to below 100, such as 0,10,25"))
    return found


def _needed(
    site: Site, jobs: tuple[Job, ...], free: Mapping[str, tuple[int, ...]], start: datetime
) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """By pool: the most GPUs that jobs need at any instant of each hour, what had to queue for free ones included, and their hungriest work."""
    needed, kinds = dict[str, tuple[int, ...]](), dict[str, str]()
    for pool in dict.fromkeys(job.pool for job in jobs):
        mine = [job for job in jobs if job.pool == pool]
        begins = np.array([(job.submit - start) / HOUR for job in mine])
        ends = begins + np.array([job.work_gpu_h / job.gpus for job in mine])
        gpus = np.array([job.gpus for job in mine])
        at, change = np.concatenate([begins, ends]), np.concatenate([gpus, -gpus])
        order = np.lexsort((change > 0, at))  # at one instant those that end are gone before others begin
        level, rises = np.cumsum(change[order]), change[order] > 0
        hours = len(free[pool])
        edges = np.arange(hours + 1)
        row = np.searchsorted(at[order], edges, side="right") - 1
        before = np.where(row >= 0, level[np.maximum(row, 0)], 0)
        most = before[:-1].copy()
        inside = np.searchsorted(edges, at[order], side="right") - 1
        known = (inside >= 0) & (inside < hours) & rises
        np.maximum.at(most, inside[known], level[known])
        needed[pool] = queued(most.tolist(), free[pool])
        curves = site.gpu_models[site.pools[pool].gpu_model].curves
        kinds[pool] = max((job.curve for job in mine), key=lambda kind: curves[kind].points[-1].draw_w)
    return needed, kinds


def queued(needed: Sequence[int], free: Sequence[int]) -> tuple[int, ...]:
    """GPUs that are busy in each hour where `free` are there for those that are `needed`, and the others wait for the hours after.

    >>> queued([1, 5, 0, 0, 0], [2] * 5)
    (1, 2, 2, 1, 0)
    """
    busy, behind = list[int](), 0
    for gpus, most in zip(needed, free, strict=True):
        behind += gpus
        busy.append(min(behind, most))
        behind -= busy[-1]
    return tuple(busy)
