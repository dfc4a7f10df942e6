"""The shipped access rules and configuration, word for word, in a real Mosquitto: who may publish what, and who gets what to read.

One more user, `witness`, may everything: it hears what got through and says what others may or may not hear.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from facility.bus.broker import Broker, reach
from facility.bus.interface import Message
from facility.bus.mqtt import MqttBus
from facility.clock import SystemClock
from facility.commands import client
from facility.commands.override import Command, run_override
from facility.config import load_site
from facility.daemon.loop import Daemon
from facility.daemon.pulse import last_will
from facility.errors import InputError
from facility.journal.journal import Journal
from tests.processes import Mosquitto, free_port, needs_mosquitto, until

pytestmark = [
    needs_mosquitto,
    pytest.mark.skipif(not shutil.which("openssl") or not shutil.which("mosquitto_passwd"), reason="needs openssl and mosquitto_passwd"),
]
SAMPLES = Path("site_configs/mosquitto")
DEMO = "site_configs/demo.yaml"
ROOT = "facility/v1/demo/"

ROWS = [
    row.split()
    for row in """
    daemon         publishes   cap/h1/h1-a/desired                    yes
    daemon         publishes   job/j1/desired                         yes
    daemon         publishes   plan/current                           yes
    daemon         publishes   svc/facility-1/status                  yes
    daemon         publishes   override/pool/h1/h1-a/result           yes
    daemon         publishes   override/site/state                    yes
    daemon         publishes   contract/c1/state                      yes
    daemon         publishes   alarm/a1                               yes
    daemon         publishes   cap/h1/h1-a/reported                   no
    daemon         publishes   override/site/set                      no
    daemon         publishes   tele/h1/pool/h1-a/it_power_kw          no
    daemon         reads       override/pool/h1/h1-a/set              yes
    daemon         reads       tele/h1/batch/gw                       yes
    operator       publishes   override/site/set                      yes
    operator       publishes   override/hall/h1/set                   yes
    operator       publishes   override/pool/h1/h1-a/set              yes
    operator       publishes   override/job/j1/clear                  yes
    operator       publishes   position/set                           yes
    operator       publishes   cap/h1/h1-a/desired                    no
    operator       publishes   override/site/result                   no
    operator       publishes   override/site/state                    no
    operator       publishes   plan/current                           no
    operator       publishes   svc/facility-1/status                  no
    operator       publishes   contract/c1/set                        no
    operator       publishes   grid/main/limit                        no
    operator       reads       cap/h1/h1-a/desired                    yes
    operator       reads       override/site/result                   yes
    dashboard      publishes   override/site/set                      no
    dashboard      publishes   plan/current                           no
    dashboard      publishes   tele/h1/pool/h1-a/it_power_kw          no
    dashboard      reads       plan/current                           yes
    dashboard      reads       tele/h1/pool/h1-a/it_power_kw          yes
    gateway-h1     publishes   tele/h1/pool/h1-a/it_power_kw          yes
    gateway-h1     publishes   tele/h1/batch/gw                       yes
    gateway-h1     publishes   meta/h1/hall/h1/air_temperature_c      yes
    gateway-h1     publishes   tele/h2/pool/h2-a/it_power_kw          no
    gateway-h1     publishes   tele/site/meter/main/import_kw         no
    gateway-h1     publishes   override/site/set                      no
    gateway-h1     publishes   cap/h1/h1-a/reported                   no
    gateway-h1     publishes   grid/main/limit                        no
    gateway-h1     reads       plan/current                           no
    gateway-h1     reads       override/site/state                    no
    gateway-site   publishes   tele/site/meter/main/import_kw         yes
    gateway-site   publishes   tele/h1/batch/gw                       no
    agent-h1-a     publishes   cap/h1/h1-a/reported                   yes
    agent-h1-a     publishes   cap/h1/h1-b/reported                   no
    agent-h1-a     publishes   cap/h2/h2-a/reported                   no
    agent-h1-a     publishes   cap/h1/h1-a/desired                    no
    agent-h1-a     publishes   override/pool/h1/h1-a/set              no
    agent-h1-a     reads       cap/h1/h1-a/desired                    yes
    agent-h1-a     reads       cap/h1/h1-b/desired                    no
    agent-h1-a     reads       job/j1/reported                        yes
    scheduler      publishes   job/j1/spec                            yes
    scheduler      publishes   job/j1/reported                        yes
    scheduler      publishes   job/j1/desired                         no
    scheduler      publishes   override/job/j1/set                    no
    scheduler      reads       job/j1/desired                         yes
    scheduler      reads       cap/h1/h1-a/desired                    no
    grid           publishes   grid/main/limit                        yes
    grid           publishes   signal/weather                         yes
    grid           publishes   override/grid/main/set                 no
    grid           reads       plan/current                           no
    desk           publishes   contract/c1/set                        yes
    desk           publishes   position/set                           yes
    desk           publishes   contract/c1/state                      no
    desk           publishes   override/site/set                      no
    desk           reads       contract/c1/result                     yes
    building       publishes   battery/bess-1/reported                yes
    building       publishes   battery/bess-1/desired                 no
    building       reads       cooling/chiller/desired                yes
    daemon         publishes   tenant/lumen/view                      yes
    tenant-lumen   reads       tenant/lumen/view                      yes
    tenant-lumen   reads       tenant/kepler/view                     no
    tenant-lumen   reads       tenant/kepler/job/j1/spec              no
    tenant-lumen   publishes   tenant/lumen/job/j1/spec               yes
    tenant-lumen   publishes   tenant/kepler/job/j1/spec              no
    tenant-lumen   publishes   tenant/lumen/view                      no
    tenant-kepler  reads       tenant/kepler/view                     yes
    tenant-kepler  reads       tenant/lumen/view                      no
    scheduler      reads       tenant/lumen/job/j1/spec               yes
    scheduler      reads       tenant/lumen/view                      no
    agent-h1-a     reads       tenant/lumen/view                      no
    desk           reads       tenant/lumen/view                      yes
    desk           publishes   tenant/lumen/job/j1/spec               no
    tenant-lumen   publishes   job/j1/spec                            no
    tenant-lumen   publishes   contract/c1/set                        no
    tenant-lumen   reads       plan/current                           no
    tenant-lumen   reads       contract/c1/state                      no
    tenant-lumen   reads       job/j1/reported                        no
    """.strip().splitlines()
]


class Shipped:
    """A broker as the samples say, with a CA of its own, a password for every user and certificates by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "certs").mkdir()
        self.sign("ca", "-x509", "-subj", "/CN=a CA", "-addext", "basicConstraints=critical,CA:TRUE")
        self.signed("broker", "localhost")
        rules = (SAMPLES / "facility.acl").read_text() + "\nuser witness\ntopic readwrite #\n"
        (folder / "facility.acl").write_text(rules)
        names = re.findall(r"^user (.+)$", rules, re.MULTILINE)
        passwords = folder / "facility.passwd"
        passwords.write_text("".join(f"{name}:pw-of-{name}\n" for name in names))
        subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
        self.by_certificate = free_port()
        settings = (SAMPLES / "mosquitto.conf").read_text()
        for old, new in {
            "/etc/mosquitto": str(folder),
            "/var/lib/mosquitto/": f"{folder}/",
            "listener 8884": f"listener {self.by_certificate}",
        }.items():
            assert old in settings
            settings = settings.replace(old, new)
        self.broker = Mosquitto.__new__(Mosquitto)
        self.broker.port = free_port()
        self.broker.config = folder / "mosquitto.conf"
        self.broker.config.write_text(settings.replace("listener 8883", f"listener {self.broker.port}") + "user root\n")
        self.broker.start()

    def sign(self, name: str, *options: str) -> None:
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        files = ["-keyout", self.file(name, "key"), "-out", self.file(name, "crt" if "-x509" in options else "csr")]
        subprocess.run(["openssl", "req", *curve, *files, *options], check=True, capture_output=True)

    def signed(self, name: str, subject: str) -> None:
        """Make a key, and a certificate for `subject` that the CA signed."""
        self.sign(name, "-subj", f"/CN={subject}")
        names = self.folder / "names"
        names.write_text(f"subjectAltName=DNS:{subject}")
        files = ["-in", self.file(name, "csr"), "-out", self.file(name, "crt"), "-extfile", str(names)]
        ca = ["-CA", self.file("ca", "crt"), "-CAkey", self.file("ca", "key"), "-CAcreateserial", "-days", "2"]
        subprocess.run(["openssl", "x509", "-req", *files, *ca], check=True, capture_output=True)

    def file(self, name: str, kind: str) -> str:
        return str(self.folder / "certs" / f"{name}.{kind}")

    def as_user(self, user: str, password: str | None = None) -> Broker:
        ca = Path(self.file("ca", "crt"))
        return Broker("localhost", self.broker.port, tls=True, username=user, password=password or f"pw-of-{user}", ca_file=ca)

    def as_certified(self, name: str) -> Broker:
        files = {f"{key}_file": Path(self.file(who, kind)) for key, who, kind in (("ca", "ca", "crt"), ("cert", name, "crt"), ("key", name, "key"))}
        return Broker("localhost", self.by_certificate, tls=True, **files)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    made = Shipped(tmp_path_factory.mktemp("acl"))
    yield made
    made.broker.stop()


