"""What a plant is under in a backtest: its sky, its trace of jobs, longer sub-steps, a limit that binds, plans that are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from facility.backtest.answers import Answers
from facility.backtest.bill import bill
from facility.backtest.controllers import rules
from facility.backtest.hand import Hand
from facility.backtest.instruments import Instruments
from facility.backtest.loop import SUBSTEP_S, live
from facility.backtest.metering import Metering
from facility.backtest.request import span_of
from facility.backtest.world import read_world
from facility.bus.messages import JobDesired
from facility.config import load_site
from facility.decision import CapGroup, CoolingOrder, Decision, JobOrder, PoolCaps
from facility.inputs.series import Series
from facility.simulate.plant import Plant
from facility.simulate.sky import Observed
from facility.site import Site
from facility.snapshot import Job, Snapshot
from tests.facility.backtest.world import START, request_in

HOURS = np.arange(np.datetime64("2026-01-15T00:00:00", "s"), np.datetime64("2026-01-16T00:00:00", "s"), np.timedelta64(1, "h"))


def tiny(tmp_path: Path) -> Site:
    """The small site."""
    return load_site(request_in(tmp_path).site)


def job(name: str = "a", gpus: int = 8, hours: float = 2.0, **changes: object) -> Job:
    """A job of two hours that was submitted at the start."""
    made = Job(name, "p1", "train", gpus, gpus * hours, START, START + timedelta(hours=10))
    return replace(made, **changes)  # type: ignore[arg-type]


def run(action: str, seq: int, now: datetime, gpus: int = 8) -> JobDesired:
    """An order for a job."""
    return JobDesired(epoch=1, seq=seq, issued_at=now, valid_until=now + timedelta(days=1), action=action, gpus=gpus)  # type: ignore[arg-type]


def test_the_observed_sky_has_the_means_of_its_series() -> None:
    value = np.array([10.0 + hour for hour in range(24)])
    sky = Observed(Series("t", "c", HOURS, HOURS + np.timedelta64(1, "h"), value))
    seen = [sky.outdoor_c(datetime(2026, 1, 15, 5, tzinfo=UTC) + timedelta(minutes=minute + 0.5)) for minute in range(60)]
    assert np.mean(seen) == pytest.approx(15.0)
    assert sky.outdoor_c(datetime(2026, 1, 14, tzinfo=UTC)) == 10.0
    assert sky.outdoor_c(datetime(2026, 2, 1, tzinfo=UTC)) == 33.0


def test_a_traced_job_arrives_at_its_instant_and_not_before(tmp_path: Path) -> None:
    plant = Plant(tiny(tmp_path), START, None, jobs=[job("b", submit=START + timedelta(minutes=30)), job("a")])
    assert list(plant.scheduler.jobs) == ["a"]
    plant.step(1799)
    assert list(plant.scheduler.jobs) == ["a"]
    plant.step(2)
    assert list(plant.scheduler.jobs) == ["a", "b"]


def test_a_job_that_was_stopped_does_again_what_was_lost_before_it_goes_on(tmp_path: Path) -> None:
    plant = Plant(tiny(tmp_path), START, None, jobs=[job(pause_cost_gpu_h=0.25)], longest_s=10)
    for seq, (action, minutes) in enumerate([("run", 60), ("hold", 30), ("run", 15)]):
        plant.scheduler.obey("a", run(action, seq, plant.now), plant.now)
        plant.step(60 * minutes)
    told = plant.scheduler.jobs["a"]
    assert told.done_gpu_h == pytest.approx(8.0)  # an hour on 8 GPUs, and a quarter of an hour for nothing
    assert told.to_redo_gpu_h == pytest.approx(0.0)
    plant.step(600)
    assert told.done_gpu_h == pytest.approx(8.0 + 8 / 6)


def test_a_job_that_is_dropped_gives_its_gpus_back(tmp_path: Path) -> None:
    plant = Plant(tiny(tmp_path), START, None, jobs=[job()])
    plant.scheduler.obey("a", run("run", 1, plant.now), plant.now)
    plant.step(60)
    busy = plant.pools["p1"].free
    assert plant.scheduler.drop("a").done_gpu_h > 0
    assert plant.pools["p1"].free == busy + 8
    assert not plant.scheduler.jobs


def test_longer_sub_steps_change_the_energy_of_the_demo_site_by_less_than_a_thousandth() -> None:
    site = load_site("site_configs/demo.yaml")
    kwh = []
    for longest_s in (1.0, SUBSTEP_S):
        plant = Plant(site, datetime(2026, 7, 15, 10, tzinfo=UTC), None, longest_s=longest_s)
        hand = Hand(plant)
        for cap_w in (400, 200, 300):
            pools = tuple(PoolCaps(name, min(cap_w, site.gpu_models[pool.gpu_model].max_cap_w)) for name, pool in site.pools.items())
            now = plant.now
            hand.send(Decision(now, now + timedelta(hours=1), pools), site, Snapshot(now), 20.0, now, "")
            plant.step(600)
        kwh.append(plant.import_kwh)
    assert kwh[1] == pytest.approx(kwh[0], rel=1e-3)


def test_caps_that_are_moved_are_counted_by_workload(tmp_path: Path) -> None:
    plant = Plant(tiny(tmp_path), START, None)
    hand = Hand(plant)

    def send(cap_w: int) -> None:
        caps = PoolCaps("p1", 400, (CapGroup("rent", 8, cap_w),))
        decision = Decision(plant.now, plant.now + timedelta(hours=1), (caps,), (JobOrder("gone", "run", 4),))
        hand.send(decision, plant.site, Snapshot(plant.now), 20.0, plant.now, "")

    for cap_w in (400, 300, 300, 400):
        send(cap_w)
    assert hand.moved_kw == pytest.approx(1.6)
    assert not hand.refused


def test_halls_are_sent_through_a_long_step_in_five_minutes_each() -> None:
    plant = Plant(load_site("site_configs/demo.yaml"), START, None, longest_s=SUBSTEP_S)
    hand, seen = Hand(plant), list[float]()
    order = CoolingOrder("chiller", (("h1", 27.0), ("h2", 24.0)))
    caps = tuple(PoolCaps(name, plant.site.gpu_models[pool.gpu_model].max_cap_w) for name, pool in plant.site.pools.items())
    decision = Decision(START, START + timedelta(hours=1), caps, cooling=(order,), first_step_s=900.0)
    hand.send(decision, plant.site, Snapshot(START), 20.0, START, "")
    for _ in range(3):
        seen.append(plant.halls["h1"].setpoint_c)
        plant.step(300)
        hand.walk(plant.now)
    assert seen == pytest.approx([25.0, 26.0, 27.0])
    assert plant.halls["h2"].setpoint_c == 24.0
    assert not hand.refused


def test_a_limit_that_is_broken_is_a_breach_from_its_first_minute_to_its_last(tmp_path: Path) -> None:
    site = tiny(tmp_path)
    tight = site.model_copy(update={"grid": site.grid.model_copy(update={"import_limit_kw": 10.0})})
    plant = Plant(tight, START, None, jobs=[job(gpus=32, hours=0.5)], longest_s=20)
    metering = Metering(plant)
    plant.scheduler.obey("a", run("run", 1, plant.now, 32), plant.now)
    for _ in range(3 * 60):
        plant.step(20)
        metering.note(20)
    minute, billing = sorted(metering.breaches(), key=lambda breach: breach.asset)
    assert (minute.asset, billing.asset) == ("1 min mean", "billing interval")
    assert minute.start == START
    assert minute.end == START + timedelta(minutes=30)
    assert billing.end == START + timedelta(minutes=30)
    assert minute.amount == pytest.approx(1 + 40 * (0.371 + 0.08) - 10.0, abs=0.05)  # of 40 GPUs, their hosts, and the hall


def test_ours_keeps_a_limit_that_nobody_keeps(tmp_path: Path) -> None:
    request = replace(request_in(tmp_path), settings=("grid.import_limit_kw=11",), cycle="15min", end="2026-01-15T14:00")
    world = read_world(request, load_site(request.site, request.settings), span_of(request, load_site(request.site)))
    told = {who: live(world, who, 0, 36, Answers(None), lambda _share: None) for who in ("none", "ours")}
    assert told["none"].breaches
    assert not told["ours"].breaches
    assert set(told["ours"].modes) == {"NORMAL"}
    assert max(interval.peak_kw for interval in told["ours"].intervals) > 0.8 * 11


class Onlooker:
    """Decides nothing, and counts how often it is let look."""

    planned_kw, mode = None, "none"

    def __init__(self, *, attends: bool) -> None:
        self.attends, self.looks = attends, 0

    def cycle(self, seen: Callable[[], Snapshot]) -> None:
        """Nothing."""

    def watch(self, seen: Callable[[], Snapshot]) -> None:
        """Count."""
        self.looks += 1


@pytest.mark.parametrize(("attends", "looks"), [(False, 0), (True, 36 * 3600 / SUBSTEP_S)])
def test_while_something_gives_way_meters_are_looked_at_though_none_is_high(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, attends: bool, looks: float
) -> None:
    request, who = request_in(tmp_path), Onlooker(attends=attends)
    site = load_site(request.site)
    monkeypatch.setattr("facility.backtest.loop._controller", lambda *_: who)
    live(read_world(request, site, span_of(request, site)), "ours", 0, 36, Answers(None), lambda _share: None)
    assert who.looks == looks


def test_a_span_pays_its_share_of_a_months_demand_charge(tmp_path: Path) -> None:
    request = replace(request_in(tmp_path), settings=("tariff.peak_price_per_kw=12",))
    site = load_site(request.site, request.settings)
    world = read_world(request, site, span_of(request, site))
    told = live(world, "none", 0, 36, Answers(None), lambda _share: None)
    (peak_kw,) = told.peaks_kw.values()
    assert peak_kw > 10
    assert bill(world, told).items["peak"] == pytest.approx(12 * peak_kw * 36 / (31 * 24))


def test_rules_run_at_night_or_when_it_is_urgent_and_then_uncapped(tmp_path: Path) -> None:
    request = request_in(tmp_path, jobs=[("day", 15, 3, 8), ("long", 7, 100, 4)])
    site = load_site(request.site)
    world = read_world(request, site, span_of(request, site))
    plant = Plant(site, START + timedelta(hours=9), None, jobs=world.jobs)
    hand = Hand(plant)
    instruments = Instruments(plant, world.by_id, Metering(plant))

    def runs() -> dict[str, list[tuple[int, int]]]:
        rules(world, hand).cycle(instruments.snapshot)
        plant.step(1)
        return {name: plant.pools["p1"].caps_of(name) for name in plant.scheduler.jobs if name in plant.pools["p1"].running}

    assert runs() == {"long": [(4, 400), (0, 400)]}  # capped it would take 109 h, and has 110 h less those that are over
    plant.step(3600 * 13)
    assert runs()["day"][0] == (8, 300)
