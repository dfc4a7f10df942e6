"""The watchdog: what it sees, by a clock that the test moves; and how a process ends, with real ones."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from facility.clock import VirtualClock
from facility.daemon.telling.passing import DIED, DIED_FOR_S, STOOD, STOOD_FOR_S
from facility.daemon.watchdog import DEAD_S, END_S, LOOK_S, SLOW_S, Watchdog
from tests.facility.test_daemon import SITE, House

NOW = datetime(2026, 7, 1, tzinfo=UTC)


class Watched:
    """A watchdog by a virtual clock, and what it did."""

    def __init__(self) -> None:
        self.clock = VirtualClock(NOW)
        self.beats = self.dumps = 0
        self.ended: list[int] = []
        self.dog = Watchdog(self.clock.elapsed_s, self.beat, stacks=self.dump, end=self.ended.append)

    def beat(self) -> None:
        self.beats += 1

    def dump(self) -> None:
        self.dumps += 1

    def pass_by(self, seconds: float, *, marked: bool = False) -> None:
        for _ in range(round(seconds / LOOK_S)):
            self.clock.advance(LOOK_S)
            if marked:
                self.dog.mark()
            self.dog.look()


def test_while_the_loop_goes_on_the_manager_is_told_every_second_and_nothing_else_happens() -> None:
    watched = Watched()
    watched.pass_by(60, marked=True)
    assert watched.beats == 60
    assert (watched.dumps, watched.ended) == (0, [])
    assert watched.dog.mark() == 0


def test_two_seconds_of_silence_show_where_all_threads_are_once() -> None:
    watched = Watched()
    watched.pass_by(SLOW_S - LOOK_S)
    assert (watched.dumps, watched.dog.stands) == (0, False)
    watched.pass_by(5)
    assert (watched.dumps, watched.dog.stands) == (1, True)
    assert watched.dog.mark() == 0, "short enough to be no alarm"
    watched.pass_by(5)
    assert watched.dumps == 2, "the next time is shown again"


def test_a_loop_that_stood_for_ten_seconds_says_so_and_nobody_claimed_meanwhile_that_it_lived() -> None:
    watched = Watched()
    watched.pass_by(1, marked=True)
    watched.pass_by(DEAD_S + 1)
    assert watched.beats == 1
    assert watched.dog.mark() == pytest.approx(DEAD_S + 1, abs=2 * LOOK_S)
    assert watched.ended == []
    watched.pass_by(2, marked=True)
    assert watched.beats == 3


def test_a_loop_that_does_not_come_back_ends_the_process() -> None:
    watched = Watched()
    watched.pass_by(END_S)
    assert watched.ended == [3]


def test_a_machine_that_was_halted_holds_nothing_against_the_loop() -> None:
    watched = Watched()
    watched.clock.advance(3600)
    watched.dog.look()
    assert (watched.dumps, watched.ended) == (0, [])


HANGS = """
import logging, os, re, sys, time
from facility.daemon import watchdog
watchdog.SLOW_S, watchdog.END_S = 0.3, 1.0
dog = watchdog.Watchdog(time.monotonic)
dog.start()
dog.mark()
{hang}
"""


@pytest.mark.parametrize(
    ("hang", "code"),
    [
        ("time.sleep(30)", 3),
        ("logging.basicConfig(); logging.getLogger().handlers[0].acquire(); time.sleep(30)", 3),
        ("re.match('(a+)+b', 'a' * 60)", -signal.SIGPROF),
    ],
    ids=["others run", "in the log", "nobody else runs"],
)
def test_a_process_that_hangs_shows_where_and_is_ended(hang: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", HANGS.format(hang=hang)], capture_output=True, text=True, timeout=25, check=False)
    assert done.returncode == code
    assert "most recent call first" in done.stderr
    assert "line 8 in <module>" in done.stderr


def test_a_process_that_stands_before_a_standard_error_that_nobody_reads_is_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", HANGS.format(hang="os.write(2, bytes(10**7))")], stderr=subprocess.PIPE) as process:
        assert process.wait(25) == 3


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite")
    made.clock = VirtualClock(NOW)
    made.kill()
    made.open()
    yield made
    made.kill()


def test_an_alarm_tells_of_it_until_the_loop_has_gone_on_for_a_minute(house: House) -> None:
    house.daemon.stood_still(11.4)
    alarm = house.retained(f"alarm/{STOOD}")
    assert alarm is not None
    assert "stood still for 11 s" in alarm["cause"]
    house.clock.advance(STOOD_FOR_S - 1)
    house.settle()
    assert house.retained(f"alarm/{STOOD}") is not None
    house.clock.advance(1)
    house.settle()
    assert house.retained(f"alarm/{STOOD}") is None


def test_a_process_that_follows_a_death_says_so_for_ten_minutes(house: House) -> None:
    house.daemon.follows_a_death()
    house.clock.advance(DIED_FOR_S - 1)
    house.settle()
    alarm = house.retained(f"alarm/{DIED}")
    assert alarm is not None
    assert "without a word" in alarm["cause"]
    house.clock.advance(1)
    house.settle()
    assert house.retained(f"alarm/{DIED}") is None


def test_a_planner_that_does_not_come_back_ends_its_cycle_as_held_and_comes_too_late(house: House) -> None:
    house.daemon.cycle()
    assert house.mode() == "NORMAL"
    plan, found = house.retained("plan/current"), {}

    def never(asked: object) -> object:
        house.clock.advance(SITE.control.cycle_s)
        house.settle()
        found["meanwhile"] = house.mode()
        house.clock.advance(1)
        house.settle()
        found["then"] = house.daemon.outcome
        return real(asked)

    real, house.daemon._planner = house.daemon._planner, never
    assert house.daemon.cycle() == found["then"]
    assert found["meanwhile"] == "NORMAL"
    assert (found["then"].mode, found["then"].outcome) == ("HOLD", "held")
    assert "planning has not ended within 300 s" in found["then"].reason
    assert plan is not None
    assert house.journal.cycles()[0].outcome == "held"
    assert len(house.journal.cycles()) == 2, "what came too late is no cycle"
    house.daemon._planner = real
    assert house.daemon.cycle().mode == "NORMAL"
