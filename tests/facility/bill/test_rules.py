"""Each rule of sharing out, worked by hand. The site is that of `made`."""

from __future__ import annotations

import numpy as np
import pytest

from facility.bill import rules
from facility.bill.money import Peak, peak_cost, peaks, per_kwh, standing_cost
from facility.bill.terms import rent
from facility.usage.credits import missed_credit, slow_credit
from facility.usage.usage import Lack
from tests.facility.bill.made import QUARTER, SITE, START, THERMAL, TOLD, of, period, reckoned, rows_of, site, usage

ONE = [
    usage(0, "p", "c", 0.3, idle=0.1, kept=1.5, tenant="t"),
    usage(0, "p", "j", 0.2, kept=0.5, tenant="u"),
    usage(0, "p", "", 0.0, idle=0.2),
    usage(0, "q", "d", 0.5, kept=1.25, tenant="u"),
    usage(0, "q", "", 0.0, idle=0.5),
]
"""One quarter: c, a job and nobody in p (expected 0.4, 0.2 and 0.2 kWh), d and nobody in q (0.5 and 0.5)."""
KW = {
    "site/meter/main/import_kw": [20.0], "h/pool/p/it_power_kw": [4.0], "h/pool/q/it_power_kw": [6.0],
    "site/cooling/chill/power_kw": [3.0], "site/battery/b/power_kw": [2.0],
}  # fmt: skip
"""kWh in the quarter: meter 5, p 1, q 1.5, cooling 0.75, battery 0.5; base load 0.5, so that 0.75 is lost."""


def test_a_pool_goes_by_what_was_expected_of_who_ran_and_of_gpus_that_idled_for_a_contract() -> None:
    rows = rows_of(ONE, 1)
    assert rules.it_energy(rows, np.array([[1.0], [1.5]])).tolist() == pytest.approx([0.5, 0.25, 0.25, 0.75, 0.75])


def test_a_pool_of_which_nobody_counted_goes_to_nobody() -> None:
    rows = rows_of(ONE[:3], 1)
    assert rules.it_energy(rows, np.array([[1.0], [1.5]])).tolist() == pytest.approx([0.5, 0.25, 0.25])


def test_a_base_load_goes_by_gpu_hours_kept_of_all_in_the_hall() -> None:
    """20 GPUs are 5 GPU h in a quarter; c keeps 1.5, the job 0.5, d 1.25, and 1.75 nobody."""
    found = rules.base_energy(SITE, rows_of(ONE, 1), {"h": np.array([0.5])}, 0.25)
    assert found.tolist() == pytest.approx([0.15, 0.05, 0.0, 0.125, 0.0])


def test_cooling_goes_by_heat() -> None:
    """Heat of the hall: 1 + 1.5 + 0.5 kWh. Of c: 0.5 by its GPUs and 0.15 of the base load."""
    rows = rows_of(ONE, 1)
    it, base = np.array([0.5, 0.25, 0.25, 0.75, 0.75]), np.array([0.15, 0.05, 0.0, 0.125, 0.0])
    heat = {"p": np.array([1.0]), "q": np.array([1.5])}, {"h": np.array([0.5])}
    found = rules.cooling_energy(SITE, rows, it, base, heat, {"chill": np.array([0.75])})
    assert found["chill"].tolist() == pytest.approx([0.1625, 0.075, 0.0625, 0.21875, 0.1875])


def test_warm_water_takes_its_share_of_a_pool_s_heat_to_its_own_plant() -> None:
    """Of p 80 % goes to `warm`; that cools nothing else, so all of its energy is p's. The air plant has 0.2 of p, q and the base load."""
    plants = TOLD["cooling_plants"] | {"warm": TOLD["cooling_plants"]["chill"]}
    liquid = site(
        cooling_plants=plants, halls={"h": {"feeder": "ups", "base_kw": 2, "thermal": THERMAL | {"liquid_plant": "warm"}}},
        pools={"p": TOLD["pools"]["p"] | {"liquid_share": 0.8}, "q": TOLD["pools"]["q"]},
    )  # fmt: skip
    rows = rows_of(ONE, 1, liquid)
    heat = {"p": np.array([1.0]), "q": np.array([1.5])}, {"h": np.array([0.3])}
    it, base = np.array([0.5, 0.25, 0.25, 0.75, 0.75]), np.zeros(5)
    found = rules.cooling_energy(liquid, rows, it, base, heat, {"chill": np.array([2.0]), "warm": np.array([0.4])})
    assert found["warm"].tolist() == pytest.approx([0.2, 0.1, 0.1, 0.0, 0.0])
    assert found["chill"].tolist() == pytest.approx([0.1, 0.05, 0.05, 0.75, 0.75])


