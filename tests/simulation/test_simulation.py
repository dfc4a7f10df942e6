"""Days of the whole daemon with faults, every invariant in every step; and the simulation itself: it repeats, and it finds what is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from facility.daemon.governor import Governor
from facility.daemon.sending.actuate import Actuator
from facility.journal.journal import Journal
from facility.overrides.desk import OverrideDesk
from tests.simulation.schedule import FAULTS, Said, Schedule, Window, schedule_of
from tests.simulation.shrink import shrunk
from tests.simulation.sites import site_of
from tests.simulation.soak import Failure, days, live

DAYS, PARTS = 200, 16
SOME = (13, 0, 5, 6, 7)
"""Seeds on whose days what is broken shows soon."""
KEPT = Path(__file__).parent / "seeds.txt"
"""Seeds that broke an invariant once, and what was mended; they are lived in every run."""


def lived_in_every_run() -> list[int]:
    kept = [int(line.split()[0]) for line in KEPT.read_text().splitlines() if line and not line.startswith("#")]
    return list(dict.fromkeys([*kept, *range(DAYS)]))[:DAYS]


@pytest.mark.parametrize("part", range(PARTS))
def test_on_200_days_with_faults_and_all_that_once_failed_among_them_every_invariant_holds_in_every_step(part: int) -> None:
    lived = [live(seed) for seed in lived_in_every_run()[part::PARTS]]
    assert not [str(came) for came in lived if isinstance(came, Failure)]
    whole = [came for came in lived if not isinstance(came, Failure)]
    assert all(came.cycles > 100 for came in whole)
    assert {mode for came in whole for mode in came.modes} == {"NORMAL", "HOLD", "SAFE", "MANUAL"}


def test_two_processes_live_the_same_days_as_one() -> None:
    seeds = (1, 2)
    assert {came.seed: came for came in days(seeds, 2)} == {seed: live(seed) for seed in seeds}


def test_those_days_have_every_kind_of_fault_and_several_at_once() -> None:
    schedules = [schedule_of(seed, site_of(seed)) for seed in lived_in_every_run()]
    assert {window.kind for schedule in schedules for window in schedule.windows} == FAULTS.keys()
    assert any(a.start_s < b.start_s < a.end_s for schedule in schedules for a in schedule.windows for b in schedule.windows)


def test_a_seed_gives_the_same_bytes_in_every_process() -> None:
    code = "from tests.simulation.soak import live; print(live(21002).digest)"  # two overrides end at once on that day
    places = [os.environ | {"PYTHONPATH": ".", "PYTHONHASHSEED": order} for order in ("4", "6")]
    told = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=place).stdout for place in places]
    assert len(told[0]) > 32
    assert told[0] == told[1]


@pytest.mark.breaks_invariants
@pytest.mark.parametrize(
    ("invariant", "place", "name", "instead"),
    [
        ("I1:", Actuator, "_unsafe", lambda *_args: ()),
        ("I14", Journal, "next_seq", lambda _self: 7),
        ("I4", Governor, "_heed", lambda *_args: False),
        ("I9", OverrideDesk, "_sweep", lambda *_args: None),
    ],
    ids=["subsets", "numbers", "blindness", "ends"],
)
def test_it_finds_what_is_broken(monkeypatch: pytest.MonkeyPatch, invariant: str, place: object, name: str, instead: object) -> None:
    monkeypatch.setattr(place, name, instead)
    found = next((came for came in map(live, SOME) if isinstance(came, Failure)), None)
    assert found is not None
    assert found.broken.startswith(invariant)
    assert f"--seed {found.seed}" in str(found)


def test_a_failing_day_is_made_short() -> None:
    windows = tuple(Window(kind, n, n + 1.0) for n, kind in enumerate(("kill", "loss", "late", "store", "clock")))
    said = tuple(Said(n, "site", None) for n in range(7))
    schedule = shrunk(Schedule(windows, said), lambda tried: {w.kind for w in tried.windows} >= {"loss", "clock"} and said[3] in tried.said)
    assert schedule == Schedule((windows[1], windows[4]), (said[3],))
