"""The shipped configuration in a real Mosquitto: whom it lets in. Who may publish and read what is in `tests/faults/test_people.py`."""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from facility.bus.broker import reach
from facility.bus.interface import Message
from facility.bus.mqtt import MqttBus
from facility.clock import SystemClock
from facility.commands import client
from facility.commands.override import Command, run_override
from facility.config import load_site
from facility.daemon.loop import Daemon
from facility.daemon.neighbours.pulse import last_will
from facility.errors import InputError
from facility.journal.journal import Journal
from tests.processes import needs_mosquitto, until
from tests.shipped import Shipped, heard, needs_tools

pytestmark = [needs_mosquitto, needs_tools]
DEMO = "site_configs/demo.yaml"
ROOT = "facility/v1/demo/"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    made = Shipped(tmp_path_factory.mktemp("acl"))
    yield made
    made.broker.stop()


def lets_in(shipped: Shipped, *options: str, port: int = 0) -> bool:
    """Whether the broker takes a message from a client with these options of mosquitto_pub."""
    door = ["-h", "localhost", "-p", str(port or shipped.broker.port), "-t", "knock", "-m", "", "-q", "1"]
    return subprocess.run(["mosquitto_pub", *door, *options], check=False, capture_output=True, timeout=10).returncode == 0


def test_without_the_password_or_tls_nobody_is_let_in(shipped: Shipped) -> None:
    tls = ["--cafile", shipped.file("ca", "crt")]
    assert lets_in(shipped, *tls, "-u", "daemon", "-P", "pw-of-daemon")
    assert not lets_in(shipped, *tls, "-u", "daemon", "-P", "pw-of-operator")
    assert not lets_in(shipped, *tls, "-u", "nobody", "-P", "pw-of-nobody")
    assert not lets_in(shipped, *tls)
    assert not lets_in(shipped, "-u", "daemon", "-P", "pw-of-daemon")


def test_a_certificate_of_the_ca_lets_its_name_in_and_no_other_certificate_does(shipped: Shipped) -> None:
    shipped.signed("agent", "agent-h1-a")
    shipped.sign("forged", "-x509", "-subj", "/CN=agent-h1-a")
    with ExitStack() as stack:
        witness, agent = (
            stack.enter_context(closing(MqttBus(broker, name)))
            for broker, name in ((shipped.as_user("witness"), "w"), (shipped.as_certified("agent"), "a"))
        )
        assert witness.wait_connected(5)
        assert agent.wait_connected(5), agent.trouble
        witness.subscribe("#", qos=1)
        witness.publish(Message("ready", b"", qos=1))
        assert witness.receive(5) == Message("ready", b"", qos=1)
        for pool in ("h1-b", "h1-a"):
            agent.publish(Message(f"{ROOT}cap/h1/{pool}/reported", b"{}", qos=1))
        assert heard(witness, 0.5) == {(f"{ROOT}cap/h1/h1-a/reported", b"{}")}
    door, ca = shipped.by_certificate, ["--cafile", shipped.file("ca", "crt")]
    own, forged = (["--cert", shipped.file(name, "crt"), "--key", shipped.file(name, "key")] for name in ("agent", "forged"))
    assert lets_in(shipped, *ca, *own, port=door)
    assert not lets_in(shipped, *ca, *forged, port=door)
    assert not lets_in(shipped, *ca, "-u", "daemon", "-P", "pw-of-daemon", port=door)


