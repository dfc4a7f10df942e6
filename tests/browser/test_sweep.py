"""The page of a sweep in the real browser: every line drawn, nothing asked of the network, readable wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facility.request import Request
from facility.sweep.page import SHOWN, write
from facility.sweep.question import ask
from facility.sweep.sweep import sweep
from tests.browser.looking import CELLS, is_readable

pytestmark = pytest.mark.xdist_group("browser")  # one browser is enough

DEMO = str(Path(__file__).parents[2] / "site_configs/demo.yaml")
ASKED = Request(DEMO, start="2026-07-15T13:00Z", horizon="3h", step="1h")
VARY = ("grid.import_limit_kw=400,700,900", "halls.h1.thermal.recommended_max_c=26,27")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six plans; those at 400 kW break a limit."""
    path = tmp_path_factory.mktemp("sweep") / "sweep.html"
    write(sweep(ask(ASKED, VARY), lambda _: None, processes=1), path)
    return path


def test_it_draws_a_line_for_each_value_of_the_second_key_and_asks_nothing(page: Path, shown: Callable[..., Any]) -> None:
    seen = shown(page)
    assert seen.asked == [page.as_uri()]
    assert seen.complained == []
    assert seen.page.locator("#chart-figures .scatterlayer .trace").count() == 2 * len(SHOWN)
    assert seen.page.locator("#chart-figures .scatterlayer .point").count() == 6 * len(SHOWN)
    head, *rows = seen.page.locator("#plans table").evaluate(CELLS)
    assert head[:2] == ["grid.import_limit_kw", "halls.h1.thermal.recommended_max_c"]
    assert [row[:2] for row in rows] == [[limit, most] for limit in ("400", "700", "900") for most in ("26", "27")]
    assert "2 of them break limits." in seen.page.locator("header").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_readable_wide_and_narrow_light_and_dark(page: Path, shown: Callable[..., Any], width: int, dark: bool) -> None:
    assert is_readable(shown(page, width, dark=dark).page, width)
