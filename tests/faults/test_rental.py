"""Fault 59: GPUs die amid a rental, on a bus in memory with the real solver, and in the running house.

The site in memory is that of `tests/facility/test_rentals.py`: pool
`p` has 10 GPUs, 6 of them rented by `c` at a penalty of 12 EUR a GPU hour, 2 wanted by job `j`; pool `q` has 4 of the same model.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.site import Site
from tests.facility.test_daemon import NOW, House
from tests.facility.test_rentals import WHOLE, WIDER, burst
from tests.faults.conftest import PATIENCE_S, WiredHouse
from tests.faults.fault import Fault
from tests.processes import CAPS, ROOT, needs_mosquitto

DEAR = Site.model_validate(WIDER.model_dump(mode="json", exclude_unset=True) | {
    "contracts": {"c": WHOLE["contracts"]["c"] | {"penalty_per_gpu_h": 12, "floor_speed": 0.5}},
})  # fmt: skip


class Halls(House):
    """A house whose agents report which GPUs they have; `alive` by pool."""

    alive: dict[str, int]

    def report(self) -> None:
        """Let every agent obey what it was sent last, and say so."""
        for pool, gpus in self.alive.items():
            sent = self.retained(f"cap/h/{pool}/desired")
            assert sent is not None
            caps = {"enforced_cap_w": max([sent["cap_w"], *(group["cap_w"] for group in sent["groups"])]), "groups": sent["groups"]}
            orders = {"timestamp": int(self.clock.now().timestamp() * 1000), "epoch": sent["epoch"], "seq": sent["seq"]}
            self.say(f"cap/h/{pool}/reported", caps | orders | {"gpus": gpus}, retain=True)

    def live(self, minutes: float) -> None:
        """Let time pass, with reports every ten seconds and a plan every five minutes."""
        for tick in range(int(minutes * 6)):
            self.clock.advance(10)
            self.report()
            self.daemon.upkeep.guard_s -= 1
            self.settle()
            if tick % 30 == 29:
                self.daemon.cycle()

    def run(self) -> dict[str, int]:
        """The GPUs of each workload as they are sent for pool `p`."""
        sent = self.retained("cap/h/p/desired")
        assert sent is not None
        gpus: Counter[str] = Counter()
        for group in sent["groups"]:
            gpus[group["workload"]] += group["gpus"]
        return dict(gpus)

    def on_the_bus(self) -> dict[str, Any]:
        """What the agent of pool `p` says, as anybody hears it."""
        return self.retained("cap/h/p/reported") or {}

    def rental(self, name: str = "c") -> dict[str, Any]:
        """A rental as its tenant sees it."""
        self.clock.advance(10)  # a view lags so far behind
        self.daemon.upkeep.guard_s -= 1
        self.settle()
        view = self.retained("tenant/t/view")
        assert view is not None
        return next(rental for rental in view["rentals"] if rental["contract"] == name)


@pytest.fixture
def halls(tmp_path: Path) -> Iterator[Halls]:
    made = Halls(tmp_path / "journal.sqlite", DEAR)
    made.alive = {"p": 10, "q": 4}
    deadline = (NOW + timedelta(hours=9)).isoformat()
    made.say("job/j/spec", {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 4, "pool": "p", "deadline": deadline}, retain=True)
    made.daemon.cycle()
    made.live(1)
    assert made.run() == {"c": 6, "j": 2}
    yield made
    made.kill()


def test_fault_59_gpus_that_die_are_replaced_by_spare_ones_of_their_pool_and_jobs_give_way(halls: Halls, fault: Fault) -> None:
    wanted, caps = halls.wanted, halls.caps()
    fault(lambda: halls.alive.update(p=7))
    halls.live(0.5)
    fault.proven(lambda: halls.on_the_bus()["gpus"] == 7, "the agent has all its GPUs", within_s=0)
    assert halls.wanted > wanted, "a plan is wanted at once"
    assert halls.daemon.cycle().mode == "NORMAL"
    assert not halls.daemon.rooms.governor.verdict
    assert halls.run() == {"c": 6}
    assert halls.caps()["c"] == caps["c"]
    job, alarm = halls.retained("job/j/desired"), halls.retained("alarm/gpus-p")
    assert job is not None
    assert job["action"] == "hold"
    assert alarm is not None
    assert (alarm["severity"], "3 of 10 GPUs of pool p are gone; every contract has its GPUs" in alarm["cause"]) == ("warning", True)
    assert (halls.rental()["running"], halls.rental()["gone"], halls.rental()["credit"]) == (6, 0, 0)


def test_fault_59_a_rental_without_spares_is_served_as_far_as_it_goes_and_credited_through_a_crash(halls: Halls, fault: Fault) -> None:
    fault(lambda: halls.alive.update(p=4))
    halls.live(0.5)
    fault.proven(lambda: halls.on_the_bus()["gpus"] == 4, "the agent has all its GPUs", within_s=0)
    assert halls.daemon.cycle().mode == "NORMAL"
    assert not halls.daemon.rooms.governor.verdict
    assert halls.run() == {"c": 4}
    alarm = halls.retained("alarm/gpus-p")
    assert alarm is not None
    assert (alarm["severity"], "c lacks 2, 24 EUR an hour are owed" in alarm["cause"]) == ("alarm", True)
    assert "q of the same model could take the 2 of c" in alarm["remedy"]
    halls.live(30)
    halls.kill()
    halls.clock.advance(15 * 60)
    halls.open()
    halls.daemon.start()
    halls.daemon.cycle()
    halls.live(14.5)
    assert halls.run() == {"c": 4}
    seen = halls.rental()
    assert (seen["gpus"], seen["running"], seen["gone"]) == (6, 4, 2)
    assert seen["missed_gpu_h"] == pytest.approx(2.0, abs=0.02)
    assert seen["credit"] == pytest.approx(24.0, abs=0.24)
    assert "out of order" in seen["reason"]
    halls.alive.update(p=10)
    halls.live(0.5)
    halls.daemon.cycle()
    assert halls.run() == {"c": 6, "j": 2}
    assert halls.retained("alarm/gpus-p") is None
    halls.live(30)
    assert halls.rental()["missed_gpu_h"] == pytest.approx(2.0, abs=0.03), "what is over is no longer counted, nor forgotten"
    entries = [entry for entry in halls.journal.account(NOW) if entry.sort == "contract" and entry.target == "c"]
    assert [entry.action for entry in entries] == ["short", "short", "whole"]
    assert "2.0" in entries[-1].says


def test_fault_59_a_pool_that_dies_whole_stops_no_plan_and_no_fallback(halls: Halls, fault: Fault) -> None:
    fault(lambda: halls.alive.update(p=0))
    halls.live(0.5)
    fault.proven(lambda: halls.on_the_bus()["gpus"] == 0, "the agent has GPUs", within_s=0)
    assert halls.daemon.cycle().mode == "NORMAL"
    assert (halls.run(), halls.daemon.rooms.governor.verdict) == ({}, ())
    assert (halls.rental()["running"], halls.rental()["gone"]) == (0, 6)
    halls.clock.advance(DEAR.control.cap_ttl_s)
    halls.settle()
    assert (halls.mode(), halls.run()) == ("SAFE", {})


def test_fault_59_of_two_rentals_the_cheaper_one_goes_without(halls: Halls, fault: Fault) -> None:
    halls.say("contract/burst/set", burst(hours=0.5, gpus=3, penalty_per_gpu_h=30))
    halls.daemon.cycle()
    halls.live(1)
    assert halls.run() == {"c": 6, "burst": 3}
    fault(lambda: halls.alive.update(p=5))
    halls.live(0.5)
    fault.proven(lambda: halls.on_the_bus()["gpus"] == 5, "the agent has all its GPUs", within_s=0)
    halls.daemon.cycle()
    assert halls.run() == {"c": 2, "burst": 3}
    assert (halls.rental("burst")["gone"], halls.rental("c")["gone"]) == (0, 4)
    halls.live(31)
    assert halls.run() == {"c": 5}, "the other rental has ended"


@needs_mosquitto
def test_fault_59_when_racks_of_the_running_house_die_the_next_plan_is_for_what_is_left(house: WiredHouse, fault: Fault) -> None:
    """The agent of a pool of 480 GPUs, of which kepler-tune has 192 at 30 EUR a GPU hour, has 150 left and then all again."""
    topic, left = f"{ROOT}/cap/h1/h1-b/reported", 150

    def working() -> int:
        sent = house.ear.told(CAPS)
        return sum(group["gpus"] for group in sent["groups"]) if sent else 0

    house.until(lambda: house.mode() == "NORMAL" and working() > left, 10, "a plan")
    house.plant.send_signal(signal.SIGSTOP)  # so that nobody else says how many there are
    try:
        report = house.ear.told(topic)
        dead = report | {"gpus": left, "timestamp": round(house.now().timestamp() * 1000)}
        fault(lambda: house.publish(topic, json.dumps(dead), "-r"))
        fault.proven(lambda: house.ear.told(topic)["gpus"] == left, "the agent has all its GPUs")
        house.until(lambda: house.ear.told(f"{ROOT}/alarm/gpus-h1-b"), 5, "an alarm")
        house.until(lambda: working() <= left, PATIENCE_S, "a plan for what is left")
        cause = house.ear.told(f"{ROOT}/alarm/gpus-h1-b")["cause"]
        assert cause == "330 of 480 GPUs of pool h1-b are gone; kepler-tune lacks 42, 1260 EUR an hour are owed"
    finally:
        house.plant.send_signal(signal.SIGCONT)
    house.until(lambda: not house.ear.told(f"{ROOT}/alarm/gpus-h1-b"), PATIENCE_S, "its end")
    house.until(lambda: working() > left, PATIENCE_S, "a plan for all of them")
