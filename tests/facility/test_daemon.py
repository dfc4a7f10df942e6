"""The daemon on a bus in memory, with a clock that stands still and the real solver.

The site: pool `p`, 10 GPUs of 100 to 400 W, 6 of them rented by `c`, 2 wanted by job `j`; a cycle of 300 s, caps that last 900 s.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

import facility.daemon.question as room
from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker, MemoryBus
from facility.clock import ManualClock
from facility.daemon.holding.standby import no_higher
from facility.daemon.judging import told
from facility.daemon.loop import Daemon
from facility.daemon.neighbours import rivals
from facility.daemon.neighbours.pulse import last_will
from facility.decide import Optimised, Undecided, decide
from facility.decision import CapGroup, Decision, PoolCaps
from facility.history import Nowhere
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.replay.walk import Span, replay
from facility.site import Site
from facility.verify import Violation
from models.solving import wire
from models.solving.attempt import SolverOf
from models.solving.child import Child
from models.solving.solver import Solver

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
POINTS = [{"cap_w": 100, "draw_w": 100, "speed": 0.2}, {"cap_w": 400, "draw_w": 390, "speed": 1}]
SITE = Site.model_validate({
    "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 4},
    "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": {"source": "by hand", "points": POINTS}}}},
    "feeders": {"main": {"rating_kw": 5}}, "halls": {"h": {"feeder": "main"}},
    "pools": {"p": {"hall": "h", "feeder": "main", "gpu_model": "g", "gpus": 10}},
    "tenants": {"t": {"name": "T"}},
    "contracts": {"c": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 6, "curve": "train", "value_per_gpu_h": 2}},
    "jobs": {"curve": "train"}, "control": {"rise_share": 1.0, "rise_pause_s": (0.001, 0.001)},
})  # fmt: skip
TIGHT = SITE.model_copy(update={"feeders": {"main": SITE.feeders["main"].model_copy(update={"rating_kw": 3.0})}})
ROOT = "facility/v1/s"


class House:
    """A broker, an operator's ear on it, and a daemon that can be stopped and started."""

    def __init__(self, path: Path, site: Site = SITE, solver_of: SolverOf = Solver, start: datetime = NOW) -> None:
        self.path, self.site, self.solver_of = path, site, solver_of
        self.clock = ManualClock(start)
        self.broker = MemoryBroker(self.clock.now)
        self.ear: MemoryBus = self.broker.connect()
        self.ear.subscribe(f"{ROOT}/#", 1)
        self.history = Nowhere()
        self.wanted = 0
        self.open()

    def open(self) -> None:
        self.journal = Journal(self.path, clock=self.clock)
        self.bus = self.broker.connect(last_will(self.site, "daemon"))
        self.daemon = Daemon(self.site, self.bus, self.journal, self.clock, solver_of=self.solver_of, history=self.history)
        self.daemon.wake = self._wake
        self.daemon.subscribe()
        self.settle()

    def kill(self) -> None:
        self.bus.vanish()
        self.journal.close()

    def _wake(self) -> None:
        self.wanted += 1

    def settle(self) -> None:
        while (message := self.bus.receive(0.0)) is not None:
            self.bus.inbox.put(message)
            self.daemon.attend(0.0)
        self.daemon.attend(0.0)

    def say(self, topic: str, payload: dict[str, Any] | bytes, **more: Any) -> None:
        told = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        self.ear.publish(Message(f"{ROOT}/{topic}", told, qos=1, **more))
        self.settle()

    def order(self, target: str, kind: str, value: float | None = None, **more: Any) -> dict[str, Any]:
        """Send an override and return its answer."""
        self.heard(f"override/{target}/result")
        request = {"id": f"{kind}-{value}", "kind": kind, "value": value, "by": "ann", "ttl_s": 600} | more
        self.say(f"override/{target}/set", {key: v for key, v in request.items() if v is not None})
        return self.heard(f"override/{target}/result")[0]

    def heard(self, topic: str) -> list[dict[str, Any]]:
        """What was said on a topic since the last call."""
        found = []
        while (message := self.ear.receive(0.0)) is not None:
            if message.topic == f"{ROOT}/{topic}" and message.payload:
                found.append(msgspec.json.decode(message.payload))
        return found

    def retained(self, topic: str) -> dict[str, Any] | None:
        payload = self.broker.retained.get(f"{ROOT}/{topic}")
        return msgspec.json.decode(payload) if payload else None

    def caps(self) -> dict[str, int]:
        sent = self.retained("cap/h/p/desired")
        assert sent is not None
        return {"": sent["cap_w"]} | {group["workload"]: group["cap_w"] for group in sent["groups"]}

    def mode(self) -> str:
        return self.daemon.outcome.mode


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite")
    yield made
    made.kill()


@pytest.fixture
def planned(house: House) -> House:
    deadline = NOW + timedelta(hours=9)
    house.say(
        "job/j/spec", {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 4, "pool": "p", "deadline": deadline.isoformat()}
    )
    assert house.daemon.cycle().outcome == "published"
    return house


def no_plan(monkeypatch: pytest.MonkeyPatch, why: str = "no solver today") -> None:
    monkeypatch.setattr(room, "decide", lambda *_: Undecided(why))


def test_a_cycle_publishes_caps_jobs_and_the_plan(planned: House) -> None:
    assert planned.mode() == "NORMAL"
    assert planned.caps() == {"": 100, "c": 400, "j": 400}
    job, plan, caps = (planned.retained(topic) for topic in ("job/j/desired", "plan/current", "cap/h/p/desired"))
    assert job is not None
    assert plan is not None
    assert caps is not None
    assert (job["action"], job["gpus"], plan["mode"]) == ("run", 2, "NORMAL")
    assert caps["plan_id"] == plan["plan_id"]
    assert datetime.fromisoformat(caps["valid_until"]) == NOW + timedelta(seconds=900)


def test_an_override_is_answered_in_force_and_shown_before_any_solve(planned: House) -> None:
    assert planned.order("pool/h/p", "cap_w", 250)["status"] == "accepted"
    assert planned.caps() == {"": 250, "c": 250, "j": 250}
    state = planned.retained("override/pool/h/p/state")
    assert state is not None
    assert [o["effective"] for o in state["overrides"]] == [250]
    assert planned.wanted == 1


