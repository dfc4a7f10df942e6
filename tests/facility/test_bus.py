"""The bus inside one process: what waits, what overtakes, what is forgotten."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from facility.bus import queues
from facility.bus.interface import Message, check_pattern, check_topic, matches
from facility.bus.memory import MemoryBroker, MemoryBus
from facility.bus.queues import Inbox, Outbox

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def drain(bus: MemoryBus) -> list[Message]:
    found = []
    while (message := bus.receive(0)) is not None:
        found.append(message)
    return found


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/b", "a/b/c", False),
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/d/c", False),
        ("a/+", "a", False),
        ("+/+", "/a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("#", "$SYS/a", False),
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/a", True),
    ],
)
def test_patterns_match_as_mqtt_says(pattern: str, topic: str, expected: bool) -> None:
    assert matches(pattern, topic) is expected


def test_bad_topics_and_patterns_are_refused_at_once() -> None:
    bus = MemoryBroker().connect()
    for topic in ("", "a/+", "a/#", "a\0b", "x" * 65_536):
        with pytest.raises(ValueError, match="publish"):
            check_topic(topic)
    for pattern in ("", "a/#/b", "a/b#", "a+/b", "a\0"):
        with pytest.raises(ValueError, match="subscribe"):
            check_pattern(pattern)
    with pytest.raises(ValueError, match="publish"):
        bus.publish(Message("a/+", b""))
    with pytest.raises(ValueError, match="subscribe"):
        bus.subscribe("#/a")


def test_a_message_reaches_everyone_who_asked_once_and_its_sender_too() -> None:
    broker = MemoryBroker()
    sender, reader = broker.connect(), broker.connect()
    for bus in (sender, reader):
        bus.subscribe("a/#", qos=1)
        bus.subscribe("a/+", qos=0)
    assert sender.publish(Message("a/b", b"1", qos=1, response_topic="r", correlation=b"c"))
    assert drain(sender) == drain(reader) == [Message("a/b", b"1", qos=1, response_topic="r", correlation=b"c")]
    assert reader.receive(0) is None


def test_a_retained_message_comes_on_subscribing_and_is_live_for_who_was_there() -> None:
    broker = MemoryBroker()
    early, late = broker.connect(), broker.connect()
    early.subscribe("cap/#", qos=1)
    early.publish(Message("cap/a", b"1", qos=1, retain=True))
    early.publish(Message("cap/b", b"2", qos=1, retain=True))
    early.publish(Message("cap/b", b"", qos=1, retain=True))
    late.subscribe("cap/#", qos=1)
    assert [message.retain for message in drain(early)] == [False, False, False]
    assert drain(late) == [Message("cap/a", b"1", qos=1, retain=True)]
    assert broker.retained == {"cap/a": b"1"}


def test_after_an_outage_only_the_newest_of_each_topic_is_sent_and_nothing_expired() -> None:
    now = [NOON]
    broker = MemoryBroker(now=lambda: now[0])
    sender, reader = broker.connect(), broker.connect()
    reader.subscribe("#", qos=1)
    broker.stop()
    assert not sender.connected
    assert not sender.publish(Message("tele/a", b"5"))
    for value in (b"1", b"2", b"3"):
        assert sender.publish(Message("cap/a", value, qos=1))
    assert sender.publish(Message("cap/b", b"old", qos=1, valid_until=NOON + timedelta(minutes=15)))
    now[0] = NOON + timedelta(minutes=15)
    broker.start()
    assert drain(reader) == [Message("cap/a", b"3", qos=1)]
    assert (sender.connections, reader.connections) == (2, 2)
    assert not sender.publish(Message("cap/b", b"old", qos=1, valid_until=NOON))


def test_a_broker_that_forgot_is_asked_again_and_tells_by_its_connections() -> None:
    broker = MemoryBroker()
    bus = broker.connect()
    bus.subscribe("cap/#", qos=1)
    bus.publish(Message("cap/a", b"1", qos=1, retain=True))
    drain(bus)
    broker.stop(forget=True)
    broker.start()
    assert (bus.connections, broker.retained) == (2, {})
    broker.connect().publish(Message("cap/a", b"2"))
    assert [message.payload for message in drain(bus)] == [b"2"]


def test_the_will_is_published_for_the_killed_and_not_for_the_closed() -> None:
    broker = MemoryBroker()
    watcher = broker.connect()
    watcher.subscribe("svc/#", qos=1)
    will = Message("svc/a/status", b"offline", qos=1, retain=True)
    closed = broker.connect(will)
    closed.close()
    assert drain(watcher) == []
    assert not closed.publish(Message("a", b"1", qos=1))
    broker.connect(will).vanish()
    assert drain(watcher) == [Message("svc/a/status", b"offline", qos=1)]


def test_a_command_overtakes_a_flood_of_telemetry_and_the_oldest_telemetry_is_lost() -> None:
    inbox = Inbox(size=3)
    for number in range(5):
        inbox.put(Message("tele", b"%d" % number))
    inbox.put(Message("override", b"stop", qos=1))
    order = [message.payload for message in iter(lambda: inbox.get(0), None)]
    assert order == [b"stop", b"2", b"3", b"4"]
    assert inbox.dropped == 2


def test_of_too_many_commands_the_newest_is_refused() -> None:
    inbox = Inbox(size=2)
    for number in range(3):
        inbox.put(Message("override", b"%d" % number, qos=1))
    assert [message.payload for message in iter(lambda: inbox.get(0), None)] == [b"0", b"1"]
    assert inbox.dropped == 1


def test_the_inbox_is_bounded_in_bytes_too_and_frees_what_is_taken() -> None:
    inbox = Inbox(size=100, max_bytes=10)
    for _ in range(4):
        inbox.put(Message("tele", b"1234"))
    inbox.put(Message("override", b"12", qos=1))
    assert inbox.dropped == 2
    assert len(list(iter(lambda: inbox.get(0), None))) == 3
    inbox.put(Message("tele", b"1234567890"))
    assert inbox.dropped == 2


def test_who_waits_is_woken_by_a_message() -> None:
    inbox = Inbox()
    threading.Timer(0.02, inbox.put, [Message("a", b"1")]).start()
    assert inbox.get(5) == Message("a", b"1")
    assert inbox.get(0.01) is None


def test_the_outbox_is_bounded_and_keeps_the_order_of_the_newest() -> None:
    outbox = Outbox(size=2)
    kept = [outbox.keep(Message(topic, topic.encode(), qos=1)) for topic in ("a", "b", "c", "a")]
    assert kept == [True, True, False, True]
    assert [message.topic for message in outbox.take(NOON)] == ["b", "a"]
    assert outbox.take(NOON) == ()


def test_what_is_put_back_is_older_than_all_that_is_kept_also_where_that_has_expired() -> None:
    outbox = Outbox()
    soon = NOON + timedelta(seconds=1)
    for topic, end in (("a", None), ("b", soon)):
        outbox.keep(Message(topic, b"newer", qos=1, valid_until=end))
    outbox.put_back([Message(topic, b"older", qos=1) for topic in ("c", "b", "a")])
    assert [(message.topic, message.payload) for message in outbox.take(soon)] == [("c", b"older"), ("a", b"newer")]


def test_what_came_is_drained_at_once_commands_first() -> None:
    inbox = Inbox()
    for number in range(5):
        inbox.put(Message("tele", b"%d" % number))
    inbox.put(Message("override", b"stop", qos=1))
    assert [message.payload for message in inbox.drain(0.0, 4)] == [b"stop", b"0", b"1", b"2"]
    assert [message.payload for message in inbox.drain(0.0, 4)] == [b"3", b"4"]
    assert inbox.drain(0.0, 4) == []


def test_telemetry_waits_for_more_of_it_and_a_command_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "LINGER_S", 5.0)
    inbox = Inbox()
    inbox.put(Message("tele", b"0"))
    later = threading.Timer(0.1, lambda: inbox.put(Message("override", b"stop", qos=1)))
    later.start()
    began = time.monotonic()
    assert [message.payload for message in inbox.drain(10.0, 100)] == [b"stop", b"0"]
    assert 0.05 < time.monotonic() - began < 2
    for number in range(3):
        threading.Timer(0.05 * number, lambda: inbox.put(Message("tele", b"1"))).start()
    assert len(inbox.drain(10.0, 3)) == 3
    assert time.monotonic() - began < 4


def test_every_message_that_comes_amid_draining_is_drained() -> None:
    inbox, most = Inbox(), 20_000
    sender = threading.Thread(target=lambda: [inbox.put(Message("tele", b"%d" % n)) for n in range(most)])
    sender.start()
    found: list[bytes] = []
    while len(found) < most and (some := inbox.drain(2.0, 200)):
        found += [message.payload for message in some]
    assert found == [b"%d" % n for n in range(most)]
