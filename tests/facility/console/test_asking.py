"""What is asked of the daemon before an act, and what its answers become: a sentence, numbers, lines. Nothing is invented where it is silent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

import facility.console.asking as room
from facility.bus.messages import (
    Breach,
    Figures,
    JobChange,
    Judged,
    PoolCaps,
    WhatIfResult,
    WhatIfSet,
    WhyLimit,
    WhyRemedy,
    WhyResult,
    WhySet,
    decode,
    encode,
)
from facility.console.asking import Told
from tests.facility.console.test_acts import NOW, WISH, Around

BEFORE = Figures(cost=100.0, costs={}, energy_kwh=1000, peak_kw=800, margin_kw=10, kept_kw=0, work_gpu_h=5, jobs_late=0, breaches=0)
AFTER = structs.replace(BEFORE, cost=104.5, peak_kw=700, jobs_late=1)
BROKEN = Breach(family="unfinished_gpu_h", asset="train-a", start=NOW, end=NOW, amount=3.25, unit="GPU h")
IF = WhatIfResult(
    id="x", status="ok", says="costs 4.50 EUR more, and train-a misses its deadline", before=BEFORE, after=AFTER, broken=(BROKEN,), left_out=2,
    judged=(Judged(target="pool/h1/h1-a", status="clamped", effective=250, reason="to 250 W"),),
    caps=(PoolCaps(pool="h1-a", before_w=(400, 390), after_w=(250, None)), PoolCaps(pool="h1-b", before_w=(400,), after_w=(400,))),
    jobs=(JobChange(job="train-a", change="misses-deadline", says="train-a ends an hour late"),),
)  # fmt: skip
WHY = WhyResult(
    id="x", status="ok", says="waits until 2026-07-15T15:00Z: energy costs less then", lines=("a GPU h of it is worth 0.13 EUR",),
    limits=(WhyLimit(limit="import", asset=None, says="the import limit, 172.3 EUR", cost=172.3),),
    remedies=(WhyRemedy(limit="import", asset=None, more=5, unit="kW", begins=NOW, ends=NOW, saved=1, says="5 kW more would have saved 1 EUR"),),
)  # fmt: skip


def asked(tmp_path: Path, answer: Any, do: Callable[[Around], Any]) -> tuple[Told, Any]:
    """What becomes of a question that is answered so, and what was asked."""
    around, seen = Around(tmp_path), []

    def reply() -> None:
        message = around.daemon.receive(2)
        if message is not None:
            name = message.topic.split("/")[3]
            request = decode(message.payload, {"whatif": WhatIfSet, "why": WhySet}[name])  # type: ignore[type-var]
            seen.append((message.topic, request))
            if answer is not None:
                around.post.answered(f"{name}_result", encode(structs.replace(answer, id=request.id)))

    thread = threading.Thread(target=reply)
    thread.start()
    told = asyncio.run(do(around))
    thread.join()
    around.log.close()
    return told, seen[0] if seen else None


def test_a_preview_is_the_daemons_sentence_its_numbers_and_who_is_hurt(tmp_path: Path) -> None:
    told, (topic, request) = asked(tmp_path, IF, lambda around: around.asking.preview(WISH))
    assert topic == f"facility/v1/demo/whatif/{request.id}/set"
    (change,) = request.changes
    assert (change.target, change.kind, change.value, change.ttl_s, change.priority) == ("pool/h1/h1-a", "cap_w", 250, 3600, 8)
    assert (told.ok, told.sentence) == (True, IF.says)
    assert told.numbers == (
        ("cost of the plan, EUR", "100.00", "104.50"),
        ("energy, kWh", "1,000", "1,000"),
        ("peak, kW", "800.0", "700.0"),
        ("least left below the limit, kW", "10.0", "10.0"),
        ("jobs late", "0", "1"),
        ("highest cap of h1-a in the next hour, W", "400", "250"),
    )
    assert told.lines == (
        "pool/h1/h1-a: clamped: to 250 W",
        "job unfinished at its deadline, train-a: 3.2 GPU h",
        "train-a ends an hour late",
        "and 2 more",
    )


@pytest.mark.parametrize("status", ["refused", "too-late", "failed"])
def test_a_preview_that_cannot_be_is_told_as_the_daemon_tells_it(tmp_path: Path, status: Any) -> None:
    told, _ = asked(tmp_path, WhatIfResult(id="x", status=status, says="so it is"), lambda around: around.asking.preview(WISH))
    assert told == Told(ok=False, sentence="so it is")


def test_why_is_the_sentence_the_limit_that_binds_its_price_and_the_cheapest_remedy(tmp_path: Path) -> None:
    told, (topic, request) = asked(tmp_path, WHY, lambda around: around.asking.why("job/train-a", ""))
    assert topic == f"facility/v1/demo/why/{request.id}/set"
    assert (request.about, request.by) == ("job/train-a", "console")
    assert told == Told(
        ok=True,
        sentence=WHY.says,
        lines=("a GPU h of it is worth 0.13 EUR", "the import limit, 172.3 EUR", "5 kW more would have saved 1 EUR"),
    )


def test_a_daemon_that_does_not_answer_is_said_not_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "ANSWER_S", 0.1)
    told, _ = asked(tmp_path, None, lambda around: around.asking.preview(WISH))
    assert not told.ok
    assert told.sentence.startswith("No preview: the daemon did not say within 0.1 s")
    told, _ = asked(tmp_path, None, lambda around: around.asking.why("limit", "ann"))
    assert told == Told(ok=False, sentence="The daemon did not say why within 0.1 s.")


def test_while_the_broker_is_away_nothing_is_asked(tmp_path: Path) -> None:
    around = Around(tmp_path)
    around.broker.stop()
    assert asyncio.run(around.asking.preview(WISH)).sentence.startswith("No preview: the broker is away")
    assert asyncio.run(around.asking.why("limit", "ann")).sentence.startswith("No answer: the broker is away")
    around.log.close()
