"""Faults 1 to 7: a solver that hangs, dies, runs out of time or lies, limits that contradict each other, and numbers that are none.

The first two are of the real daemon's own solver process; the others are of a daemon on a bus in memory, with the site of
`tests/facility/test_daemon.py`.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from facility.bus.interface import Message
from facility.daemon import loop
from facility.site import Site
from facility.steps import rolling
from models.solving.attempt import Attempt, Point
from models.solving.child import Child
from models.solving.outcome import Infeasible, Solved, TimedOut
from models.solving.program import Program
from models.solving.solver import Solver
from tests.facility.test_daemon import NOW, SITE, House
from tests.facility.test_rentals import WHOLE
from tests.faults.conftest import PATIENCE_S, SOLVER_S, WiredHouse
from tests.faults.fault import Fault
from tests.models.test_child import covering
from tests.processes import CAPS, METER, POOL, ROOT, needs_mosquitto, patience


def state(pid: int) -> str:
    """What the kernel says of a process: S sleeps, T is stopped; empty where there is none."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def modes(house: WiredHouse, log: int) -> list[str]:
    """The modes that the daemon said it entered since its log was so long."""
    return re.findall(r" [A-Z]+ -> ([A-Z]+): ", house.said()[log:])


@needs_mosquitto
def test_fault_01_a_solver_that_never_returns_ends_its_cycle_in_time_and_stops_no_operator(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 10, "a plan")
    solver, log = house.solver(), len(house.said())
    fault(lambda: os.kill(solver, signal.SIGSTOP))
    fault.proven(lambda: state(solver) == "T", "the solver is not stopped")
    try:
        began = time.monotonic()
        assert house.order(POOL, "amid", "cap_w", 170)["status"] == "accepted"  # wakes the planner, which hangs from here on
        house.until(lambda: house.highest_cap() <= 170, 2, "the cap, amid a solve that hangs")
        house.until(lambda: state(solver) in ("", "Z"), 12, "the end of what hangs")
        assert time.monotonic() - began <= (3 + SOLVER_S + 2 + 1) * patience(), "a cycle that had begun, the budget and its grace"
    finally:
        with suppress(ProcessLookupError):
            os.kill(solver, signal.SIGCONT)
    current = f"{ROOT}/plan/current"
    before = house.ear.told(current)["plan_id"]
    house.until(lambda: house.ear.told(current)["plan_id"] != before and house.mode() == "NORMAL", PATIENCE_S, "a plan within two cycles")
    assert house.solver() != solver
    assert "SAFE" not in modes(house, log), "it is held, or another solver has a plan in what is left of the time"
    house.clear(POOL, "amid")


@needs_mosquitto
def test_fault_02_a_solver_that_dies_is_told_and_replaced(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 10, "a plan")
    plan = house.ear.told(f"{ROOT}/plan/current")["plan_id"]
    house.until(lambda: house.ear.told(f"{ROOT}/plan/current")["plan_id"] != plan, PATIENCE_S, "the end of a cycle")
    solver, log = house.solver(), len(house.said())
    fault(lambda: os.kill(solver, signal.SIGKILL))
    fault.proven(lambda: state(solver) in ("", "Z"), "the solver lives")
    house.until(lambda: "-> HOLD:" in house.said()[log:], PATIENCE_S, "HOLD")
    assert "died of SIGKILL" in house.said()[log:]
    assert datetime.fromisoformat(house.ear.told(CAPS)["valid_until"]) > house.now()
    house.until(lambda: "HOLD -> NORMAL:" in house.said()[log:], PATIENCE_S, "a plan within two cycles")
    assert state(house.solver()) in ("S", "R")
    assert modes(house, log) == ["HOLD", "NORMAL"]


@pytest.fixture
def planned(tmp_path: Path) -> Iterator[House]:
    """A house with a plan in force, and a job in it."""
    made = House(tmp_path / "journal.sqlite")
    submit(made)
    assert made.daemon.cycle().outcome == "published"
    yield made
    made.kill()


