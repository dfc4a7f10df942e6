"""A real browser, Debian's chromium, driven by Playwright; pages of it that note what they ask for and what they complain of."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.looking import SETTLED

PATIENCE_MS = 60_000
"""How long a page may take for anything, on a machine that has more to do than it can."""


@dataclass
class Seen:
    """A page with a report in it, what it asked of anybody, and what it complained of."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complained: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")  # not the session: its event loop must end before other tests begin theirs
def browser() -> Iterator[Browser]:
    chromium = _chromium()
    if chromium is None:
        pytest.skip("no chromium that runs is here: `make chromium` installs it, as root or with sudo")
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"], timeout=PATIENCE_MS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def shown(browser: Browser) -> Iterator[Callable[..., Seen]]:
    """Opens a report from its file, once, and turns its page: `shown(path, width=1280, dark=False)`."""
    pages: dict[Path, Seen] = {}

    def show(path: Path, width: int = 1280, *, dark: bool = False) -> Seen:
        scheme: Literal["dark", "light"] = "dark" if dark else "light"
        if path in pages:
            pages[path].page.emulate_media(color_scheme=scheme)
            pages[path].page.set_viewport_size({"width": width, "height": 900})
            pages[path].page.wait_for_function(SETTLED)
            return pages[path]
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.set_default_timeout(PATIENCE_MS)
        seen = pages[path] = Seen(page)
        page.on("request", lambda request: seen.asked.append(request.url))
        page.on("console", lambda message: seen.complained.append(message.text))
        page.on("pageerror", lambda error: seen.complained.append(str(error)))
        page.goto(path.as_uri())
        return seen

    yield show
    for seen in pages.values():
        seen.page.close()


def _chromium() -> str | None:
    """The system's browser; not one that only says where another could be had, as some packages do."""
    for name in ("chromium", "google-chrome"):
        path = shutil.which(name)
        if path and subprocess.run([path, "--version"], capture_output=True, check=False, timeout=PATIENCE_MS / 1000).returncode == 0:
            return path
    return None
