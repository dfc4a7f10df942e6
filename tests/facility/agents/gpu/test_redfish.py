"""Limits past the operating system: many management controllers over real HTTP, slow, busy, forgetful or away, and the real command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.agents.gpu.device import Gpu, Lost, Reading, Refused
from facility.agents.gpu.redfish import service
from facility.agents.gpu.redfish.fleet import Fleet
from facility.agents.gpu.redfish.nodes import Node, read_nodes
from facility.bus.interface import Message
from facility.bus.messages import CapDesired, CapGroup, encode
from facility.bus.mqtt import MqttBus
from facility.errors import InputError
from tests.fakes.redfish import V1, Controller, controls, gb200, hgx, links
from tests.processes import ROOT, Ear, Mosquitto, end, needs_mosquitto, patience, until

DESIRED, REPORTED = (f"{ROOT}/cap/h1/h1-b/{what}" for what in ("desired", "reported"))


@pytest.fixture
def bmc() -> Iterator[Callable[..., Controller]]:
    with ExitStack() as stack:

        def make(resources: dict[str, Any]) -> Controller:
            made = Controller(resources)
            stack.callback(made.stop)
            return made

        yield make


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "WAIT_S", 0.05)


def fleet(*made: Controller, password: str = "secret") -> Fleet:
    return Fleet([Node(f"node-{i}", f"http://127.0.0.1:{bmc.port}", "facility", password) for i, bmc in enumerate(made)])


@pytest.mark.parametrize(
    ("resources", "gpu", "limit"),
    [
        (hgx(), Gpu(f"node-0/1 {V1}/Systems/HGX_Baseboard_0/Processors/GPU_SXM_2", "node-0/1", 200, 700, 700), 8),
        (gb200(), Gpu(f"node-0/1 {V1}/Systems/HGX_Baseboard_0/Processors/GPU_1", "node-0/1", 200, 1200, 1200), 4),
        (controls(), Gpu(f"node-0/1 {V1}/Systems/1/Processors/GPU2", "node-0/1", 200, 700, 700), 2),
    ],
    ids=["HGX", "GB200", "controls"],
)
def test_gpus_and_their_limits_are_found_by_following_links_set_and_read_back(bmc: Any, resources: Any, gpu: Gpu, limit: int) -> None:
    here = fleet(made := bmc(resources))
    assert len(here.gpus()) == limit
    assert here.gpus()[1] == gpu
    assert here.read(gpu).enforced_w == gpu.highest_w
    here.limit(gpu, 350)
    assert (here.read(gpu).limit_w, here.read(gpu).enforced_w) == (350, 350)
    assert here.read(gpu).draw_w in {311.5, 250.0}
    assert here.read(here.gpus()[0]).enforced_w == gpu.highest_w
    assert made.limits().count(350) == 1
    here.close()
    assert made.logouts == 1


def test_gpus_are_in_the_order_of_their_numbers(bmc: Any) -> None:
    names = [gpu.id.rpartition("_")[2] for gpu in fleet(bmc(hgx(12))).gpus()]
    assert names == [str(number) for number in range(1, 13)]


def test_the_lowest_of_several_limits_is_what_is_enforced(bmc: Any) -> None:
    here = fleet(made := bmc(gb200()))
    gpu = here.gpus()[2]
    here.limit(gpu, 900)
    made.resources[f"{V1}/Chassis/HGX_GPU_2/EnvironmentMetrics"]["PowerLimitWatts"]["SetPoint"] = 600
    assert here.read(gpu) == Reading(900, 600, 311.5)


def test_a_control_that_is_switched_off_limits_nothing_and_is_switched_on(bmc: Any) -> None:
    here = fleet(made := bmc(controls()))
    gpu = here.gpus()[0]
    assert here.read(gpu).limit_w == 700
    here.limit(gpu, 300)
    told = made.resources[f"{V1}/Chassis/1/Controls/GPU1_PowerLimit"]
    assert (told["ControlMode"], told["SetPoint"]) == ("Manual", 300)


def test_a_change_that_becomes_a_task_is_waited_for(bmc: Any) -> None:
    here = fleet(made := bmc(hgx(2)))
    made.task_s = 0.3
    here.limit(here.gpus()[0], 350)
    assert not made.tasks
    assert here.read(here.gpus()[0]).limit_w == 350


def test_a_task_that_does_not_end_is_refused(bmc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "TASK_S", 0.2)
    here = fleet(made := bmc(hgx(1)))
    made.task_s = 60
    with pytest.raises(Refused, match="did not do it within"):
        here.limit(here.gpus()[0], 350)


def test_a_busy_controller_is_asked_again_and_one_that_stays_busy_refuses(bmc: Any) -> None:
    here = fleet(made := bmc(hgx(1)))
    made.busy = 3
    assert here.read(here.gpus()[0]).limit_w == 700
    made.busy = 100
    with pytest.raises(Refused, match="503 busy"):
        here.read(here.gpus()[0])


def test_what_somebody_else_changes_meanwhile_is_read_again_and_then_set(bmc: Any) -> None:
    here = fleet(made := bmc(hgx(1)))
    made.change = 2
    here.limit(here.gpus()[0], 350)
    assert made.limits()[0] == 350
    made.change = 100
    with pytest.raises(Refused, match="412 changed meanwhile"):
        here.limit(here.gpus()[0], 300)


def test_a_session_that_ended_is_opened_anew(bmc: Any) -> None:
    here = fleet(made := bmc(hgx(1)))
    made.sessions.clear()
    assert here.read(here.gpus()[0]).limit_w == 700
    assert made.logins == 2


def test_a_refused_change_says_why_and_a_gpu_that_left_is_lost(bmc: Any) -> None:
    here = fleet(made := bmc(hgx(1)))
    made.refuse = True
    with pytest.raises(Refused, match="400 this GPU's limit is not for you"):
        here.limit(here.gpus()[0], 350)
    del made.resources[f"{V1}/Systems/HGX_Baseboard_0/Processors/GPU_SXM_1/EnvironmentMetrics"]
    with pytest.raises(Lost):
        here.read(here.gpus()[0])


def test_a_controller_that_is_away_is_left_alone_for_a_while_and_comes_back(bmc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "DOWN_S", 0.3)
    here = fleet(made := bmc(hgx(1)))
    gpu = here.gpus()[0]
    made.stop()
    for _ in range(2):
        with pytest.raises(Refused, match="does not answer"):
            here.read(gpu)
    made.start()
    assert until(lambda: _reads(here, gpu), 5)


def _reads(here: Fleet, gpu: Gpu) -> bool:
    try:
        return here.read(gpu).limit_w == 700
    except Refused:
        return False


def test_gpus_of_a_controller_that_is_away_at_the_start_come_later(bmc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facility.agents.gpu.redfish.fleet.WALK_AGAIN_S", 0.1)
    monkeypatch.setattr(service, "DOWN_S", 0.1)
    late, there = bmc(hgx(2)), bmc(hgx(1))
    late.stop()
    here = fleet(late, there)
    assert [gpu.name for gpu in here.gpus()] == ["node-1/0"]
    late.start()
    assert until(lambda: [gpu.name for gpu in here.gpus()] == ["node-0/0", "node-0/1", "node-1/0"], 5)
    here.close()


def test_gpus_of_a_node_that_is_off_come_later(bmc: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("facility.agents.gpu.redfish.fleet.WALK_AGAIN_S", 0.1)
    node, on = bmc(hgx(0)), hgx(2)
    here = fleet(node)
    assert here.gpus() == ()
    assert not until(lambda: bool(here.gpus()), 0.3)
    node.versions |= dict.fromkeys(on, 0)
    node.resources |= on
    assert until(lambda: [gpu.name for gpu in here.gpus()] == ["node-0/0", "node-0/1"], 5)
    assert caplog.text.count("knows no GPU") == 1
    here.close()


def test_gpus_without_a_limit_cannot_be_capped_and_a_wrong_password_lets_nobody_in(bmc: Any, caplog: pytest.LogCaptureFixture) -> None:
    bare = hgx(1)
    del bare[f"{V1}/Systems/HGX_Baseboard_0/Processors/GPU_SXM_1/EnvironmentMetrics"]["PowerLimitWatts"]
    here = fleet(bmc(bare))
    assert "lets no power limit be set" in here.gpus()[0].cannot
    with pytest.raises(Refused):
        here.read(here.gpus()[0])
    nobody = fleet(bmc(hgx(1)), password="wrong")
    assert nobody.gpus() == ()
    assert "lets nobody in as facility: 401" in caplog.text
    nobody.close()


def test_pages_of_a_collection_are_turned(bmc: Any) -> None:
    two = hgx(3)
    processors = f"{V1}/Systems/HGX_Baseboard_0/Processors"
    members = two[processors]["Members"]
    two[processors] |= {"Members": members[:1], "Members@odata.nextLink": f"{processors}/page2"}
    two[f"{processors}/page2"] = {"Members": [*members[1:], *links("/not/there")]}
    assert len(fleet(bmc(two)).gpus()) == 3


GOOD = '[every]\nuser = "facility"\npassword_file = "secret"\n[nodes.node-17]\nurl = "https://10.1.0.17"\n'


def test_the_file_of_nodes_says_how_to_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "nodes.toml").write_text(GOOD + '[nodes.n2]\nurl = "https://10.1.0.18/"\nca_file = "ca.pem"\n')
    first, second = read_nodes(tmp_path / "nodes.toml")
    assert first == Node("node-17", "https://10.1.0.17", "facility", "s3cret")
    assert (second.url, second.ca_file) == ("https://10.1.0.18", str(tmp_path / "ca.pem"))
    assert "s3cret" not in repr(first)
    monkeypatch.setenv("BMC", "other")
    (tmp_path / "nodes.toml").write_text('[nodes.n]\nurl = "https://a"\nuser = "u"\npassword_env = "BMC"\n')
    assert read_nodes(tmp_path / "nodes.toml")[0].password == "other"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("nodes = 3", "Expected `object`"),
        ("[nodes", "write"),
        ("[nodes]", "no node"),
        (GOOD.replace("node-17", "N17"), "is no id"),
        (GOOD.replace("https://10.1.0.17", "10.1.0.17"), "is no address"),
        (GOOD.replace("user", "usr"), "unknown field `usr`"),
        (GOOD.replace('user = "facility"\n', ""), "how to log in"),
        (GOOD.replace("password_file", "password_env"), "is not set"),
        (GOOD.replace('"secret"', '"nowhere"'), "nowhere cannot be read"),
        (GOOD + 'password_env = "X"\n', "one of password_file and password_env"),
    ],
)
def test_faults_of_the_file_are_told_with_their_place(tmp_path: Path, text: str | None, says: str) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "secret").chmod(0o600)
    if text is not None:
        (tmp_path / "nodes.toml").write_text(text)
    with pytest.raises(InputError, match=says):
        read_nodes(tmp_path / "nodes.toml")


class Site:
    """A broker, controllers, and the real command."""

    def __init__(self, folder: Path, stack: ExitStack, *made: Controller) -> None:
        self.folder, self.stack, self.seq = folder, stack, 0
        self.broker = Mosquitto(folder)
        stack.callback(self.broker.stop)
        self.ear, self.voice = Ear(self.broker.url, f"{ROOT}/cap/#"), MqttBus(self.broker.url, "daemon")
        stack.callback(self.voice.close)
        stack.callback(self.ear.close)
        (folder / "secret").write_text("secret\n")
        (folder / "secret").chmod(0o600)
        nodes = "".join(f'[nodes.n{i}]\nurl = "http://127.0.0.1:{bmc.port}"\n' for i, bmc in enumerate(made))
        (folder / "nodes.toml").write_text(f'[every]\nuser = "facility"\npassword_file = "secret"\n{nodes}')
        place = ("--site", "demo", "--pool", "h1/h1-b", "--broker", self.broker.url, "--nodes", str(folder / "nodes.toml"))
        with (folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen([sys.executable, "-m", "facility", "agent", "redfish", *place], stdout=log, stderr=log)
        stack.callback(end, self.agent)

    def order(self, cap_w: int, *groups: CapGroup, lasts: float = 60) -> None:
        self.seq += 1
        now = datetime.now(UTC)
        order = CapDesired(
            epoch=1, seq=self.seq, issued_at=now, valid_until=now + timedelta(seconds=lasts), cap_w=cap_w, fallback_cap_w=250, groups=groups
        )  # fmt: skip
        self.voice.publish(Message(DESIRED, encode(order), 1, retain=True))

    def told(self) -> dict[str, Any]:
        return self.ear.told(REPORTED) or {}

    def until(self, holds: Callable[[], Any], seconds: float = 20) -> None:
        assert until(holds, seconds), f"{json.dumps(self.told())}\n{(self.folder / 'agent.log').read_text()}"


@needs_mosquitto
def test_one_process_caps_the_gpus_of_many_nodes_and_no_slow_one_holds_up_the_others(tmp_path: Path, bmc: Any) -> None:
    quick, slow, dead = bmc(hgx(4)), bmc(hgx(2)), bmc(hgx(2))
    with ExitStack() as stack:
        site = Site(tmp_path, stack, quick, slow, dead)
        site.until(lambda: site.told().get("gpus") == ["n0/0", "n0/1", "n0/2", "n0/3", "n1/0", "n1/1", "n2/0", "n2/1"])
        slow.latency_s, dead.ignore = 0.3, True
        site.order(400, CapGroup(workload="j", gpus=("n1/1",), cap_w=500))
        began = datetime.now(UTC)
        site.until(lambda: quick.limits()[:4] == [400] * 4 and quick.limits()[4:] == [700], 5)
        assert (datetime.now(UTC) - began).total_seconds() < 1.2 * patience(), "the slow one takes at least as long"
        site.until(lambda: site.told().get("seq") == 1)
        assert slow.limits()[:2] == [400, 500]
        assert site.told()["enforced_cap_w"] == 700, "one node does as if it had heard nothing"
        assert "400 W was set, 700 W is read back" in (tmp_path / "agent.log").read_text()
        dead.ignore = False
        site.until(lambda: site.told()["enforced_cap_w"] == 500)
        quick.stop()
        site.order(300, lasts=6)
        site.until(lambda: site.told().get("seq") == 2 and dead.limits()[:2] == [300] * 2)
        assert site.told()["enforced_cap_w"] == 400, "what cannot be reached is reckoned with as it was last"
        quick.start()
        site.until(lambda: quick.limits()[:4] == [250] * 4 and slow.limits()[:2] == [250] * 2)
        site.agent.send_signal(signal.SIGTERM)
        assert site.agent.wait(30) == 0
        assert slow.logouts == 1


def test_bad_options_are_refused() -> None:
    command = [sys.executable, "-m", "facility", "agent", "redfish", "--site", "demo", "--pool", "h1/h1-b", "--broker", "mqtt://x"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert told.returncode == 2
    assert "--nodes: is not given" in told.stderr