def submit(house: House) -> None:
    deadline = NOW + timedelta(hours=9)
    spec = {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 4, "pool": "p", "deadline": deadline.isoformat()}
    house.say("job/j/spec", spec, retain=True)


def solved_by(house: House, solver_of: Callable[[Program], Any]) -> None:
    """Let the daemon be one that hands its programs to `solver_of`, as a restart with it would."""
    house.kill()
    house.solver_of = solver_of
    house.open()
    house.daemon.start()


def test_fault_03_a_process_that_has_solved_a_thousand_programs_solves_the_next_in_time(tmp_path: Path, fault: Fault) -> None:
    """The solver's time limit counts the clock of its object, which by then shows more than anybody is given."""
    budget_s, some = 0.2, np.random.default_rng(0)
    with Child() as child:
        worn = child(covering(80))

        def wear() -> None:
            for i in range(1000):
                worn.price(1 + some.random(80))
                assert isinstance(worn.solve(budget_s), Solved), i

        fault(wear)
        fault.proven(lambda: worn.runs >= 1000 and worn.run_seconds > budget_s, "its clock shows less than it is given", within_s=0)
        process = child.pid
        house = House(tmp_path / "journal.sqlite", solver_of=child)
        submit(house)
        for _ in range(5):
            assert house.daemon.cycle().mode == "NORMAL"
        assert isinstance(worn.solve(budget_s), Solved)
        assert (child.pid, child.generation) == (process, 0)
        house.kill()


class Hurried(Solver):
    """A solver that gets no time to find a first point."""

    ended: list[Any]

    def run(self, attempt: Attempt, budget_s: float) -> Point | Infeasible | TimedOut:
        found = super().run(attempt, min(budget_s, 0.0))
        self.ended.append(found)
        return found


def test_fault_04_out_of_time_without_any_point_the_last_plan_goes_on_then_the_fallback(planned: House, fault: Fault) -> None:
    Hurried.ended = []
    caps, until = planned.caps(), planned.retained("cap/h/p/desired")["valid_until"]
    fault(lambda: solved_by(planned, Hurried))
    outcome = planned.daemon.cycle()
    fault.proven(lambda: any(isinstance(found, TimedOut) for found in Hurried.ended), "it found a point", within_s=0)
    assert not any(isinstance(found, Point) for found in Hurried.ended)
    assert (outcome.mode, outcome.outcome) == ("HOLD", "held")
    assert "no certified plan within 20 s: Time limit reached" in outcome.reason
    assert (planned.caps(), planned.retained("cap/h/p/desired")["valid_until"]) == (caps, until)
    planned.clock.advance(SITE.control.cap_ttl_s)
    assert planned.daemon.cycle().mode == "SAFE"
    assert max(planned.caps().values()) <= max(caps.values())
    solved_by(planned, Solver)
    assert planned.daemon.cycle().mode == "NORMAL"
    assert planned.caps() == caps


PROMISED = Site.model_validate(WHOLE | {"contracts": {"c": WHOLE["contracts"]["c"] | {"floor_speed": 0.9}}})
LOWEST_KW = 6 * 0.1 + 4 * 0.05
"""What is drawn whatever is ordered: by the rental's 6 GPUs at their lowest cap, and by 4 idle ones."""


