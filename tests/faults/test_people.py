"""Faults 36, 37, 41, 42, 57: people who ask for too much or against each other, a client id and a site with two who use them, MANUAL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from facility.daemon.loop import Daemon
from facility.daemon.neighbours.pulse import last_will
from facility.decide import Decided
from facility.decision import Decision, PoolCaps
from facility.journal.journal import Journal
from facility.simulate.device import Device
from facility.simulate.gpu import PoolPlant
from facility.simulate.plant import Plant
from tests.faults.conftest import WiredHouse
from tests.faults.fault import Fault
from tests.faults.inside import NOW, Inside
from tests.processes import POOL, ROOT, SITE, Ear, needs_mosquitto

pytestmark = needs_mosquitto
HALL = "hall/h1"
POOLS = ("h1-a", "h1-b")
BASE_KW, LOSS, RATING_KW = 10, 0.03, 510
"""Of ups-1, as `site_configs/demo.yaml` has it: with every cap at 400 W it would carry 542 kW."""


def reported(ear: Ear, pool: str) -> Any:
    """What a pool's agent says that it enforces."""
    return ear.told(f"{ROOT}/cap/{pool[:2]}/{pool}/reported")


def enforced(report: Any) -> set[int]:
    return {report["enforced_cap_w"], *(group["cap_w"] for group in report["groups"])}


def allowed_kw(plant: Plant) -> float:
    """The most that ups-1 would carry, did every GPU draw what it may at this moment."""

    def caps_w(pool: PoolPlant) -> int:
        groups = [group for several in pool.groups.values() for group in several]
        return sum(count * cap_w for count, cap_w in groups) + (pool.pool.gpus - sum(count for count, _ in groups)) * pool.cap_w

    pools = [plant.pools[name] for name in POOLS]
    return (sum(caps_w(pool) + pool.pool.gpus * pool.pool.host_run_w for pool in pools) / 1000 + BASE_KW) * (1 + LOSS)


def obeyed(house: WiredHouse) -> bool:
    """Whether the agents of hall h1 enforce what they were last sent."""
    sent = {pool: house.ear.told(f"{ROOT}/cap/h1/{pool}/desired") for pool in POOLS}
    return all(reported(house.ear, pool)["seq"] == told["seq"] for pool, told in sent.items())


def steady(house: WiredHouse) -> None:
    """Wait until agents have enforced the same caps for a second; meanwhile they may give way to the guard, and no cap rises."""
    held, since = {pool: enforced(reported(house.ear, pool)) for pool in POOLS}, time.monotonic()

    def for_a_second() -> bool:
        nonlocal held, since
        now = {pool: enforced(reported(house.ear, pool)) for pool in POOLS}
        assert all(max(now[pool]) <= max(held[pool]) for pool in POOLS)
        if now != held:
            held, since = now, time.monotonic()
        return time.monotonic() - since >= 1

    house.until(for_a_second, 8, "caps that stay")


def asked(house: WiredHouse, since: float, target: str, name: str) -> bool:
    """Whether the command `name` was heard on the bus."""
    return any(told["id"] == name for told in house.ear.since(since, f"{ROOT}/override/{target}/set"))


@pytest.fixture
def planned(house: WiredHouse) -> Iterator[WiredHouse]:
    house.calm()
    yield house
    for target in (POOL, HALL, "hall/h2", "site", "grid/main"):
        for override in (house.ear.told(f"{ROOT}/override/{target}/state") or {"overrides": []})["overrides"]:
            house.clear(target, override["id"])


