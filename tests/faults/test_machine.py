"""Faults 46 to 49: the clock is set, the loop stands still, files and memory run out, and a dangerous site file comes in its place."""

from __future__ import annotations

import re
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facility.bus.interface import Message
from facility.config import load_site
from facility.verify import fallback_caps
from tests.faults.conftest import WiredHouse
from tests.faults.fault import Fault
from tests.faults.machine import set_clock, state, stopped
from tests.processes import CAPS, POOL, ROOT, SITE, SPEED, needs_mosquitto

pytestmark = needs_mosquitto
TTL, CYCLE_S = timedelta(seconds=200), 3.0
STATE = f"{ROOT}/override/{POOL}/state"
REPORTED = f"{ROOT}/cap/h1/h1-b/reported"
ALARM = f"{ROOT}/alarm/reload-refused"
HOUR, DAY = 3600.0, 86_400.0
TO_1970 = -(datetime(2026, 7, 1, tzinfo=UTC) - datetime(1970, 1, 2, tzinfo=UTC)).total_seconds()


@pytest.fixture
def true_clock(house: WiredHouse) -> Iterator[None]:
    """Whatever a test sets it to, the clock is true again after it."""
    yield
    log = len(house.said())
    set_clock(house.folder, 0)
    house.until(lambda: "-> NORMAL" in house.said()[log:] or house.mode() == "NORMAL", 15, "a plan")


