"""Loop: one controller on a plant of its own, cycle by cycle through the span."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from facility.backtest.answers import Answers
from facility.backtest.controllers import Controller, nobody, rules
from facility.backtest.hand import Hand
from facility.backtest.instruments import Instruments
from facility.backtest.metering import Breach, Interval, Metering
from facility.backtest.planned import Planned
from facility.backtest.recording import Recording
from facility.backtest.world import World
from facility.daemon.margin import NEAR_SHARE
from facility.inputs.series import OUTDOOR
from facility.overrides.arbitrate import limit_at
from facility.simulate.plant import Plant
from facility.simulate.scheduler import RehearsedJob
from facility.simulate.sky import Observed

SUBSTEP_S = 20.0
"""Longest sub-step of the plant, s; it divides a minute."""
DONE = 1e-6
"""GPU hours left of a job that is done."""


@dataclass(frozen=True)
class JobOutcome:
    """What became of a job: `finished` is None where it was not by its deadline, or by the end of the span."""

    id: str
    work_gpu_h: float
    done_gpu_h: float
    submit: datetime
    deadline: datetime
    finished: datetime | None
    stops: tuple[datetime, ...] = ()
    """When it lost all its GPUs before its work was done."""


@dataclass(frozen=True)
class Lived:
    """A span that one controller lived through. `planned_kw` and `moved_kw` are by cycle, None where nobody planned.

    `slowest` is the least mean speed that each contract's GPUs had in a cycle, all of which it rents counted; of those that may not pause.
    """

    controller: str
    intervals: tuple[Interval, ...]
    planned_kw: tuple[float | None, ...]
    moved_kw: tuple[float, ...]
    modes: tuple[str, ...]
    jobs: tuple[JobOutcome, ...]
    breaches: tuple[Breach, ...]
    peaks_kw: Mapping[tuple[str, str], float]
    served_gpu_h: Mapping[str, float]
    slowest: Mapping[str, float]
    reasons: Mapping[str, int]
    refused: tuple[str, ...]
    start_kwh: float


def live(
    world: World,
    controller: str,
    seed: int,
    foresight_h: float,
    answers: Answers,
    tell: Callable[[float], None],
    record: Path | None = None,
) -> Lived:
    """Live through the span of `world`; `tell` hears how much of it is over, a share, after each hour. It is recorded into `record`."""
    site, span = world.site, world.span
    sky = Observed(world.signals[OUTDOOR.name]) if OUTDOOR.name in world.signals else None
    plant = Plant(site, span.start, seed, sky=sky, jobs=world.jobs, longest_s=SUBSTEP_S)
    metering, hand = Metering(plant), Hand(plant)
    instruments = Instruments(plant, world.by_id, metering)
    recording = None if record is None else Recording(world, plant, record, seed)
    who = _controller(controller, world, hand, foresight_h, answers)
    days, done = _midnights(world), dict[str, JobOutcome]()
    intervals, planned, moved, modes = list[Interval](), list[float | None](), list[float](), list[str]()
    start_kwh = sum(battery.energy_kwh for battery in plant.batteries.values())
    while plant.now < span.end:
        before_kw = hand.moved_kw
        _retire(plant, done)
        who.cycle(instruments.snapshot)
        until = min(plant.now + span.cycle, span.end)
        while plant.now < until:
            plant.step(SUBSTEP_S)
            metering.note(SUBSTEP_S)
            if recording is not None:
                recording.note(SUBSTEP_S)
            hand.walk(plant.now)
            if who.attends or _high(plant):
                who.watch(instruments.snapshot)
        intervals.append(metering.close())
        planned.append(who.planned_kw)
        moved.append(hand.moved_kw - before_kw)
        modes.append(who.mode)
        if plant.now in days:
            answers.save()
        if not (plant.now - span.start) % timedelta(hours=1):
            tell((plant.now - span.start) / (span.end - span.start))
    _retire(plant, done)
    answers.save()
    if recording is not None:
        recording.close()
    for job in plant.scheduler.jobs.values():
        done[job.id] = _outcome(job)
    return Lived(
        controller,
        tuple(intervals),
        tuple(planned),
        tuple(moved),
        tuple(modes),
        tuple(done[job.id] for job in world.jobs if job.id in done),
        metering.breaches(),
        metering.peaks,
        metering.served_gpu_h,
        metering.slowest,
        who.reasons if isinstance(who, Planned) else {},
        tuple(hand.refused),
        start_kwh,
    )


def _controller(name: str, world: World, hand: Hand, foresight_h: float, answers: Answers) -> Controller:
    match name:
        case "none":
            return nobody(world, hand)
        case "rules":
            return rules(world, hand)
        case "foresight":
            return Planned(world, hand, answers, foresight_h)
        case _:
            return Planned(world, hand, answers)


def _retire(plant: Plant, done: dict[str, JobOutcome]) -> None:
    """Take jobs off the plant that are done, or whose deadline is over."""
    for job in list(plant.scheduler.jobs.values()):
        if job.finished is not None or job.deadline <= plant.now:
            plant.scheduler.drop(job.id)
            done[job.id] = _outcome(job)


def _outcome(job: RehearsedJob) -> JobOutcome:
    return JobOutcome(job.id, job.work_gpu_h, job.done_gpu_h, job.submit, job.deadline, job.finished, tuple(job.stops))


def _high(plant: Plant) -> bool:
    """Whether a place is near what the guard looks for: the grid's limit as near as margins are learnt, a feeder's rating, a hall's allowable
    temperature.
    """
    site, bands = plant.site, plant.site.control.guard
    if plant.import_kw > NEAR_SHARE * limit_at(site, plant.now):
        return True
    if any(abs(plant.feeder_kw[name]) > (bands.release_share - 0.02) * feeder.rating_kw for name, feeder in site.feeders.items()):
        return True
    return any(air.temperature_c > air.thermal.recommended_max_c for air in plant.halls.values())


def _midnights(world: World) -> set[datetime]:
    """The instants at which local days begin."""
    zone = ZoneInfo(world.site.timezone)
    at, found = world.span.start, set[datetime]()
    while at <= world.span.end:
        local = at.astimezone(zone)
        if local.hour == 0 and local.minute == 0:
            found.add(at)
        at += timedelta(minutes=15)
    return found
