"""A broker as the samples of `site_configs/mosquitto` say, word for word, with a CA of its own, passwords and certificates."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from facility.bus.broker import Broker
from facility.bus.mqtt import MqttBus
from tests.processes import Mosquitto, free_port

SAMPLES = Path("site_configs/mosquitto")
needs_tools = pytest.mark.skipif(
    not shutil.which("openssl") or not shutil.which("mosquitto_passwd"), reason="needs openssl and mosquitto_passwd"
)


def heard(bus: MqttBus, wait_s: float = 0.0) -> set[tuple[str, bytes]]:
    """What came in, as topics with their payloads."""
    return {(message.topic, message.payload) for message in iter(lambda: bus.receive(wait_s), None)}


class Shipped:
    """One more user, `witness`, may everything: it hears what got through and says what others may or may not hear."""

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
