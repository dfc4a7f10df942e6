"""Messages become readings, and readings a snapshot; what cannot be believed is refused, counted and never repeated.

The site is small: pool `p` of 10 GPUs and hall `h`, a plant, a battery, one feeder, a meter on the feed `main`, a thermometer
outdoors. Its zone is Berlin: UTC+2 in July, so July there begins on 30 June at 22:00 UTC.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from facility.bus.interface import Message
from facility.errors import InputError
from facility.sensors import sensors
from facility.site import DemandCharge, Site
from facility.snapshot import Job
from facility.telemetry import Reading, Telemetry
from facility.telemetry.units import conversion
from facility.verdict import Verdict

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SITE = Site.model_validate(
    {
        "id": "s", "name": "s", "timezone": "Europe/Berlin", "currency": "EUR",
        "grid": {"import_limit_kw": 100}, "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [10] * 24},
        "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {
            "train": {"points": [{"cap_w": 100, "draw_w": 100, "speed": 1}], "source": "by hand"},
            "infer": {"points": [{"cap_w": 100, "draw_w": 90, "speed": 1}], "source": "by hand"}}}},
        "feeders": {"root": {"rating_kw": 100}},
        "halls": {"h": {"feeder": "root", "thermal": {
            "heat_capacity_kwh_per_k": 10, "resistance_k_per_kw": 14, "start_c": 24, "cooling_plant": "plant"}}},
        "cooling_plants": {"plant": {"feeder": "root", "design_heat_kw": 10, "max_heat_kw": 20, "pump_kw": 1, "fan_kw": 1}},
        "pools": {"p": {"hall": "h", "feeder": "root", "gpu_model": "g", "gpus": 10}},
        "batteries": {"b": {"feeder": "root", "capacity_kwh": 10, "charge_kw": 4, "discharge_kw": 3}},
        "tenants": {"t": {"name": "T"}},
        "contracts": {"batch": {"tenant": "t", "kind": "spot"}},
        "jobs": {"curve": "train", "slack_h": 8, "contract": "batch"},
    }
)  # fmt: skip
POOL, HALL = "h/pool/p/it_power_kw", "h/hall/h/air_temperature_c"
METER, OUTDOOR = "site/meter/main/import_kw", "site/weather/outdoor/temperature_c"
SPEC = {"submit": "2026-07-01T12:00:00Z", "gpus": 4, "work_gpu_h": 20, "pool": "p"}


def ms(at: datetime) -> int:
    """Return milliseconds since 1970."""
    return round(at.timestamp() * 1000)


def message(topic: str, payload: dict[str, Any] | None, *, retain: bool = False) -> Message:
    """Return a message of the site; None is an empty payload."""
    return Message(f"facility/v1/s/{topic}", b"" if payload is None else json.dumps(payload).encode(), retain=retain)


def sample(key: str, value: float | None, at: datetime = NOW, **more: Any) -> Message:
    """Return one reading of a sensor."""
    return message(f"tele/{key}", {"value": value, "timestamp": ms(at)} | more)


def meta(key: str, unit: str, **more: Any) -> Message:
    """Return the description of a sensor."""
    return message(f"meta/{key}", {"unit": unit} | more, retain=True)


def test_each_reading_comes_to_its_place_in_the_snapshot() -> None:
    telemetry = Telemetry(SITE)
    told = {
        POOL: 2.5, HALL: 25.0, METER: 7.5, OUTDOOR: -5.0, "site/cooling/plant/power_kw": 1.5, "site/feeder/root/power_kw": 7.0,
        "site/battery/b/energy_kwh": 6.0, "site/battery/b/power_kw": -1.0,
    }  # fmt: skip
    assert set(told) == {sensor.key for sensor in sensors(SITE)}
    for key, value in told.items():
        assert telemetry.accept(sample(key, value), NOW) is None
    seen = telemetry.snapshot(NOW)
    assert (seen.at, seen.pool_kw, seen.hall_c, seen.cooling_kw) == (NOW, {"p": 2.5}, {"h": 25.0}, {"plant": 1.5})
    assert (seen.feeder_kw, seen.battery_kwh, seen.import_kw, seen.outdoor_c) == ({"root": 7.0}, {"b": 6.0}, 7.5, -5.0)
    assert seen.stale == ()
    assert telemetry.reading(POOL, NOW) == Reading(2.5, NOW)
    assert telemetry.age_s(POOL, NOW + timedelta(seconds=3)) == 3.0


def test_a_sensor_that_never_spoke_is_named_and_its_value_is_missing() -> None:
    seen = Telemetry(SITE).snapshot(NOW)
    assert set(seen.stale) == {sensor.key for sensor in sensors(SITE)}
    assert (seen.hall_c, seen.pool_kw, seen.import_kw, seen.outdoor_c, seen.peak_so_far_kw) == ({}, {}, None, None, 0.0)
    assert Telemetry(SITE).age_s(POOL, NOW) is None


@pytest.mark.parametrize(("key", "value", "patience_s"), [(POOL, 2.0, 15), (HALL, 25.0, 30)])
def test_a_reading_is_stale_after_three_periods_and_15_seconds_at_least(key: str, value: float, patience_s: int) -> None:
    """Power comes every 5 s, temperature every 10 s."""
    telemetry = Telemetry(SITE)
    telemetry.accept(sample(key, value), NOW)
    assert key not in telemetry.snapshot(NOW + timedelta(seconds=patience_s)).stale
    late = telemetry.snapshot(NOW + timedelta(seconds=patience_s, milliseconds=1))
    assert key in late.stale
    assert late.pool_kw == {}
    assert late.hall_c == ({} if key == POOL else {"h": pytest.approx(25.0, abs=0.01)}), "the last value, rising at worst"


def test_a_sensor_that_tells_its_period_gets_three_of_them_between_15_and_900_seconds() -> None:
    for period_s, patience_s in ((1, 15), (60, 180), (86_400, 900)):
        telemetry = Telemetry(SITE)
        telemetry.accept(meta(HALL, "degC", period_s=period_s), NOW)
        telemetry.accept(sample(HALL, 25.0), NOW)
        assert telemetry.reading(HALL, NOW + timedelta(seconds=patience_s)) is not None
        assert telemetry.reading(HALL, NOW + timedelta(seconds=patience_s + 1)) is None


def test_of_a_pool_whose_meter_is_read_seldom_the_snapshot_tells_how_seldom() -> None:
    telemetry = Telemetry(SITE)
    telemetry.accept(sample(POOL, 2.0), NOW)
    assert telemetry.snapshot(NOW).pool_every_s == {}
    telemetry.accept(meta(POOL, "kW", period_s=60), NOW)
    assert telemetry.snapshot(NOW).pool_every_s == {"p": 60.0}


@pytest.mark.parametrize(
    ("key", "unit", "value", "kept"),
    [
        (POOL, "W", 2500, 2.5), (POOL, "kW", 2.5, 2.5), (POOL, "MW", 0.0025, 2.5),
        (HALL, "C", 25, 25), (HALL, "degF", 77, 25), (HALL, "F", 77, 25), (HALL, "K", 298.15, 25),
        ("site/battery/b/energy_kwh", "Wh", 6000, 6), ("site/battery/b/energy_kwh", "MWh", 0.006, 6),
    ],
)  # fmt: skip
def test_units_are_converted_once_where_readings_come_in(key: str, unit: str, value: float, kept: float) -> None:
    telemetry = Telemetry(SITE)
    assert telemetry.accept(meta(key, unit), NOW) is None
    assert telemetry.accept(sample(key, value), NOW) is None
    reading = telemetry.reading(key, NOW)
    assert reading is not None
    assert reading.value == pytest.approx(kept)


def test_conversions_go_both_ways_and_never_between_quantities() -> None:
    there, back = conversion("degF", "K"), conversion("K", "degF")
    assert there is not None
    assert back is not None
    assert [there(32.0), back(273.15)] == pytest.approx([273.15, 32.0])
    assert [conversion("kW", "kWh"), conversion("mW", "kW"), conversion("kw", "kW"), conversion("", "kW")] == [None] * 4


@pytest.mark.parametrize("unit", ["furlong", "kWh", "kw", "mW"])
def test_a_sensor_whose_unit_is_unknown_is_not_used_until_the_unit_is_withdrawn(unit: str) -> None:
    telemetry = Telemetry(SITE)
    telemetry.accept(sample(POOL, 2.5), NOW)
    assert str(telemetry.accept(meta(POOL, unit), NOW)).startswith("unit: ")
    assert telemetry.reading(POOL, NOW) is None
    assert str(telemetry.accept(sample(POOL, 2.5), NOW)).startswith("unit: ")
    assert POOL in telemetry.snapshot(NOW).stale
    assert telemetry.accept(message(f"meta/{POOL}", None), NOW) is None
    assert telemetry.accept(sample(POOL, 2.5), NOW) is None


def test_two_units_of_one_sensor_contradict_each_other_and_neither_is_believed() -> None:
    telemetry = Telemetry(SITE)
    assert telemetry.accept(meta(HALL, "degC"), NOW) is None
    assert telemetry.accept(meta(HALL, "C"), NOW) is None
    assert str(telemetry.accept(meta(HALL, "F"), NOW)).startswith("unit: ")
    assert str(telemetry.accept(meta(HALL, "degC"), NOW)).startswith("unit: ")
    assert str(telemetry.accept(sample(HALL, 25.0), NOW)).startswith("unit: ")
    assert telemetry.refused == {"unit": 3}


def test_a_reading_taken_in_another_unit_is_forgotten_when_the_unit_is_told() -> None:
    telemetry = Telemetry(SITE)
    telemetry.accept(sample(HALL, 30.0), NOW)
    telemetry.accept(meta(HALL, "degC"), NOW)
    assert telemetry.reading(HALL, NOW) == Reading(30.0, NOW)
    telemetry = Telemetry(SITE)
    telemetry.accept(sample(HALL, 30.0), NOW)
    telemetry.accept(meta(HALL, "F"), NOW)
    assert telemetry.reading(HALL, NOW) is None


def test_a_value_outside_its_sensors_range_is_not_used() -> None:
    """Pool: 1.5 * 10 GPUs * 400 W = 6 kW at most; 400 W told as 400 kW shows."""
    telemetry = Telemetry(SITE)
    for value in (0.0, 6.0):
        assert telemetry.accept(sample(POOL, value), NOW) is None
    for value in (-0.001, 6.001, 400.0):
        assert str(telemetry.accept(sample(POOL, value), NOW)).startswith("range: ")
    assert telemetry.reading(POOL, NOW) == Reading(6.0, NOW, Verdict.SUSPECT), "a leap that nothing has confirmed yet"
    assert telemetry.refused == {"range": 3}


def test_a_reading_in_another_unit_is_refused_and_the_unit_that_it_fits_is_named() -> None:
    """W for kW, Fahrenheit for Celsius, Wh for kWh."""
    telemetry = Telemetry(SITE)
    for key, value, unit in ((POOL, 2500.0, "W"), (HALL, 77.0, "degF"), (HALL, 298.0, "K"), ("site/battery/b/energy_kwh", 6000.0, "Wh")):
        assert str(telemetry.accept(sample(key, value), NOW)).endswith(f"; {value:g} would fit in {unit}")
    assert "would fit" not in str(telemetry.accept(sample(POOL, -1.0), NOW))


def test_null_and_bad_quality_are_not_used() -> None:
    telemetry = Telemetry(SITE)
    telemetry.accept(sample(POOL, 2.5), NOW)
    for bad in (sample(POOL, None), sample(POOL, 3.0, quality=0), sample(POOL, 3.0, quality=2)):
        assert str(telemetry.accept(bad, NOW)).startswith("quality: ")
    assert telemetry.reading(POOL, NOW) == Reading(2.5, NOW)


def test_a_reading_from_the_future_is_refused_and_a_clock_a_little_ahead_counts_as_now() -> None:
    telemetry = Telemetry(SITE)
    assert str(telemetry.accept(sample(POOL, 3.0, NOW + timedelta(seconds=60, milliseconds=1)), NOW)).startswith("future: ")
    assert telemetry.reading(POOL, NOW) is None
    assert telemetry.accept(sample(POOL, 2.5, NOW + timedelta(seconds=60)), NOW) is None
    assert telemetry.reading(POOL, NOW) == Reading(2.5, NOW)
    assert telemetry.accept(sample(POOL, 2.0, NOW + timedelta(seconds=1)), NOW + timedelta(seconds=1)) is None


def test_a_reading_older_than_the_latest_changes_nothing() -> None:
    telemetry = Telemetry(SITE)
    telemetry.accept(sample(POOL, 2.5), NOW)
    assert str(telemetry.accept(sample(POOL, 5.0, NOW - timedelta(milliseconds=1)), NOW)).startswith("old: ")
    assert telemetry.reading(POOL, NOW) == Reading(2.5, NOW)


def test_a_retained_reading_counts_only_with_its_timestamp() -> None:
    telemetry = Telemetry(SITE)
    assert str(telemetry.accept(message(f"tele/{POOL}", {"value": 2.5}, retain=True), NOW)).startswith("old: ")
    assert telemetry.accept(message(f"tele/{POOL}", {"value": 2.5}), NOW) is None
    assert telemetry.reading(POOL, NOW) == Reading(2.5, NOW)


def test_a_batch_is_used_as_far_as_it_can_be_and_what_cannot_is_counted() -> None:
    telemetry = Telemetry(SITE)
    values = {"pool/p/it_power_kw": 2.5, "hall/h/air_temperature_c": 200.0, "rack/r1/power_w": 1.0}
    batch = {"timestamp": ms(NOW), "values": values}
    assert str(telemetry.accept(message("tele/h/batch/gw", batch), NOW)).startswith("range: h/hall/h")
    assert telemetry.refused == {"range": 1, "unknown": 1}
    assert telemetry.snapshot(NOW).pool_kw == {"p": 2.5}
    good = {"timestamp": ms(NOW), "values": {"pool/p/it_power_kw": 3.0}}
    assert telemetry.accept(message("tele/h/batch/gw", good), NOW) is None
    assert str(telemetry.accept(message("tele/h/batch/gw", good | {"quality": 0}), NOW)).startswith("quality: ")


@pytest.mark.parametrize(
    ("topic", "payload", "kind"),
    [
        (f"tele/{POOL}", b"{", "malformed"),
        (f"tele/{POOL}", b"", "malformed"),
        (f"tele/{POOL}", b'{"value": NaN}', "malformed"),
        (f"tele/{POOL}", b"[" * 60_000, "malformed"),
        ("tele/h/pool/q/it_power_kw", b"1", "unknown"),
        ("meta/h/pool/q/it_power_kw", b'{"unit": "kW"}', "unknown"),
        ("override/site/set", b"{}", "topic"),
        ("../other", b"1", "topic"),
        ("job/j/spec", b"{}", "malformed"),
    ],
)
def test_what_is_not_a_message_of_this_site_is_refused_and_counted(topic: str, payload: bytes, kind: str) -> None:
    telemetry = Telemetry(SITE)
    assert str(telemetry.accept(Message(f"facility/v1/s/{topic}", payload), NOW)).startswith(f"{kind}: ")
    assert telemetry.refused == {kind: 1}


def test_a_jobs_spec_becomes_a_job_under_the_sites_terms() -> None:
    """20 GPU hours on 4 GPUs last 5 h; with 8 h of slack it is due 13 h after its submission."""
    telemetry = Telemetry(SITE)
    assert telemetry.accept(message("job/j/spec", SPEC), NOW) is None
    due = Job("j", "p", "train", 4, 20.0, NOW, NOW + timedelta(hours=13), "t", "batch")
    assert telemetry.snapshot(NOW).jobs == (due,)
    own = SPEC | {"deadline": "2026-07-01T16:00:00+02:00", "curve": "infer", "elastic": True}
    assert telemetry.accept(message("job/j/spec", own), NOW) is None
    assert telemetry.snapshot(NOW).jobs == (
        Job("j", "p", "infer", 4, 20.0, NOW, NOW + timedelta(hours=2), "t", "batch", elastic=True),
    )


@pytest.mark.parametrize(
    ("job", "change"),
    [
        ("j", {"pool": "q"}),
        ("j", {"curve": "paint"}),
        ("j", {"contract": "none"}),
        ("j", {"tenant": "none"}),
        ("j", {"deadline": SPEC["submit"]}),
        ("j", {"work_gpu_h": 1e300}),
        ("j", {"elastic": True, "min_run_h": 1}),
        ("batch", {}),
    ],
)
def test_a_job_that_the_site_cannot_run_is_refused(job: str, change: dict[str, Any]) -> None:
    telemetry = Telemetry(SITE)
    assert str(telemetry.accept(message(f"job/{job}/spec", SPEC | change), NOW)).startswith("job: ")
    assert telemetry.snapshot(NOW).jobs == ()


def test_work_left_is_what_was_specified_less_what_is_done() -> None:
    telemetry = Telemetry(SITE)
    telemetry.accept(message("job/j/spec", SPEC), NOW)
    left = []
    for seconds, state, done_gpu_h in ((0, "waiting", 0), (1, "running", 19.75), (2, "running", 20), (3, "done", 5)):
        at = NOW + timedelta(seconds=seconds)
        report = {"state": state, "done_gpu_h": done_gpu_h, "timestamp": ms(at)}
        assert telemetry.accept(message("job/j/reported", report), at) is None
        left.append([(job.work_gpu_h, job.running) for job in telemetry.snapshot(at).jobs])
    assert left == [[(20.0, False)], [(0.25, True)], [], []]


def test_a_job_runs_since_the_first_report_that_says_so_without_a_break() -> None:
    telemetry = Telemetry(SITE)
    telemetry.accept(message("job/j/spec", SPEC | {"min_run_h": 2}), NOW)
    since = []
    for seconds, state in ((0, "waiting"), (1, "running"), (2, "running"), (3, "waiting"), (4, "running")):
        at = NOW + timedelta(seconds=seconds)
        telemetry.accept(message("job/j/reported", {"state": state, "timestamp": ms(at)}), at)
        again = Telemetry(SITE)
        assert again.restore(telemetry.dump()) == ()
        assert again.snapshot(at).jobs == telemetry.snapshot(at).jobs
        (job,) = telemetry.snapshot(at).jobs
        assert job.min_run_h == 2
        since.append(job.running_since)
    assert since == [None, NOW + timedelta(seconds=1), NOW + timedelta(seconds=1), None, NOW + timedelta(seconds=4)]


def test_reports_that_are_older_or_from_the_future_change_nothing() -> None:
    telemetry = Telemetry(SITE)
    telemetry.accept(message("job/j/spec", SPEC), NOW)
    for at, state, answer in (
        (NOW, "running", None),
        (NOW - timedelta(seconds=1), "done", "old"),
        (NOW + timedelta(seconds=61), "done", "future"),
    ):
        refused = telemetry.accept(message("job/j/reported", {"state": state, "timestamp": ms(at)}), NOW)
        assert (refused and refused.split(":")[0]) == answer
    assert telemetry.snapshot(NOW).jobs[0].running is True


def test_an_empty_payload_removes_a_job_and_withdraws_a_report() -> None:
    telemetry = Telemetry(SITE)
    telemetry.accept(message("job/j/spec", SPEC, retain=True), NOW)
    telemetry.accept(message("job/j/reported", {"state": "running", "done_gpu_h": 5, "timestamp": ms(NOW)}), NOW)
    assert telemetry.accept(message("job/j/reported", None), NOW) is None
    assert [(job.work_gpu_h, job.running) for job in telemetry.snapshot(NOW).jobs] == [(20.0, None)]
    assert telemetry.accept(message("job/j/spec", None), NOW) is None
    assert telemetry.snapshot(NOW).jobs == ()


def test_the_highest_enforced_cap_of_a_pool_is_kept() -> None:
    telemetry = Telemetry(SITE)
    groups = [{"workload": "c", "gpus": 2, "cap_w": 350}]
    report = {"enforced_cap_w": 300, "groups": groups, "timestamp": ms(NOW)}
    assert telemetry.accept(message("cap/h/p/reported", report), NOW) is None
    assert telemetry.snapshot(NOW).enforced_cap_w == {"p": 350}
    older = {"enforced_cap_w": 100, "timestamp": ms(NOW) - 1}
    assert str(telemetry.accept(message("cap/h/p/reported", older), NOW)).startswith("old: ")
    assert str(telemetry.accept(message("cap/elsewhere/p/reported", report), NOW)).startswith("unknown: ")
    assert telemetry.snapshot(NOW).enforced_cap_w == {"p": 350}
    telemetry.accept(message("cap/h/p/reported", None), NOW)
    assert telemetry.snapshot(NOW).enforced_cap_w == {}


def test_what_batteries_and_plants_report_stands_in_the_unit_of_its_name() -> None:
    telemetry = Telemetry(SITE)
    telemetry.accept(meta("site/battery/b/energy_kwh", "Wh"), NOW)
    assert telemetry.accept(message("battery/b/reported", {"energy_kwh": 6, "timestamp": ms(NOW)}), NOW) is None
    assert telemetry.accept(message("cooling/plant/reported", {"power_kw": 1.5, "timestamp": ms(NOW)}), NOW) is None
    assert telemetry.accept(message("battery/b/reported", None), NOW) is None
    seen = telemetry.snapshot(NOW)
    assert (seen.battery_kwh, seen.cooling_kw) == ({"b": 6.0}, {"plant": 1.5})
    assert str(telemetry.accept(message("battery/b/reported", {"energy_kwh": 11, "timestamp": ms(NOW)}), NOW)).startswith(
        "range: "
    )


def test_the_cold_in_a_plants_tank_is_what_its_sensor_or_its_report_says() -> None:
    store = {"capacity_kwh": 40, "charge_kw": 5, "discharge_kw": 5}
    plant = SITE.cooling_plants["plant"].model_dump() | {"store": store}
    telemetry = Telemetry(Site.model_validate(SITE.model_dump() | {"cooling_plants": {"plant": plant}}))
    assert telemetry.accept(sample("site/cooling/plant/stored_kwh", 20.0, NOW), NOW) is None
    assert telemetry.snapshot(NOW).thermal_store_kwh == {"plant": 20.0}
    for seconds in (1, 2):
        later = NOW + timedelta(seconds=seconds)
        assert telemetry.accept(message("cooling/plant/reported", {"stored_kwh": 19.5, "timestamp": ms(later)}), later) is None
    assert telemetry.snapshot(later).thermal_store_kwh == {"plant": 19.5}


def metered(telemetry: Telemetry, start: datetime, *steps: tuple[int, float]) -> datetime:
    """Report the meter every 5 s from `start`: each step is minutes and kW. Tells when it ended. Its last digit never rests."""
    at = start
    for minutes, import_kw in steps:
        for i in range(minutes * 12):
            assert telemetry.accept(sample(METER, import_kw + (i % 4 - 1.5) * 1e-6, at), at) is None
            at += timedelta(seconds=5)
    return at


def test_the_peak_is_the_highest_mean_of_a_finished_quarter_of_an_hour() -> None:
    """12:00 to 12:15: 5 min at 90 kW and 10 min at 30 kW are 50 kW on average; then 40 kW; a running quarter does not count."""
    telemetry = Telemetry(SITE)
    end = metered(telemetry, NOW, (5, 90.0), (10, 30.0), (15, 40.0))
    assert telemetry.snapshot(end).peak_so_far_kw == pytest.approx(50.0)
    end = metered(telemetry, end, (14, 80.0))
    assert telemetry.snapshot(end).peak_so_far_kw == pytest.approx(50.0)
    end = metered(telemetry, end, (2, 80.0))
    assert telemetry.snapshot(end).peak_so_far_kw == pytest.approx(80.0)


def test_a_quarter_of_which_less_than_half_is_known_does_not_count() -> None:
    """A reading holds for 15 s at most: 7 min of readings and 15 s are 435 s, 8 min are 495 s; half of a quarter is 450 s."""
    for minutes, peak_kw in ((7, 0.0), (8, 50.0)):
        telemetry = Telemetry(SITE)
        metered(telemetry, NOW, (minutes, 50.0))
        later = NOW + timedelta(minutes=15)
        telemetry.accept(sample(METER, 90.0, later), later)
        assert telemetry.snapshot(later).peak_so_far_kw == pytest.approx(peak_kw)


def test_the_peak_is_that_of_the_month_in_the_sites_zone() -> None:
    """The quarter before 22:00 UTC on 30 June is the last of June in Berlin, the next the first of July."""
    turn = datetime(2026, 6, 30, 22, tzinfo=UTC)
    telemetry = Telemetry(SITE)
    metered(telemetry, turn - timedelta(minutes=15), (15, 90.0), (1, 40.0))
    assert telemetry.snapshot(turn - timedelta(seconds=1)).peak_so_far_kw == pytest.approx(90.0)
    assert telemetry.snapshot(turn).peak_so_far_kw == 0.0
    end = metered(telemetry, turn + timedelta(minutes=1), (15, 40.0))
    assert telemetry.snapshot(end).peak_so_far_kw == pytest.approx(40.0)


def test_each_demand_charge_has_the_peak_of_its_own_window_and_the_running_interval_is_told() -> None:
    """14:00 to 14:30 in Berlin at 50 kW, then half an hour at 80 kW of which 20 min are over; the window ends at 14:30."""
    charge = {"price_per_kw": 1, "to_local": "14:30"}
    tariff = SITE.tariff.model_copy(update={"billing_interval_min": 30, "demand_charges": {"early": DemandCharge(**charge)}})
    telemetry = Telemetry(SITE.model_copy(update={"tariff": tariff}))
    assert telemetry.snapshot(NOW).peaks_so_far_kw == {"early": 0.0}
    end = metered(telemetry, NOW, (30, 50.0), (20, 80.0))
    seen = telemetry.snapshot(end)
    assert (seen.peak_so_far_kw, seen.peaks_so_far_kw) == (pytest.approx(50.0), {"early": pytest.approx(50.0)})
    assert (seen.interval_kwh, seen.interval_s) == (pytest.approx(80 * 1195 / 3600), 1195)
    end = metered(telemetry, end, (11, 80.0))
    assert telemetry.snapshot(end).peak_so_far_kw == pytest.approx(80.0)
    assert telemetry.snapshot(end).peaks_so_far_kw == {"early": pytest.approx(50.0)}


def test_a_restart_keeps_the_peak_the_running_quarter_and_the_jobs() -> None:
    telemetry = Telemetry(SITE)
    telemetry.accept(message("job/j/spec", SPEC), NOW)
    telemetry.accept(message("job/j/reported", {"state": "running", "done_gpu_h": 5, "timestamp": ms(NOW)}), NOW)
    end = metered(telemetry, NOW, (15, 50.0), (10, 60.0))
    again = Telemetry(SITE)
    assert again.restore(telemetry.dump()) == ()
    assert again.snapshot(end).jobs == telemetry.snapshot(end).jobs != ()
    assert again.snapshot(end).peak_so_far_kw == pytest.approx(50.0)
    assert again.dump() == telemetry.dump()
    end = metered(again, end, (6, 60.0))
    assert again.snapshot(end).peak_so_far_kw == pytest.approx(60.0)


def test_a_restart_names_the_jobs_that_the_site_no_longer_allows() -> None:
    telemetry = Telemetry(SITE)
    for job, curve in (("j", "train"), ("k", "infer")):
        telemetry.accept(message(f"job/{job}/spec", SPEC | {"curve": curve}), NOW)
    model = SITE.gpu_models["g"]
    poorer = SITE.model_copy(update={"gpu_models": {"g": model.model_copy(update={"curves": {"train": model.curves["train"]}})}})
    again = Telemetry(poorer)
    assert [lost.split(":")[0] for lost in again.restore(telemetry.dump())] == ["job/k"]
    assert [job.id for job in again.snapshot(NOW).jobs] == ["j"]


def test_state_that_cannot_be_read_or_is_another_sites_is_refused() -> None:
    other = Telemetry(SITE.model_copy(update={"id": "elsewhere"})).dump()
    for state in (b"", b"{}", b'{"site": "\xff"}', b"[" * 100_000, other):
        with pytest.raises(InputError):
            Telemetry(SITE).restore(state)


def test_every_reading_of_a_sensor_is_noted_with_its_verdict_and_no_stranger_s() -> None:
    noted: list[tuple[str, int, float | None, str]] = []
    telemetry = Telemetry(SITE, lambda *reading: noted.append(reading))
    telemetry.accept(sample(POOL, 2.5), NOW)
    telemetry.accept(sample(POOL, None), NOW)
    telemetry.accept(sample(POOL, 2.0, NOW - timedelta(seconds=1)), NOW)
    telemetry.accept(sample(POOL, 2.0, NOW + timedelta(hours=1)), NOW)
    telemetry.accept(sample("h/pool/strange/it_power_kw", 2.0), NOW)
    values = {"pool/p/it_power_kw": 4000.0, "hall/h/air_temperature_c": 25.0, "hall/h/strange": 1.0}
    telemetry.accept(message("tele/h/batch/gw", {"timestamp": ms(NOW) + 1, "values": values}), NOW + timedelta(seconds=1))
    assert noted == [
        (POOL, ms(NOW), 2.5, "good"),
        (POOL, ms(NOW), None, "quality"),
        (POOL, ms(NOW) - 1000, 2.0, "old"),
        (POOL, ms(NOW), 2.0, "future"),
        (POOL, ms(NOW) + 1, 4000.0, "range"),
        (HALL, ms(NOW) + 1, 25.0, "good"),
    ]


def test_a_converted_reading_is_noted_in_its_sensor_s_unit() -> None:
    noted: list[tuple[str, int, float | None, str]] = []
    telemetry = Telemetry(SITE, lambda *reading: noted.append(reading))
    telemetry.accept(meta(POOL, "W"), NOW)
    telemetry.accept(sample(POOL, 2500.0), NOW)
    assert noted == [(POOL, ms(NOW), 2.5, "good")]