def test_fault_36_a_cap_that_the_feeder_does_not_carry_is_clamped_said_so_and_never_in_force(tmp_path: Path, fault: Fault) -> None:
    with closing(Inside(tmp_path)) as inside:
        plant, seen_kw = Plant(inside.site, NOW, seed=None), list[float]()
        inside.others += [Device(plant, inside.open("plant"), inside.clock).tick, lambda: seen_kw.append(allowed_kw(plant))]
        inside.clock.advance(15)
        inside.until(lambda: len(inside.jobs()) > 9, what="every job")
        assert inside.cycle() == "NORMAL"
        inside.go_on(0.2)
        inside.order("grid/main", "room", "import_limit_kw", 1000, priority=5)
        seen_kw.clear()
        answer = fault(lambda: inside.order(HALL, "too-high", "cap_w", 400, priority=1))
        topic = f"{ROOT}/override/{HALL}/set"
        fault.proven(lambda: [m for _, m in inside.ear.heard if m.topic == topic and b'"value": 400' in m.payload], "nobody asks")
        assert answer is not None
        assert answer["status"] == "clamped"
        assert "would not fit under the feeders" in answer["reason"]
        assert 300 < answer["effective"] < 400
        inside.until(lambda: {plant.pools[pool].enforced_cap_w for pool in POOLS} == {answer["effective"]}, what="what it was clamped to")
        assert inside.cycle() == "NORMAL"
        inside.go_on(0.5)
        assert RATING_KW - 2 < max(seen_kw) <= RATING_KW, "all that the feeder carries, and no more at any moment"


def test_fault_37_of_two_operators_of_equal_authority_the_lower_cap_wins_and_the_other_is_told(planned: WiredHouse, fault: Fault) -> None:
    house, began = planned, time.monotonic()
    house.order(POOL, "anns", "cap_w", 200, by="ann")
    answer = fault(lambda: house.order(POOL, "bos", "cap_w", 240, by="bo"))
    fault.proven(lambda: {o["by"] for o in house.ear.told(f"{ROOT}/override/{POOL}/state")["overrides"]} == {"ann", "bo"}, "one of them stands")
    assert answer is not None
    assert (answer["status"], "weaker than cap 200 W on pool/h1/h1-b by ann" in answer["reason"]) == ("accepted", True)

    def settles(cap_w: int) -> None:
        house.until(lambda: enforced(reported(house.ear, "h1-b")) == {cap_w}, 6, f"{cap_w} W at the agent")

    def told(name: str) -> list[str]:
        return [r["status"] for r in house.ear.since(began, f"{ROOT}/override/{POOL}/result") if r["id"] == name]

    settles(200)
    house.order(POOL, "eves", "cap_w", 260, by="eve", priority=5)
    house.until(lambda: told("anns")[-1] == told("bos")[-1] == "outranked", 2, "a word to both who give way")
    settles(260)
    for name, left in (("anns", 260), ("eves", 240)):
        house.clear(POOL, name)
        settles(left)
    house.clear(POOL, "bos")
    house.until(lambda: not house.ear.told(f"{ROOT}/override/{POOL}/state"), 2, "nothing in force")


def test_fault_41_who_connects_with_our_client_id_is_told_of_and_stops_neither_orders_nor_caps(planned: WiredHouse, fault: Fault) -> None:
    house, began = planned, time.monotonic()
    (us,) = {status["instance"] for status in house.statuses() if status["mode"] != "offline"}
    status = f"{ROOT}/svc/{us}/status"
    caps = house.ear.told(f"{ROOT}/cap/h1/h1-b/desired")

    def thrown_out() -> int:
        return sum(told["mode"] == "offline" for told in house.ear.since(began, status))

    other = fault(lambda: house.child("other", "mosquitto_sub", "-p", str(house.port), "-i", us, "-t", "nothing", "-k", "5"))
    try:
        fault.proven(lambda: thrown_out() >= 2, "the broker throws nobody out", within_s=10)
        alarm = f"{ROOT}/alarm/client-id-in-use"
        house.until(lambda: house.ear.told(alarm), 12, "an alarm")
        assert "our client id" in house.ear.told(alarm)["cause"]
        settled, before = time.monotonic(), thrown_out()
        assert house.order(POOL, "meanwhile", "cap_w", 180)["status"] == "accepted"
        house.until(lambda: max(enforced(reported(house.ear, "h1-b"))) == 180, 4, "the cap at the agent")
        time.sleep(max(settled + 5 - time.monotonic(), 0))
        assert thrown_out() == before, "the two still throw each other out"
        assert house.ear.told(f"{ROOT}/cap/h1/h1-b/desired")["seq"] > caps["seq"]
    finally:
        if other is not None:
            other.kill()