def test_losses_go_by_energy_through_the_feeders_that_lose() -> None:
    """10 % of what passes the UPS: what hangs there, 3 kWh, shares 0.75; the chiller under the root has none of it."""
    energy = np.array([0.65, 0.3])
    key, whole = energy * rules.lost_per_kwh(SITE, "ups"), np.array([3.0 * rules.lost_per_kwh(SITE, "ups")])
    assert rules.lost_per_kwh(SITE, "main") == 0.0
    found = rules.losses(key, energy, whole, np.array([3.75]), np.array([0.75]), np.zeros(2, int))
    assert found.tolist() == pytest.approx([0.1625, 0.075])


def test_losses_that_no_feeder_explains_go_by_energy() -> None:
    found = rules.losses(np.zeros(2), np.array([1.0, 2.0]), np.zeros(1), np.array([4.0]), np.array([0.8]), np.zeros(2, int))
    assert found.tolist() == pytest.approx([0.2, 0.4])


def test_a_battery_s_losses_are_those_of_its_efficiency_each_way() -> None:
    """At 0.8 one way: of 2 kWh that go in 0.4 are lost, for 2 kWh that come out 2.5 were stored."""
    assert rules.battery_losses(SITE, {"b": np.array([2.0, -2.0, 0.0])}, 3).tolist() == pytest.approx([0.4, 0.5, 0.0])


def test_a_quarter_of_a_whole_site_by_hand() -> None:
    """c has 0.5 IT, 0.15 base, 0.1625 cooling, 0.1625 losses, and of the battery's 0.1 kWh lost its part of 3.75: 0.8125 / 3.75."""
    found, energy, _ = reckoned(ONE, 1, KW)
    assert energy.losses_kwh.tolist() == pytest.approx([0.75])
    parts = {part: of(found, kwh, "c") for part, kwh in found.parts_kwh.items()}
    assert parts == pytest.approx({"it": 0.5, "base": 0.15, "cooling": 0.1625, "losses": 0.1625, "batteries": 0.1 * 0.8125 / 3.75, "generation": 0.0})
    assert of(found, found.energy_kwh, "c") == pytest.approx(0.975 + 0.1 * 0.8125 / 3.75)
    assert sum(found.energy_kwh) == pytest.approx(5.0, rel=1e-12)
    assert of(found, found.money["energy"], "c") == pytest.approx(of(found, found.energy_kwh, "c") * 0.1)
    own = of(found, found.parts_kwh["batteries"], "")
    rest = sum(kwh for kwh, line in zip(found.parts_kwh["batteries"], found.lines, strict=True) if line.pool)
    assert own == pytest.approx(0.5 - rest)


def test_energy_costs_what_it_did_in_its_interval() -> None:
    rows = rows_of([usage(0, "p", "c", 1.0, tenant="t"), usage(1, "p", "c", 1.0, tenant="t")], 2)
    assert per_kwh(rows, np.array([2.0, 3.0]), np.array([100.0, -50.0])).tolist() == pytest.approx([0.2, -0.15])


def test_a_demand_charge_is_for_the_highest_interval_and_goes_by_power_in_it() -> None:
    charged = site(tariff={"energy_price_per_mwh": 100, "peak_price_per_kw": 10})
    span = period(2976, charged)
    kwh = np.full(2976, 1.0)
    kwh[7] = 5.0
    edges = tuple(START + i * QUARTER for i in range(2977))
    (peak,) = peaks(charged, span, edges, kwh)
    assert (peak.charge, peak.month, peak.start, peak.kw, peak.cost) == ("peak", "2026-07", START + 7 * QUARTER, 20.0, 200.0)
    rows = rows_of([usage(7, "p", "c", 1.0, tenant="t"), usage(8, "p", "c", 1.0, tenant="t")], 2976, charged)
    assert peak_cost(rows, np.array([2.0, 2.0]), kwh, peak).tolist() == pytest.approx([80.0, 0.0])