def test_what_an_answer_says_is_on_the_broker_before_the_answer(planned: House) -> None:
    hour = {"start": NOW.isoformat(), "end": (NOW + timedelta(hours=1)).isoformat()}
    rental = hour | {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 2, "curve": "train", "floor_speed": 0.5}
    commands = {
        "override/pool/h/p/set": {"id": "o", "kind": "cap_w", "value": 250, "ttl_s": 600}, "override/pool/h/p/clear": {"id": "o"},
        "contract/burst/set": {"id": "r"} | rental, "contract/burst/clear": {"id": "r"},
    }  # fmt: skip
    for topic, command in commands.items():
        planned.heard("")
        planned.say(topic, command | {"by": "ann", "reason": "a test"})
        place, verb = topic.rsplit("/", 1)
        heard = [(m.topic, bool(m.payload)) for m in planned.ear.drain(0.0, 1000)]
        shown, told = (f"{ROOT}/{place}/state", verb == "set"), (f"{ROOT}/{place}/result", True)
        assert heard.index(shown) < heard.index(told)


def test_the_next_plan_keeps_to_an_override(planned: House) -> None:
    planned.order("pool/h/p", "cap_w", 250)
    planned.daemon.cycle()
    plan = planned.retained("plan/current")
    assert plan is not None
    assert planned.mode() == "NORMAL"
    assert plan["steps"][0]["caps_w"] == {"p": 250}
    assert planned.caps()["c"] == 250


def test_a_change_of_mode_is_told_at_once_and_not_with_the_next_heartbeat(planned: House) -> None:
    planned.order("site", "manual")
    told = planned.retained("svc/daemon/status")
    assert told is not None
    assert told["mode"] == "MANUAL"
    planned.say("override/site/clear", {"id": "manual-None", "by": "ann"})
    told = planned.retained("svc/daemon/status")
    assert told is not None
    assert told["mode"] == "HOLD"


def test_an_override_ends_and_everyone_istold(planned: House) -> None:
    planned.order("pool/h/p", "cap_w", 250)
    planned.clock.advance(599)
    planned.settle()
    assert planned.caps()["c"] == 250
    planned.clock.advance(1)
    planned.settle()
    assert planned.caps() == {"": 100, "c": 400, "j": 400}
    assert planned.retained("override/pool/h/p/state") is None
    assert planned.heard("override/pool/h/p/result")[-1]["status"] == "expired"
    assert planned.wanted == 2


def test_an_override_that_begins_later_acts_when_it_begins(planned: House) -> None:
    start = (NOW + timedelta(seconds=60)).isoformat()
    assert planned.order("pool/h/p", "cap_w", 250, start=start)["status"] == "accepted"
    assert planned.caps()["c"] == 400
    planned.clock.advance(60)
    planned.settle()
    assert planned.caps()["c"] == 250
    assert planned.retained("override/pool/h/p/state") is not None
    assert planned.wanted == 2


def test_an_override_before_the_first_plan_acts_on_the_fallback_caps(house: House) -> None:
    assert house.order("pool/h/p", "cap_w", 150)["status"] == "accepted"
    assert (house.mode(), house.caps()) == ("SAFE", {"": 150, "c": 150})


def test_below_the_settable_range_is_clamped_and_above_what_the_feeder_carries_too(tmp_path: Path) -> None:
    house = House(tmp_path / "tight.sqlite", TIGHT)
    house.daemon.cycle()
    high, low = house.order("hall/h", "cap_w", 390), house.order("pool/h/p", "cap_w", 50)
    assert (low["status"], low["effective"]) == ("clamped", 100)
    assert (high["status"], high["effective"]) == ("clamped", 300)
    house.kill()


def test_an_import_limit_sheds_at_once(planned: House) -> None:
    """2 kW less 100 W of idle GPUs leave each of the other 8 GPUs 237.5 W, which is a cap of 242 W."""
    assert planned.order("grid/main", "import_limit_kw", 2.0)["status"] == "accepted"
    assert 240 <= planned.caps()["c"] <= 242
    planned.daemon.cycle()
    plan = planned.retained("plan/current")
    assert plan is not None
    assert plan["steps"][0]["import_kw"] <= 2.0
    assert planned.mode() == "NORMAL"


def test_what_is_shed_is_settable_too(tmp_path: Path) -> None:
    """As above, without the job: 2 kW less 200 W of idle GPUs leave 300 W for each of six, a cap of 307 W; in steps of 25 W 300 W."""
    model = SITE.gpu_models["g"].model_copy(update={"power_step_w": 25})
    house = House(tmp_path / "journal.sqlite", SITE.model_copy(update={"gpu_models": {"g": model}}))
    house.daemon.cycle()
    house.order("grid/main", "import_limit_kw", 2.0)
    assert house.caps() == {"": 100, "c": 300}
    house.daemon.cycle()
    assert {cap_w % 25 for cap_w in house.caps().values()} == {0}
    house.kill()


def test_a_limit_of_the_grid_sheds_at_once_too(planned: House) -> None:
    step = {"start": NOW.isoformat(), "end": (NOW + timedelta(hours=1)).isoformat(), "value": 2.0}
    planned.say("grid/main/limit", {"unit": "kW", "points": [step]}, retain=True)
    assert 240 <= planned.caps()["c"] <= 242


def meter(house: House, kw: float) -> None:
    sample = {"value": kw, "timestamp": int(house.clock.now().timestamp() * 1000)}
    house.say("tele/site/meter/main/import_kw", sample)
    house.daemon.upkeep.guard_s -= 1
    house.settle()


@pytest.mark.parametrize("target_kw", [2.0, 0.0])
def test_the_next_plan_keeps_to_a_grid_event_as_far_as_it_can_and_is_sent(planned: House, target_kw: float) -> None:
    before = planned.caps()
    told = {"start": NOW.isoformat(), "end": (NOW + timedelta(hours=1)).isoformat(), "target_kw": target_kw}
    planned.say("grid/main/event", told, retain=True)
    assert planned.daemon.cycle().outcome == "published"
    plan = planned.daemon.rooms.governor.plan
    assert plan is not None
    assert plan.decision.event_target_kw == target_kw
    assert (plan.plan.account.import_kw[0] <= target_kw) == (target_kw > 0)
    assert planned.caps() != before
    planned.say("grid/main/event", b"", retain=True)
    assert planned.daemon.cycle().outcome == "published"
    assert planned.caps() == before


