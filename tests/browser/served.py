"""A console as a process of its own, and what its pages asked for and complained of."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

from tests.processes import SITE, end, until


@dataclass
class Served:
    """A console that serves at `url`."""

    process: subprocess.Popen[bytes]
    url: str
    shift_log: Path
    asked: list[str] = field(default_factory=list)
    complained: list[str] = field(default_factory=list)

    def open(self, browser: Browser, width: int = 1280, *, dark: bool = False, path: str = "") -> Page:
        """A page of it in a browser of its own, with nothing in its cookies."""
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("websocket", lambda socket: self.asked.append(socket.url))
        page.on("console", lambda message: self.complained.append(message.text))
        page.on("pageerror", lambda error: self.complained.append(str(error)))
        page.goto(self.url + path)
        return page

    def elsewhere(self) -> list[str]:
        """What was asked of anybody else."""
        here = urlsplit(self.url).netloc
        return [url for url in self.asked if urlsplit(url).scheme not in {"data", "blob"} and urlsplit(url).netloc != here]

    def stop(self) -> None:
        end(self.process)


def serve(folder: Path, broker: str, *options: str, site: str = SITE, within_s: float = 60.0) -> Served:
    """Start one and wait until it serves."""
    said, shift_log = folder / "console.log", folder / "shift.sqlite"
    command: Sequence[str] = (
        sys.executable, "-m", "facility", "console", site, "--broker", broker, "--port", "0", "--shift-log", str(shift_log), *options,
    )  # fmt: skip
    with said.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    found = until(lambda: re.search(r"http://\S+/", said.read_text()) or process.poll() is not None, within_s)
    address = re.search(r"http://\S+/", said.read_text())
    assert found, said.read_text()
    assert address, said.read_text()
    return Served(process, address[0], shift_log)
