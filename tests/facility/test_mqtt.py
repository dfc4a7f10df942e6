"""The bus over a real broker: outages, half-open links, killed clients, hostile bytes."""

from __future__ import annotations

import logging
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import MQTTErrorCode

from facility.bus.interface import MAX_PAYLOAD_BYTES, Message, utc_now
from facility.bus.messages import Rejected, Sample, decode
from facility.bus.mqtt import MAX_PACKET_BYTES, READ_BYTES, MqttBus, parse_broker_url
from facility.errors import InputError
from tests.bench import flood
from tests.faults.proxy import Proxy
from tests.processes import Mosquitto, free_port, needs_mosquitto, until

pytestmark = needs_mosquitto
Version = Literal["3.1.1", "5"]
VERSIONS: tuple[Version, ...] = ("3.1.1", "5")

CHILD = """
import sys, time
from facility.bus.interface import Message
from facility.bus.mqtt import MqttBus
will = Message("svc/child/status", b"offline", qos=1, retain=True)
bus = MqttBus(sys.argv[1], "child", will=will, version=sys.argv[2])
assert bus.wait_connected(10)
bus.publish(Message("svc/child/status", b"NORMAL", qos=1, retain=True))
time.sleep(60)
"""


class Room:
    """Opens buses, and closes them when the test is over."""

    def __init__(self, broker: Mosquitto, stack: ExitStack) -> None:
        self.broker, self.stack = broker, stack

    def open(self, name: str, version: Version = "3.1.1", *, url: str = "", **options: Any) -> MqttBus:
        bus = self.stack.enter_context(closing(MqttBus(url or self.broker.url, name, version=version, **options)))
        assert bus.wait_connected(10)
        return bus

    def reader(self, *patterns: str, version: Version = "3.1.1") -> MqttBus:
        """Open a bus that is known to be subscribed: the broker answers in order, so its own message proves it."""
        bus = self.open("reader", version)
        for pattern in (*patterns, "ready"):
            bus.subscribe(pattern, qos=1)
        bus.publish(Message("ready", b"", qos=1))
        while (message := bus.receive(5)) is not None and message.topic != "ready":
            pass
        assert message is not None
        return bus


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


@pytest.fixture
def room(shared: Mosquitto) -> Iterator[Room]:
    with ExitStack() as stack:
        yield Room(shared, stack)


@pytest.fixture
def own_room(tmp_path: Path) -> Iterator[Room]:
    broker = Mosquitto(tmp_path)
    with ExitStack() as stack:
        yield Room(broker, stack)
    broker.stop()