def memory_bytes(pid: int) -> int:
    """The address space of a process, B."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def told_at(house: WiredHouse) -> datetime:
    """What the daemon takes the time for, by its newest heartbeat."""
    newest = max((s for s in house.statuses() if s["mode"] != "offline"), key=lambda status: status.get("epoch") or 0)
    return datetime.fromtimestamp(newest["heartbeat"] / 1000, UTC)


@pytest.mark.parametrize("set_s", [HOUR, -HOUR, -DAY, TO_1970], ids=["an hour on", "an hour back", "a day back", "1970"])
def test_fault_46_a_clock_that_is_set_ends_no_override_late_and_lets_no_cap_expire_in_the_future(
    house: WiredHouse, fault: Fault, set_s: float, true_clock: None
) -> None:
    house.until(lambda: house.mode() == "NORMAL", 15, "a plan")
    name, began = f"set-{set_s:.0f}", time.monotonic()
    assert house.order(POOL, name, "cap_w", 150, ttl_s=4 * SPEED)["status"] == "accepted"
    fault(lambda: set_clock(house.folder, set_s / SPEED))
    fault.proven(lambda: abs((told_at(house) - house.now()).total_seconds() - set_s) < 60, "the daemon's clock is the true one", 3)
    house.until(lambda: abs(datetime.fromisoformat(house.ear.told(CAPS)["issued_at"]) - told_at(house)) < TTL, 3, "caps by the new time")
    sent = house.ear.told(CAPS)
    assert datetime.fromisoformat(sent["valid_until"]) <= told_at(house) + TTL + timedelta(seconds=2 * SPEED)
    house.until(lambda: abs(datetime.fromisoformat(house.ear.told(f"{ROOT}/plan/current")["issued_at"]) - told_at(house)) < TTL, 12, "a plan of now")
    house.until(lambda: house.mode() == "NORMAL", 2 * CYCLE_S + 2, "a plan within two cycles")
    house.until(lambda: not house.ear.newest.get(STATE), max(began + 4 + 2 - time.monotonic(), 0.1), "the end of the override")
    order = [(caps["epoch"], caps["seq"]) for caps in house.ear.since(began, CAPS)]
    assert order == sorted(order)


def test_fault_47_a_loop_that_stands_still_is_shown_no_plan_is_sent_caps_fall_back_by_themselves_and_the_process_ends(
    house: WiredHouse, fault: Fault
) -> None:
    house.until(lambda: house.mode() == "NORMAL", 15, "a plan")
    lowest, log, loop = fallback_caps(load_site(SITE))["h1-b"], len(house.said()), house.daemon.pid
    house.until(lambda: house.ear.told(REPORTED)["enforced_cap_w"] > lowest, 15, "caps above the fallback on the GPUs")
    with ExitStack() as stack:
        fault(lambda: stack.enter_context(stopped(loop)))
        fault.proven(lambda: state(loop, loop) == "t", "the loop goes on")
        house.until(lambda: "stood still for 2" in house.said()[log:], 8, "the stacks in the log")
        assert "most recent call first" in house.said()[log:]
        house.until(lambda: house.ear.told(REPORTED)["enforced_cap_w"] <= lowest, 15, "the fallback on the GPUs")
        house.until(lambda: "the process ends itself" in house.said()[log:], 16, "the end")
    assert house.daemon.wait(3) == 3
    house.start_daemon()
    house.until(lambda: house.mode() == "NORMAL", 40, "a plan")


def test_fault_48_without_a_file_to_be_had_it_says_so_holds_and_connects_again_when_there_is_one(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 15, "a plan")
    pid, log = house.daemon.pid, len(house.said())
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    try:
        fault(lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1])))
        fault.proven(lambda: re.search(r"Max open files +3 ", Path(f"/proc/{pid}/limits").read_text()), "it may open as many as it likes")
        house.broker.stop()  # and a new connection needs one
        house.broker.start()
        house.until(lambda: "Too many open files" in house.said()[log:], 6, "a word about it")
        house.until(lambda: "-> HOLD: the broker does not answer" in house.said()[log:], 7, "a plan that is held")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    house.until(lambda: "HOLD -> NORMAL" in house.said()[log:], 2 * CYCLE_S + 4, "a plan")
    assert house.order(POOL, "with-files", "cap_w", 170)["status"] == "accepted"
    house.clear(POOL, "with-files")


def test_fault_48_without_memory_to_be_had_it_goes_on_or_ends_to_be_started_again(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 15, "a plan")
    pid, log = house.daemon.pid, len(house.said())
    before, size = resource.prlimit(pid, resource.RLIMIT_AS), memory_bytes(pid)
    try:
        fault(lambda: resource.prlimit(pid, resource.RLIMIT_AS, (size, before[1])))
        fault.proven(lambda: re.search(rf"Max address space +{size} ", Path(f"/proc/{pid}/limits").read_text()), "it may have all there is")
        for _ in range(200):
            house.ear.bus.publish(Message(f"{ROOT}/job/big/spec", b"[" * 60_000, qos=1))
        house.until(lambda: house.daemon.poll() is not None or len(house.said()) > log, 2 * CYCLE_S + 2, "a word")
        time.sleep(CYCLE_S)
    finally:
        if house.daemon.poll() is None:
            resource.prlimit(pid, resource.RLIMIT_AS, before)
    if house.daemon.poll() is not None:
        assert house.daemon.returncode != 0
        house.start_daemon()
    house.until(lambda: house.mode() == "NORMAL", 40, "a plan")
    assert house.order(POOL, "with-memory", "cap_w", 170)["status"] == "accepted"
    house.clear(POOL, "with-memory")


def test_fault_49_a_dangerous_site_file_is_refused_whole_and_the_next_good_one_is_taken(house: WiredHouse, fault: Fault) -> None:
    house.until(lambda: house.mode() == "NORMAL", 15, "a plan")
    file, log = Path(house.site), len(house.said())
    good, site = file.read_text(), load_site(house.site)
    feeder, rating = next((name, feeder.rating_kw) for name, feeder in site.feeders.items() if feeder.parent is not None)
    spoilt = good.replace(f"rating_kw: {rating:g}", f"rating_kw: {10 * rating:g}").replace("  import_limit_kw: 810", "  import_limit_kw: 780")

    def dangerous() -> None:
        file.write_text(spoilt)
        house.daemon.send_signal(signal.SIGHUP)

    epoch = house.ear.told(CAPS)["epoch"]
    try:
        fault(dangerous)
        fault.proven(lambda: load_site(house.site).feeders[feeder].rating_kw == 10 * rating, "the file is as it was")
        house.until(lambda: house.ear.told(ALARM), 8, "an alarm")
        cause = house.ear.told(ALARM)["cause"]
        assert f"feeders.{feeder}.rating_kw" in cause
        assert "gives more room to what carries load" in cause
        house.until(lambda: house.ear.told(f"{ROOT}/plan/current")["plan_id"], 2, "a plan")
        assert house.ear.told(CAPS)["epoch"] == epoch, "nothing of it came into force, not even what is harmless"
        assert "grid.import_limit_kw" not in house.said()[log:].replace(cause, "")
    finally:
        file.write_text(good)
        house.daemon.send_signal(signal.SIGHUP)
    house.until(lambda: not house.ear.newest.get(ALARM), 8, "the end of the alarm")
    house.until(lambda: house.mode() == "NORMAL", 10, "a plan")
    house.until(lambda: house.ear.told(CAPS)["epoch"] == epoch + 1, 5, "caps by the file that is good")