def test_fault_42_a_second_daemon_on_the_same_journal_is_refused(planned: WiredHouse, fault: Fault) -> None:
    house = planned
    command = (
        sys.executable, "-m", "facility", "run", SITE, "--broker", house.url, "--history", "none", "--state", str(house.folder / "journal.sqlite"),
    )  # fmt: skip
    second = fault(lambda: subprocess.run(command, check=False, capture_output=True, text=True, timeout=60))
    fault.proven(lambda: second is not None, "nobody starts another", within_s=0)
    assert second is not None
    assert second.returncode == 2
    assert f"process {house.daemon.pid} writes this store" in second.stderr
    assert house.ear.told(f"{ROOT}/alarm/two-daemons") is None


def test_fault_42_of_two_daemons_on_one_site_both_raise_an_alarm_and_agents_obey_the_later(tmp_path: Path, fault: Fault) -> None:
    def always(cap_w: int) -> Callable[[Any], Decided]:
        def planner(question: Any) -> Decided:
            pools = tuple(PoolCaps(pool, cap_w, (), "by hand") for pool in question.site.pools)
            return Decided(Decision(question.edges[0], question.edges[1], pools), question.edges)

        return planner

    with closing(Inside(tmp_path)) as inside:
        plant = Plant(inside.site, NOW, seed=None)
        inside.others.append(Device(plant, inside.open("plant"), inside.clock).tick)
        inside.daemon._planner = always(200)
        inside.clock.advance(15)
        inside.until(lambda: len(inside.jobs()) > 9, what="every job")

        def start_another() -> Daemon:
            inside.clock.advance(60)
            journal = Journal(tmp_path / "other.sqlite", clock=inside.clock)
            bus = inside.open("other", will=last_will(inside.site, "other"))
            daemon = Daemon(inside.site, bus, journal, inside.clock, instance="other", planner=always(160))
            daemon.subscribe()
            assert bus.wait_connected(5)
            inside.others.append(lambda: daemon.attend(0.0))
            inside.until(lambda: len(daemon.rooms.known.situation(inside.clock.now()).snapshot.jobs) > 9, what="every job")
            return daemon

        inside.cycle()
        inside.until(lambda: {pool.enforced_cap_w for pool in plant.pools.values()} == {200}, what="the first one's caps")
        later = fault(start_another)
        fault.proven(lambda: [inside.go_on(0.1), len({s["epoch"] for s in both(inside)}) == 2][1], "there is one daemon", within_s=5)
        assert later is not None
        later.cycle()
        inside.until(lambda: {pool.enforced_cap_w for pool in plant.pools.values()} == {160}, what="the later one's caps")
        for _ in range(3):
            inside.cycle()
            inside.go_on(0.3)
            assert {pool.enforced_cap_w for pool in plant.pools.values()} == {160}, "agents obey the later one alone"
        causes = [daemon.rooms.alarms._standing["two-daemons"].alarm.cause for daemon in (inside.daemon, later)]
        assert causes[0] == "another daemon runs this site: other" or "obeys orders of epoch" in causes[0]
        assert causes[1] == "another daemon runs this site: daemon"
        assert inside.ear.told(f"{ROOT}/alarm/two-daemons")


def both(inside: Inside) -> list[Any]:
    """The statuses of the daemons that are heard."""
    return [told for name in ("daemon", "other") if (told := inside.ear.told(f"{ROOT}/svc/{name}/status")) and told["mode"] != "offline"]


def hold(house: WiredHouse) -> None:
    """End every solver, so that the last plan is held until the next."""
    log = len(house.said())
    house.order("grid/main", f"nudge-{log}", "import_limit_kw", 800)

    def held() -> bool:
        with suppress(ValueError, ProcessLookupError):
            os.kill(house.solver(), signal.SIGKILL)
        return "-> HOLD:" in house.said()[log:]

    house.until(held, 8, "a plan that is held")


def safe(house: WiredHouse) -> None:
    """Keep every solver from answering until what was sent has lapsed; hall h2 draws so little that the guard has nothing to cut."""
    log = len(house.said())
    house.order("hall/h2", f"little-{log}", "cap_w", 150)

    def lapsed() -> bool:
        with suppress(ValueError, ProcessLookupError):
            os.kill(house.solver(), signal.SIGSTOP)
        return "-> SAFE:" in house.said()[log:]

    house.until(lapsed, 25, "fallback caps")


