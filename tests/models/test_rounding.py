"""Rounding: whole GPUs, whole watts, never above what was planned, and the work met exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.account import account
from models.heat.chiller import Chiller
from models.heat.cooling_plant import CoolingPlant
from models.heat.hall import Hall
from models.plan import Plan
from models.power.feeder import Feeder
from models.problem import Problem
from models.schedule import Groups, Schedule
from models.sending.cell import Cell, parts_of
from models.sending.room import Room
from models.sending.rounding import meet_work, round_down, schedule_of
from models.work.gpu import Curve, Host, Ladder, ladder

BARE = Host(0.0, 0.0, 0.0, 100.0)
ROUND = Curve((100.0, 200.0, 300.0), (100.0, 200.0, 300.0), (0.3, 0.8, 1.0))
SATURATED = Curve((100.0, 200.0, 300.0), (98.0, 190.0, 195.0), (0.5, 0.8, 1.0))
MEASURED = Curve((100.0, 150.0, 200.0, 250.0, 300.0), (100.0, 149.0, 197.0, 243.0, 291.0), (0.186, 0.41, 0.629, 0.76, 1.0))
near: Callable[[float], Any] = pytest.approx
LADDERS = st.sampled_from([ladder(c, BARE, may_pause=p) for c in (ROUND, SATURATED, MEASURED) for p in (False, True)])


def cell(rungs: Ladder, parts: list[tuple[int, int]], share: float = 1.0) -> Cell:
    return Cell(0, 0, share, parts, rungs)


def empty(problem: Problem) -> Room:
    """All the room there is while nothing runs."""
    steps = len(problem.horizon)
    return Room(problem, Schedule(Groups.of([]), {}, {z.id: np.full(steps, z.start_c) for z in problem.halls}))


def test_a_cap_between_two_rungs_is_shared_out_in_watts() -> None:
    """Of five GPUs at 250.4 W two get 251 W and three 250 W: 0.504 of the way from 200 to 300 W, 5 * 0.4 = 2."""
    assert parts_of(5, ladder(ROUND, BARE, may_pause=True), np.array([1.0, 0.504])) == [(3, 250), (2, 251)]


def test_across_a_gap_gpus_stay_on_its_two_sides_but_for_one() -> None:
    """0.55 of ten from 200 to 300 W, 250 W being no rung: five at 300 W; the sixth is half way, (197 + 291) / 2 = 244 W.

    The curve draws 243 W at 250 W and 291 W at 300 W: 244 W at 251.04 W - but half way in caps, the most it was planned, is 250.
    """
    rungs = ladder(MEASURED, BARE, may_pause=False)
    assert rungs.joined == (True, True, True, False)
    assert parts_of(10, rungs, np.array([1.0, 1.0, 1.0, 0.55])) == [(4, 200), (1, 250), (5, 300)]


@given(LADDERS, st.integers(1, 40), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_no_parts_draw_more_or_are_capped_higher_than_planned(rungs: Ladder, count: int, shares: list[float]) -> None:
    raised = np.array([1.0, *sorted(shares, reverse=True)])[: len(rungs)]
    parts = parts_of(count, rungs, raised)
    planned_w = count * float(raised @ np.diff(rungs.draw_w, prepend=0.0))
    planned_cap_w = count * float(raised @ np.diff(rungs.cap_w, prepend=0.0))
    assert sum(n for n, _ in parts) == count
    assert all(n > 0 for n, _ in parts)
    assert sum(n * rungs.curve.at(cap)[0] for n, cap in parts) <= planned_w + 1e-4 * count
    assert sum(n * cap for n, cap in parts) <= planned_cap_w + 1e-4 * count


@given(st.integers(1, 40), st.floats(0, 1))
def test_between_joined_rungs_less_than_one_watt_is_given_away(count: int, share: float) -> None:
    rungs = ladder(ROUND, BARE, may_pause=True)
    parts = parts_of(count, rungs, np.array([1.0, share]))
    assert sum(n * cap for n, cap in parts) > count * (200 + 100 * share) - 1 - 1e-4 * count


def test_caps_are_multiples_of_the_settable_step() -> None:
    """Of five GPUs at 260 W two get 275 W and three 250 W: 5 * 10 = 2 * 25. Of five at 254.9 W, 24.5 in all, none gets more."""
    rungs = ladder(ROUND, replace(BARE, power_step_w=25), may_pause=True)
    assert parts_of(5, rungs, np.array([1.0, 0.6])) == [(3, 250), (2, 275)]
    assert parts_of(5, rungs, np.array([1.0, 0.549])) == [(5, 250)]
    raised = cell(rungs, [(3, 250), (2, 275)]).raised()
    assert raised is not None
    assert raised.parts == [(2, 250), (3, 275)]
    assert cell(rungs, [(5, 300)]).raised() is None


def test_one_watt_more_goes_to_one_gpu() -> None:
    raised = cell(ladder(ROUND, BARE, may_pause=True), [(3, 250), (2, 251)]).raised()
    assert raised is not None
    assert raised.parts == [(2, 250), (3, 251)]
    assert raised.speed == pytest.approx(2 * 0.9 + 3 * 0.902)


def test_no_watt_is_added_at_the_top_nor_out_onto_a_gap_but_a_gpu_that_is_in_it_goes_on() -> None:
    gapped = ladder(MEASURED, BARE, may_pause=False)
    assert cell(gapped, [(4, 300)]).raised() is None
    assert cell(gapped, [(4, 200)]).raised() is None
    inside = cell(gapped, [(4, 200), (1, 250)]).raised()
    assert inside is not None
    assert inside.parts == [(4, 200), (1, 251)]


def test_a_gang_runs_whole_for_part_of_the_step_and_an_elastic_job_on_part_of_its_gpus(site: Any, job: Any) -> None:
    """Six of ten GPUs, as a mean: ten for 0.6 of the step, or six for all of it. 5.4: ten for 0.54, six for 0.9."""
    problem = site((1.0, 1.0), (0.1, 0.1), jobs=(job(9.0), job(9.0, id="elastic", elastic=True)))
    gpus = np.zeros((2, 2, 2))
    gpus[:, 0, :] = [6.0, 5.4]
    cells = round_down(problem, gpus)
    assert [(c.count, c.count * c.share) for c in cells[0]] == [(10, near(6.0)), (10, near(5.4))]
    assert [(c.count, c.count * c.share) for c in cells[1]] == [(6, near(6.0)), (6, near(5.4))]


def test_lost_work_comes_back_first_by_running_longer(site: Any, job: Any) -> None:
    """Ten GPUs at 200 W for half an hour do 4 GPU h; 6 take three quarters."""
    problem = site(jobs=(job(6.0),))
    cells = {0: [Cell(0, 0, 0.5, [(10, 200)], problem.cells.ladder(0, 0))]}
    meet_work(problem, cells, np.array([6.0]), empty(problem))
    assert [(c.t, c.share, c.parts) for c in cells[0]] == [(0, near(0.75), [(10, 200)])]


def test_then_by_a_watt_more_and_the_rest_is_cut_to_the_exact_work(site: Any, job: Any) -> None:
    """8.003 GPU h: a watt is 0.002 GPU h, two are 8.004, and the hour ends 0.003 / 8.004... of it early."""
    problem = site((1.0,), (0.1,), jobs=(job(8.003, 1.0),))
    cells = {0: [Cell(0, 0, 1.0, [(10, 200)], problem.cells.ladder(0, 0))]}
    meet_work(problem, cells, np.array([8.003]), empty(problem))
    (mine,) = cells[0]
    assert mine.parts == [(8, 200), (2, 201)]
    assert mine.share == pytest.approx(8.003 / 8.004)
    assert mine.share * mine.speed == pytest.approx(8.003, abs=1e-12)


def test_then_in_a_later_step_of_its_own_but_never_in_the_first(site: Any, job: Any) -> None:
    """Full and at the top in the second of three hours: the third takes the 2 GPU h that are missing, the first stays quiet."""
    problem = site((1.0, 1.0, 1.0), (0.1, 0.1, 0.1), jobs=(job(12.0, 3.0),))
    cells = {0: [Cell(0, 1, 1.0, [(10, 300)], problem.cells.ladder(0, 1))]}
    meet_work(problem, cells, np.array([12.0]), empty(problem))
    assert [(c.t, c.share) for c in cells[0]] == [(1, 1.0), (2, near(0.25))]


def test_what_was_too_much_is_cut_from_the_end(site: Any, job: Any) -> None:
    """16 GPU h where 9 are asked for: the second hour is cut to an eighth."""
    problem = site(jobs=(job(9.0),))
    cells = {0: [Cell(0, t, 1.0, [(10, 200)], problem.cells.ladder(0, t)) for t in range(2)]}
    meet_work(problem, cells, np.array([9.0]), empty(problem))
    assert [c.share for c in cells[0]] == [1.0, pytest.approx(0.125)]


def row_and_mech(site: Callable[..., Problem], job: Any, **limits: float) -> Problem:
    """Ten GPUs under a row with 10 % losses; a plant that draws a fifth of the heat, under a feeder of its own."""
    rated = {"root": 100.0, "row": 100.0, "mech": 100.0, "heat": 100.0} | limits
    feeders = (Feeder("root", None, rated["root"]), Feeder("row", "root", rated["row"], 0.1), Feeder("mech", "root", rated["mech"]))
    plant = CoolingPlant("plant", "mech", Chiller(100, rated["heat"], 5, 0, 5, 0, -99, -98, 0, 0, 0, 0, 0))
    hall = Hall("hall", "root", cooling_plant="plant", start_c=20.0, heat_capacity_kwh_per_k=1.0, resistance_k_per_kw=1.0)
    pool = replace(site().pools[0], feeder="row")
    return site(
        limit_kw=limits.get("grid", 100.0), pools=(pool,), halls=(hall,), cooling_plants=(plant,), feeders=feeders, jobs=(job(5.0),)
    )


@pytest.mark.parametrize(
    ("limit", "kw"),
    [
        ("grid", 1.1 + 0.2),  # losses and cooling come on top
        ("root", 1.0 + 1.1 + 0.2),  # 1 kW of lowest caps is there already, with its own losses of 0.1
        ("row", 1.1 + 1.1),
        ("mech", 0.2),  # the cooling's own feeder
        ("heat", 1.0),  # the plant's capacity
    ],
)
def test_room_for_a_kilowatt_counts_losses_cooling_and_every_limit_on_the_way(site: Any, job: Any, limit: str, kw: float) -> None:
    """One kW more of draw and of caps is taken where the limit leaves 3 % more than it needs, not where it leaves 3 % less."""
    base = 1.1 if limit in ("root", "row") else 0.0
    need = kw - base if limit != "root" else 1.1 + 0.2
    enough = empty(row_and_mech(site, job, **{limit: base + need * 1.03}))
    assert enough.take("pool", 0, 5.0, 1.0, 1.0)
    assert not enough.take("pool", 0, 5.0, 1.0, 1.0)
    assert not empty(row_and_mech(site, job, **{limit: base + need * 0.97})).take("pool", 0, 5.0, 1.0, 1.0)


def test_room_for_gpus_is_what_the_pool_has(site: Any) -> None:
    room = empty(site())
    assert room.take("pool", 0, 7.0, 0.0, 0.0)
    assert not room.take("pool", 0, 4.0, 0.0, 0.0)
    assert room.take("pool", 1, 10.0, 0.0, 0.0)


def test_where_peaks_cost_a_peak_is_raised_by_no_more_than_a_kilowatt(site: Any) -> None:
    room = empty(site(peak_price_per_kw=10.0, peak_so_far_kw=5.0))
    assert not room.take("pool", 0, 1.0, 6.0, 0.0)
    assert room.take("pool", 0, 1.0, 5.8, 0.0)


def test_a_schedule_of_cells_is_what_its_cells_say(site: Any, job: Any) -> None:
    problem = site(jobs=(job(8.0),))
    made = schedule_of({0: [Cell(0, 1, 0.5, [(4, 200), (6, 300)], problem.cells.ladder(0, 1))]}, {}, {"hall": np.full(2, 24.0)})
    result = account(problem, made)
    assert result.import_kw.tolist() == pytest.approx([0.0, (0.8 + 1.8) / 2])
    assert result.work_gpu_h[0].tolist() == pytest.approx([0.0, (3.2 + 6) / 2])


def test_rounding_costs_less_than_a_watt_a_gpu(site: Any, firm: Any, job: Any, planned: Callable[[Problem], Plan]) -> None:
    """A rental and a gang at caps that are no whole watts: within a watt a workload and step, 0.001 kWh * 0.4, of the program."""
    plan = planned(site(firms=(firm(gpus=3, floor_speed=0.83333),), jobs=(job(5.4321, gpus=7),)))
    assert plan.status == "optimal"
    assert plan.account.objective - plan.record.bound < 2 * 0.001 * 0.4
