"""Maintenance is found where it costs least, interrupts no contract, and stands in a site file that says so exactly."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import yaml

from facility.config import load_site
from facility.decide import Optimised, decide
from facility.errors import InputError
from facility.maintain.bound import Bound, cheapest
from facility.maintain.free import free_gpus
from facility.maintain.layout import laid_out, moves
from facility.maintain.search import Found, Search
from facility.maintain.stages import Stage, paused, staged
from facility.maintain.wish import Refusal, Wish
from facility.maintain.written import write
from facility.planner import Brief, Request, brief
from facility.problem.maintenance import gpus_left
from facility.process.changes import changes, unhoused
from facility.rental import spans
from facility.rental.rental import Rental, leased, rented_gpus
from facility.site import Maintenance, Site
from facility.snapshot import Job
from facility.steps import uniform
from models.solving.solver import Solver

START = datetime(2026, 7, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
CURVE = {"source": "by hand", "points": [
    {"cap_w": 100, "draw_w": 100, "speed": 0.4}, {"cap_w": 200, "draw_w": 200, "speed": 0.7}, {"cap_w": 400, "draw_w": 400, "speed": 1}]}  # fmt: skip
RAW: dict[str, Any] = {
    "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 20},
    "tariff": {"energy_price_by_hour_per_mwh": [100] * 24}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": CURVE}},
                   "new": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 40, "curves": {"train": CURVE}},
                   "odd": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 40, "curves": {"serve": CURVE}}},
    "feeders": {"main": {"rating_kw": 20}}, "halls": {"h": {"feeder": "main"}},
    "pools": {"p": {"hall": "h", "feeder": "main", "gpu_model": "g", "gpus": 12}},
    "tenants": {"t": {"name": "T"}},
    "contracts": {"here": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 6, "curve": "train", "floor_speed": 1},
                  "spare": {"tenant": "t", "kind": "spot", "pool": "p", "gpus": 2, "curve": "train", "pausable": True, "value_per_gpu_h": 0.001}},
    "jobs": {"curve": "train"},
}  # fmt: skip
SITE = Site.model_validate(RAW)

Told = Callable[..., Brief]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """The brief of a day on the site, with other prices or parts, and jobs."""

    def made(prices: list[float] | None = None, jobs: tuple[Job, ...] = (), hours: int = 24, **parts: Any) -> Brief:
        raw = RAW | parts | ({} if prices is None else {"tariff": {"energy_price_by_hour_per_mwh": prices}})
        file = tmp_path / "site.yaml"
        file.write_text(json.dumps(raw))
        there = brief(Request(str(file), start=START.isoformat(), horizon=f"{hours}h", step="1h"))
        return replace(there, snapshot=replace(there.snapshot, jobs=jobs))

    return made


def wish(gpus: int = 4, hours: float = 2, within: float = 24, **more: Any) -> Wish:
    return Wish("p", gpus, timedelta(hours=hours), START, timedelta(hours=within), **more)


def job(number: int, gpus: int, work_gpu_h: float, submit_h: float, deadline_h: float) -> Job:
    at = [START + timedelta(hours=h) for h in (submit_h, deadline_h)]
    return Job(f"j{number}", "p", "train", gpus, work_gpu_h, at[0], at[1])


def searched(there: Brief, wanted: Wish) -> Found | Refusal:
    return Search(there, 30.0, Solver).find(wanted)


def found(there: Brief, wanted: Wish) -> Found:
    made = searched(there, wanted)
    assert isinstance(made, Found), made
    return made


def test_idle_gpus_leave_in_the_dearest_hours_and_save_their_idle_power(told: Told) -> None:
    """4 GPUs for 2 h at 50 W are 0.4 kWh, at 300 EUR/MWh 0.12 EUR."""
    made = found(told([100.0] * 10 + [300, 300] + [100] * 12), wish())
    assert made.best.starts == (START + 10 * HOUR,)
    assert made.best.more.cost == pytest.approx(-0.12, abs=1e-3)
    assert made.least == pytest.approx(-0.12, abs=1e-2)
    assert len(made.others) == 2
    windows = sorted(choice.starts[0] for choice in (made.best, *made.others))
    assert all(b - a >= 2 * HOUR for a, b in pairwise(windows)), "none meets another"
    assert [choice.than_best["energy"] for choice in made.others] == pytest.approx([0.08, 0.08], abs=1e-3)


def test_work_waits_where_that_is_cheaper_and_is_told_of(told: Told) -> None:
    """A job on all that is free has until noon; GPUs leave in its hours only where they must, and then it is later."""
    jobs = (job(0, 6, 18, 0, 12),)
    assert found(told(jobs=jobs), wish(6)).best.more.later_h == {}
    late = found(told(jobs=jobs), wish(6, within=3))
    assert late.best.more.later_h["j0"] >= 1.5


def test_what_a_contract_keeps_is_not_taken_and_what_may_pause_is(told: Told) -> None:
    made = found(told(), wish(6))
    assert any(way.id == "spare" for way in made.best.more.displaced) == (made.best.more.costs.get("value", 0) > 0)
    refused = searched(told(), wish(7))
    assert isinstance(refused, Refusal)
    assert refused.why == "7 GPUs of p are free at no time for 2 h"
    assert refused.limits == ("contract here keeps 6 of the 12 GPUs of p", "6 GPUs may be out at most, first from 2026-07-15 00:00 UTC")
    assert any("--steps 2" in remedy for remedy in refused.remedies)
    assert any(remedy.startswith("here pauses") for remedy in refused.remedies)
    assert isinstance(searched(told(), wish(7, steps=2)), Found)


def test_other_maintenance_is_kept_away_from_and_told(told: Told) -> None:
    other = {"m": {"pool": "p", "gpus": 4, "start": START.isoformat(), "end": (START + 30 * HOUR).isoformat()}}
    refused = searched(told(maintenance=other), wish(4))
    assert isinstance(refused, Refusal)
    assert "maintenance m keeps 4 of the 12 GPUs of p" in refused.limits
    assert "a later end: from 2026-07-16 06:00 UTC on they are free" in refused.remedies
    half = {"m": other["m"] | {"end": (START + 5 * HOUR).isoformat()}}
    assert found(told(maintenance=half), wish(4)).best.starts[0] >= START + 5 * HOUR


def test_steps_that_take_longer_than_there_is_time_are_refused(told: Told) -> None:
    refused = searched(told(), wish(4, 2, 6, steps=4))
    assert isinstance(refused, Refusal)
    assert refused.remedies == ("--within 8h at least",)


def test_a_site_that_cannot_do_its_work_without_the_gpus_says_what_breaks(told: Told) -> None:
    """All free GPUs have a day of work to do in a day."""
    refused = searched(told(jobs=(job(0, 6, 6 * 24, 0, 24),)), wish(6))
    assert isinstance(refused, Refusal)
    assert "unfinished_gpu_h" in refused.limits[0]


@pytest.mark.parametrize("seed", range(50))
def test_no_window_tried_by_hand_is_cheaper(told: Told, seed: int) -> None:
    some = Random(seed)
    prices = [some.choice((20.0, 60, 100, 200, 300)) for _ in range(24)]
    jobs = tuple(job(n, some.randint(1, 6), some.uniform(1, 8), some.uniform(0, 6), some.uniform(9, 14)) for n in range(some.randint(0, 4)))
    there = told(prices, jobs, hours=12)
    wanted = wish(some.randint(1, 6), some.choice((1, 2, 3)), 12)
    without = planned(there, there.site)
    stages = (Stage(wanted.gpus, wanted.gpus),)
    costs = [planned(there, laid_out(there.site, wanted, stages, (there.edges[s],))) for s in range(13 - wanted.lasts // HOUR)]
    least = min(cost - without for cost in costs)
    made = searched(there, wanted)
    if isinstance(made, Refusal):
        assert jobs, "idle GPUs may always leave"
        return
    assert made.best.more.cost <= least + max(0.01 * abs(least), 0.011)
    assert made.least is not None
    assert made.least <= least + 0.005, "what is said to be the least is no more than that"


def planned(there: Brief, site: Site) -> float:
    made = decide(site, there.snapshot, there.forecast, there.asked, there.edges, 30.0, reasons=False)
    assert isinstance(made, Optimised)
    return made.plan.account.objective


def test_steps_are_one_after_another_and_together_cheapest() -> None:
    """Greedily the first step would take the middle, where two of the three cheap hours are, and leave the second one dear ones."""
    price = np.array([[5, 1, 0, 1, 5]] * 2, float)
    is_open, over = np.ones((2, 5), bool), [2, 3, 4, 5, 6]
    is_open[:, 4] = False
    assert cheapest(Bound(0.0, price), is_open, [*over[:4], 5]) == (1, 3)
    is_open[1, 3] = False
    assert cheapest(Bound(0.0, price), is_open, [*over[:4], 5]) == (0, 2)
    is_open[1] = False
    assert cheapest(Bound(0.0, price), is_open, [*over[:4], 5]) is None


@pytest.mark.parametrize("seed", range(5))
def test_the_cheapest_order_is_that_of_all_orders(seed: int) -> None:
    some = np.random.default_rng(seed)
    price, is_open = some.normal(size=(3, 10)), some.random((3, 10)) < 0.7
    over = [min(s + 3, 10) for s in range(10)]
    is_open[:, 8:] = False
    orders = [(a, b, c) for a in range(10) for b in range(over[a], 10) for c in range(over[b], 10)]
    orders = [order for order in orders if all(is_open[k, s] for k, s in enumerate(order))]
    made = cheapest(Bound(0.0, price), is_open, over)
    assert (made is None) == (not orders)
    if made is not None:
        assert Bound(0.0, price).at(made) == pytest.approx(min(Bound(0.0, price).at(order) for order in orders))


def test_a_contract_moves_to_the_new_gpus_before_its_old_ones_leave() -> None:
    """12 in 4 steps of 3: after the third step 9 new ones are there, and the contract's 6 old ones are not, so that it moves at the second's end."""
    stages = staged(SITE, wish(12, steps=4, to_model="new", to_pool="q"))
    assert not isinstance(stages, Refusal)
    assert [(stage.out, stage.moved, stage.moves) for stage in stages] == [
        (3, (), ()), (6, (), ("here",)), (9, ("here",), ()), (12, ("here",), ("spare",)),
    ]  # fmt: skip


def test_a_contract_that_cannot_move_is_told_and_why() -> None:
    refused = staged(SITE, wish(8, steps=1, to_model="new", to_pool="q"))
    assert isinstance(refused, Refusal)
    assert refused.limits == ("contract here keeps 6 of the 12 GPUs of p and cannot move: 0 new GPUs are free for it before that step",)
    assert any("--steps" in remedy for remedy in refused.remedies)
    refused = staged(SITE, wish(12, steps=4, to_model="odd", to_pool="q"))
    assert isinstance(refused, Refusal)
    assert refused.limits == ("contract here keeps 6 of the 12 GPUs of p and cannot move: odd has no curve train",)
    assert refused.remedies == ("9 GPUs would do (--gpus)",)


def test_what_may_pause_and_cannot_move_is_told() -> None:
    wanted = wish(6, steps=2, to_model="odd", to_pool="q")
    stages = staged(SITE, wanted)
    assert not isinstance(stages, Refusal)
    assert paused(SITE, wanted, stages) == ("spare",)
    assert paused(SITE, wish(4), (Stage(4, 4),)) == ()


def test_old_and_new_gpus_are_there_when_they_are_and_contracts_always(told: Told) -> None:
    """At every instant the GPUs of both pools are what the steps left and brought, and the contract has its six in one of them."""
    wanted = wish(12, steps=4, to_model="new", to_pool="q")
    made = found(told(), wanted)
    edges = uniform(START, START + 24 * HOUR, HOUR)
    old, new = (gpus_left(made.site, pool, edges) for pool in ("p", "q"))
    for t, at in enumerate(edges[:-1]):
        left = 12 - 3 * sum(start <= at for start in made.best.starts)
        come = 3 * sum(start + wanted.lasts <= at for start in made.best.starts)
        assert (old[0][t], old[1][t], new[0][t], new[1][t]) == (left, left, come, come)
        there = spans.at(made.site, at).contracts
        assert there["here"].gpus + there["here-q"].gpus == 6
        assert there["here"].gpus <= left
        assert there["here-q"].gpus <= come
    assert not any(way.id == "here" for way in made.best.more.displaced), "it is the same work in the other pool"


@pytest.mark.parametrize(
    ("span", "here", "there"),
    [
        ({"gpus_until": START + 3 * HOUR}, ("p", None, START + 3 * HOUR), None),
        ({"gpus_from": START + 30 * HOUR}, ("q", START + 30 * HOUR, None), None),
        ({"gpus_until": START + 9 * HOUR}, ("p", None, START + 4 * HOUR), ("q", START + 4 * HOUR, START + 9 * HOUR)),
    ],
)
def test_a_contract_that_moves_begins_and_ends_when_it_did(
    told: Told, tmp_path: Path, span: dict[str, datetime], here: tuple[Any, ...], there: tuple[Any, ...] | None
) -> None:
    """Its old GPUs would be gone 4 h after the start, and the new ones there."""
    wanted = wish(12, steps=4, to_model="new", to_pool="q")
    terms = RAW["contracts"]["here"] | {key: at.isoformat() for key, at in span.items()}
    site = told(contracts=RAW["contracts"] | {"here": terms}).site
    stages = staged(site, wanted)
    assert not isinstance(stages, Refusal)
    laid = laid_out(site, wanted, stages, [START + 2 * k * HOUR for k in range(4)])
    found = {name: (c.pool, c.gpus_from, c.gpus_until) for name, c in laid.contracts.items() if name.startswith("here")}
    assert found == {"here": here} | ({} if there is None else {"here-q": there})
    write(tmp_path / "refresh.yaml", str(tmp_path / "site.yaml"), site, laid, "a refresh")
    moved = [(old, new, at) for old, new, at in moves(site, laid) if old == "here"]
    assert moved == ([("here", "here-q", there[1])] if there else [("here", "here", here[1])] if here[0] == "q" else [])


def test_the_site_file_says_the_same_and_only_what_differs(told: Told, tmp_path: Path) -> None:
    there, given, out = told(), tmp_path / "site.yaml", tmp_path / "refresh.yaml"
    made = found(there, wish(12, steps=4, to_model="new", to_pool="q"))
    write(out, str(given), there.site, made.site, "a refresh")
    raw = yaml.safe_load(out.read_text())
    assert raw["based_on"] == "site.yaml"
    assert set(raw) == {"based_on", "pools", "contracts", "maintenance"}
    assert set(raw["contracts"]["here"]) == {"gpus_until"}
    assert load_site(out).maintenance == made.site.maintenance
    again, layer = tmp_path / "again.yaml", load_site(out)
    write(again, str(out), layer, laid_out(layer, wish(1), (Stage(1, 1),), (START,)), "one more, laid over both")
    assert load_site(again).maintenance.keys() == {*layer.maintenance, "p-out"}
    with pytest.raises(InputError, match="is the site file itself"):
        write(given, str(given), there.site, made.site, "")
    said = given.read_bytes()
    with pytest.raises(InputError, match="is the site file that"):
        write(given, str(out), layer, made.site, "")
    assert given.read_bytes() == said
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="write it into"):
        write(tmp_path / "other" / "again.yaml", str(out), layer, made.site, "")


def test_gpus_that_leave_for_good_and_those_that_come() -> None:
    leaves, comes = Maintenance(pool="p", gpus=4, start=START), Maintenance(pool="p", gpus=2, end=START + HOUR)
    site = SITE.model_copy(update={"maintenance": {"a": leaves, "b": comes}})
    edges = uniform(START - HOUR, START + 2 * HOUR, HOUR)
    assert gpus_left(site, "p", edges)[0] == (10.0, 6.0, 8.0)
    assert [leaves.takes("p", at) for at in edges[:2]] == [0, 4]
    assert [comes.takes("p", at) for at in edges[:3]] == [2, 2, 0]
    assert free_gpus(site, "p", START, START + HOUR) == 0
    assert free_gpus(site, "p", START + HOUR, START + 2 * HOUR) == 2


def test_gpus_that_a_contract_gets_and_gives_back_are_its_own_between() -> None:
    timed = SITE.contracts["here"].model_copy(update={"gpus_from": START + HOUR, "gpus_until": START + 2 * HOUR})
    site = SITE.model_copy(update={"contracts": {**SITE.contracts, "here": timed}})
    assert [spans.at(site, START + h * HOUR).contracts["here"].gpus for h in (0, 1, 2)] == [0, 6, 0]
    assert spans.gpus_by_step(site, uniform(START, START + 3 * HOUR, HOUR)) == {"here": (0, 6, 0)}
    assert spans.at(SITE, START) is SITE
    assert free_gpus(site, "p", START, START + HOUR) == 12
    assert free_gpus(site, "p", START, START + 2 * HOUR) == 6


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "facility", "maintain", *arguments], capture_output=True, text=True, check=False)


def test_the_command_tells_and_writes_what_it_found(tmp_path: Path) -> None:
    file, out = tmp_path / "site.yaml", tmp_path / "refresh.yaml"
    file.write_text(json.dumps(RAW))
    asked = (str(file), "--pool", "p", "--gpus", "4", "--hours", "2", "--within", "12h", "--start", "2026-07-15")
    said = command(*asked, "--json", "--out", str(out))
    told = json.loads(said.stdout)
    assert (said.returncode, told["found"]) == (0, True)
    assert [m.start for m in load_site(out).maintenance.values()] == [datetime.fromisoformat(told["choices"][0]["windows"][0]["start"])]
    table = command(*asked)
    assert "step 1: 4 GPUs leave" in table.stdout
    refused = command(*asked[:4], "8", *asked[5:])
    assert refused.returncode == 1
    assert "contract here keeps 6" in refused.stdout
    wrong = command(str(file), "--pool", "x", "--gpus", "4", "--hours", "0", "--within", "12h", "--to-model", "z", "--steps", "9")
    assert wrong.returncode == 2
    assert all(option in wrong.stderr for option in ("--pool", "--hours", "--to-model", "--steps"))
    refresh = ("--to-model", "new", "--to-pool")
    for hours, within, *more in (("1e12", "1d"), ("2", "9999999d"), ("2", "12h", *refresh, "Q 1"), ("2", "12h", *refresh, "q" * 65)):
        wrong = command(*asked[:5], "--hours", hours, "--within", within, "--start", "2026-07-15", *more)
        assert wrong.returncode == 2, wrong.stderr


def test_a_rental_that_comes_keeps_its_gpus_and_is_moved_by_hand(told: Told) -> None:
    terms = SITE.contracts["here"].model_copy(update={"gpus": 4})
    rental = Rental("r", "burst", terms, START + 4 * HOUR, START + 40 * HOUR, "desk")
    there = told()
    rented = replace(there, site=leased(there.site, (rental,), (rental,)), rentals=(rental,))
    rented = replace(rented, forecast=replace(there.forecast, rented_gpus=rented_gpus((rental,), there.edges)))
    assert found(rented, wish(6, hours=2)).best.starts[0] + 2 * HOUR <= START + 4 * HOUR
    refused = searched(rented, wish(12, steps=4, to_model="new", to_pool="q"))
    assert isinstance(refused, Refusal)
    assert any("burst" in limit and "set it anew in another pool" in limit for limit in refused.limits)


def test_a_site_file_with_maintenance_that_would_end_a_rental_is_refused(told: Told) -> None:
    rental = Rental("r", "burst", SITE.contracts["here"].model_copy(update={"gpus": 2}), START, START + 9 * HOUR, "desk")
    for gpus, many in ((2, 0), (3, 1)):
        new = laid_out(SITE, wish(gpus), (Stage(gpus, gpus),), (START + 2 * HOUR,))
        faults = list(unhoused(SITE, new, changes(SITE, new), (rental,)))
        assert len(faults) == many
    assert not list(unhoused(SITE, SITE, (), (rental,)))