@pytest.mark.parametrize(
    ("asked", "families", "caps"),
    [
        ({"limit_kw": 2.0}, ["short_gpu_h"], (285, 287)),
        ({"limit_kw": 0.0}, ["over_limit_kw", "short_gpu_h"], (100, 100)),
        ({"limit_kw": 0.0, "cap_w": 400.0}, ["over_limit_kw"], (100, 100)),
        ({"event_kw": 0.3}, ["over_event_kw", "short_gpu_h"], (100, 100)),
    ],
)
def test_fault_05_limits_that_contradict_each_other_are_kept_as_far_as_physics_allows_and_owned_up_to(
    tmp_path: Path, fault: Fault, asked: Mapping[str, float], families: list[str], caps: tuple[int, int]
) -> None:
    """A speed of 0.9 needs 354 W, 2.33 kW in all, and the job 0.1 more. What is broken is of the lowest rank that can be, never of the plant."""
    house = House(tmp_path / "journal.sqlite", PROMISED)
    submit(house)
    assert house.daemon.cycle().mode == "NORMAL"
    hour = {"start": NOW.isoformat(), "end": (NOW + timedelta(hours=1)).isoformat()}

    def contradict() -> None:
        if "event_kw" in asked:
            house.say("grid/main/event", hour | {"target_kw": asked["event_kw"]}, retain=True)
        else:
            house.say("grid/main/limit", {"unit": "kW", "points": [hour | {"value": asked["limit_kw"]}]}, retain=True)
        assert house.order("job/j", "run", ttl_s=3600)["status"] == "accepted"
        if "cap_w" in asked:
            assert house.order("pool/h/p", "cap_w", asked["cap_w"], ttl_s=3600)["status"] == "accepted"

    fault(contradict)
    told = {topic.rpartition("/main/")[2] for topic in house.broker.retained} & {"limit", "event"}
    fault.proven(lambda: told and min(asked.values()) < 4 * 0.05 + 6 * 0.35, "there is room for all of it", within_s=0)
    outcome = house.daemon.cycle()
    plan, verdict = house.retained("plan/current"), house.daemon.rooms.governor.verdict
    assert (outcome.mode, outcome.outcome) == ("NORMAL", "published"), outcome
    assert plan is not None
    assert list(dict.fromkeys(breach["family"] for breach in plan["breaches"])) == families
    assert all(breach["amount"] > 0 and breach["remedy"] for breach in plan["breaches"])
    assert not [violation for violation in verdict if violation.tier == "plant"]
    assert caps[0] <= house.caps()["c"] <= caps[1]
    job = house.retained("job/j/desired")
    assert job is not None
    assert job["action"] == ("run" if families == ["short_gpu_h"] else "hold")
    if "limit_kw" in asked and asked["limit_kw"] < LOWEST_KW:
        assert f"({LOWEST_KW:g} of 0 kW)" in outcome.reason
    house.kill()


class Liar(Solver):
    """A solver whose first `lies` answers are not true: `lie` makes them of what it found."""

    lie: Callable[[Point], Point | Infeasible]
    lies: float
    told: list[tuple[Program, Point | Infeasible]]

    def run(self, attempt: Attempt, budget_s: float) -> Point | Infeasible | TimedOut:
        found = super().run(attempt, budget_s)
        if not isinstance(found, Point) or len(Liar.told) >= Liar.lies:
            return found
        lie = Liar.lie(found)
        Liar.told.append((self.program, lie))
        return lie


def untrue(program: Program, told: Point | Infeasible) -> bool:
    """Whether something that solved it without us knows better."""
    bounds = np.column_stack([program.lower, program.upper])
    upper, lower = np.isfinite(program.row_upper), np.isfinite(program.row_lower)
    rows = np.vstack([program.matrix.toarray()[upper], -program.matrix.toarray()[lower]])
    limits = np.concatenate([program.row_upper[upper], -program.row_lower[lower]])
    best = linprog(program.cost, rows, limits, bounds=bounds)
    if isinstance(told, Infeasible):
        return bool(best.success)
    keeps = bool((rows @ told.x <= limits + 1e-6).all() and (told.x >= program.lower - 1e-6).all() and (told.x <= program.upper + 1e-6).all())
    return not keeps or program.cost @ told.x > best.fun + 1e-3 * abs(best.fun)


LIES: dict[str, Callable[[Point], Point | Infeasible]] = {
    "infeasible": lambda _: Infeasible("Infeasible"),
    "breaks its rows": lambda found: replace(found, x=found.x * 0.9),
    "no optimum": lambda found: replace(found, x=np.zeros_like(found.x)),
}


