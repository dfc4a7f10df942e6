"""Fit: what a site file says held against telemetry, planted in numbers that are known and in the plant that is rehearsed on."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from facility.bus.messages import CapDesired, CoolingDesired, HallSetpoint
from facility.cli import main
from facility.commands.fit import Asked, fitted
from facility.config import load_site
from facility.fit.cooling import fit_plants
from facility.fit.estimate import Estimate
from facility.fit.points import fit_curves, idle
from facility.fit.telemetry import Telemetry, Track, read_telemetry
from facility.fit.telling import as_json, as_yaml, rows
from facility.history.export import export
from facility.history.reading import Value
from facility.problem.thermal import chiller_of
from facility.simulate.plant import Plant
from facility.site import Curve, GpuModel, OperatingPoint, Site

ROOT = Path(__file__).parents[2]
DEMO = str(ROOT / "site_configs/demo.yaml")
PLANTED = {
    "cop_at_25c": 5.2,
    "cop_loss_per_k": 0.08,
    "min_load_share": 0.25,
    "free_full_below_c": 9.0,
    "free_none_above_c": 22.0,
    "pump_kw": 24.0,
    "fan_kw": 20.0,
    "misc_kw": 9.0,
}
KEYS = {"free_full_below_c": "free_cooling_full_below_c", "free_none_above_c": "free_cooling_none_above_c"}
C = {"h1": 26.0, "h2": 9.0}
R = {"h1": 0.35, "h2": 0.7}
POOLS = {"h1-a": ("h1", 260.0), "h1-b": ("h1", 220.0), "h2-a": ("h2", 200.0)}
MINUTE = 60.0
DAYS = 14


def walk(rng, low, high, every_s, at_s):
    """A line through random points."""
    points = rng.uniform(low, high, int(at_s[-1] / every_s) + 2)
    return np.interp(at_s, np.arange(len(points)) * every_s, points)


@cache
def planted(*, heat_meter: bool = False, still: bool = False, mild: bool = False) -> Telemetry:
    """Two weeks of minutes of the demo site, its plant and halls with other figures. `still` halls, or `mild` weather, tell less."""
    rng = np.random.default_rng(7)
    at_s = np.arange(int(DAYS * 86400 / MINUTE)) * MINUTE
    waves = 9 * np.sin(2 * np.pi * at_s / 86400) + 5 * np.sin(2 * np.pi * at_s / 540_000)
    outdoor_c = (28 + 0.2 * waves) if mild else 15 + waves
    tracks, heat_kw = {}, np.zeros(len(at_s))

    def seen(value, noise):
        return Track(1.7e9 // 86400 * 86400 + at_s, value + noise * rng.normal(size=len(at_s)))

    for pool, (hall, most_kw) in POOLS.items():
        it_kw = walk(rng, 20, most_kw, 1800, at_s)
        heat_kw += it_kw
        tracks[f"{hall}/pool/{pool}/it_power_kw"] = seen(it_kw, 0.003 * it_kw)
    for hall, base_kw in (("h1", 10.0), ("h2", 5.0)):
        air_c = np.full(len(at_s), 24.0) if still else walk(rng, 20, 27, 7200, at_s)
        heat_kw += base_kw - (air_c - outdoor_c) / R[hall] - C[hall] * np.gradient(air_c, MINUTE / 3600)
        tracks[f"{hall}/hall/{hall}/air_temperature_c"] = seen(air_c, 0.02)
    power_kw = replace(chiller_of(load_site(DEMO), "chiller"), **PLANTED).power_kw(np.maximum(heat_kw, 0.0), outdoor_c)
    tracks["site/cooling/chiller/power_kw"] = seen(power_kw, 0.003 * power_kw)
    tracks["site/weather/outdoor/temperature_c"] = seen(outdoor_c, 0.02)
    if heat_meter:
        tracks["site/cooling/chiller/heat_kw"] = seen(heat_kw, 0.005 * heat_kw)
    nobody = np.empty(0, dtype=np.str_)
    return Telemetry(("planted",), tracks, {}, nobody, nobody)


def found(telemetry: Telemetry, site: Site | None = None) -> dict[str, Estimate]:
    (plant,) = fit_plants(site or load_site(DEMO), telemetry, 900.0)
    return {each.key.replace("cooling_plants.chiller.", "").replace(".thermal", ""): each for each in plant.estimates}


def truth() -> dict[str, float]:
    halls = {f"halls.{hall}.{key}": value[hall] for hall in C for key, value in (("heat_capacity_kwh_per_k", C), ("resistance_k_per_kw", R))}
    return {KEYS.get(name, name): value for name, value in PLANTED.items()} | halls


@pytest.mark.parametrize("heat_meter", [False, True])
def test_what_was_planted_is_found_within_five_percent(heat_meter: bool) -> None:
    told = found(planted(heat_meter=heat_meter))
    assert {key: told[key].value for key in truth()} == {key: pytest.approx(value, rel=0.05) for key, value in truth().items()}
    assert all(each.error is not None and each.error < 0.1 * each.value for each in told.values())


def test_the_site_file_is_off_where_it_says_something_else_and_only_there() -> None:
    assert {key for key, each in found(planted(heat_meter=True)).items() if each.off} == set(truth())
    site = load_site(DEMO, [f"cooling_plants.chiller.{KEYS.get(name, name)}={value}" for name, value in PLANTED.items()])
    (plant,) = fit_plants(site, planted(heat_meter=True), 900.0)
    assert [each.key for each in plant.estimates if each.off and each.key.startswith("cooling_plants")] == []
    assert plant.bias_pct is not None
    assert abs(plant.bias_pct[0]) < 0.5


def test_the_fitted_figures_tell_what_the_plant_draws() -> None:
    (plant,) = fit_plants(load_site(DEMO), planted(), 900.0)
    assert plant.spread_pct is not None
    said, fitted_ = plant.spread_pct
    assert said > 5
    assert fitted_ < 1
    assert plant.intervals > DAYS * 95


def test_what_the_telemetry_does_not_tell_is_held_and_said_so() -> None:
    told = found(planted(still=True, mild=True))
    for key, words in (
        ("free_cooling_full_below_c", "hours around and below 12 degC"),
        ("free_cooling_none_above_c", "hours around and above 25 degC"),
        ("halls.h1.heat_capacity_kwh_per_k", "set-point that is moved by 2 K"),
    ):
        assert told[key].value is None
        assert told[key].error is None
        assert not told[key].off
        assert words in told[key].why
    assert told["cop_at_25c"].value == pytest.approx(PLANTED["cop_at_25c"], rel=0.05)


def test_a_plant_of_which_one_meter_cannot_tell_is_not_fitted() -> None:
    site = load_site(DEMO, ["cooling_plants.chiller.stages=[{max_heat_kw: 400, cop_at_25c: 5}, {max_heat_kw: 400, cop_at_25c: 4}]"])
    (plant,) = fit_plants(site, planted(), 900.0)
    assert plant.estimates == ()
    assert "stages" in plant.notes[0]
    (plant,) = fit_plants(load_site(DEMO), replace(planted(), tracks={k: v for k, v in planted().tracks.items() if "h2-a" not in k}), 900.0)
    assert plant.notes == ("not fitted: nothing was recorded of h2/pool/h2-a/it_power_kw",)


# The plant of the rehearsal: half a day of one hall of the demo site, caps and set-points moved, in weather in which free cooling comes and goes.

WEATHER = "weather.outdoor_by_hour_c=[8,6,5,5,6,8,10,13,16,19,22,25,28,30,31,31,30,28,25,22,18,15,12,10]"
CAPS = [(120, 180, 260, 340, 400), (160, 220, 280, 300)]


@pytest.fixture(scope="module")
def rehearsed() -> tuple[Telemetry, Plant]:
    """What its instruments read every 10 s, and a reading of one GPU of h1-b, whose GPUs all do one kind of work."""
    site = load_site(DEMO, [WEATHER, "contracts.kepler-tune.gpus=480", "sample_jobs=[]", "halls.h2.thermal=null"])
    plant = Plant(site, datetime(2026, 7, 14, 22, tzinfo=UTC), seed=1)
    rng = np.random.default_rng(3)
    at_s, read, heat_kw, gpu, seq = [], [], [], [], 0
    while len(at_s) < 5400:
        if len(at_s) % 180 == 0:
            seq += 1
            terms = {"epoch": 1, "seq": seq, "issued_at": plant.now, "valid_until": plant.now + timedelta(hours=2), "plan_id": "p"}
            for name, pool in plant.pools.items():
                caps = CAPS[pool.model.max_cap_w < 400]
                order = CapDesired(cap_w=caps[seq % len(caps)] if name == "h1-b" else int(rng.choice(caps)), fallback_cap_w=150, reason="", **terms)
                assert pool.obey(order, plant.now) is None
            halls = {hall: HallSetpoint(temperature_c=float(rng.uniform(22, 26))) for hall in plant.halls}
            assert plant.obey_cooling("chiller", CoolingDesired(halls=halls, **terms)) is None
        plant.step(10.0)
        at_s.append(plant.now.timestamp())
        read.append(plant.readings())
        heat_kw.append(plant.cooling["chiller"].removed_kw * (1 + 0.003 * rng.normal()))
        pool, noise = plant.pools["h1-b"], 1 + 0.003 * rng.normal(size=2)
        gpu.append((pool.cap_w, 1000 * pool.gpu_kw / 480 * noise[0], pool.speed_gpus("kepler-tune") / 480 * 37.5 * noise[1], 90.0))
    when = np.array(at_s)
    tracks = {key: Track(when, np.array([each[key] for each in read])) for key in read[0]}
    tracks["site/cooling/chiller/heat_kw"] = Track(when, np.array(heat_kw))
    columns = dict(zip(("cap_w", "power_w", "throughput", "util_pct"), np.array(gpu, dtype=float).T, strict=True))
    kind = np.full(len(when), "finetune-8b")
    return Telemetry(("rehearsed",), tracks, columns, kind, np.full(len(when), "")), plant


def test_the_halls_and_the_weather_of_the_rehearsed_plant_are_found(rehearsed: tuple[Telemetry, Plant]) -> None:
    telemetry, plant = rehearsed
    told = found(telemetry, plant.site)
    figures = plant.site.cooling_plants["chiller"]
    for hall, air in plant.halls.items():
        assert told[f"halls.{hall}.heat_capacity_kwh_per_k"].value == pytest.approx(air.thermal.heat_capacity_kwh_per_k, rel=0.05)
        assert told[f"halls.{hall}.resistance_k_per_kw"].value == pytest.approx(air.thermal.resistance_k_per_kw, rel=0.05)
    assert told["free_cooling_full_below_c"].value == pytest.approx(figures.free_cooling_full_below_c, rel=0.05)
    assert told["free_cooling_none_above_c"].value == pytest.approx(figures.free_cooling_none_above_c, rel=0.05)
    (fit,) = fit_plants(plant.site, telemetry, 900.0)  # its chiller is of another form: figures are those that tell its power best
    assert fit.bias_pct is not None
    assert fit.spread_pct is not None
    assert abs(fit.bias_pct[1]) < 1 < abs(fit.bias_pct[0])
    assert fit.spread_pct[1] < 2 < fit.spread_pct[0]


def test_pumps_fans_and_the_rest_are_found_whatever_form_the_chiller_has(rehearsed: tuple[Telemetry, Plant]) -> None:
    telemetry, plant = rehearsed
    told, figures = found(telemetry, plant.site), plant.site.cooling_plants["chiller"]
    for key in ("pump_kw", "fan_kw", "misc_kw"):
        assert told[key].value == pytest.approx(getattr(figures, key), rel=0.02)
        assert not told[key].off
    slow = {key: Track(track.at_s[::30], track.value[::30]) if "/hall/" in key else track for key, track in telemetry.tracks.items()}
    slowly = found(replace(telemetry, tracks=slow), plant.site)  # halls that are read every 5 min take nothing from the plant's figures
    assert slowly["misc_kw"] == told["misc_kw"]


def test_without_a_meter_of_heat_they_are_found_less_well_but_found(rehearsed: tuple[Telemetry, Plant]) -> None:
    telemetry, plant = rehearsed
    blind = {key: track for key, track in telemetry.tracks.items() if not key.endswith("heat_kw")}
    (fit,) = fit_plants(plant.site, replace(telemetry, tracks=blind), 300.0)
    told = {each.key.rpartition(".")[2]: each for each in fit.estimates}
    assert told["misc_kw"].value == pytest.approx(12.5, rel=0.05)
    assert told["pump_kw"].value == pytest.approx(30, rel=0.1)
    assert not any(told[key].off for key in ("misc_kw", "pump_kw", "fan_kw"))


def test_the_operating_points_of_the_rehearsed_plant_are_found(rehearsed: tuple[Telemetry, Plant]) -> None:
    telemetry, plant = rehearsed
    model = plant.site.gpu_models["a100"]
    (curve,) = fit_curves("a100", model, telemetry, None)
    behaviour = plant.pools["h1-b"]._behaviours["finetune-8b"]
    assert [point.cap_w for point in curve.points] == list(CAPS[0])
    for point in curve.points:
        assert point.draw_w == pytest.approx(behaviour.draw_w(point.cap_w), rel=0.05)
        assert point.speed == pytest.approx(behaviour.speed(point.cap_w), rel=0.05)
    off = [each.key for each in curve.estimates if each.off]
    # between its points the plant is a cubic, the site file a line: at 120 W these differ by more than a trifle
    assert all("[120 W]" in key or "[180 W]" in key for key in off)


# Operating points

CURVE = ((100, 99.0, 0.25), (200, 195.0, 0.78), (250, 241.0, 0.87), (300, 288.0, 0.93), (400, 350.0, 1.0))


def model(*, scale: float = 1.0) -> GpuModel:
    points = tuple(OperatingPoint(cap_w=c, draw_w=scale * d, speed=s) for c, d, s in CURVE)
    return GpuModel(min_cap_w=100, max_cap_w=400, idle_w=50, curves={"train": Curve(points=points, source="made up")})


def readings(seed: int, count: int, *, continuous: bool = False, noise: float = 0.02, wild: float = 0.0) -> Telemetry:
    """Readings of GPUs under caps of the curve, or any caps; `wild` is the share of those that are nonsense."""
    rng = np.random.default_rng(seed)
    caps, draws, speeds = (np.array(column, dtype=float) for column in zip(*CURVE, strict=True))
    cap_w = rng.uniform(100, 400, count) if continuous else rng.choice(caps, count)
    power_w = np.interp(cap_w, caps, draws) * (1 + noise * rng.normal(size=count))
    rate = 12.5 * np.interp(cap_w, caps, speeds) * (1 + noise * rng.normal(size=count))
    nonsense = rng.uniform(size=count) < wild
    power_w[nonsense], rate[nonsense] = 900.0, 0.1
    return Telemetry(("r",), {}, {"cap_w": cap_w, "power_w": power_w, "throughput": rate}, np.full(count, "train"), np.full(count, ""))


@pytest.mark.parametrize("how", [{"count": 200}, {"count": 600, "continuous": True}, {"count": 300, "wild": 0.05}])
def test_points_are_found_within_five_percent(how: dict[str, float]) -> None:
    (curve,) = fit_curves("g", model(), readings(1, **how), None)
    told = {point.cap_w: point for point in curve.points}
    for cap_w, draw_w, speed in CURVE:
        near = told.get(cap_w) or told[min(told, key=lambda at: abs(at - cap_w))]
        assert near.draw_w == pytest.approx(draw_w, rel=0.05)
        assert near.speed == pytest.approx(speed, rel=0.05)
    assert not any(each.off for each in curve.estimates)


def test_error_bars_cover_what_they_claim() -> None:
    """Of 95 % error bars, so many that chance does not explain more or less."""
    inside, bars = 0, 0
    for seed in range(80):
        (curve,) = fit_curves("g", model(), readings(seed, 60), None)
        for point, (_, draw_w, speed) in zip(curve.points, CURVE, strict=True):
            inside += (abs(point.draw_w - draw_w) <= (point.draw_error_w or 0)) + (abs(point.speed - speed) <= (point.speed_error or 0))
            bars += 2
    assert 0.90 <= inside / bars <= 0.99


def test_a_curve_of_the_site_file_that_is_off_is_flagged() -> None:
    (curve,) = fit_curves("g", model(scale=0.9), readings(1, 200), None)
    assert {each.key.rpartition(".")[2] for each in curve.estimates if each.off} == {"draw_w"}
    assert sum(each.off for each in curve.estimates) == len(CURVE)


def test_each_run_may_count_its_throughput_in_a_unit_of_its_own() -> None:
    base = readings(1, 400)
    run = np.arange(400) % 3
    rate = base.rows["throughput"] * np.array([1.0, 400.0, 0.02])[run]
    mixed = replace(base, rows={**base.rows, "throughput": rate}, runs=run.astype(np.str_))
    (curve,) = fit_curves("g", model(), mixed, None)
    assert [point.speed for point in curve.points] == [pytest.approx(speed, rel=0.02) for _, _, speed in CURVE]
    (blind,) = fit_curves("g", model(), replace(mixed, runs=np.full(400, "")), None)
    assert blind.points[0].speed != pytest.approx(CURVE[0][2], rel=0.2)


def test_points_rise_and_lie_on_a_hull_whatever_the_noise() -> None:
    for seed in range(20):
        (curve,) = fit_curves("g", model(), readings(seed, 40, noise=0.3), None)
        kept = curve.kept(model())
        for a, b in pairwise(kept):
            assert a.cap_w < b.cap_w
            assert a.draw_w <= b.draw_w + 1e-9
            assert a.speed <= b.speed + 1e-9
        assert kept[-1].speed == 1.0


def test_readings_without_caps_tell_no_curve_and_readings_without_work_tell_idle_draw() -> None:
    rng = np.random.default_rng(0)
    columns = {"power_w": np.concatenate([rng.normal(87, 1, 500), rng.normal(300, 20, 500)]), "util_pct": np.repeat([0.0, 95.0], 500)}
    seen = Telemetry(("h100",), {}, columns, np.full(1000, ""), np.full(1000, ""))
    told = idle("g", model(), seen)
    assert told is not None
    assert told.value == pytest.approx(87, abs=0.3)
    assert told.off
    (curve,) = fit_curves("g", model(), replace(seen, rows={"power_w": columns["power_w"]}), "train")
    assert curve.points == ()
    assert "cap_w and throughput" in curve.estimates[0].why
    one_cap = replace(readings(1, 50), rows={**readings(1, 50).rows, "cap_w": np.full(50, 300.0)})
    (curve,) = fit_curves("g", model(), one_cap, None)
    assert "never changes" in curve.estimates[0].why


# Files

def write(file: Path, rows_: list[list[object]]) -> str:
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows_)
    return str(file)


def iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat()


def test_a_history_and_a_table_of_the_same_readings_are_the_same_telemetry(tmp_path: Path) -> None:
    tracks = {key: Track(track.at_s[:30], track.value[:30].round(3)) for key, track in planted().tracks.items()}
    at_s = next(iter(tracks.values())).at_s
    wide = write(tmp_path / "wide.csv", [["time", *tracks], *([iso(t), *(track.value[i] for track in tracks.values())] for i, t in enumerate(at_s))])
    values = [Value(key, int(1000 * t), float(v), "good") for key, track in tracks.items() for t, v in zip(track.at_s, track.value, strict=True)]
    bad = [Value(key, int(1000 * at_s[-1]) + 1000, 1e6, "bad") for key in tracks]
    export([*values, *bad], tmp_path / "long.parquet")
    for file in (wide, str(tmp_path / "long.parquet")):
        told = read_telemetry([file], {}, None)
        assert set(told.tracks) == set(tracks)
        for key, track in tracks.items():
            np.testing.assert_allclose(told.tracks[key].at_s, track.at_s)
            np.testing.assert_allclose(told.tracks[key].value, track.value)


def test_the_yaml_is_a_site_file_when_it_is_laid_over_the_other(tmp_path: Path) -> None:
    site = load_site(DEMO)
    caps = readings(1, 200)
    both = Telemetry(("planted",), planted().tracks, caps.rows, np.full(200, "finetune-8b"), caps.runs)
    told = fitted(site, both, "h1-a", None, 900.0)
    file = tmp_path / "fitted.yaml"
    file.write_text(f"based_on: {DEMO}\n{as_yaml(told)}")
    mended = load_site(file)
    assert mended.cooling_plants["chiller"].cop_at_25c == pytest.approx(PLANTED["cop_at_25c"], rel=0.05)
    assert mended.halls["h2"].thermal is not None
    assert mended.halls["h2"].thermal.heat_capacity_kwh_per_k == pytest.approx(C["h2"], rel=0.05)
    assert [point.cap_w for point in mended.gpu_models["a100"].curves["finetune-8b"].points] == [100, 200, 250, 300, 400]
    assert "planted" in mended.gpu_models["a100"].curves["finetune-8b"].source
    assert json.loads(json.dumps(as_json(told), allow_nan=False))["curves"][0]["model"] == "a100"
    assert any(row[3] == "OFF" for row in rows(told))


def test_the_command_reads_foreign_names_flags_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = readings(1, 100)
    table = [["limit", "watts", "it/s", "what"], *([*each, "Finetune 8B"] for each in np.column_stack([*seen.rows.values()]).tolist())]
    file = write(tmp_path / "gpu.csv", table)
    names = ["--column", "cap_w=limit", "--column", "power_w=watts", "--column", "throughput=it/s", "--column", "curve=what"]
    monkeypatch.setattr(sys, "argv", ["facility", "fit", DEMO, "--telemetry", file, *names, "--pool", "h1-a", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as exit_:
        main()
    out = capsys.readouterr().out
    assert exit_.value.code == 1  # other GPUs than the site file's
    assert "OFF" in out
    assert "curves:\n      finetune-8b:" in (tmp_path / "out/fit.yaml").read_text()
    assert json.loads((tmp_path / "out/fit.json").read_text())["site"] == "demo"


BAD = {
    "no file": (["--telemetry", "nowhere.csv"], "nowhere.csv"),
    "nothing of ours": (["--telemetry", "{other}"], "other.csv", "cap_w"),
    "no such pool": (["--telemetry", "{gpu}", "--pool", "h9"], "--pool", "h9"),
    "no pool": (["--telemetry", "{gpu}"], "--pool", "a100, v100"),
    "no curve": (["--telemetry", "{gpu}", "--pool", "h1-a"], "--curve", "pretrain-7b"),
    "no number": (["--telemetry", "{words}", "--pool", "h1-a"], "row 3, column power_w", "lots"),
    "no such column": (["--telemetry", "{gpu}", "--column", "cap_w=limit"], "--column cap_w=limit", "no such column"),
    "nothing that is fitted": (["--telemetry", "{gpu}", "--column", "cap=cap_w"], "--column cap=cap_w", "cap_w"),
    "no equals": (["--telemetry", "{gpu}", "--column", "cap_w"], "--column cap_w", "OURS=THEIRS"),
    "no zone": (["--telemetry", "{naive}"], "column time", "--timezone"),
    "too short": (["--telemetry", "{gpu}", "--every", "5s"], "--every"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_with_its_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "other": [["time", "x"], ["2026-01-01T00:00Z", 1]],
        "gpu": [["cap_w", "power_w", "throughput"], [100, 99, 1], [200, 190, 2]],
        "words": [["cap_w", "power_w", "throughput"], [100, 99, 1], [200, "lots", 2]],
        "naive": [["time", "site/cooling/chiller/power_kw"], ["2026-01-01T00:00", 1]],
    }
    paths = {key: write(tmp_path / f"{key}.csv", rows_) for key, rows_ in files.items()}
    arguments, *words = BAD[name]
    monkeypatch.setattr(sys, "argv", ["facility", "fit", DEMO, *(each.format(**paths) for each in arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    out, err = capsys.readouterr()
    assert (exit_.value.code, out) == (2, ""), err
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words), err


def test_options_have_the_defaults_that_the_help_tells() -> None:
    assert Asked(("f",)).every == "10min"
