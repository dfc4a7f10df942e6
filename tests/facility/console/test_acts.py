"""What an operator does at the console: what is sent, what is not, what is written down."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import facility.console.acts as room
from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.bus.messages import OverrideClear, OverrideResult, OverrideSet, decode, encode
from facility.bus.signing import check
from facility.config import load_site
from facility.console.acts import Acts, Outcome, Wish
from facility.console.asking import Asking
from facility.console.post import Post
from facility.console.shift import Line, ShiftLog
from facility.errors import InputError

NOW = datetime(2026, 7, 15, 10, tzinfo=UTC)
SITE = load_site("site_configs/demo.yaml", ())
ROOT = "facility/v1/demo/override"
WISH = Wish("pool/h1/h1-a", "cap_w", 250, 3600, "ann", "busbar warm")


class Around:
    """Acts, the broker they send by, and somebody who answers."""

    def __init__(self, folder: Path, keys: dict[str, bytes] | None = None) -> None:
        self.broker = MemoryBroker()
        self.log = ShiftLog(folder / "shift.sqlite")
        bus, self.daemon = self.broker.connect(), self.broker.connect()
        self.daemon.subscribe("#", 1)
        self.post = Post(SITE, bus, lambda: NOW, keys)
        self.acts, self.asking = Acts(SITE, self.post, self.log), Asking(SITE, self.post)

    def answering(self, status: str | None, do: Callable[[], object]) -> Outcome:
        """What comes of an act where the daemon answers so, or not at all."""
        self.got: list[Message] = []

        def answer() -> None:
            message = self.daemon.receive(2)
            if message is None:
                return
            self.got.append(message)
            kind = OverrideSet if message.topic.endswith("/set") else OverrideClear
            if status is not None:
                result = OverrideResult(id=decode(message.payload, kind).id, status=status, reason="so it is")  # type: ignore[arg-type, type-var]
                self.post.answered("override_result", encode(result))

        thread = threading.Thread(target=answer)
        thread.start()
        outcome: Outcome = asyncio.run(do())  # type: ignore[arg-type]
        thread.join()
        return outcome


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Around]:
    found = Around(tmp_path)
    yield found
    found.log.close()


def test_an_override_is_sent_answered_and_written_down_before_and_after(around: Around) -> None:
    outcome = around.answering("accepted", lambda: around.acts.set(WISH))
    assert (outcome.ok, outcome.status, outcome.words) == (True, "answered", "accepted: so it is")
    (message,) = around.got
    asked = decode(message.payload, OverrideSet)
    assert message.topic == f"{ROOT}/pool/h1/h1-a/set"
    assert not message.retain
    assert (asked.kind, asked.value, asked.ttl_s, asked.by, asked.reason, asked.priority) == ("cap_w", 250, 3600, "ann", "busbar warm", 8)
    after, before = around.log.search()
    assert (before.ref, before.outcome, before.what) == (asked.id, "", "cap 250 W for 60 min, priority 8")
    assert (after.ref, after.outcome, after.by, after.at) == (asked.id, "accepted: so it is", "ann", NOW)


@pytest.mark.parametrize(("status", "ok"), [("clamped", True), ("cleared", True), ("rejected", False), ("expired", False)])
def test_what_the_daemon_answers_is_told_as_it_is(around: Around, status: str, ok: bool) -> None:
    outcome = around.answering(status, lambda: around.acts.clear("site", "o-1", "ann", "over"))
    assert (outcome.ok, outcome.words) == (ok, f"{status}: so it is")


def test_who_does_not_answer_is_said_not_to(around: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "ANSWER_S", 0.1)
    outcome = around.answering(None, lambda: around.acts.set(WISH))
    assert (outcome.ok, outcome.status) == (False, "unanswered")
    assert "it may act or not" in around.log.search()[0].outcome


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish("site", "hold", None, 60, " ", "why"), "nothing is done without a name"),
        (Wish("site", "hold", None, 60, "ann", " "), "nothing is done without a reason"),
        (Wish("site", "cap_w", None, 60, "ann", "why"), "need a value"),
        (Wish("site", "hold", 3, 60, "ann", "why"), "have none"),
        (Wish("no such/thing", "hold", None, 60, "ann", "why"), "use the form"),
    ],
)
def test_what_cannot_be_meant_is_not_sent(around: Around, wish: Wish, words: str) -> None:
    outcome = asyncio.run(around.acts.set(wish))
    assert outcome.status == "not sent"
    assert words in outcome.words
    assert around.daemon.receive(0.05) is None
    assert around.log.search() == []


def test_nothing_is_sent_while_the_broker_is_away_nor_when_it_is_back(around: Around) -> None:
    around.broker.stop()
    outcome = asyncio.run(around.acts.set(WISH))
    assert outcome.status == "not sent"
    around.broker.start()
    assert around.daemon.receive(0.1) is None


def test_what_cannot_be_written_down_is_not_done(around: Around) -> None:
    around.log.close()
    outcome = asyncio.run(around.acts.set(WISH))
    assert outcome.status == "not sent"
    assert "the shift log cannot be written" in outcome.words
    assert around.daemon.receive(0.05) is None


def test_where_signatures_are_asked_for_each_operator_signs_with_the_own_key(tmp_path: Path) -> None:
    keys = {"ann": bytes(range(32))}
    around = Around(tmp_path, keys)
    around.answering("accepted", lambda: around.acts.set(WISH))
    (message,) = around.got
    check(keys, message.topic, message.payload, decode(message.payload, OverrideSet), NOW)
    other = asyncio.run(around.acts.set(Wish("site", "hold", None, 60, "bob", "why")))
    assert other.words == "bob has no key to sign with"


def test_lines_of_the_shift_log_are_found_and_never_changed(tmp_path: Path) -> None:
    file = tmp_path / "shift.sqlite"
    log = ShiftLog(file)
    for i in range(3):
        log.add(Line(NOW, str(i), "ann", f"cap {i}00 W", "pool/h1/h1-a", "50 % is enough"))
    log.add(Line(NOW, "9", "bob", "hold jobs", "site", "grid"))
    assert [line.what for line in log.search("ann 50 %")] == ["cap 200 W", "cap 100 W", "cap 000 W"]
    assert [line.by for line in log.search("hold")] == ["bob"]
    assert log.search("h1_a") == []  # no sign stands for any
    log.close()
    with sqlite3.connect(file) as db:
        for statement in ("UPDATE line SET by = 'eve'", "DELETE FROM line"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                db.execute(statement)
    again = ShiftLog(file)
    assert len(again.search()) == 4
    again.close()


def test_a_shift_log_that_cannot_be_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        ShiftLog(tmp_path / "no" / "folder.sqlite")
