"""A spare beside a daemon, all of them real processes: what it does when the other dies, hangs or is let be."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from facility.commands.status import run_status
from facility.journal.journal import Journal
from facility.journal.lock import Lock, StoreBusyError, end_writer
from facility.process.spare import HUNG_S
from tests.processes import CAPS, POOL, ROOT, SITE, House, needs_mosquitto, until

pytestmark = needs_mosquitto


class Spared(House):
    """A house with a spare; `statuses_of` tells what each instance says of itself."""

    def spare(self) -> subprocess.Popen[bytes]:
        self.began = time.monotonic()
        made = self.another("spare", "--standby")
        self.until(lambda: self.beats("standby"), 40, "a spare")
        return made

    def beats(self, *modes: str) -> list[dict[str, Any]]:
        """The newest status of each instance in one of these modes that was told in the last 2.5 s."""
        newest = {m.topic: m.payload for at, m in list(self.ear.heard) if at > time.monotonic() - 2.5 and "/svc/" in m.topic}
        return [told for payload in newest.values() if (told := json.loads(payload))["mode"] in modes]

    def caps_epoch(self) -> int:
        return int(self.ear.told(CAPS)["epoch"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spared]:
    with ExitStack() as stack:
        yield Spared(tmp_path_factory.mktemp("spared"), stack, settings=("control.cycle_s=60",))


def takes_over(house: Spared, within_s: float, since: float, epoch: int, log: Callable[[], str]) -> float:
    """Wait for caps of the next epoch; how long they took."""
    house.until(lambda: house.caps_epoch() > epoch, within_s, f"caps of the next epoch; the spare said: {log()[-2000:]}")
    took_s = time.monotonic() - since
    assert house.caps_epoch() == epoch + 1
    return took_s


def test_a_spare_waits_and_takes_over_within_five_seconds_of_a_death_with_the_plan_that_holds(
    house: Spared, capsys: pytest.CaptureFixture[str]
) -> None:
    spare = house.spare()
    assert house.order(POOL, "lasting", "cap_w", 180)["status"] == "accepted"
    run_status(SITE, (), house.url, as_json=False)
    told = capsys.readouterr().out
    assert "waits to take over" in told
    assert "stop one of the two" not in told
    assert house.ear.told(f"{ROOT}/alarm/two-daemons") is None
    epoch, plan = house.caps_epoch(), house.ear.told(CAPS)["plan_id"]
    died = time.monotonic()
    house.daemon.kill()
    took_s = takes_over(house, 6, died, epoch, (house.folder / "spare.log").read_text)
    assert took_s <= 5
    first = next(caps for caps in house.ear.since(died, CAPS) if caps["epoch"] == epoch + 1)
    assert first["reason"] or plan
    assert max([first["cap_w"], *(group["cap_w"] for group in first["groups"])]) <= 180, "an override outlives who took it"
    house.until(lambda: house.beats("NORMAL"), 8, "a plan")
    house.daemon.wait(5)
    house.daemon = spare
    house.clear(POOL, "lasting")
    assert "without a word" in house.ear.told(f"{ROOT}/alarm/ended-without-a-word")["cause"]
    with Journal(house.folder / "journal.sqlite", read_only=True) as journal:
        assert [e.action for e in journal.account(house.now().replace(year=2000)) if e.sort == "service"][-2:] == ["took over", "started"]


def test_a_writer_that_hangs_is_ended_before_the_spare_writes_and_never_comes_back(house: Spared) -> None:
    spare = house.spare()
    epoch, stood = house.caps_epoch(), time.monotonic()
    house.daemon.send_signal(signal.SIGSTOP)
    try:
        time.sleep(max(HUNG_S - 1 - (time.monotonic() - stood), 0))
        assert house.caps_epoch() == epoch, "the lock is held, and it is too early to call it dead"
        takes_over(house, 8, stood, epoch, (house.folder / "spare.log").read_text)
    finally:
        house.daemon.send_signal(signal.SIGCONT)
    assert house.daemon.wait(5) == -signal.SIGKILL
    back = time.monotonic()
    time.sleep(1)
    assert {caps["epoch"] for caps in house.ear.since(back, CAPS)} <= {epoch + 1}
    assert "hung, and was killed" in (house.folder / "spare.log").read_text()
    house.until(lambda: len(house.beats("NORMAL", "HOLD", "SAFE")) == 1, 4, "one daemon")
    house.daemon = spare


def test_a_spare_that_hears_no_broker_leaves_a_writer_alone(house: Spared) -> None:
    spare = house.spare()
    epoch = house.caps_epoch()
    house.broker.stop()
    time.sleep(HUNG_S + 2)
    house.broker.start()
    house.until(lambda: house.beats("NORMAL"), 8, "a plan")
    assert (house.caps_epoch(), house.daemon.poll()) == (epoch, None)
    spare.send_signal(signal.SIGTERM)
    assert spare.wait(5) == 0


def stand_still(process: subprocess.Popen[bytes], *files: Path) -> None:
    """Stop a process between two of its writes: what it holds of a file amid one it would hold as long as it stands."""
    for _ in range(50):
        process.send_signal(signal.SIGSTOP)
        try:
            for file in files:
                with closing(sqlite3.connect(file, timeout=0.2, isolation_level=None)) as db:
                    db.execute("BEGIN IMMEDIATE")
                    db.execute("ROLLBACK")
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            time.sleep(0.05)
        else:
            return
    pytest.fail("it writes all the time")


def test_a_daemon_whose_lock_was_taken_ends_and_says_nothing_more(house: Spared) -> None:
    epoch, old = house.caps_epoch(), house.daemon
    stand_still(old, house.folder / "journal.sqlite", house.folder / "demo.history.sqlite")
    (house.folder / "journal.sqlite.lock").unlink()
    (house.folder / "demo.history.sqlite.lock").unlink()
    house.start_daemon()
    house.until(lambda: house.caps_epoch() > epoch, 40, "caps of the next epoch")
    back = time.monotonic()
    old.send_signal(signal.SIGCONT)
    assert old.wait(3) == 3
    assert {caps["epoch"] for caps in house.ear.since(back, CAPS)} <= {epoch + 1}
    house.until(lambda: house.mode() == "NORMAL", 8, "a plan")


def test_a_lock_is_ours_until_another_process_makes_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    lock = Lock(path)
    assert lock.ours()
    Path(f"{path}.lock").unlink()
    assert lock.ours(), "nobody else had it, so it is taken again"
    with pytest.raises(StoreBusyError, match=f"process {os.getpid()} writes"):
        Lock(path)
    Path(f"{path}.lock").unlink()
    other = Lock(path)
    assert not lock.ours()
    assert other.ours()
    other.close()
    assert lock.ours()
    lock.close()


def test_only_the_process_that_has_the_lock_open_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        assert end_writer(path) is None, "nobody writes"
        Path(f"{path}.lock").write_text(f"{bystander.pid}\n")
        assert end_writer(path) is None, "an id that another process has by now"
        Path(f"{path}.lock").write_text("4194999\n")
        assert end_writer(path) is None, "an id that no process has"
        assert bystander.poll() is None
        writer = subprocess.Popen(["sh", "-c", f"exec 9<{path}.lock; echo $$ > {path}.lock; exec sleep 60"])
        assert until(lambda: end_writer(path) == writer.pid, 3)
        assert writer.wait(3) == -signal.SIGKILL
    finally:
        bystander.kill()
        bystander.wait()