def test_a_demand_charge_of_a_window_looks_there_alone_and_a_ratchet_charges_what_it_must() -> None:
    windows = {"day": {"price_per_kw": 1, "from_local": "08:00", "to_local": "20:00"},
               "year": {"price_per_kw": 2, "ratchet_share": 0.5, "highest_of_year_kw": 100}}  # fmt: skip
    charged = site(tariff={"energy_price_per_mwh": 100, "demand_charges": windows})
    kwh = np.full(2976, 1.0)
    kwh[0], kwh[40] = 6.0, 3.0
    found = {peak.charge: peak for peak in peaks(charged, period(2976, charged), tuple(START + i * QUARTER for i in range(2977)), kwh)}
    assert (found["day"].kw, found["day"].start, found["day"].cost) == (12.0, START + 40 * QUARTER, 12.0)
    assert (found["year"].kw, found["year"].cost) == (24.0, 100.0)


def test_a_part_of_a_month_pays_that_part_of_a_demand_charge() -> None:
    charged = site(tariff={"energy_price_per_mwh": 100, "peak_price_per_kw": 31})
    (peak,) = peaks(charged, period(96, charged), tuple(START + i * QUARTER for i in range(97)), np.full(96, 1.0))
    assert peak.cost == pytest.approx(31 * 4 / 31)


def test_a_peak_of_hours_is_the_mean_of_its_quarters() -> None:
    hourly = site(tariff={"energy_price_per_mwh": 100, "peak_price_per_kw": 1, "billing_interval_min": 60})
    kwh = np.array([1.0, 1.0, 1.0, 1.0, 5.0, 0.0, 0.0, 0.0, 2.0, 2.0, 1.0, 1.0])
    (peak,) = peaks(hourly, period(12, hourly), tuple(START + i * QUARTER for i in range(13)), kwh)
    assert (peak.kw, peak.slots) == (6.0, (8, 9, 10, 11))


def test_nobody_pays_a_peak_at_which_the_site_gave_back() -> None:
    assert peak_cost(rows_of(ONE, 1), np.ones(5), np.array([-1.0]), Peak("x", "2026-07", START, -4.0, 3.0, (0,))).tolist() == [0.0] * 5


def test_a_standing_charge_goes_by_gpu_hours_kept_of_all_there_are() -> None:
    assert standing_cost(SITE, period(1), rows_of(ONE, 1), 100.0).tolist() == pytest.approx([30.0, 10.0, 0.0, 25.0, 0.0])


def test_a_contract_is_owed_for_slow_hours_and_for_what_it_missed_and_owes_its_rent() -> None:
    told = usage(0, "q", "d", 0.5, kept=1.25, slow_gpu_h=2.0, lacks=(Lack("gone", START, 0.25, 0.5),))
    d = SITE.contracts["d"].model_copy(update={"greatest_slowdown": 2.0, "credit_per_gpu_h": 0.1, "price_per_gpu_h": 4.0})
    assert (slow_credit(d, told), missed_credit(d, told), rent(d, told)) == (pytest.approx(0.2), pytest.approx(4.5), pytest.approx(5.0))
    assert missed_credit(SITE.contracts["c"], told) == pytest.approx(2.0 * 0.5)
    assert missed_credit(d.model_copy(update={"pausable": True}), told) == 0.0
    assert (slow_credit(SITE.contracts["d"], told), rent(SITE.contracts["d"], told)) == (0.0, 0.0)


def test_what_passes_between_a_tenant_and_the_site_is_nothing_together() -> None:
    paid = site(contracts=TOLD["contracts"] | {"d": TOLD["contracts"]["d"] | {"price_per_gpu_h": 4}})
    lacking = [*ONE[:3], usage(0, "q", "d", 0.5, kept=1.25, tenant="u", lacks=(Lack("gone", START, 0.25, 0.5),)), ONE[4]]
    found, _, bill = reckoned(lacking, 1, KW, paid)
    assert (of(found, found.money["rent"], "d"), of(found, found.money["missed"], "d")) == (5.0, -4.5)
    assert (of(found, found.money["rent"], ""), of(found, found.money["missed"], "")) == (-5.0, 4.5)
    assert sum(found.cost) == pytest.approx(0.5)
    assert bill.whole.total == 50


