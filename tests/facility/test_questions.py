"""What would it do, and why is it so: asked on a bus in memory, with a clock that stands still, thought over in this process at once.

The site is `test_daemon`'s: pool `p`, 10 GPUs of 100 to 400 W, 6 of them rented by `c`, 2 wanted by job `j`; a limit of 4 kW.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facility.bus.interface import MAX_PAYLOAD_BYTES, Message
from facility.bus.messages import WhatIfResult, WhyResult, decode
from facility.daemon.answering.patience import MOST_PEOPLE, Patience
from facility.daemon.answering.questions import MOST_WAITING
from facility.daemon.answering.thinking.inquiry import Answer, Inquiry, Unanswered
from facility.daemon.answering.thinking.mind import Mind
from facility.decide import Optimised
from tests.facility.test_daemon import NOW, ROOT, TIGHT, House, no_plan

HOUR = timedelta(hours=1)
Told = dict[str, Any]


@dataclass
class AtOnce:
    """Thinks over each question when it is looked for an answer, or never."""

    mind: Mind = field(default_factory=Mind)
    asked: list[tuple[Inquiry, float]] = field(default_factory=list)
    idle: bool = False

    def ask(self, inquiry: Inquiry, within_s: float) -> None:
        self.asked.append((pickle.loads(pickle.dumps(inquiry)), within_s))  # as it would go over to another process

    def answered(self) -> list[Answer | Unanswered]:
        if self.idle:
            return []
        asked, self.asked = self.asked, []
        return [self.mind.answer(*each) for each in asked]


class Asked(House):
    """A house in which people may ask."""

    def open(self) -> None:
        self.thinker = AtOnce()
        super().open()
        self.daemon.rooms.questions._thinker = self.thinker
        self.number = 0

    def ask(self, sort: str, question: Told, **more: Any) -> Told:
        """Ask, and return the answer."""
        self.number += 1
        name = f"q{self.number}"
        self.heard("")
        self.say(f"{sort}/{name}/set", {"id": name, "by": f"person-{name}"} | question, **more)
        (told,) = self.heard(f"{sort}/{name}/result")
        assert told["id"] == name
        decode(msgspec.json.encode(told), WhatIfResult if sort == "whatif" else WhyResult)
        return told

    def what_if(self, target: str, kind: str, value: float | None = None, **more: Any) -> Told:
        change = {"target": target, "kind": kind, "value": value} | more
        return self.ask("whatif", {"changes": [{key: v for key, v in change.items() if v is not None}]})


def planned(house: Asked) -> Asked:
    spec = {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 4, "pool": "p", "deadline": (NOW + 9 * HOUR).isoformat()}
    house.say("job/j/spec", spec)
    assert house.daemon.cycle().outcome == "published"
    return house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Asked]:
    made = planned(Asked(tmp_path / "journal.sqlite"))
    yield made
    made.kill()


def cost(house: Asked) -> float:
    """What the plan that is followed costs, as an answer counts it."""
    plan = house.daemon.rooms.governor.plan
    assert isinstance(plan, Optimised)
    return sum(plan.plan.account.cost.get(kind, 0.0) for kind in ("energy", "fees", "carried", "wear", "peak"))


def test_a_preview_tells_costs_caps_and_contracts_before_and_after_and_commands_nothing(house: Asked) -> None:
    told = house.what_if("pool/h/p", "cap_w", 250, ttl_s=7200)
    assert told["status"] == "ok"
    assert (told["judged"][0]["status"], told["judged"][0]["effective"]) == ("accepted", 250)
    assert told["before"]["cost"] == pytest.approx(cost(house))
    assert told["after"]["cost"] < told["before"]["cost"]
    assert told["after"]["energy_kwh"] < told["before"]["energy_kwh"]
    (caps,) = told["caps"]
    assert (set(caps["before_w"]), set(caps["after_w"])) == ({400}, {250})
    assert len(told["times"]) == len(caps["after_w"]) == 12
    (contract,) = told["contracts"]
    assert contract["contract"] == "c"
    assert contract["speed_after"] < contract["speed_before"] == pytest.approx(1)
    for words in ("a cap of 250 W on pool/h/p until 2026-07-01T14:00Z saves ", "c runs at ", "no limit is broken by it"):
        assert words in told["says"]
    assert house.caps()["c"] == 400
    assert house.retained("override/pool/h/p/state") is None
    assert house.wanted == 0


@pytest.mark.parametrize(
    ("target", "kind", "value"),
    [("pool/h/p", "cap_w", 250), ("grid/main", "import_limit_kw", 2.0), ("job/j", "hold", None), ("pool/h/p", "hold", None), ("job/j", "cap_w", 200)],
)
def test_what_was_foretold_happens_when_it_is_commanded_at_that_instant(house: Asked, target: str, kind: str, value: float | None) -> None:
    told = house.what_if(target, kind, value, ttl_s=3600)
    answer = house.order(target, kind, value, ttl_s=3600)
    assert {key: told["judged"][0].get(key) for key in ("status", "effective", "until")} == {
        key: answer.get(key) for key in ("status", "effective", "until")
    }
    house.daemon.cycle()
    assert cost(house) == pytest.approx(told["after"]["cost"], rel=0.001)
    plan = house.retained("plan/current")
    assert plan is not None
    (caps,) = told["caps"]
    assert [step["caps_w"].get("p") for step in plan["steps"][:12]] == caps["after_w"]
    job = house.retained("job/j/desired")
    assert job is not None
    held = any(each["change"] == "held-longer" for each in told["jobs"])
    assert held == (job["action"] == "hold")
    assert held or kind != "hold"


def test_a_job_that_misses_its_deadline_is_told_with_what_is_left_of_it(house: Asked) -> None:
    told = house.what_if("job/j", "hold", ttl_s=9 * 3600)
    (job,) = told["jobs"]
    assert (job["job"], job["change"]) == ("j", "misses-deadline")
    assert "misses its deadline, 2026-07-01T21:00Z: 4 GPU h are left then" in job["says"]
    assert "1 jobs miss" not in told["says"]
    assert "1 job misses its deadline" in told["says"]
    assert (told["before"]["jobs_late"], told["after"]["jobs_late"]) == (0, 1)
    assert [breach["family"] for breach in told["broken"]] == ["unfinished_gpu_h"]


def test_it_is_clamped_and_refused_as_the_command_would_be(tmp_path: Path) -> None:
    house = planned(Asked(tmp_path / "tight.sqlite", TIGHT))
    low = house.what_if("pool/h/p", "cap_w", 50)
    assert (low["status"], low["judged"][0]["status"], low["judged"][0]["effective"]) == ("ok", "clamped", 100)
    assert "a cap of 100 W (asked 50) on pool/h/p" in low["says"]
    high = house.what_if("hall/h", "cap_w", 390, ttl_s=600)
    commanded = house.order("hall/h", "cap_w", 390)
    assert high["judged"][0]["effective"] == commanded["effective"]
    assert high["judged"][0]["reason"].replace(f"person-q{house.number}", "ann") == commanded["reason"]
    wrong = (("pool/h/q", "hold", "unknown target pool/h/q"), ("pool/h/p", "run", "run is not for pool/h/p"), ("job/k", "hold", "job/j"))
    for target, kind, says in wrong:
        told = house.what_if(target, kind)
        assert (told["status"], told["judged"][0]["status"]) == ("refused", "rejected")
        assert says in told["says"]
    past = house.what_if("pool/h/p", "hold", end=NOW.isoformat())
    assert (past["status"], past["judged"][0]["status"]) == ("refused", "expired")
    house.kill()


def test_of_two_that_are_thought_of_together_the_second_is_judged_beside_the_first(house: Asked) -> None:
    changes = [{"target": "hall/h", "kind": "cap_w", "value": 200}, {"target": "pool/h/p", "kind": "cap_w", "value": 300, "priority": 5}]
    told = house.ask("whatif", {"changes": changes})
    assert {w for caps in told["caps"] for w in caps["after_w"]} == {300}
    changes[1]["priority"] = 9
    told = house.ask("whatif", {"changes": changes})
    assert "weaker than cap 200 W on hall/h" in told["judged"][1]["reason"]
    assert {w for caps in told["caps"] for w in caps["after_w"]} == {200}


def test_the_end_of_an_override_is_foretold_too(house: Asked) -> None:
    house.order("pool/h/p", "cap_w", 250, ttl_s=7200)
    house.daemon.cycle()
    told = house.ask("whatif", {"changes": [{"target": "pool/h/p", "clear": "cap_w-250"}]})
    (caps,) = told["caps"]
    assert (set(caps["before_w"]), set(caps["after_w"])) == ({250}, {400})
    assert told["says"].startswith("clearing cap_w-250 on pool/h/p costs ")
    assert house.ask("whatif", {"changes": [{"target": "site", "clear": "cap_w-250"}]})["status"] == "refused"
    assert house.caps()["c"] == 250


def test_both_plans_begin_when_the_newest_did_and_count_what_was_commanded_since(house: Asked) -> None:
    house.clock.advance(200)
    house.order("grid/main", "import_limit_kw", 3.0, ttl_s=7200)
    told = house.what_if("pool/h/p", "cap_w", 250, ttl_s=7200)
    assert told["at"] == "2026-07-01T12:00:00Z"
    assert told["before"]["peak_kw"] <= 3.0
    assert told["before"]["margin_kw"] >= 0
    (caps,) = told["caps"]
    assert caps["after_w"][0] == 250


def test_who_drives_by_hand_is_told_that_no_plan_can_say_what_that_costs(house: Asked) -> None:
    told = house.what_if("site", "manual")
    assert (told["status"], told.get("after")) == ("ok", None)
    assert told["before"]["cost"] == pytest.approx(cost(house))
    assert "manual on site until" in told["says"]
    assert "leaves no plan in force (then: an operator drives: manual)" in told["says"]
    house.order("site", "manual", ttl_s=600)
    back = house.ask("whatif", {"changes": [{"target": "site", "clear": "manual-None"}]})
    assert (back.get("before"), back["after"]["cost"]) == (None, pytest.approx(cost(house)))


def test_why_answers_of_a_job_a_pool_a_contract_the_limit_and_an_instant(house: Asked) -> None:
    house.order("grid/main", "import_limit_kw", 2.5, ttl_s=3600)
    house.daemon.cycle()
    limit = house.ask("why", {"about": "limit"})
    assert limit["status"] == "ok"
    assert (limit["limits"][0]["limit"], limit["limits"][0]["unit"]) == ("grid.limits", "kW")
    assert limit["limits"][0]["price"] > 0
    assert limit["remedies"][0]["more"] > 0
    assert "more of the import limit" in limit["remedies"][0]["says"]
    assert limit["says"].startswith("the import limit: 1 kW more of the import limit in every step would have saved ")
    pool = house.ask("why", {"about": "pool/h/p"})
    assert "the import limit (2.475 kW) keeps caps low" in pool["lines"][0]
    assert pool["limits"][0]["limit"] == "grid.limits"
    assert house.ask("why", {"about": "pool/p"})["lines"] == pool["lines"]
    assert house.ask("why", {"about": "contract/c"})["says"].startswith("contract c: its GPUs run at ")
    assert house.ask("why", {"about": "job/j"})["says"].startswith("job j: ")
    assert "kW are drawn" in house.ask("why", {"about": (NOW + HOUR / 2).isoformat()})["says"]
    assert house.thinker.mind.solved == 1


def test_where_the_last_plan_is_held_both_answers_say_so(house: Asked) -> None:
    with pytest.MonkeyPatch.context() as patch:
        no_plan(patch)
        assert house.daemon.cycle().outcome == "held"
    said = "at present no fresh plan is in force (HOLD: no solver today)"
    why = house.ask("why", {"about": "limit"})
    assert (why["lines"][0], why["says"].endswith(said)) == (said, True)
    assert house.what_if("pool/h/p", "cap_w", 250)["says"].endswith(said)


def test_why_a_pool_has_the_cap_that_somebody_commands_names_who(house: Asked) -> None:
    house.order("pool/h/p", "cap_w", 250)
    house.daemon.cycle()
    assert house.ask("why", {"about": "pool/h/p"})["lines"][0].startswith("cap 250 W on pool/h/p by ann (priority 8)")


def test_where_the_limit_does_not_bind_it_is_told_how_far_it_is(house: Asked) -> None:
    told = house.ask("why", {"about": "limit"})
    assert told["says"].startswith("the import limit: the import limit costs nothing: at least ")
    assert (told["limits"], told["remedies"]) == ([], []) or not told.get("limits")


@pytest.mark.parametrize(
    ("about", "says"), [("job/k", "there: j"), ("pool/h/q", "there: h/p"), ("contract/d", "there: c"), ("nonsense", "is no job, pool")]
)
def test_what_nobody_knows_is_refused_with_what_there_is(house: Asked, about: str, says: str) -> None:
    told = house.ask("why", {"about": about})
    assert told["status"] == "refused"
    assert says in told["says"]


def test_a_question_that_arrives_retained_is_refused_with_an_alarm(house: Asked) -> None:
    question = {"id": "q1", "by": "ann", "changes": [{"target": "site", "kind": "stop"}]}
    house.ear.publish(Message(f"{ROOT}/whatif/q1/set", msgspec.json.encode(question), qos=1, retain=True))
    house.settle()
    house.heard("")
    house.kill()
    house.open()
    (told,) = house.heard("whatif/q1/result")
    assert (told["status"], told["says"]) == ("refused", "a question must not be retained")
    assert house.retained("alarm/retained-command") is not None
    house.say("whatif/q1/set", b"", retain=True)
    assert house.retained("alarm/retained-command") is None


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ({"changes": []}, "length >= 1"),
        ({"changes": [{"target": "site", "kind": "hold"}] * 9}, "length <= 8"),
        ({"changes": [{"target": "site"}]}, "give kind, or clear"),
        ({"changes": [{"target": "site", "kind": "hold", "clear": "x"}]}, "give kind, or clear"),
        ({"changes": [{"target": "site", "kind": "cap_w"}]}, "need a value"),
        ({"changes": [{"target": "site", "kind": "hold", "priorty": 5}]}, "unknown field"),
        ({"changes": [{"target": "site", "kind": "hold"}], "within_s": 500}, "<= 120"),
        ({"changes": [{"target": "site", "kind": "hold"}], "id": "another"}, "its id is another, and its topic says q1"),
    ],
)
def test_what_is_no_question_is_refused_and_says_why(house: Asked, question: Told, says: str) -> None:
    house.say("whatif/q1/set", {"id": "q1", "by": "ann"} | question)
    (told,) = house.heard("whatif/q1/result")
    assert told["status"] == "refused"
    assert says in told["says"]
    assert house.thinker.mind.solved == 0


def test_before_the_first_plan_nothing_can_be_told(tmp_path: Path) -> None:
    house = Asked(tmp_path / "journal.sqlite")
    assert "no plan was made yet" in house.what_if("pool/h/p", "cap_w", 250)["says"]
    house.kill()


def test_who_asks_too_often_is_refused_and_others_may_ask_meanwhile(house: Asked) -> None:
    ann = {"about": "limit", "by": "ann"}
    answers = [house.ask("why", ann) for _ in range(7)]
    assert [told["status"] for told in answers] == ["ok"] * 5 + ["refused"] * 2
    assert "ann asks too often" in answers[-1]["says"]
    assert house.ask("why", {"about": "limit", "by": "bob"})["status"] == "ok"


def test_each_person_may_ask_five_times_at_once_and_then_every_two_seconds() -> None:
    now_s = 100.0
    patience = Patience(lambda: now_s)
    assert [patience.with_("ann") for _ in range(7)] == [True] * 5 + [False] * 2
    assert patience.with_("bob")
    now_s += 2
    assert [patience.with_("ann") for _ in range(2)] == [True, False]
    now_s += 60
    assert [patience.with_("ann") for _ in range(6)] == [True] * 5 + [False]
    assert all(patience.with_(f"person-{i}") for i in range(2 * MOST_PEOPLE))
    assert len(patience._free_s) == MOST_PEOPLE


def test_a_flood_is_refused_without_a_thought_and_costs_neither_cycle_nor_override(house: Asked) -> None:
    house.thinker.idle = True
    house.heard("")
    for i in range(500):
        house.say(f"why/f{i}/set", {"id": f"f{i}", "by": f"person-{i}", "about": "limit"})
    assert len(house.thinker.asked) == MOST_WAITING
    refused = [m for m in iter(lambda: house.ear.receive(0.0), None) if m.topic.endswith("/result")]
    assert len(refused) == 500 - MOST_WAITING
    assert b"questions wait already" in refused[0].payload
    assert house.order("pool/h/p", "cap_w", 250)["status"] == "accepted"
    assert house.daemon.cycle().outcome == "published"
    house.thinker.idle = False
    house.settle()
    answered = [m.topic for m in iter(lambda: house.ear.receive(0.0), None) if "/why/" in m.topic]
    assert answered == [f"{ROOT}/why/f{i}/result" for i in range(MOST_WAITING)]


def test_the_same_question_delivered_twice_is_answered_once(house: Asked) -> None:
    house.thinker.idle = True
    for _ in range(2):
        house.say("why/twice/set", {"id": "twice", "by": "ann", "about": "limit"})
    house.thinker.idle = False
    house.settle()
    assert len(house.heard("why/twice/result")) == 1


@pytest.mark.parametrize(
    ("late", "status", "says"), [(True, "too-late", "too late: it took"), (False, "failed", "it could not be computed: it took")]
)
def test_what_could_not_be_thought_over_is_answered_so(house: Asked, late: bool, status: str, says: str) -> None:
    house.thinker.mind.answer = lambda inquiry, _within_s: Unanswered(inquiry.id, "it took", late=late)  # type: ignore[method-assign]
    told = house.what_if("pool/h/p", "cap_w", 250)
    assert (told["status"], told["says"]) == (status, says)


def test_an_answer_goes_to_the_response_topic_of_mqtt_5_too(house: Asked) -> None:
    house.ear.subscribe("reply/#", 1)
    request = msgspec.json.encode({"id": "q", "by": "ann", "about": "limit"})
    house.ear.publish(Message(f"{ROOT}/why/q/set", request, qos=1, response_topic="reply/ann", correlation=b"7"))
    house.settle()
    found = [m for m in iter(lambda: house.ear.receive(0.0), None) if m.topic == "reply/ann"]
    assert [(m.correlation, msgspec.json.decode(m.payload)["id"]) for m in found] == [(b"7", "q")]


def test_a_program_that_fails_is_an_answer(house: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no more of this")

    monkeypatch.setattr("facility.daemon.answering.thinking.mind.preview", fails)
    told = house.what_if("pool/h/p", "cap_w", 250)
    assert (told["status"], told["says"]) == ("failed", "it could not be computed: RuntimeError: no more of this")
    assert house.ask("why", {"about": "limit"})["status"] == "ok"


def test_answers_fit_into_a_message(house: Asked) -> None:
    house.what_if("pool/h/p", "cap_w", 250)
    assert all(len(payload) < MAX_PAYLOAD_BYTES for payload in house.broker.retained.values())
