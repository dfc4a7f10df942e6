"""Summary: the keys that scripts rely on, valid JSON, and each broken limit told once for each stretch of time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facility.decide import Undecided
from facility.limits import WORDS, rounded
from facility.planner import Planned, Request, plan
from facility.report.breaches import UNITS, breaches
from facility.report.summary import short_table, summary
from models.breach import FAMILIES
from models.horizon import Floats
from models.telling.marginal import LIMITS

SITES = Path(__file__).parents[2] / "site_configs"
FIGURES = {"objective", "energy_kwh", "energy_cost", "peak_kw", "peak_cost", "carbon_kg", "weighted_throughput"}


def made(site: str, *settings: str, peak_so_far_kw: float = 0.0) -> Planned:
    asked = Request(str(SITES / site), "2023-07-02", "6h", "1h", settings=settings, peak_so_far_kw=peak_so_far_kw)
    found = plan(asked)
    assert not isinstance(found, Undecided)
    return found


@pytest.fixture(scope="module")
def demo() -> Planned:
    return made("demo.yaml")


def with_breach(planned: Planned, family: str, amount: Floats) -> Planned:
    """The same plan, as if it broke a limit by `amount`."""
    decided = planned.decided
    state = decided.plan.account
    state = replace(state, breach=state.breach | {family: amount})
    return replace(planned, decided=replace(decided, plan=replace(decided.plan, account=state, status="breached")))


def test_the_keys_are_those_that_scripts_rely_on(demo: Planned) -> None:
    numbers = summary(demo)
    words = "site start end currency status baseline saving_pct breaches marginal_prices assumed solve"
    assert not FIGURES.union(words.split()) - set(numbers)
    assert not FIGURES - set(numbers["baseline"])
    assert {"columns", "rows", "build_s", "solve_s", "gap", "certificate", "tiers", "tiers_s", "weights_stand"} <= set(
        numbers["solve"]
    )
    assert numbers["start"] == "2023-07-01T22:00:00Z"
    assert numbers["status"] == "optimal"


def test_each_limit_that_binds_has_its_price_by_step_and_in_words() -> None:
    numbers = summary(made("demo.yaml", "grid.import_limit_kw=600"))
    by_step = {price["name"]: price for price in numbers["marginal_prices_by_step"]}
    assert set(by_step) == set(numbers["marginal_prices"])
    limit = by_step["grid.limits"]
    assert (limit["asset"], limit["unit"], len(limit["saved_by_step"])) == ("main", "kW", 6)
    assert sum(limit["saved_by_step"]) == pytest.approx(numbers["marginal_prices"]["grid.limits"])
    assert limit["says"] == f"1 kW more of the import limit in every step would have saved {rounded(limit['saved'])} EUR"


def test_every_family_of_limits_has_words() -> None:
    assert set(WORDS) == set(LIMITS)
    assert all("{" not in words.of("h1") for words in WORDS.values())


def test_it_is_valid_json_to_the_last_digit(demo: Planned) -> None:
    numbers = summary(demo)
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers


def test_what_nobody_told_is_listed(demo: Planned) -> None:
    said = "\n".join(summary(demo)["assumed"])
    for word in ("price:", "weather:", "carbon:", "jobs: none given", "24 degC", "50 %"):
        assert word in said


def test_saving_is_a_share_of_the_baselines_absolute_cost_and_null_where_that_is_nothing() -> None:
    free = "{energy_price_per_mwh: 0}"
    earning = summary(made("demo.yaml", "tariff={energy_price_per_mwh: -50}"))
    assert earning["baseline"]["energy_cost"] < 0
    more = earning["baseline"]["energy_cost"] - earning["energy_cost"]
    assert earning["saving_pct"] == pytest.approx(100 * more / -earning["baseline"]["energy_cost"])
    assert earning["saving_pct"] >= 0
    assert summary(made("demo.yaml", f"tariff={free}"))["saving_pct"] is None


def test_a_peak_costs_what_the_month_has_seen_already() -> None:
    numbers = summary(made("demo.yaml", "tariff.peak_price_per_kw=2", peak_so_far_kw=5000.0))
    assert numbers["peak_cost"] == numbers["baseline"]["peak_cost"] == 10_000
    assert numbers["peak_kw"] < 1000


def test_carbon_is_energy_times_intensity(demo: Planned) -> None:
    numbers = summary(demo)
    assert numbers["carbon_kg"] == pytest.approx(numbers["energy_kwh"] * 0.363)


def test_carbon_has_a_price_and_a_cap_that_is_broken_by_what_must_run() -> None:
    """6 h have a quarter of a day's cap: 100 kg. The whole plan is one stretch, its amount all that is above them."""
    numbers = summary(made("demo.yaml", "carbon.price_per_tonne=90", "carbon.cap_kg_per_day=400"))
    assert numbers["carbon_cost"] == pytest.approx(0.09 * numbers["carbon_kg"])
    (breach,) = numbers["breaches"]
    assert (breach["family"], breach["unit"], breach["from"], breach["to"]) == ("over_carbon_kg", "kg", numbers["start"], numbers["end"])
    assert breach["amount"] == pytest.approx(numbers["carbon_kg"] - 100)
    assert summary(made("demo.yaml", "carbon.cap_kg_per_day=1e6"))["status"] == "optimal"