@pytest.mark.parametrize("lies", [1, math.inf])
@pytest.mark.parametrize("lie", LIES)
def test_fault_06_a_lie_is_solved_again_cold_and_one_that_is_upheld_moves_nothing(
    planned: House, fault: Fault, lie: str, lies: float
) -> None:
    caps = planned.caps()
    Liar.lie, Liar.lies, Liar.told = staticmethod(LIES[lie]), lies, []
    fault(lambda: solved_by(planned, Liar))
    outcome = planned.daemon.cycle()
    fault.proven(lambda: any(untrue(*told) for told in Liar.told), "it never lied", within_s=0)
    assert planned.caps() == caps
    if lies == 1:
        assert outcome.mode == "NORMAL"
    else:
        why = "the solver found no feasible point" if lie == "infeasible" else "failed its certificate every time"
        assert (outcome.mode, outcome.outcome, why in outcome.reason) == ("HOLD", "held", True), outcome


RICH = Site.model_validate(WHOLE | {
    "tariff": {"energy_price_per_mwh": 50, "imbalance_premium_per_mwh": 1000, "demand_charges": {"peak": {"price_per_kw": 10}}},
    "carbon": {"intensity_g_per_kwh": 300, "price_per_tonne": 80},
    "halls": {"h": {"feeder": "main", "base_kw": 0.1, "thermal": {
        "heat_capacity_kwh_per_k": 1, "resistance_k_per_kw": 5, "start_c": 24, "recommended_min_c": 18, "recommended_max_c": 27,
        "allowable_max_c": 35, "cooling_plant": "k",
    }}},
    "cooling_plants": {"k": {
        "feeder": "main", "design_heat_kw": 5, "max_heat_kw": 6, "cop_at_25c": 4.5, "cop_loss_per_k": 0.05, "cop_min": 1.5,
        "min_load_share": 0.1, "free_cooling_full_below_c": 5, "free_cooling_none_above_c": 9, "pump_kw": 0.05, "pump_min_share": 0.2,
        "fan_kw": 0.05, "fan_min_share": 0.15, "misc_kw": 0.02,
        "store": {"capacity_kwh": 2, "charge_kw": 1, "discharge_kw": 1, "loss_share_per_h": 0.01, "start_share": 0.5},
    }},
    "batteries": {"b": {
        "feeder": "main", "capacity_kwh": 2, "charge_kw": 0.5, "discharge_kw": 0.5, "efficiency": 0.95, "min_share": 0.1,
        "start_share": 0.5, "wear_price_per_mwh": 10,
    }},
})  # fmt: skip
READINGS = {
    "site/meter/main/import_kw": 3.0, "site/feeder/main/power_kw": 3.0, "h/pool/p/it_power_kw": 2.5, "h/hall/h/air_temperature_c": 24.0,
    "site/cooling/k/power_kw": 0.3, "site/cooling/k/stored_kwh": 1.0, "site/battery/b/energy_kwh": 1.0, "site/weather/outdoor/temperature_c": 10.0,
}  # fmt: skip

UNREAD = {"import_high_kw", "feeder_high_kw", "interval_s", "value"}
"""What guard and console read, and no plan."""

