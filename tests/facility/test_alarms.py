"""Alarms: one for each cause, no chatter, ten in ten minutes at most, whatever comes; put aside by people for a while, and counted."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from facility.alarms.rates import MOST_IN_TEN_MINUTES, TEN_MINUTES, rates
from facility.alarms.shelves import PLANT_MOST, Shelves
from facility.alarms.standing import CHATTERS, LONGEST_HOLD, MOST, WINDOW
from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.bus.messages import Alarm, decode
from facility.bus.mqtt import MqttBus
from facility.cli import app
from facility.clock import ManualClock, SystemClock
from facility.config import load_site
from facility.daemon.loop import Daemon
from facility.daemon.recording.account import Account
from facility.daemon.telling.alarms import MORE, Alarms
from facility.daemon.telling.punctuality import MISSED
from facility.decide import Undecided
from facility.journal.entry import Entry
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.process.work import scheduled
from tests.facility.test_daemon import NOW, ROOT, SITE, House
from tests.processes import Mosquitto, needs_mosquitto, until

DEMO = "site_configs/demo.yaml"


class Room:
    """Alarms on a bus in memory; what is retained there and what the account says."""

    def __init__(self, path: Path) -> None:
        self.at, self.broker = NOW, MemoryBroker()
        self.journal = Journal(path, clock=ManualClock(NOW))
        self.alarms = Alarms(SITE, self.broker.connect(), Account(self.journal))

    def stand(self, alarm: str, **more: Any) -> None:
        self.alarms.stand(alarm, f"{alarm} is bad", self.at, place="here", remedy="mend it", **more)

    def clear(self, alarm: str) -> None:
        self.alarms.clear(alarm, self.at)

    def wait(self, seconds: float) -> None:
        """Let time pass, looking every second."""
        for _ in range(round(seconds)):
            self.at += timedelta(seconds=1)
            self.alarms.look(self.at)

    def told(self) -> dict[str, Alarm]:
        return {topic.rpartition("/")[2]: decode(payload, Alarm) for topic, payload in self.broker.retained.items()}

    def entries(self, action: str) -> list[Entry]:
        return [entry for entry in self.journal.account(NOW - timedelta(days=9)) if entry.action == action]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "journal.sqlite")
    yield made
    made.journal.close()


def test_an_alarm_stands_until_its_cause_is_gone_and_is_told_once(room: Room) -> None:
    room.stand("a")
    room.wait(30)
    room.stand("a", severity="warning")
    assert (room.told()["a"].severity, room.told()["a"].since, room.told()["a"].count) == ("alarm", NOW, 1)
    room.clear("a")
    assert room.told() == {}
    assert [entry.action for entry in room.journal.account(NOW)] == ["raised", "over"]


def test_an_alarm_that_becomes_graver_is_told_again(room: Room) -> None:
    room.stand("a", severity="warning")
    room.wait(5)
    room.stand("a", severity="critical")
    assert (room.told()["a"].severity, room.told()["a"].since) == ("critical", NOW)
    assert len(room.entries("graver")) == 1


def test_an_alarm_that_comes_and_goes_is_held_and_counts(room: Room) -> None:
    for _ in range(600):
        room.stand("a")
        room.wait(1)
        room.clear("a")
        room.wait(1)
    assert len(room.entries("raised")) == 2
    assert [entry.target for entry in room.entries("chatters")] == ["a"]
    assert room.told()["a"].count >= 590
    room.wait(LONGEST_HOLD.total_seconds() + 1)
    assert room.told() == {}
    assert "it came 599 times" in room.entries("over")[-1].says


def test_the_longer_an_alarm_comes_and_goes_the_longer_it_is_held(room: Room) -> None:
    for _ in range(200):
        room.stand("a")
        room.wait(5)
        room.clear("a")
        room.wait(70)
    assert len(room.entries("raised")) == 3
    assert room.told()["a"].count == 198


def test_an_alarm_that_comes_seldom_is_a_new_one_each_time(room: Room) -> None:
    for _ in range(3):
        room.stand("a")
        room.wait(5)
        room.clear("a")
        assert room.told() == {}
        room.wait(600)
    assert len(room.entries("raised")) == 3


def test_a_clock_that_is_set_back_holds_nothing_for_ever(room: Room) -> None:
    for _ in range(2):
        room.stand("a")
        room.clear("a")
    assert set(room.told()) == {"a"}
    room.at -= timedelta(days=1)
    room.wait(1)
    assert room.told() == {}


def test_of_a_flood_ten_are_told_in_ten_minutes_and_one_of_them_says_how_many_more(room: Room) -> None:
    for number in range(200):
        room.stand(f"w-{number}", severity="warning")
    assert len(room.told()) == MOST + 1
    room.wait(11)
    assert room.told()[MORE].cause.startswith("193 more alarms stand")
    for number in range(20):
        room.stand(f"p-{number}", plant=True)
    assert {"p-0", MORE} <= room.told().keys()
    room.wait(20)
    assert room.told()[MORE].severity == "alarm"
    assert rates(room.journal.account(NOW), NOW, room.at).most_in_ten_minutes <= MOST_IN_TEN_MINUTES
    room.wait(4 * WINDOW.total_seconds())
    assert {f"p-{number}" for number in range(20)} <= room.told().keys(), "the plant's first"
    for number in range(200):
        room.clear(f"w-{number}")
        room.clear(f"p-{number}")
    room.wait(WINDOW.total_seconds() + 1)
    assert room.told() == {}
    assert rates(room.journal.account(NOW), NOW, room.at).most_in_ten_minutes <= MOST_IN_TEN_MINUTES


NAMES = [f"a-{number}" for number in range(25)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("stand"), st.sampled_from(NAMES), st.sampled_from(["warning", "alarm", "critical"]), st.booleans()),
        st.tuples(st.just("clear"), st.sampled_from(NAMES)),
        st.tuples(st.just("wait"), st.sampled_from([1, 1, 7, 61, 300, 660])),
    ),
    max_size=120,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_comes_each_cause_is_told_or_counted_and_ten_in_ten_minutes_are_the_most(tmp_path: Path, steps: list[Any]) -> None:
    room, causes = Room(tmp_path / f"{uuid.uuid4().hex}.sqlite"), set()
    try:
        for step in steps:
            match step:
                case "stand", name, severity, plant:
                    room.stand(name, severity=severity, plant=plant)
                    causes.add(name)
                case "clear", name:
                    room.clear(name)
                    causes.discard(name)
                case "wait", seconds:
                    room.at += timedelta(seconds=seconds)
                    room.alarms.look(room.at)
            told = room.told()
            assert set(room.alarms.ids) == set(told)
            assert causes <= told.keys() or MORE in told, "what is not told is counted"
        for name in NAMES:
            room.clear(name)
        for _ in range(20):
            room.at += timedelta(minutes=2)
            room.alarms.look(room.at)
        assert room.told() == {}
        found = rates(room.journal.account(NOW), NOW, room.at)
        assert found.most_in_ten_minutes <= MOST_IN_TEN_MINUTES
        assert found.standing == {}
    finally:
        room.journal.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A daemon with an alarm that is a warning, `signal-weather`, and a later one about the plant, `cap-p`."""
    made = House(tmp_path / "journal.sqlite")
    made.daemon.cycle()
    made.say("signal/weather", b"{", retain=True)
    assert made.retained("alarm/signal-weather") is not None
    yield made
    made.kill()


