"""A real daemon on a real broker lives through a call of the grid, and what it kept is reported beside it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from facility.history import default_place
from facility.journal.journal import Journal
from facility.usage.usage import QUARTER, quarter_of
from tests.processes import ROOT, House, needs_mosquitto

pytestmark = needs_mosquitto
TARGET_KW = 520.0
MINUTE = timedelta(minutes=1)


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A site whose clock runs 120 times as fast: a quarter of an hour is 7.5 s."""
    with ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("reported"), stack, speed=120)


def facility(*arguments: str) -> str:
    return subprocess.run([sys.executable, "-m", "facility", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_call_that_a_daemon_lived_through_is_reported_with_its_contracts_and_key_figures(house: House) -> None:
    begun = quarter_of(house.now()) + QUARTER
    start, end, over = begun + 8 * MINUTE, begun + 20 * MINUTE, begun + 2 * QUARTER
    event = {"start": start.isoformat(), "end": end.isoformat(), "target_kw": TARGET_KW, "ramp_min": 5}
    house.publish(f"{ROOT}/grid/main/event", json.dumps(event), "-r")
    house.until(lambda: house.now() > over + 4 * MINUTE, 60, "the call to be over")
    history = default_place("demo", house.folder)
    span = ("--from", f"{begun:%Y-%m-%dT%H:%MZ}", "--to", f"{over:%Y-%m-%dT%H:%MZ}")
    found = json.loads(facility("report", house.site, *span, "--state", str(house.folder / "journal.sqlite"), "--history", history, "--json"))
    figures = {figure["key"]: figure for figure in found["figures"]}
    assert figures["pue"]["name"] == "iPUE2"
    assert 1 < figures["pue"]["value"] < 2
    assert figures["wue1"]["value"] is None
    contracts = {contract["contract"]: contract for contract in found["contracts"]}
    with Journal(house.folder / "journal.sqlite", read_only=True) as journal:
        chat = [row for row in journal.usage(begun, over) if row.workload == "lumen-chat"]
    assert contracts["lumen-chat"]["gpu_h"] == pytest.approx(sum(row.gpu_h for row in chat)) == pytest.approx(288 / 2)
    assert contracts["lumen-chat"]["availability"] == pytest.approx(1.0)
    assert contracts["lumen-chat"]["speed"] == pytest.approx(sum(row.speed_gpu_h for row in chat) / 144)
    (call,) = found["calls"]
    assert (call["start"], call["target_kw"], call["ramp_min"]) == (start.isoformat().replace("+00:00", "Z"), TARGET_KW, 5.0)
    meter = str(house.folder / "meter.csv")
    facility("history", house.site, "--history", history, "--points", "site/meter/main/import_kw", *span, "--every", "1min", "--out", meter)
    with Path(meter).open(encoding="utf-8", newline="") as file:
        means = {datetime.fromisoformat(row["time"]): float(row["value"]) for row in csv.DictReader(file) if row["value"]}
    inside = [kw for at, kw in means.items() if start <= at < end]
    over_min = sum(kw > 1.005 * TARGET_KW for kw in inside)
    assert 0 <= call["late_min"] <= call["over_min"] <= 12
    if len(inside) == 12:  # where the machine is so busy that minutes have no reading, longer intervals are looked at
        assert call["over_min"] == pytest.approx(over_min), "minutes that anybody can count"