def test_a_new_certificate_and_a_new_password_are_shown_without_a_new_process(shipped: Shipped) -> None:
    shipped.signed("first", "agent-h1-a")
    shipped.signed("second", "agent-h1-b")
    with ExitStack() as stack:
        witness, agent, user = (
            stack.enter_context(closing(MqttBus(broker, name)))
            for broker, name in ((shipped.as_user("witness"), "w"), (shipped.as_certified("first"), "a"), (shipped.as_user("agent-h1-a"), "u"))
        )
        assert witness.wait_connected(5)
        witness.subscribe("#", qos=1)
        assert agent.wait_connected(5), agent.trouble
        assert user.wait_connected(5), user.trouble
        agent.renew(shipped.as_certified("second"))
        user.renew(shipped.as_user("agent-h1-b"))
        assert until(lambda: agent.connections == user.connections == 2), (agent.trouble, user.trouble)
        heard(witness, 0.2)
        for bus, told in ((agent, b"1"), (user, b"2")):
            for pool in ("h1-a", "h1-b"):
                bus.publish(Message(f"{ROOT}cap/h1/{pool}/reported", told, qos=1))
        assert heard(witness, 0.5) == {(f"{ROOT}cap/h1/h1-b/reported", b"1"), (f"{ROOT}cap/h1/h1-b/reported", b"2")}
        with pytest.raises(InputError):
            agent.renew(replace(shipped.as_certified("second"), cert_file=Path("nowhere.crt")))
        assert agent.connected


def test_more_than_64_kib_does_not_pass_the_broker(shipped: Shipped) -> None:
    with closing(MqttBus(shipped.as_user("witness"), "w")) as bus:
        assert bus.wait_connected(5)
        bus.subscribe("size", qos=1)
        for size in (65_537, 65_536):
            bus.publish(Message("size", bytes(size), qos=1))
        first = bus.receive(5)
        assert first is not None
        assert len(first.payload) == 65_536


@pytest.fixture
def serving(shipped: Shipped, tmp_path: Path) -> Iterator[list[str]]:
    """The daemon on the shipped broker, as the site file's keys say; gives the settings."""
    texts = {"password": "pw-of-daemon", "ann-key": base64.b64encode(b"a" * 32).decode()}
    texts["keys"] = f"ann {texts['ann-key']}"
    for name, text in texts.items():
        (tmp_path / name).write_text(f"{text}\n")
        (tmp_path / name).chmod(0o600)
    keys = {
        "broker": f"mqtts://daemon@localhost:{shipped.broker.port}", "ca_file": shipped.file("ca", "crt"), "password_file": tmp_path / "password",
        "signatures": "required", "operator_keys_file": tmp_path / "keys",
    }  # fmt: skip
    settings = [f"bus.{key}={value}" for key, value in keys.items()]
    site, stop = load_site(DEMO, settings), threading.Event()
    with Journal(tmp_path / "journal.sqlite") as journal, closing(MqttBus(reach(site.bus), "service", will=last_will(site, "service"))) as bus:
        daemon = Daemon(site, bus, journal, SystemClock(), instance="service")
        daemon.subscribe()
        assert bus.wait_connected(5), bus.trouble

        def serve() -> None:
            while not stop.is_set():
                daemon.attend(0.05)

        thread = threading.Thread(target=serve)
        thread.start()
        yield settings
        stop.set()
        thread.join()
        daemon.close()


def test_the_service_and_its_people_reach_the_broker_by_the_site_file(
    shipped: Shipped, serving: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def orders(user: str, key: str | None, by: str = "ann") -> int:
        monkeypatch.setenv("FACILITY_PASSWORD", f"pw-of-{user}")
        signed = None if key is None else tmp_path / key
        command = Command("set", "pool/h1/h1-a", "cap_w", 250, "10min", 8, by, "a test", None, signed)
        return run_override(DEMO, tuple(serving), command, f"mqtts://{user}@localhost:{shipped.broker.port}", as_json=False)

    assert orders("operator", "ann-key") == 0
    assert "accepted, effective 250" in capsys.readouterr().out
    assert orders("operator", None) == 1
    assert "not signed" in capsys.readouterr().out
    assert orders("operator", "ann-key", by="eve") == 1
    assert "has a key here" in capsys.readouterr().out
    monkeypatch.setattr(client, "ANSWER_S", 0.5)
    monkeypatch.setattr(client, "CONNECT_S", 1.0)
    assert orders("dashboard", "ann-key") == 3, "the broker takes it and hands it to nobody"
    with pytest.raises(InputError, match=r"refuses us.*look at the user"):
        orders("nobody", "ann-key")