def shelve(house: House, alarm: str = "signal-weather", action: str = "shelve", **more: Any) -> dict[str, Any]:
    house.heard("nothing")
    request = {"id": f"s-{house.clock.now().timestamp()}", "by": "ann", "reason": "it is being mended"} | more
    house.say(f"alarm/{alarm}/{action}", request)
    return house.heard(f"alarm/{alarm}/result")[0]


def defy(house: House) -> None:
    """The pool's agent reports more than it was sent."""
    house.order("pool/h/p", "cap_w", 250)
    sent = house.retained("cap/h/p/desired")
    assert sent is not None
    house.say("cap/h/p/reported", {"timestamp": 0, "epoch": sent["epoch"], "seq": sent["seq"], "enforced_cap_w": 400, "groups": []})


def shelf(house: House, alarm: str = "signal-weather") -> dict[str, Any] | None:
    told = house.retained(f"alarm/{alarm}")
    assert told is not None, "a shelved alarm stands as before"
    return told.get("shelved")


def test_an_alarm_is_shelved_for_an_hour_says_by_whom_and_why_and_comes_back_by_itself(house: House) -> None:
    caps = house.caps()
    answer = shelve(house)
    assert (answer["status"], datetime.fromisoformat(answer["until"])) == ("accepted", NOW + timedelta(hours=1))
    assert shelf(house) == {"until": "2026-07-01T13:00:00Z", "by": "ann", "reason": "it is being mended"}
    assert house.daemon.upkeep.status(NOW).shelved == ("signal-weather",)
    assert house.daemon.upkeep.status(NOW).alarms == ("signal-weather",)
    assert house.caps() == caps
    house.clock.advance(3599)
    house.settle()
    assert shelf(house) is not None
    house.clock.advance(1)
    house.settle()
    assert shelf(house) is None
    assert house.heard("alarm/signal-weather/result")[-1]["status"] == "expired"
    assert house.daemon.upkeep.status(NOW).shelved == ()


