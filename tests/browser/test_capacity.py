"""The page of a capacity in the real browser: every line drawn, nothing asked of the network, readable wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facility.capacity.answer import Answer, answer
from facility.capacity.page import write
from facility.capacity.question import Asked, question
from tests.browser.looking import CELLS, is_readable

pytestmark = pytest.mark.xdist_group("browser")  # one browser is enough

DEMO = str(Path(__file__).parents[2] / "site_configs/demo.yaml")


@pytest.fixture(scope="module")
def told() -> Answer:
    """Two days of the demonstration site."""
    asked = Asked(DEMO, "2026-07-15", "2026-07-17", model="a100", flexible="0,25", busy_pct=30.0)
    return answer(question(asked), lambda *_: None)


@pytest.fixture(scope="module")
def page(told: Answer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("capacity") / "capacity.html"
    write(told, path)
    return path


def test_it_draws_what_was_found_and_asks_nothing(told: Answer, page: Path, shown: Callable[..., Any]) -> None:
    seen = shown(page)
    assert seen.asked == [page.as_uri()]
    assert seen.complained == []
    assert seen.page.locator("#chart-flexibility .scatterlayer .point").count() == 2 * len(told.levels)
    assert seen.page.locator("#chart-year .scatterlayer .trace").count() == len(told.levels)
    assert seen.page.locator("#chart-short .heatmaplayer image").count() == 1
    _, *rows = seen.page.locator("#levels table").evaluate(CELLS)
    assert [row[2] for row in rows] == [f"{case.gpus:,}" for level in told.levels for case in (level.agreed, level.untouched)]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_readable_wide_and_narrow_light_and_dark(page: Path, shown: Callable[..., Any], width: int, dark: bool) -> None:
    assert is_readable(shown(page, width, dark=dark).page, width)
