"""`facility plan --commit`: hand a plan's import to the daemon as the position of its time."""

from __future__ import annotations

import os
import sys
import uuid
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from facility.bus.broker import reach
from facility.bus.interface import MAX_PAYLOAD_BYTES, Message
from facility.bus.messages import OverrideResult, PositionSet, Step, encode
from facility.bus.signing import read_key, signed
from facility.bus.topics import Topics
from facility.commands.client import answer
from facility.errors import Fault, InputError
from facility.planner import Planned

FINE, NO, FAULT = 0, 1, 3


def position_of(planned: Planned, by: str | None = None) -> PositionSet:
    """The mean power of each step, import less export, as a command of `by` (default: the login name)."""
    state = planned.decided.plan.account
    net_kw = (state.import_kw - state.export_kw).tolist()
    points = tuple(Step(start=a, end=b, value=kw) for (a, b), kw in zip(pairwise(planned.edges), net_kw, strict=True))
    return PositionSet(id=uuid.uuid4().hex, by=by or os.environ.get("USER") or "planner", points=points)


def run_commit(planned: Planned, broker: str | None, by: str | None = None, key_file: Path | None = None) -> int:
    """Commit a plan; 0 where the daemon took it, 1 where it did not or the plan breaks a limit, 3 where it does not answer."""
    if planned.decided.plan.status == "breached":
        print("facility: not committed: the plan breaks a limit", file=sys.stderr)
        return NO
    site, request = planned.site, position_of(planned, by)
    topics = Topics(site.bus.root, site.id)
    if key_file is not None:
        request = signed(read_key(key_file, "--key-file"), topics.position("set"), request, datetime.now(UTC))
    payload = encode(request)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise InputError(Fault("--commit", f"{len(request.points)} steps are more than one message holds", "give a longer --step"))
    message = Message(topics.position("set"), payload, qos=1)
    result = answer(reach(site.bus, broker), site.id, message, topics.position("result"), request.id, OverrideResult)
    if result is None:
        return FAULT
    print(f"commit: {result.status}: {result.reason}", file=sys.stderr)
    return FINE if result.status == "accepted" else NO