def test_a_breach_is_told_once_for_each_stretch_of_time(demo: Planned) -> None:
    over = with_breach(demo, "over_limit_kw", np.array([5.0, 9.0, 0.0, 0.0, 2.0, 0.0]))
    first, second = breaches(over.site, over.decided, over.jobs, over.decided.plan.account)
    assert (first["asset"], first["from"], first["to"]) == ("main", "2023-07-01T22:00:00Z", "2023-07-02T00:00:00Z")
    assert (first["amount"], second["amount"], first["unit"]) == (9.0, 2.0, "kW")
    assert (second["from"], second["to"]) == ("2023-07-02T02:00:00Z", "2023-07-02T03:00:00Z")
    assert summary(over)["status"] == "breached"


def test_work_short_of_a_floor_is_summed_and_named_for_its_contract(demo: Planned) -> None:
    problem = demo.decided.plan.problem
    amount = np.zeros((len(problem.firms), len(problem.horizon)))
    amount[1, 2:4] = 3.0
    short = with_breach(demo, "short_gpu_h", amount)
    (breach,) = breaches(short.site, short.decided, short.jobs, short.decided.plan.account)
    assert breach["asset"] == problem.firms[1].id
    assert (breach["amount"], breach["unit"]) == (6.0, "GPU h")


@pytest.mark.parametrize(("family", "asset"), [("too_hot_k", "h2"), ("over_rating_kw", "ups-1"), ("over_worst_kw", "ups-1")])
def test_a_breach_names_the_hall_or_feeder_that_it_is_in(demo: Planned, family: str, asset: str) -> None:
    amount = np.zeros((2 if family == "too_hot_k" else len(demo.decided.plan.problem.feeders), 6))
    amount[1, 5] = 1.5
    over = with_breach(demo, family, amount)
    (breach,) = breaches(over.site, over.decided, over.jobs, over.decided.plan.account)
    assert (breach["asset"], breach["to"]) == (asset, "2023-07-02T04:00:00Z")


def test_every_family_of_breaches_has_a_unit_and_a_remedy() -> None:
    assert set(UNITS) == set(FAMILIES)
    assert all(unit and remedy for unit, remedy in UNITS.values())


def test_the_short_table_sets_the_plan_beside_the_baseline(demo: Planned) -> None:
    numbers, rows = summary(demo), {what: rest for what, *rest in short_table(demo)}
    assert rows["energy cost, EUR"] == [f"{numbers['energy_cost']:,.1f}", f"{numbers['baseline']['energy_cost']:,.1f}"]
    assert "jobs' work, GPU h" not in rows
    assert "peak cost, EUR" not in rows


def test_what_is_paid_and_earned_beside_the_energy_is_told_where_there_is_any(demo: Planned) -> None:
    """100 kW held for 6 h at 40 per MW and hour earn 24; fuel at 20 per MWh is cheaper than any hour of the tariff."""
    genset = "gensets={g1: {feeder: utility, max_kw: 100, fuel_price_per_mwh: 20, start_cost: 5}}"
    product = "grid.reserves={up: {direction: up, duration_min: 60, price_per_mw_h: 40, most_kw: 100}}"
    rows = {what: rest for what, *rest in short_table(made("demo.yaml", genset, product))}
    assert rows["fuel, EUR"] == ["12.0", "0.0"]
    assert rows["starts of gensets, EUR"] == ["5.0", "0.0"]
    assert rows["income from reserves, EUR"][0] == "24.0"
    assert not {"fuel, EUR", "income from reserves, EUR"} & {what for what, *_ in short_table(demo)}


def test_water_is_told_and_paid_for_beside_the_energy() -> None:
    """Above 25 degC all heat goes through the chillers: 1.8 l for each kWh of it."""
    wet = ("cooling_plants.chiller.water_l_per_kwh=1.8", "tariff.water_price_per_m3=5", f"weather.outdoor_by_hour_c={[30] * 24}")
    planned = made("demo.yaml", *wet)
    numbers, account = summary(planned), planned.decided.plan.account
    assert numbers["water_m3"] == pytest.approx(1.8e-3 * account.heat_kw.sum())
    assert numbers["water_m3"] > 0.5
    assert account.cost["water"] == pytest.approx(5 * numbers["water_m3"])
    assert ("water, m3", f"{numbers['water_m3']:,.1f}", f"{numbers['baseline']['water_m3']:,.1f}") in short_table(planned)


@pytest.mark.parametrize(("site", "most"), [("demo", 1e3), ("phoenix-256gpu", 1e3), ("dallas", 1e3), ("frankfurt", 1e3), ("hamburg", 1e4)])
def test_the_program_of_every_shipped_site_is_well_scaled(site: str, most: float) -> None:
    """Rows are in kW, kWh, K and GPU hours: no coefficient is a thousand times another, ten thousand where every family is there.

    Costs reach from a GPU to the plant's breaches.
    """
    condition = summary(made(f"{site}.yaml"))["solve"]["condition"]
    assert condition["matrix"] < most
    assert condition["cost"] < 1e9
