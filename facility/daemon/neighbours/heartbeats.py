"""Heartbeats: the building management system and we tell each other every 10 s that we are there, as NVIDIA DSX Exchange asks.

    HeartbeatTimestampBms            it tells its time            where that stops for 30 s, an alarm stands: its values are of before
    HeartbeatTimestampIntegration    we tell ours                 on the point that its metadata gives our `integration`
    HeartbeatEchoIntegration         we tell what it told last    on the point of the same, whose `objectId` is that system

A time is told in ms since 1970. Points that its metadata gives our name beside these two are not served: the service has nothing else to give.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import msgspec

from facility.bus.interface import Bus, Message
from facility.bus.messages.codec import Rejected, decode
from facility.daemon.telling.alarms import Alarms
from facility.dsx import facts
from facility.dsx.bms import Metadata, Point, Value, parse, pattern

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=10)
SILENT = 3 * EVERY
ALARM = "bms-silent"
THEIRS, OURS, ECHO = facts.BEATS
MOST_POINTS = 1000


class Heartbeats:
    """To be used under the daemon's lock. `integration` is our name for the building management system; None: it has none for us."""

    def __init__(self, bus: Bus, alarms: Alarms, integration: str | None) -> None:
        self._bus, self._alarms, self._integration = bus, alarms, integration
        self._asked: dict[Point, Metadata] = {}
        self._systems: dict[Point, str] = {}
        self._told: dict[str, float] = {}
        self._heard: datetime | None = None
        self._beat: datetime | None = None
        kinds = (OURS, ECHO, THEIRS) if integration is not None else (THEIRS,)
        self.patterns = (*(pattern(facts.METADATA, "System", kind) for kind in kinds), pattern(facts.VALUE, "System", THEIRS))

    def hears(self, topic: str) -> bool:
        """Whether a topic is one of those that are listened to."""
        return topic.startswith((f"{facts.BMS}/{facts.METADATA}/System/", f"{facts.BMS}/{facts.VALUE}/System/"))

    def hear(self, message: Message, now: datetime) -> None:
        """Take in metadata of a heartbeat, or a beat; what cannot be read is none."""
        found = parse(message.topic)
        if found is None or (message.payload and len(self._asked) + len(self._systems) >= MOST_POINTS):
            return
        kind, point = found
        try:
            if kind == facts.METADATA:
                self._learn(point, decode(message.payload, Metadata) if message.payload else None)
            elif point.point_type == THEIRS and not message.retain:
                beat = decode(message.payload, Value)
                if beat.value is not None and beat.quality == facts.GOOD:
                    self._heard = now
                    self._told[self._systems.get(point, "")] = beat.value
        except Rejected as rejected:
            log.debug("%s: %s", message.topic, rejected.reason)

    def keep_time(self, now: datetime) -> None:
        """Beat where it is time, and see whether the others still do."""
        if self._heard is not None and now - self._heard > SILENT:
            cause = f"the building management system's heartbeat stopped at {self._heard:%H:%M:%S} UTC: its values are of before"
            self._alarms.stand(ALARM, cause, now, place=f"{facts.BMS}/{facts.VALUE}/System/{THEIRS}", remedy="see whether it runs")
        else:
            self._alarms.clear(ALARM, now)
        if self._beat is None or now - self._beat >= EVERY:
            self._beat = now
            at_ms = int(now.timestamp() * 1000)
            for point, metadata in self._asked.items():
                value = float(at_ms) if point.point_type == OURS else self._told.get(metadata.object or "")
                if value is not None:
                    topic = f"BMS/v1/{self._integration}/{facts.VALUE}/{'/'.join(point)}"
                    self._bus.publish(Message(topic, msgspec.json.encode(Value(value, at_ms, facts.GOOD))))

    def _learn(self, point: Point, metadata: Metadata | None) -> None:
        if point.point_type == THEIRS:
            self._systems.pop(point, None)
            if metadata is not None and metadata.object is not None:
                self._systems[point] = metadata.object
        elif point.point_type in {OURS, ECHO}:
            self._asked.pop(point, None)
            if metadata is not None and self._integration is not None and metadata.integration == self._integration:
                self._asked[point] = metadata
