"""The whole loop: the daemon's caps of pool h1-b become limits of the GPUs of two nodes, and what these read back is what it reckons with.

The plant beside them goes on measuring, and obeys by itself what the nodes obey too; what it says of that pool's caps is refused.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynvml")

from tests.fakes.nvml import Board
from tests.processes import CAPS, POOL, ROOT, House, end, highest_w, needs_mosquitto

pytestmark = needs_mosquitto
GPUS = {"n1": 192, "n2": 288}
"""Node n1 is all that kepler-tune rents, n2 the rest of the pool's 480."""


class Loop:
    """The house of daemon and plant, and two nodes with agents."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.boards = {node: Board(folder / node, count) for node, count in GPUS.items()}
        self.house = House(folder, stack)
        self.agents = {"n1": self.agent("n1", "--workload", "kepler-tune"), "n2": self.agent("n2")}
        self.house.until(lambda: all(self.confirms(node) for node in GPUS), 30, "a confirmation by both nodes")

    def agent(self, node: str, *options: str) -> Any:
        place = ("agent", "nvml", "--site", "demo", "--pool", "h1/h1-b", "--broker", self.house.url, "--node", node)
        clock = f"{self.house.speed:g}@{self.house.epoch}"
        return self.house.child(
            node, sys.executable, "-m", "tests.fakes.nvml", str(self.house.folder / node), *place, "--clock", clock, *options
        )  # fmt: skip

    def told(self, node: str) -> dict[str, Any]:
        return self.house.ear.told(f"{ROOT}/cap/h1/h1-b/node/{node}/reported") or {}

    def confirms(self, node: str) -> bool:
        """Whether a node obeys what was sent last."""
        sent = self.house.ear.told(CAPS)
        return bool(sent) and self.told(node).get("seq") == sent["seq"]

    def highest_w(self) -> float:
        return max(limit for board in self.boards.values() for limit in board.limits_w())

    def alarm(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.house.ear.told(f"{ROOT}/alarm/{name}")
        return found


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    with ExitStack() as stack:
        yield Loop(tmp_path, stack)


def test_an_operators_cap_is_a_limit_of_every_gpu_and_a_node_that_dies_is_missed(loop: Loop) -> None:
    house = loop.house
    assert loop.highest_w() <= highest_w(house.ear.told(CAPS))
    assert max(loop.boards["n1"].limits_w()) > 200, "the rental's node has the rental's cap, not the lowest of all"
    answer = house.order(POOL, "low", "cap_w", 180)
    assert answer["status"] == "accepted"
    house.until(lambda: house.highest_cap() <= 180, 10, "the cap on the bus")
    house.until(lambda: loop.highest_w() <= 180, 5, "the limit of every GPU")
    house.until(lambda: all(loop.confirms(node) and loop.told(node)["enforced_cap_w"] <= 180 for node in GPUS), 10, "both read-backs")
    house.until(lambda: loop.alarm("cap-h1-b") is None, 10, "no complaint")
    loop.boards["n2"].set(7, "write_error", 4)
    loop.boards["n2"].set(7, "limit_mw", 400_000)
    house.until(lambda: any("400 W enforced" in json.dumps(loop.alarm(a)) for a in alarms(house)), 15, "an alarm of the GPU that does not obey")
    loop.boards["n2"].set(7, "write_error", 0)
    house.until(lambda: not any("400 W enforced" in json.dumps(loop.alarm(a)) for a in alarms(house)), 30, "its end")
    end(loop.agents["n1"])
    house.until(lambda: "192 of 480 GPUs" in json.dumps(loop.alarm("gpus-h1-b")), 30, "an alarm of the GPUs that are gone")
    loop.agents["n1"] = loop.agent("n1", "--workload", "kepler-tune")
    house.until(lambda: loop.alarm("gpus-h1-b") is None, 30, "their return")
    assert loop.highest_w() <= 180
    house.clear(POOL, "low")
    house.until(lambda: max(loop.boards["n1"].limits_w()) > 180, 30, "a rise after the override")


def alarms(house: House) -> list[str]:
    return [topic.rpartition("/")[2] for topic, payload in list(house.ear.newest.items()) if "/alarm/" in topic and payload]
