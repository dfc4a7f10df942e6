"""`facility tail`: the bus in words, one line a message as it comes.

What repeats what was last said on its topic is not said again, so that heartbeats and reports show what changes. Readings, of our own
tree or of any other that the site file maps, are folded into one line every few seconds. When more comes than a person can read the
rest is counted, and what was left out is said.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from facility.bus.broker import reach
from facility.bus.interface import Message, check_pattern, matches
from facility.bus.topics import Topics
from facility.commands.client import LOOK_S, interruptible, visit
from facility.config import load_site
from facility.durations import parse_duration
from facility.errors import Fault, InputError
from facility.report.sentences import Place, sentence
from facility.site import Site
from facility.telemetry.readings import Refusal
from facility.telemetry.routes import Described, Routes, Told
from facility.telemetry.sources import sources

FOLD: Final = timedelta(seconds=2)
"""How long readings are folded into one line."""
MOST_LINES: Final = 100
"""Lines a second that are still said; of more only the number is."""
TOPICS_KEPT: Final = 50_000
"""Topics whose last sentence is remembered; more are all said."""
LAST_MS: Final = 4_102_444_800_000
"""The year 2100, beyond which no heartbeat is believed."""


def run_tail(
    site_file: str, settings: tuple[str, ...], broker: str | None, lasting: str | None, topic: str | None, *, readings: bool, as_json: bool
) -> int:
    """Say what is on the bus until Ctrl-C, or for so long; 0. InputError where there is no broker or the pattern is none."""
    site = load_site(site_file, settings)
    ear = Ear(site, _pattern(site, topic), each=readings)
    until = time.monotonic() + parse_duration(lasting, "--for").total_seconds() if lasting is not None else None
    with interruptible() as stop, visit(reach(site.bus, broker)) as bus:
        for pattern in ear.patterns:
            bus.subscribe(pattern, qos=1)
        connected, lost = True, 0
        while not stop.is_set() and (until is None or time.monotonic() < until):
            message = bus.receive(LOOK_S if until is None else max(min(LOOK_S, until - time.monotonic()), 0.0))
            now = datetime.now(UTC)
            _print(ear.take(message, now) if message is not None else (), as_json=as_json)
            _print(ear.keep_time(now), as_json=as_json)
            if bus.connected != connected:
                connected = bus.connected
                _print([Line(now, "the broker answers again" if connected else "the broker is gone")], as_json=as_json)
            if bus.dropped > lost:
                _print([Line(now, f"{bus.dropped - lost} messages were lost: more came than could be read")], as_json=as_json)
                lost = bus.dropped
    _print(ear.rest(datetime.now(UTC)), as_json=as_json)
    return 0


@dataclass(frozen=True)
class Line:
    """What is said at an instant (UTC). `standing`: the broker had kept it. `about`: what a program wants to know beside."""

    at: datetime
    says: str
    zone: tzinfo = UTC
    standing: bool = False
    about: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The line for people."""
        return f"{'standing' if self.standing else format(self.at.astimezone(self.zone), '%H:%M:%S')}  {self.says}"

    def json(self) -> str:
        """The line for programs."""
        return json.dumps({"at": self.at.isoformat(), "says": self.says, "standing": self.standing, **self.about})


