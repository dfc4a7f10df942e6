"""An agent on the broker as it is shipped: over TLS, with its own password, and with what an agent of its pool may do."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pynvml")

from facility.bus.mqtt import MqttBus
from tests.fakes.nvml import Board
from tests.processes import ROOT, end, needs_mosquitto, until
from tests.shipped import Shipped, heard, needs_tools

pytestmark = [needs_mosquitto, needs_tools]


@pytest.mark.parametrize("way", ["file", "environment"])
def test_an_agent_logs_in_over_tls_and_reports_for_its_pool_alone(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = Shipped(tmp_path)
    witness = MqttBus(shipped.as_user("witness"), "witness")
    witness.subscribe(f"{ROOT}/cap/+/+/node/+/reported", 1)
    secret = tmp_path / "secret"
    secret.write_text("pw-of-agent-h1-b\n")
    secret.chmod(0o600)
    Board(tmp_path / "board", 2)
    how = ("--password-file", str(secret)) if way == "file" else ()
    if not how:
        monkeypatch.setenv("FACILITY_PASSWORD", "pw-of-agent-h1-b")

    def agent(pool: str) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", "tests.fakes.nvml", str(tmp_path / "board"), "agent", "nvml", "--site", "demo", "--node", "n1")
        url = f"mqtts://agent-h1-b@localhost:{shipped.broker.port}"
        return subprocess.Popen([*command, "--pool", pool, "--broker", url, "--ca-file", str(tmp_path / "certs" / "ca.crt"), *how])

    ours, others = agent("h1/h1-b"), agent("h1/h1-a")
    try:
        told: set[str] = set()
        assert until(lambda: told.update(topic for topic, _ in heard(witness, 0.1)) or told)
        others.send_signal(signal.SIGTERM)
        assert others.wait(10) == 0
        told.update(topic for topic, _ in heard(witness, 0.5))
        assert told == {f"{ROOT}/cap/h1/h1-b/node/n1/reported"}
    finally:
        for process in (ours, others):
            end(process)
        witness.close()
        shipped.broker.stop()