def test_a_shelf_survives_a_restart_and_ends_with_its_time_although_nobody_looked(house: House) -> None:
    shelve(house, ttl_s=600)
    house.kill()
    house.open()
    assert shelf(house) is not None
    house.kill()
    house.clock.advance(601)
    house.open()
    assert shelf(house) is None


def test_an_alarm_is_taken_off_its_shelf_by_anybody(house: House) -> None:
    shelve(house)
    assert shelve(house, action="unshelve", id="u-1", by="bo")["status"] == "cleared"
    assert shelf(house) is None
    assert shelve(house, action="unshelve", id="u-2")["status"] == "rejected"
    assert shelve(house, action="unshelve", id="u-1")["status"] == "duplicate"


def test_one_about_the_plant_lies_for_half_an_hour_at_most_also_where_it_became_so_only_since(house: House) -> None:
    defy(house)
    answer = shelve(house, "cap-p", ttl_s=36_000)
    assert (answer["status"], datetime.fromisoformat(answer["until"])) == ("clamped", NOW + PLANT_MOST)
    assert "at most 0:30:00" in answer["reason"]
    assert shelve(house, ttl_s=36_000, id="long")["status"] == "accepted"
    here = house.daemon.rooms
    here.alarms.stand("signal-weather", "worse", NOW, place="x", remedy="y", plant=True)
    house.clock.advance(PLANT_MOST.total_seconds())
    house.settle()
    assert here.shelving.shelved == ()


@pytest.mark.parametrize(
    ("alarm", "more", "status", "says"),
    [
        ("signal-weather", {"reason": " "}, "rejected", "why it is put aside"),
        ("signal-weather", {"by": " "}, "rejected", "nobody signed it"),
        ("signal-weather", {"end": (NOW - timedelta(seconds=1)).isoformat()}, "expired", "has passed"),
        ("signal-weather", {"ttl_s": 2 * 86_400}, "clamped", "at most 1 day"),
        ("signal-weather", {"ttl_s": 60, "end": NOW.isoformat()}, "rejected", "not both"),
        ("signal-weather", {"fro": 60}, "rejected", "fro"),
        ("never-stood", {}, "rejected", "no alarm never-stood stands or stood; there are: signal-weather"),
    ],
)
def test_what_cannot_be_meant_is_refused_or_bounded_and_the_answer_says_so(
    house: House, alarm: str, more: dict[str, Any], status: str, says: str
) -> None:
    answer = shelve(house, alarm, **more)
    assert (answer["status"], says in answer["reason"]) == (status, True), answer
    assert (shelf(house) is not None) == (status == "clamped")


def test_a_command_that_the_broker_retained_shelves_nothing(house: House) -> None:
    house.kill()
    told = b'{"id":"kept","by":"ann","reason":"mending"}'
    house.ear.publish(Message(f"{ROOT}/alarm/signal-weather/shelve", told, qos=1, retain=True))
    house.open()
    assert house.heard("alarm/signal-weather/result")[0]["reason"].startswith("it arrived retained")
    assert shelf(house) is None
    assert house.retained("alarm/retained-command") is not None


def test_a_command_that_comes_twice_shelves_once(house: House) -> None:
    first = shelve(house, id="twice", ttl_s=60)
    house.clock.advance(30)
    second = shelve(house, id="twice", ttl_s=60)
    assert (second["status"], second["until"]) == ("duplicate", first["until"])
    house.clock.advance(31)
    house.settle()
    assert shelve(house, id="twice", ttl_s=60)["status"] == "duplicate"
    assert shelf(house) is None


