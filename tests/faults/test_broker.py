"""Faults 26 to 28: the broker is killed, stands still, or is away for two hours."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

from facility.simulate.device import Device
from facility.simulate.plant import Plant
from facility.verify import fallback_caps
from tests.faults.conftest import WiredHouse
from tests.faults.fault import Fault
from tests.faults.inside import NOW, Inside
from tests.processes import CAPS, POOL, ROOT, needs_mosquitto

pytestmark = needs_mosquitto
SILENT = "the broker does not answer"
STATE = f"{ROOT}/override/{POOL}/state"


def test_fault_26_a_broker_that_is_killed_for_ten_seconds_loses_no_order_and_no_operator(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 10, "a plan")
    assert house.order(POOL, "lasting", "cap_w", 180)["status"] == "accepted"
    house.until(lambda: house.highest_cap() <= 180, 2, "the cap")
    log, died = len(house.said()), time.monotonic()
    fault(house.broker.stop)
    fault.proven(lambda: not house.broker.state() and not house.broker.listens(), "the broker still runs")
    house.ear.newest.clear()  # nothing persists: what is there afterwards was said again
    house.until(lambda: f"-> HOLD: {SILENT}" in house.said()[log:], 5.5, "a plan that is held")
    time.sleep(max(died + 10 - time.monotonic(), 0))
    house.broker.start()
    back = time.monotonic()
    house.until(lambda: all(house.ear.newest.get(t) for t in (CAPS, f"{ROOT}/plan/current", STATE)), 5, "what was retained")
    house.until(lambda: "-> NORMAL:" in house.said()[log:], 2 * 3 + 2, "a plan within two cycles")
    assert [override["id"] for override in house.ear.told(STATE)["overrides"]] == ["lasting"]
    assert all(max([c["cap_w"], *(g["cap_w"] for g in c["groups"])]) <= 180 for c in house.ear.since(back, CAPS))
    assert house.order(POOL, "lasting", "cap_w", 400)["status"] == "duplicate"  # who doubts may ask again
    assert house.order(POOL, "afterwards", "cap_w", 170)["status"] == "accepted"
    house.clear(POOL, "afterwards")


def test_fault_27_a_broker_that_stands_still_is_noticed_and_gets_nothing_that_has_expired(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 10, "a plan")
    log, stood = len(house.said()), time.monotonic()
    fault(house.broker.freeze)
    fault.proven(lambda: house.broker.state() == "T", "the broker is not stopped")
    try:
        house.until(lambda: f"-> HOLD: {SILENT}" in house.said()[log:], 5.5 - (time.monotonic() - stood), "a plan that is held")
        noticed_at = house.now()
        house.until(lambda: "HOLD -> SAFE:" in house.said()[log:], 10, "fallback caps, when the last ones have lapsed")
    finally:
        house.broker.thaw()
    back, back_at = time.monotonic(), house.now()
    house.until(lambda: "SAFE -> NORMAL:" in house.said()[log:], 2 * 3 + 2, "a plan within two cycles")
    house.until(lambda: house.ear.told(f"{ROOT}/plan/current")["mode"] == "NORMAL", 2, "the plan")
    told = [m for m in house.ear.since(back, CAPS) if datetime.fromisoformat(m["issued_at"]) >= noticed_at]
    assert told
    assert all(datetime.fromisoformat(m["valid_until"]) > back_at for m in told)


def start_again(inside: Inside) -> None:
    """Start the broker; the daemon reaches it once there is somebody to hear what is said but once."""
    before = inside.ear.bus.connections
    inside.wire.cut()
    inside.broker.start()
    inside.until(lambda: inside.ear.bus.connections > before, 5, "the ear")
    inside.wire.mend()


def test_fault_28_after_two_hours_without_a_broker_only_the_newest_is_sent_and_nothing_has_expired(tmp_path: Path, fault: Fault) -> None:
    with closing(Inside(tmp_path)) as inside:
        plant = Plant(inside.site, NOW, seed=None)
        device = Device(plant, inside.open("plant"), inside.clock)
        inside.others.append(device.tick)
        agent, (fallback_w, ttl_min) = plant.pools["h1-b"], (fallback_caps(inside.site)["h1-b"], 15)
        inside.clock.advance(15)
        inside.until(lambda: len(inside.jobs()) == len(plant.scheduler.jobs) > 9, what="every job")
        assert inside.cycle() == "NORMAL"
        assert inside.order(POOL, "brief", "cap_w", 200, ttl_s=1800)["status"] == "accepted"
        assert inside.order(POOL, "long", "cap_w", 350, priority=9, ttl_s=4 * 3600)["status"] == "accepted"
        inside.until(lambda: agent.enforced_cap_w == 200, what="the brief override at the agent")

        fault(inside.broker.stop)
        fault.proven(lambda: not inside.broker.listens(), "the broker still runs")
        inside.clock.advance(5)
        assert inside.cycle() == "NORMAL", "nobody has noticed yet: what is ordered waits for the broker, and lapses"
        inside.until(lambda: inside.daemon.outcome.mode == "HOLD", 7, "a plan that is held")
        kept: dict[str, datetime | None] = {}
        for minute in range(1, 121):
            inside.clock.advance(60)
            for _ in range(4):
                device.tick()
            inside.attend()
            if minute % 5 == 0:
                assert inside.cycle() == ("SAFE" if minute >= ttl_min else "HOLD")
            assert agent.enforced_cap_w <= (200 if minute < ttl_min else min(200, fallback_w))
            kept |= {topic: message.valid_until for topic, message in inside.bus._outbox._newest.items() if message.payload}
            assert len(kept) < 40
        lapsed = {topic for topic, until in kept.items() if until is not None and until <= inside.clock.now()}
        assert any("/job/" in topic for topic in lapsed)
        assert CAPS not in lapsed

        back = time.monotonic()
        start_again(inside)
        inside.until(lambda: inside.ear.told(STATE) and not inside.daemon.rooms.pulse.silent, 10, "the end of the silence")
        inside.until(lambda: inside.ear.messages(back, STATE), 5, "what was retained")
        heard = [message for at, message in inside.ear.heard if at >= back]
        assert not [message for message in heard if message.topic in lapsed and message.payload], "at most that it is taken back"
        (newest,) = {order["seq"] for order in inside.ear.since(back, CAPS)}
        assert newest == inside.ear.told(CAPS)["seq"]
        assert len(inside.ear.messages(back, f"{ROOT}/svc/daemon/status")) < 10
        assert [override["id"] for override in inside.ear.told(STATE)["overrides"]] == ["long"]
        assert [a["id"] for a in inside.ear.since(back, f"{ROOT}/override/{POOL}/result")] == ["brief"]
        for _ in range(8):  # what was not measured in the meantime is, and the guard waits a minute before caps may rise
            inside.clock.advance(10)
            inside.until(lambda: not inside.stale(), what="readings")
            inside.until(lambda looked=inside.daemon.upkeep.guard_s: inside.daemon.upkeep.guard_s > looked, what="a look at them")
        assert "caps give way" not in inside.daemon.outcome.reason
        assert inside.cycle() == "NORMAL"
        for _ in range(5):  # while nothing is metered, and a minute longer, caps give way
            inside.clock.advance(60)
            inside.go_on(0.7)
            inside.cycle()
        inside.until(lambda: agent.enforced_cap_w > 200, what="what the brief override forbade")
        assert agent.enforced_cap_w <= 350
