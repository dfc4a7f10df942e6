"""A quote is the difference of two plans: what it says is what accepting it costs, and who asks for less pays no more."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from facility.planner import Brief, Planned, Request, brief, plan
from facility.quote.places import Wish
from facility.quote.quoting import Quote, Quoting, Refusal
from models.solving.solver import Solver

START = datetime(2026, 7, 15, tzinfo=UTC)
RAW: dict[str, Any] = {
    "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 10},
    "tariff": {"energy_price_by_hour_per_mwh": [100] * 24}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": {"source": "by hand", "points": [
        {"cap_w": 100, "draw_w": 100, "speed": 0.4}, {"cap_w": 200, "draw_w": 200, "speed": 0.7}, {"cap_w": 400, "draw_w": 400, "speed": 1}]}}}},
    "feeders": {"main": {"rating_kw": 20}}, "halls": {"h": {"feeder": "main"}},
    "pools": {name: {"hall": "h", "feeder": "main", "gpu_model": "g", "gpus": 10} for name in ("p", "q")},
    "tenants": {"t": {"name": "T"}},
    "contracts": {"here": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 6, "curve": "train", "floor_speed": 1}},
    "jobs": {"curve": "train"},
}  # fmt: skip

Told = Callable[..., Brief]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """The brief of a day on the site, with other prices or settings."""

    def made(prices: list[float] | None = None, hours: int = 24, **settings: Any) -> Brief:
        raw = RAW if prices is None else RAW | {"tariff": {"energy_price_by_hour_per_mwh": prices}}
        file = tmp_path / "site.yaml"
        file.write_text(yaml.safe_dump(raw))
        said = tuple(f"{key.replace('__', '.')}={json.dumps(value)}" for key, value in settings.items())
        return brief(Request(str(file), start=START.isoformat(), horizon=f"{hours}h", step="1h", settings=said))

    return made


def wish(gpus: int = 4, hours: float = 2, within: float = 0, **more: Any) -> Wish:
    return Wish(gpus, timedelta(hours=hours), START, timedelta(hours=within), "train", **more)


def quoted(there: Brief, wanted: Wish, tier: Any = "T0") -> Quote | Refusal:
    return Quoting(there, 30.0, Solver).quote(wanted, tier)


def offered(there: Brief, wanted: Wish, tier: Any = "T0") -> Quote:
    found = quoted(there, wanted, tier)
    assert isinstance(found, Quote), found
    return found


def test_it_costs_what_its_gpus_draw_beyond_idle_ones(told: Told) -> None:
    """4 GPUs for 2 h at 400 W instead of 50 W are 2.8 kWh, at 100 EUR/MWh 0.28 EUR."""
    found = offered(told(), wish())
    assert found.cheapest == found.earliest
    assert found.cheapest.cost == pytest.approx(0.28, abs=1e-3)
    assert found.cheapest.energy_kwh == pytest.approx(2.8, abs=1e-2)
    assert (found.cheapest.start, found.cheapest.end, found.cheapest.speed) == (START, START + timedelta(hours=2), pytest.approx(1.0))


def test_the_fuel_that_it_takes_emits_too(told: Told) -> None:
    """Energy of the grid is dearer than fuel, which gives the 2.8 kWh and 0.7 kg of CO2 with each."""
    genset = {"feeder": "main", "max_kw": 15, "min_load_share": 0.1, "fuel_price_per_mwh": 100, "carbon_g_per_kwh": 700}
    found = offered(told([1000.0] * 24, gensets__diesel=genset), wish())
    assert found.cheapest.energy_kwh == pytest.approx(0, abs=1e-2)
    assert found.cheapest.carbon_kg == pytest.approx(0.7 * 2.8, abs=1e-2)


def test_a_contract_of_any_name_is_told_from_what_is_quoted(told: Told) -> None:
    mine = {"tenant": "t", "kind": "reserved", "pool": "q", "gpus": 2, "curve": "train", "floor_speed": 1}
    found = offered(told(contracts__quoted=mine), wish())
    assert found.cheapest.cost == pytest.approx(0.28, abs=1e-3)
    assert found.cheapest.speed == pytest.approx(1.0)


def test_who_may_wait_gets_the_cheap_hours_and_who_may_not_the_earliest(told: Told) -> None:
    """From 5:00 to 7:00 energy costs 10 EUR/MWh; the only hours between that are cheap alone help nobody who needs two."""
    prices = [100.0, 100, 10, 100, 100, 10, 10, *[100] * 17]
    found = offered(told(prices), wish(within=10))
    assert (found.earliest.start, found.cheapest.start) == (START, START + timedelta(hours=5))
    assert found.cheapest.cost == pytest.approx(0.028, abs=1e-3)
    assert offered(told(prices), wish(within=4)).cheapest.start == START + timedelta(hours=1)


def test_flexibility_is_worth_what_it_saves(told: Told) -> None:
    """At half the cap 0.7 of the work takes half the power; tier T2 may, and its credit of 0.04 an hour is more than that saves."""
    found = offered(told([1000.0] * 24), wish(hours=4))
    by_tier = {offer.tier: offer for offer in found.tiers}
    assert set(by_tier) == {"T0", "T2", "T3"}
    assert by_tier["T0"].speed == pytest.approx(1.0)
    assert by_tier["T2"].cost < by_tier["T0"].cost
    assert by_tier["T3"].cost <= by_tier["T2"].cost + 1e-6
    assert by_tier["T2"].costs["credit"] > 0
    assert by_tier["T2"].speed < 1


def test_without_free_gpus_it_is_said_how_many_there_are(told: Told) -> None:
    found = quoted(told(), wish(gpus=12))
    assert isinstance(found, Refusal)
    assert found.limits == ("p: 4 of 10 GPUs are free as long as that", "q: 10 of 10 GPUs are free as long as that")
    assert found.remedies == ("10 GPUs fit into q", "several pools together have as many: ask for each of them")
    assert isinstance(quoted(told(), wish(pool="p", gpus=5)), Refusal)
    assert isinstance(quoted(told(), wish(model="other")), Refusal)


def test_where_the_site_cannot_carry_it_the_limit_is_named_and_a_flexible_tenant_is_taken(told: Told) -> None:
    """What is there draws 2.4 kW and 14 idle GPUs 0.7 kW; eight more at full speed are 2.8 kW above that, and 4.5 kW may be imported."""
    there = told(grid__import_limit_kw=4.5)
    found = quoted(there, wish(gpus=8))
    assert isinstance(found, Refusal)
    assert found.why == "the GPUs are free, and the site cannot carry them"
    assert "q from 2026-07-15 00:00 UTC" in found.limits[0]
    assert "over_limit_kw" in found.limits[0] or "short" in found.limits[0]
    assert "more flexible --tier" in found.remedies[-1]
    assert offered(there, wish(gpus=8), "T3").cheapest.speed < 1


def test_where_the_cheapest_time_cannot_carry_it_a_dearer_one_is_offered(told: Told) -> None:
    """The first two hours are cheap, and 3.3 kW of their limit carry no more than what is there."""
    tight = [{"from_local": "00:00", "to_local": "02:00", "import_limit_kw": 3.3}]
    found = offered(told([10.0] * 2 + [100.0] * 22, grid__limit_windows=tight), wish(within=10))
    assert (found.earliest.start, found.cheapest.start) == (START + timedelta(hours=2), START + timedelta(hours=2))
    assert found.cheapest.cost == pytest.approx(0.28, abs=1e-3)


def test_where_one_pool_cannot_carry_it_another_is_offered(told: Told) -> None:
    there = told(feeders__small={"parent": "main", "rating_kw": 3.2}, pools__p__feeder="small")
    found = offered(there, wish(within=20))
    assert (found.earliest.pool, found.earliest.start) == ("q", START)
    assert isinstance(quoted(there, wish(within=2, pool="p")), Refusal)


def test_of_places_that_are_all_refused_it_is_told_how_many_were_tried(told: Told) -> None:
    found = quoted(told(grid__import_limit_kw=3.3), wish(within=20))
    assert isinstance(found, Refusal)
    assert found.why == "the GPUs are free, and the site cannot carry them at the 24 places that were tried of 42"
    assert len(found.limits) == 24


def test_what_would_end_after_the_plan_is_no_offer(told: Told) -> None:
    """The hour after the plan is not priced, so that a start whose end lies there would be too cheap."""
    prices = [100.0] * 23 + [-300.0]
    assert offered(told(prices), wish(hours=4, within=24)).cheapest.end <= START + timedelta(hours=24)
    assert isinstance(quoted(told(prices), wish(hours=25, within=24)), Refusal)


def test_what_gives_way_is_named(told: Told) -> None:
    """A contract without a floor has the power until somebody comes who is promised it."""
    loose = {"tenant": "t", "kind": "spot", "pool": "q", "gpus": 6, "curve": "train", "value_per_gpu_h": 5}
    there = told(grid__import_limit_kw=6, contracts__loose=loose)
    found = offered(there, wish(pool="p"))
    (way,) = found.cheapest.displaced
    assert (way.kind, way.id) == ("contract", "loose")
    assert way.less_gpu_h > 0.5


def test_accepting_it_and_planning_again_costs_what_was_quoted(told: Told, tmp_path: Path) -> None:
    prices = [60 + 50 * (hour % 5) for hour in range(24)]
    there = told(prices, grid__import_limit_kw=7)
    found = offered(there, wish(gpus=4, hours=24))
    terms = {"tenant": "t", "kind": "reserved", "pool": found.cheapest.pool, "gpus": 4, "curve": "train", "tier": "T0"}
    costs = []
    for settings in ((), (f"contracts.new={json.dumps(terms)}",)):
        said = ("grid.import_limit_kw=7", *settings)
        made = plan(Request(str(tmp_path / "site.yaml"), start=START.isoformat(), horizon="24h", step="1h", settings=said))
        assert isinstance(made, Planned)
        costs.append(made.decided.plan.account.objective)
    assert costs[1] - costs[0] == pytest.approx(found.cheapest.cost, rel=0.01)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(metafunc.config.getoption("--quotes")))


def test_what_is_accepted_costs_what_was_quoted_wherever_and_whenever(told: Told, tmp_path: Path, seed: int) -> None:
    """As a row of a file of contracts, at the place of the earliest and of the cheapest offer."""
    rng = Random(seed)
    prices = [float(round(rng.uniform(-20, 300))) for _ in range(24)]
    limit, tier = rng.choice([6, 8, 12]), rng.choice(["T0", "T1", "T2", "T3"])
    found = quoted(told(prices, grid__import_limit_kw=limit), wish(gpus=rng.randint(1, 6), hours=rng.randint(1, 8), within=rng.randint(0, 12)), tier)
    if isinstance(found, Refusal):
        assert found.limits
        return
    contracts = tmp_path / "contracts.csv"
    request = Request(str(tmp_path / "site.yaml"), start=START.isoformat(), horizon="24h", step="1h", settings=(f"grid.import_limit_kw={limit}",))
    before = plan(request)
    assert isinstance(before, Planned)
    for offer in (found.earliest, found.cheapest):
        row = f"new,t,reserved,{offer.pool},{found.wish.gpus},train,{offer.start.isoformat()},{offer.end.isoformat()},{offer.tier}"
        contracts.write_text(f"contract,tenant,kind,pool,gpus,curve,start,end,tier\n{row}\n")
        after = plan(replace(request, contracts=str(contracts)))
        assert isinstance(after, Planned)
        costs = after.decided.plan.account.objective - before.decided.plan.account.objective
        assert costs == pytest.approx(offer.cost, rel=0.01, abs=1e-4)


def test_who_may_wait_longer_or_gives_more_way_never_pays_more(told: Told, seed: int) -> None:
    rng = Random(seed)
    prices = [round(rng.uniform(-20, 300)) for _ in range(24)]
    there = told([float(price) for price in prices], hours=30, grid__import_limit_kw=rng.choice([5, 7, 12]))
    wanted = wish(gpus=rng.randint(1, 6), hours=rng.randint(1, 8))
    before: float | None = None
    for within in (0, 4, 11, 20):
        found = quoted(there, replace(wanted, within=timedelta(hours=within)), "T2")
        if isinstance(found, Refusal):
            assert before is None, "what could be had is still there for who may wait"
            continue
        least = {offer.tier: offer.cost for offer in found.tiers}
        assert before is None or found.cheapest.cost <= before + 0.01 * abs(before) + 1e-3
        before = found.cheapest.cost
        for less, more in (("T0", "T2"), ("T2", "T3")):
            if less in least:
                assert least[more] <= least[less] + 0.01 * abs(least[less]) + 1e-3


def test_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(RAW))

    def ran(*words: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-m", "facility", "quote", str(file), "--start", "2026-07-15", *words)
        return subprocess.run(command, check=False, capture_output=True, text=True)

    fine = ran("--gpus", "4", "--hours", "2", "--price", "1.5", "--json")
    told = json.loads(fine.stdout)
    assert (fine.returncode, told["offered"], told["cheapest"]["price"]) == (0, True, 12.0)
    for hours in ("2.5", "1.75"):
        part = json.loads(ran("--gpus", "4", "--hours", hours, "--json").stdout)
        assert part["cheapest"]["energy_kwh"] == pytest.approx(1.4 * float(hours), abs=1e-2)
    odd = json.loads(ran("--gpus", "4", "--hours", "2.1", "--json").stdout)
    assert odd["assumed"][-1] == "steps: the rental ends within one of 1 h, and counts for all of it"
    assert odd["cheapest"]["speed"] == pytest.approx(1.0)
    refused = ran("--gpus", "40", "--hours", "2")
    assert refused.returncode == 1
    assert "no offer: 40 GPUs are free in no pool" in refused.stdout
    wrong = ran("--gpus", "0", "--hours", "-1", "--tier", "T9")
    assert wrong.returncode == 2
    assert all(option in wrong.stderr for option in ("--gpus", "--hours", "--tier"))
    assert ran("--gpus", "4", "--hours", "1e12").returncode == 2
    short = ran("--gpus", "4", "--hours", "20", "--within", "8h", "--horizon", "24h")
    assert (short.returncode, "--horizon: 24h does not hold" in short.stderr) == (2, True)
    unknown = ran("--gpus", "1", "--hours", "1", "--pool", "pp", "--accept", "A/b", "--tenant", "tt")
    assert unknown.returncode == 2
    assert all(option in unknown.stderr for option in ("--pool", "--tenant", "--accept: 'A/b' is no name of a contract"))
    deaf = ran("--gpus", "1", "--hours", "1", "--live", "--horizon", "48h", "--jobs-from", "2017-10-02")
    assert (deaf.returncode, "knows more than --jobs-from, --horizon" in deaf.stderr) == (2, True)
