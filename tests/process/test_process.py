"""One real daemon with a service manager that listens to it, on a real broker with a rehearsed plant."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from facility.journal.journal import Journal
from tests.facility.process.test_notify import Manager
from tests.faults.machine import stopped
from tests.processes import CAPS, POOL, ROOT, SITE, House, needs_mosquitto

pytestmark = needs_mosquitto


class Managed(House):
    """A house whose daemon tells a service manager how it is; `told` is all that it told."""

    manager: Manager

    def told(self) -> list[str]:
        self.said_so_far.extend(self.manager.heard())
        return self.said_so_far


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Managed]:
    folder = tmp_path_factory.mktemp("managed")
    with ExitStack() as stack:
        manager = Manager(str(folder / "notify"))
        stack.enter_context(closing(manager.socket))
        Managed.manager, Managed.said_so_far = manager, []
        site = shutil.copy(SITE, folder / "site.yaml")
        yield Managed(folder, stack, settings=("control.cycle_s=60",), env={"NOTIFY_SOCKET": str(folder / "notify")}, site=str(site))


def test_the_manager_hears_that_it_is_ready_how_it_is_and_every_second_that_it_lives(house: Managed) -> None:
    first = house.told()
    assert first[0].startswith("STATUS=SAFE: ")
    assert first.index("READY=1") < next(i for i, said in enumerate(first) if said.startswith("STATUS=NORMAL: plan"))
    before = house.told().count("WATCHDOG=1")
    time.sleep(3)
    assert 2 <= house.told().count("WATCHDOG=1") - before <= 4


def reload(house: Managed, old: str, new: str, says: str) -> str:
    """Edit the site file and send SIGHUP; what is logged until `says` comes."""
    file, log = Path(house.site), len(house.said())
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    house.daemon.send_signal(signal.SIGHUP)
    house.until(lambda: says in house.said()[log:], 10, says)
    return house.said()[log:]


def test_a_changed_site_file_comes_into_force_on_sighup_and_no_cap_jumps_and_no_operator_waits(house: Managed) -> None:
    house.until(lambda: house.mode() == "NORMAL", 20, "a plan")
    assert house.order(POOL, "lasting", "cap_w", 180)["status"] == "accepted"
    house.until(lambda: house.highest_cap() <= 180, 2, "the cap")
    began, epoch = time.monotonic(), house.ear.told(CAPS)["epoch"]
    said = reload(house, "  import_limit_kw: 810", "  import_limit_kw: 780", "the site file was read again")
    assert "grid.import_limit_kw: 810.0 -> 780.0" in said
    assert house.order(POOL, "meanwhile", "cap_w", 170)["status"] == "accepted"
    house.until(lambda: house.ear.told(CAPS)["epoch"] == epoch + 1, 5, "caps of the next epoch")
    house.until(lambda: house.ear.told(f"{ROOT}/plan/current")["steps"][0]["import_limit_kw"] == 780, 20, "a plan by the new limit")
    sent = house.ear.since(began, CAPS)
    assert max(max([caps["cap_w"], *(g["cap_w"] for g in caps["groups"])]) for caps in sent) <= 180
    order = [(caps["epoch"], caps["seq"]) for caps in sent]
    assert order == sorted(order)
    told = house.told()
    at = next(i for i, words in enumerate(told) if words.startswith("RELOADING=1\nMONOTONIC_USEC="))
    assert "READY=1" in told[at:]
    assert house.daemon.poll() is None
    house.clear(POOL, "meanwhile")
    house.clear(POOL, "lasting")


def test_a_file_with_faults_keeps_the_old_one_and_tells_all_of_them(house: Managed) -> None:
    epoch, text = house.ear.told(CAPS)["epoch"], Path(house.site).read_text()
    reload(house, "  import_limit_kw: 780", "  import_limit_kw: many\n  unheard_of: 1", "read again and refused")
    alarm = f"{ROOT}/alarm/reload-refused"
    house.until(lambda: house.ear.told(alarm), 2, "an alarm")
    assert "the text `many`" in house.ear.told(alarm)["cause"]
    assert "unheard_of" in house.ear.told(alarm)["cause"]
    assert house.ear.told(CAPS)["epoch"] == epoch
    Path(house.site).write_text(text)
    house.daemon.send_signal(signal.SIGHUP)
    house.until(lambda: not house.ear.newest.get(alarm), 10, "the end of the alarm")


def test_while_the_journal_cannot_be_written_no_reload_ends_the_daemon_and_none_starts(house: Managed) -> None:
    house.until(lambda: house.mode() == "NORMAL", 20, "a plan")
    alarm, journal = f"{ROOT}/alarm/reload-refused", house.folder / "journal.sqlite"
    with closing(sqlite3.connect(journal, isolation_level=None, timeout=5)) as other:
        other.execute("BEGIN IMMEDIATE")
        house.daemon.send_signal(signal.SIGHUP)
        house.until(lambda: house.ear.told(alarm), 10, "an alarm")
        assert "the journal: cannot be written" in house.ear.told(alarm)["cause"]
        assert "database is locked" in house.ear.told(alarm)["cause"]
        other.execute("ROLLBACK")
    assert house.daemon.poll() is None
    epoch = house.ear.told(CAPS)["epoch"]
    house.daemon.send_signal(signal.SIGHUP)
    house.until(lambda: not house.ear.newest.get(alarm) and house.ear.told(CAPS)["epoch"] > epoch, 15, "the daemon after it")

    locked = house.folder / "locked.sqlite"
    Journal(locked).close()
    with closing(sqlite3.connect(locked, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        run = (sys.executable, "-m", "facility", "run", house.site, "--broker", house.url, "--state", str(locked), "--history", "none")
        told = subprocess.run(run, check=False, capture_output=True, text=True, timeout=60)
    assert told.returncode == 2
    assert "database is locked" in told.stderr
    assert "end what holds it, and start again" in told.stderr


def test_what_was_refused_does_not_come_in_by_way_of_a_death(house: Managed) -> None:
    house.until(lambda: house.mode() == "NORMAL", 20, "a plan")
    file, alarm = Path(house.site), f"{ROOT}/alarm/reload-refused"
    text = file.read_text()
    file.write_text(text.replace("ups-1: {rating_kw: 510,", "ups-1: {rating_kw: 5100,").replace("  import_limit_kw: 780", "  import_limit_kw: 790"))
    house.daemon.send_signal(signal.SIGKILL)
    house.daemon.wait(5)
    house.start_daemon()
    house.until(lambda: house.ear.told(alarm), 40, "an alarm")
    assert "feeders.ups-1.rating_kw" in house.ear.told(alarm)["cause"]
    house.until(lambda: house.mode() == "NORMAL", 20, "a plan")
    assert house.ear.told(f"{ROOT}/plan/current")["steps"][0]["import_limit_kw"] == 780
    file.write_text(text.replace("  import_limit_kw: 780", "  import_limit_kw: 770"))
    house.daemon.send_signal(signal.SIGKILL)
    house.daemon.wait(5)
    house.start_daemon()
    house.until(lambda: house.ear.told(f"{ROOT}/plan/current")["steps"][0]["import_limit_kw"] == 770, 60, "a plan by what is harmless")
    assert not house.ear.newest.get(alarm)


def test_a_loop_that_stands_for_ten_seconds_is_told_once_it_goes_on_and_the_manager_heard_nothing_meanwhile(house: Managed) -> None:
    before, alarm = len(house.told()), f"{ROOT}/alarm/loop-stood"
    with stopped(house.daemon.pid):
        time.sleep(11)
        beats = house.told()[before:].count("WATCHDOG=1")
    house.until(lambda: house.ear.told(alarm), 5, "an alarm")
    assert "stood still for 1" in house.ear.told(alarm)["cause"]
    assert beats <= 2, "what was marked before"
    assert house.order(POOL, "afterwards", "cap_w", 180)["status"] == "accepted"


def test_a_stop_is_told_and_clean(house: Managed) -> None:
    house.daemon.send_signal(signal.SIGTERM)
    assert house.daemon.wait(6) == 0
    assert house.told()[-1] == "STOPPING=1"
    log = len(house.said())
    house.start_daemon()
    house.until(lambda: house.mode() == "NORMAL", 40, "a plan")
    assert "without a word" not in house.said()[log:]
