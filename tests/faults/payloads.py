"""Payloads by the thousand, from a seed: valid ones of every type, what happens to them on a bad day, and noise.

Valid ones are made from the types themselves, so a new row of the table of topics is thrown too.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import inspect

from facility.bus.interface import MAX_PAYLOAD_BYTES, Message
from facility.bus.topics import TABLE, Topic, placeholders
from facility.clock import Clock
from facility.sensors import sensors
from facility.site import Site

HOSTILE: Sequence[Any] = (
    *(None, True, "", "x" * 2000, "\x00", "NaN", "é\u202e\ud7ff", -1, 0, "5,000 digits", 2**63, -(2**63), 1e308, -1e308, 5e-324, math.nan, math.inf),
    *([], {}, [[]] * 50, {"a": {"a": {"a": []}}}, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-07-15T10:00:00"),
)
"""Values in the place of sensible ones."""


READ = [topic for topic in TABLE if topic.direction == "in"]


class Payloads:
    """Instants are around the clock's, ids are the site's, or nearly."""

    def __init__(self, site: Site, clock: Clock, seed: int) -> None:
        self.random, self._clock, self._site = random.Random(seed), clock, site
        pools = {f"{pool.hall}/{name}" for name, pool in site.pools.items()}
        jobs = [f"job-{n}" for n in range(30)]
        self._ids: Mapping[str, Sequence[str]] = {
            "hall": [*site.halls, "site"],
            "pool": list(site.pools),
            "feed": [site.grid.feed],
            "job": jobs,
            "plant": list(site.cooling_plants),
            "battery": list(site.batteries),
            "target": ["site", f"grid/{site.grid.feed}", *(f"hall/{hall}" for hall in site.halls), *(f"pool/{pool}" for pool in pools), "job/job-1"],
        }
        self._sensors = [sensor.key for sensor in sensors(site)]
        self._words = [*site.pools, *site.contracts, *site.tenants, site.jobs.curve, "kW", "degC", "W", "1"]

    def message(self) -> Message:
        """One message as it may come from the broker."""
        r = self.random
        topic = r.choice(READ if r.random() < 0.8 else TABLE)
        payload = r.choice((self.mutated, self.mutated, self.plain, self.plain, self.noise))(topic)
        qos, answer_to = r.choice((topic.qos, 1)), r.choice((None, None, "ops/ann", "a/+/b", "\0", "facility/v1/demo/override/site/set"))
        return Message(self.topic(topic), payload[: MAX_PAYLOAD_BYTES + 1], qos, r.random() < 0.1, answer_to, r.choice((None, b"\xff")))

    def topic(self, topic: Topic, stray: float = 0.1) -> str:
        """A topic of a row, with the site's ids; the share `stray` of them are others."""
        r = self.random
        name = topic.pattern
        if "{point}" in name and r.random() >= 2 * stray:
            name = re.sub(r"\{hall\}.*", r.choice(self._sensors), name)
        for hole in placeholders(name):
            ids = self._ids.get(hole, ("one", "two")) if r.random() >= stray else ("x", "X y", "é", "-")
            name = name.replace(f"{{{hole}}}", r.choice(ids))
        return f"{self._site.bus.root}/{self._site.id}/{name}"

    def plain(self, topic: Topic) -> bytes:
        """A valid payload of a row, or an empty one."""
        empty = 0.5 if topic.name == "meta" else 0.1 * topic.retained  # a sensor whose unit was contradicted must be told anew
        return b"" if self.random.random() < empty else msgspec.json.encode(self.valid(inspect.type_info(topic.payload)))

    def noise(self, _topic: Topic) -> bytes:
        """Random bytes, or random JSON."""
        r = self.random
        if r.random() < 0.5:
            return r.randbytes(int(2 ** r.uniform(0, 12)))
        return _written(self._anything(4))

    def mutated(self, topic: Topic) -> bytes:
        """A valid payload to which something happened."""
        r = self.random
        tree = msgspec.json.decode(self.plain(topic) or b"{}")
        for _ in range(r.choice((0, 1, 1, 2))):
            tree = self._spoilt(tree)
        raw = bytearray(_written(tree))
        for _ in range(r.choice((0, 0, 1, 3))):
            at = r.randrange(len(raw) + 1)
            pieces = (b"", r.randbytes(1), b'"', b"}", b"[" * 2000, b"\xed\xa0\x80", bytes(raw[at : at + 40]))
            raw[at : at + r.choice((0, 1, 1, 20))] = r.choice(pieces)
        return bytes(raw)

    def valid(self, kind: Any) -> Any:
        """A value of a type, as JSON would have it."""
        r = self.random
        match kind:
            case inspect.StructType(fields=fields):
                made = {f.encode_name: self._field(f.encode_name, f.type) for f in fields if f.required or r.random() < 0.5}
                if "kind" in made:
                    made.pop("value", None)
                    if made["kind"] in {"cap_w", "import_limit_kw"}:
                        made["value"] = r.choice((150, 300.5, 800))
                if made.get("end") and "ttl_s" in made:
                    del made["ttl_s"]
                return made
            case inspect.UnionType(types=types):
                return self.valid(r.choice([t for t in types if not isinstance(t, inspect.NoneType) or r.random() < 0.2] or types))
            case inspect.NoneType():
                return None
            case inspect.BoolType():
                return r.random() < 0.5
            case inspect.IntType(ge=low, le=high):
                return r.randint(low or 0, min(high or 1000, (low or 0) + 1000))
            case inspect.FloatType(ge=low, gt=above):
                return round(r.uniform(low or above or 0, 1000), 3) + (above is not None)
            case inspect.StrType():
                return r.choice(self._words)
            case inspect.DateTimeType():
                return (self._clock.now() + timedelta(seconds=r.uniform(-4000, 90_000))).isoformat()
            case inspect.LiteralType(values=values):
                return r.choice(values)
            case inspect.EnumType(cls=several):
                return r.choice(list(several)).value
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                return [self.valid(item) for _ in range(r.choice((0, 1, 3)))]
            case inspect.DictType(key_type=key, value_type=value):
                return {self.valid(key): self.valid(value) for _ in range(3)}
        raise TypeError(f"no way to make a {kind}")

    def _field(self, name: str, kind: Any) -> Any:
        """A field whose name says more than its type."""
        r = self.random
        match name:
            case "id":
                return f"id-{r.randrange(500)}"
            case "timestamp":
                return int((self._clock.now().timestamp() + r.uniform(-1, 1)) * 1000)
            case "quality" if r.random() < 0.9:
                return 1
            case "priority":
                return r.randint(1, 16)
            case "points":
                start = self._clock.now() + timedelta(minutes=r.randrange(60))
                edges = [start + timedelta(minutes=15 * n) for n in range(r.choice((0, 1, 4, 96)) + 1)]
                return [{"start": a.isoformat(), "end": b.isoformat(), "value": r.uniform(0, 900)} for a, b in pairwise(edges)]
            case "pool":
                return r.choice(self._ids["pool"])
            case "values":
                return {key.partition("/")[2]: r.uniform(0, 100) for key in r.sample(self._sensors, 3)}
            case "tenant" | "contract":
                return r.choice(list(self._site.tenants)) if isinstance(kind, inspect.StrType) else None
            case "curve":
                return self._site.jobs.curve
            case "deadline":
                return (self._clock.now() + timedelta(hours=r.uniform(1, 48))).isoformat()
            case "epoch" | "seq":
                return r.randrange(10)
            case "unit" if isinstance(kind, inspect.StrType) and kind.pattern and "/MWh" in kind.pattern:
                return f"{self._site.currency}/MWh"
        return self.valid(kind)

    def _spoilt(self, tree: Any) -> Any:
        """The tree with one of its nodes gone, double, or hostile."""
        r = self.random
        if isinstance(tree, dict) and tree and r.random() < 0.9:
            name = r.choice(list(tree))
            match r.randrange(5):
                case 0:
                    return {key: value for key, value in tree.items() if key != name}
                case 1:
                    return tree | {f"{name}x": tree[name]}
                case _:
                    return tree | {name: self._spoilt(tree[name])}
        if isinstance(tree, list) and tree and r.random() < 0.7:
            at = r.randrange(len(tree))
            return [*tree[:at], self._spoilt(tree[at]), *tree[at:]]
        return r.choice(HOSTILE)

    def _anything(self, depth: int) -> Any:
        r = self.random
        if depth and r.random() < 0.5:
            several = [self._anything(depth - 1) for _ in range(r.randrange(5))]
            return several if r.random() < 0.5 else {r.choice(("id", "kind", "value", "by", "points", "")): value for value in several}
        return r.choice(HOSTILE)


