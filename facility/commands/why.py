"""`facility why`: why a job, a pool, a contract, the import limit or an instant of the running plan is as it is."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from facility.bus.broker import reach
from facility.bus.interface import Message
from facility.bus.messages import WhyResult, WhySet, encode
from facility.bus.signing import read_key, signed
from facility.bus.topics import Topics
from facility.commands.client import answer
from facility.config import load_site
from facility.errors import Fault, InputError

SLACK_S = 3.0
"""How much longer than the daemon takes at most its answer is waited for."""
MOST_LIMITS = 5


@dataclass(frozen=True)
class Asked:
    """The words of the command line."""

    about: str
    within_s: float
    by: str
    key_file: Path | None = None


def run_why(site_file: str, settings: tuple[str, ...], asked: Asked, broker: str | None, *, as_json: bool) -> int:
    """Ask and print; 0 where it is answered, 1 where it is not, 3 where no daemon is heard."""
    site = load_site(site_file, settings)
    topics, name = Topics(site.bus.root, site.id), uuid.uuid4().hex
    try:
        request = WhySet(id=name, about=asked.about, within_s=asked.within_s, by=asked.by)
    except ValueError as error:
        raise InputError(Fault("why", str(error), "such as: why SITE pool/h1/h1-a")) from None
    topic = topics.why(name, "set")
    if asked.key_file is not None:
        request = signed(read_key(asked.key_file, "--key-file"), topic, request, datetime.now(UTC))
    message = Message(topic, encode(request), qos=1)
    told = answer(reach(site.bus, broker), site.id, message, topics.why(name, "result"), name, WhyResult, asked.within_s + SLACK_S)
    if told is None:
        return 3
    if as_json:
        print(json.dumps(msgspec.to_builtins(told)))
    else:
        _print(told)
    return 0 if told.status == "ok" else 1


def _print(told: WhyResult) -> None:
    if told.status != "ok":
        print(f"{told.status}: {told.says}")
        return
    print(f"{told.about}:")
    for line in told.lines:
        print(f"  {line}")
    for limit in told.limits[:MOST_LIMITS]:
        price = "" if limit.price is None else f"; 1 {limit.unit} more of it in every step would have saved {limit.price:.4g}"
        print(f"  binds: {limit.says}, {limit.cost:.4g} {told.currency}{price}")
    for i, cure in enumerate(told.remedies):
        print(f"  {'or' if i else 'cheapest remedy'}: {cure.says}")
