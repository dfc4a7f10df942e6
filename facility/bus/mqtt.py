"""The bus over MQTT 3.1.1 or 5; the only file that knows the client library.

The library's thread only moves bytes: its callbacks put messages into the inbox, ask again for every pattern after a connect,
and never raise. Should anything else in that thread fail, it connects afresh instead of dying silently. What the broker has
not acknowledged when the connection is lost goes back into the outbox, so that after an outage only the newest value of each
topic is sent, and nothing that has expired. Sessions are clean: the broker is a cable, not a memory. However long a packet is,
no more of it is kept than makes plain that it is too long.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import count
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.matcher import MQTTMatcher
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from facility.bus.broker import Broker, parse_broker_url, tls_context
from facility.bus.interface import MAX_PAYLOAD_BYTES, Message, check_pattern, check_topic, utc_now
from facility.bus.queues import QUEUE_SIZE, Inbox, Outbox
from facility.bus.sessions import Sessions

__all__ = ["MqttBus", "parse_broker_url"]

log = logging.getLogger(__name__)

KEEPALIVE_S = 10
RETRY_S = 1.0
CLOSING_S = 2.0
MAX_PACKET_BYTES = 16 * MAX_PAYLOAD_BYTES
"""Of a packet that is longer no more is kept; MQTT 5 tells the broker not to send it."""
MAX_BYTES_ON_THEIR_WAY = 64 * 1024 * 1024
READ_BYTES = 64 * 1024
PACKETS_IN_A_ROW = 100
VERSIONS = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}


class MqttBus:
    """A `Bus` over MQTT. It connects in the background, waits 1 to 2 s between attempts (`sessions`), and mends itself until closed.

    `queue_size` bounds the inbox, the outbox and what is on its way; messages expire by the clock `now`. With TLS the broker's
    certificate must be signed by a CA of the system, or by the broker's `ca_file`. `trouble` says why it is not connected, as far as
    that is known. Raises InputError for a bad address or an unreadable file.
    """

    def __init__(
        self,
        broker: Broker | str,
        client_id: str,
        *,
        will: Message | None = None,
        version: Literal["3.1.1", "5"] = "3.1.1",
        queue_size: int = QUEUE_SIZE,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._broker = parse_broker_url(broker) if isinstance(broker, str) else broker
        self._queue_size, self._v5, self._now = queue_size, version == "5", now
        self._inbox, self._outbox = Inbox(queue_size), Outbox(queue_size)
        self._patterns: dict[str, int] = {}
        self._asked: dict[int | None, str] = {}
        self._on_its_way: deque[tuple[paho.MQTTMessageInfo, Message]] = deque()
        self._lock = threading.RLock()
        self._up = threading.Event()
        self._connections = self._unreadable = self._bytes_on_their_way = 0
        self._complained, self.trouble = False, ""
        self.refused: list[str] = []
        """Patterns that the broker does not let us read."""
        self._sessions, self._gave_up = Sessions(client_id), False

        self._client = client = _Client(
            self._put_back, self._aim, self._complain, self._sessions, client_id=client_id, protocol=VERSIONS[version]
        )
        client.suppress_exceptions = True
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message, client.on_subscribe = self._on_message, self._on_subscribe
        client.on_socket_close = self._on_socket_close
        client.max_queued_messages_set(queue_size)
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        if self._broker.tls:
            client.tls_set_context(tls_context(self._broker))
        if will is not None:
            check_topic(will.topic)
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        self._aim()
        client.loop_start()

    @property
    def connections(self) -> int:
        """See `Bus.connections`."""
        return self._connections

    @property
    def connected(self) -> bool:
        """See `Bus.connected`."""
        return self._up.is_set()

    @property
    def dropped(self) -> int:
        """See `Bus.dropped`."""
        return self._inbox.dropped + self._unreadable

    @property
    def taken_over(self) -> int:
        """See `Bus.taken_over`."""
        return self._sessions.taken_over

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until the broker has accepted us; False when it has not within `timeout_s`."""
        return self._up.wait(timeout_s)

    def publish(self, message: Message) -> bool:
        """See `Bus.publish`."""
        check_topic(message.topic)
        with self._lock:
            if self._client.closing.is_set() or message.expired(self._now()):
                return False
            return self._send(message) if self._up.is_set() else self._outbox.keep(message)

    def subscribe(self, pattern: str, qos: int = 0) -> None:
        """See `Bus.subscribe`."""
        check_pattern(pattern)
        with self._lock:
            self._patterns[pattern] = qos
            if self._up.is_set():
                self._ask(pattern, qos)

    def receive(self, timeout_s: float) -> Message | None:
        """See `Bus.receive`."""
        return self._inbox.get(timeout_s)

    def drain(self, timeout_s: float, most: int) -> list[Message]:
        """See `Bus.drain`."""
        return self._inbox.drain(timeout_s, most)

    def reconnect(self) -> None:
        """See `Bus.reconnect`."""
        self._gave_up, connection = True, self._client.socket()
        with suppress(OSError):  # it is gone already
            if connection is not None:
                with socket.socket(fileno=os.dup(connection.fileno())) as wire:
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # forget what is not sent yet
                    wire.shutdown(socket.SHUT_RDWR)

    def renew(self, broker: Broker) -> None:
        """Be somebody else to the same broker, or trust others, on a new connection. Raises InputError for files that cannot be used."""
        context = tls_context(broker) if broker.tls else None
        with self._lock:
            self._broker = broker
            self._client.username_pw_set(broker.username, broker.password)
            self._client.show(context)
        self.reconnect()

    def close(self) -> None:
        """Wait up to 2 s for what is on its way, then leave cleanly."""
        with self._lock:
            if self._client.closing.is_set():
                return
            self._client.closing.set()
            waiting = [info for info, _ in self._on_its_way]
        deadline = time.monotonic() + CLOSING_S
        with suppress(RuntimeError):  # the connection is gone, and with it what was on its way
            for info in waiting:
                info.wait_for_publish(max(deadline - time.monotonic(), 0.0))
        self._client.disconnect()
        self._client.ended.wait(CLOSING_S)

    def _send(self, message: Message) -> bool:
        while self._on_its_way and self._on_its_way[0][0].is_published():
            self._bytes_on_their_way -= len(self._on_its_way.popleft()[1].payload)
        if len(self._on_its_way) >= self._queue_size or self._bytes_on_their_way > MAX_BYTES_ON_THEIR_WAY:
            return False
        info = self._client.publish(message.topic, message.payload, message.qos, message.retain, self._properties(message))
        if info.rc == paho.MQTT_ERR_NO_CONN:
            self._up.clear()
            return self._outbox.keep(message)
        if info.rc == paho.MQTT_ERR_SUCCESS:
            self._on_its_way.append((info, message))
            self._bytes_on_their_way += len(message.payload)
        return info.rc == paho.MQTT_ERR_SUCCESS

    def _properties(self, message: Message) -> Properties | None:
        if not self._v5:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if message.response_topic is not None:
            properties.ResponseTopic = message.response_topic
        if message.correlation is not None:
            properties.CorrelationData = message.correlation
        if message.valid_until is not None:
            left_s = (message.valid_until - self._now()).total_seconds()  # a rehearsal's: too long for the broker, never too short
            properties.MessageExpiryInterval = min(max(int(left_s), 0), 2**32 - 1)
        return properties

    def _ask(self, pattern: str, qos: int) -> None:
        _, ticket = self._client.subscribe(pattern, qos)
        self._asked[ticket] = pattern

    def _aim(self) -> None:
        properties = None
        if self._v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = MAX_PACKET_BYTES
        self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S, properties=properties)

    def _put_back(self) -> None:
        """Put what was not acknowledged back into the outbox; the client calls it before each attempt to connect."""
        with self._lock:
            self._up.clear()
            self._outbox.put_back(message for info, message in self._on_its_way if not info.is_published())
            self._on_its_way.clear()
            self._bytes_on_their_way = 0
            self._client.drop_out_messages()

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._complain(f"it refuses us: {reason}")
            return
        with self._lock:
            if self._client.closing.is_set():
                client.disconnect()
                return
            self._asked.clear()
            for pattern, qos in self._patterns.items():
                self._ask(pattern, qos)
            self._connections += 1
            self._gave_up = False
            self._sessions.begins(time.monotonic())
            self._complained, self.trouble = False, ""
            self._up.set()
            for message in self._outbox.take(self._now()):
                self._send(message)
        log.info("connected to %s:%s", self._broker.host, self._broker.port)

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        was_up = self._up.is_set()
        self._up.clear()  # and no lock: the library may hold one that a publishing thread waits for
        if was_up and not self._client.closing.is_set():
            log.warning("lost %s:%s: %s", self._broker.host, self._broker.port, reason)
            if self._sessions.ends(time.monotonic(), reason.value, ours=self._gave_up):
                log.warning("somebody else seems to connect with our client id: from now on we are %s", self._sessions.client_id)

    def _on_socket_close(self, _client: paho.Client, _data: Any, connection: Any) -> None:
        """Read what still comes until the broker has hung up: closed with bytes unread, the connection is reset.

        A reset may reach the broker before it has read that we leave cleanly, and it would send the last will.
        """
        until = time.monotonic() + CLOSING_S / 2
        with suppress(OSError):
            if self._client.closing.is_set():
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(CLOSING_S / 2)
                while connection.recv(65_536) and time.monotonic() < until:
                    pass

    def _complain(self, what: str) -> None:
        self.trouble = what
        if not self._complained:
            self._complained = True
            log.warning("%s:%s: %s; trying again", self._broker.host, self._broker.port, what)

    def _on_subscribe(self, _client: paho.Client, _data: Any, ticket: int, reasons: list[Any], _properties: Any) -> None:
        pattern = self._asked.pop(ticket, "a pattern")
        if any(reason.is_failure for reason in reasons):
            log.error("the broker does not let us read %s", pattern)
            if pattern not in self.refused:
                self.refused.append(pattern)

    def _on_message(self, _client: paho.Client, _data: Any, arrived: paho.MQTTMessage) -> None:
        try:
            payload, told = bytes(arrived.payload[: MAX_PAYLOAD_BYTES + 1]), arrived.properties  # enough to see that it is too long
            if told is None:
                self._inbox.put(Message(arrived.topic, payload, arrived.qos, arrived.retain))
            else:
                answer_to, correlation = getattr(told, "ResponseTopic", None), getattr(told, "CorrelationData", None)
                self._inbox.put(Message(arrived.topic, payload, arrived.qos, arrived.retain, answer_to, correlation))
        except Exception:  # such as a topic that is not UTF-8; nothing may get into the library's thread
            self._unreadable += 1
            log.debug("unreadable message", exc_info=True)


