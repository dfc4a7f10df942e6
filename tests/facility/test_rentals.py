"""Contracts that come and go over the bus; the site and the bus are those of `test_daemon`: 10 GPUs in pool `p`, 6 of them rented by `c`."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facility.bus.interface import Message
from facility.bus.messages import ContractClear, ContractSet, ContractState
from facility.bus.messages.codec import Command
from facility.daemon.loop import RETAINED_S
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.rental.desk import RentalDesk
from facility.rental.fit import free_gpus
from facility.rental.rental import Rental, rented_gpus
from facility.simulate.plant import Plant
from facility.site import Contract, Site
from facility.site.tenancy import RENTED
from tests.facility.test_daemon import NOW, ROOT, SITE, House

HOUR = timedelta(hours=1)
WHOLE = SITE.model_dump(mode="json", exclude_unset=True)
WIDER = Site.model_validate(WHOLE | {
    "pools": {"p": WHOLE["pools"]["p"], "q": WHOLE["pools"]["p"] | {"gpus": 4}},
    "maintenance": {"swap": {"pool": "q", "gpus": 3, "start": "2026-07-01T18:00Z", "end": "2026-07-01T20:00Z"}},
})  # fmt: skip


def burst(hours: float = 1, starts: float = 0, **changed: Any) -> dict[str, Any]:
    """A rental of 3 GPUs of `p` that starts in `starts` hours and lasts `hours`."""
    start = NOW + timedelta(hours=starts)
    told = {"id": "r-1", "by": "desk", "reason": "a launch", "tenant": "t", "kind": "reserved", "pool": "p", "gpus": 3, "curve": "train",
            "start": start.isoformat(), "end": (start + timedelta(hours=hours)).isoformat(), "floor_speed": 0.5}  # fmt: skip
    return told | changed


def ask(house: House, contract: str = "burst", verb: str = "set", **changed: Any) -> dict[str, Any]:
    """Send a contract command and return its answer."""
    house.heard("")
    house.say(f"contract/{contract}/{verb}", burst(**changed) if verb == "set" else {"id": "r-1", "by": "desk"} | changed)
    return house.heard(f"contract/{contract}/result")[0]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite")
    yield made
    made.kill()


@pytest.fixture
def wider(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite", WIDER)
    yield made
    made.kill()


def run(house: House) -> dict[str, int]:
    """Make a plan that the verifier has nothing against; the GPUs of each workload that it sends."""
    assert house.daemon.cycle().outcome == "published"
    assert house.daemon.rooms.governor.verdict == ()
    sent = house.retained("cap/h/p/desired")
    assert sent is not None
    gpus: Counter[str] = Counter()
    for group in sent["groups"]:
        gpus[group["workload"]] += group["gpus"]
    return dict(gpus)


def test_a_rental_is_answered_shown_and_in_the_next_plan(house: House) -> None:
    assert run(house) == {"c": 6}
    answer = ask(house)
    assert (answer["status"], answer["effective"], answer["until"]) == ("accepted", 3, "2026-07-01T13:00:00Z")
    assert house.wanted
    assert ("firm.gpus", "burst") in {(v.rule, v.asset) for v in house.daemon.rooms.governor.verdict}
    state = house.retained("contract/burst/state")
    assert state is not None
    assert (state["gpus"], state["tenant"], state["by"], state["end"]) == (3, "t", "desk", "2026-07-01T13:00:00Z")
    assert run(house) == {"c": 6, "burst": 3}


def test_a_rental_ends_at_its_end_and_never_comes_back(house: House) -> None:
    ask(house)
    run(house)
    house.clock.advance(3600)
    house.settle()
    assert set(house.caps()) == {"", "c"}
    assert house.heard("contract/burst/result")[-1]["status"] == "expired"
    assert house.retained("contract/burst/state") is None
    house.clock.advance(-600)
    house.settle()  # the daemon begins anew, and listens before it goes on
    time.sleep(RETAINED_S)
    house.settle()
    assert run(house) == {"c": 6}
    assert ask(house, id="r-1")["status"] == "duplicate"


def test_an_end_that_a_process_stored_and_died_before_it_told_is_told_by_the_next_one_once(house: House) -> None:
    ask(house)
    house.clock.advance(3600)
    house.daemon.within(lambda rooms, now: rooms.known.rentals.expire(now))  # and dies
    for told in (["expired"], []):
        house.kill()
        house.heard("")
        house.open()
        house.daemon.start()
        assert [answer["status"] for answer in house.heard("contract/burst/result")] == told


def test_a_rental_survives_a_restart_and_a_broker_that_forgot(house: House) -> None:
    ask(house)
    run(house)
    house.kill()
    house.broker.stop(forget=True)
    house.broker.start()
    house.open()
    house.daemon.start()
    assert house.retained("contract/burst/state") is not None
    assert run(house) == {"c": 6, "burst": 3}
    house.kill()
    house.clock.advance(7200)
    house.open()
    house.daemon.start()
    house.settle()
    assert house.retained("contract/burst/state") is None
    assert run(house) == {"c": 6}


def test_a_rental_is_on_the_disk_before_it_is_acknowledged(house: House) -> None:
    ask(house)
    with Journal(house.path, read_only=True) as reader:
        assert [(rental.contract, rental.terms.gpus) for rental, _ in reader.rentals()] == [("burst", 3)]


def test_what_cannot_be_stored_does_not_act(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreFault("the disk is full")

    monkeypatch.setattr(Journal, "save_rental", full)
    answer = ask(house)
    assert (answer["status"], "the disk is full" in answer["reason"]) == ("rejected", True)
    assert run(house) == {"c": 6}


def test_a_rental_to_come_leaves_its_gpus_to_jobs_until_then(house: House) -> None:
    """Job j takes the 4 GPUs that c leaves; from the second hour on the rental has 3 of them, so that only 1 is left then."""
    deadline = (NOW + 3 * HOUR).isoformat()
    house.say("job/j/spec", {"submit": NOW.isoformat(), "gpus": 4, "work_gpu_h": 9, "pool": "p", "deadline": deadline, "elastic": True})
    assert ask(house, starts=1, hours=2)["status"] == "accepted"
    assert house.retained("contract/burst/state") is not None
    assert run(house) == {"c": 6, "j": 4}
    found = house.daemon.rooms.governor.plan
    assert found is not None
    plan = found.plan
    burst_at = [firm.id for firm in plan.problem.firms].index("burst")
    running = plan.account.running
    before, after = found.edges.index(NOW + HOUR), found.edges.index(NOW + 2 * HOUR)
    assert running[burst_at, :before].tolist() == [0.0] * before
    assert running[burst_at, before:after] == pytest.approx([3.0] * (after - before))
    assert plan.problem.free_gpus("p")[[0, before]] == pytest.approx([4.0, 1.0])
    house.clock.advance(3600)
    house.settle()
    assert house.daemon.cycle().outcome == "published"
    assert "burst" in house.caps()


@pytest.mark.parametrize(
    ("contract", "changed", "why"),
    [
        ("burst", {"gpus": 5}, "5 GPUs of p are not free all that time, 4 are; no pool"),
        ("burst", {"tenant": "u"}, "no tenant u"),
        ("burst", {"pool": "q"}, r"no pool q \(.*p\)"),
        ("burst", {"curve": "trains"}, r"no curve trains \(nearest: train\)"),
        ("burst", {"curve": None}, "needs a pool and a curve"),
        ("burst", {"slow_hours": 3}, "need a tier"),
        ("burst", {"demand_by_hour_gpus": [4] * 24}, "asks for 4 GPUs, it rents 3"),
        ("c", {}, "a contract of the site file"),
        ("j", {}, "the name of a job"),
        ("burst", {"by": " "}, "nobody signed"),
        ("burst", {"gpu": 3}, "gpu"),
    ],
)
def test_a_rental_that_does_not_fit_is_refused_with_what_would(house: House, contract: str, changed: dict[str, Any], why: str) -> None:
    house.say("job/j/spec", {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 4, "pool": "p"})
    answer = ask(house, contract, **changed)
    assert answer["status"] == "rejected"
    assert re.search(why, answer["reason"]), answer["reason"]
    assert house.retained(f"contract/{contract}/state") is None


@pytest.mark.parametrize("changed", [{"hours": 0}, {"starts": -2}])
def test_a_rental_without_time_left_is_expired(house: House, changed: dict[str, Any]) -> None:
    assert ask(house, **changed)["status"] == "expired"


def test_what_would_fit_is_another_pool_or_a_later_time(wider: House) -> None:
    ask(wider, "first", id="f", hours=2)
    assert ask(wider, gpus=4)["reason"] == (
        "4 GPUs of p are not free all that time, 1 are; q would take them; p would from 2026-07-01 14:00 UTC on"
    )
    assert ask(wider, gpus=4, pool="q", starts=5, hours=4, id="r-2")["reason"] == (
        "4 GPUs of q are not free all that time, 1 are; p would take them; q would from 2026-07-01 20:00 UTC on"
    )
    assert ask(wider, gpus=4, pool="q", starts=5, hours=4, id="r-3", pausable=True)["status"] == "accepted"


def test_an_id_acts_once_and_another_supersedes(house: House) -> None:
    ask(house)
    assert ask(house, gpus=4)["status"] == "duplicate"
    assert run(house) == {"c": 6, "burst": 3}
    assert ask(house, gpus=4, id="r-2")["status"] == "accepted"
    house.settle()
    assert run(house) == {"c": 6, "burst": 4}
    entries = [(e.id, e.action, e.actor) for e in house.journal.account(NOW) if e.sort == "contract"]
    assert entries[-3:] == [("r-1", "set", "desk"), ("r-2", "set", "desk"), ("r-1", "superseded", "facility")]


def test_a_clear_ends_the_rental_that_its_id_set_and_no_other(house: House) -> None:
    ask(house)
    run(house)
    assert ask(house, verb="clear", id="r-0")["reason"] == "burst was set by r-1; name the id that set it"
    assert ask(house, verb="clear")["status"] == "cleared"
    assert set(house.caps()) == {"", "c"}
    assert house.retained("contract/burst/state") is None
    assert ask(house, id="r-2")["status"] == "accepted"
    assert ask(house, verb="clear")["reason"] == "it does not act any more, or never did"
    assert house.retained("contract/burst/state") is not None


def test_a_retained_rental_is_refused_and_raises_the_alarm(house: House) -> None:
    house.kill()
    house.ear.publish(Message(f"{ROOT}/contract/burst/set", msgspec.json.encode(burst()), qos=1, retain=True))
    house.open()
    assert house.heard("contract/burst/result")[0]["status"] == "rejected"
    alarm = house.retained("alarm/retained-command")
    assert alarm is not None
    assert alarm["place"] == f"{ROOT}/contract/burst/set"
    assert run(house) == {"c": 6}


def test_a_state_that_nobody_stands_for_is_taken_off_the_broker(house: House) -> None:
    house.kill()
    house.ear.publish(Message(f"{ROOT}/contract/ghost/state", msgspec.json.encode(burst()), qos=1, retain=True))
    house.open()
    assert house.retained("contract/ghost/state") is None


def test_garbage_is_answered(house: House) -> None:
    house.say("contract/burst/set", b"{")
    assert house.heard("contract/burst/result")[0]["status"] == "rejected"


def test_jobs_run_under_the_terms_of_a_rental_also_after_its_end(house: House) -> None:
    job = {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 20, "pool": "p", "deadline": (NOW + 20 * HOUR).isoformat(), "contract": "terms"}
    house.say("job/j/spec", job)
    assert run(house) == {"c": 6}
    assert ask(house, "terms", pool=None, gpus=0, curve=None, floor_speed=0, value_per_gpu_h=7, penalty_per_gpu_h=9)["status"] == "accepted"
    house.say("job/j/spec", job)
    assert run(house) == {"c": 6, "j": 2}

    def penalty() -> float:
        plan = house.daemon.rooms.governor.plan
        assert plan is not None
        return plan.plan.problem.jobs[0].unfinished_price_per_gpu_h

    assert penalty() == 9
    house.clock.advance(7200)
    house.settle()
    house.daemon.close()
    house.kill()
    house.open()
    assert run(house) == {"c": 6, "j": 2}
    assert penalty() == 9
    house.clock.advance(40 * 86_400)
    assert house.daemon.cycle().outcome == "published"


def test_the_hours_that_a_rental_is_slowed_are_counted_while_it_is_there(house: House) -> None:
    ask(house, floor_speed=0, greatest_slowdown=2, slow_hours=1)
    run(house)
    house.order("pool/h/p", "cap_w", 250, ttl_s=7200)
    for _ in range(9):
        house.clock.advance(600)
        house.daemon.cycle()
    rows = {key: hours for key, hours in house.daemon.rooms.known.ledger._hours.items() if key[1] == "burst"}
    assert rows == {("slow", "burst", "2026-07-01"): pytest.approx(0.8)}


@pytest.mark.parametrize("ended", [False, True])
def test_a_contract_that_the_site_file_has_by_now_is_the_files(house: House, ended: bool) -> None:
    ask(house)
    if ended:
        ask(house, verb="clear")
    house.kill()
    mine = WHOLE["contracts"]["c"] | {"gpus": 2}
    house.site = Site.model_validate(WHOLE | {"contracts": WHOLE["contracts"] | {"burst": mine}})
    house.open()
    assert run(house) == {"c": 6, "burst": 2}


def test_a_rental_that_the_site_file_has_no_room_for_does_not_stand_until_it_has(house: House) -> None:
    ask(house)
    house.kill()
    house.site = Site.model_validate(WHOLE | {"pools": {"p": WHOLE["pools"]["p"] | {"gpus": 8}}})
    house.heard("")
    house.open()
    told = house.heard("contract/burst/result")[0]
    assert (told["status"], told["reason"][:77]) == ("rejected", "it does not stand as long as the site file is as it is: 3 GPUs of p are not f")
    assert house.retained("contract/burst/state") is None
    assert run(house) == {"c": 6}
    house.kill()
    house.site = SITE
    house.open()
    assert run(house) == {"c": 6, "burst": 3}


@pytest.mark.parametrize("verb", ["clear", "set"])
def test_a_rental_that_waits_for_room_and_is_ended_or_replaced_never_comes_back(house: House, verb: str) -> None:
    ask(house)
    house.kill()
    house.site = Site.model_validate(WHOLE | {"pools": {"p": WHOLE["pools"]["p"] | {"gpus": 8}}})
    house.open()
    assert ask(house, verb="clear", id="r-9")["reason"] == "burst was set by r-1; name the id that set it"
    if verb == "clear":
        assert ask(house, verb="clear")["reason"].startswith("desk cleared: 3 GPUs of p for t")
    else:
        assert ask(house, id="r-2", gpus=1)["status"] == "accepted"
        ask(house, verb="clear", id="r-2")
    house.kill()
    house.site = SITE
    house.open()
    assert run(house) == {"c": 6}
    kept = [(version.rental.id, version.how) for version in house.journal.contract_versions()]
    assert kept == ([("r-1", "cleared")] if verb == "clear" else [("r-1", "superseded"), ("r-2", "cleared")])


def test_what_a_rental_may_say_is_what_the_site_file_says_of_a_contract() -> None:
    own = {*Command.__struct_fields__, "start", "end", "gpu_model", "offer"}
    assert set(ContractSet.__struct_fields__) - own == set(RENTED)


def test_the_cycle_is_recorded_with_the_rentals_that_it_knew(house: House) -> None:
    ask(house)
    run(house)
    inputs = msgspec.json.decode(house.journal.cycles(1)[0].inputs)
    assert [(r["contract"], r["terms"]["gpus"]) for r in inputs["rentals"]] == [("burst", 3)]
    assert set(inputs["forecast"]["rented_gpus"]) == {"burst"}


def test_a_step_that_a_rental_touches_has_all_its_gpus() -> None:
    terms = Contract(tenant="t", kind="reserved", pool="p", gpus=3, curve="train")
    rental = Rental("r", "burst", terms, NOW + timedelta(minutes=10), NOW + timedelta(minutes=65), "desk")
    edges = tuple(NOW + timedelta(minutes=m) for m in (0, 5, 15, 60, 120, 180))
    assert rented_gpus([rental], edges) == {"burst": (0, 3, 3, 3, 0)}


class _Desk:
    """A desk over a store in a temporary place, with a clock of its own."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal(path)
        self.desk = RentalDesk(WIDER, self.journal, tuple, NOW)


