"""The real command on a driver that is not there: what it sets, reads back and reports, whatever goes wrong."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pynvml = pytest.importorskip("pynvml")

from facility.bus.interface import Message  # noqa: E402
from facility.bus.messages import CapDesired, CapGroup, encode  # noqa: E402
from facility.bus.mqtt import MqttBus  # noqa: E402
from tests.fakes.nvml import Board  # noqa: E402
from tests.processes import ROOT, Ear, Mosquitto, end, needs_mosquitto, patience, until  # noqa: E402

pytestmark = needs_mosquitto
DESIRED, REPORTED, NODE = (f"{ROOT}/cap/h1/h1-b/{what}" for what in ("desired", "reported", "node/n1/reported"))


class Node:
    """A broker, an ear, somebody who orders, and an agent on a board of GPUs."""

    def __init__(self, folder: Path, stack: ExitStack, gpus: int = 4, **fields: int) -> None:
        self.folder, self.stack = folder, stack
        self.board = Board(folder / "board", gpus, **fields)
        self.broker = Mosquitto(folder)
        stack.callback(self.stop)
        self.ear, self.voice = Ear(self.broker.url, f"{ROOT}/cap/#"), MqttBus(self.broker.url, "daemon")
        stack.callback(self.voice.close)
        stack.callback(self.ear.close)
        self.seq = 0

    def stop(self) -> None:
        self.broker.stop()

    def start(self, *options: str, module: tuple[str, ...] | None = None) -> subprocess.Popen[bytes]:
        command = module or ("-m", "tests.fakes.nvml", str(self.folder / "board"))
        place = ("agent", "nvml", "--site", "demo", "--pool", "h1/h1-b", "--broker", self.broker.url)
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen([sys.executable, *command, *place, *options], stdout=log, stderr=log)
        self.stack.callback(end, self.agent)
        return self.agent

    def said(self) -> str:
        return (self.folder / "agent.log").read_text()

    def order(self, cap_w: int, *, lasts: float = 60, fallback_w: int = 150, groups: tuple[CapGroup, ...] = (), seq: int | None = None) -> CapDesired:
        self.seq = self.seq + 1 if seq is None else seq
        now = datetime.now(UTC)
        order = CapDesired(
            epoch=1, seq=self.seq, issued_at=now, valid_until=now + timedelta(seconds=lasts), cap_w=cap_w, fallback_cap_w=fallback_w, groups=groups
        )  # fmt: skip
        self.voice.publish(Message(DESIRED, encode(order), 1, retain=True))
        return order

    def told(self, topic: str = REPORTED) -> dict[str, Any]:
        return self.ear.told(topic) or {}

    def confirms(self, seq: int, topic: str = REPORTED) -> None:
        self.until(lambda: self.told(topic).get("seq") == seq)

    def until(self, holds: Callable[[], Any], seconds: float = 10) -> None:
        assert until(holds, seconds), f"{self.told()}, {self.board.limits_w()}\n{self.said()}"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with ExitStack() as stack:
        yield Node(tmp_path, stack)


def test_caps_are_set_read_back_and_reported_and_fall_back_within_a_second_of_their_end(node: Node) -> None:
    node.start()
    node.until(node.told)
    assert (node.told()["enforced_cap_w"], node.told()["epoch"]) == (400, None)
    node.order(200, groups=(CapGroup(workload="tune", gpus=1, cap_w=300),))
    node.confirms(1)
    assert node.board.limits_w() == [300, 200, 200, 200]
    assert node.told()["draw_kw"] == pytest.approx(0.9)
    assert [group["workload"] for group in node.told()["groups"]] == ["tune"]
    order = node.order(250, lasts=10)  # a rise may wait some seconds
    node.until(lambda: node.board.limits_w()[1] == 250)
    node.until(lambda: node.board.limits_w() == [150] * 4, 15)
    assert (datetime.now(UTC) - order.valid_until).total_seconds() < 1 * patience()
    node.until(lambda: node.told()["enforced_cap_w"] == 150)


def test_a_node_of_many_reports_on_a_topic_of_its_own_and_confirms_by_name(node: Node) -> None:
    node.start("--node", "n1", "--gpus", "1,GPU-0003")
    node.order(200, groups=(CapGroup(workload="tune", gpus=("n1/3", "n2/0"), cap_w=300),))
    node.confirms(1, NODE)
    assert node.board.limits_w() == [400, 200, 400, 300]
    assert node.told(NODE)["gpus"] == ["n1/1", "n1/3"]
    assert not node.told()


def test_start_is_quick_small_and_without_plans_and_site_files(node: Node) -> None:
    node.start(module=("-X", "importtime", "-m", "tests.fakes.nvml", str(node.folder / "board")))
    node.until(node.told)
    end(node.agent)
    node.ear.newest.clear()
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in node.said().splitlines() if line.startswith("import time")}
    assert {"paho", "pynvml", "msgspec"} <= imported
    assert not {"pyomo", "pandas", "numpy", "pydantic", "highspy", "scipy", "models"} & imported
    node.start()
    node.until(node.told)
    used = Path(f"/proc/{node.agent.pid}/stat").read_text().rpartition(")")[2].split()
    assert (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK") < 0.3
    status = Path(f"/proc/{node.agent.pid}/status").read_text()
    assert next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) < 40_000


@pytest.mark.parametrize(("how", "left"), [("fallback", 150), ("keep", 200), ("default", 400)])
def test_a_clean_stop_leaves_what_was_asked_for(node: Node, how: str, left: int) -> None:
    node.start("--on-stop", how)
    node.order(200)
    node.confirms(1)
    node.agent.send_signal(signal.SIGTERM)
    assert node.agent.wait(10) == 0
    assert node.board.limits_w() == [left] * 4
    node.until(lambda: node.told()["enforced_cap_w"] == left)


def test_a_dry_run_says_what_it_would_set_and_sets_and_reports_nothing(node: Node) -> None:
    node.start("--dry-run")
    node.order(200)
    node.until(lambda: "would set the limit of" in node.said())
    node.agent.send_signal(signal.SIGTERM)
    assert node.agent.wait(10) == 0
    assert node.board.writes() == 0
    assert not node.told()
    assert "100 to 400 W, enforced 400 W, draws 350 W" in node.said()


def test_what_somebody_else_raises_is_lowered_again_and_said(node: Node) -> None:
    node.start()
    node.order(200)
    node.confirms(1)
    node.board.set(2, "limit_mw", 400_000)
    node.until(lambda: node.board.limits_w() == [200] * 4)
    assert "something else raised the limit of" in node.said()

    def told() -> list[tuple[int, int]]:
        heard = [json.loads(message.payload) for _, message in list(node.ear.heard) if message.topic == REPORTED]
        return [(report["seq"], report["enforced_cap_w"]) for report in heard]

    node.until(lambda: told()[-2:] == [(1, 400), (1, 200)])


def test_a_limit_of_the_management_controller_that_is_lower_is_what_is_reported(node: Node) -> None:
    for gpu in range(4):
        node.board.set(gpu, "bmc_mw", 180_000)
    node.start()
    node.order(200)
    node.confirms(1)
    assert node.told()["enforced_cap_w"] == 180


@pytest.mark.parametrize("error", ["NVML_ERROR_NO_PERMISSION", "NVML_ERROR_NOT_SUPPORTED"])
def test_a_refused_limit_shows_in_the_report_and_is_tried_until_it_is_taken(node: Node, error: str) -> None:
    node.board.set(1, "write_error", getattr(pynvml, error))
    node.start()
    node.order(200)
    node.confirms(1)
    assert node.board.limits_w() == [200, 400, 200, 200]
    assert node.told()["enforced_cap_w"] == 400
    assert node.said().count("does not obey") == 1
    node.board.set(1, "write_error", 0)
    node.until(lambda: node.told()["enforced_cap_w"] == 200)
    assert "obeys again" in node.said()


def test_a_lost_gpu_is_gone_until_it_answers_again(node: Node) -> None:
    node.start()
    node.order(200)
    node.confirms(1)
    node.board.set(3, "read_error", pynvml.NVML_ERROR_GPU_IS_LOST)
    node.until(lambda: len(node.told()["gone"]) == 1)
    assert len(node.told()["gpus"]) == 3
    node.board.set(3, "limit_mw", 400_000)
    node.board.set(3, "read_error", 0)
    node.until(lambda: not node.told()["gone"] and node.told()["enforced_cap_w"] == 200)
    assert node.board.limits_w()[3] == 200


def test_a_vgpu_is_reported_as_not_obeying_and_a_divided_gpu_is_capped_as_a_whole(node: Node) -> None:
    node.board.set(0, "mig", 2)
    node.board.set(1, "vgpu", 1)
    node.start("--gpus", "MIG-0-1,2")
    node.order(200)
    node.confirms(1)
    assert node.board.limits_w() == [200, 400, 200, 400]
    end(node.agent)
    node.start("--gpus", "1")
    node.until(lambda: node.told()["enforced_cap_w"] == 10_000)
    assert node.told()["draw_kw"] is None or node.told()["draw_kw"] > 0
    assert "a vGPU has no power limit" in node.said()


def test_an_agent_that_starts_after_everybody_left_holds_the_fallback_of_the_retained_order(node: Node) -> None:
    node.order(300, lasts=-1)
    node.start()
    node.until(lambda: node.board.limits_w() == [150] * 4)
    node.until(lambda: node.told().get("enforced_cap_w") == 150)
    assert node.told()["seq"] is None


def test_a_broker_that_is_killed_costs_nothing_but_time(node: Node) -> None:
    node.start()
    node.order(200, lasts=5)
    node.confirms(1)
    node.broker.process.kill()
    node.broker.process.wait(5)
    node.until(lambda: node.board.limits_w() == [150] * 4)
    node.broker.start()
    node.until(lambda: node.voice.connected)
    node.ear.newest.clear()
    node.order(300)
    node.confirms(2)
    node.until(lambda: node.board.limits_w() == [300] * 4)


def test_ten_thousand_orders_over_the_bus_leave_no_limit_above_the_newest_one(node: Node) -> None:
    """Some are lost, some come twice, some out of order; each report of an order must show no more than that order allows."""
    rng, sent = random.Random(7), dict[int, CapDesired]()
    node.start()
    node.until(node.told)
    numbers = [number for number in range(1, 10_001) for _ in range(rng.choices([0, 1, 2], [1, 8, 1])[0])]
    numbers = sorted(numbers, key=lambda number: number + rng.uniform(0, 5))
    for count, number in enumerate(numbers):
        sent[number] = node.order(rng.randint(100, 400), seq=number) if number not in sent else sent[number]
        if count % 200 == 0:
            time.sleep(0.02)
    last = max(sent)
    node.confirms(last)
    node.until(lambda: node.board.limits_w() == [sent[last].cap_w] * 4)
    reports = [json.loads(message.payload) for _, message in node.ear.heard if message.topic == REPORTED]
    orders = [report for report in reports if report["seq"] is not None]
    assert len(orders) > 5
    assert all(report["enforced_cap_w"] <= sent[report["seq"]].cap_w for report in orders)
    assert [report["seq"] for report in orders] == sorted(report["seq"] for report in orders)


def test_bad_options_are_refused_with_what_to_do(tmp_path: Path) -> None:
    Board(tmp_path / "board", 2)
    cases = {
        ("--pool", "h1"): "give HALL/POOL",
        ("--node", "N 1"): "is no id",
        ("--gpus", "7"): "no GPU 7 here",
        ("--broker", "http://x"): "does not begin with mqtt://",
    }
    for (option, value), remedy in cases.items():
        given = {"--site": "demo", "--pool": "h1/h1-b", "--broker": "mqtt://127.0.0.1:1"} | {option: value}
        options = [part for pair in given.items() for part in pair]
        command = [sys.executable, "-m", "tests.fakes.nvml", str(tmp_path / "board"), "agent", "nvml"]
        told = subprocess.run([*command, *options], capture_output=True, text=True, timeout=20, check=False)
        assert told.returncode == 2
        assert remedy in told.stderr


def driver() -> bool:
    """Whether this machine has a driver, asked in a process of its own."""
    ask = "import pynvml; pynvml.nvmlInit(); assert pynvml.nvmlDeviceGetCount()"
    return subprocess.run([sys.executable, "-c", ask], capture_output=True, check=False).returncode == 0


def test_on_a_machine_with_gpus_a_dry_run_shows_what_they_are(node: Node) -> None:
    if not driver():
        pytest.skip("needs NVIDIA's driver and a GPU")
    node.start("--dry-run", module=("-m", "facility"))
    node.until(lambda: "enforced" in node.said() and "draws" in node.said())
    node.agent.send_signal(signal.SIGTERM)
    assert node.agent.wait(10) == 0
