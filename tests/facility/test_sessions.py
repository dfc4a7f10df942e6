"""Two who connect with the same client id do not throw each other out for ever."""

from __future__ import annotations

import random
from pathlib import Path

from facility.bus.sessions import FLAPS, LONGEST_S, SHORT_S, TAKEN_OVER, Sessions
from facility.daemon.neighbours import rivals
from tests.facility.test_daemon import House


def flap(sessions: Sessions, times: int, lasts_s: float = 1.0) -> list[float]:
    """Connect and be thrown out, so many times; the waits in between."""
    waits, now_s = [], 0.0
    for _ in range(times):
        sessions.begins(now_s)
        sessions.ends(now_s + lasts_s)
        waits.append(sessions.wait_s())
        now_s += lasts_s + waits[-1]
    return waits


def test_sessions_that_last_are_an_outage_and_no_more() -> None:
    sessions = Sessions("a")
    assert flap(sessions, 20, SHORT_S) == [1.0] * 20
    assert (sessions.taken_over, sessions.client_id) == (0, "a")


def test_a_broker_that_cannot_be_reached_is_tried_every_two_seconds() -> None:
    sessions = Sessions("a")
    sessions.begins(0.0)
    sessions.ends(100.0)
    assert [sessions.wait_s() for _ in range(4)] == [1.0, 2.0, 2.0, 2.0]


def test_who_is_thrown_out_again_and_again_takes_another_id_and_waits_longer_each_time() -> None:
    sessions = Sessions("a", random.Random(1))
    assert flap(sessions, FLAPS - 1) == [1.0, 1.0]
    assert sessions.client_id == "a"
    waits = flap(sessions, 10)
    assert (sessions.taken_over, sessions.client_id) == (10, "a-11")
    assert all(0.5 * most <= wait <= most for wait, most in zip(waits[1:], (4, 8, 16, 32, *[LONGEST_S] * 5), strict=True))
    assert len(set(waits)) > 5, "a jitter of its own each time"
    sessions.begins(1000.0)
    sessions.ends(1000.0 + SHORT_S)
    assert sessions.wait_s() == 1.0


def test_what_the_broker_says_counts_the_first_time_and_what_we_gave_up_ourselves_never() -> None:
    sessions = Sessions("a")
    sessions.begins(0.0)
    assert sessions.ends(100.0, TAKEN_OVER)
    assert sessions.client_id == "a-2"
    for _ in range(2 * FLAPS):
        sessions.begins(200.0)
        assert not sessions.ends(201.0, ours=True)
    assert sessions.client_id == "a-2"


def test_a_session_that_is_taken_over_is_an_alarm_for_a_while(tmp_path: Path) -> None:
    house = House(tmp_path / "journal.sqlite")
    house.bus.taken_over = 1
    house.settle()
    alarm = house.retained(f"alarm/{rivals.TAKEN_OVER}")
    assert alarm is not None
    assert "our client id" in alarm["cause"]
    house.clock.advance(599)
    house.settle()
    assert house.retained(f"alarm/{rivals.TAKEN_OVER}") is not None
    house.clock.advance(1)
    house.settle()
    assert house.retained(f"alarm/{rivals.TAKEN_OVER}") is None
    house.kill()
