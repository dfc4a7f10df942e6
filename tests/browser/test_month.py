"""The page of a month in the real browser: charts drawn, gaps left open, nothing asked of the network, readable wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.commands.report import Asked, run_report
from facility.config import load_site
from facility.report.month.signals import Files
from tests.browser.looking import CELLS, is_readable
from tests.facility.test_month import DEMO, START, STEADY, journal_of, keep, steady

pytestmark = pytest.mark.xdist_group("browser")  # one browser is enough


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days and two hours, of which four hours of the meter are missing."""
    folder = tmp_path_factory.mktemp("month")
    without = {("site/meter/main/import_kw", START + i * timedelta(minutes=15)) for i in range(40, 56)}
    history = keep(folder, load_site(DEMO), steady(STEADY, START, START + timedelta(hours=50), without))
    asked = Asked(None, "2026-07-15", "2026-07-17", journal_of(folder, 8), str(history), Files(), None)
    assert run_report(DEMO, (), asked, folder / "out", as_json=True) == 0
    return folder / "out/report.html"


def test_it_draws_power_and_figures_with_their_gaps_and_asks_nothing(page: Path, shown: Callable[..., Any]) -> None:
    seen = shown(page)
    assert seen.asked == [page.as_uri()]
    assert seen.complained == []
    assert seen.page.locator("#chart-power .scatterlayer .trace").count() == 4, "IT, cooling, import, and one that tells the time"
    imports = seen.page.evaluate("at('chart-power').data.find(trace => trace.name === 'import').y")
    assert [i for i, kw in enumerate(imports) if kw is None] == [10, 11, 12, 13]
    assert seen.page.locator("#chart-by-day .scatterlayer .trace").count() >= 3
    head, *rows = seen.page.locator("#days table").evaluate(CELLS)
    assert [row[0] for row in rows] == ["2026-07-15", "2026-07-16"]
    assert [row[head.index("of the time")] for row in rows] == ["83.3%", "100.0%"]
    assert "Interim: the grid's meter: 16 of 192 quarters" in seen.page.locator("header").inner_text()
    assert "GPUs were gone" in seen.page.locator("#interruptions").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_readable_wide_and_narrow_light_and_dark(page: Path, shown: Callable[..., Any], width: int, dark: bool) -> None:
    assert is_readable(shown(page, width, dark=dark).page, width)
