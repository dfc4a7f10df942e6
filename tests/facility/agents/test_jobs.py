"""What agents of schedulers have in common: which orders hold, what people say of jobs, and what is told when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from facility.agents.jobs.orders import Orders, held_until
from facility.agents.jobs.telling import REPORT_S, Teller
from facility.agents.jobs.wishes import read_wishes
from facility.bus.memory import MemoryBroker
from facility.bus.messages import JobDesired, JobReported, JobSpec, decode, encode
from facility.bus.topics import Topics
from facility.clock import VirtualClock

NOW = datetime(2026, 7, 15, 10, tzinfo=UTC)
TOPICS = Topics("facility/v1", "demo")


def order(seq: int = 1, lasts_s: float = 900, **what: Any) -> JobDesired:
    given = {"action": "hold", "gpus": 0, "epoch": 1, "issued_at": NOW, "valid_until": NOW + timedelta(seconds=lasts_s)} | what
    return JobDesired(seq=seq, **given)


def test_of_two_orders_the_newer_holds_whichever_came_last():
    orders = Orders()
    assert orders.take("a", encode(order(5, action="run", gpus=8)), NOW) is None
    for late in (order(5), order(4), order(9, epoch=0)):
        assert "no newer" in str(orders.take("a", encode(late), NOW))
    assert orders.of("a", NOW).action == "run"
    assert orders.take("a", encode(order(1, epoch=2)), NOW) is None
    assert orders.of("a", NOW).action == "hold"


def test_an_order_ends_and_one_that_has_ended_changes_nothing():
    orders = Orders()
    assert "ended at" in str(orders.take("a", encode(order(1, lasts_s=-1)), NOW))
    orders.take("a", encode(order(2, lasts_s=60)), NOW)
    assert orders.take("a", encode(order(3, lasts_s=-1)), NOW) is not None
    assert orders.of("a", NOW + timedelta(seconds=59)).seq == 2
    assert orders.of("a", NOW + timedelta(seconds=60)) is None


def test_nothing_is_ordered_after_an_empty_message_and_nonsense_is_no_order():
    orders = Orders()
    orders.take("a", encode(order()), NOW)
    assert orders.take("a", b"{}", NOW)
    assert orders.take("a", b"\xff" * 9, NOW)
    assert orders.of("a", NOW)
    orders.take("a", b"", NOW)
    assert orders.of("a", NOW) is None
    orders.take("a", encode(order()), NOW)
    orders.drop("a")
    assert orders.of("a", NOW) is None


def test_a_hold_ends_at_its_instant_at_the_latest_with_its_order():
    until = NOW + timedelta(seconds=300)
    assert held_until(order(until=until)) == until
    assert held_until(order(until=NOW + timedelta(hours=9))) == NOW + timedelta(seconds=900)
    assert held_until(order()) == NOW + timedelta(seconds=900)
    assert held_until(order(action="run", gpus=8)) is None
    assert held_until(order(action="run", gpus=0)) == NOW + timedelta(seconds=900)


def test_words_of_people_are_read_and_what_says_nothing_is_told():
    said = {"deadline": "2026-07-16T06:00+02:00", "work_h": "4.5", "curve": "pretrain-7b", "elastic": "", "pause": "requeue", "wait": "no"}
    wishes = read_wishes(said)
    assert wishes.deadline == datetime(2026, 7, 16, 4, tzinfo=UTC)
    assert (wishes.work_h, wishes.curve, wishes.faults) == (4.5, "pretrain-7b", ())
    assert (wishes.elastic, wishes.pause, wishes.wait) == (True, "requeue", False)


@pytest.mark.parametrize(
    ("word", "value"),
    [("deadline", "tomorrow"), ("deadline", "2026-07-16T06:00"), ("deadline", "9999-12-31T23:59-23:00"), ("work_h", "nan"), ("work_h", "-1"),
     ("work_h", "1e9"), ("work_h", "4h"), ("curve", "../x"), ("pause", "kill")],
)  # fmt: skip
def test_a_word_that_cannot_be_is_a_fault_and_means_nothing(word: str, value: str):
    wishes = read_wishes({word: value})
    assert len(wishes.faults) == 1
    assert wishes.faults[0].startswith(f"{word}={value}: ")
    assert (wishes.deadline, wishes.work_h, wishes.curve, wishes.pause) == (None, None, None, "never")


class Bench:
    def __init__(self) -> None:
        self.clock = VirtualClock(NOW)
        self.broker = MemoryBroker(self.clock.now)
        self.ear, self.bus = self.broker.connect(), self.broker.connect()
        self.ear.subscribe(f"{TOPICS.root}/#", 1)
        self.teller = Teller(self.bus, TOPICS, self.clock)

    def tell(self, **what: Any) -> None:
        given = {"state": "waiting", "gpus": 0} | what
        spec = JobSpec(submit=NOW, gpus=8, work_gpu_h=16.0, pool="h1-a")
        self.teller.tell("s-1", spec, JobReported(timestamp=round(self.clock.now().timestamp() * 1000), **given))

    def heard(self) -> list[tuple[str, bytes]]:
        return [(message.topic.rpartition("/")[2], message.payload) for message in self.ear.drain(0.0, 1000)]


def test_what_is_new_is_told_at_once_and_what_is_not_now_and_then():
    bench = Bench()
    bench.tell()
    assert [what for what, _ in bench.heard()] == ["spec", "reported"]
    bench.tell()
    assert bench.heard() == []
    bench.tell(state="running", gpus=8)
    ((what, payload),) = bench.heard()
    assert (what, decode(payload, JobReported).state) == ("reported", "running")
    bench.clock.advance(REPORT_S)
    bench.tell(state="running", gpus=8, done_gpu_h=0.1)
    assert [what for what, _ in bench.heard()] == ["reported"]


def test_all_is_told_again_after_a_connection_and_taken_back_when_it_is_over():
    bench = Bench()
    bench.tell()
    bench.heard()
    bench.broker.stop(forget=True)
    bench.broker.start()
    bench.tell()
    assert [what for what, _ in bench.heard()] == ["spec", "reported"]
    bench.teller.forget("s-1")
    assert bench.heard() == [("spec", b""), ("reported", b""), ("desired", b"")]
    assert bench.teller.jobs == frozenset()


def test_what_the_bus_did_not_take_is_told_again(monkeypatch: pytest.MonkeyPatch):
    bench = Bench()
    with monkeypatch.context() as full:
        full.setattr(bench.bus, "publish", lambda _: False)
        bench.tell()
    bench.tell()
    assert [what for what, _ in bench.heard()] == ["spec", "reported"]


def test_a_specification_reads_back_as_it_was_told():
    bench = Bench()
    bench.tell()
    spec = decode(bench.heard()[0][1], JobSpec)
    assert msgspec.structs.asdict(spec)["work_gpu_h"] == 16.0