STARTS = st.integers(-2, 12)
COMMANDS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("pq"), st.integers(1, 5), STARTS, st.integers(1, 8), st.booleans(), st.integers(0, 90)),
    max_size=12,
)  # fmt: skip


@settings(max_examples=12)
@given(commands=COMMANDS)
def test_no_more_gpus_are_ever_let_than_a_pool_has(tmp_path_factory: pytest.TempPathFactory, commands: list[Any]) -> None:
    """Whatever comes in whichever order: at every instant contracts and rentals fit in each pool, and maintenance beside those that may not pause."""
    made, now = _Desk(tmp_path_factory.mktemp("desk") / "journal.sqlite"), NOW
    with made.journal:
        for n, (name, pool, gpus, starts, hours, clear, minutes) in enumerate(commands):
            now += timedelta(minutes=minutes)
            start = now + starts * HOUR
            if clear:
                standing = {rental.contract: rental.id for rental in made.desk.standing(now)}
                made.desk.clear(name, ContractClear(id=standing.get(name, "none"), by="desk"), now)
                continue
            told = burst(id=str(n), pool=pool, gpus=gpus, start=start, end=start + hours * HOUR)
            made.desk.set(name, msgspec.convert(told, ContractSet), now)
            standing_now = made.desk.standing(now)
            for at in (now + timedelta(minutes=30 * i) for i in range(50)):
                let = {key: sum(r.terms.gpus for r in standing_now if r.terms.pool == key and r.active(at)) for key in "pq"}
                away = 3 if datetime(2026, 7, 1, 18, tzinfo=UTC) <= at < datetime(2026, 7, 1, 20, tzinfo=UTC) else 0
                assert let["p"] <= 4
                assert let["q"] <= 4 - away
                assert made.desk.in_force(now).contracts["c"].gpus == 6
        for end_stored in (False, True):
            assert RentalDesk(WIDER, made.journal, tuple, now).standing(now) == made.desk.standing(now), end_stored
            made.desk.expire(now)


