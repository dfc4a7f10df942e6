"""The rehearsal plant's physics, on a site small enough to work out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from facility.bus.messages import BatteryDesired, CapDesired, CapGroup, CoolingDesired, HallSetpoint, JobDesired
from facility.clock import ManualClock, ScaledClock, parse_epoch
from facility.errors import InputError
from facility.simulate.cooling import PlantRoom
from facility.simulate.gpu import Behaviour
from facility.simulate.plant import Plant
from facility.site import CoolingPlant, Site

START = datetime(2026, 1, 15, 11, 0, tzinfo=UTC)
POINTS = [(150, 148.0, 0.52), (200, 197.0, 0.70), (250, 246.0, 0.83), (300, 294.0, 0.92), (400, 371.0, 1.0)]
COOLING = {"feeder": "main", "design_heat_kw": 100, "max_heat_kw": 120, "pump_kw": 4, "fan_kw": 3, "misc_kw": 2}


def site(**changes: object) -> Site:
    """Build a hall of 200 GPUs, 40 of them rented, with one job at 10:00, one at 12:00, both of 80 GPUs for an hour."""
    raw: dict[str, object] = {
        "id": "tiny",
        "name": "Tiny",
        "timezone": "UTC",
        "currency": "EUR",
        "grid": {"import_limit_kw": 150},
        "tariff": {"energy_price_per_mwh": 100},
        "weather": {"outdoor_by_hour_c": [20.0] * 12 + [30.0] * 12},
        "gpu_models": {
            "g400": {
                "min_cap_w": 100,
                "max_cap_w": 450,
                "idle_w": 50,
                "curves": {
                    "train": {
                        "points": [{"cap_w": c, "draw_w": d, "speed": s} for c, d, s in POINTS],
                        "source": "made up for this test",
                    }
                },
            }
        },
        "feeders": {
            "main": {"rating_kw": 200, "loss_share": 0.01},
            "busway": {"rating_kw": 120, "parent": "main", "loss_share": 0.02},
        },
        "halls": {
            "h1": {
                "feeder": "busway",
                "base_kw": 3,
                "thermal": {"heat_capacity_kwh_per_k": 5, "resistance_k_per_kw": 0.5, "start_c": 24, "cooling_plant": "chillers"},
            }
        },
        "cooling_plants": {"chillers": COOLING},
        "pools": {
            "p1": {"hall": "h1", "feeder": "busway", "gpu_model": "g400", "gpus": 200, "host_idle_w": 20, "host_run_w": 80}
        },
        "batteries": {"b1": {"feeder": "main", "capacity_kwh": 10, "charge_kw": 20, "discharge_kw": 20, "efficiency": 0.9}},
        "tenants": {"acme": {"name": "Acme"}},
        "contracts": {"rent": {"tenant": "acme", "kind": "reserved", "pool": "p1", "gpus": 40, "curve": "train"}},
        "jobs": {"curve": "train"},
        "sample_jobs": [
            {"submit_local": "10:00", "duration_h": 1, "gpus": 80, "slack_h": 4},
            {"submit_local": "12:00", "duration_h": 1, "gpus": 80, "slack_h": 4},
        ],
    }
    return Site.model_validate(raw | changes)


def quiet() -> Plant:
    """Build the tiny site without noise."""
    return Plant(site(), START, seed=None)


def cap(
    cap_w: int, seq: int = 1, groups: tuple[CapGroup, ...] = (), lasts_s: float = 900, fallback_cap_w: int = 200
) -> CapDesired:
    """Order one cap for the pool."""
    return CapDesired(cap_w=cap_w, groups=groups, fallback_cap_w=fallback_cap_w, **serial(seq, lasts_s))


def serial(seq: int, lasts_s: float = 86400) -> Any:
    """Return the number and dates of an order."""
    return {"epoch": 1, "seq": seq, "issued_at": START, "valid_until": START + timedelta(seconds=lasts_s)}


def group(gpus: int | tuple[str, ...], cap_w: int) -> CapGroup:
    """Cap some GPUs of the rental."""
    return CapGroup(workload="rent", gpus=gpus, cap_w=cap_w)


def test_a_measured_point_is_met_exactly() -> None:
    behaviour = Behaviour(site().gpu_models["g400"].curves["train"])
    for cap_w, draw_w, speed in POINTS:
        assert behaviour.draw_w(cap_w) == pytest.approx(draw_w, rel=1e-12)
        assert behaviour.speed(cap_w) == pytest.approx(speed, rel=1e-12)
    assert behaviour.draw_w(450) == pytest.approx(371.0)


def test_a_lower_cap_never_draws_more_nor_works_faster() -> None:
    behaviour = Behaviour(site().gpu_models["g400"].curves["train"])
    for low, high in pairwise(range(100, 401)):
        assert behaviour.draw_w(low) < behaviour.draw_w(high)
        assert behaviour.speed(low) < behaviour.speed(high)


def test_power_is_the_sum_a_person_would_write_down() -> None:
    pool = quiet().pools["p1"]
    assert pool.gpu_kw == pytest.approx((40 * 371 + 160 * 50) / 1000)
    assert pool.power_kw == pytest.approx(pool.gpu_kw + (40 * 80 + 160 * 20) / 1000)


def test_draw_falls_at_once_and_rises_within_seconds() -> None:
    plant = quiet()
    pool = plant.pools["p1"]
    assert pool.obey(cap(200), plant.now) is None
    plant.step(0.1)
    assert pool.running["rent"].drawn_w == pytest.approx(40 * 197)
    assert pool.obey(cap(400, seq=2), plant.now) is None
    plant.step(0.35)
    assert pool.running["rent"].drawn_w == pytest.approx(40 * (371 - (371 - 197) / 2.718281828))
    plant.step(5)
    assert pool.running["rent"].drawn_w == pytest.approx(40 * 371, rel=1e-5)


def test_groups_cap_their_workload_and_cap_w_the_rest() -> None:
    plant = quiet()
    pool = plant.pools["p1"]
    groups = (group(10, 150), group(("n1/0", "n1/1"), 250))
    assert pool.obey(cap(300, groups=groups), plant.now) is None
    plant.step(10)
    assert pool.running["rent"].drawn_w == pytest.approx(10 * 148 + 2 * 246 + 28 * 294)
    assert pool.enforced_cap_w == 300


def test_silence_lowers_caps_to_the_fallback_and_never_raises_them() -> None:
    plant = quiet()
    pool = plant.pools["p1"]
    pool.obey(cap(300, groups=(group(10, 150),), lasts_s=60), plant.now)
    plant.step(59)
    assert pool.enforced_cap_w == 300
    plant.step(2)
    assert pool.enforced_cap_w == 200
    assert pool.caps_of("rent") == [(10, 150), (30, 200)]


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (cap(200, seq=5), "newer"),
        (cap(200, seq=4), "newer"),
        (cap(200, seq=6, lasts_s=0), "expired"),
        (cap(99, seq=6), "range"),
        (cap(451, seq=6), "range"),
        (cap(200, seq=6, fallback_cap_w=1000), "range"),
        (cap(200, seq=6, groups=(group(10, 50),)), "range"),
    ],
)
def test_a_command_that_must_not_act_does_not(second: CapDesired, why: str) -> None:
    plant = quiet()
    pool = plant.pools["p1"]
    assert pool.obey(cap(350, seq=5), plant.now) is None
    assert why in (pool.obey(second, plant.now) or "")
    assert pool.enforced_cap_w == 350


def test_the_hall_gains_just_the_heat_that_comes_in_and_does_not_go_out() -> None:
    plant = quiet()
    air = plant.halls["h1"]
    order = CoolingDesired(halls={"h1": HallSetpoint(temperature_c=23.0)}, **serial(1))
    assert plant.obey_cooling("chillers", order) is None
    stored_k, came_kwh, before_c = air.temperature_c, 0.0, air.temperature_c
    for _ in range(1800):
        plant.step(1)
        leak_kw = ((before_c + air.temperature_c) / 2 - plant.outdoor_c) / 0.5
        came_kwh += (air.heat_kw - air.removed_kw - leak_kw) / 3600
        before_c = air.temperature_c
    assert came_kwh == pytest.approx(5 * (air.temperature_c - stored_k), rel=1e-3)
    assert air.temperature_c == pytest.approx(23.0, abs=0.1)


def test_a_plant_at_its_limit_lets_the_hall_heat_up() -> None:
    weak = CoolingPlant.model_validate(COOLING | {"max_heat_kw": 10})
    plant = Plant(site(cooling_plants={"chillers": weak}), START, seed=None)
    plant.step(600)
    assert plant.halls["h1"].removed_kw == pytest.approx(10)
    assert plant.halls["h1"].temperature_c > 24.3


def test_cold_plates_take_their_share_past_the_air() -> None:
    looped = site().halls["h1"].model_dump() | {"thermal": site().halls["h1"].thermal.model_dump() | {"liquid_plant": "wet"}}  # type: ignore[union-attr]
    pool = site().pools["p1"].model_dump() | {"liquid_share": 0.75}
    plant = Plant(site(halls={"h1": looped}, pools={"p1": pool}, cooling_plants={"chillers": COOLING, "wet": COOLING}), START, seed=None)
    plant.step(10)
    it_kw = plant.pools["p1"].power_kw
    assert it_kw > 10
    assert plant.halls["h1"].heat_kw == pytest.approx(3 + 0.25 * it_kw)
    assert plant.cooling["wet"].removed_kw == pytest.approx(0.75 * it_kw)


def test_a_tank_follows_its_plants_order_until_it_is_empty_and_rests_in_silence() -> None:
    """10 kW for half an hour are 5 of its 10 kWh; an hour more has no more to give, whatever is ordered."""
    store = {"capacity_kwh": 20, "charge_kw": 10, "discharge_kw": 10}
    plant = Plant(site(cooling_plants={"chillers": COOLING | {"store": store}}), START, seed=None)
    room = plant.cooling["chillers"]
    heat_kw = plant.halls["h1"].removed_kw
    order = CoolingDesired(halls={"h1": HallSetpoint(temperature_c=24.0)}, store_kw=-10.0, **serial(1))
    assert plant.obey_cooling("chillers", order) is None
    plant.step(1800)
    assert room.removed_kw == pytest.approx(plant.halls["h1"].removed_kw - 10, abs=0.1)
    assert room.removed_kw < heat_kw - 5
    assert plant.readings()["site/cooling/chillers/stored_kwh"] == pytest.approx(5, abs=0.1)
    plant.step(3600)
    assert plant.readings()["site/cooling/chillers/stored_kwh"] == pytest.approx(0, abs=0.1)
    assert room.removed_kw == pytest.approx(plant.halls["h1"].removed_kw, abs=0.1)
    refill = CoolingDesired(halls={"h1": HallSetpoint(temperature_c=24.0)}, store_kw=4.0, **serial(2, lasts_s=5400 + 3600))
    assert plant.obey_cooling("chillers", refill) is None
    plant.step(7200)
    assert plant.readings()["site/cooling/chillers/stored_kwh"] == pytest.approx(4, abs=0.1)


def test_a_plant_that_was_at_its_limit_does_not_chill_the_hall_afterwards() -> None:
    plant = Plant(site(cooling_plants={"chillers": COOLING | {"max_heat_kw": 40}}), START, seed=None)
    plant.step(3600)
    assert plant.halls["h1"].temperature_c > 24.1
    plant.pools["p1"].obey(cap(100, lasts_s=86400, fallback_cap_w=100), plant.now)
    coldest_c = 99.0
    for _ in range(600):
        plant.step(10)
        coldest_c = min(coldest_c, plant.halls["h1"].temperature_c)
    assert 23.9 < coldest_c < 24.01


@pytest.mark.parametrize(("outdoor_c", "expected_kw"), [(25.0, 100 / 4.5 + 4 + 3 + 2), (30.0, 100 / 4.25 + 9), (10.0, 9.0)])
def test_cooling_power_agrees_with_the_site_file_at_design_heat(outdoor_c: float, expected_kw: float) -> None:
    room = PlantRoom(CoolingPlant.model_validate(COOLING), outdoor_c)
    room.step(100, outdoor_c)
    assert room.power_kw == pytest.approx(expected_kw, rel=0.05)


def test_cooling_power_away_from_design_is_the_published_chiller_s() -> None:
    """At 35 degC: capacity 0.944836 / 1.174085, power 1.013375 / 0.857935 of that at 25 degC, part load 0.994106 -> 0.992681."""
    room = PlantRoom(CoolingPlant.model_validate(COOLING), 35.0)
    room.step(80, 35.0)
    chiller_kw = 100 / 4.5 * (0.944836 / 1.174085) * (1.013375 / 0.857935) * 0.992681
    assert room.power_kw == pytest.approx(chiller_kw + 4 * 0.8**2 + 3 * 0.8**3 + 2, rel=1e-4)


def test_cooling_power_bends_where_a_line_would_not() -> None:
    room = PlantRoom(CoolingPlant.model_validate(COOLING), 30)
    powers = []
    for heat_kw in (20, 60, 100):
        room.step(heat_kw, 30)
        powers.append(room.power_kw)
    assert powers[1] < 0.98 * (powers[0] + powers[2]) / 2


def test_free_cooling_waits_for_half_a_kelvin_before_it_turns() -> None:
    room = PlantRoom(CoolingPlant.model_validate(COOLING), 20.0)
    shares = []
    for outdoor_c in (20.0, 20.4, 21.0, 20.2):
        room.step(50, outdoor_c)
        shares.append(room.free_share())
    assert shares[0] == shares[1] == pytest.approx(5 / 13)
    assert shares[2] == shares[3] == pytest.approx(4.5 / 13)


def test_import_is_every_load_with_the_losses_on_its_way() -> None:
    plant = quiet()
    plant.step(60)
    busway_kw = 1.02 * (3 + plant.pools["p1"].power_kw)
    assert plant.feeder_kw["busway"] == pytest.approx(busway_kw)
    assert plant.import_kw == pytest.approx(1.01 * (busway_kw + plant.cooling["chillers"].power_kw))


def test_a_battery_gives_what_it_holds_less_its_losses_then_rests() -> None:
    plant = quiet()
    battery = plant.batteries["b1"]
    order = BatteryDesired(power_kw=-20.0, **serial(1, 3600))
    assert battery.obey(order, plant.now) is None
    given_kwh = 0.0
    for _ in range(1200):
        plant.step(1)
        given_kwh -= battery.power_kw / 3600
    assert given_kwh == pytest.approx((5 - 1) * 0.9)
    assert battery.energy_kwh == pytest.approx(1)
    assert battery.obey(BatteryDesired(power_kw=5.0, **serial(2, 1260)), plant.now) is None
    plant.step(120)
    assert battery.energy_kwh == pytest.approx(1 + 0.9 * 5 * 59 / 3600)
    assert battery.power_kw == 0


def test_a_full_battery_takes_no_more() -> None:
    plant = quiet()
    battery = plant.batteries["b1"]
    battery.obey(BatteryDesired(power_kw=20.0, **serial(1)), plant.now)
    battery.energy_kwh = 9.999
    plant.step(1)
    assert battery.power_kw == pytest.approx(0.001 / 0.9 * 3600)
    plant.step(1)
    assert battery.energy_kwh == pytest.approx(10)
    assert battery.power_kw == pytest.approx(0)


def test_a_job_waits_until_told_then_ends_when_its_work_is_done() -> None:
    plant = quiet()
    job = plant.scheduler.jobs["job-1000-00-2026-01-15"]
    assert job.deadline == datetime(2026, 1, 15, 15, 0, tzinfo=UTC)
    plant.pools["p1"].obey(cap(250, lasts_s=86400), plant.now)
    plant.step(300)
    assert job.state == "waiting"
    plant.scheduler.obey(job.id, JobDesired(action="run", gpus=80, **serial(1)), plant.now)
    began = plant.now
    while job.finished is None:
        plant.step(10)
    assert (job.finished - began).total_seconds() == pytest.approx(3600 / 0.83, abs=2)
    assert plant.pools["p1"].free == 160
    plant.step(3610)
    assert job.id not in plant.scheduler.jobs


def test_a_hold_idles_the_gpus_and_keeps_the_progress() -> None:
    plant = quiet()
    job = plant.scheduler.jobs["job-1000-00-2026-01-15"]
    plant.scheduler.obey(job.id, JobDesired(action="run", gpus=80, **serial(1)), plant.now)
    plant.step(600)
    done = job.done_gpu_h
    assert done == pytest.approx(80 / 6, rel=0.01)
    busy_kw = plant.pools["p1"].power_kw
    held_until = plant.now + timedelta(seconds=300)
    plant.scheduler.obey(job.id, JobDesired(action="hold", gpus=0, until=held_until, **serial(2)), plant.now)
    plant.step(299)
    assert job.state == "waiting"
    assert job.done_gpu_h == pytest.approx(done)
    assert busy_kw - plant.pools["p1"].power_kw == pytest.approx(80 * (371 - 50 + 80 - 20) / 1000)
    plant.step(6)
    assert plant.pools["p1"].power_kw == pytest.approx(busy_kw)


def test_a_rigid_job_takes_all_its_gpus_or_none_and_an_elastic_one_what_is_free() -> None:
    jobs = [
        {"submit_local": "10:00", "duration_h": 1, "gpus": 100, "slack_h": 4, "elastic": elastic}
        for elastic in (False, False, True)
    ]
    plant = Plant(site(sample_jobs=jobs), START, seed=None)
    for seq, job in enumerate(plant.scheduler.jobs):
        plant.scheduler.obey(job, JobDesired(action="run", gpus=100, **serial(seq)), plant.now)
    plant.step(1)
    assert [job.state for job in plant.scheduler.jobs.values()] == ["running", "waiting", "running"]
    assert plant.pools["p1"].running["job-1000-02-2026-01-15"].gpus == 60


def test_jobs_arrive_daily_at_their_local_time() -> None:
    plant = Plant(
        site(timezone="Europe/Berlin", sample_jobs=[{"submit_local": "13:00", "duration_h": 1, "gpus": 8, "slack_h": 1}]),
        START,
        None,
    )
    assert not plant.scheduler.jobs
    plant.step(3600)
    assert list(plant.scheduler.jobs) == ["job-1300-00-2026-01-15"]


def test_a_job_whose_deadline_has_passed_is_not_there_and_24_00_is_the_next_day() -> None:
    jobs = [{"submit_local": local, "duration_h": 1, "gpus": 8, "slack_h": 1} for local in ("24:00", "08:00", "10:00")]
    plant = Plant(site(sample_jobs=jobs), START, None)
    assert list(plant.scheduler.jobs) == ["job-1000-02-2026-01-15"]
    plant.step(13 * 3600)
    assert plant.scheduler.jobs["job-2400-00-2026-01-15"].submit == datetime(2026, 1, 16, tzinfo=UTC)


def test_a_job_goes_to_the_least_loaded_pool() -> None:
    pool = {"hall": "h1", "feeder": "busway", "gpu_model": "g400", "gpus": 200}
    jobs = [{"submit_local": "10:00", "duration_h": 1, "gpus": gpus, "slack_h": 4} for gpus in (30, 20, 180)]
    plant = Plant(site(pools={"p1": pool, "p2": pool}, sample_jobs=jobs), START, None)
    assert [job.pool for job in plant.scheduler.jobs.values()] == ["p2", "p2", "p2"]
    jobs.insert(1, jobs[0])
    plant = Plant(site(pools={"p1": pool, "p2": pool}, sample_jobs=jobs[:3]), START, None)
    assert [job.pool for job in plant.scheduler.jobs.values()] == ["p2", "p2", "p1"]


def test_a_sample_job_that_fits_nowhere_is_told_at_once() -> None:
    with pytest.raises(InputError, match="170 GPUs of train fit in no pool"):
        Plant(site(sample_jobs=[{"submit_local": "13:00", "duration_h": 1, "gpus": 170, "slack_h": 1}]), START)


def test_the_sky_passes_through_each_hour_of_the_site_file() -> None:
    plant = Plant(site(weather={"outdoor_by_hour_c": [float(hour) for hour in range(24)]}), START, None)
    assert plant.outdoor_c == pytest.approx(11)
    plant.step(1800)
    assert plant.outdoor_c == pytest.approx(11.5)


def test_noise_is_small_and_comes_from_the_seed_alone() -> None:
    one, same, other = (Plant(site(), START, seed) for seed in (1, 1, 2))
    for plant in (one, same, other):
        plant.step(120)
    assert one.readings() == same.readings()
    assert one.import_kw != other.import_kw
    assert one.pools["p1"].gpu_kw == pytest.approx(quiet().pools["p1"].gpu_kw, rel=0.01)


def test_clocks_tell_the_simulated_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    real_s, sim = parse_epoch("1000.5:2026-01-15T12:00:00+01:00")
    monkeypatch.setattr("facility.clock.time.time", lambda: 1002.5)
    assert ScaledClock(real_s, sim, speed=60).now() == START + timedelta(minutes=2)
    clock = ManualClock(START)
    clock.advance(90)
    assert clock.now() == START + timedelta(seconds=90)
    for wrong in ("1000", "x:2026-01-15T12:00:00Z", "1000:2026-01-15T12:00:00", "nan:2026-01-15T12:00:00Z"):
        with pytest.raises(InputError):
            parse_epoch(wrong)


def test_sensors_that_are_redundant_measure_the_same_thing_each_with_its_own_noise() -> None:
    (hall,) = (sensor.key for sensor in quiet().sensors if sensor.asset_type == "hall")
    twins = [f"{hall}-b", f"{hall}-d"]
    told = [Plant(site(sensors={hall: {"redundant": twins}}), START, seed).readings() for seed in (None, 1)]
    assert len({told[0][key] for key in (hall, *twins)}) == 1
    assert len({told[1][key] for key in (hall, *twins)}) == 3