def test_what_the_meter_shows_above_the_limit_is_shed_at_once_whatever_the_plan_expected(planned: House) -> None:
    """4.4 kW are 0.44 more than 99 % of 4 kW, of 3.22 expected; 8 GPUs draw 335 W then, under caps of 343 W."""
    meter(planned, 4.0)
    assert planned.caps()["c"] == 400
    meter(planned, 4.4)
    assert planned.caps()["c"] == 343
    assert "the meter showed 4.4 of 4 kW" in planned.daemon.outcome.reason
    planned.clock.advance(14)
    meter(planned, 4.4)
    assert planned.caps()["c"] == 343
    planned.clock.advance(1)
    meter(planned, 4.4)
    assert planned.caps()["c"] < 300


def test_a_reading_from_before_caps_were_lowered_is_not_held_against_them(planned: House) -> None:
    planned.order("grid/main", "import_limit_kw", 2.0)
    shed = planned.caps()
    meter(planned, 3.2)
    assert planned.caps() == shed
    planned.clock.advance(15)
    meter(planned, 3.2)
    assert planned.caps()["c"] < shed["c"]


def test_while_the_meter_shows_too_much_nothing_that_is_sent_raises_a_cap(
    planned: House, caplog: pytest.LogCaptureFixture
) -> None:
    planned.order("pool/h/p", "cap_w", 380)
    for _ in range(2):
        meter(planned, 4.4)
        planned.clock.advance(15)
    cut = planned.caps()
    assert [record.levelname for record in caplog.records if "caps give way" in record.message] == ["WARNING"]

    def highest() -> dict[str, int]:
        return {workload: max(cap_w, cut[workload]) for workload, cap_w in planned.caps().items()}

    looser = ("pool/h/p", "cap_w", 400), ("grid/main", "import_limit_kw", 4.2), ("site", "manual", None)
    for target, kind, value in looser:
        assert planned.order(target, kind, value, priority=5)["status"] == "accepted"
        assert highest().items() <= cut.items(), kind
    planned.say("override/site/clear", {"id": "manual-None", "by": "ann"})
    assert highest().items() <= cut.items()
    planned.daemon.cycle()
    assert planned.mode() == "NORMAL"
    assert highest().items() <= cut.items()


def test_what_gave_way_rises_again_as_far_as_the_meter_has_had_room_for_a_minute(planned: House) -> None:
    """At 3.9 kW of 4 kW there is room for 60 W, at 3.5 kW for all."""
    meter(planned, 4.4)
    planned.clock.advance(1)
    meter(planned, 3.9)
    planned.clock.advance(1)
    for kw, seconds, low_w, high_w in ((3.9, 59, 343, 343), (3.9, 1, 344, 360), (3.5, 60, 344, 400), (3.5, 1, 400, 400)):
        meter(planned, kw)
        planned.clock.advance(seconds)
        meter(planned, kw)
        planned.daemon.cycle()
        assert low_w <= planned.caps()["c"] <= high_w
    assert "meter" not in planned.daemon.outcome.reason


def test_a_command_whose_time_is_over_raises_an_alarm_that_ends_ten_minutes_after_the_last_one(planned: House) -> None:
    planned.order("pool/h/p", "cap_w", 250, ttl_s=60)
    assert planned.order("pool/h/p", "cap_w", 250, ttl_s=60)["status"] == "duplicate"
    assert planned.retained("alarm/old-command") is None
    for _ in range(2):
        planned.clock.advance(599)
        planned.settle()
        assert planned.order("pool/h/p", "cap_w", 250, ttl_s=60)["status"] == "duplicate"
        alarm = planned.retained("alarm/old-command")
        assert alarm is not None
        assert (alarm["place"], "cap_w-250" in alarm["cause"]) == (f"{ROOT}/override/pool/h/p/set", True)
    planned.clock.advance(600)
    planned.settle()
    assert planned.retained("alarm/old-command") is None
    past = (planned.clock.now() - timedelta(minutes=1)).isoformat()
    assert planned.order("pool/h/p", "cap_w", 300, id="late", ttl_s=None, end=past)["status"] == "expired"
    assert planned.retained("alarm/old-command") is not None
    assert planned.caps()["c"] == 400


def test_manual_starts_from_what_is_in_force(planned: House) -> None:
    planned.order("pool/h/p", "cap_w", 250, ttl_s=60)
    planned.order("site", "manual")
    planned.clock.advance(60)
    planned.settle()
    assert planned.caps() == {"": 250, "c": 250, "j": 250}


@pytest.mark.parametrize("restarted", [False, True])
def test_the_order_for_a_job_that_is_gone_is_taken_off_the_broker_once_it_has_ended(planned: House, restarted: bool) -> None:
    topic = f"{ROOT}/job/j/desired"
    planned.say("job/j/spec", b"")
    if restarted:
        planned.kill()
        planned.open()
        planned.daemon.start()
    for _ in range(2):
        planned.clock.advance(300)
        assert planned.daemon.cycle().outcome == "published"
        assert planned.retained("job/j/desired"), "it may still be obeyed"
    planned.clock.advance(300)
    assert planned.daemon.cycle().outcome == "published"
    assert topic not in planned.broker.retained
    seen = [message for message in iter(lambda: planned.ear.receive(0.0), None) if message.topic == topic]
    planned.clock.advance(300)
    planned.daemon.cycle()
    assert [message.payload for message in seen if not message.payload] == [b""]
    assert not [message for message in iter(lambda: planned.ear.receive(0.0), None) if message.topic == topic], "once"
    assert not planned.daemon.rooms.gate.counts


def test_an_order_that_is_renewed_is_not_taken_back(planned: House) -> None:
    for _ in range(6):
        planned.clock.advance(300)
        assert planned.daemon.cycle().outcome == "published"
        assert planned.retained("job/j/desired")


def test_a_job_is_held_at_once_and_runs_again_with_the_next_plan(planned: House) -> None:
    planned.order("job/j", "hold")
    job = planned.retained("job/j/desired")
    assert job is not None
    assert (job["action"], planned.caps()) == ("hold", {"": 100, "c": 400})
    planned.daemon.cycle()
    assert planned.retained("job/j/desired")["action"] == "hold"  # type: ignore[index]
    assert planned.order("job/j", "run", priority=7)["status"] == "accepted"
    planned.daemon.cycle()
    assert planned.retained("job/j/desired")["action"] == "run"  # type: ignore[index]


