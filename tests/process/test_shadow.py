"""A shadow beside a running daemon, real processes: it says nothing on the wire, and what it reports is what happened."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.bus.interface import Message
from facility.bus.messages import Alarm, CapDesired, OverrideResult, PlanCurrent, PlanStep, encode
from facility.process.shadow import Shadow
from tests.facility.test_daemon import NOW, ROOT, SITE
from tests.facility.test_daemon import House as Room
from tests.processes import POOL, House, free_port, needs_mosquitto

CONNECT, PUBLISH, SUBSCRIBE = 1, 3, 8
WILL = 0x04


class Tap:
    """A wire to the broker; `sent` is all that went towards it."""

    def __init__(self, port: int) -> None:
        self.port, self.sent = free_port(), bytearray()
        self._door = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(port,), daemon=True).start()

    def _serve(self, port: int) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                broker = socket.create_connection(("127.0.0.1", port))
                threading.Thread(target=self._carry, args=(client, broker, self.sent), daemon=True).start()
                threading.Thread(target=self._carry, args=(broker, client, bytearray()), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, seen: bytearray) -> None:
        with suppress(OSError):
            while part := one.recv(65_536):
                seen += part
                other.sendall(part)
            other.shutdown(socket.SHUT_WR)

    def packets(self) -> list[tuple[int, bytes]]:
        """The packets that went towards the broker: type and content (MQTT 3.1.1, section 2.2)."""
        found, at = [], 0
        while at < len(self.sent):
            kind, length, shift = self.sent[at] >> 4, 0, 0
            at += 1
            while True:
                length |= (self.sent[at] & 0x7F) << shift
                shift, at = shift + 7, at + 1
                if not self.sent[at - 1] & 0x80:
                    break
            found.append((kind, bytes(self.sent[at : at + length])))
            at += length
        return found

    def close(self) -> None:
        self._door.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("shadowed"), stack, settings=("control.cycle_s=60",))


@needs_mosquitto
def test_a_shadow_plans_for_minutes_and_sends_nothing_and_says_what_it_would_have_done(house: House) -> None:
    tap = Tap(house.port)
    log, house.way = house.folder / "shadow.log", f"mqtt://127.0.0.1:{tap.port}"
    shadow = house.another("shadow", "--shadow", "--state", str(house.folder / "shadow.sqlite"), "--for", "10min", "--json")
    house.until(lambda: "-> NORMAL" in log.read_text(), 40, "a plan of the shadow")
    house.order(POOL, "seen-by-both", "cap_w", 50)
    shadow.send_signal(signal.SIGUSR1)
    house.until(lambda: '"would_have_published"' in log.read_text(), 5, "a report")
    assert shadow.wait(60) == 0
    told: dict[str, Any] = json.loads(log.read_text().splitlines()[-1])
    kinds = Counter(kind for kind, _ in tap.packets())
    assert kinds[PUBLISH] == 0
    assert kinds[SUBSCRIBE] > 0
    assert not next(content for kind, content in tap.packets() if kind == CONNECT)[7] & WILL
    assert told["would_have_published"] > 100
    assert told["cycles"]["published"] >= 1
    assert told["modes"]["NORMAL"] > 0
    assert set(told["caps_w"]) == {"h1-a", "h1-b", "h2-a"}
    assert all(100 <= mean["is"] <= 400 and 100 <= mean["would"] <= 400 for mean in told["caps_w"].values())
    metered = [value for value in house.metered(house.began) if value > 0]
    energy = told["estimate"]
    assert min(metered) * energy["compared_h"] <= energy["metered_kwh"] <= max(metered) * energy["compared_h"]
    assert energy["less_kwh"] == pytest.approx(energy["metered_kwh"] - energy["planned_kwh"], abs=0.01)
    assert told["commands"] == {"clamped": 1}
    assert told["overruled"][0].startswith("seen-by-both: clamped")
    assert "two-daemons" not in told["alarms"]
    assert house.ear.told("facility/v1/demo/alarm/two-daemons") is None
    house.until(lambda: house.mode() == "NORMAL", 10, "a plan of the daemon, which nobody disturbed")
    assert not [topic for topic in house.ear.newest if "/svc/" in topic and json.loads(house.ear.newest[topic]).get("cycle") is None]
    tap.close()


def test_the_sums_are_those_of_the_time_in_which_both_are_known(tmp_path: Path) -> None:
    room, shadow = Room(tmp_path / "journal.sqlite"), Shadow(SITE)
    step = PlanStep(time=NOW, hours=1, import_kw=2.0, price_per_mwh=100.0, it_kw=2.0)
    plan = PlanCurrent(plan_id="1", issued_at=NOW, site="s", currency="EUR", mode="NORMAL", steps=(step,))
    caps = CapDesired(epoch=1, seq=1, issued_at=NOW, valid_until=NOW + timedelta(hours=1), cap_w=200, fallback_cap_w=100)
    clamped = OverrideResult(id="o", status="clamped", reason="too high")
    alarm = Alarm(id="a", severity="alarm", cause="why", since=NOW)
    for topic, payload in (("plan/current", plan), ("cap/h/p/desired", caps), ("override/pool/h/p/result", clamped), ("alarm/a", alarm)):
        shadow.kept(Message(f"{ROOT}/{topic}", encode(payload)))
    room.daemon.cycle()
    room.say("cap/h/p/reported", {"enforced_cap_w": 300, "timestamp": int(NOW.timestamp() * 1000)})
    for _ in range(20):
        room.say("tele/site/meter/main/import_kw", {"value": 3.0})
        room.daemon.within(shadow.look)
        room.clock.advance(30)
    told = shadow.as_fields(Counter({"published": 1}))
    assert told["caps_w"] == {"p": {"would": 200.0, "is": 300.0}}
    assert told["estimate"]["compared_h"] == pytest.approx(19 * 30 / 3600, abs=1e-3)
    assert told["estimate"]["less_kwh"] == pytest.approx(19 * 30 / 3600, abs=1e-3)
    assert told["estimate"]["less_money"] == pytest.approx(19 * 30 / 3600 * 0.1, abs=1e-3)
    lines = "\n".join(shadow.as_lines(Counter({"published": 1})))
    caps_told = "would have been 200 W in the mean, 300 W was enforced"
    for words in ("cycles: 1 published", "none was", "an estimate: ", caps_told, "o: clamped", "alarm a: why"):
        assert words in lines
    room.kill()


def test_a_gap_of_an_hour_is_not_counted(tmp_path: Path) -> None:
    room, shadow = Room(tmp_path / "journal.sqlite"), Shadow(SITE)
    room.daemon.within(shadow.look)
    room.clock.advance(3600)
    room.daemon.within(shadow.look)
    assert shadow.modes == {}
    assert shadow.lasted() == timedelta(hours=1)
    assert isinstance(shadow.began, datetime)
    assert "nothing to compare" in "\n".join(shadow.as_lines(Counter()))
    room.kill()
