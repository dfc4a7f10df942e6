"""How the broker is reached, what stands in the site file and what must not, and what is said of certificates that end."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from facility.bus.broker import parse_broker_url, reach, tls_context
from facility.bus.caution import cautions
from facility.bus.certificates import ending, ends
from facility.bus.mosquitto import acl, conf
from facility.bus.roles import PARTIES, Foreign, users
from facility.bus.secrets import first_line, read_private
from facility.bus.topics import TABLE
from facility.commands.check import run_check
from facility.config import load_site
from facility.errors import InputError
from facility.site import Bus

DEMO, HAMBURG = "site_configs/demo.yaml", "site_configs/hamburg.yaml"
TLS = "bus.broker=mqtts://facility@bus.example"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")


def certificate(folder: Path, days: int) -> tuple[Path, Path]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make = ["openssl", "req", "-x509", *curve, "-keyout", str(key), "-out", str(cert), "-days", str(days), "-subj", "/CN=facility"]
    subprocess.run(make, check=True, capture_output=True)
    return cert, key


def secret(folder: Path, text: str = "pw-1\n", mode: int = 0o600) -> Path:
    file = folder / "secret"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_the_site_file_says_who_we_are_and_whom_we_trust(tmp_path: Path) -> None:
    password = secret(tmp_path)
    broker = reach(load_site(HAMBURG, [f"bus.password_file={password}"]).bus)
    assert (broker.place, broker.username, broker.password) == ("bus.hamburg.example:8883", "facility", "pw-1")
    assert (broker.ca_file, broker.cert_file) == (Path("/etc/facility/ca.crt"), Path("/etc/facility/facility.crt"))
    assert "pw-1" not in repr(broker)


def test_files_are_named_from_the_site_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    site = tmp_path / "here" / "site.yaml"
    site.write_text(Path(DEMO).read_text() + "bus: {broker: mqtts://h, ca_file: ../ca.pem, cert_file: ~/own.pem}\n")
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.chdir(tmp_path)
    bus = load_site("here/site.yaml").bus
    assert bus.ca_file is not None
    assert Path(bus.ca_file).resolve() == (tmp_path / "ca.pem").resolve()
    assert bus.cert_file == "/home/ann/own.pem"


def test_a_password_goes_to_nobody_but_whom_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus(broker="mqtts://facility@bus.example", password_file=str(secret(tmp_path)), ca_file="/ca.pem")
    assert reach(bus).password == "pw-1"
    assert reach(bus, "mqtts://facility@bus.example:8883").password == "pw-1"
    for other in ("mqtts://bus.example", "mqtts://ann@bus.example", "mqtts://facility@elsewhere", "mqtts://facility@bus.example:1"):
        assert reach(bus, other).password is None
        assert reach(bus, other).ca_file == Path("/ca.pem")
    assert reach(bus, "mqtt://127.0.0.1").ca_file is None
    monkeypatch.setenv("FACILITY_PASSWORD", "pw-2")
    assert reach(bus, "mqtts://ann@elsewhere").password == "pw-2"
    assert reach(bus, "mqtts://ann:pw-3@elsewhere").password == "pw-3"
    assert reach(bus, "mqtts://elsewhere").password is None
    assert reach(bus).password == "pw-1"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644, 0o601])
def test_a_secret_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    file = secret(tmp_path, mode=mode)
    with pytest.raises(InputError, match=f"mode {mode:04o}.*chmod 600"):
        reach(Bus(broker="mqtt://a@h", password_file=str(file)))
    with pytest.raises(InputError, match=r"bus\.key_file"):
        tls_context(parse_broker_url("mqtts://h").__class__("h", 1, tls=True, cert_file=file, key_file=file))


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_secret_for_its_owner_or_its_group_is_read(tmp_path: Path, mode: int) -> None:
    assert read_private(secret(tmp_path, mode=mode), "k") == b"pw-1\n"


def test_a_secret_is_the_first_line_and_there_must_be_one(tmp_path: Path) -> None:
    assert first_line(b"a b\r\nc\n", "k") == "a b"
    for bad in (b"", b"\nx", b"\xff"):
        with pytest.raises(InputError):
            first_line(bad, "k")
    with pytest.raises(InputError, match="No such file"):
        read_private(tmp_path / "nothing", "k")


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (["bus.broker=http://h"], "does not begin with mqtt"),
        (["bus.ca_file=ca.pem"], "no TLS is asked for"),
        ([TLS, "bus.key_file=k.pem"], "a key without its certificate"),
        (["bus.password_file=p"], "names no user"),
        (["bus.broker=mqtts://a:b@h", "bus.password_file=p"], "has a password already"),
        (["bus.signatures=required"], "nobody's key is known"),
        (["bus.users={ann: agent/h9-z}"], "no `h9-z` in pools"),
        (["bus.users={ann: gateway/h9}"], "no `h9` in halls"),
        (["bus.users={ann: tenant/nobody}"], "no `nobody` in tenants"),
        (["bus.users={ann: king}"], "agent/POOL"),
        (["bus.users={daemon: operator}"], "the service's own name"),
        (["bus.users={agent-h1-a: operator}"], "usual name of another role's user"),
        (["bus.users={agent-h1-a: agent/h1-b}"], "usual name of another role's user"),
        (["bus.users={desk: operator}"], "usual name of another role's user"),
        (["bus.broker=mqtt://tenant-lumen@h"], "usual name of another role's user"),
        ([TLS, "bus.users={facility: operator}"], "the service's own name"),
    ],
)
def test_what_cannot_be_meant_is_a_fault(settings: list[str], found: str) -> None:
    with pytest.raises(InputError) as caught:
        load_site(DEMO, settings)
    assert len(caught.value.faults) == 1
    assert found in str(caught.value)


@needs_openssl
def test_the_end_of_a_certificate_is_read_as_openssl_reads_it(tmp_path: Path) -> None:
    for days in (1, 400, 20_000):  # until 2050 years have two digits, then four
        cert, _ = certificate(tmp_path, days)
        told = subprocess.run(["openssl", "x509", "-enddate", "-noout", "-in", str(cert)], check=True, capture_output=True, text=True)
        end = datetime.strptime(told.stdout.strip(), "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
        assert ends(cert) == end


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n!\n"])
def test_what_is_no_certificate_is_told_of(tmp_path: Path, text: str) -> None:
    file = secret(tmp_path, text)
    (told,) = ending(Bus(broker="mqtts://h", ca_file=str(file)), datetime.now(UTC))
    assert "is no certificate" in str(told)


@needs_openssl
def test_check_warns_of_certificates_secrets_and_the_open_wire(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cert, key = certificate(tmp_path, 12)
    key.chmod(0o644)
    settings = ["bus.broker=mqtts://ops:pw@h", f"bus.cert_file={cert}", f"bus.key_file={key}"]
    assert run_check(DEMO, tuple(settings)) == 0
    out = capsys.readouterr().out
    assert "warning: bus.cert_file" in out
    assert "ends in 1" in out
    assert "mode 0644" in out
    assert "a password stands in the site file" in out
    assert "pw" not in out.replace("password", "")
    assert not list(cautions(load_site(DEMO).bus, datetime.now(UTC)))
    (open_wire,) = cautions(Bus(broker="mqtt://10.0.0.7"), datetime.now(UTC))
    assert "can read and change everything" in open_wire


@pytest.mark.parametrize(("option", "file"), [("acl", "facility.acl"), ("broker_conf", "mosquitto.conf")])
def test_the_shipped_samples_are_what_check_prints(option: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check(DEMO, (), **{option: True}) == 0
    assert capsys.readouterr().out == (Path("site_configs/mosquitto") / file).read_text()


def test_every_row_of_the_table_says_who_is_at_its_other_end() -> None:
    assert {topic.name for topic in TABLE} == set(PARTIES), "say in facility/bus/roles.py who may write or read the new topic"
    written = {topic.name for topic in TABLE if topic.direction == "in"}
    assert {name for name, parties in PARTIES.items() if parties.writers} == written, "only the service writes what is out"
    assert not any(set(parties.writers) & set(parties.readers) for parties in PARTIES.values())
    everybody = {role for parties in PARTIES.values() for side in parties for role in side}
    assert not everybody & {"daemon", "dashboard"}, "they are everywhere, or write nothing"


def test_a_user_may_have_the_usual_name_of_its_role_and_stands_once() -> None:
    site = load_site(DEMO, ["bus.users={operator: operator, agent-h1-a: agent/h1-a, gateway-site: gateway/site}"])
    names = [user.name for user in users(site)]
    assert len(names) == len(set(names))
    assert {"operator", "agent-h1-a", "gateway-site"} <= set(names)


def test_named_users_take_the_place_of_the_one_of_their_role() -> None:
    names = {user.name: (user.role, user.of) for user in users(load_site(HAMBURG))}
    assert (names["facility"], names["ann"], names["bms-2"]) == (("daemon", None), ("operator", None), ("gateway", "h2"))
    assert not {"daemon", "operator", "dashboard", "scheduler", "gateway-h2"} & set(names)
    assert {"grid", "desk", "building", "gateway-h1", "gateway-site"} <= set(names)


def test_the_building_says_its_own_words_and_the_daemon_hears_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check(HAMBURG, (), acl=True) == 0
    by_user = dict(re.findall(r"^user (.+)\n((?:topic .*\n)*)", capsys.readouterr().out, re.MULTILINE))
    assert "topic read bms/+/it/+\n" in by_user["facility"]
    assert "topic write bms/+/it/+\n" in by_user["building"]
    assert not any("bms/" in told for user, told in by_user.items() if user not in {"facility", "building"})
    assert "tele/" not in by_user["building"]


def test_foreign_orders_come_from_the_grid_alone_and_what_we_tell_from_the_daemon_alone() -> None:
    text = acl(load_site(DEMO), Foreign(("bms/+/power",), ("isv/+/set",), ("agent/status",)))
    by_user = dict(re.findall(r"^user (.+)\n((?:topic .*(?:\n|\Z))*)", text, re.MULTILINE))
    told = {user: {tuple(line.split()[1:]) for line in lines.splitlines() if "facility/v1" not in line} for user, lines in by_user.items()}
    assert told["daemon"] == {("read", "bms/+/power"), ("read", "isv/+/set"), ("write", "agent/status"), ("write", "reply/#")}
    assert told["building"] == {("write", "bms/+/power")}
    assert told["grid"] == {("write", "isv/+/set"), ("read", "agent/status")}
    assert told["operator"] == {("read", "reply/operator/#")}
    assert not any(told[user] for user in told if user not in {"daemon", "building", "grid", "operator", "desk"})


def test_the_buildings_agent_writes_set_points_and_hears_what_is_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check("site_configs/demo-set-points.yaml", (), acl=True) == 0
    by_user = dict(re.findall(r"^user (.+)\n((?:topic .*\n)*)", capsys.readouterr().out, re.MULTILINE))
    assert {"topic write gw/bess-1/set", "topic read gw/bess-1"} <= set(by_user["building"].splitlines())
    assert not any("gw/" in told for user, told in by_user.items() if user != "building")


def test_a_site_on_another_port_gets_its_doors_there() -> None:
    assert re.findall(r"^listener (\d+)$", conf(load_site(DEMO, ["bus.broker=mqtts://h:9000"])), re.MULTILINE) == ["9000", "9001"]
