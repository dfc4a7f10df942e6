"""The agent's loop on a bus and devices in memory, under a clock that stands still unless it is told."""

from __future__ import annotations

import json
import logging
import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.agents.gpu.device import Gpu, Lost, Reading, Refused
from facility.agents.gpu.obeying import Obeying
from facility.agents.gpu.options import parse
from facility.agents.gpu.process import Agent, Post
from facility.agents.gpu.start import opened, place_of
from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.bus.messages import CapDesired, CapGroup, encode
from facility.bus.topics import Topics
from facility.clock import SystemClock, VirtualClock
from facility.errors import InputError
from tests.processes import until

START = datetime(2026, 7, 15, 10, tzinfo=UTC)
TOPICS = Topics("facility/v1", "demo")


class Cards:
    """Four GPUs that do as they are told, but for what `fails` says."""

    def __init__(self) -> None:
        self.all = [Gpu(f"GPU-{i}", f"n1/{i}", 100, 400, 400) for i in range(4)]
        self.watts = {gpu.id: 400 for gpu in self.all}
        self.fails: dict[str, Exception] = {}
        self.closed = False
        self.slow = threading.Event()
        self.slow.set()

    def gpus(self) -> list[Gpu]:
        return self.all

    def read(self, gpu: Gpu) -> Reading:
        self.slow.wait(5)
        if gpu.id in self.fails:
            raise self.fails[gpu.id]
        return Reading(self.watts[gpu.id], self.watts[gpu.id], 50.0)

    def limit(self, gpu: Gpu, watts: int) -> None:
        self.watts[gpu.id] = watts

    def close(self) -> None:
        self.closed = True


class Node:
    """An agent of one node of many, unless the post says otherwise."""

    def __init__(self, **post: Any) -> None:
        self.clock, self.cards = VirtualClock(START), Cards()
        broker = MemoryBroker(self.clock.now)
        self.voice, self.ear = broker.connect(), broker.connect()
        self.ear.subscribe("#", 1)
        node = post.pop("node", "n1")
        self.post = Post(TOPICS, "h1", "p", node, **post)
        obeying = Obeying(self.cards.all, whole=node is None, rng=random.Random(1))
        self.agent = Agent(self.post, obeying, self.cards, broker.connect(), self.clock)
        self.seq = 0

    def order(self, cap_w: int, *groups: CapGroup) -> None:
        self.seq += 1
        now = self.clock.now()
        end = now + timedelta(seconds=60)
        self.say("cap/h1/p/desired", encode(CapDesired(
            epoch=1, seq=self.seq, issued_at=now, valid_until=end, cap_w=cap_w, fallback_cap_w=150, groups=groups
        )))  # fmt: skip

    def say(self, topic: str, payload: bytes) -> None:
        self.voice.publish(Message(f"facility/v1/demo/{topic}", payload, 1))

    def job(self, payload: dict[str, Any] | None) -> None:
        told = b"" if payload is None else json.dumps({"timestamp": 0, "state": "running"} | payload).encode()
        self.say("job/j-1/reported", told)

    def pass_by(self, seconds: float = 0.0) -> list[int]:
        self.clock.advance(seconds)
        for _ in range(2):
            self.agent.step(0.0)
        return list(self.cards.watts.values())

    def told(self) -> list[dict[str, Any]]:
        messages = iter(lambda: self.ear.receive(0.0), None)
        return [json.loads(message.payload) for message in messages if message.topic == self.post.reported]


@pytest.fixture
def node() -> Node:
    made = Node()
    made.pass_by()
    return made