def test_the_least_that_is_free_counts() -> None:
    terms = Contract(tenant="t", kind="reserved", pool="p", gpus=1, curve="train")
    asked = Rental("r", "burst", terms, NOW, NOW + 6 * HOUR, "desk")
    others = [
        Rental("a", "a", terms.model_copy(update={"gpus": 2}), NOW + HOUR, NOW + 2 * HOUR, "desk"),
        Rental("b", "b", terms.model_copy(update={"gpus": 3}), NOW + 3 * HOUR, NOW + 4 * HOUR, "desk"),
    ]
    assert free_gpus(WIDER, others, asked, "p", NOW) == 1
    assert free_gpus(WIDER, others, asked, "p", NOW + 4 * HOUR) == 4


def test_spare_gpus_are_free_for_what_may_pause_alone() -> None:
    """Of 10 GPUs `c` keeps 6; where 3 are spare 1 is left for what may not pause, 4 for what may, which then has 3 of the spare ones."""
    kept = WIDER.model_copy(update={"pools": WIDER.pools | {"p": WIDER.pools["p"].model_copy(update={"spare_gpus": 3})}})
    terms = Contract(tenant="t", kind="reserved", pool="p", gpus=1, curve="train")
    firm = Rental("r", "burst", terms, NOW, NOW + 6 * HOUR, "desk")
    loose = Rental("s", "spot", terms.model_copy(update={"gpus": 3, "pausable": True}), NOW, NOW + 6 * HOUR, "desk")
    assert free_gpus(kept, [], firm, "p", NOW) == 1
    assert free_gpus(kept, [], loose, "p", NOW) == 4
    assert free_gpus(kept, [loose], firm, "p", NOW) == 1
    assert free_gpus(kept, [firm, loose], replace(firm, contract="more"), "p", NOW) == 0
    assert free_gpus(kept, [firm], replace(loose, contract="more"), "p", NOW) == 3