class Ear:
    """Turns messages into lines; `pattern` is what is wanted, `each` whether readings are said one by one. It has no clock of its own.

    A line is of the wall's time; what is said of times in it is by the daemon's clock, once that is heard, for a rehearsal's is another.
    """

    def __init__(self, site: Site, pattern: str | None = None, *, each: bool = False) -> None:
        self._site, self._pattern, self._each = site, pattern, each
        self._topics, self._routes, self._zone = Topics(site.bus.root, site.id), Routes(sources(site)), ZoneInfo(site.timezone)
        self._meter = f"site/meter/{site.grid.feed}/import_kw"
        self._last: dict[str, str] = {}
        self._daemons: datetime | None = None
        self._second, self._said, self._left_out = datetime.min.replace(tzinfo=UTC), 0, 0
        self._fold_since: datetime | None = None
        self._values: dict[str, float | None] = {}
        self._count, self._unreadable = 0, Counter[str]()

    @property
    def patterns(self) -> tuple[str, ...]:
        """What to subscribe to."""
        if self._pattern is not None:
            return (self._pattern,)
        own = f"{self._site.bus.root}/{self._site.id}/#"
        return (own, *(pattern for pattern in self._routes.patterns if not pattern.startswith(own[:-1])))

    def take(self, message: Message, now: datetime) -> Iterator[Line]:
        """The lines that a message makes."""
        if self._pattern is not None and not matches(self._pattern, message.topic):
            return
        if (route := self._routes.of(message.topic)) is not None and message.payload:
            try:
                yield from self._readings(message, route(message.payload, message.retain), now)
            except Refusal as refusal:
                self._refuse(refusal, now)
            return
        says, about = self._words(message, now)
        if self._last.get(message.topic) == says:
            return
        if len(self._last) < TOPICS_KEPT or message.topic in self._last:
            self._last[message.topic] = says
        yield from self._rationed(Line(now, says, self._zone, message.retain, about))

    def keep_time(self, now: datetime) -> Iterator[Line]:
        """The lines that time makes: readings folded, and what was left out."""
        if self._fold_since is not None and now - self._fold_since >= FOLD:
            yield self._folded(now)
        if self._left_out and now - self._second >= timedelta(seconds=1):
            yield self._left(now)

    def rest(self, now: datetime) -> Iterator[Line]:
        """The last lines."""
        if self._fold_since is not None:
            yield self._folded(now)
        if self._left_out:
            yield self._left(now)

    def _words(self, message: Message, now: datetime) -> tuple[str, dict[str, Any]]:
        found = self._topics.parse(message.topic)
        if found is None:
            return f"{message.topic}: no topic of this service, {len(message.payload)} bytes", {"topic": message.topic}
        name, ids = found
        try:
            payload = msgspec.json.decode(message.payload) if message.payload else None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            payload = None
        about = {"topic": message.topic, "name": name, "ids": ids, "payload": payload}
        if name == "status" and not message.retain and isinstance(payload, dict) and isinstance(beat := payload.get("heartbeat"), int):
            self._daemons = datetime.fromtimestamp(min(max(beat, 0), LAST_MS) / 1000, UTC)
        return sentence(Place(name, ids, self._daemons or now, self._zone), message.payload), about

    def _readings(self, message: Message, facts: Iterable[Told | Described | Refusal], now: datetime) -> Iterator[Line]:
        for fact in facts:
            if isinstance(fact, Refusal):
                self._refuse(fact, now)
                continue
            if isinstance(fact, Described):
                if not self._each:
                    continue
                unit = "is withdrawn" if fact.meta is None else f"is in {fact.meta.unit}"
                yield from self._rationed(Line(now, f"{fact.key} {unit}", self._zone, message.retain, {"topic": message.topic}))
                continue
            good = fact.quality == 1
            if self._each:
                for key, value in fact.values.items():
                    says = f"{key} {'is missing' if value is None else format(value, 'g')}{'' if good else f', quality {fact.quality}: not used'}"
                    about = {"topic": message.topic, "sensor": key, "value": value, "quality": fact.quality}
                    yield from self._rationed(Line(now, says, self._zone, message.retain, about))
                continue
            self._fold_since = self._fold_since or now
            self._count += len(fact.values)
            self._values |= fact.values if good else dict.fromkeys(fact.values)

    def _refuse(self, refusal: Refusal, now: datetime) -> None:
        self._fold_since = self._fold_since or now
        self._unreadable[str(refusal)[:200]] += 1

    def _folded(self, now: datetime) -> Line:
        missing = [key for key, value in self._values.items() if value is None]
        metered = self._values.get(self._meter)
        parts = [f"{self._count} of {len(self._values)} sensors"]
        parts += [f"the meter shows {metered:,.1f} kW"] if metered is not None else []
        parts += [f"missing or bad: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"] if missing else []
        parts += [f"{count} not readable: {why}" for why, count in self._unreadable.most_common(1)]
        about = {"readings": self._count, "sensors": len(self._values), "import_kw": metered, "missing": missing}
        line = Line(now, f"readings: {'; '.join(parts)}", self._zone, about=about | {"unreadable": self._unreadable.total()})
        self._fold_since, self._count = None, 0
        self._values, self._unreadable = {}, Counter()
        return line

    def _rationed(self, line: Line) -> Iterator[Line]:
        """`line` where there is room for it in this second; what is retained comes all at once and is no flood."""
        if line.at - self._second >= timedelta(seconds=1):
            if self._left_out:
                yield self._left(line.at)
            self._second, self._said = line.at, 0
        self._said += not line.standing
        if self._said > MOST_LINES and not line.standing:
            self._left_out += 1
        else:
            yield line

    def _left(self, now: datetime) -> Line:
        count, self._left_out = self._left_out, 0
        return Line(now, f"... and {count} more, left out: more came than can be read", self._zone, about={"left_out": count})


def _pattern(site: Site, topic: str | None) -> str | None:
    """The pattern that is asked for: below the site's own root, unless it begins with that."""
    if topic is None:
        return None
    own = f"{site.bus.root}/{site.id}/"
    pattern = topic if topic.startswith(own) else own + topic
    try:
        check_pattern(pattern)
    except ValueError as error:
        raise InputError(Fault("--topic", str(error), "such as override/#, cap/+/+/desired or alarm/+")) from None
    return pattern


def _print(lines: Iterable[Line], *, as_json: bool) -> None:
    for line in lines:
        print(line.json() if as_json else line.text(), flush=True)