def longest() -> Mapping[str, bytes]:
    """The payloads of 64 KiB that cost most to look at, by what they are full of."""

    def full(head: bytes, tail: bytes, piece: Callable[[int], bytes]) -> bytes:
        found = bytearray(head)
        for number in range(MAX_PAYLOAD_BYTES):
            if len(found) + len(tail) + len(piece(number)) > MAX_PAYLOAD_BYTES:
                break
            found += piece(number)
        return bytes(found + tail)

    def step(second: int) -> bytes:
        instants = [f"2026-07-15T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}Z".encode() for s in (second, second + 1)]
        return b',{"start":"%b","end":"%b","value":1}' % tuple(instants)

    report = b'{"timestamp":1784109600000,"enforced_cap_w":300,'
    return {
        "fields": full(b'{"id":"a","by":"b","kind":"stop"', b"}", lambda n: b',"%x":0' % n),
        "one field": full(b'{"id":"a"', b"}", lambda _: b',"id":"a"'),
        "numbers": full(b'{"values":[0', b"]}", lambda _: b",1.7976931348623157e308"),
        "escapes": full(b'{"reason":"', b'"}', lambda _: b"\\u0041"),
        "backslashes": full(b'{"reason":"', b'"}', lambda _: b"\\\\"),
        "readings": full(b'{"timestamp":1784109600000,"values":{"a":1', b"}}", lambda n: b',"%x":1' % n),
        "points": full(b'{"unit":"EUR/MWh","points":[' + step(0)[1:], b"]}", lambda n: step(n + 1)),
        "empty objects": full(b'{"points":[{}', b"]}", lambda _: b",{}"),
        "brackets as deep as may be": full(b"[0", b"]", lambda _: b"," + b"[" * 30 + b"]" * 30),
        "groups": full(report + b'"groups":[{"workload":"a","gpus":1,"cap_w":9}', b"]}", lambda n: b',{"workload":"%x","gpus":1,"cap_w":9}' % n),
        "names": full(report + b'"gpus":["a"', b"]}", lambda n: b',"n%x"' % n),
        "halls": full(report + b'"halls":{"a":{"temperature_c":1}', b"}}", lambda n: b',"b%x":{"temperature_c":1}' % n),
        "three bytes each": full(b'{"reason":"', b'"}', lambda _: "\u20ac".encode()),
        "blanks": full(b"", b"{}", lambda _: b" "),
        "quotes": full(b"", b"", lambda _: b'"'),
        "digits": full(b"", b"", lambda _: b"9"),
    }


def _written(tree: Any) -> bytes:
    """A tree as JSON; a number too long for Python to write is put in afterwards."""
    return json.dumps(tree).encode().replace(b'"5,000 digits"', b"9" * 5000)
