"""`facility override ... --preview`: what an override or its end would do, from the daemon, which does nothing of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from facility.bus.broker import Broker
from facility.bus.interface import Message
from facility.bus.messages import Change, Figures, WhatIfResult, WhatIfSet, encode
from facility.bus.signing import read_key, signed
from facility.bus.topics import Topics
from facility.commands.client import answer
from facility.commands.why import SLACK_S
from facility.site import Site

MOST_ROWS = 10


def run_preview(
    site: Site, at: Broker, change: Change, *, by: str, reason: str, within_s: float, key_file: Path | None, as_json: bool
) -> int:
    """Ask and print; 0 where it would be done and is known, 1 where it would be refused or is not, 3 where no daemon is heard."""
    topics, name = Topics(site.bus.root, site.id), uuid.uuid4().hex
    request, topic = WhatIfSet(id=name, changes=(change,), within_s=within_s, by=by, reason=reason), topics.whatif(name, "set")
    if key_file is not None:
        request = signed(read_key(key_file, "--key-file"), topic, request, datetime.now(UTC))
    told = answer(at, site.id, Message(topic, encode(request), qos=1), topics.whatif(name, "result"), name, WhatIfResult, within_s + SLACK_S)
    if told is None:
        return 3
    if as_json:
        print(json.dumps(msgspec.to_builtins(told)))
    else:
        show(Console(), told)
    return 0 if told.status == "ok" else 1


def show(console: Console, told: WhatIfResult) -> None:
    """Print an answer: the sentence, both plans in numbers, caps that change, and what becomes of jobs, contracts and limits."""
    if told.status != "ok":
        console.print(f"{told.status}: {told.says}", highlight=False, markup=False, soft_wrap=True)
        return
    console.print(told.says, highlight=False, markup=False, soft_wrap=True)
    table = Table(show_edge=False)
    for heading in ("", "now", "then"):
        table.add_column(heading, justify="right" if heading else "left")
    for label, one, other in figures(told):
        table.add_row(label, one, other)
    console.print(table)
    for line in lines(told):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def figures(told: WhatIfResult) -> Iterator[tuple[str, str, str]]:
    """Both plans in numbers: a label, now, then."""
    rows = {
        f"cost, {told.currency}": "cost",
        "energy, kWh": "energy_kwh",
        "peak, kW": "peak_kw",
        "least below the import limit, kW": "margin_kw",
        "work, GPU h": "work_gpu_h",
    }
    for label, field in rows.items():
        yield label, _number(told.before, field), _number(told.after, field)
    for caps in told.caps[:MOST_ROWS]:
        if caps.before_w != caps.after_w:
            yield f"caps of {caps.pool}, next hour, W", _span(caps.before_w), _span(caps.after_w)


def lines(told: WhatIfResult) -> Iterator[str]:
    """What becomes of jobs, contracts and limits, a line each."""
    yield from (each.reason for each in told.judged if each.status == "clamped")
    yield from (job.says for job in told.jobs[:MOST_ROWS])
    if len(told.jobs) > MOST_ROWS:
        yield f"... and {len(told.jobs) - MOST_ROWS} more jobs (--json lists them)"
    yield from (contract.says for contract in told.contracts)
    for words, breaches in (("breaks", told.broken), ("mends", told.mended)):
        for b in breaches:
            span = f"from {b.start:%Y-%m-%dT%H:%MZ} to {b.end:%Y-%m-%dT%H:%MZ}"
            yield f"{words}: {b.family} of {b.asset} by {b.amount:.3f} {b.unit} {span}; remedy: {b.remedy}"


def _number(figures_: Figures | None, field: str) -> str:
    return "-" if figures_ is None else f"{getattr(figures_, field):,.1f}"


def _span(caps_w: tuple[int | None, ...]) -> str:
    """The lowest to the highest cap."""
    known = [cap_w for cap_w in caps_w if cap_w is not None]
    if not known:
        return "-"
    return f"{min(known)}" if min(known) == max(known) else f"{min(known)} to {max(known)}"
