"""What people type is answered: each command against a real broker and a daemon on it, in words and in JSON, with its exit code.

The site is that of `test_daemon` with a price for leaving what was committed.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from facility.bus.interface import Message
from facility.bus.mqtt import MqttBus
from facility.cli import main
from facility.clock import SystemClock
from facility.config import load_site
from facility.daemon.loop import Daemon
from facility.daemon.neighbours.pulse import last_will
from facility.journal.journal import Journal
from tests.facility.test_daemon import SITE
from tests.processes import Mosquitto, needs_mosquitto, until

pytestmark = needs_mosquitto

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def site_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The site file of a daemon that runs on a broker of its own and has made a plan."""
    folder = tmp_path_factory.mktemp("site")
    broker = Mosquitto(folder)
    raw = SITE.model_dump(mode="json", exclude_unset=True) | {"bus": {"broker": broker.url}}
    raw["tariff"] |= {"imbalance_premium_per_mwh": 10}
    file = folder / "site.yaml"
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    site, clock, stop = load_site(str(file)), SystemClock(), threading.Event()
    with Journal(folder / "journal.sqlite", clock=clock) as journal, closing(MqttBus(broker.url, "d", will=last_will(site, "d"))) as bus:
        assert bus.wait_connected(10)
        daemon = Daemon(site, bus, journal, clock, instance="d")
        daemon.subscribe()

        def attend() -> None:
            while not stop.is_set():
                daemon.attend(0.05)

        listening = threading.Thread(target=attend)
        listening.start()
        until(lambda: daemon.cycle().outcome == "published", 30)
        yield file
        stop.set()
        listening.join()
    broker.stop()


@pytest.fixture
def typed(site_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type a command: its exit code, what it printed, and what it complained of."""

    def run(command: str, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["facility", command, str(site_file), *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_an_override_is_set_listed_and_cleared_in_words_and_in_json(typed: Typed) -> None:
    code, out, _ = typed("override", "set", "p", "cap_w", "250", "--for", "10min", "--by", "ann", "--reason", "warm")
    assert code == 0
    assert out.startswith("accepted, effective 250, until ")
    key = out.rpartition("id ")[2].strip()
    assert typed("override", "list", "--by", "ann")[1].startswith("pool/h/p: cap_w 250 by ann (priority 8) until ")
    (listed,) = json.loads(typed("override", "list", "--json")[1])
    assert {name: listed[name] for name in ("target", "id", "kind", "effective", "reason")} == {
        "target": "pool/h/p", "id": key, "kind": "cap_w", "effective": 250, "reason": "warm"}  # fmt: skip
    code, out, _ = typed("override", "clear", "p", "--id", key, "--by", "bob", "--json")
    assert (code, json.loads(out)["status"]) == (0, "cleared")
    assert typed("override", "list")[1] == "no override is in force\n"
    code, out, _ = typed("override", "set", "p", "cap_w", "50", "--json")
    assert (code, json.loads(out)["status"], json.loads(out)["effective"]) == (0, "clamped", 100)
    assert typed("override", "clear", "p", "--id", json.loads(out)["id"])[0] == 0
    code, out, _ = typed("override", "set", "p", "manual")
    assert (code, out.partition(":")[0]) == (1, "rejected")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("move", "p"), "'move' is not an action; say set, clear or list"),
        (("clear", "p"), "no target or no --id"),
        (("set", "p"), "no target or no kind"),
        (("set", "p", "cap", "250"), "'cap' is not a kind; did you mean `cap_w`?"),
        (("set", "q", "cap_w", "250"), "q"),
    ],
)
def test_an_override_that_cannot_be_meant_is_told_before_anybody_is_asked(typed: Typed, words: tuple[str, ...], says: str) -> None:
    code, out, err = typed("override", *words)
    assert (code, out) == (2, "")
    assert says in err


def test_the_status_is_told_in_words_and_in_json(typed: Typed) -> None:
    code, out, _ = typed("status")
    assert code == 0
    assert out.startswith("s: NORMAL since ")
    assert "plan: " not in out.splitlines()[0]
    code, out, _ = typed("status", "--json")
    assert (code, json.loads(out)["mode"]) == (0, "NORMAL")


def test_what_is_on_the_bus_is_said_in_words_and_in_json(typed: Typed) -> None:
    code, out, _ = typed("tail", "--for", "2s")
    assert code == 0
    assert "pool p" in out
    code, out, _ = typed("tail", "--for", "2s", "--topic", "svc/+/status", "--json")
    topics = [json.loads(line).get("topic", "") for line in out.splitlines()]
    assert code == 0
    assert topics
    assert all(topic.endswith("/status") for topic in topics if topic)
    assert typed("tail", "--topic", "a#b")[0] == 2


def test_sensors_that_nobody_tells_are_missing_and_strays_are_offered_a_rule(typed: Typed, site_file: Path) -> None:
    site = load_site(str(site_file))
    with closing(MqttBus(site.bus.broker, "building")) as building:
        assert building.wait_connected(10)
        building.publish(Message("hall/one/power", b'{"pool p": {"kw": 2.5}}', qos=1, retain=True))
        code, out, _ = typed("check", "--listen", "2s")
        assert code == 1
        assert "missing: " in out
        code, out, _ = typed("check", "--listen", "2s", "--json")
        told = json.loads(out)
        assert (code, told["site"], {found["verdict"] for found in told["sensors"]}) == (1, "s", {"missing"})


def test_a_plan_is_committed_to_the_daemon(typed: Typed) -> None:
    code, _, err = typed("plan", "--start", "2030-01-01", "--horizon", "2h", "--step", "1h", "--commit", "--by", "ann")
    assert (code, "commit: accepted: 2 steps are committed" in err) == (0, True)
    code, _, err = typed("plan", "--start", "2020-01-01", "--horizon", "2h", "--step", "1h", "--commit")
    assert (code, "commit: rejected: all of it is past" in err) == (1, True)


def test_without_a_broker_or_a_daemon_that_is_said(typed: Typed, tmp_path: Path) -> None:
    code, _, err = typed("status", "--broker", "mqtt://127.0.0.1:1")
    assert (code, "start the broker" in err) == (2, True)
    empty = Mosquitto(tmp_path)
    try:
        code, _, err = typed("status", "--broker", empty.url)
        assert (code, err) == (3, "facility: no daemon of s was heard\n")
        code, _, err = typed("override", "set", "p", "cap_w", "250", "--broker", empty.url)
        assert (code, "no answer within 5 s" in err) == (3, True)
    finally:
        empty.stop()