class _NoFilters(MQTTMatcher):
    """Topics with callbacks of their own: none, and so nothing to look through for each message."""

    def iter_match(self, topic: str) -> Iterator[Any]:  # noqa: ARG002 - the library's own signature
        """Give nothing."""
        return iter(())


class _Client(paho.Client):
    """The library's client with a network thread that outlives any exception; `ended` is set when it is over.

    `before_connect` is called in that thread, with no lock held, before each attempt, and `failed` when the attempt fails;
    `aim` says anew where to connect, `sessions` as whom and after which wait.
    """

    def __init__(
        self,
        before_connect: Callable[[], None],
        aim: Callable[[], None],
        failed: Callable[[str], None],
        sessions: Sessions,
        *,
        client_id: str,
        protocol: MQTTProtocolVersion,
    ) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
        self._before_connect, self._aim, self._failed, self._sessions = before_connect, aim, failed, sessions
        self.closing, self.ended = threading.Event(), threading.Event()
        self._ahead, self._given = b"", 0
        self._on_message_filtered = _NoFilters()  # type: ignore[no-untyped-call]

    def show(self, context: ssl.SSLContext | None) -> None:
        """Have another identity from the next connection on; the library's own way to set one works once."""
        self._ssl_context = context

    def reconnect(self) -> MQTTErrorCode:
        """Try to connect."""
        self._before_connect()
        self._client_id = self._sessions.client_id.encode()
        self._ahead, self._given = b"", 0
        try:
            return super().reconnect()
        except OSError as error:
            self._failed(f"it cannot be reached: {error}")
            raise

    def _reconnect_wait(self) -> None:
        """Wait before the next attempt; a close ends the wait."""
        self.closing.wait(self._sessions.wait_s())

    def _packet_read(self) -> MQTTErrorCode:
        """Read on; of a packet that is too long keep only the beginning."""
        outcome = super()._packet_read()  # up to a hundred parts
        del self._in_packet["packet"][MAX_PACKET_BYTES:]
        return outcome

    def _sock_recv(self, bufsize: int) -> bytes:
        """Give one part, of what was read ahead while any of it is left: the library asks for each packet three times."""
        if self._given == len(self._ahead):
            self._ahead, self._given = super()._sock_recv(READ_BYTES), 0
        part = self._ahead[self._given : self._given + bufsize]
        self._given += len(part)
        return part

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Take every packet that was read ahead; what else there is to do for the connection is done in between."""
        for packets in count(1):
            outcome = super().loop_read(max_packets)
            if outcome or self._given == len(self._ahead):
                break
            if packets % PACKETS_IN_A_ROW == 0:
                self.loop_write()
                self.loop_misc()
        return outcome

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """Run the network thread."""
        try:
            while True:
                try:
                    return super().loop_forever(timeout, retry_first_connection)
                except Exception:
                    log.exception("the network thread failed; it connects again")
                    if self.closing.wait(RETRY_S):
                        return MQTTErrorCode.MQTT_ERR_UNKNOWN
                    self._aim()
        finally:
            self.ended.set()