def test_the_rehearsed_plant_runs_a_rental_from_its_start_on_its_gpus_once_they_are_free() -> None:
    plant = Plant(SITE, NOW, seed=None)
    told = burst(starts=1)
    plant.pools["p"].give("j", 4, "train")
    plant.tenants.hear("burst", msgspec.convert(told, ContractState))

    def runs(seconds: float) -> bool:
        plant.step(seconds)
        return "burst" in plant.pools["p"].running

    assert not runs(3599)
    assert not runs(10)
    plant.pools["p"].stop("j")
    assert runs(1)
    assert plant.pools["p"].running["burst"].gpus == 3
    assert not runs(3600)
    plant.tenants.hear("burst", msgspec.convert(told | {"end": (NOW + 9 * HOUR).isoformat(), "gpus": 2}, ContractState))
    assert runs(1)
    plant.tenants.hear("burst", None)
    assert not runs(1)


@pytest.mark.parametrize("seed", range(1))
def test_whatever_is_rented_and_ended_in_whichever_order_the_plan_keeps_it_and_nothing_else(tmp_path: Path, seed: int) -> None:
    """A conversation with the daemon: rentals, jobs, restarts, time. What is there has its GPUs after each plan, what is not has none ever."""
    rng, house = random.Random(seed), House(tmp_path / "journal.sqlite")
    for step in range(6):
        match rng.choice(("set", "set", "clear", "job", "restart")):
            case "set":
                name, gpus, starts, hours = rng.choice("xyz"), rng.randint(1, 4), rng.choice((0, 0, 0.05, 0.4, 3)), rng.choice((0.1, 0.5, 2))
                start = house.clock.now() + starts * HOUR
                ask(house, name, id=f"{step}", gpus=gpus, start=start.isoformat(), end=(start + hours * HOUR).isoformat())
            case "clear":
                standing = house.daemon.rooms.known.rentals.standing(house.clock.now())
                if standing:
                    ended = rng.choice(standing)
                    assert ask(house, ended.contract, "clear", id=ended.id)["status"] == "cleared"
            case "job":
                house.say(f"job/j{step}/spec", {"submit": NOW.isoformat(), "gpus": rng.randint(1, 4), "work_gpu_h": 4, "pool": "p"})
            case _:
                house.daemon.close()
                house.kill()
                house.open()
                house.daemon.start()
        for _ in range(2):
            assert house.daemon.cycle().outcome == "published"
            verdict = house.daemon.rooms.governor.verdict
            assert not [v for v in verdict if v.tier == "plant" or v.rule.startswith("firm")], verdict
            there = {r.contract: r.terms.gpus for r in house.daemon.rooms.known.rentals.standing(house.clock.now()) if r.active(house.clock.now())}
            sent = Counter[str]()
            for group in (house.retained("cap/h/p/desired") or {})["groups"]:
                sent[group["workload"]] += group["gpus"]
            assert {name: gpus for name, gpus in sent.items() if name in "xyz"} == there
            house.clock.advance(rng.choice((60, 240, 1200)))
            house.settle()
            now_there = {r.contract for r in house.daemon.rooms.known.rentals.standing(house.clock.now()) if r.active(house.clock.now())}
            assert {name for name in house.caps() if name in ("x", "y", "z")} <= now_there
    house.kill()
