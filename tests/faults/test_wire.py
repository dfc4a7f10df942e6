"""Faults 29 and 30: the wire to the broker is half open, carries one way only, loses nearly everything, or crawls; callbacks raise."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from facility.bus.interface import Message
from facility.bus.mqtt import MAX_BYTES_ON_THEIR_WAY
from facility.daemon.neighbours import pulse
from tests.faults.fault import Fault
from tests.faults.inside import Inside
from tests.faults.proxy import Proxy
from tests.processes import POOL, ROOT, needs_mosquitto

pytestmark = needs_mosquitto
DEAD_S = 2.0
"""Shorter than the product's 5 s, so that five wires take no minute."""
LONGEST_STEP_S = 0.5
"""A quarter of the guard's longest sleep; on a machine that does nothing else a step takes a few milliseconds."""


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inside]:
    monkeypatch.setattr(pulse, "DEAD_S", DEAD_S)
    with closing(Inside(tmp_path)) as made:
        made.others.append(lambda: made.ear.bus.publish(Message(f"{ROOT}/tele/h1/hall/h1/air_temperature_c", b'{"value": 24.5}')))
        made.until(lambda: made.ear.told(f"{ROOT}/svc/daemon/status"), what="a heartbeat")
        assert made.cycle() == "NORMAL"
        yield made


def lose(wire: Proxy) -> None:
    wire.up.loss = wire.down.loss = 0.99


def crawl(wire: Proxy) -> None:
    wire.up.bytes_per_s = wire.down.bytes_per_s = 1000


@pytest.mark.parametrize(
    ("worsen", "seen"),
    [
        (Proxy.half_open, lambda wire, _up, _down: wire.up.forgotten > 0),
        (lambda wire: wire.up.hold(), lambda _wire, up, down: up == 0 and down > 0),
        (lambda wire: wire.down.hold(), lambda _wire, up, down: up > 0 and down == 0),
        (lose, lambda wire, _up, _down: wire.up.stalls + wire.down.stalls > 0),
        (crawl, lambda _wire, up, down: 0 < down < 3000 and up < 3000),
    ],
    ids=["half open", "nothing up", "nothing down", "99 % lost", "1 kB a second"],
)
def test_fault_29_a_bad_wire_is_noticed_blocks_nothing_and_is_replaced(
    inside: Inside, fault: Fault, worsen: Callable[[Proxy], None], seen: Callable[[Proxy, int, int], bool]
) -> None:
    wire = inside.wire
    fault(lambda: worsen(wire))
    inside.go_on(0.2)  # what was on its way
    up, down = wire.up.carried, wire.down.carried
    inside.steps_s.clear()
    inside.go_on(1.6)
    fault.proven(lambda: seen(wire, wire.up.carried - up, wire.down.carried - down), f"the wire carried {wire.up.carried - up} bytes up")
    inside.until(lambda: inside.daemon.outcome.mode == "HOLD", DEAD_S + 1, "a plan that is held")
    assert inside.cycle() == "HOLD"
    inside.go_on(1.0)
    assert inside.daemon.rooms.pulse.silent
    assert len(inside.bus._on_its_way) + len(inside.bus._outbox._newest) < 100
    wire.mend()
    inside.until(lambda: not inside.daemon.rooms.pulse.silent, 12, "the end of the silence")
    assert inside.bus.connections >= 2
    assert inside.cycle() == "NORMAL"
    assert inside.order(POOL, "afterwards", "cap_w", 250, ttl_s=600)["status"] == "accepted"
    assert max(inside.steps_s) < LONGEST_STEP_S


def test_fault_29_what_a_bad_wire_holds_back_is_bounded_and_only_the_newest_of_it_is_sent(inside: Inside, fault: Fault) -> None:
    fault(inside.wire.up.hold)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    since, sent, took_s = time.monotonic(), 0, list[float]()
    for number in range(6000):
        began = time.perf_counter()
        sent += inside.bus.publish(Message(f"{ROOT}/job/held-{number % 50}/desired", b"%06d" % number + bytes(20_000), qos=1))
        took_s.append(time.perf_counter() - began)
    fault.proven(lambda: not inside.ear.messages(since, f"{ROOT}/job/held-0/desired"), "the wire carries what it is given")
    assert sent * 20_000 == pytest.approx(MAX_BYTES_ON_THEIR_WAY, rel=0.01)
    assert sorted(took_s)[-7] < LONGEST_STEP_S, "one in a thousand may wait for the machine"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 2.5 * MAX_BYTES_ON_THEIR_WAY / 1024
    inside.wire.cut()
    inside.wire.mend()
    inside.until(lambda: inside.bus.connections >= 2, 10, "a new connection")
    inside.until(lambda: inside.ear.messages(since, f"{ROOT}/job/held-49/desired"), 10, "what was held back")
    inside.go_on(0.5)
    heard = [message for number in range(50) for message in inside.ear.messages(since, f"{ROOT}/job/held-{number}/desired")]
    assert len(heard) == 50
    assert {int(message.payload[:6]) for message in heard} == set(range(sent - 50, sent))


@pytest.mark.parametrize("callback", ["on_message", "on_subscribe", "on_disconnect", "on_connect"])
def test_fault_30_an_exception_in_a_callback_of_the_network_thread_is_got_over(inside: Inside, fault: Fault, callback: str) -> None:
    client, raised = inside.bus._client, list[str]()
    original = getattr(client, callback)

    def explode(*arguments: object) -> object:
        if not raised:
            raised.append(callback)
            raise RuntimeError("nobody foresaw this")
        return original(*arguments)

    fault(lambda: setattr(client, callback, explode))
    inside.wire.cut()
    inside.until(lambda: not inside.bus.connected, 3, "the loss of the wire")
    inside.wire.mend()
    inside.until(client.is_connected, 5, "the library's connection")
    inside.go_on(0.5)
    fault.proven(lambda: raised, f"{callback} did not raise")
    inside.until(lambda: inside.bus.connected and not inside.daemon.rooms.pulse.silent, 8, "a heartbeat that comes back")
    assert client._thread.is_alive()
    assert inside.order(POOL, "afterwards", "cap_w", 250, ttl_s=600)["status"] == "accepted"