def test_a_job_that_names_its_gpus_has_its_cap_there_until_it_is_over(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    group = CapGroup(workload="j-1", gpus=2, cap_w=150)
    node.order(300, group)
    assert node.pass_by() == [150] * 4
    assert "the lowest cap that may be meant" in caplog.text
    node.job({"gpus": ["n1/1", "n2/0"]})
    node.pass_by()
    assert node.pass_by(5) == [300, 150, 300, 300]
    assert node.told()[-1]["groups"] == [{"workload": "j-1", "gpus": ["n1/1"], "cap_w": 150}]
    node.job(None)
    assert node.pass_by() == [150] * 4
    node.job({"gpus": ["n1/1", "n2/0"], "state": "done"})
    assert node.pass_by() == [150] * 4
    node.job({"gpus": 2})
    assert node.pass_by() == [150] * 4


def test_what_cannot_be_read_changes_nothing_and_is_said(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    node.order(200)
    node.pass_by()
    for topic in ("cap/h1/p/desired", "job/j-1/reported"):
        node.say(topic, b'{"cap_w":')
    node.say("cap/h1/p/desired", b"")
    assert node.pass_by() == [200] * 4
    assert caplog.text.count("facility/v1/demo/") == 2
    node.order(20)
    node.pass_by()
    assert "20 W is not in 100 to 400 W" in caplog.text


def test_reports_go_out_with_every_change_and_every_five_seconds(node: Node) -> None:
    assert len(node.told()) == 1
    node.pass_by(4)
    assert not node.told()
    node.pass_by(2)
    assert len(node.told()) == 1
    node.order(200)
    node.pass_by()
    assert [(report["seq"], report["enforced_cap_w"]) for report in node.told()] == [(1, 200)]


def test_what_fails_is_said_once_and_told_as_it_is(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    node.cards.fails = {"GPU-1": Lost("gone"), "GPU-2": Refused("busy")}
    for _ in range(3):
        node.pass_by(3)
    assert node.told()[-1]["gone"] == ["n1/1"]
    assert caplog.text.count("n1/1 is lost") == caplog.text.count("n1/2 does not tell how it is: busy") == 1


def test_before_every_gpu_has_answered_nothing_is_told_and_no_order_is_confirmed() -> None:
    made = Node(workers=4)
    made.cards.slow = threading.Event()
    made.order(200)
    made.pass_by()
    assert not made.told()
    made.cards.slow.set()
    assert until(lambda: made.pass_by() == [200] * 4)
    told = made.told()
    assert until(lambda: told.extend(made.told()) or (made.pass_by() and told and told[-1]["seq"] == 1))
    assert all(report["enforced_cap_w"] == 200 for report in told if report["seq"] == 1)


def test_slow_devices_are_asked_side_by_side_and_one_that_breaks_is_no_end(caplog: pytest.LogCaptureFixture) -> None:
    made = Node(workers=4)
    made.cards.fails = {"GPU-3": ValueError("what no device should raise")}
    made.order(200)
    assert until(lambda: made.pass_by()[:3] == [200] * 3)
    assert "n1/3 does not tell how it is: ValueError: what no device should raise" in caplog.text


def test_a_quiet_agent_and_a_dry_run_say_nothing_on_the_bus(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    quiet, dry = Node(quiet=True), Node(dry_run=True, node=None)
    for made in (quiet, dry):
        made.order(200)
        made.pass_by()
        made.pass_by(3)
        assert not made.told()
    assert list(quiet.cards.watts.values()) == [200] * 4
    assert list(dry.cards.watts.values()) == [400] * 4
    assert caplog.text.count("would set the limit of n1/0 to 200 W") == 1


def test_what_a_gpu_told_before_a_limit_was_sent_tells_nothing_after_it() -> None:
    made, (gpu, *_) = Node(workers=8), Cards().all
    assert until(lambda: bool(made.pass_by()) and bool(made.told()))
    slow, read = threading.Event(), made.cards.read

    def first(asked: Gpu) -> Reading:
        made.cards.read = read
        found = read(asked)
        slow.wait(5)
        return found

    made.cards.all = made.cards.all[:1]
    made.agent._reading.add(gpu.id)
    made.cards.read = first
    made.agent._ask(gpu, None)
    made.order(200)
    assert until(lambda: made.pass_by()[0] == 200 and made.agent.obeying.cards[gpu.id].limit_w == 200)
    slow.set()
    assert until(lambda: not made.pass_by() or gpu.id not in made.agent._reading)
    assert made.agent.obeying.cards[gpu.id].limit_w == 200


def test_a_limit_that_was_set_though_nobody_said_so_is_seen_at_once(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    node.order(200)
    node.pass_by()
    node.told()
    limit = node.cards.limit

    def silent(gpu: Gpu, watts: int) -> None:
        limit(gpu, watts)
        raise Refused("no answer")

    node.cards.limit = silent  # type: ignore[method-assign]
    node.order(300)
    node.pass_by()
    assert node.pass_by(5) == [300] * 4
    assert node.told()[-1]["enforced_cap_w"] == 300
    assert "something else raised" not in caplog.text


def test_a_limit_still_on_its_way_at_a_stop_is_followed_by_the_one_to_be_left_behind() -> None:
    made, stop = Node(workers=8, on_stop="fallback"), threading.Event()
    assert until(lambda: bool(made.told()) or not made.pass_by())
    made.order(100)
    assert until(lambda: made.pass_by() == [100] * 4 and not made.agent._writing)
    made.order(400)
    made.pass_by()
    made.clock.advance(5)
    slow, limit = threading.Event(), made.cards.limit

    def late(gpu: Gpu, watts: int) -> None:
        slow.wait(5)
        limit(gpu, watts)

    made.cards.limit = late  # type: ignore[method-assign]
    made.agent.step(0.0)
    assert len(made.agent._writing) == 4
    threading.Timer(0.2, slow.set).start()
    stop.set()
    made.agent.run(stop)
    assert list(made.cards.watts.values()) == [150] * 4


def test_a_limit_to_be_left_behind_that_is_refused_at_first_is_set_again() -> None:
    made, stop = Node(), threading.Event()
    made.pass_by()
    made.order(200)
    made.pass_by()
    made.agent._clock = SystemClock()  # a stop waits for real
    limit, refusals = made.cards.limit, [Refused("busy")]

    def busy(gpu: Gpu, watts: int) -> None:
        if refusals and gpu.id == "GPU-1":
            raise refusals.pop()
        limit(gpu, watts)

    made.cards.limit = busy  # type: ignore[method-assign]
    stop.set()
    made.agent.run(stop)
    assert list(made.cards.watts.values()) == [150] * 4


GIVEN = ("--site", "demo", "--pool", "h1/p", "--broker", "mqtt://x")


def test_options_come_from_the_command_line_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACILITY_NODE", "n7")
    told = parse("nvml", (*GIVEN, "--gpus", "0, 2", "--clock", "20@1000:2026-07-15T10:00:00Z"))
    assert (told.site, told.hall, told.pool, told.node, told.gpus, told.speed) == ("demo", "h1", "p", "n7", ("0", "2"), 20.0)
    assert place_of(told) == "n7"
    for name, value in zip(("SITE", "POOL", "BROKER"), ("s", "a/b", "mqtt://y"), strict=True):
        monkeypatch.setenv(f"FACILITY_{name}", value)
    assert parse("amd", ()).login.broker == "mqtt://y"
    assert parse("redfish", ("--nodes", "F", "--quiet")).quiet


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--root", "a+b"), "first levels"),
        (("--gpus", " , "), "give numbers or UUIDs"),
        (("--clock", "fast"), "give SPEED@"),
        (("--workload", "A b"), "is no id"),
        (("--pool", "p"), "give HALL/POOL"),
    ],
)
def test_bad_options_are_told_with_what_to_do(more: tuple[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse("nvml", (*GIVEN, *more))


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    pynvml = pytest.importorskip("pynvml")
    from tests.fakes.nvml import Board, install

    made = Board(tmp_path / "board", 2)
    before = {name: value for name, value in vars(pynvml).items() if name.startswith("nvml")}
    for name, value in before.items():
        monkeypatch.setattr(pynvml, name, value)
    install(made)
    return made


def test_errors_of_the_driver_are_refusals_losses_or_faults_of_the_machine(board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    devices = opened("nvml", "n", ("1",))
    (gpu,) = devices.gpus()
    assert devices.read(gpu) == Reading(400, 400, 350.0)
    for code, kind in ((pynvml.NVML_ERROR_UNINITIALIZED, Refused), (pynvml.NVML_ERROR_UNKNOWN, Refused), (pynvml.NVML_ERROR_GPU_IS_LOST, Lost)):
        board.set(1, "read_error", code)
        with pytest.raises(kind):
            devices.read(gpu)
    board.set(1, "read_error", 0)
    board.set(1, "write_error", pynvml.NVML_ERROR_NO_PERMISSION)
    with pytest.raises(Refused, match="Insufficient Permissions"):
        devices.limit(gpu, 200)
    devices.close()
    board.set(0, "read_error", pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert "cannot be set" in opened("nvml", "n", ()).gpus()[0].cannot

    def no_driver() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    monkeypatch.setattr(pynvml, "nvmlInit", no_driver)
    with pytest.raises(InputError, match="load NVIDIA's driver"):
        opened("nvml", "n", ())
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 0)
    with pytest.raises(InputError, match="no GPU"):
        opened("nvml", "n", ())