def test_carbon_is_energy_by_the_intensity_of_its_interval_and_costs_its_price() -> None:
    dirty = site(carbon={"intensity_g_per_kwh": 400, "price_per_tonne": 50})
    found, _, _ = reckoned(ONE, 1, KW, dirty)
    kwh = of(found, found.energy_kwh, "d")
    assert of(found, found.carbon_kg, "d") == pytest.approx(0.4 * kwh)
    assert of(found, found.money["carbon"], "d") == pytest.approx(0.4 * kwh * 0.05)
    assert sum(found.carbon_kg) == pytest.approx(2.0)


def test_what_is_given_back_earns_for_the_site_and_who_drew_pays_all_the_same() -> None:
    sunny = site(solar={"s": {"feeder": "main", "peak_kw": 50, "output_by_hour_kw_per_kwp": [1] * 24, "metered": True}},
                 tariff={"energy_price_per_mwh": 100, "export_price_per_mwh": 60})  # fmt: skip
    found, energy, _ = reckoned(ONE, 1, KW | {"site/meter/main/import_kw": [-10.0], "site/solar/s/power_kw": [30.0]}, sunny)
    assert energy.losses_kwh.tolist() == pytest.approx([0.75])
    assert of(found, found.parts_kwh["generation"], "") == -7.5
    assert sum(found.energy_kwh) == pytest.approx(-2.5)
    assert of(found, found.money["energy"], "c") == pytest.approx(of(found, found.energy_kwh, "c") * 0.1)
    assert (sum(found.money["energy"]), of(found, found.money["export"], "")) == (pytest.approx(0.0, abs=1e-12), pytest.approx(-0.15))


def test_billing_intervals_of_five_minutes_share_a_quarter_evenly() -> None:
    fine = site(tariff={"energy_price_per_mwh": 100, "billing_interval_min": 5})
    kw = {key: [values[0]] * 3 for key, values in KW.items()}
    found, _, _ = reckoned(ONE, 3, kw, fine)
    whole, _, _ = reckoned(ONE, 1, KW)
    assert of(found, found.energy_kwh, "c") == pytest.approx(of(whole, whole.energy_kwh, "c"))


def test_fuel_and_what_it_emits_is_the_site_s_own_as_is_what_it_gave() -> None:
    """2 kWh at 300 a MWh and 700 g a kWh, against 50 a tonne."""
    genset = {"feeder": "main", "max_kw": 20, "fuel_price_per_mwh": 300, "carbon_g_per_kwh": 700, "metered": True}
    burning = site(gensets={"g": genset}, carbon={"intensity_g_per_kwh": 400, "price_per_tonne": 50})
    found, energy, _ = reckoned(ONE, 1, KW | {"site/meter/main/import_kw": [12.0], "site/genset/g/power_kw": [8.0]}, burning)
    assert energy.losses_kwh.tolist() == pytest.approx([0.75])
    assert (of(found, found.money["fuel"], ""), sum(found.money["fuel"])) == (pytest.approx(0.6), pytest.approx(0.6))
    assert sum(found.carbon_kg) == pytest.approx(0.4 * 3.0 + 0.7 * 2.0)
    assert sum(found.money["carbon"]) == pytest.approx(0.05 * 2.6)
    assert of(found, found.parts_kwh["generation"], "") == -2.0
    unmetered = reckoned(ONE, 1, KW, site(gensets={"g": genset | {"metered": False}}))[1]
    assert "fuel of genset g: no meter tells what it gave, and it is not billed" in unmetered.assumed


def test_water_goes_by_cooling_energy_where_it_is_metered() -> None:
    """2 m3 at 3 each for 0.75 kWh of cooling; c has 0.1625 of them. What flows out again is no water that came in."""
    meters = {"in": {"most_m3_per_h": 20}, "out": {"most_m3_per_h": 20, "flows": "out"}}
    wet = site(sustainability={"water_meters": meters}, tariff={"energy_price_per_mwh": 100, "water_price_per_m3": 3})
    found, _, _ = reckoned(ONE, 1, KW | {"site/water/in/flow_m3_per_h": [8.0], "site/water/out/flow_m3_per_h": [5.0]}, wet)
    assert of(found, found.money["water"], "c") == pytest.approx(6 * 0.1625 / 0.75)
    assert sum(found.money["water"]) == pytest.approx(6.0)
    dry = reckoned(ONE, 1, KW, site(tariff={"energy_price_per_mwh": 100, "water_price_per_m3": 3}))[1]
    assert "water: no meter tells it, and it is not billed" in dry.assumed