def test_stop_acts_from_any_state_and_lets_go_without_a_jump(planned: House) -> None:
    planned.order("site", "stop")
    assert (planned.mode(), planned.caps()) == ("MANUAL", {"": 100, "c": 100})
    planned.daemon.cycle()
    assert (planned.mode(), planned.caps()) == ("MANUAL", {"": 100, "c": 100})
    planned.say("override/site/clear", {"id": "stop-None", "by": "ann"})
    assert (planned.mode(), planned.caps()) == ("HOLD", {"": 100, "c": 100})
    planned.daemon.cycle()
    assert (planned.mode(), planned.caps()) == ("NORMAL", {"": 100, "c": 400, "j": 400})


def test_freeze_outlasts_the_caps_of_its_plan_and_a_plan_solved_meanwhile_is_not_followed(
    planned: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    solve: Callable[..., Any] = decide

    def interrupted(*arguments: Any) -> Any:
        found = solve(*arguments)
        planned.order("site", "freeze", ttl_s=7200)
        planned.order("pool/h/p", "cap_w", 222, ttl_s=7200)
        return found

    monkeypatch.setattr(room, "decide", interrupted)
    planned.daemon.cycle()
    assert (planned.mode(), planned.caps()["c"]) == ("MANUAL", 222)
    for _ in range(5):
        planned.clock.advance(300)
        planned.settle()
        planned.daemon.cycle()
    sent = planned.retained("cap/h/p/desired")
    assert sent is not None
    assert (planned.mode(), planned.caps()["c"]) == ("MANUAL", 222)
    assert datetime.fromisoformat(sent["valid_until"]) == planned.clock.now() + timedelta(seconds=900)


def test_without_a_new_plan_the_last_one_is_held_as_long_as_its_caps_last_and_no_longer(
    planned: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_plan(monkeypatch)
    for _ in range(2):
        planned.clock.advance(300)
        planned.daemon.cycle()
        sent = planned.retained("cap/h/p/desired")
        assert sent is not None
        assert (planned.mode(), planned.daemon.outcome.outcome, planned.caps()["c"]) == ("HOLD", "held", 400)
        assert datetime.fromisoformat(sent["valid_until"]) == NOW + timedelta(seconds=900)
    planned.clock.advance(300)
    planned.daemon.cycle()
    assert (planned.mode(), planned.daemon.outcome.outcome) == ("SAFE", "safe")
    assert planned.daemon.outcome.reason == "no solver today"


def test_a_planner_that_never_returns_ends_in_fallback_caps(planned: House, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(room, "decide", lambda *_: release.wait(10) and Undecided("late"))
    stuck = threading.Thread(target=planned.daemon.cycle)
    stuck.start()
    try:
        assert planned.order("pool/h/p", "cap_w", 250)["status"] == "accepted"
        planned.clock.advance(899)
        planned.settle()
        assert planned.mode() == "NORMAL"
        planned.clock.advance(1)
        planned.settle()
        assert planned.mode() == "SAFE"
        assert "no plan came" in planned.daemon.outcome.reason
    finally:
        release.set()
        stuck.join()


def test_an_operators_lower_cap_holds_in_safe_mode_too(planned: House, monkeypatch: pytest.MonkeyPatch) -> None:
    planned.order("pool/h/p", "cap_w", 120, ttl_s=7200)
    no_plan(monkeypatch)
    planned.clock.advance(900)
    planned.daemon.cycle()
    assert (planned.mode(), set(planned.caps().values())) == ("SAFE", {120})


def test_a_fault_in_the_planner_is_an_outcome_and_the_next_cycle_is_normal(
    planned: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(room, "decide", lambda *_: 1 / 0)
        planned.daemon.cycle()
        assert planned.mode() == "HOLD"
        assert "ZeroDivisionError" in planned.daemon.outcome.reason
    planned.daemon.cycle()
    assert planned.mode() == "NORMAL"


def test_a_solver_that_is_killed_amid_a_solve_leads_to_hold_and_the_next_cycle_is_normal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is stopped, so that it is surely asked and has not answered when it is killed."""
    asked, ended = threading.Event(), []
    receive = wire.receive

    def waits(*arguments: Any) -> Any:
        asked.set()
        return receive(*arguments)

    with Child() as child:
        house = House(tmp_path / "journal.sqlite", solver_of=child)
        assert house.daemon.cycle().outcome == "published"
        first = child.pid
        os.kill(first, signal.SIGSTOP)
        monkeypatch.setattr(wire, "receive", waits)
        house.clock.advance(300)
        cycle = threading.Thread(target=lambda: ended.append(house.daemon.cycle()))
        cycle.start()
        assert asked.wait(10)
        assert not ended
        assert house.order("pool/h/p", "cap_w", 250)["status"] == "accepted"  # nobody waits for the solver
        os.kill(first, signal.SIGKILL)
        cycle.join(5)
        assert not cycle.is_alive()
        assert (house.mode(), house.daemon.outcome.outcome, house.caps()["c"]) == ("HOLD", "held", 250)
        assert "the solver's process died of SIGKILL" in house.daemon.outcome.reason
        assert (child.generation, child.pid == first) == (1, False)
        house.clock.advance(300)
        assert house.daemon.cycle().outcome == "published"
        assert child.generation == 1
        told = [(record.mode, record.outcome) for record in house.journal.cycles()]
        assert told == [("NORMAL", "published"), ("HOLD", "held"), ("NORMAL", "published")]
        assert "died of SIGKILL" in [record.reason for record in house.journal.cycles()][1]
        assert not house.daemon.faults
        house.kill()


def test_a_solver_that_never_answers_is_killed_in_time_and_the_next_cycle_is_normal(tmp_path: Path) -> None:
    site = SITE.model_copy(update={"control": SITE.control.model_copy(update={"solver_budget_s": 2.0})})
    with Child(grace_s=0.5) as child:
        house = House(tmp_path / "journal.sqlite", site, solver_of=child)
        assert house.daemon.cycle().outcome == "published"
        first = child.pid
        os.kill(first, signal.SIGSTOP)
        house.clock.advance(300)
        began_s = time.monotonic()
        house.daemon.cycle()
        assert 2.4 < time.monotonic() - began_s < 5
        assert house.mode() == "HOLD"
        assert "the solver was killed: no answer in " in house.daemon.outcome.reason
        assert not Path(f"/proc/{first}").exists()
        house.clock.advance(300)
        assert house.daemon.cycle().outcome == "published"
        house.kill()


def test_no_plan_at_the_start_means_fallback_caps(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    no_plan(monkeypatch)
    assert house.retained("cap/h/p/desired") is None
    house.daemon.upkeep.began_s -= 6
    house.settle()
    assert (house.mode(), house.caps()) == ("SAFE", {"": 400, "c": 400})


def test_a_restart_keeps_overrides_and_the_last_plan_and_counts_on(planned: House) -> None:
    planned.order("pool/h/p", "cap_w", 250)
    planned.daemon.cycle()
    before = planned.retained("cap/h/p/desired")
    planned.kill()
    planned.broker.stop(forget=True)
    planned.broker.start()
    planned.clock.advance(60)
    planned.open()
    planned.daemon.start()
    after = planned.retained("cap/h/p/desired")
    assert before is not None
    assert after is not None
    assert (after["epoch"], after["seq"]) > (before["epoch"], before["seq"])
    assert (planned.mode(), planned.caps()["c"]) == ("HOLD", 250)
    assert planned.retained("override/pool/h/p/state") is not None


def test_an_override_that_ended_while_nobody_was_there_is_taken_off_the_bus(planned: House) -> None:
    planned.order("pool/h/p", "cap_w", 250)
    planned.kill()
    planned.clock.advance(3600)
    planned.open()
    planned.daemon.start()
    assert planned.retained("override/pool/h/p/state") is None
    assert planned.heard("override/pool/h/p/result")[-1]["status"] == "expired"


def test_an_end_that_a_process_stored_and_died_before_it_told_is_told_by_the_next_one_once(planned: House, monkeypatch: pytest.MonkeyPatch) -> None:
    planned.order("pool/h/p", "cap_w", 250)
    planned.order("site", "manual", ttl_s=300)
    planned.clock.advance(300)
    planned.settle()
    assert planned.heard("override/site/result")[-1]["status"] == "expired"
    planned.clock.advance(300)
    monkeypatch.setattr(planned.bus, "publish", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))  # dies where it would tell
    with pytest.raises(KeyboardInterrupt):
        planned.settle()
    assert planned.journal.overrides() == []
    for said in ([("pool/h/p/result", "expired")], []):
        planned.kill()
        planned.open()
        planned.daemon.start()
        heard = planned.ear.drain(0.0, 1000)
        assert [(m.topic.removeprefix(f"{ROOT}/override/"), msgspec.json.decode(m.payload)["status"]) for m in heard if "/result" in m.topic] == said


def test_a_state_that_only_the_broker_remembers_is_corrected(house: House) -> None:
    house.ear.publish(Message(f"{ROOT}/override/pool/h/p/state", b'{"overrides":[]}', qos=1, retain=True))
    house.kill()
    house.open()
    assert house.retained("override/pool/h/p/state") is None


def test_a_damaged_journal_is_told_and_starts_safe(planned: House) -> None:
    planned.kill()
    planned.path.write_bytes(b"not a journal" * 1000)
    planned.open()
    planned.daemon.start()
    assert planned.mode() == "SAFE"
    assert "damaged" in planned.daemon.outcome.reason
    assert planned.retained("cap/h/p/desired") is not None


def test_a_retained_command_is_refused_and_an_alarm_stands_until_it_is_deleted(house: House) -> None:
    house.kill()
    house.ear.publish(Message(f"{ROOT}/override/site/set", b'{"id":"x","kind":"stop","by":"eve"}', qos=1, retain=True))
    house.open()
    assert house.heard("override/site/result")[-1]["status"] == "rejected"
    alarm = house.retained("alarm/retained-command")
    assert alarm is not None
    assert alarm["place"] == f"{ROOT}/override/site/set"
    house.say("override/site/set", b"", retain=True)
    assert house.retained("alarm/retained-command") is None


def test_the_alarm_of_retained_commands_stands_until_the_last_of_them_is_deleted(house: House) -> None:
    house.kill()
    topics = ("override/site/set", "override/pool/h/p/clear")
    for topic in topics:
        house.ear.publish(Message(f"{ROOT}/{topic}", b"{}", qos=1, retain=True))
    house.open()
    house.say(topics[0], b"", retain=True)
    assert house.retained("alarm/retained-command") is not None
    house.say(topics[1], b"", retain=True)
    assert house.retained("alarm/retained-command") is None


def test_an_empty_payload_is_no_command_and_gets_no_answer(house: House) -> None:
    house.say("override/site/set", b"")
    house.say("override/site/clear", b"", retain=True)
    assert house.heard("override/site/result") == []


def test_a_pool_that_reports_more_than_was_sent_is_told_until_it_reports_what_was(planned: House) -> None:
    planned.order("pool/h/p", "cap_w", 100)
    sent = planned.retained("cap/h/p/desired")
    assert sent is not None
    for cap_w, cause in ((400, "pool p reports 400 W enforced, 100 W was sent"), (100, None)):
        report = {"timestamp": 0, "epoch": sent["epoch"], "seq": sent["seq"], "enforced_cap_w": cap_w}
        planned.say("cap/h/p/reported", report, retain=True)
        alarm = planned.retained("alarm/cap-p")
        assert (alarm and alarm["cause"]) == cause


def test_a_report_that_is_refused_confirms_nothing(planned: House) -> None:
    planned.order("pool/h/p", "cap_w", 100)
    sent, actuator = planned.retained("cap/h/p/desired"), planned.daemon.rooms.actuator
    assert sent is not None
    before = list(actuator.in_force._every["p"])
    assert len(before) > 1
    report = {"timestamp": 1000, "epoch": sent["epoch"], "seq": sent["seq"], "enforced_cap_w": 100}
    tomorrow = int((planned.clock.now() + timedelta(days=1)).timestamp() * 1000)
    planned.say("cap/elsewhere/p/reported", report)
    planned.say("cap/h/p/reported", report | {"timestamp": tomorrow})
    assert actuator.in_force._every["p"] == before
    planned.say("cap/h/p/reported", report)
    assert len(actuator.in_force._every["p"]) == 1


def test_a_second_daemon_is_told_until_it_is_silent_or_says_goodbye(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    status = {"instance": "twin", "mode": "NORMAL"}
    for goodbye in (True, False):
        house.say("svc/twin/status", status)
        alarm = house.retained("alarm/two-daemons")
        assert alarm is not None
        assert "twin" in alarm["cause"]
        if goodbye:
            house.say("svc/twin/status", status | {"mode": "offline"})
        else:
            monkeypatch.setattr(rivals, "SILENT_S", 0.0)
            house.settle()
        assert house.retained("alarm/two-daemons") is None
        house.clock.advance(600)


def test_what_the_broker_remembers_of_another_daemon_and_our_own_status_are_no_second_one(house: House) -> None:
    house.kill()
    house.ear.publish(Message(f"{ROOT}/svc/twin/status", b'{"instance":"twin","mode":"NORMAL"}', qos=1, retain=True))
    house.open()
    house.say("svc/daemon/status", {"instance": "daemon", "mode": "NORMAL"})
    assert house.retained("alarm/two-daemons") is None


def test_a_pool_that_obeys_a_later_epoch_tells_of_a_second_daemon(planned: House) -> None:
    sent = planned.retained("cap/h/p/desired")
    assert sent is not None
    report = {"timestamp": 0, "epoch": sent["epoch"] + 1, "seq": 1, "enforced_cap_w": 100}
    planned.say("cap/h/p/reported", report, retain=True)
    alarm = planned.retained("alarm/two-daemons")
    assert alarm is not None
    assert f"epoch {sent['epoch'] + 1}" in alarm["cause"]
    planned.say("cap/h/p/reported", report | {"epoch": sent["epoch"]}, retain=True)
    assert planned.retained("alarm/two-daemons") is None


def test_what_could_not_be_sent_is_not_taken_to_be_in_force(planned: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = planned.daemon.rooms.governor.in_force
    with monkeypatch.context() as broken:
        broken.setattr(planned.daemon.rooms.actuator, "send", lambda *_: 1 / 0)
        planned.order("pool/h/p", "cap_w", 250)
    assert planned.daemon.rooms.governor.in_force is before


def test_a_reason_tells_three_violations_with_their_numbers_and_how_many_more() -> None:
    kw = Violation("r", "main", 4.5, "kW", 4.0, "too much", "grid")
    bare = Violation("r", "p", None, "", None, "unknown pool", "plant")
    assert told([kw, bare]) == "main: too much (4.5 of 4 kW); p: unknown pool"
    assert told([bare] * 5) == "p: unknown pool; p: unknown pool; p: unknown pool; and 2 more"


@pytest.mark.breaks_invariants
def test_caps_that_break_an_invariant_are_not_sent_and_end_in_safe_with_an_alarm_until_it_is_quiet(planned: House) -> None:
    """A fault of ours: a room publishes caps that nobody accepted."""
    sent, gate = planned.retained("cap/h/p/desired"), planned.daemon.rooms.gate
    assert sent is not None
    forged = sent | {"seq": sent["seq"] + 500, "cap_w": 400}
    assert not gate.publish(Message(f"{ROOT}/cap/h/p/desired", msgspec.json.encode(forged), qos=1, retain=True))
    assert planned.retained("cap/h/p/desired") == sent
    planned.settle()
    assert (planned.mode(), gate.counts) == ("SAFE", {5: 1})
    assert planned.daemon.outcome.reason.startswith("caps break an invariant: I5 p: caps are higher than those that were accepted")
    safe, alarm = planned.retained("cap/h/p/desired"), planned.retained("alarm/invariant-i5")
    assert safe is not None
    assert alarm is not None
    assert safe["cap_w"] == safe["fallback_cap_w"]
    assert alarm["cause"].endswith("the message was not sent")
    forged = safe | {"seq": 1, "cap_w": 100, "groups": []}
    assert gate.publish(Message(f"{ROOT}/cap/h/p/desired", msgspec.json.encode(forged), qos=1, retain=True)), "what lowers is sent"
    planned.settle()
    alarm = planned.retained("alarm/invariant-i14")
    assert alarm is not None
    assert alarm["cause"].endswith("the message was sent, for it only lowers")
    planned.clock.advance(599)
    planned.settle()
    assert planned.retained("alarm/invariant-i5") is not None
    planned.clock.advance(1)
    planned.settle()
    assert planned.retained("alarm/invariant-i5") is None
    assert planned.daemon.cycle().mode == "NORMAL"


@pytest.mark.breaks_invariants
def test_what_is_no_cap_and_breaks_an_invariant_is_told_and_ends_nothing(planned: House) -> None:
    planned.daemon.rooms.gate.publish(Message(f"{ROOT}/svc/daemon/status", b"{}", qos=1, retain=True))
    planned.settle()
    assert planned.retained("alarm/invariant-i15") is not None
    assert planned.mode() == "NORMAL"


@pytest.mark.parametrize("payload", [b"", b"{", b"[" * 60_000, b"\xff\xfe", b'{"id": 1}', b"9" * 5000, b"x" * 70_000])
def test_garbage_is_answered_and_stops_nothing(planned: House, payload: bytes) -> None:
    topics = ("override/site/set", "override/site/clear", "cap/h/p/reported", "job/j/spec", "grid/main/price")
    for topic in (*topics, "tele/site/meter/main/import_kw"):
        planned.say(topic, payload)
    assert planned.order("pool/h/p", "cap_w", 250)["status"] == "accepted"
    assert not planned.daemon.faults


def test_a_fault_in_one_message_is_counted_and_the_next_is_read(planned: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        planned.settle()  # it tells its change of mode, and hears the echo
    with monkeypatch.context() as broken:
        broken.setattr(planned.daemon.rooms.known, "hear", lambda *_: 1 / 0)
        for _ in range(3):
            planned.say("tele/site/meter/main/import_kw", b"1")
    assert planned.daemon.faults == {"ZeroDivisionError in a message": 3}
    assert planned.order("pool/h/p", "cap_w", 250)["status"] == "accepted"


def test_a_full_disk_refuses_overrides_and_cycles_go_on(planned: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise StoreFault("disk full")

    for name in ("save_override", "save_answer", "record_cycle", "put"):
        monkeypatch.setattr(planned.journal, name, full)
    answer = planned.order("pool/h/p", "cap_w", 250)
    assert (answer["status"], planned.caps()["c"]) == ("rejected", 400)
    assert planned.daemon.cycle().outcome == "published"


def test_an_answer_also_goes_to_the_response_topic_but_never_into_our_own_tree(planned: House) -> None:
    reply = planned.broker.connect()
    reply.subscribe("#", 1)
    request = b'{"id":"r%d","kind":"cap_w","value":250,"by":"ann"}'
    planned.say("override/pool/h/p/set", request % 1, response_topic="ann/answers", correlation=b"42")
    planned.say("override/pool/h/p/set", request % 2, response_topic=f"{ROOT}/job/j/desired", correlation=b"43")
    planned.say("override/pool/h/p/set", request % 3, response_topic="not/#/a/topic")
    got = []
    while (message := reply.receive(0.0)) is not None:
        got.append(message)
    assert [m.correlation for m in got if m.correlation and not m.topic.endswith("/set")] == [b"42"]
    assert [m.topic for m in got if m.correlation == b"42"][-1] == "ann/answers"
    assert not planned.daemon.faults


def test_while_nothing_shows_that_the_broker_hears_no_plan_is_followed_and_then_one_is_made_at_once(planned: House) -> None:
    pulse, wanted, caps = planned.daemon.rooms.pulse, planned.wanted, planned.caps()
    pulse._wait_s = pulse._every_s = 0.05
    planned.broker.stop()

    def until(silent: bool) -> None:
        deadline = time.monotonic() + 5
        while pulse.silent != silent and time.monotonic() < deadline:
            planned.settle()
            time.sleep(0.01)
        assert pulse.silent == silent

    until(silent=True)
    assert (planned.mode(), planned.daemon.outcome.outcome) == ("HOLD", "held")
    assert planned.daemon.cycle().reason == room.UNHEARD
    planned.clock.advance(900)
    assert planned.daemon.cycle().mode == "SAFE"
    planned.broker.start()
    until(silent=False)
    assert planned.wanted == wanted + 1
    assert planned.daemon.cycle().mode == "NORMAL"
    assert planned.caps() == caps


def test_after_an_outage_everything_retained_comes_back(planned: House) -> None:
    planned.order("pool/h/p", "cap_w", 250)
    planned.broker.stop(forget=True)
    planned.broker.start()
    planned.settle()
    for topic in ("cap/h/p/desired", "job/j/desired", "plan/current", "override/pool/h/p/state"):
        assert planned.retained(topic) is not None, topic


def test_each_cycle_is_in_the_journal_with_what_it_was_made_from(planned: House) -> None:
    (record,) = planned.journal.cycles()
    inputs = msgspec.json.decode(record.inputs)
    assert (record.mode, record.outcome, record.at) == ("NORMAL", "published", NOW)
    assert inputs["snapshot"]["jobs"][0]["id"] == "j"
    assert len(inputs["forecast"]["price_per_mwh"]) == 58
    assert planned.journal.last_published() == record


def test_no_plan_keeps_its_program_and_fifty_cycles_take_no_more_memory_than_ten(
    planned: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of this site is some 2 MB: kept by each of forty plans it would be 80."""
    solve: Callable[..., Any] = decide
    programs = []

    def watched(*arguments: Any, **more: Any) -> Any:
        found = solve(*arguments, **more)
        programs.append(weakref.ref(found.plan.why._model))
        return found

    def rss_kb() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() // 1024

    monkeypatch.setattr(room, "decide", watched)
    for cycle in range(50):
        assert planned.daemon.cycle().outcome == "published"
        if cycle == 9:
            first_kb = rss_kb()
            assert [program() for program in programs] == [None] * 10
    assert rss_kb() - first_kb < 20_000


def test_a_killed_daemon_leaves_its_last_will(planned: House) -> None:
    planned.bus.vanish()
    status = planned.retained("svc/daemon/status")
    assert status is not None
    assert (status["mode"], status["reason"]) == ("offline", "lost")


def test_a_bound_on_one_pool_leaves_the_others_as_they_are() -> None:
    decision = Decision(NOW, NOW, (PoolCaps("a", 400), PoolCaps("b", 400, (CapGroup("w", 2, 300),))))
    held = no_higher(decision, (PoolCaps("b", 100, (CapGroup("w", 2, 120),)),))
    assert held.pools == (PoolCaps("a", 400), PoolCaps("b", 100, (CapGroup("w", 2, 120),)))


def price(house: House, *by_quarter: float) -> None:
    """Tell the price of energy from now on, EUR/MWh by the quarter, the last for nine hours."""
    at = [house.clock.now() + timedelta(minutes=15 * i) for i in range(len(by_quarter))]
    ends = [*at[1:], house.clock.now() + timedelta(hours=9)]
    points = [{"start": a.isoformat(), "end": b.isoformat(), "value": v} for a, b, v in zip(at, ends, by_quarter, strict=True)]
    house.say("grid/main/price", {"points": points, "unit": "EUR/MWh"})


def test_a_job_that_is_late_is_planned_for_until_it_is_done_and_goes_on_before_cheaper_hours(planned: House) -> None:
    planned.say("job/j/reported", {"timestamp": int(NOW.timestamp() * 1000), "state": "running", "done_gpu_h": 1.0, "gpus": 2})
    planned.clock.advance(9 * 3600 + 1)
    price(planned, 500.0, 50.0, 50.0)
    assert planned.daemon.cycle().outcome == "published"
    order = planned.retained("job/j/desired")
    assert order is not None
    assert order["action"] == "run"
    assert planned.caps() == {"": 100, "c": 400, "j": 400}


def test_a_job_that_is_late_and_that_no_scheduler_ever_told_of_takes_no_power_and_no_gpus(planned: House) -> None:
    planned.clock.advance(9 * 3600 + 1)
    assert planned.daemon.cycle().outcome == "published"
    assert planned.caps() == {"": 100, "c": 400}


@pytest.mark.parametrize(("move_price", "action"), [(0.1, "run"), (0.0, "hold")])
def test_a_trifle_in_the_price_moves_no_job_unless_moving_is_free(tmp_path: Path, move_price: float, action: str) -> None:
    """A job that takes a quarter at its best, 100 W a GPU, runs now, a MWh being cheaper now by 0.1; then it is in the next quarter."""
    site = SITE.model_copy(update={
        "jobs": SITE.jobs.model_copy(update={"delay_price_per_gpu_h": 0.0}),
        "control": SITE.control.model_copy(update={"move_price_per_mwh": move_price}),
    })  # fmt: skip
    house = House(tmp_path / "journal.sqlite", site)
    deadline = NOW + timedelta(hours=9)
    house.say("job/j/spec", {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 0.1, "pool": "p", "deadline": deadline.isoformat()})
    price(house, 50.0, 50.1, 60.0)
    house.daemon.cycle()
    told = [house.retained("job/j/desired")]
    caps = house.caps()
    price(house, 50.1, 50.0, 60.0)
    house.daemon.cycle()
    told.append(house.retained("job/j/desired"))
    assert [order["action"] for order in told if order] == ["run", action]
    assert (house.caps() == caps) is (action == "run")
    inputs = msgspec.json.decode(max(house.journal.cycles(), key=lambda record: record.cycle).inputs)
    assert inputs["near_kw"]["j"][0] == pytest.approx(2 * 0.05)
    house.kill()


def test_two_cycles_in_a_row_on_unchanged_inputs_send_the_same_caps(planned: House) -> None:
    before = planned.caps(), planned.retained("job/j/desired")
    planned.daemon.cycle()
    after = planned.caps(), planned.retained("job/j/desired")
    assert after[0] == before[0]
    assert before[1] is not None
    assert after[1] is not None
    assert {key: after[1][key] for key in ("action", "gpus")} == {key: before[1][key] for key in ("action", "gpus")}


PRICED = SITE.model_copy(update={"tariff": SITE.tariff.model_copy(update={"imbalance_premium_per_mwh": 1000.0})})


@pytest.fixture
def bought(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite", PRICED)
    yield made
    made.kill()


def commit(bought: House, kw: list[float], first_h: int = 0, **more: Any) -> dict[str, Any]:
    """Commit hourly powers from `first_h` hours from now on; the answer."""
    bought.heard("position/result")
    at = [NOW + timedelta(hours=first_h + i) for i in range(len(kw) + 1)]
    points = [{"start": a.isoformat(), "end": b.isoformat(), "value": v} for a, b, v in zip(at, at[1:], kw, strict=False)]
    bought.say("position/set", {"id": "p1", "by": "ann", "points": points} | more)
    return bought.heard("position/result")[0]


def planned_kw(bought: House) -> list[float]:
    """What the plan in force draws in its first hour."""
    assert bought.daemon.cycle().outcome == "published"
    told = bought.retained("plan/current")
    assert told is not None
    return [step["import_kw"] for step in told["steps"]][:12]


def test_the_plan_follows_what_was_committed_also_after_a_crash(bought: House) -> None:
    """The job would run at once; with less bought for the first two hours it waits, or the caps give way, a restart later too."""
    deadline = NOW + timedelta(hours=9)
    bought.say("job/j/spec", {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 2, "pool": "p", "deadline": deadline.isoformat()})
    busy = planned_kw(bought)
    idle_kw = min(busy[0], 6 * 0.39 + 4 * 0.05)
    answer = commit(bought, [idle_kw, idle_kw, busy[0], idle_kw])
    assert (answer["status"], answer["id"]) == ("accepted", "p1")
    assert bought.wanted
    after = planned_kw(bought)
    assert after == pytest.approx([idle_kw] * 12, abs=0.01)
    bought.kill()
    bought.open()
    assert planned_kw(bought) == pytest.approx(after, abs=0.01)
    state = bought.retained("position/state")
    assert state is not None
    assert [point["value"] for point in state["points"]] == pytest.approx([idle_kw, idle_kw, busy[0], idle_kw])


def test_a_newer_position_replaces_the_older_where_they_overlap_and_none_withdraws_it(bought: House) -> None:
    commit(bought, [1, 2, 3])
    commit(bought, [7], 1, id="p2")
    state = bought.retained("position/state")
    assert state is not None
    assert [point["value"] for point in state["points"]] == [1, 7, 3]
    assert commit(bought, [], id="p3")["reason"] == "nothing is committed any more"
    assert bought.retained("position/state") is None


def test_what_is_past_twice_told_retained_or_misspelt_is_refused_and_changes_nothing(bought: House) -> None:
    assert "all of it is past" in commit(bought, [1], -2)["reason"]
    assert commit(bought, [1], id="p2")["status"] == "accepted"
    assert commit(bought, [5], id="p2")["status"] == "duplicate"
    assert commit(bought, [5], id="p5", premum=3)["status"] == "rejected"
    assert commit(bought, [4000], id="p6")["reason"] == "more than 40 kW is not believable on this connection"
    bought.kill()
    point = {"start": NOW.isoformat(), "end": (NOW + timedelta(hours=1)).isoformat(), "value": 5}
    kept = msgspec.json.encode({"id": "p4", "by": "ann", "points": [point]})
    bought.ear.publish(Message(f"{ROOT}/position/set", kept, qos=1, retain=True))
    bought.heard("position/result")
    bought.open()
    refused = bought.heard("position/result")[0]
    assert (refused["id"], refused["status"], refused["reason"]) == ("p4", "rejected", "a command must not be retained")
    state = bought.retained("position/state")
    assert state is not None
    assert [point["value"] for point in state["points"]] == [1]


def test_a_site_without_a_premium_takes_no_position(tmp_path: Path) -> None:
    made = House(tmp_path / "journal.sqlite", SITE)
    try:
        assert "imbalance_premium_per_mwh" in commit(made, [1])["reason"]
        assert made.retained("position/state") is None
    finally:
        made.kill()


def test_a_history_that_cannot_be_written_is_an_alarm_and_nothing_more(planned: House) -> None:
    planned.history.trouble = "disk is full"
    planned.settle()
    alarm = planned.retained("alarm/history")
    assert alarm is not None
    assert alarm["cause"] == "disk is full"
    assert planned.daemon.cycle().outcome == "published"
    planned.history.trouble = ""
    planned.settle()
    assert planned.retained("alarm/history") is None


def test_a_cap_that_fitted_only_while_something_else_held_gives_way_when_that_ends_and_who_drives_still_does(tmp_path: Path) -> None:
    """While everything is stopped 400 W fit; when only `manual` is left, ten GPUs under 3 kW have 300 W."""
    house = House(tmp_path / "journal.sqlite", TIGHT)
    house.daemon.cycle()
    house.order("site", "manual")
    house.order("site", "stop")
    assert house.order("site", "cap_w", 400)["status"] == "accepted"
    assert set(house.caps().values()) == {100}
    house.say("override/site/clear", {"id": "stop-None", "by": "ann"})
    assert house.mode() == "MANUAL"
    (pool,) = house.daemon.rooms.governor.in_force.pools
    assert {pool.cap_w, *(group.cap_w for group in pool.groups)} == {300}
    house.kill()


def test_a_plan_of_a_day_is_held_against_its_share_of_a_months_demand_charge(tmp_path: Path) -> None:
    site = SITE.model_copy(update={"tariff": SITE.tariff.model_copy(update={"peak_price_per_kw": 3.1})})
    house = House(tmp_path / "journal.sqlite", site)
    assert house.daemon.cycle().outcome == "published"
    plan = house.daemon.rooms.governor.plan
    assert isinstance(plan, Optimised)
    (charge,) = plan.plan.problem.demand_charges
    assert charge.price_per_kw == pytest.approx(3.1 / 31)
    assert replay(house.journal, Span(solve=True), Solver).whole
    house.kill()