Spoil = Callable[[float], Any]


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, float, Spoil]]:
    """Each number that `value` is made of: its path, itself, and what makes of another number a `value` that has that instead.

    Of what is long, the first and the one in the middle. A site's are left out: they come through a parser that takes no other.
    """
    if isinstance(value, float):
        yield path, value, lambda number: number
    elif isinstance(value, np.ndarray):
        for i in sorted({0, len(value) // 2}):
            yield f"{path}[{i}]", float(value[i]), lambda number, i=i: np.where(np.arange(len(value)) == i, number, value)
    elif isinstance(value, tuple) and value:
        for i in sorted({0, len(value) // 2}):
            for name, it, spoil in numbers(value[i], f"{path}[{i}]"):
                yield name, it, lambda number, i=i, spoil=spoil: (*value[:i], spoil(number), *value[i + 1 :])
    elif isinstance(value, Mapping):
        for key in value:
            for name, it, spoil in numbers(value[key], f"{path}[{key}]"):
                yield name, it, lambda number, key=key, spoil=spoil: {**value, key: spoil(number)}
    elif is_dataclass(value) and not isinstance(value, type):
        for part in fields(value):
            for name, it, spoil in numbers(getattr(value, part.name), f"{path}.{part.name}"):
                yield name, it, lambda number, part=part.name, spoil=spoil: replace(value, **{part: spoil(number)})


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[House]:
    """A house in which there is something of everything that a question may be made from."""
    house = House(tmp_path / "journal.sqlite", RICH)
    submit(house)
    at, hour = int(NOW.timestamp() * 1000), {"start": NOW.isoformat(), "end": (NOW + timedelta(hours=1)).isoformat()}
    for key, value in READINGS.items():
        house.say(f"tele/{key}", {"value": value, "timestamp": at})
    later = {"start": (NOW + timedelta(hours=2)).isoformat(), "end": (NOW + timedelta(hours=3)).isoformat()}
    house.say("grid/main/event", later | {"target_kw": 2.0}, retain=True)
    house.say("position/set", {"id": "p1", "by": "ann", "points": [hour | {"value": 3.0}]})
    assert house.order("pool/h/p", "cap_w", 390.0)["status"] == "accepted"
    assert house.daemon.cycle().mode == "NORMAL"
    yield house
    house.kill()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy only warns there, too
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_fault_07_no_number_that_is_none_comes_out_wherever_it_goes_in(
    busy: House, fault: Fault, monkeypatch: pytest.MonkeyPatch, number: float
) -> None:
    known, governor, committed, caps = busy.daemon.rooms.known, busy.daemon.rooms.governor, busy.daemon.rooms.committed, busy.caps()
    asked = loop.ask(known, governor, committed.kw(rolling(NOW)), rolling(NOW), unheard=False)
    places = {name: spoil for name, it, spoil in numbers(asked) if math.isfinite(it)}
    assert {".made.snapshot.hall_c[h]", ".forecast.price_per_mwh[29]", ".events[0].target_kw", ".near_kw[c][0]"} <= places.keys()
    spoilt = {name: fault(lambda spoil=spoil: spoil(number)) or asked for name, spoil in places.items()}
    none = [name for name, question in spoilt.items() for place, it, _ in numbers(question) if place == name and not math.isfinite(it)]
    fault.proven(lambda: none == list(places), "each is a number", within_s=0)
    unused = set()
    for name, question in spoilt.items():
        monkeypatch.setattr(loop, "ask", lambda *_, question=question, **__: question)
        outcome = busy.daemon.cycle()
        assert outcome.outcome in ("published", "held"), (name, outcome)
        assert outcome.reason
        assert busy.caps() == caps, name
        if outcome.outcome == "published":
            unused.add(name)
    assert {name.rpartition(".")[2].partition("[")[0] for name in unused} <= UNREAD
    assert not busy.daemon.faults


@needs_mosquitto
def test_fault_05_a_limit_that_firm_load_cannot_keep_is_owned_up_to_by_the_running_house(house: WiredHouse, fault: Fault) -> None:
    """Nothing may be drawn for an hour: every cap falls to its lowest at once, the next plan says what it breaks, and then all is as before."""
    house.until(lambda: house.mode() == "NORMAL", 10, "a plan")
    now, topic = house.now(), f"{ROOT}/grid/main/limit"
    point = {"start": now.isoformat(), "end": (now + timedelta(hours=1)).isoformat(), "value": 0.0}
    fault(lambda: house.publish(topic, json.dumps({"unit": "kW", "points": [point]}), "-r"))
    fault.proven(lambda: house.ear.told(topic) and (house.ear.told(METER) or {"value": 0})["value"] > 100, "nothing contradicts")
    house.until(lambda: house.highest_cap() == 100, 2, "the lowest caps")

    def owned_up_to() -> list[str]:
        plan = house.ear.told(f"{ROOT}/plan/current")
        return [breach["family"] for breach in plan["breaches"]] if plan else []

    try:
        house.until(lambda: "over_limit_kw" in owned_up_to(), PATIENCE_S, "a plan that says so")
        house.until(lambda: house.mode() == "NORMAL", 2, "its mode")
        assert owned_up_to()[0] == "over_limit_kw", "the highest rank first"
    finally:
        house.ear.bus.publish(Message(topic, b"", qos=1, retain=True))
    house.until(lambda: "over_limit_kw" not in owned_up_to() and house.highest_cap() > 100, PATIENCE_S + 3, "usual caps")
