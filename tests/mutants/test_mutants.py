"""The tables of mistakes fit the code as it is: each has its one place, and tests that exist. `make mutants` runs them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.run import MUTANTS, copied, ended, mistaken


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.mistake)
def test_a_mistake_has_one_place_makes_another_program_and_names_tests_that_exist(mutant: Mutant) -> None:
    assert mutant.places() == 1
    right = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert ast.dump(ast.parse(mutant.made(ROOT))) != ast.dump(ast.parse(right))
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert (ROOT / file).exists()
        assert not name or f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_there_are_mistakes_in_every_room_that_keeps_the_plant_safe_and_each_is_there_once() -> None:
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS) >= 30
    rooms = {"verify", "overrides", "daemon", "journal", "telemetry", "bus", "agents"}
    assert {mutant.file.split("/")[1] for mutant in MUTANTS} >= rooms


def test_a_mistake_is_made_in_a_copy_only_and_noticed_there(tmp_path: Path) -> None:
    mutant = next(m for m in MUTANTS if m.mistake == "fallback caps may fill a whole feeder")
    place = copied(tmp_path)
    with mistaken(place, mutant):
        assert mutant.new in (place / mutant.file).read_text(encoding="utf-8")
        assert ended(place, mutant.tests)[0] == 1
    assert ended(place, mutant.tests)[0] == 0
    assert mutant.places() == 1