def heard(bus: MqttBus, wait_s: float = 0.0) -> set[tuple[str, bytes]]:
    return {(message.topic, message.payload) for message in iter(lambda: bus.receive(wait_s), None)}


@pytest.fixture(scope="module")
def passed(shipped: Shipped) -> set[int]:
    """The rows, by number, in which what was tried came through."""
    with ExitStack() as stack:
        def connect(user: str) -> MqttBus:
            bus = stack.enter_context(closing(MqttBus(shipped.as_user(user), user)))
            assert bus.wait_connected(5), (user, bus.trouble)
            return bus

        witness = connect("witness")
        witness.subscribe("#", qos=1)
        buses = {user: connect(user) for user in dict.fromkeys(row[0] for row in ROWS)}
        for number, (user, does, topic, _) in enumerate(ROWS):
            if does == "reads":
                buses[user].subscribe(ROOT + topic, qos=1)
            else:
                buses[user].publish(Message(ROOT + topic, b"by %d" % number, qos=1))
        for bus in buses.values():  # each is answered in order: with the last answer all before it was judged
            bus.publish(Message("knock", b"", qos=1))
            assert until(lambda bus=bus: all(info.is_published() for info, _ in bus._on_its_way))
        for number, (_, does, topic, _) in enumerate(ROWS):
            if does == "reads":
                witness.publish(Message(ROOT + topic, b"for %d" % number, qos=1))
        witness.publish(Message("over", b"", qos=1))
        said: set[tuple[str, bytes]] = set()
        while not any(topic == "over" for topic, _ in said):
            said |= heard(witness, 0.2)
        time.sleep(0.3)
        read = {user: heard(bus) for user, bus in buses.items()}
    return {
        number
        for number, (user, does, topic, _) in enumerate(ROWS)
        if (ROOT + topic, b"for %d" % number if does == "reads" else b"by %d" % number) in (read[user] if does == "reads" else said)
    }


@pytest.mark.parametrize("number", range(len(ROWS)), ids=[" ".join(row) for row in ROWS])
def test_fault_39_what_is_tried_comes_through_where_it_may_and_nowhere_else(passed: set[int], number: int) -> None:
    assert (number in passed) == (ROWS[number][3] == "yes")


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