def payloads(bus: MqttBus, *, wait_s: float = 0.3) -> list[bytes]:
    return [message.payload for message in iter(lambda: bus.receive(wait_s), None)]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_published_is_received_as_it_was(room: Room, version: Version) -> None:
    reader, writer = room.reader("a/#", version=version), room.open("writer", version)
    assert writer.publish(Message("a/b", b"\x00\xff", qos=1))
    assert reader.receive(5) == Message("a/b", b"\x00\xff", qos=1)
    assert writer.publish(Message("a/c", b"2"))
    assert reader.receive(5) == Message("a/c", b"2")
    assert (reader.connected, reader.connections, reader.dropped) == (True, 1, 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_retained_message_comes_marked_on_subscribing_and_unmarked_live(room: Room, version: Version) -> None:
    topic = f"kept/{version}"
    first = room.reader(topic, version=version)
    first.publish(Message(topic, b"1", qos=1, retain=True))
    assert first.receive(5) == Message(topic, b"1", qos=1)
    late = room.open("late", version)
    late.subscribe(topic, qos=1)
    assert late.receive(5) == Message(topic, b"1", qos=1, retain=True)


def test_mqtt_5_carries_where_to_answer_and_3_1_1_does_not(room: Room) -> None:
    reader, old = room.reader("ask", version="5"), room.open("old")
    room.open("asker", "5").publish(Message("ask", b"?", qos=1, response_topic="answers/7", correlation=b"\x01"))
    assert reader.receive(5) == Message("ask", b"?", qos=1, response_topic="answers/7", correlation=b"\x01")
    assert old.publish(Message("ask", b"?", qos=1, response_topic="answers/7"))
    assert reader.receive(5) == Message("ask", b"?", qos=1)


def test_nothing_expired_is_sent_and_mqtt_5_lets_the_broker_forget_it(room: Room) -> None:
    writer = room.open("writer", "5")
    assert not writer.publish(Message("expiry/a", b"1", qos=1, retain=True, valid_until=utc_now()))
    assert writer.publish(Message("expiry/b", b"1", qos=1, retain=True, valid_until=utc_now() + timedelta(seconds=1.5)))
    assert payloads(room.reader()) == []
    time.sleep(2.2)
    late = room.open("late")
    late.subscribe("expiry/#", qos=1)
    assert payloads(late) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_broker_tells_the_will_of_a_killed_process(room: Room, version: Version) -> None:
    reader = room.reader("svc/#", version=version)
    with subprocess.Popen([sys.executable, "-c", CHILD, room.broker.url, version], cwd=Path(__file__).parents[2]) as child:
        try:
            while (message := reader.receive(10)) is not None and message.payload != b"NORMAL":
                pass
            assert message is not None
            child.send_signal(signal.SIGKILL)
            assert reader.receive(5) == Message("svc/child/status", b"offline", qos=1)
        finally:
            child.kill()


def test_a_clean_close_sends_what_was_published_and_no_will(room: Room) -> None:
    reader = room.reader("bye/#")
    leaver = room.open("leaver", will=Message("bye/will", b"offline", qos=1))
    for number in range(200):
        leaver.publish(Message("bye/last", b"%d" % number, qos=1))
    leaver.close()
    assert payloads(reader) == [b"%d" % number for number in range(200)]
    assert not leaver.publish(Message("bye/last", b"late", qos=1))
    assert not leaver.connected


@pytest.mark.parametrize("version", VERSIONS)
def test_after_a_restart_of_the_broker_everything_is_asked_for_again(own_room: Room, version: Version) -> None:
    reader, writer = own_room.reader("a/#", version=version), own_room.open("writer", version)
    own_room.broker.stop()
    assert until(lambda: not reader.connected and not writer.connected)
    own_room.broker.start()
    assert until(lambda: reader.connections == writer.connections == 2)
    assert until(lambda: writer.publish(Message("a/b", b"again", qos=1)) and b"again" in payloads(reader))


def test_after_an_outage_only_the_newest_of_each_topic_is_sent(room: Room) -> None:
    reader = room.reader("out/#")
    with closing(Proxy(room.broker.port)) as link:
        writer = room.open("writer", url=link.url)
        link.cut()
        assert until(lambda: not writer.connected)
        assert not writer.publish(Message("out/tele", b"old"))
        for value in (b"1", b"2", b"3"):
            assert writer.publish(Message("out/cap", value, qos=1))
        soon = utc_now() + timedelta(milliseconds=100)
        assert writer.publish(Message("out/expires", b"x", qos=1, valid_until=soon))
        assert until(lambda: utc_now() > soon)
        link.mend()
        assert until(lambda: writer.connections == 2)
        assert payloads(reader) == [b"3"]


@pytest.mark.parametrize("version", VERSIONS)
def test_of_what_went_into_a_dead_wire_only_the_newest_is_sent_again(room: Room, version: Version) -> None:
    reader = room.reader("dead/#", version=version)
    with closing(Proxy(room.broker.port)) as link:
        writer = room.open("writer", version, url=link.url)
        link.up.hold()
        for number in range(50):
            assert writer.publish(Message(f"dead/{number % 2}", b"%d" % number, qos=1))
        assert writer.connected
        link.cut()
        assert until(lambda: not writer.connected)
        assert writer.publish(Message("dead/1", b"newest", qos=1))
        link.mend()
        assert until(lambda: writer.connections == 2)
        assert payloads(reader) == [b"48", b"newest"]
        for number in range(50):
            writer.publish(Message("dead/2", b"%d" % number, qos=1))
        assert len(payloads(reader)) == 50


def test_what_is_on_its_way_is_bounded(room: Room) -> None:
    with closing(Proxy(room.broker.port)) as link:
        writer = room.open("writer", url=link.url, queue_size=10)
        link.up.hold()
        sent = [writer.publish(Message("full/a", b"x", qos=1)) for _ in range(30)]
        assert sent == [True] * 10 + [False] * 20
        link.cut()
        link.mend()
        assert until(lambda: writer.connections == 2)
        link.up.hold()
        sent = [writer.publish(Message("full/b", bytes(60_000))) for _ in range(1000)]
        assert not sent[-1]
        link.cut()


def test_an_exception_does_not_end_the_network_thread(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = room.reader("boom/#"), room.open("writer")
    original = paho.Client._handle_publish

    def explode(client: paho.Client) -> MQTTErrorCode:
        if b"explode" in client._in_packet["packet"]:
            raise RuntimeError("nobody foresaw this")
        return original(client)

    monkeypatch.setattr(paho.Client, "_handle_publish", explode)
    with caplog.at_level(logging.CRITICAL):
        writer.publish(Message("boom/a", b"explode", qos=1))
        assert until(lambda: reader.connections == 2)
    writer.publish(Message("boom/a", b"after", qos=1))
    assert reader.receive(5) == Message("boom/a", b"after", qos=1)


def test_an_exception_in_a_callback_costs_one_message(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = room.reader("call/#"), room.open("writer")
    put = reader._inbox.put

    def refuse(message: Message) -> None:
        if message.payload == b"bad":
            raise MemoryError
        put(message)

    monkeypatch.setattr(reader._inbox, "put", refuse)
    for payload in (b"bad", b"good"):
        writer.publish(Message("call/a", payload, qos=1))
    assert reader.receive(5) == Message("call/a", b"good", qos=1)
    assert (reader.dropped, reader.connections) == (1, 1)


def test_a_payload_of_a_megabyte_is_cut_short_and_rejected(room: Room) -> None:
    reader, writer = room.reader("big"), room.open("writer")
    writer.publish(Message("big", b"7" * 1_000_000, qos=1))
    message = reader.receive(5)
    assert message is not None
    assert len(message.payload) == MAX_PAYLOAD_BYTES + 1
    with pytest.raises(Rejected, match="64 KiB"):
        decode(message.payload, Sample)


def test_of_a_packet_of_twenty_megabytes_little_is_kept_and_what_follows_it_is_read(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = room.reader("huge"), room.open("writer")
    kept, read = [], paho.Client._packet_read

    def measure(client: paho.Client) -> MQTTErrorCode:
        outcome = read(client)
        kept.append(len(client._in_packet["packet"]))
        return outcome

    monkeypatch.setattr(paho.Client, "_packet_read", measure)
    writer.publish(Message("huge", b"7" * 20_000_000, qos=1))
    writer.publish(Message("huge", b"after", qos=1))
    huge, after = reader.receive(10), reader.receive(5)
    assert huge is not None
    assert after is not None
    assert (len(huge.payload), after.payload) == (MAX_PAYLOAD_BYTES + 1, b"after")
    assert max(kept) <= MAX_PACKET_BYTES + 100 * READ_BYTES
    assert (reader.dropped, reader.connections) == (0, 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_connection_that_is_given_up_is_replaced_and_the_newest_of_what_it_held_back_is_sent(room: Room, version: Version) -> None:
    reader = room.reader("wire/#", version=version)
    with closing(Proxy(room.broker.port)) as link:
        writer = room.open("writer", version, url=link.url)
        link.up.hold()
        for number in range(10):
            assert writer.publish(Message("wire/a", b"%d" % number, qos=1))
        began = time.monotonic()
        writer.reconnect()
        assert time.monotonic() - began < 1
        assert until(lambda: not writer.connected)
        link.cut()
        link.mend()
        assert until(lambda: writer.connections == 2)
        assert payloads(reader) == [b"9"]


def test_there_is_nothing_to_give_up_without_a_connection() -> None:
    bus = MqttBus(f"mqtt://127.0.0.1:{free_port()}", "lonely")
    bus.reconnect()
    bus.close()


def test_a_full_inbox_counts_what_it_loses(room: Room) -> None:
    reader, writer = room.open("small", queue_size=5), room.open("writer")
    reader.subscribe("flood", qos=0)
    assert until(lambda: writer.publish(Message("flood", b"0")) and reader.receive(0.1))
    for number in range(100):
        writer.publish(Message("flood", b"%d" % number))
    assert until(lambda: reader.dropped >= 95)
    assert payloads(reader)[-1] == b"99"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_burst_is_received_whole_in_order_and_read_many_at_a_time(
    own_room: Room, monkeypatch: pytest.MonkeyPatch, version: Version
) -> None:
    reads: list[int] = []
    read = paho.Client._sock_recv
    monkeypatch.setattr(paho.Client, "_sock_recv", lambda client, size: (reads.append(size), read(client, size))[1])
    reader, sizes = own_room.reader("a", version=version), [1, 100, 1, 5000, 60_000, 3, 127, 128, 16_383, 16_384] * 30
    own_room.broker.freeze()
    with socket.create_connection(("127.0.0.1", own_room.broker.port)) as wire:
        wire.sendall(flood.packet(0x10, flood.text("MQTT") + b"\x04\x02\x00\x00" + flood.text("burst")))
        small = b"".join(flood.packet(0x30, flood.text("a") + bytes([65 + n % 50]) * size) for n, size in enumerate(sizes) if size < 200)
        wire.sendall(small)
        before = len(reads)
        own_room.broker.thaw()
        few = [size for size in sizes if size < 200]
        found = [message.payload for message in (reader.receive(5) for _ in few) if message is not None]
        assert len(reads) - before < 3 * len(found) / 2
        wire.sendall(b"".join(flood.packet(0x30, flood.text("a") + b"x" * size) for size in sizes))
        assert [len(message.payload) for message in (reader.receive(5) for _ in sizes) if message is not None] == sizes
    assert [len(payload) for payload in found] == few
    assert [payload[0] for payload in found] == [65 + n % 50 for n, size in enumerate(sizes) if size < 200]


def test_a_flood_that_does_not_end_does_not_keep_the_reader_from_writing(room: Room) -> None:
    reader, ear, over = room.reader("flood/#"), room.open("ear"), threading.Event()
    ear.subscribe("answer", qos=1)
    payload = flood.packet(0x30, flood.text("flood/a") + b"x" * 20) * 500
    with flood.connected(room.broker.port) as wire:

        def pour() -> None:
            while not over.is_set():
                wire.sendall(payload)

        pouring = threading.Thread(target=pour)
        pouring.start()
        try:
            assert reader.receive(5)
            time.sleep(0.3)
            began = time.monotonic()
            reader.publish(Message("answer", b"here", qos=1))
            assert ear.receive(3) == Message("answer", b"here", qos=1)
            assert time.monotonic() - began < 3
        finally:
            over.set()
            pouring.join()
    assert reader.connected


def test_bad_topics_and_patterns_are_refused_before_the_library_sees_them(room: Room) -> None:
    bus = room.open("bus")
    with pytest.raises(ValueError, match="publish"):
        bus.publish(Message("a/+", b""))
    with pytest.raises(ValueError, match="subscribe"):
        bus.subscribe("#/a")


def test_a_bus_without_a_broker_waits_and_closes_promptly(caplog: pytest.LogCaptureFixture) -> None:
    bus = MqttBus(f"mqtt://127.0.0.1:{free_port()}", "lonely")
    assert until(lambda: "cannot be reached" in caplog.text)
    assert not bus.wait_connected(0)
    assert (bus.publish(Message("a", b"1")), bus.publish(Message("a", b"1", qos=1)), bus.receive(0)) == (False, True, None)
    before = time.monotonic()
    bus.close()
    assert time.monotonic() - before < 3
    assert [record.levelname for record in caplog.records if record.name == "facility.bus.mqtt"] == ["WARNING"]


def test_a_refused_user_is_told_once_and_is_not_connected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broker = Mosquitto(tmp_path, "allow_anonymous false")
    try:
        with closing(MqttBus(broker.url.replace("//", "//ops:wrong@"), "intruder")) as bus:
            assert until(lambda: "refuses us" in caplog.text)
            assert not bus.wait_connected(1.5)
            assert bus.connections == 0
        assert caplog.text.count("refuses us") == 1
        assert "wrong" not in caplog.text
    finally:
        broker.stop()


@pytest.mark.filterwarnings("ignore:.*SSLSocket")  # the library leaves a socket it mistrusts to the garbage collector
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls_trusts_the_named_ca_and_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make = ["openssl", "req", "-x509", *curve, "-keyout", str(key), "-out", str(cert), "-days", "2", *subject]
    subprocess.run(make, check=True, capture_output=True)
    broker = Mosquitto(tmp_path, f"certfile {cert}", f"keyfile {key}", "user root", "allow_anonymous true")
    url = f"mqtts://localhost:{broker.port}"
    try:
        with closing(MqttBus(replace(parse_broker_url(url), ca_file=cert), "trusting")) as bus:
            assert bus.wait_connected(5)
        with closing(MqttBus(url, "distrusting")) as bus:
            assert until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text)
            assert not bus.wait_connected(0)
    finally:
        broker.stop()
    with pytest.raises(InputError, match="cannot use the certificates"):
        MqttBus(replace(parse_broker_url(url), ca_file=tmp_path / "nothing.pem"), "lost")


def test_an_address_has_its_defaults_and_its_escapes() -> None:
    assert parse_broker_url("mqtt://h").port == 1883
    assert parse_broker_url("mqtts://h/").port == 8883
    broker = parse_broker_url("mqtt://o%40b:p%2Fw@[::1]:1884")
    assert (broker.host, broker.port, broker.username, broker.password) == ("::1", 1884, "o@b", "p/w")
    assert "p/w" not in repr(broker)


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost", "http://h", "mqtt://", "mqtt://h:0", "mqtt://h:99999", "mqtt://h:x", "mqtt://h/a", "mqtt://h?a"),
        *("mqtt://h h", "mqtt://h#a", "mqtt://:pw@h", "mqtt://a%0Ab:pw@h", "mqtt://[::1", f"mqtt://{'a' * 70}.example", "mqtt://a..b"),
    ],
)
def test_nonsense_for_an_address_is_an_input_error(url: str) -> None:
    with pytest.raises(InputError, match="mqtt://") as caught:
        parse_broker_url(url)
    assert "pw" not in str(caught.value)
