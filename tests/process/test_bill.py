"""A real daemon on a real broker counts who had what, is killed and started again, and what it kept is billed beside it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from facility.history import default_place
from facility.journal.journal import Journal
from facility.usage.usage import QUARTER, Usage, quarter_of
from tests.processes import House, needs_mosquitto

pytestmark = needs_mosquitto
BEGIN = datetime(2026, 7, 15, 10, tzinfo=UTC)


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A site whose clock runs 120 times as fast: a quarter of an hour is 7.5 s."""
    with ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("billed"), stack, speed=120)


def kept(house: House) -> list[Usage]:
    with Journal(house.folder / "journal.sqlite", read_only=True) as journal:
        return list(journal.usage(BEGIN - timedelta(days=1), BEGIN + timedelta(days=1)))


def test_usage_outlives_a_kill_and_the_bill_is_the_meter(house: House) -> None:
    house.until(lambda: len({row.start for row in kept(house)}) >= 2, 40, "two quarters of usage")
    house.daemon.send_signal(signal.SIGKILL)
    house.daemon.wait(10)
    before = {row.start for row in kept(house)}
    house.start_daemon()
    house.until(lambda: len({row.start for row in kept(house)} - before) >= 2, 40, "two more quarters")
    found = kept(house)
    starts = sorted({row.start for row in found})
    assert [later - start for start, later in pairwise(starts)] == [QUARTER] * (len(starts) - 1)
    chat = {row.start: row for row in found if row.workload == "lumen-chat"}
    assert all(chat[start].hours == pytest.approx(0.25) for start in starts[1:])
    assert all(chat[start].gpu_h == pytest.approx(288 / 4) for start in starts[1:])
    assert any(row.kind == "job" and row.gpu_h > 0 for row in found)
    span = ("--from", f"{starts[1]:%Y-%m-%dT%H:%MZ}", "--to", f"{quarter_of(starts[-1]):%Y-%m-%dT%H:%MZ}")
    places = ("--state", str(house.folder / "journal.sqlite"), "--history", default_place("demo", house.folder))
    told = subprocess.run(
        [sys.executable, "-m", "facility", "bill", house.site, *span, *places, "--json"], capture_output=True, text=True, check=True, timeout=60
    )
    bill = json.loads(told.stdout)
    assert sum(each["energy_kwh"] for each in bill["accounts"]) == pytest.approx(bill["whole"]["energy_kwh"], rel=1e-9)
    assert round(sum(each["total"] for each in bill["accounts"]), 2) == bill["whole"]["total"]
    hours = (starts[-1] - starts[1]) / timedelta(hours=1)
    assert 300 * hours < bill["whole"]["energy_kwh"] < 820 * hours
    by_tenant = {each["tenant"]: each for each in bill["accounts"]}
    assert {"lumen", "kepler", None} <= by_tenant.keys()
    assert by_tenant["lumen"]["gpu_h"] == pytest.approx((288 + 256) * hours, rel=0.01)