def test_what_cannot_be_stored_is_not_shelved(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise StoreFault("the disk is full")

    monkeypatch.setattr(house.journal, "save_answer", full)
    answer = shelve(house)
    assert (answer["status"], "could not be stored" in answer["reason"]) == ("rejected", True)
    assert shelf(house) is None


def test_a_clock_that_is_set_back_before_the_shelving_ends_it(house: House) -> None:
    shelve(house)
    house.clock.advance(-3600)

    def is_back() -> bool:
        house.settle()
        told = house.retained("alarm/signal-weather")
        return told is not None and told.get("shelved") is None

    assert until(is_back, 5), "the daemon begins anew, hears of the weather again, and has no shelf"
    assert house.daemon.rooms.shelving.shelved == ()


def test_shelves_that_cannot_be_read_shelve_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite", clock=ManualClock(NOW)) as journal:
        journal.put("shelves", b'[{"alarm":1}]')
        assert Shelves(journal).shelved == ()


def test_a_shelving_is_in_the_account_and_counted(house: House) -> None:
    shelve(house)
    shelve(house, action="unshelve", id="u-1", by="bo")
    told = [(entry.actor, entry.action, entry.result) for entry in house.journal.account(NOW) if entry.sort == "alarm"]
    assert told == [("facility", "raised", "warning"), ("ann", "shelve", "accepted"), ("bo", "unshelve", "cleared")]
    assert rates(house.journal.account(NOW), NOW, NOW).shelved == 1


def test_a_cycle_that_takes_longer_than_a_cycle_is_an_alarm_until_one_is_in_time(tmp_path: Path) -> None:
    house, go_on, asked = House(tmp_path / "journal.sqlite"), threading.Event(), threading.Event()

    def slow(_question: Any) -> Undecided:
        asked.set()
        go_on.wait(5)
        return Undecided("too slow")

    house.daemon._planner = slow
    plan = threading.Thread(target=house.daemon.cycle)
    plan.start()
    assert asked.wait(5)
    house.clock.advance(299)
    house.settle()
    assert house.retained(f"alarm/{MISSED}") is None
    house.clock.advance(1)
    house.settle()
    alarm = house.retained(f"alarm/{MISSED}")
    assert alarm is not None
    assert "longer than a cycle of 300 s" in alarm["cause"]
    go_on.set()
    plan.join(5)
    house.settle()
    assert house.retained(f"alarm/{MISSED}") is not None, "that one was late"
    house.daemon.cycle()
    house.settle()
    assert house.retained(f"alarm/{MISSED}") is None
    house.kill()


def test_no_cycle_at_all_is_an_alarm(house: House) -> None:
    house.clock.advance(599)
    house.settle()
    assert house.retained(f"alarm/{MISSED}") is None
    house.clock.advance(1)
    house.settle()
    assert house.retained(f"alarm/{MISSED}") is not None
    house.daemon.cycle()
    assert house.retained(f"alarm/{MISSED}") is None


def test_a_tick_that_finds_the_one_before_still_waiting_tells_of_a_missed_cycle() -> None:
    wanted, told = threading.Event(), []
    (job,) = scheduled(wanted, 300, told.append).get_jobs()
    job.func()
    assert (wanted.is_set(), told) == (True, [])
    job.func()
    assert told == ["planning takes longer than a cycle"]


def raised(*minutes: float, alarm: str = "a", severity: str = "warning") -> list[Entry]:
    return [Entry(NOW + timedelta(minutes=m), "alarm", "raised", alarm, "x: y", result=severity) for m in minutes]


def test_rates_are_those_that_are_counted_by_hand() -> None:
    burst = [entry for number in range(12) for entry in raised(60 + number / 2, alarm=f"b-{number}", severity="alarm")]
    over = Entry(NOW + timedelta(minutes=70), "alarm", "over", "b-0", "x: y", result="alarm")
    found = rates([*raised(0, 5, 9.9, 10), *burst, over], NOW, NOW + timedelta(days=2))
    assert (found.told, found.a_day, found.mean_in_ten_minutes) == (16, 8, pytest.approx(16 / 288))
    assert (found.most_in_ten_minutes, found.most_at) == (12, NOW + timedelta(hours=1))
    assert found.flooded_share == pytest.approx(1 / 288)
    assert set(found.stale) == {"a", *(f"b-{number}" for number in range(1, 12))}
    assert (found.frequent[0], found.frequent_share) == (("a", 4), pytest.approx(13 / 16))
    assert found.severities == {"warning": 4, "alarm": 12}
    assert found.missed() == (
        "12 alarms in the worst 10 min, at most 10 can be read",
        "12 alarms stand longer than 24 h, fewer than 5 is the goal",
    )


def test_each_goal_that_is_not_met_is_said() -> None:
    often = [entry for minute in range(0, 1440, 4) for entry in raised(minute, minute + 0.1)]
    crowd = [entry for hour in range(24) for entry in raised(*[60 * hour + n / 10 for n in range(11)], alarm="c")]
    chatters = Entry(NOW, "alarm", "chatters", "a", "x: y", result="warning")
    found = rates(sorted([*often, *crowd, chatters], key=lambda entry: entry.at), NOW, NOW + timedelta(days=1))
    assert [goal.split(",")[0] for goal in found.missed()] == [
        "984 alarms a day", "6.83 alarms in 10 min on average", "17 alarms in the worst 10 min",
        "16.7% of all 10 min have more than 10 alarms", "100% of all alarms are the ten most frequent", "1 chatter",
    ]  # fmt: skip


def test_what_stood_when_a_process_was_killed_does_not_stand_any_more() -> None:
    start = Entry(NOW + timedelta(minutes=1), "service", "started", "facility-2", "version 1")
    assert set(rates([*raised(0), start], NOW, NOW + TEN_MINUTES).standing) == set()
    assert rates([], NOW, NOW).missed() == ()


def test_history_and_rates_are_read_beside_the_daemon(house: House) -> None:
    shelve(house)
    run = CliRunner()
    config = house.path.parent / "site.yaml"
    config.write_text(json.dumps(SITE.model_dump(mode="json", exclude_unset=True)))
    told = run.invoke(app, ["alarms", str(config), "history", "--state", str(house.path)])
    assert told.exit_code == 0, told.output
    first, second = told.output.splitlines()
    assert first.startswith("2026-07-01 12:00:00 UTC  warning signal-weather raised: signal/weather: ")
    assert "ann shelved the alarm signal-weather: accepted: " in second
    told = run.invoke(app, ["alarms", str(config), "rates", "--state", str(house.path)])
    assert told.exit_code == 0, told.output
    assert told.output.startswith("1 alarms in 24.0 h, 1 a day (goal 150)\nin 10 min: 0.01 on average (goal 1), 1 at most (goal 10)\n")
    fields = json.loads(run.invoke(app, ["alarms", str(config), "rates", "--state", str(house.path), "--json"]).output)
    assert (fields["told"], fields["standing"], fields["missed"]) == (1, {"signal-weather": "2026-07-01T12:00:00Z"}, [])
    none = run.invoke(app, ["alarms", str(config), "history", "other", "--state", str(house.path)])
    assert none.output.startswith("no alarm since")
    assert run.invoke(app, ["alarms", str(config), "shelf"]).exception is not None


@needs_mosquitto
def test_alarms_are_listed_and_shelved_from_the_command_line(tmp_path: Path) -> None:
    site, stop, run = load_site(DEMO), threading.Event(), CliRunner()
    broker = Mosquitto(tmp_path, "allow_anonymous true", "persistence false")
    with Journal(tmp_path / "journal.sqlite") as journal, closing(MqttBus(broker.url, "service")) as bus:
        daemon = Daemon(site, bus, journal, SystemClock(), instance="service")
        daemon.subscribe()
        assert bus.wait_connected(5)

        def serve() -> None:
            while not stop.is_set():
                daemon.attend(0.05)

        thread = threading.Thread(target=serve)
        thread.start()

        def alarms(*words: str) -> tuple[int, str]:
            told = run.invoke(app, ["alarms", DEMO, *words, "--broker", broker.url])
            return told.exit_code, told.output

        try:
            assert alarms("list") == (0, "no alarm stands\n")
            bus.publish(Message("facility/v1/demo/signal/weather", b"{", qos=1, retain=True))
            assert until(lambda: alarms("list")[1].count("signal-weather"))
            code, told = alarms("shelve", "signal-weather", "--for", "10min", "--by", "ann", "--reason", "mending")
            assert (code, told.startswith("accepted: signal-weather is shelved by ann until ")) == (0, True), told
            ((alarm,),) = [json.loads(alarms("list", "--json")[1])]
            assert (alarm["id"], alarm["shelved"]["by"], alarm["count"]) == ("signal-weather", "ann", 1)
            assert "shelved until" in alarms("list")[1]
            assert alarms("shelve", "signal-weather", "--by", "ann")[0] == 1
            assert alarms("unshelve", "signal-weather", "--by", "bo")[0] == 0
            assert alarms("unshelve", "signal-weather", "--json")[0] == 1
        finally:
            stop.set()
            thread.join()
            broker.stop()


def test_a_held_alarm_counts_as_one_that_chatters_from_the_third_time(room: Room) -> None:
    for times in range(1, CHATTERS + 2):
        room.stand("a")
        room.clear("a")
        assert len(room.entries("chatters")) == (times > CHATTERS)


def test_all_that_stand_are_told_again_after_an_outage_and_what_an_earlier_process_raised_is_taken_back(room: Room) -> None:
    room.stand("a")
    topic = f"{ROOT}/alarm/b"
    room.broker.stop(forget=True)
    room.broker.start()
    room.alarms.republish()
    assert set(room.told()) == {"a"}
    room.broker.connect().publish(Message(topic, b'{"id":"b"}', qos=1, retain=True))
    room.alarms.correct("b", Message(topic, b"x", qos=1, retain=True))
    assert set(room.told()) == {"a"}


