"""Key figures: published examples to their printed digits, what is not measured, gaps, and the figures of the Union's reporting scheme."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facility.config import load_site
from facility.errors import InputError
from facility.kpi.annex import annex
from facility.kpi.effectiveness import CATEGORY, cue, ere, erf, pue, ref, wue
from facility.kpi.figure import Figure
from facility.kpi.indicators import indicators
from facility.kpi.metered import Metered
from facility.sensors import sensors
from facility.simulate.dialects import DIALECTS
from facility.simulate.plant import Plant
from facility.site import Site
from facility.telemetry.units import conversion

SITES = Path(__file__).parents[2] / "site_configs"
START = datetime(2026, 7, 1, tzinfo=UTC)
NAN = math.nan


def metered(**changed: Any) -> Metered:
    """Two hours: 300 kWh imported, of it 200 of two pools, 60 of cooling; nothing else is measured or made."""
    told = {
        "start": (START, START + timedelta(hours=1)),
        "hours": np.ones(2),
        "import_kwh": np.array([120.0, 180.0]),
        "pool_kwh": {"a": np.array([50.0, 70.0]), "b": np.array([30.0, 50.0])},
        "cooling_kwh": {"chiller": np.array([20.0, 40.0])},
        "solar_kwh": np.zeros(2),
        "genset_kwh": np.zeros(2),
        "carbon_kg": np.array([24.0, 90.0]),
    }
    return Metered(**(told | changed))


def figures(site: Site, counted: Metered, *, annual: bool = False) -> dict[str, Figure]:
    return {figure.key: figure for figure in indicators(site, counted, annual=annual)}


@pytest.fixture(scope="module")
def hamburg() -> Site:
    return load_site(SITES / "hamburg.yaml")


@pytest.fixture(scope="module")
def demo() -> Site:
    return load_site(SITES / "demo.yaml")


@pytest.mark.parametrize(
    ("found", "printed"),
    [
        (ere(1_250_000, 210_000, 820_000), "1.27"),  # calcsimpler.com, "Energy Reuse Effectiveness (ERE) Calculator", first example
        (erf(79, 147), "0.54"),  # github kopja3/green_DC, card EN 50600-4-6
        (ref(99, 147), "0.67"),  # the same, card EN 50600-4-3
        (wue(928, 582_600), "1.6"),  # the same, card EN 50600-4-9: 928 m3 and 582.6 MWh a year
        (pue(2.0, 1.0), "2"),  # adaptivcool.com, "How To Calculate PUE": half of the energy is used by IT
        (pue(1.6, 1.0), "1.6"),  # the same: 62.5 % of the energy goes to IT
    ],
)
def test_published_examples_come_out_as_printed(found: float | None, printed: str) -> None:
    assert found is not None
    assert f"{found:.{len(printed.partition('.')[2])}f}" == printed


def test_ere_is_pue_less_what_is_used_again_and_cue_is_the_grid_s_intensity_times_pue() -> None:
    """The Green Grid, white papers 29 (ERE = (1 - ERF) PUE) and 32 (CUE = CEF PUE where all energy is the grid's)."""
    total, reused, it = 1_250_000.0, 210_000.0, 820_000.0
    factor, effectiveness = erf(reused, total), pue(total, it)
    assert factor is not None
    assert effectiveness is not None
    assert ere(total, reused, it) == pytest.approx((1 - factor) * effectiveness)
    assert cue(0.363 * total, it) == pytest.approx(0.363 * effectiveness)


def test_a_span_s_ratio_is_of_its_sums_and_not_the_mean_of_its_hours(demo: Site) -> None:
    """120 / 80 and 180 / 120 are 1.5 both; with 40 kWh more in the second hour the mean would be 1.667, the sums give 340 / 200."""
    assert figures(demo, metered())["pue"].value == pytest.approx(1.5)
    assert figures(demo, metered(import_kwh=np.array([120.0, 220.0])))["pue"].value == pytest.approx(1.7)
    assert figures(demo, metered())["cue"].value == pytest.approx(114 / 200)


def test_what_a_battery_holds_more_was_not_used_yet(demo: Site) -> None:
    """Of 300 kWh 30 are stored in the first hour; of the second, 20 are given back."""
    stored = metered(stored_kwh=np.array([30.0, -20.0]))
    assert figures(demo, stored)["pue"].value == pytest.approx(290 / 200)
    assert figures(demo, stored)["cue"].value == figures(demo, metered())["cue"].value, "carbon is of what was drawn"


def test_the_category_follows_from_where_the_pools_are_measured_and_a_part_of_a_year_is_interim(demo: Site) -> None:
    assert CATEGORY == {"ups-output": 1, "pdu-output": 2, "equipment-input": 3}
    assert figures(demo, metered())["pue"].name == "iPUE2"
    assert figures(demo, metered(), annual=True)["pue"].name == "PUE2"
    unsaid = demo.model_copy(update={"sustainability": demo.sustainability.model_copy(update={"it_metered_at": None})})
    assert figures(unsaid, metered(), annual=True)["pue"].name == "PUE"
    assert "it_metered_at" in figures(unsaid, metered())["pue"].says
    assert figures(demo, metered())["design_pue"].value == 1.35


def test_what_nobody_measures_is_not_nought_and_names_what_it_needs(demo: Site) -> None:
    found = figures(demo, metered())
    for key, needs in (("erf", "heat_meters"), ("ere", "heat_meters"), ("wue1", "water_meters"), ("wue2", "water_meters")):
        assert found[key].value is None
        assert needs in found[key].unknown
    blind = figures(demo, metered(solar_kwh=None))
    for key in ("pue", "ref"):
        assert blind[key].value is None, "energy that is made on site and not measured leaves the total unknown"
        assert "metered: true" in blind[key].unknown
    nothing = figures(demo, metered(import_kwh=np.full(2, NAN)))
    assert nothing["pue"].value is None
    assert "readings" in nothing["pue"].unknown


def test_an_hour_that_a_meter_slept_through_is_left_out_of_both_sides_and_told(demo: Site) -> None:
    gap = figures(demo, metered(pool_kwh={"a": np.array([50.0, NAN]), "b": np.array([30.0, 50.0])}))
    assert gap["pue"].value == pytest.approx(120 / 80)
    assert gap["pue"].covered == 0.5
    assert gap["cue"].value == pytest.approx(24 / 80)
    assert figures(demo, metered())["pue"].covered == 1.0


def test_water_of_category_two_is_less_what_leaves_to_be_used_again(demo: Site) -> None:
    found = figures(demo, metered(water_in_m3=np.array([0.3, 0.1]), water_out_m3=np.array([0.1, 0.0])))
    assert found["wue1"].value == pytest.approx(2.0)
    assert found["wue2"].value == pytest.approx(1.5)
    assert found["wue2"].name == "iWUE2"


def test_renewable_energy_is_what_is_contracted_of_the_energy_drawn_and_what_is_made_and_used_on_site(hamburg: Site) -> None:
    """Of 100 kWh drawn 65 are contracted; in the second hour 50 are made and 20 given back, so 30 are used: 95 of 130."""
    counted = metered(import_kwh=np.array([100.0, -20.0]), solar_kwh=np.array([0.0, 50.0]))
    assert figures(hamburg, counted)["ref"].value == pytest.approx(95 / 130)
    renewables = hamburg.sustainability.renewables.model_copy(update={"power_purchase_share": None})
    unsaid = hamburg.sustainability.model_copy(update={"renewables": renewables})
    open_ = figures(hamburg.model_copy(update={"sustainability": unsaid}), counted)["ref"]
    assert open_.value is None
    assert "sustainability.renewables" in open_.unknown
    assert ref(200, 100) == 1.0, "what is bought beyond one's own use counts for nothing"


def test_the_annex_names_every_figure_and_those_that_are_not_known(hamburg: Site, demo: Site) -> None:
    counted = metered(
        solar_kwh=np.array([0.0, 10.0]), genset_kwh=np.array([5.0, 0.0]), reused_kwh=np.array([10.0, 30.0]), supply_c=np.array([50.0, 60.0]),
        water_in_m3=np.array([1.0, 1.0]), potable_m3=np.array([0.5, NAN]), water_out_m3=np.zeros(2),
    )  # fmt: skip
    found = {figure.key: figure for figure in annex(hamburg, counted, [24.5, 20.0])}
    expected = {
        "installed_it_kw": 520, "total_kwh": 315, "genset_kwh": 5, "it_kwh": 200, "water_m3": 2, "potable_m3": 0.5, "reused_kwh": 40,
        "reused_c": 57.5, "cooling_degree_days": 3.5, "guarantees_kwh": 75, "power_purchase_kwh": 120, "on_site_kwh": 10, "renewable_kwh": 205,
        "storage_pb": 18,
    }  # fmt: skip
    assert {key: found[key].value for key in expected} == pytest.approx(expected)
    assert found["potable_m3"].covered == 0.5
    assert found["refrigerants"].says == "R-1234ze"
    for key in ("server_capacity", "incoming_eb", "outgoing_eb"):
        assert found[key].value is None
        assert found[key].unknown
    bare = {figure.key: figure for figure in annex(demo, metered(), [])}
    assert list(bare) == list(found)
    for key in ("floor_area_m2", "water_m3", "reused_kwh", "reused_c", "intake_set_point_c", "refrigerants", "cooling_degree_days", "incoming_gbps"):
        assert bare[key].value is None
        assert bare[key].unknown.startswith("needs")
    assert bare["installed_it_kw"].value == pytest.approx(992 * 0.52 + 512 * 0.42)
    assert all((figure.value is None) == bool(figure.unknown) for figure in (*found.values(), *bare.values()))


def test_renewable_shares_of_more_than_all_are_refused() -> None:
    with pytest.raises(InputError) as refused:
        load_site(SITES / "demo.yaml", ("sustainability.renewables.power_purchase_share=0.8",))
    assert "count no kWh twice" in str(refused.value)


def test_meters_of_water_heat_and_generation_are_sensors_which_the_rehearsed_plant_has(hamburg: Site) -> None:
    """Chillers that evaporate 1.2 l for each kWh of heat; both meters of incoming water share it."""
    known = {sensor.key: sensor.unit for sensor in sensors(hamburg)}
    assert known["site/water/town/flow_m3_per_h"] == "m3/h"
    assert known["site/heat/swimming-pool/reused_kw"] == known["site/solar/roof/power_kw"] == known["site/genset/diesel-1/power_kw"] == "kW"
    plant = Plant(hamburg, datetime(2026, 7, 15, 12, tzinfo=UTC), seed=None)
    plant.step(3600)
    read = plant.readings()
    evaporated = sum(room.chilled_kw * room.plant.water_l_per_kwh for room in plant.cooling.values()) / 1000
    assert read["site/water/town/flow_m3_per_h"] == read["site/water/towers/flow_m3_per_h"] == pytest.approx(evaporated / 2)
    assert evaporated > 0.05
    assert read["site/water/nursery/flow_m3_per_h"] == 0


def test_a_meter_of_water_may_tell_litres(demo: Site) -> None:
    litres = conversion("l/min", "m3/h")
    assert litres is not None
    assert litres(50.0) == pytest.approx(3.0)
    assert conversion("l/s", "kW") is None
    rule = "{topic: bms/water, sensor: water/main/flow_m3_per_h, unit: l/min}"
    meters = "sustainability.water_meters={main: {most_m3_per_h: 4}}"
    told = load_site(SITES / "demo.yaml", (meters, f"bus.mapping=[{rule}]"))
    assert told.bus.rules[0].tells("water", "main", "flow_m3_per_h")
    with pytest.raises(InputError, match="no water `main`"):
        load_site(SITES / "demo.yaml", (f"bus.mapping=[{rule}]",))


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_every_dialect_of_a_rehearsed_building_tells_its_water_and_heat(hamburg: Site, dialect: str) -> None:
    plant = Plant(hamburg, datetime(2026, 7, 15, 12, tzinfo=UTC), seed=None)
    plant.step(600)
    told = {sensor: plant.read(sensor) for sensor in plant.sensors}
    kept = {sensor: value for sensor, value in told.items() if sensor.asset_type in ("water", "heat", "solar", "genset")}
    speaker = DIALECTS[dialect]()
    said = [*speaker.describe(dict.fromkeys(kept, 5.0)), *speaker.tell(kept, plant.now)]
    text = " ".join(message.topic + message.payload.decode() for message in said).lower().replace("_", "-")
    for asset in ("swimming-pool", "nursery", "roof", "diesel-1"):
        assert asset in text