def solving(house: WiredHouse) -> None:
    """Keep the solver amid a solve."""
    os.kill(house.solver(), signal.SIGSTOP)
    house.order("grid/main", f"nudge-{time.monotonic()}", "import_limit_kw", 800)


def back(house: WiredHouse) -> None:
    """Kill the broker, and start it again."""
    house.broker.stop()
    house.ear.newest.clear()
    house.broker.start()
    house.until(lambda: any(status["mode"] != "offline" for status in house.statuses()), 8, "a heartbeat")
    house.until(lambda: all(reported(house.ear, pool) for pool in POOLS), 8, "what agents enforce")


@pytest.mark.parametrize("before", [lambda _house: None, hold, safe, solving, back], ids=["NORMAL", "HOLD", "SAFE", "amid a solve", "broker back"])
def test_fault_57_an_operator_drives_within_two_seconds_and_lets_go_without_a_jump(
    planned: WiredHouse, fault: Fault, before: Callable[[WiredHouse], None]
) -> None:
    house, name, log = planned, f"mine-{time.monotonic()}", len(planned.said())
    try:
        house.order("grid/main", f"room-{log}", "import_limit_kw", 1000, priority=5)  # the guard has nothing to cut
        before(house)
        began = time.monotonic()
        fault(lambda: house.order("site", name, "manual", priority=8))
        fault.proven(lambda: asked(house, began, "site", name), "nobody asks to drive")
        took_s = house.until(lambda: house.mode() == "MANUAL", 2 - (time.monotonic() - began), "MANUAL")
        assert took_s < 2
        house.until(lambda: obeyed(house), 2, "what is in force, at the agents")
        steady(house)
        at_agents = {pool: reported(house.ear, pool) for pool in POOLS}
        let_go = time.monotonic()
        house.clear("site", name)
        for pool, report in at_agents.items():
            topic = f"{ROOT}/cap/{pool[:2]}/{pool}/desired"
            house.until(lambda topic=topic: house.ear.since(let_go, topic), 4, "the first automatic cap")
            first, has = house.ear.since(let_go, topic)[0], defaultdict[str, set[int]](set)
            for group in report["groups"]:
                has[group["workload"]].add(group["cap_w"])
            rises = [group["cap_w"] - max(has[group["workload"]]) for group in first["groups"] if group["workload"] in has]
            assert rises
            assert max(rises) <= 1  # the guard may have lowered some meanwhile
        assert "-> MANUAL:" in house.said()[log:]
    finally:
        with suppress(ValueError, ProcessLookupError):
            os.kill(house.solver(), signal.SIGCONT)
        for override in (house.ear.told(f"{ROOT}/override/grid/main/state") or {"overrides": []})["overrides"]:
            house.clear("grid/main", override["id"])
    house.until(lambda: house.mode() == "NORMAL", 12, "a plan again")


def test_fault_57_a_stop_lowers_every_cap_within_two_seconds_and_is_let_go_without_a_jump(planned: WiredHouse, fault: Fault) -> None:
    house, began, lowest_w = planned, time.monotonic(), 100
    fault(lambda: house.order("site", "stop-it", "stop", priority=8))
    fault.proven(lambda: asked(house, began, "site", "stop-it"), "nobody stops it")
    house.until(lambda: all(enforced(reported(house.ear, pool)) == {lowest_w} for pool in POOLS), 2 - (time.monotonic() - began), "the lowest caps")
    house.until(lambda: house.mode() == "MANUAL", 1, "MANUAL")
    let_go = time.monotonic()
    house.clear("site", "stop-it")
    for pool in POOLS:
        topic = f"{ROOT}/cap/h1/{pool}/desired"
        house.until(lambda topic=topic: house.ear.since(let_go, topic), 4, "the first automatic cap")
        first = house.ear.since(let_go, topic)[0]
        assert max(abs(cap_w - lowest_w) for cap_w in (first["cap_w"], *(group["cap_w"] for group in first["groups"]))) <= 1
    house.until(lambda: house.mode() == "NORMAL" and max(enforced(reported(house.ear, "h1-b"))) > lowest_w, 12, "a plan again")
