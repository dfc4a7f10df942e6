"""How soon a command acts: measured from when it came, until its orders went out, and until the agent reported them."""

from __future__ import annotations

from facility.daemon.answering.effects import LONGEST_S
from tests.facility.metrics.conftest import Watched


def report(house: Watched, cap_w: int | None = None) -> None:
    """The agent of pool p reports what it was sent last, or a higher cap."""
    told = house.retained("cap/h/p/desired")
    assert told is not None
    kept = {key: told[key] for key in ("epoch", "seq", "groups")}
    at = {"timestamp": int(house.clock.now().timestamp() * 1000)}
    house.say("cap/h/p/reported", kept | at | {"enforced_cap_w": cap_w or max(house.caps().values())})


def test_a_command_has_its_effect_when_its_orders_are_sent_and_again_when_they_are_reported(busy: Watched) -> None:
    report(busy)
    tally = busy.daemon.tally
    busy.order("pool/h/p", "cap_w", 150)
    assert (tally.sent_after.told.at_most[-1], tally.enforced_after.told.at_most[-1]) == (1, 0)
    busy.clock.advance(3.0)
    report(busy)
    assert tally.enforced_after.told.at_most[-1] == 1
    assert tally.enforced_after.told.sum_s == 3.0
    report(busy)
    assert tally.enforced_after.told.at_most[-1] == 1


def test_an_agent_that_reports_more_than_it_was_sent_has_not_obeyed(busy: Watched) -> None:
    report(busy)
    busy.order("pool/h/p", "cap_w", 150)
    report(busy, 400)
    assert busy.daemon.tally.enforced_after.told.at_most[-1] == 0


def test_what_came_while_the_loop_was_busy_counts_from_when_it_listened_last(busy: Watched) -> None:
    busy.clock.advance(4.0)  # busy
    busy.order("pool/h/p", "cap_w", 150)
    assert busy.daemon.tally.sent_after.told.sum_s == 4.0


def test_what_changes_no_cap_is_not_waited_for_and_what_is_never_reported_is_forgotten(busy: Watched) -> None:
    report(busy)
    assert busy.order("site", "import_limit_kw", 3.9)["status"] == "accepted"
    assert not busy.daemon.rooms.effects._owed
    busy.order("pool/h/p", "cap_w", 150)
    assert len(busy.daemon.rooms.effects._owed) == 1
    busy.clock.advance(LONGEST_S + 1)
    report(busy, 400)
    assert not busy.daemon.rooms.effects._owed
    assert busy.daemon.tally.enforced_after.told.at_most[-1] == 0


def test_a_refused_command_has_no_effect(busy: Watched) -> None:
    assert busy.order("pool/h/p", "cap_w", 150, by="")["status"] == "rejected"
    assert busy.daemon.tally.sent_after.told.at_most[-1] == 0
